//! Mode and time of a file that no listing tells of, as its sources say them.
//!
//! Hints: no id proves them. What the first source says that has the whole file counts, and until one does, what the
//! first other says, who can only pass on what it was told.

use std::sync::Mutex;

use crate::content::Looks;
use crate::threads::lock;

/// What was said, and whether by one that has the whole file.
#[derive(Debug, Default)]
pub(super) struct Hint(Mutex<Option<(Looks, bool)>>);

impl Hint {
    /// True if it counts.
    pub(super) fn hear(&self, looks: Looks, whole: bool) -> bool {
        let mut told = lock(&self.0);
        let counts = told.is_none_or(|(_, by_whole)| whole && !by_whole);
        if counts {
            *told = Some((looks, whole));
        }
        counts
    }

    /// What counts.
    pub(super) fn looks(&self) -> Option<Looks> {
        lock(&self.0).map(|(looks, _)| looks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_has_the_whole_file_is_believed() {
        let hint = Hint::default();
        let looks = |mode| Looks { mode, mtime_ns: 1 };
        assert_eq!(hint.looks(), None);
        for (mode, whole, counts) in
            [(0o600, false, true), (0o640, false, false), (0o644, true, true), (0o666, true, false)]
        {
            assert_eq!(hint.hear(looks(mode), whole), counts, "{mode:o}");
        }
        assert_eq!(hint.looks(), Some(looks(0o644)));
    }
}
