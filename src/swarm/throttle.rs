//! A rate that people set: so many bytes a second, and a little ahead. Pure.

use std::time::{Duration, Instant};

use crate::content::Rate;

/// Bytes may run ahead of the rate by what it gives in this time, as a rule.
const AHEAD: Duration = Duration::from_millis(20);

/// A token bucket.
#[derive(Debug)]
pub(crate) struct Throttle {
    rate: Rate,
    /// How far bytes may run ahead.
    ahead: Duration,
    /// Bytes that were taken and that the rate had not given yet, when it was last looked.
    debt: f64,
    at: Instant,
}

impl Throttle {
    pub(crate) fn new(rate: Rate, now: Instant) -> Throttle {
        Throttle::ahead(rate, AHEAD, now)
    }

    /// One whose bytes may run ahead by what comes in this time.
    pub(crate) fn ahead(rate: Rate, ahead: Duration, now: Instant) -> Throttle {
        Throttle { rate, ahead, debt: 0.0, at: now }
    }

    /// Takes `bytes`, and says how long to wait before the next ones.
    #[must_use]
    pub(crate) fn take(&mut self, bytes: usize, now: Instant) -> Duration {
        self.spend(bytes as i64, now);
        Duration::from_secs_f64((self.debt / self.rate.get() as f64).max(0.0))
    }

    /// Bytes that may be taken now; none if there are none yet.
    pub(crate) fn credit(&mut self, now: Instant) -> i64 {
        self.spend(0, now);
        -self.debt as i64
    }

    /// Takes `bytes`, whether or not they may be taken; less than none are given back.
    pub(crate) fn spend(&mut self, bytes: i64, now: Instant) {
        let rate = self.rate.get() as f64;
        let given = now.saturating_duration_since(self.at).as_secs_f64() * rate;
        self.debt = (self.debt - given).max(-self.ahead.as_secs_f64() * rate) + bytes as f64;
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_its_rate() {
        let start = Instant::now();
        let (mut throttle, mut now) = (Throttle::new(Rate::new(1000).unwrap(), start), start);
        for _ in 0..50 {
            now += throttle.take(100, now);
        }
        assert_eq!((now - start).as_millis(), 5000);
    }

    #[test]
    fn what_was_not_used_is_lost_but_for_a_little() {
        let start = Instant::now();
        let mut throttle = Throttle::new(Rate::new(1000).unwrap(), start);
        let later = start + Duration::from_secs(60);
        assert_eq!(throttle.take(20, later), Duration::ZERO);
        assert_eq!(throttle.take(100, later), Duration::from_millis(100));
        assert_eq!(throttle.take(0, later + Duration::from_millis(40)), Duration::from_millis(60));
        assert_eq!(throttle.credit(later + Duration::from_secs(1)), 20);
        throttle.spend(50, later + Duration::from_secs(1));
        assert_eq!(throttle.credit(later + Duration::from_secs(1)), -30);
        throttle.spend(-10, later + Duration::from_secs(1));
        assert_eq!(throttle.credit(later + Duration::from_millis(1010)), -10);
    }
}
