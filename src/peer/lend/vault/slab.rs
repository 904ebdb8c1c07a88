//! Slabs: files of equal slots, and who may still read from one.
//!
//! A slot has its blocks from when it is allotted until it is freed, so that a full disk shows before any byte comes,
//! and what is free takes no room. A slot that is being sent from is freed when that has ended.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rustix::fs::{Advice, FallocateFlags, fadvise, fallocate};
use rustix::io::Errno;

use super::slot::{Class, Slot, Used};
use crate::storage::witness::{Seen, tell};
use crate::storage::{open_plain, punch, sync_folder};
use crate::threads::lock;

/// All slabs of a vault.
#[derive(Debug)]
pub(super) struct Slabs {
    folder: PathBuf,
    slabs: Vec<Slab>,
    pins: Mutex<Pins>,
}

/// The slots of one size.
#[derive(Debug, Default)]
struct Slab {
    file: Mutex<Option<Arc<File>>>,
    used: Mutex<Used>,
    /// Something was kept in it since the last sync.
    dirty: AtomicBool,
}

/// Who reads from which slots, and which of those are to be freed then.
#[derive(Debug, Default)]
struct Pins(HashMap<Slot, Pinned>);

#[derive(Debug, Default)]
struct Pinned {
    readers: usize,
    is_going: bool,
}

impl Pins {
    /// A run of slots is to be freed; which of them, counted from the first, are read from.
    fn let_go(&mut self, slot: Slot, count: u32) -> Vec<u32> {
        let mut read_from = Vec::new();
        for at in 0..if self.0.is_empty() { 0 } else { count } {
            if let Some(pinned) = self.0.get_mut(&slot.plus(at)) {
                pinned.is_going = true;
                read_from.push(at);
            }
        }
        read_from
    }
}

/// The right to read from a slot: what is in it stays for as long as this lives.
#[derive(Debug)]
pub struct Pin {
    slabs: Arc<Slabs>,
    slot: Slot,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut pins = lock(&self.slabs.pins);
        let Some(pinned) = pins.0.get_mut(&self.slot) else { return };
        pinned.readers -= 1;
        if pinned.readers > 0 {
            return;
        }
        let is_going = pinned.is_going;
        pins.0.remove(&self.slot);
        drop(pins);
        if is_going {
            self.slabs.give_back(self.slot, 1);
        }
    }
}

impl Slabs {
    /// The slabs in a folder; none is made before it is needed.
    pub(super) fn new(folder: &Path) -> Slabs {
        let slabs = Class::all().map(|_| Slab::default()).collect();
        Slabs { folder: folder.to_owned(), slabs, pins: Mutex::default() }
    }

    fn slab(&self, class: Class) -> &Slab {
        &self.slabs[usize::from(class.number())]
    }

    fn path(&self, class: Class) -> PathBuf {
        self.folder.join(class.file_name())
    }

    /// True if there is any.
    pub(super) fn are_there(&self) -> bool {
        Class::all().any(|class| fs::symlink_metadata(self.path(class)).is_ok())
    }

    /// The file with slots of a size; made if need be.
    pub(super) fn file(&self, class: Class) -> io::Result<Arc<File>> {
        let mut file = lock(&self.slab(class).file);
        if let Some(file) = &*file {
            return Ok(file.clone());
        }
        let path = self.path(class);
        let is_new = fs::symlink_metadata(&path).is_err();
        let opened = Arc::new(open_plain(&path)?);
        if is_new {
            sync_folder(&self.folder)?;
        }
        *file = Some(opened.clone());
        Ok(opened)
    }

    /// A run of slots is in use, as the log says.
    pub(super) fn mark(&self, slot: Slot, count: u32) {
        let mut used = lock(&self.slab(slot.class).used);
        (slot.number..slot.number + count).for_each(|number| used.mark(number));
    }

