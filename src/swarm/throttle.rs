//! A rate that people set: so many bytes a second, and a little ahead. Pure.

use std::time::{Duration, Instant};

/// Bytes may run ahead of the rate by what it gives in this time.
const AHEAD: Duration = Duration::from_millis(20);

/// A token bucket.
#[derive(Debug)]
pub(crate) struct Throttle {
    rate: f64,
    /// Bytes that were taken and that the rate had not given yet, when it was last looked.
    debt: f64,
    at: Instant,
}

impl Throttle {
    pub(crate) fn new(bytes_per_second: u64, now: Instant) -> Throttle {
        Throttle { rate: bytes_per_second.max(1) as f64, debt: 0.0, at: now }
    }

    /// Takes `bytes`, and says how long to wait before the next ones.
    #[must_use]
    pub(crate) fn take(&mut self, bytes: usize, now: Instant) -> Duration {
        let given = now.saturating_duration_since(self.at).as_secs_f64() * self.rate;
        self.debt = (self.debt - given).max(-AHEAD.as_secs_f64() * self.rate) + bytes as f64;
        self.at = now;
        Duration::from_secs_f64((self.debt / self.rate).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_its_rate() {
        let start = Instant::now();
        let (mut throttle, mut now) = (Throttle::new(1000, start), start);
        for _ in 0..50 {
            now += throttle.take(100, now);
        }
        assert_eq!((now - start).as_millis(), 5000);
    }

    #[test]
    fn what_was_not_used_is_lost_but_for_a_little() {
        let start = Instant::now();
        let mut throttle = Throttle::new(1000, start);
        let later = start + Duration::from_secs(60);
        assert_eq!(throttle.take(20, later), Duration::ZERO);
        assert_eq!(throttle.take(100, later), Duration::from_millis(100));
        assert_eq!(throttle.take(0, later + Duration::from_millis(40)), Duration::from_millis(60));
        assert_eq!(Throttle::new(0, start).take(2, start), Duration::from_secs(2), "one byte at least");
    }
}
