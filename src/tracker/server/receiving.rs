//! How long the next message may take, and how much of it counts as large. Pure.
//!
//! Silence costs little and has long; a message that has begun holds memory, and has to come to its end soon.

use std::time::{Duration, Instant};

/// A message that has begun may take this long to arrive whole.
const MESSAGE_PATIENCE: Duration = Duration::from_secs(30);
/// A message that has not arrived whole may have so many bytes without being counted as large.
const MAX_SMALL_BYTES: usize = 16 << 10;

/// A message that is waited for.
#[derive(Debug)]
pub(super) struct Receiving {
    idle: Duration,
    /// When its first bytes were seen.
    begun: Option<Instant>,
}

impl Receiving {
    /// Waits for a message; a connection may be silent for as long as `idle`.
    pub(super) fn new(idle: Duration) -> Receiving {
        Receiving { idle, begun: None }
    }

    /// How long to wait for more, with so many bytes here that are no message yet; `None` if its time is over.
    pub(super) fn patience(&mut self, partial: usize, now: Instant) -> Option<Duration> {
        if partial == 0 {
            return Some(self.idle);
        }
        let begun = *self.begun.get_or_insert(now);
        let left = MESSAGE_PATIENCE.saturating_sub(now.saturating_duration_since(begun));
        (!left.is_zero()).then(|| left.min(self.idle))
    }

    /// True if so much has come of a message that it is to be counted.
    pub(super) fn is_large(partial: usize) -> bool {
        partial > MAX_SMALL_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(300);
    const SOON: Duration = Duration::from_millis(1);

    #[test]
    fn silence_has_long_and_a_message_that_has_begun_has_not() {
        let start = Instant::now();
        let mut receiving = Receiving::new(IDLE);
        assert_eq!(receiving.patience(0, start), Some(IDLE));
        let begun = start + IDLE / 2;
        assert_eq!(receiving.patience(1, begun), Some(MESSAGE_PATIENCE));
        let later = begun + MESSAGE_PATIENCE - SOON;
        assert_eq!(receiving.patience(2, later), Some(SOON), "more bytes give it no more time");
        assert_eq!(receiving.patience(3, begun + MESSAGE_PATIENCE), None);
    }

    #[test]
    fn nothing_has_longer_than_silence() {
        let now = Instant::now();
        assert_eq!(Receiving::new(SOON).patience(1, now), Some(SOON));
    }

    #[test]
    fn a_message_is_large_past_a_bound() {
        assert!(!Receiving::is_large(MAX_SMALL_BYTES) && Receiving::is_large(MAX_SMALL_BYTES + 1));
    }
}
