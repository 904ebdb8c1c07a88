//! Mode and time of a file that no listing tells of, as its sources say them.
//!
//! Hints: no id proves them. What the first source says that has the whole file counts, and until one does, what the
//! first other says, who can only pass on what it was told.

use std::sync::Mutex;

use rustix::fs::fchmod;

use super::files::unfinished_mode;
use super::plan::Name;
use super::{Disk, lock};
use crate::content::Looks;

/// What was said, and whether by one that has the whole file.
#[derive(Debug, Default)]
pub(super) struct Hint(Mutex<Option<(Looks, bool)>>);

impl Hint {
    /// True if it counts.
    fn hear(&self, looks: Looks, whole: bool) -> bool {
        let mut told = lock(&self.0);
        let counts = told.is_none_or(|(_, by_whole)| whole && !by_whole);
        if counts {
            *told = Some((looks, whole));
        }
        counts
    }

    fn looks(&self) -> Option<Looks> {
        lock(&self.0).map(|(looks, _)| looks)
    }
}

impl Disk {
    /// Somebody, who may have the whole file, says which mode and time it has.
    pub(in crate::peer) fn hear_looks(&self, looks: Looks, whole: bool) {
        if !self.manner.told || !self.hint.hear(looks, whole) {
            return;
        }
        // Begun before it was known who may read it.
        for slot in &self.plan.slots {
            if let Some(open) = &*lock(&slot.data) {
                let _ = fchmod(&**open, unfinished_mode(Some(looks)));
            }
        }
    }

    /// What was heard, to be passed on.
    pub(in crate::peer) fn told_looks(&self) -> Option<Looks> {
        self.hint.looks()
    }

    /// Mode and time for a name: as the listing says, else as sources do.
    pub(super) fn looks_of(&self, name: &Name) -> Option<Looks> {
        name.looks.or_else(|| self.hint.looks())
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