    /// Gives back the room of all slots that are not in use: a kill leaves some.
    pub(super) fn settle(&self) -> io::Result<()> {
        for class in Class::all() {
            let there = match fs::symlink_metadata(self.path(class)) {
                Ok(metadata) => metadata.len(),
                Err(_) => continue,
            };
            let (gaps, end) = lock(&self.slab(class).used).gaps();
            let (file, bytes) = (self.file(class)?, class.bytes());
            let end = u64::from(end) * bytes;
            if there > end {
                file.set_len(end)?;
            }
            for (first, count) in gaps {
                punch(&file, u64::from(first) * bytes, u64::from(count) * bytes)?;
            }
        }
        Ok(())
    }

    /// Takes so many slots of a size, with their room on the disk, as runs of a first one and a count.
    ///
    /// # Errors
    /// As of reserving the room; none is taken then.
    pub(super) fn allot(&self, class: Class, count: u32) -> io::Result<Vec<(Slot, u32)>> {
        let file = self.file(class)?;
        let taken = lock(&self.slab(class).used).take(count);
        let runs: Vec<(Slot, u32)> = taken
            .ok_or(io::ErrorKind::StorageFull)?
            .into_iter()
            .map(|(number, count)| (Slot { class, number }, count))
            .collect();
        let reserved = runs.iter().try_for_each(|(slot, count)| reserve(&file, *slot, *count));
        match reserved {
            Ok(()) => Ok(runs),
            Err(error) => {
                runs.iter().for_each(|(slot, count)| self.free(*slot, *count));
                Err(error)
            }
        }
    }

    /// Writes into a slot, `within` bytes from its start.
    pub(super) fn write(&self, slot: Slot, within: u64, data: &[u8]) -> io::Result<()> {
        debug_assert!(within + data.len() as u64 <= slot.class.bytes());
        self.file(slot.class)?.write_all_at(data, slot.offset() + within)
    }

    /// All of a slot's bytes were written: they count with the next [`Slabs::sync`].
    pub(super) fn is_written(&self, slot: Slot) {
        self.slab(slot.class).dirty.store(true, Ordering::Release);
    }

    /// Puts on the disk what was written.
    pub(super) fn sync(&self) -> io::Result<()> {
        for class in Class::all() {
            if self.slab(class).dirty.swap(false, Ordering::AcqRel) {
                let file = self.file(class)?;
                file.sync_data()?;
                tell(Seen::Synced(&self.path(class)));
            }
        }
        Ok(())
    }

    /// The right to read from a slot. Take it while it is certain that the slot is in use.
    pub(super) fn pin(self: &Arc<Slabs>, slot: Slot) -> Pin {
        lock(&self.pins).0.entry(slot).or_default().readers += 1;
        Pin { slabs: self.clone(), slot }
    }

    /// True if anybody reads from any.
    pub(super) fn are_read_from(&self) -> bool {
        !lock(&self.pins).0.is_empty()
    }

    /// Has the system forget what it remembers of a slot's bytes, as far as they are on the disk.
    pub(super) fn forget_pages(&self, slot: Slot) {
        let len = std::num::NonZeroU64::new(slot.class.bytes());
        if let Ok(file) = self.file(slot.class) {
            let _ = fadvise(&file, slot.offset(), len, Advice::DontNeed); // it is a hint
        }
    }

    /// Frees a run of slots; those that are read from when that has ended.
    pub(super) fn free(&self, slot: Slot, count: u32) {
        let read_from = lock(&self.pins).let_go(slot, count);
        let mut start = 0;
        for at in read_from.into_iter().chain([count]) {
            self.give_back(slot.plus(start), at - start);
            start = at + 1;
        }
    }

    fn give_back(&self, slot: Slot, count: u32) {
        if count == 0 {
            return;
        }
        let len = u64::from(count) * slot.class.bytes();
        let punched = self.file(slot.class).and_then(|file| punch(&file, slot.offset(), len));
        match punched {
            Ok(()) => lock(&self.slab(slot.class).used).free(slot.number, count),
            // They stay in use, and counted, until the next start.
            Err(error) => tracing::warn!("{}: {error}", self.path(slot.class).display()),
        }
    }

