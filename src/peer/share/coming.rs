//! New folders whose files are not all hashed: whoever fetched one now would get a part of it. So nobody hears of it
//! before it is whole, or has been coming for long. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a folder may be coming before it is told of without what is missing: it may be large, or have a file that
/// never comes to rest.
const PATIENCE: Duration = Duration::from_secs(2);

/// Folders that are coming, each since when.
#[derive(Debug, Default)]
pub(super) struct Coming {
    since: BTreeMap<Arc<str>, Instant>,
}

impl Coming {
    /// Of all folders whose trees are to be made again, those for which it is time.
    pub(super) fn due(
        &mut self,
        stale: Vec<Arc<str>>,
        is_coming: impl Fn(&str) -> bool,
        now: Instant,
    ) -> Vec<Arc<str>> {
        let before = std::mem::take(&mut self.since);
        let (coming, mut due): (Vec<_>, Vec<_>) = stale.into_iter().partition(|folder| is_coming(folder));
        for folder in coming {
            let since = before.get(&folder).copied().unwrap_or(now);
            if now >= since + PATIENCE {
                due.push(folder);
            } else {
                self.since.insert(folder, since);
            }
        }
        due
    }

    /// When it is time for the next of those that were not due, should nothing change.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.since.values().min().map(|since| *since + PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_waits_until_it_is_whole_or_has_waited_long() {
        let (mut coming, start) = (Coming::default(), Instant::now());
        let all = |names: &str| names.split(' ').map(Arc::from).collect::<Vec<Arc<str>>>();
        let later = start + PATIENCE / 2;
        assert_eq!(coming.due(all("a b c"), |folder| folder != "b", start), all("b"));
        assert_eq!(coming.next_due(), Some(start + PATIENCE));
        assert_eq!(coming.due(all("a c d"), |folder| folder != "c", later), all("c"), "it is whole");
        assert_eq!(coming.due(all("a d"), |_| true, start + PATIENCE), all("a"), "each has its own time");
        assert_eq!(coming.next_due(), Some(later + PATIENCE));
        assert_eq!(coming.due(Vec::new(), |_| true, later), Vec::<Arc<str>>::new());
        assert_eq!(coming.next_due(), None);
    }
}
