//! Whether there is room for all that is to come, asked before any of it is taken.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{fstat, fstatvfs};

use super::Disk;
use super::DiskError;
use super::plan::Slot;

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

impl Disk {
    /// Refuses what there is no room for: bytes and files of all names, copies of one content among them,
    /// without what is here already.
    pub(super) fn check_room(&self, root_at: &str, partial_at: &str) -> Result<(), DiskError> {
        let (root, partial) = (self.root.itself(), self.partial.fd());
        let device = |folder: rustix::fs::Stat| folder.st_dev;
        let at = DiskError::at(root_at);
        let same = fstat(&root).map(device).ok() == fstat(partial).map(device).ok();
        let (mut there, mut here) = (Need::default(), Need::default());
        for (file, slot) in self.plan.slots.iter().enumerate().filter(|(_, slot)| slot.is_missing()) {
            let (names, size) = (slot.names.len() as u64, slot.geometry.size());
            let beside = slot.geometry.chunks() > 1;
            // One that lies beside becomes the first of its names.
            let made = if beside && same { names.saturating_sub(1) } else { names };
            (0..made).for_each(|_| there.add(size, 1));
            if beside {
                let reserved =
                    self.partial.open_existing(&file.to_string()).map_or(0, |file| allocated(&file));
                here.add(size.saturating_sub(reserved), 1);
            }
        }
        self.plan.folders.iter().for_each(|_| there.add(1, 1));
        self.plan.links.iter().for_each(|_| there.add(0, 1));
        let sums = match same {
            true => vec![(there.and(here), root_at)],
            false => vec![(there, root_at), (here, partial_at)],
        };
        for ((need, place), folder) in sums.into_iter().zip([root.as_fd(), partial]) {
            if let Some(what) = need.beyond(Free::on(folder).map_err(&at)?) {
                return Err(DiskError::NoRoom(place.to_owned(), what));
            }
        }
        Ok(())
    }
}

impl Slot {
    fn is_missing(&self) -> bool {
        self.left.load(std::sync::atomic::Ordering::Relaxed) > 0
    }
}

fn allocated(file: &File) -> u64 {
    const UNIT_BYTES: u64 = 512; // of st_blocks, stat(2)
    file.metadata().map_or(0, |metadata| metadata.blocks().saturating_mul(UNIT_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
