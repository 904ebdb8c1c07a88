//! How fast bytes go. Pure.

use std::num::NonZeroU64;
use std::time::Duration;

/// Whole bytes a second, one at least: where none is known, or no limit is set, there is no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(NonZeroU64);

impl Rate {
    /// Whatever takes longer than this is as good as never: what adds times up cannot overflow.
    const LONGEST: Duration = Duration::from_secs(3600);

    /// So many bytes a second; `None` for 0.
    pub const fn new(bytes_a_second: u64) -> Option<Rate> {
        match NonZeroU64::new(bytes_a_second) {
            Some(rate) => Some(Rate(rate)),
            None => None,
        }
    }

    /// That of `bytes` that took so long; `None` if there were none.
    pub fn of(bytes: u64, took: Duration) -> Option<Rate> {
        NonZeroU64::new(bytes)?;
        Rate::new(((bytes as f64 / took.as_secs_f64()) as u64).max(1))
    }

    /// Bytes a second.
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// Between the two.
    #[must_use]
    pub fn mean(self, other: Rate) -> Rate {
        Rate(self.0.midpoint(other.0))
    }

    /// What each of so many gets of it.
    #[must_use]
    pub fn shared(self, among: u32) -> Rate {
        Rate::new(self.get() / u64::from(among.max(1))).unwrap_or(Rate(NonZeroU64::MIN))
    }

    /// Bytes that go in so long.
    pub fn bytes_in(self, time: Duration) -> u64 {
        (self.get() as f64 * time.as_secs_f64()) as u64
    }

    /// How long so many bytes take, an hour at most.
    pub fn time_for(self, bytes: u64) -> Duration {
        let seconds = bytes as f64 / self.get() as f64;
        Duration::from_secs_f64(seconds.min(Rate::LONGEST.as_secs_f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_in_a_time_comes_in_it_again() {
        let rate = Rate::of(300, Duration::from_millis(200)).unwrap();
        assert_eq!(Some(rate), Rate::new(1500));
        assert_eq!(
            (rate.bytes_in(Duration::from_millis(200)), rate.time_for(150)),
            (300, Duration::from_millis(100))
        );
        assert_eq!(Rate::new(1).unwrap().time_for(u64::MAX), Duration::from_secs(3600));
    }

    #[test]
    fn there_is_no_rate_of_nothing_and_none_below_a_byte_a_second() {
        assert_eq!((Rate::new(0), Rate::of(0, Duration::from_secs(1))), (None, None));
        assert_eq!(Rate::of(1, Duration::from_secs(9)), Rate::new(1));
        assert_eq!(Rate::of(1, Duration::ZERO), Rate::new(u64::MAX), "at once");
        let [three, ten] = [3, 10].map(|rate| Rate::new(rate).unwrap());
        assert_eq!(
            (Some(three.mean(ten)), Some(ten.shared(3)), Some(three.shared(4))),
            (Rate::new(6), Rate::new(3), Rate::new(1))
        );
        assert_eq!(ten.shared(0), ten);
    }
}
