//! Which paths are to be looked at, and when: many events in a row are one look. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long after its first event a path is looked at.
pub(super) const QUIET: Duration = Duration::from_millis(200);
/// Longest that looks are put off when each of them takes long.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// Past this many waiting paths, one look at everything is cheaper.
const MAX_WAITING: usize = 20_000;

/// Paths with something new, each with the time to look at it.
#[derive(Debug)]
pub(super) struct Debounce {
    due: BTreeMap<Arc<str>, Instant>,
    wait: Duration,
}

impl Debounce {
    pub(super) fn new() -> Debounce {
        Debounce { due: BTreeMap::new(), wait: QUIET }
    }

    /// Something happened at `path`. Later events do not put the look off.
    pub(super) fn touch(&mut self, path: Arc<str>, now: Instant) {
        self.look_at(path, now + self.wait);
    }

    /// `path` is to be looked at then, if not before.
    pub(super) fn look_at(&mut self, path: Arc<str>, due: Instant) {
        if self.due.len() >= MAX_WAITING {
            let due = self.next_deadline().map_or(due, |first| first.min(due));
            self.due.clear();
            self.due.insert(Arc::from(""), due);
        }
        self.due.entry(path).and_modify(|at| *at = due.min(*at)).or_insert(due);
    }

    /// The paths to look at now, in order. Those due soon come along, so that looks do not trickle.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Arc<str>> {
        if self.next_deadline().is_none_or(|due| due > now) {
            return Vec::new();
        }
        let soon = now + self.wait / 2;
        self.due.extract_if(.., |_, due| *due <= soon).map(|(path, _)| path).collect()
    }

    /// When to call [`Debounce::take_due`] again.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }

    /// A look took so long: from now on looks take at most a third of the time.
    pub(super) fn looked(&mut self, took: Duration) {
        self.wait = (took * 2).clamp(QUIET, MAX_WAIT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(due: Vec<Arc<str>>) -> Vec<String> {
        due.iter().map(|path| path.to_string()).collect()
    }

    #[test]
    fn events_in_a_row_are_one_look() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let mut debounce = Debounce::new();
        for ms in 0..150 {
            debounce.touch(Arc::from("b"), after(ms));
        }
        debounce.touch(Arc::from("a"), after(60));
        debounce.touch(Arc::from("late"), after(199));
        assert_eq!(debounce.next_deadline(), Some(after(200)));
        assert!(debounce.take_due(after(199)).is_empty());
        assert_eq!(paths(debounce.take_due(after(200))), ["a", "b"]);
        assert_eq!(debounce.next_deadline(), Some(after(399)));
    }

    #[test]
    fn too_many_paths_become_one_look_at_everything() {
        let now = Instant::now();
        let mut debounce = Debounce::new();
        for n in 0..=MAX_WAITING {
            debounce.touch(Arc::from(format!("{n}")), now);
        }
        assert_eq!(paths(debounce.take_due(now + QUIET)), ["".to_owned(), format!("{MAX_WAITING}")]);
    }

    #[test]
    fn slow_looks_are_put_off_but_not_for_long() {
        let now = Instant::now();
        let mut debounce = Debounce::new();
        debounce.looked(Duration::from_secs(60));
        debounce.touch(Arc::from("a"), now);
        assert_eq!(debounce.next_deadline(), Some(now + MAX_WAIT));
    }
}
