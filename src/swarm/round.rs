//! What comes round again and again: when it is due next. Pure.

use std::time::{Duration, Instant};

/// First pause before the trackers are asked again.
pub(crate) const FIRST_RELOCATE: Duration = Duration::from_millis(250);

/// The pauses of one thing: each is twice as long as the one before, up to the longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Round {
    next: Instant,
    pause: Duration,
    longest: Duration,
}

impl Round {
    /// Due now, and then after such pauses.
    pub(crate) fn doubling(first: Duration, longest: Duration, now: Instant) -> Round {
        Round { next: now, pause: first.min(longest), longest }
    }

    /// Due for the first time after one pause, and all pauses are the same.
    pub(crate) fn every(pause: Duration, now: Instant) -> Round {
        Round { next: now + pause, pause, longest: pause }
    }

    /// How trackers are asked: at once, soon again, and then now and then.
    pub(crate) fn locating(refresh: Duration, now: Instant) -> Round {
        Round::doubling(FIRST_RELOCATE, refresh, now)
    }

    /// Begins anew, with its first pause: there is more to be had than was asked for.
    pub(crate) fn relocate_soon(&mut self, now: Instant) {
        self.pause = FIRST_RELOCATE.min(self.longest);
        self.next = now + self.pause;
    }

    /// True if it is due, and then it is not again until the next pause is over.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let due = now >= self.next;
        if due {
            self.next = now + self.pause;
            self.pause = (self.pause * 2).min(self.longest);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The milliseconds of the first `count` at which it was due, looked at each of them.
    fn due(mut round: Round, start: Instant, count: usize) -> Vec<u64> {
        let at = |ms: &u64| round.is_due(start + Duration::from_millis(*ms));
        (0..100_000).filter(at).take(count).collect()
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let start = Instant::now();
        let round = Round::locating(Duration::from_secs(1), start);
        assert_eq!(due(round, start, 6), [0, 250, 750, 1750, 2750, 3750]);
        let round = Round::locating(Duration::from_millis(100), start);
        assert_eq!(due(round, start, 3), [0, 100, 200], "the longest bounds the first, too");
        let round = Round::every(Duration::from_secs(5), start);
        assert_eq!(due(round, start, 3), [5000, 10_000, 15_000]);
    }

    #[test]
    fn what_is_looked_at_late_is_due_once_and_pauses_count_from_then() {
        let start = Instant::now();
        let mut round = Round::every(Duration::from_secs(1), start);
        assert!(round.is_due(start + Duration::from_secs(7)));
        assert!(!round.is_due(start + Duration::from_millis(7999)));
        assert!(round.is_due(start + Duration::from_secs(8)));
    }

    #[test]
    fn it_can_begin_anew() {
        let start = Instant::now();
        let mut round = Round::locating(Duration::from_secs(15), start);
        assert_eq!(due(round, start, 4), [0, 250, 750, 1750]);
        assert!(round.is_due(start));
        assert!(round.is_due(start + Duration::from_millis(250)));
        round.relocate_soon(start + Duration::from_millis(300));
        assert_eq!(due(round, start, 3), [550, 800, 1300]);
    }
}