    /// What the slots in use count for.
    pub(super) fn charge(&self) -> u64 {
        let of = |class: Class| u64::from(lock(&self.slab(class).used).count()) * class.charge();
        Class::all().map(of).sum()
    }
}

/// True in memory: there a reservation would write zeros to every page.
fn is_in_memory(file: &File) -> bool {
    const TMPFS_MAGIC: i64 = 0x0102_1994; // statfs(2)
    rustix::fs::fstatfs(file).is_ok_and(|stat| stat.f_type == TMPFS_MAGIC)
}

fn reserve(file: &File, slot: Slot, count: u32) -> io::Result<()> {
    let len = u64::from(count) * slot.class.bytes();
    let end = slot.offset() + len;
    let grow = || if file.metadata()?.len() < end { file.set_len(end) } else { Ok(()) };
    if is_in_memory(file) {
        return grow();
    }
    match fallocate(file, FallocateFlags::empty(), slot.offset(), len) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => grow(),
        reserved => Ok(reserved?),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    const CLASS: u64 = 64 << 10;

    fn room(folder: &Path) -> u64 {
        let inside = fs::read_dir(folder).unwrap();
        inside.map(|entry| entry.unwrap().metadata().unwrap().blocks() * 512).sum()
    }

    #[test]
    fn a_slot_has_its_room_while_it_is_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let slabs = Arc::new(Slabs::new(folder.path()));
        assert!(!slabs.are_there());
        let class = Class::of(CLASS);
        let runs = slabs.allot(class, 4).unwrap();
        assert_eq!(runs, [(Slot { class, number: 0 }, 4)]);
        assert!(slabs.are_there());
        assert_eq!((room(folder.path()), slabs.charge()), (4 * CLASS, 4 * class.charge()));
        let slot = runs[0].0;
        slabs.write(slot.plus(1), 3, b"abc").unwrap();
        slabs.free(slot.plus(1), 2);
        assert_eq!((room(folder.path()), slabs.charge()), (2 * CLASS, 2 * class.charge()));
        assert_eq!(slabs.allot(class, 1).unwrap(), [(slot.plus(1), 1)]);
        let mut read = [1; 3];
        slabs.file(class).unwrap().read_exact_at(&mut read, CLASS + 3).unwrap();
        assert_eq!(read, [0; 3], "nothing of what was there before");
    }

    #[test]
    fn what_is_read_from_stays() {
        let folder = tempfile::tempdir().unwrap();
        let slabs = Arc::new(Slabs::new(folder.path()));
        let slot = slabs.allot(Class::of(CLASS), 3).unwrap()[0].0;
        slabs.write(slot.plus(1), 0, b"kept").unwrap();
        let (one, two) = (slabs.pin(slot.plus(1)), slabs.pin(slot.plus(1)));
        slabs.free(slot, 3);
        assert_eq!(slabs.charge(), slot.class.charge());
        drop(one);
        let mut read = [0; 4];
        slabs.file(slot.class).unwrap().read_exact_at(&mut read, slot.plus(1).offset()).unwrap();
        assert_eq!((&read, slabs.charge()), (b"kept", slot.class.charge()));
        drop(two);
        assert_eq!((room(folder.path()), slabs.charge()), (0, 0));
    }

    #[test]
    fn what_a_kill_left_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let class = Class::of(CLASS);
        Slabs::new(folder.path()).allot(class, 9).unwrap();
        let slabs = Slabs::new(folder.path());
        slabs.mark(Slot { class, number: 2 }, 1);
        slabs.mark(Slot { class, number: 5 }, 1);
        slabs.settle().unwrap();
        assert_eq!(room(folder.path()), 2 * CLASS);
        assert_eq!(slabs.allot(class, 1).unwrap()[0].0.number, 0);
    }
}
