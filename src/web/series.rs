//! Numbers over time, for plots: the last ten minutes by the second, a day by the minute, a week by five minutes.
//! Pure: the seconds that have passed come in.

use std::collections::VecDeque;

use serde::Serialize;

/// Seconds of a step, and how many steps are kept.
const SPANS: [(u64, usize); 3] = [(1, 600), (60, 1_440), (300, 2_016)];

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Measure {
    /// Bytes a second received.
    Down,
    /// Bytes a second sent.
    Up,
    /// Transfers of a peer, or peers of a tracker.
    Members,
    /// Names at a tracker, or files of a peer.
    Names,
    /// Questions for contents a second.
    Questions,
}

/// All measures, in the order in which a sample has them.
pub(super) const MEASURES: [Measure; 5] =
    [Measure::Down, Measure::Up, Measure::Members, Measure::Names, Measure::Questions];

/// One value of each measure.
pub(super) type Sample = [f32; MEASURES.len()];

#[derive(Debug, Default)]
struct Ring {
    values: VecDeque<Sample>,
    sum: Sample,
    count: u64,
}

/// The measures over time.
#[derive(Debug, Default)]
pub(super) struct Series {
    rings: [Ring; SPANS.len()],
}

/// A plot of one span.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Plot {
    /// Seconds of a step.
    pub(super) step: u64,
    /// Milliseconds since 1970 of the last value.
    pub(super) until: u64,
    /// One list for each measure, the oldest value first.
    pub(super) values: Vec<(Measure, Vec<f32>)>,
}

impl Series {
    /// The next second's values.
    pub(super) fn add(&mut self, sample: Sample) {
        for (ring, (step, most)) in self.rings.iter_mut().zip(SPANS) {
            ring.sum.iter_mut().zip(sample).for_each(|(sum, value)| *sum += value);
            ring.count += 1;
            if ring.count == step {
                let mean = ring.sum.map(|sum| sum / step as f32);
                (ring.sum, ring.count) = (Sample::default(), 0);
                ring.values.push_back(mean);
                if ring.values.len() > most {
                    ring.values.pop_front();
                }
            }
        }
    }

    /// A span: the first is ten minutes, the last a week.
    pub(super) fn plot(&self, span: usize, until: u64) -> Option<Plot> {
        let (ring, (step, _)) = (self.rings.get(span)?, SPANS.get(span)?);
        let column = |at: usize| ring.values.iter().map(|sample| sample[at]).collect();
        let values = MEASURES.iter().enumerate().map(|(at, measure)| (*measure, column(at))).collect();
        Some(Plot { step: *step, until, values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_span_has_means_of_its_step_and_forgets_what_is_older() {
        let mut series = Series::default();
        for second in 0..1_000 {
            series.add([second as f32, 1.0, 2.0, 3.0, 4.0]);
        }
        let plot = |span| series.plot(span, 5).unwrap();
        let down = |span: usize| plot(span).values[0].1.clone();
        assert_eq!((down(0).len(), down(0)[0], down(0)[599]), (600, 400.0, 999.0));
        assert_eq!((down(1).len(), down(1)[0], down(1)[15]), (16, 29.5, 929.5));
        assert_eq!((down(2).len(), down(2)[2]), (3, 749.5));
        assert_eq!((plot(2).step, plot(2).until, plot(2).values[1].1[0]), (300, 5, 1.0));
        assert!(series.plot(3, 0).is_none());
    }
}
