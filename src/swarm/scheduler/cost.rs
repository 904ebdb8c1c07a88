//! What a chunk asked of a source now would cost: the time until it is here. Pure.
//!
//! Of a source that has delivered, its measured rate tells; of one that has not, what it says of its load.

use std::time::{Duration, Instant};

use super::event::SourceId;
use super::source::Source;
use super::sources::Sources;
use crate::content::Chunk;

/// A source that could have all that is open in so much less time gets it, though it has no room now.
const LEAVE_FACTOR: u32 = 2;
const LEAVE_GAIN: Duration = Duration::from_millis(40);
/// Costs that differ by less than this share are the same: who is asked first is left to chance, so that
/// many who know the same do not all do the same.
const NEARLY: f64 = 0.1;

/// The sources, the cheapest for a chunk of so many bytes first, equal ones in random order.
pub(super) fn by_cost(sources: &Sources, bytes: u64, rng: &mut fastrand::Rng) -> Vec<SourceId> {
    let mut costs: Vec<(Duration, SourceId)> = Vec::with_capacity(sources.len());
    for (id, source) in sources.iter() {
        costs.push((source.expected(bytes).mul_f64(1.0 + NEARLY * rng.f64()), id));
    }
    costs.sort_unstable();
    costs.into_iter().map(|(_, id)| id).collect()
}

/// What a chunk of so many bytes costs at each source, in order.
pub(super) fn costs(sources: &Sources, bytes: u64) -> Vec<(Duration, SourceId)> {
    let mut costs: Vec<_> = sources.iter().map(|(id, source)| (source.expected(bytes), id)).collect();
    costs.sort_unstable();
    costs
}

/// True if another source would have a chunk and all else that is `open`, bytes both, much sooner than `id` would
/// have the chunk. Only sources whose speed is known are compared.
pub(super) fn is_much_cheaper_elsewhere(
    sources: &Sources,
    id: SourceId,
    (chunk, bytes): (Chunk, u64),
    open: u64,
    now: Instant,
) -> bool {
    let knows = |source: &Source| source.speed().is_some();
    let Some(here) = sources.get(id).filter(|source| knows(source)) else { return false };
    let Some(most) = here.expected(bytes).checked_sub(LEAVE_GAIN) else { return false };
    let open = open.max(bytes);
    sources
        .others(id)
        .filter(|(_, source)| source.is_well(now) && source.have.contains(chunk) && knows(source))
        .any(|(_, source)| source.expected(open) < most / LEAVE_FACTOR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::ChunkSet;

    const MS: Duration = Duration::from_millis(1);

    /// Sources of so many bytes a second each, 10 ms away, and when that was measured.
    fn sources(rates: &[u64]) -> (Sources, Instant) {
        let (start, mut sources) = (Instant::now(), Sources::default());
        let now = start + 1000 * MS;
        for (id, rate) in (0..).map(SourceId).zip(rates) {
            let mut source = Source::new(ChunkSet::full(2), 0, None, 10 * MS, start);
            if *rate > 0 {
                source.delivered(*rate, now);
            }
            sources.insert(id, source);
        }
        (sources, now)
    }

    #[test]
    fn costs_are_in_order_and_nearly_equal_ones_in_any() {
        let (sources, _) = sources(&[10_000, 20_000, 19_500]);
        let (one, two) = (SourceId(1), SourceId(2));
        let costs = costs(&sources, 1000);
        assert_eq!((costs[0], costs[2]), ((60 * MS, one), (110 * MS, SourceId(0))));
        let mut rng = fastrand::Rng::with_seed(1);
        let mut firsts: Vec<SourceId> = (0..100).map(|_| by_cost(&sources, 1000, &mut rng)[0]).collect();
        firsts.sort();
        firsts.dedup();
        assert_eq!(firsts, [one, two]);
        assert!((0..100).all(|_| by_cost(&sources, 1000, &mut rng)[2] == SourceId(0)));
    }

    #[test]
    fn a_chunk_is_left_to_who_has_all_of_it_in_less_than_half_the_time() {
        let better = |rates: &[u64], open| {
            let (sources, now) = sources(rates);
            is_much_cheaper_elsewhere(&sources, SourceId(0), (Chunk(1), 1000), open, now)
        };
        // 110 ms here; 70 when 40 are gained; half of that is 35: 25 ms for the bytes.
        assert!(better(&[10_000, 100_000], 2400));
        assert!(!better(&[10_000, 100_000], 2500), "all that is open counts");
        assert!(!better(&[10_000, 30_000], 0), "at least the chunk itself");
        assert!(!better(&[0, 100_000], 1000) && !better(&[10_000, 0], 1000), "of one nothing is known");
        assert!(!better(&[34_000, 100_000_000], 1), "39 ms are no gain");
        assert!(!better(&[10_000], 1000), "there is no other");
    }

    #[test]
    fn only_who_has_the_chunk_and_is_well_is_compared() {
        let (mut sources, now) = sources(&[10_000, 1_000_000]);
        let better =
            |sources: &Sources| is_much_cheaper_elsewhere(sources, SourceId(0), (Chunk(1), 1000), 1000, now);
        assert!(better(&sources));
        let Some(other) = sources.get_mut(SourceId(1)) else { return };
        other.back_off(now);
        assert!(!better(&sources));
        let Some(other) = sources.get_mut(SourceId(1)) else { return };
        other.delivered(1, now);
        other.have.remove(Chunk(1));
        assert!(!better(&sources));
    }
}
