//! When the asker of a connection is told which chunks came. Pure.

use std::time::{Duration, Instant};

use crate::content::{Chunk, Run, runs};

/// So many times an asker is told of gains at once: at the start little is there to be passed on, and all
/// wait for it.
const EARLY_TELLS: u32 = 32;
/// From then on gains are gathered for so long for each asker that is to be told of them,
const NEWS_INTERVAL: Duration = Duration::from_millis(3);
/// and for so long if it has requests with us and no chunk takes them along before: it has enough to do, and
/// among many neighbours telling each of each chunk costs more than sending the chunks.
const NEWS_PATIENCE: Duration = Duration::from_millis(12);
/// No gain waits longer than for so many askers.
const MOST_ASKERS: u32 = 32;

/// What the asker of one connection was not told yet.
#[derive(Debug)]
pub(crate) struct Telling {
    /// Chunks that came, and the slot of their content.
    gains: Vec<(u16, Chunk)>,
    /// How many times more it is told at once.
    early: u32,
    told: Option<Instant>,
    /// It has requests that are not answered.
    has_requests: bool,
    /// Askers of the same content.
    askers: u32,
}

impl Telling {
    pub(crate) fn new() -> Telling {
        Telling { gains: Vec::new(), early: EARLY_TELLS, told: None, has_requests: false, askers: 0 }
    }

    /// This chunk of the content open as `slot` by so many `askers` is here from now on.
    pub(crate) fn gain(&mut self, slot: u16, chunk: Chunk, askers: u32) {
        self.gains.push((slot, chunk));
        self.askers = askers;
    }

    /// The slot is closed.
    pub(crate) fn forget(&mut self, slot: u16) {
        self.gains.retain(|(of, _)| *of != slot);
    }

    /// Notes whether the asker has requests that are not answered; whether it had before.
    pub(crate) fn set_requests(&mut self, has: bool) -> bool {
        std::mem::replace(&mut self.has_requests, has)
    }

    /// The moment from which the gains are told although nothing else is sent, `now` if that is at once; none if there
    /// are none.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        if self.gains.is_empty() {
            return None;
        }
        let interval = if self.has_requests { NEWS_PATIENCE } else { NEWS_INTERVAL };
        let told = self.told.filter(|_| self.early == 0);
        Some(told.map_or(now, |told| told + interval * self.askers.min(MOST_ASKERS)))
    }

    /// What is told now: the slots with gains, and the runs of chunks of each.
    pub(crate) fn take(&mut self, now: Instant) -> Vec<(u16, Vec<Run>)> {
        if self.gains.is_empty() {
            return Vec::new();
        }
        self.early = self.early.saturating_sub(1);
        self.told = Some(now);
        let mut gains = std::mem::take(&mut self.gains);
        gains.sort_unstable();
        let of_slot = |gains: &[(u16, Chunk)]| (gains[0].0, runs::of(gains.iter().map(|(_, chunk)| *chunk)));
        gains.chunk_by(|a, b| a.0 == b.0).map(of_slot).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that has been told of all early gains, at `now`.
    fn told(now: Instant) -> Telling {
        let mut telling = Telling::new();
        for _ in 0..EARLY_TELLS {
            telling.gain(0, Chunk(1), 2);
            assert_eq!(telling.due(now), Some(now), "at once");
            telling.take(now);
        }
        telling
    }

    #[test]
    fn gains_are_told_at_once_at_first_and_gathered_later() {
        let start = Instant::now();
        let (mut telling, later) = (told(start), start + Duration::from_secs(1));
        assert_eq!(telling.due(later), None, "there are none");
        telling.gain(0, Chunk(1), 1);
        assert_eq!(telling.due(later), Some(start + NEWS_INTERVAL));
        telling.gain(0, Chunk(2), 2);
        assert_eq!(telling.due(start), Some(start + NEWS_INTERVAL * 2));
        telling.gain(0, Chunk(3), 10_000);
        assert_eq!(telling.due(start), Some(start + NEWS_INTERVAL * MOST_ASKERS));
        telling.take(later);
        telling.gain(0, Chunk(4), 1);
        assert_eq!(telling.due(later), Some(later + NEWS_INTERVAL));
    }

    #[test]
    fn an_asker_with_requests_waits_longer_for_gains_that_come_alone() {
        let start = Instant::now();
        let mut telling = told(start);
        assert!(!telling.set_requests(true));
        telling.gain(0, Chunk(1), 2);
        assert_eq!(telling.due(start), Some(start + NEWS_PATIENCE * 2));
        assert!(telling.set_requests(false));
        assert_eq!(telling.due(start), Some(start + NEWS_INTERVAL * 2));
    }

    #[test]
    fn what_is_told_is_told_once_by_slot_and_run() {
        let (mut telling, now) = (Telling::new(), Instant::now());
        assert_eq!(telling.take(now), []);
        for (slot, chunk) in [(7, 5), (2, 5), (7, 6), (2, 3), (7, 9)] {
            telling.gain(slot, Chunk(chunk), 3);
        }
        assert_eq!(
            telling.take(now),
            [
                (2, vec![Run::new(Chunk(3), 1), Run::new(Chunk(5), 1)]),
                (7, vec![Run::new(Chunk(5), 2), Run::new(Chunk(9), 1)])
            ]
        );
        assert_eq!(telling.take(now), []);
        [(7, 5), (2, 5)].into_iter().for_each(|(slot, chunk)| telling.gain(slot, Chunk(chunk), 3));
        telling.forget(7);
        assert_eq!(telling.take(now), [(2, vec![Run::new(Chunk(5), 1)])]);
        (2..EARLY_TELLS).for_each(|_| {
            telling.gain(0, Chunk(0), 1);
            assert_eq!(telling.due(now), Some(now), "asking for nothing was not counted");
            telling.take(now);
        });
        telling.gain(0, Chunk(0), 1);
        assert_ne!(telling.due(now), Some(now));
    }
}
