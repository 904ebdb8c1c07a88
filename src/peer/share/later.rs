//! Files and folders that could not be read for now: when to try again. Pure.
//!
//! What the process is short of, and a disk that fails once, say nothing of what lies there: what is known stays
//! known, and is read again ever less often until it can be. A disk that fails for good is not asked all the time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::say;

/// How long to wait before the second try; twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_mins(5);
/// Most paths that are waited for one by one; beyond that everything is looked at.
const MAX_PATHS: usize = 1024;

/// What waits for another try.
#[derive(Debug, Default)]
pub(super) struct Later {
    paths: BTreeMap<Arc<str>, Trial>,
    said: say::Seldom,
}

#[derive(Debug, Clone, Copy)]
struct Trial {
    due: Instant,
    /// That time has come, and the path is being tried.
    trying: bool,
    pause: Duration,
}

impl Later {
    /// What is at `path` could not be read. True if the user is to be told of it.
    pub(super) fn put_off(&mut self, path: Arc<str>, now: Instant) -> bool {
        let path = match self.paths.len() < MAX_PATHS || self.paths.contains_key(&path) {
            true => path,
            false => Arc::from(""),
        };
        let first = Trial { due: now + FIRST_PAUSE, trying: false, pause: FIRST_PAUSE };
        let again = |trial: &mut Trial| {
            if trial.trying {
                let pause = (trial.pause * 2).min(LONGEST_WAIT);
                *trial = Trial { due: now + pause, trying: false, pause };
            }
        };
        self.paths.entry(path).and_modify(again).or_insert(first);
        self.said.is_due(now)
    }

    /// True if the file at `path` could not be read lately.
    pub(super) fn waits(&self, path: &str) -> bool {
        self.paths.contains_key(path)
    }

    /// It could be read, or there is something else to say of it.
    pub(super) fn settled(&mut self, path: &str) {
        self.paths.remove(path);
    }

    /// The paths to try now. Those that were tried before, and not put off again, are forgotten after a while.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Arc<str>> {
        self.paths.retain(|_, trial| !trial.trying || now < trial.due + 2 * trial.pause + LONGEST_WAIT);
        let due = self.paths.iter_mut().filter(|(_, trial)| !trial.trying && trial.due <= now);
        due.map(|(path, trial)| {
            trial.trying = true;
            path.clone()
        })
        .collect()
    }

    /// When to call [`Later::take_due`] again.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.paths.values().filter(|trial| !trial.trying).map(|trial| trial.due).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_tried_ever_less_often_and_said_once_a_minute_with_all_others() {
        let start = Instant::now();
        let mut later = Later::default();
        assert!(later.put_off(Arc::from("a"), start));
        assert!(!later.put_off(Arc::from("b"), start));
        let (mut tries, mut told) = (Vec::new(), 0);
        for tick in 0..3000 {
            let now = start + Duration::from_millis(tick * 200);
            for path in later.take_due(now) {
                assert!(later.waits(&path));
                told += u32::from(later.put_off(path.clone(), now));
                if &*path == "a" {
                    tries.push(tick);
                }
            }
        }
        assert_eq!(tries, [1, 3, 7, 15, 31, 63, 127, 255, 511, 1023, 2047]);
        assert!(told <= 10, "{told} times in ten minutes");
    }

    #[test]
    fn what_fails_while_it_waits_is_tried_no_later() {
        let start = Instant::now();
        let mut later = Later::default();
        (0..100).for_each(|_| _ = later.put_off(Arc::from("a"), start));
        assert_eq!(later.next_due(), Some(start + FIRST_PAUSE));
        assert!(later.take_due(start).is_empty());
        assert_eq!(later.take_due(start + FIRST_PAUSE).len(), 1);
        assert_eq!(later.next_due(), None, "it is being tried");
        later.settled("a");
        assert!(!later.waits("a"));
    }

    #[test]
    fn too_many_become_one_look_at_everything_and_what_is_gone_is_forgotten() {
        let start = Instant::now();
        let mut later = Later::default();
        (0..2 * MAX_PATHS).for_each(|n| _ = later.put_off(Arc::from(n.to_string()), start));
        assert_eq!(later.paths.len(), MAX_PATHS + 1);
        assert!(later.waits(""));
        assert_eq!(later.take_due(start + FIRST_PAUSE).len(), MAX_PATHS + 1);
        assert!(later.take_due(start + 3 * LONGEST_WAIT).is_empty());
        assert!(later.paths.is_empty());
    }
}
