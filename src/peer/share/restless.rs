//! Files that do not come to rest: when each of them may be read. Pure.
//!
//! A file is read when nobody has written to it for a moment. One that is written to all the time is read
//! as it is after some patience, because it may be one that only grows, like a log, of which what was read
//! stays true; and one that was read lately waits the longer the more often that happened, so that a log of
//! gigabytes is not read without end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::debounce::QUIET;

/// How long a file may be written to before it is read nevertheless. Until then it may be on its way here,
/// and half of it is of no use.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a file that has grown waits before it is read again, the first time; twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_mins(1);

/// The files that were written to lately.
#[derive(Debug, Default)]
pub(super) struct Restless {
    files: BTreeMap<Arc<str>, Unrest>,
}

#[derive(Debug, Clone, Copy)]
struct Unrest {
    since: Instant,
    /// When something was last new.
    last: Instant,
    /// Not to be read before.
    next: Instant,
    pause: Duration,
}

impl Restless {
    /// When to look again at a file with something new; `None` if it may be read now.
    ///
    /// It was written to `age` ago; it has `grown` if what is known of it may still be true.
    pub(super) fn wait_for(
        &mut self,
        path: &Arc<str>,
        age: Option<Duration>,
        grown: bool,
        now: Instant,
    ) -> Option<Instant> {
        let is_young = age.is_some_and(|age| age < QUIET);
        if !is_young && !grown {
            self.files.remove(path);
            return None;
        }
        let new = Unrest { since: now, last: now, next: now, pause: FIRST_PAUSE };
        let unrest = self.files.entry(path.clone()).or_insert(new);
        if unrest.is_over(now) {
            *unrest = new;
        }
        unrest.last = now;
        if is_young && now < unrest.since + PATIENCE {
            return Some(now + QUIET);
        }
        if now < unrest.next {
            return Some(unrest.next);
        }
        unrest.next = now + unrest.pause;
        unrest.pause = (unrest.pause * 2).min(MAX_PAUSE);
        None
    }

    /// True if the file was read lately, although it was being written to.
    pub(super) fn was_read(&self, path: &str) -> bool {
        self.files.get(path).is_some_and(|unrest| unrest.pause > FIRST_PAUSE)
    }

    /// Forgets files that have come to rest.
    pub(super) fn tidy(&mut self, now: Instant) {
        self.files.retain(|_, unrest| !unrest.is_over(now));
    }
}

impl Unrest {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) > 2 * self.pause + PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YOUNG: Option<Duration> = Some(Duration::from_millis(10));
    const OLD: Option<Duration> = Some(Duration::from_secs(1));

    fn path() -> Arc<str> {
        Arc::from("log")
    }

    #[test]
    fn what_is_at_rest_is_read_at_once() {
        let mut restless = Restless::default();
        let now = Instant::now();
        for second in 0..5 {
            assert_eq!(restless.wait_for(&path(), OLD, false, now + Duration::from_secs(second)), None);
        }
        assert_eq!(restless.wait_for(&path(), None, false, now), None, "of the future");
        assert!(!restless.was_read("log"));
    }

    #[test]
    fn what_never_rests_is_read_when_patience_ends_and_then_ever_less_often() {
        let mut restless = Restless::default();
        let start = Instant::now();
        let mut reads = Vec::new();
        for tenth in 0..3000 {
            let now = start + Duration::from_millis(tenth * 100);
            assert_eq!(restless.was_read("log"), !reads.is_empty());
            match restless.wait_for(&path(), YOUNG, false, now) {
                None => reads.push(tenth / 10),
                Some(until) => assert!(until > now),
            }
        }
        assert_eq!(reads, [10, 11, 13, 17, 25, 41, 73, 133, 193, 253]);
        let rested = start + Duration::from_secs(301);
        assert_eq!(restless.wait_for(&path(), OLD, false, rested), None, "at rest at last");
    }

    #[test]
    fn what_grows_now_and_then_is_read_ever_less_often() {
        let mut restless = Restless::default();
        let start = Instant::now();
        let mut reads = 0;
        for second in 0..300 {
            let wait = restless.wait_for(&path(), OLD, true, start + Duration::from_secs(second));
            reads += u32::from(wait.is_none());
        }
        assert_eq!(reads, 10);
        let later = start + Duration::from_secs(1000);
        assert_eq!(restless.wait_for(&path(), OLD, true, later), None, "it was quiet for long");
        restless.tidy(later + Duration::from_secs(1000));
        assert!(restless.files.is_empty());
    }
}
