//! How long a fetch goes on without anybody who has what is missing: one clock for all its stages. Pure.

use std::time::{Duration, Instant};

use super::round::FIRST_RELOCATE;

/// Whoever has been connected for so long helps, however little has arrived. Before, only what arrives counts: one
/// who comes, sends nothing and goes, again and again, is nobody to wait for.
const STEADY: Duration = Duration::from_secs(10);

/// The clock of one fetch.
#[derive(Debug)]
pub(crate) struct Patience {
    /// None: for ever.
    wait: Option<Duration>,
    /// When waiting began, or something last arrived.
    since: Instant,
    helped_since: Option<Instant>,
}

impl Patience {
    /// For a fetch that somebody has waited for already.
    pub(crate) fn new(wait: Option<Duration>, waited: Duration, now: Instant) -> Patience {
        Patience { wait, since: now.checked_sub(waited).unwrap_or(now), helped_since: None }
    }

    /// Until when somebody has to be found.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.wait.and_then(|wait| self.since.checked_add(wait))
    }

    /// Takes in whether somebody is there who has what is missing, and whether anything came. True once it
    /// has been waited long enough.
    pub(crate) fn is_over(&mut self, helped: bool, came: bool, now: Instant) -> bool {
        let steady = match helped {
            true => now.saturating_duration_since(*self.helped_since.get_or_insert(now)) >= STEADY,
            false => {
                self.helped_since = None;
                false
            }
        };
        if came || steady {
            self.since = now;
        }
        let waited = now.saturating_duration_since(self.since);
        !helped && self.wait.is_some_and(|wait| waited >= wait.max(FIRST_RELOCATE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn all_that_is_waited_counts_until_something_comes() {
        let start = Instant::now();
        let mut patience = Patience::new(Some(10 * SECOND), 4 * SECOND, start);
        assert_eq!(patience.deadline(), Some(start + 6 * SECOND));
        assert!(!patience.is_over(false, false, start + 5 * SECOND));
        assert!(patience.is_over(false, false, start + 6 * SECOND));
        assert!(!patience.is_over(false, true, start + 6 * SECOND));
        assert!(!patience.is_over(false, false, start + 15 * SECOND));
        assert!(patience.is_over(false, false, start + 16 * SECOND));
    }

    #[test]
    fn who_comes_and_goes_without_sending_does_not_stop_the_clock_and_who_stays_does() {
        let start = Instant::now();
        let mut patience = Patience::new(Some(10 * SECOND), Duration::ZERO, start);
        let over = (1..20).find(|second| {
            let helped = patience.is_over(true, false, start + *second * SECOND);
            assert!(!helped, "not while somebody is there");
            patience.is_over(false, false, start + *second * SECOND)
        });
        assert_eq!(over, Some(10));
        let mut patience = Patience::new(Some(10 * SECOND), Duration::ZERO, start);
        assert!((1..100).all(|second| !patience.is_over(true, false, start + second * SECOND)));
        assert!(!patience.is_over(false, false, start + 101 * SECOND));
    }

    #[test]
    fn patience_may_be_endless_or_none() {
        let start = Instant::now();
        assert_eq!(Patience::new(None, SECOND, start).deadline(), None);
        assert!(!Patience::new(None, SECOND, start).is_over(false, false, start + 1_000_000 * SECOND));
        assert!(Patience::new(Some(Duration::ZERO), SECOND, start).is_over(false, false, start + SECOND));
        assert_eq!(Patience::new(Some(Duration::MAX), SECOND, start).deadline(), None);
    }
}
