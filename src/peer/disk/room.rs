//! Whether there is room for all that is to come, asked before any of it is taken.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{fstat, fstatvfs};

use super::error::DiskError;
use super::place::Folder;
use super::plan::Plan;
use super::unfinished::Unfinished;

/// What a file takes is counted in blocks of at least so many bytes.
const BLOCK_BYTES: u64 = 4096;
/// This part of what is needed is to be left: for folders, the journal, and what the file system keeps for itself.
const MARGIN: u64 = 128;

/// What is still needed of one file system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Need {
    bytes: u64,
    files: u64,
}

/// What a file system has left. Some have no limit, or do not tell.
#[derive(Debug, Clone, Copy)]
struct Free {
    bytes: Option<u64>,
    files: Option<u64>,
}

impl Need {
    fn add(&mut self, bytes: u64, files: u64) {
        let blocks = bytes.div_ceil(BLOCK_BYTES).saturating_mul(BLOCK_BYTES);
        self.bytes = self.bytes.saturating_add(blocks);
        self.files = self.files.saturating_add(files);
    }

    fn and(self, other: Need) -> Need {
        Need { bytes: self.bytes.saturating_add(other.bytes), files: self.files.saturating_add(other.files) }
    }

    /// What there is too little of.
    fn beyond(self, free: Free) -> Option<String> {
        let bytes = self.bytes.saturating_add(self.bytes / MARGIN);
        let size = |bytes| bytesize::ByteSize::b(bytes).display().iec().to_string();
        if let Some(free) = free.bytes.filter(|free| bytes > *free) {
            return Some(format!("it needs {} more, and {} are free", size(bytes), size(free)));
        }
        let free = free.files.filter(|free| self.files > *free)?;
        Some(format!("it needs more files than there is room for, {} and {free}", self.files))
    }
}

impl Free {
    fn on(folder: impl AsFd) -> io::Result<Free> {
        let stat = fstatvfs(folder)?;
        Ok(Free {
            bytes: (stat.f_blocks > 0).then(|| stat.f_bavail.saturating_mul(stat.f_frsize)),
            files: (stat.f_files > 0).then_some(stat.f_favail),
        })
    }
}

/// Refuses what there is no room for: bytes and files of all names, copies of one content among them, without what is
/// here already. The holes of a file are not known before they are here, so they count.
pub(super) fn check(
    plan: &Plan,
    unfinished: &Unfinished,
    root: &Folder,
    partial_at: &str,
) -> Result<(), DiskError> {
    let root_at = root.path().display().to_string();
    let device = |folder: rustix::fs::Stat| folder.st_dev;
    let same = fstat(root.fd()).map(device).ok() == fstat(unfinished.fd()).map(device).ok();
    let missing = |file: usize| (!unfinished.is_whole(file)).then(|| unfinished.reserved(file));
    let (there, here) = needed(plan, same, missing);
    let sums = match same {
        true => vec![(there.and(here), &*root_at)],
        false => vec![(there, &*root_at), (here, partial_at)],
    };
    for ((need, place), folder) in sums.into_iter().zip([root.fd(), unfinished.fd()]) {
        if let Some(what) = need.beyond(Free::on(folder).map_err(DiskError::at(place))?) {
            return Err(DiskError::NoRoom(place.to_owned(), what));
        }
    }
    Ok(())
}

/// What the names of a plan need, and what its unfinished files need beside; both lie on one file system if it is the
/// `same`. Of a file that is not whole, `missing` says what it takes already.
fn needed(plan: &Plan, same: bool, missing: impl Fn(usize) -> Option<u64>) -> (Need, Need) {
    let (mut there, mut here) = (Need::default(), Need::default());
    for (file, slot) in plan.slots.iter().enumerate() {
        let Some(reserved) = missing(file).filter(|_| !slot.names.is_empty()) else { continue };
        let (names, size) = (slot.names.len() as u64, slot.geometry.size());
        let beside = slot.geometry.chunks() > 1;
        // One that lies beside becomes the first of its names.
        let made = if beside && same { names.saturating_sub(1) } else { names };
        (0..made).for_each(|_| there.add(size, 1));
        if beside {
            here.add(size.saturating_sub(reserved), 1);
        }
    }
    plan.folders.iter().for_each(|_| there.add(1, 1));
    plan.links.iter().for_each(|_| there.add(0, 1));
    (there, here)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{FileId, LeftOut, Looks, SafeName, Tree, TreeEntry, TreeKind};

    #[test]
    fn what_is_needed_is_compared_with_a_margin() {
        let mut need = Need::default();
        need.add(1, 1);
        need.add(1 << 20, 1);
        assert_eq!(need, Need { bytes: (1 << 20) + 4096, files: 2 });
        let beyond = |bytes, files| need.beyond(Free { bytes, files });
        assert_eq!(beyond(None, None), None);
        assert_eq!(beyond(Some(2 << 20), Some(2)), None);
        assert!(
            beyond(Some((1 << 20) + 4096), None).is_some_and(|what| what.ends_with("and 1.0 MiB are free"))
        );
        assert_eq!(
            beyond(None, Some(1)).as_deref(),
            Some("it needs more files than there is room for, 2 and 1")
        );
    }

    #[test]
    fn absurd_needs_do_not_wrap() {
        let mut need = Need::default();
        (0..3).for_each(|_| need.add(u64::MAX - 5000, u64::MAX));
        assert!(need.and(need).beyond(Free { bytes: Some(u64::MAX - 1), files: None }).is_some());
    }

    #[test]
    fn each_name_of_what_is_missing_counts_and_what_is_here_does_not() {
        const SIZE: u64 = 1 << 20;
        let entry = |path: &str, kind| TreeEntry { path: SafeName::new(path).unwrap(), kind };
        let looks = Looks { mode: 0o644, mtime_ns: 1 };
        let file =
            |path: &str, size: u64, id: u8| entry(path, TreeKind::File { looks, size, id: FileId([id; 32]) });
        let entries = vec![
            file("a", SIZE, 1),
            file("b", SIZE, 1),
            file("d/small", 5, 2),
            entry("d", TreeKind::Folder(looks)),
            entry("l", TreeKind::Link("a".into())),
        ];
        let plan = Plan::tree(&Tree::new(0o755, entries, LeftOut::default()).unwrap()).unwrap();
        let need = |bytes, files| Need { bytes, files };
        let large = plan.slots.iter().position(|slot| slot.geometry.size() == SIZE).unwrap();
        let none = |_| Some(0);
        // The folder, the link, the small file, and one of the large one's names: the other lies beside until then.
        assert_eq!(needed(&plan, true, none), (need(SIZE + 2 * 4096, 4), need(SIZE, 1)));
        assert_eq!(needed(&plan, false, none), (need(2 * SIZE + 2 * 4096, 5), need(SIZE, 1)));
        let begun = |file| Some(if file == large { SIZE - 4096 } else { 0 });
        assert_eq!(needed(&plan, true, begun), (need(SIZE + 2 * 4096, 4), need(4096, 1)));
        let whole = |file| (file != large).then_some(0);
        assert_eq!(needed(&plan, true, whole), (need(2 * 4096, 3), Need::default()));
    }
}
