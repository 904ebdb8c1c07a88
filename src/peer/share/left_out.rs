//! What the user of a share is told of what is not in it. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::content::{LeftOut, Missing, Reason};

/// What was told last, so that it is told once.
#[derive(Debug, Default)]
pub(super) struct Notice {
    told: String,
}

impl Notice {
    /// The line to print, if there is something that was not told yet.
    ///
    /// A file that is being written is no news: it is told of by who leaves it out for good.
    pub(super) fn of(&mut self, left_out: &BTreeMap<Arc<str>, Reason>) -> Option<String> {
        let lasting = left_out.iter().filter(|(_, reason)| **reason != Reason::Changing);
        let missing = lasting.map(|(path, reason)| Missing { path: path.to_string(), reason: *reason });
        let line = LeftOut::new(missing).sentence();
        let is_news = line != self.told && !line.is_empty();
        self.told = line;
        is_news.then(|| self.told.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_once_and_again_when_it_is_another() {
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
        left_out.clear();
        assert_eq!(notice.of(&left_out), None);
    }
}
