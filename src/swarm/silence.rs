//! When a silent source is asked whether it lives, and when it is given up. Pure.
//!
//! A serving peer answers PING also while chunks wait for their turn. So a source that owes chunks and
//! says nothing at all, not even to PING, has hung or cannot be reached, although its connection stands.

use std::time::{Duration, Instant};

/// A source that owes something and is silent for so long is asked whether it lives.
const ASK_AFTER: Duration = Duration::from_secs(1);
/// And given up when it is silent for so long, or [`LOST_ROUND_TRIPS`] round trips if that is longer.
const LOST_AFTER: Duration = Duration::from_secs(5);
const LOST_ROUND_TRIPS: u32 = 4;
/// A connection on which nothing is owed is used at least so often, so that the server keeps it.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What to do about a silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// Nothing before this moment.
    Again(Instant),
    /// Ask whether the source lives, then look again at this moment.
    Ask(Instant),
    /// Give the source up.
    Lost,
}

/// The silence of one source.
#[derive(Debug)]
pub(crate) struct Silence {
    heard: Instant,
    asked: Option<Instant>,
    lost_after: Duration,
}

impl Silence {
    /// A source that has just answered within `round_trip`.
    pub(crate) fn new(now: Instant, round_trip: Duration) -> Silence {
        Silence { heard: now, asked: None, lost_after: LOST_AFTER.max(round_trip * LOST_ROUND_TRIPS) }
    }

    /// Something came, or nothing was to come before `at`.
    pub(crate) fn heard(&mut self, at: Instant) {
        self.heard = at;
        self.asked = None;
    }

    /// What to do now; `owes` if an answer is due.
    #[must_use]
    pub(crate) fn look(&mut self, owes: bool, now: Instant) -> Look {
        let pause = if owes { ASK_AFTER } else { KEEP_ALIVE };
        // From the question on: the silence before it was nobody's duty to break.
        let patience = self.lost_after.saturating_sub(ASK_AFTER);
        match self.asked {
            None if now >= self.heard + pause => {
                self.asked = Some(now);
                Look::Ask(now + patience)
            }
            None => Look::Again(self.heard + pause),
            Some(asked) if now >= asked + patience => Look::Lost,
            Some(asked) => Look::Again(asked + patience),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND_TRIP: Duration = Duration::from_millis(1);

    #[test]
    fn a_source_that_owes_is_asked_and_then_given_up() {
        let start = Instant::now();
        let mut silence = Silence::new(start, ROUND_TRIP);
        assert_eq!(silence.look(true, start), Look::Again(start + ASK_AFTER));
        assert_eq!(silence.look(true, start + ASK_AFTER), Look::Ask(start + LOST_AFTER));
        assert_eq!(silence.look(true, start + ASK_AFTER), Look::Again(start + LOST_AFTER));
        assert_eq!(silence.look(true, start + LOST_AFTER), Look::Lost);
        silence.heard(start + LOST_AFTER);
        let again = start + LOST_AFTER + ASK_AFTER;
        assert_eq!(silence.look(true, start + LOST_AFTER), Look::Again(again), "it was heard again");
    }

    #[test]
    fn one_that_owes_nothing_is_only_kept_awake() {
        let start = Instant::now();
        let mut silence = Silence::new(start, ROUND_TRIP);
        assert_eq!(silence.look(false, start + ASK_AFTER), Look::Again(start + KEEP_ALIVE));
        let patience = LOST_AFTER - ASK_AFTER;
        let lost = start + KEEP_ALIVE + patience;
        assert_eq!(silence.look(false, start + KEEP_ALIVE), Look::Ask(lost));
        assert_eq!(silence.look(false, lost - ROUND_TRIP), Look::Again(lost));
        assert_eq!(silence.look(false, lost), Look::Lost);
    }

    #[test]
    fn a_far_source_has_more_time() {
        let start = Instant::now();
        let mut silence = Silence::new(start, Duration::from_secs(5));
        let lost = start + Duration::from_secs(20);
        assert_eq!(silence.look(true, start + ASK_AFTER), Look::Ask(lost));
        assert_eq!(silence.look(true, lost - ROUND_TRIP), Look::Again(lost));
        assert_eq!(silence.look(true, lost), Look::Lost);
    }
}
