//! What has got its name, and how it looked then: by that it is known later that it still is what was proved.

use std::collections::HashSet;
use std::fs::{File, Metadata};
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::plan::{Name, Plan};
use crate::peer::stamp::Stamp;
use crate::threads::lock;

/// The names that were given, or found to be right.
#[derive(Debug)]
pub(super) struct Names {
    /// By the names' numbers.
    given: Mutex<Vec<Option<Stamp>>>,
    /// Files that have all their names.
    files: AtomicUsize,
}

impl Names {
    pub(super) fn new(plan: &Plan) -> Names {
        Names { given: Mutex::new(vec![None; plan.names().count()]), files: AtomicUsize::new(0) }
    }

    /// A file has this name, and looks so.
    pub(super) fn note(&self, name: &Name, stamp: Stamp) {
        lock(&self.given)[name.number] = Some(stamp);
    }

    /// The same, as the file looks now.
    pub(super) fn note_now(&self, name: &Name, file: &File) -> io::Result<()> {
        let stamp = Stamp::of(&file.metadata()?);
        self.note(name, stamp);
        Ok(())
    }

    /// How the file looked when it had got this name.
    pub(super) fn stamp(&self, name: &Name) -> Option<Stamp> {
        lock(&self.given)[name.number]
    }

    /// One more file has all its names.
    pub(super) fn count(&self) {
        self.files.fetch_add(1, Ordering::Relaxed);
    }

    /// How many files have all their names.
    pub(super) fn files(&self) -> usize {
        self.files.load(Ordering::Relaxed)
    }

    /// The inodes of all files that have names.
    pub(super) fn inodes(&self) -> HashSet<u64> {
        lock(&self.given).iter().flatten().map(|stamp| stamp.inode).collect()
    }
}

/// True if this is a file, and looks so.
pub(super) fn has_stamp(metadata: &Metadata, stamp: Stamp) -> bool {
    metadata.is_file() && Stamp::of(metadata) == stamp
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{FileId, Geometry};

    #[test]
    fn a_name_is_known_by_what_was_noted_last() {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan::file(FileId([1; 32]), Geometry::of(3).unwrap(), "a").unwrap();
        let (names, name) = (Names::new(&plan), &plan.slots[0].names[0]);
        assert_eq!((names.stamp(name), names.files(), names.inodes()), (None, 0, HashSet::new()));
        let stamp = Stamp { size: 3, mtime_ns: 1, inode: 7, ctime_ns: 2 };
        names.note(name, stamp);
        assert_eq!((names.stamp(name), names.inodes()), (Some(stamp), HashSet::from([7])));
        let file = tempfile::tempfile_in(folder.path()).unwrap();
        names.note_now(name, &file).unwrap();
        let now = file.metadata().unwrap();
        assert!(names.stamp(name) == Some(Stamp::of(&now)) && has_stamp(&now, Stamp::of(&now)));
        assert!(!has_stamp(&now, stamp));
        let itself = folder.path().metadata().unwrap();
        assert!(!has_stamp(&itself, Stamp::of(&itself)), "a folder is no file");
        names.count();
        assert_eq!(names.files(), 1);
    }
}
