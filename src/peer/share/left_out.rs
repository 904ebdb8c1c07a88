//! What the user of a share is told of what is not in it. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::content::{LeftOut, Missing, Reason, shown};

/// Most names of what is private that are said.
const MAX_NAMED: usize = 4;
/// Most files that are remembered as never at rest; past this they may be told of again.
const MAX_RESTLESS: usize = 1024;

/// What was told, so that it is told once.
#[derive(Debug, Default)]
pub(super) struct Notice {
    told: BTreeMap<Arc<str>, Reason>,
    /// Files that could not be read for being written to. They may rest for a moment now and then, and that
    /// makes no news of them.
    restless: BTreeSet<Arc<str>>,
}

impl Notice {
    /// A file was read in vain: from now on it is told of if it is left out because it is changing.
    pub(super) fn does_not_rest(&mut self, path: &Arc<str>) {
        if self.restless.len() >= MAX_RESTLESS {
            self.restless.clear();
        }
        self.restless.insert(path.clone());
    }

    /// The line to print, if there is something that was not told yet.
    ///
    /// A file that is being written is no news before it was read in vain: most come to rest soon.
    pub(super) fn of(&mut self, left_out: &BTreeMap<Arc<str>, Reason>) -> Option<String> {
        let restless = &self.restless;
        self.told.retain(|path, reason| restless.contains(path) || left_out.get(path) == Some(reason));
        let lasting =
            left_out.iter().filter(|(path, reason)| **reason != Reason::Changing || restless.contains(*path));
        let mut is_news = false;
        for (path, reason) in lasting.clone() {
            is_news |= self.told.insert(path.clone(), *reason) != Some(*reason);
        }
        let missing = lasting.map(|(path, reason)| Missing { path: path.to_string(), reason: *reason });
        is_news.then(|| LeftOut::new(missing).sentence())
    }
}

/// The line about what is hidden or a key, if there is such a thing.
pub(super) fn private_line(private: &[Arc<str>]) -> Option<String> {
    let named: Vec<String> = private.iter().take(MAX_NAMED).map(|path| shown(path)).collect();
    let more = private.len().saturating_sub(MAX_NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!named.is_empty()).then(|| {
        format!(
            "not shared, for being hidden or named like a key: {}{more}; --all shares them",
            named.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_private_is_named_and_the_rest_of_it_counted() {
        let paths = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect::<Vec<_>>();
        assert_eq!(private_line(&[]), None);
        let line = "not shared, for being hidden or named like a key: .env, .git, id_rsa, k.pem and 1 more; --all shares them";
        assert_eq!(
            private_line(&paths(&[".env", ".git", "id_rsa", "k.pem", "z.key"])).as_deref(),
            Some(line)
        );
    }

    #[test]
    fn it_is_told_once_and_again_when_there_is_more() {
        let mut left_out = BTreeMap::from([(Arc::from("log"), Reason::Changing)]);
        let mut notice = Notice::default();
        assert_eq!(notice.of(&left_out), None);
        left_out.insert(Arc::from("a"), Reason::Special);
        assert_eq!(notice.of(&left_out).as_deref(), Some("left out: a is a pipe, socket or device"));
        assert_eq!(notice.of(&left_out), None);
        left_out.extend(["b", "c", "d"].map(|path| (Arc::from(path), Reason::Unreadable)));
        let line = "4 things are left out: a is a pipe, socket or device, b cannot be read, \
            c cannot be read, and 1 more";
        assert_eq!(notice.of(&left_out).as_deref(), Some(line));
        left_out.retain(|path, _| **path == *"a");
        assert_eq!(notice.of(&left_out), None);
        left_out.insert(Arc::from("b"), Reason::Unreadable);
        assert!(notice.of(&left_out).is_some(), "it was there meanwhile");
    }

    #[test]
    fn what_never_rests_is_told_of_once_though_it_may_rest_for_a_moment() {
        let log: Arc<str> = Arc::from("log");
        let mut notice = Notice::default();
        let left_out = BTreeMap::from([(log.clone(), Reason::Changing)]);
        notice.does_not_rest(&log);
        assert_eq!(notice.of(&left_out).as_deref(), Some("left out: log is still changing"));
        assert_eq!(notice.of(&BTreeMap::new()), None);
        notice.does_not_rest(&log);
        assert_eq!(notice.of(&left_out), None);
    }
}
