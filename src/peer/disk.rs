//! Where a transfer's bytes go: unfinished files, their journal, and the names.
//!
//! Unfinished files live in `STATE/partial/ID/`: one sparse file for each file of more than one chunk, written
//! at offsets, and one journal of proved chunks. A chunk is journalled after its bytes were written; what a
//! journal says is read and proved again before it is believed, so the journal is a hint, needs no sync, and a
//! damaged one costs only time. Files of one chunk are proved in memory and written where their name will be.
//! [`naming`] gives all names; nothing unproved gets one.

mod files;
#[cfg(feature = "lab")]
pub(crate) mod fuzzing;
mod hint;
mod journal;
mod naming;
mod own;
mod partial;
mod place;
mod plan;
mod restore;
mod room;
mod trash;
mod turned;

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::stamp::Stamp;
use super::state_folder::{make_own_folder, set_aside};
use crate::api::Trashed;
use crate::content::{ChunkHash, ChunkSet, FileId, Manifest, Place, SafeName};
use crate::descriptors::{self, Shortage, patiently};
use crate::threads;
use crate::threads::lock;
use files::{
    copy, give_back_holes, hash_at, hashes_of, id_on_disk, reserve, set_looks, sync_above, unfinished_mode,
    write_sparse,
};
use hint::Hint;
use journal::Journal;
use naming::Draft;
use own::Own;
pub(super) use partial::{Partial, is_begun, sweep};
use place::Folder;
pub(super) use plan::Plan;
use plan::{Name, Slot};

/// Most unfinished files kept open at once.
const MAX_OPEN_FILES: usize = 256;

/// Most things in the way that are named.
const MAX_NAMED: usize = 20;

/// Why something could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// A different file is there already.
    #[error("{0} exists and is different")]
    Exists(String),
    /// A symbolic link, or something else that is not a folder, stands where a folder should be.
    #[error("{0} is not a folder, or is a symbolic link")]
    NotAFolder(String),
    /// Several of these things.
    #[error("{0}")]
    Several(String),
    /// The disk has no room.
    #[error(
        "no room left on the disk for {0}; what has arrived is kept: make room, and the same command goes on"
    )]
    Full(String),
    /// The disk has less room than all of it needs.
    #[error("no room for this on the disk of {0}: {1}; make room, or choose another place")]
    NoRoom(String, String),
    /// What has the name is neither a file nor a link.
    #[error("{0} is {1}; only files and links are ever replaced")]
    InTheWay(String, &'static str),
    /// A folder of an older version has the name.
    #[error("{0} is a folder of an older version; `--delete` moves it to the trash")]
    OlderFolder(String),
    /// What is there may not be written.
    #[error("{0} cannot be written: {1}; choose another place")]
    Forbidden(String, &'static str),
    /// No content of its size has its id.
    #[error("{0} is said to have a size that its id cannot have")]
    Impossible(String),
    /// The merged hashes are not the file's id: memory or disk failed.
    #[error("{0} is not what its id says, although every chunk was proved: memory or disk is failing")]
    Integrity(String),
    /// The system refused.
    #[error("{path}: {error}")]
    Io {
        /// On what.
        path: String,
        /// What it said.
        error: io::Error,
    },
}

impl DiskError {
    /// The one that tells most: all that is in the way, or what is worse.
    fn of_all(errors: Vec<DiskError>) -> Option<DiskError> {
        let (mut different, mut no_folders, mut older, mut others) = (vec![], vec![], vec![], vec![]);
        for error in errors {
            match error {
                DiskError::Exists(path) => different.push(path),
                DiskError::NotAFolder(path) => no_folders.push(path),
                DiskError::OlderFolder(path) => older.push(path),
                DiskError::InTheWay(path, what) => others.push((path, what)),
                worse => return Some(worse),
            }
        }
        others.sort();
        let named = |paths: Vec<String>, error: fn(String) -> DiskError| {
            (!paths.is_empty()).then(|| error(listed(paths)))
        };
        let mut all: Vec<DiskError> = named(different, DiskError::Exists)
            .into_iter()
            .chain(named(no_folders, DiskError::NotAFolder))
            .chain(named(older, DiskError::OlderFolder))
            .chain(others.into_iter().take(MAX_NAMED).map(|(path, what)| DiskError::InTheWay(path, what)))
            .collect();
        match all.len() {
            0 | 1 => all.pop(),
            _ => {
                let all: Vec<String> = all.iter().map(DiskError::to_string).collect();
                Some(DiskError::Several(all.join("; ")))
            }
        }
    }

    pub(super) fn at(path: &str) -> impl Fn(io::Error) -> DiskError + '_ {
        move |error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskError::Full(path.to_owned()),
            io::ErrorKind::AlreadyExists => DiskError::Exists(path.to_owned()),
            io::ErrorKind::ReadOnlyFilesystem => {
                DiskError::Forbidden(path.to_owned(), "its file system is read-only")
            }
            io::ErrorKind::PermissionDenied => {
                DiskError::Forbidden(path.to_owned(), "this user has no right to")
            }
            io::ErrorKind::FileTooLarge => {
                DiskError::Forbidden(path.to_owned(), "files of this size are not allowed there")
            }
            _ => DiskError::Io { path: path.to_owned(), error },
        }
    }
}

/// How a destination is treated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// Different files that are in the way are replaced.
    pub(super) force: bool,
    /// What is put there is noted.
    pub(super) noted: bool,
    /// What was put there before, and nobody changed, is replaced.
    pub(super) own: bool,
    /// What was put there before, and nobody changed, goes to the trash if it is not put there again.
    pub(super) delete: bool,
    /// A file gets the mode and time that its sources say, where no listing says them.
    pub(super) told: bool,
    /// A finished file is on the disk, not only in memory, before it gets its name.
    pub(super) fsync: bool,
}

/// What is in a folder of which an older version was there, and not in this one.
#[derive(Debug, Default)]
pub(super) struct Spared {
    pub(super) paths: Vec<String>,
    /// How many of them are of an older version.
    pub(super) older: u64,
}

/// The destination of one transfer.
#[derive(Debug)]
pub(super) struct Disk {
    id: FileId,
    plan: Plan,
    manner: Manner,
    hint: Hint,
    own: Option<Own>,
    root: Folder,
    partial: Folder,
    partial_path: PathBuf,
    journal: Journal,
    /// Files that are open, oldest first.
    open: Mutex<Vec<usize>>,
    files_done: AtomicUsize,
    /// What needs no chunk has been made.
    begun: AtomicBool,
    /// Held while the folders are made.
    beginning: Mutex<()>,
    /// Nothing is in the way; before, nothing that is there is touched.
    checked: AtomicBool,
    /// Where files or links stand that are to be folders.
    turned: Mutex<HashSet<String>>,
    /// Folders that give way to files or links.
    folded: Mutex<HashSet<String>>,
    /// A file that is served although its name is gone.
    held: OnceLock<(usize, Arc<File>)>,
}

impl Disk {
    /// Prepares `root` (made if it is not there) to receive the plan; unfinished files live in the folder
    /// `partial`, which is this transfer's alone. Returns the chunks that are there already, each proved by
    /// reading it.
    pub(super) fn open(
        plan: Plan,
        id: FileId,
        partial: &Path,
        root: &Path,
        manner: Manner,
    ) -> Result<(Disk, ChunkSet), DiskError> {
        if let Some(slot) = plan.slots.iter().find(|slot| !slot.id.can_be_of(slot.geometry.size())) {
            return Err(DiskError::Impossible(slot.label().to_owned()));
        }
        let root_at = root.display().to_string();
        std::fs::create_dir_all(root).map_err(|error| folder_error(&root_at, error))?;
        let fresh = is_fresh(root);
        if manner.fsync {
            sync_above(root);
        }
        let partial_path = partial.to_owned();
        let at = partial_path.display().to_string();
        make_own_folder(&partial_path).map_err(DiskError::at(&at))?;
        let partial = Folder::open(&partial_path).map_err(DiskError::at(&at))?;
        let (journal, records) =
            Journal::open(&partial_path.join("journal"), id).map_err(DiskError::at(&at))?;
        let root_folder = Folder::open(root)
            .map_err(DiskError::at(&root_at))?
            .synced(manner.fsync)
            .private(plan.root_mode.is_some());
        let disk = Disk {
            hint: Hint::default(),
            id,
            own: manner.noted.then(|| Own::open(root, manner.own)),
            manner,
            root: root_folder,
            partial,
            partial_path,
            journal,
            open: Mutex::new(Vec::new()),
            files_done: AtomicUsize::new(0),
            begun: AtomicBool::new(false),
            beginning: Mutex::default(),
            checked: AtomicBool::new(false),
            turned: Mutex::default(),
            folded: Mutex::default(),
            held: OnceLock::new(),
            plan,
        };
        let mut had = ChunkSet::empty(disk.plan.layout.chunks());
        disk.resume(&records, &mut had);
        let found = if fresh { BTreeSet::new() } else { disk.find_finished(&mut had)? };
        disk.check_room(&root_at, &at)?;
        disk.checked.store(true, Ordering::Release);
        // Nothing is made for a fetch of which nothing ever arrives.
        if !had.is_empty() || disk.plan.layout.chunks() == 0 {
            disk.begin()?;
        }
        disk.finish_unnamed(&found, &had)?;
        Ok((disk, had))
    }

    /// The plan.
    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How many files have their names.
    pub(super) fn files_done(&self) -> usize {
        self.files_done.load(Ordering::Relaxed)
    }

    /// Believes the journal where the bytes on disk have the journalled hash.
    fn resume(&self, records: &[(u32, ChunkHash)], had: &mut ChunkSet) {
        let mut buffer = Vec::new();
        for (number, hash) in records {
            let Some(place) = self.plan.layout.place(*number) else { continue };
            let slot = &self.plan.slots[place.file];
            let Ok(file) = self.partial.open_existing(&place.file.to_string()) else { continue };
            if slot.geometry.chunks() > 1
                && hash_at(&file, slot.geometry, place, &mut buffer).ok() == Some(*hash)
                && had.insert(*number)
            {
                slot.note(place, *hash);
                slot.left.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Finds files that are in place and right, on all cores; complains about others unless forced.
    fn find_finished(&self, had: &mut ChunkSet) -> Result<BTreeSet<usize>, DiskError> {
        let next = AtomicUsize::new(0);
        let found = Mutex::new(Vec::new());
        let mut trouble = self.check_folders();
        trouble.extend(self.check_links());
        let trouble = Mutex::new(trouble);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let look = || {
            loop {
                threads::may_panic("prove");
                let file = next.fetch_add(1, Ordering::Relaxed);
                if file >= self.plan.slots.len() {
                    return;
                }
                match self.finished(&self.plan.slots[file]) {
                    Ok(true) => lock(&found).push(file),
                    Ok(false) => {}
                    Err(error) => lock(&trouble).push(error),
                }
            }
        };
        std::thread::scope(|scope| {
            let helpers: Vec<_> =
                (1..cores).filter_map(|_| threads::named("prove").helper(scope, look)).collect();
            look();
            helpers.into_iter().for_each(threads::join);
        });
        if let Some(error) = DiskError::of_all(std::mem::take(&mut *lock(&trouble))) {
            return Err(error);
        }
        let found: BTreeSet<usize> = lock(&found).drain(..).collect();
        for file in &found {
            self.plan.layout.chunks_of(*file).for_each(|chunk| {
                had.insert(chunk);
            });
            self.plan.slots[*file].left.store(0, Ordering::Relaxed);
            self.files_done.fetch_add(1, Ordering::Relaxed);
        }
        Ok(found)
    }

    /// True if every name of the slot is there with the right bytes.
    fn finished(&self, slot: &Slot) -> Result<bool, DiskError> {
        let mut all = true;
        for name in &slot.names {
            all &= self.in_place(slot, name)?;
        }
        Ok(all)
    }

    /// True if the file is there under this name with the right bytes, which another name does not tell:
    /// a kill can come between two names of one file.
    fn in_place(&self, slot: &Slot, name: &Name) -> Result<bool, DiskError> {
        let at = DiskError::at(&name.path);
        // Looked at before it is opened: opening a device may do something.
        let Some(kind) = self.kind_at(&name.path)? else { return Ok(false) };
        if kind == FileType::Directory && self.folder_gives_way(&name.path)? {
            return Ok(false);
        }
        if let Some(what) = naming::irreplaceable(kind) {
            return Err(DiskError::InTheWay(name.path.clone(), what));
        }
        if kind == FileType::Symlink {
            let (folder, base) = self.spot(&name.path)?;
            if self.own_link(&folder, base, &name.path) {
                return Ok(false);
            }
        }
        let right = kind == FileType::RegularFile && {
            let file = self.root.open_file(&name.path).map_err(|error| folder_error(&name.path, error))?;
            let right = self.is_right(&file, slot, name).map_err(&at)?;
            if let Some(own) = &self.own {
                match right {
                    true => own.is_right(&name.path, slot.id),
                    false if own.gives_way(&name.path, &file).map_err(&at)? => return Ok(false),
                    false => {}
                }
            }
            right
        };
        match right || self.manner.force {
            true => Ok(right),
            false => Err(DiskError::Exists(name.path.clone())),
        }
    }

    /// True if the file that has this name holds the right bytes; then, if nothing is in the way, it gets the right time.
    fn is_right(&self, file: &File, slot: &Slot, name: &Name) -> io::Result<bool> {
        let before = Stamp::of(&file.metadata()?);
        let Some((_, hashes)) = hashes_of(file, slot.geometry)?.filter(|(id, _)| *id == slot.id) else {
            return Ok(false);
        };
        if Stamp::of(&file.metadata()?) != before {
            return Ok(false); // what is written while it is read is not known
        }
        if self.checked.load(Ordering::Acquire) {
            set_looks(file, self.looks_of(name))?;
        }
        note_named(file, name)?;
        slot.note_all(hashes);
        Ok(true)
    }

    /// Everything has its name. What only an older version had goes, if that was asked for; says what else is there.
    pub(super) fn note_done(&self, stop: &dyn Fn() -> bool) -> (Spared, Option<Trashed>) {
        let Some(own) = &self.own else { return (Spared::default(), None) };
        own.finish(&self.plan);
        let trashed = self.manner.delete.then(|| own.retire(&self.plan, &self.root, stop));
        if trashed.is_some()
            && let Err(error) = self.finish_folders()
        {
            tracing::warn!("not all folders have their times and modes: {error}");
        }
        (own.left_alone(&self.plan), trashed)
    }

    /// Names files whose last chunk a kill left unnamed; what is in place gets its mode and time.
    fn finish_unnamed(&self, found: &BTreeSet<usize>, had: &ChunkSet) -> Result<(), DiskError> {
        for (file, slot) in self.plan.slots.iter().enumerate() {
            let whole = slot.left.load(Ordering::Relaxed) == 0 && !slot.geometry.is_empty();
            // One that was found has its names, and by now gets its mode and time; should it have changed since,
            // nothing lies here that could be given them.
            if whole && !self.finished(slot)? && !found.contains(&file) {
                debug_assert!(self.plan.layout.chunks_of(file).all(|chunk| had.contains(chunk)));
                self.name_finished(file)?;
            }
        }
        Ok(())
    }

    /// Makes what needs no chunk, once: folders and empty files.
    fn begin(&self) -> Result<(), DiskError> {
        if self.begun.load(Ordering::Acquire) {
            return Ok(());
        }
        // The others wait: where a folder will be, a file may stand until then.
        let beginning = lock(&self.beginning);
        if self.begun.load(Ordering::Acquire) {
            return Ok(());
        }
        if let Some(own) = &self.own {
            own.begin(&self.plan, self.id, &self.root);
        }
        self.clear_folders()?;
        self.prepare()?;
        self.begun.store(true, Ordering::Release);
        drop(beginning);
        let empty = |(_, slot): &(usize, &Slot)| slot.geometry.is_empty();
        for (file, _) in self.plan.slots.iter().enumerate().filter(empty) {
            self.write_small(file, &[], FileId::of(&[]))?;
        }
        Ok(())
    }

    /// Writes a part of a chunk of a file of more than one chunk, proved or not.
    pub(super) fn write(&self, place: Place, within: u64, data: &[u8]) -> Result<(), DiskError> {
        let file = self.data(place.file)?;
        write_sparse(&file, data, place.offset + within)
            .map_err(DiskError::at(self.plan.slots[place.file].label()))
    }

    /// Makes an unfinished file share the blocks of another, not proved yet; none where that cannot be.
    pub(super) fn clone_of(&self, file: usize, from: &File) -> Option<Arc<File>> {
        let size = self.plan.slots[file].geometry.size();
        if self.plan.slots[file].geometry.chunks() < 2 || from.metadata().ok()?.len() != size {
            return None;
        }
        let data = self.data(file).ok()?;
        rustix::fs::ioctl_ficlone(&*data, from).ok()?;
        // It may have become another one meanwhile.
        data.set_len(size).ok()?;
        Some(data)
    }

    /// Keeps a proved chunk whose bytes were written; the last one gives the file its name. The file
    /// is finished when this returns true.
    pub(super) fn keep(&self, number: u32, place: Place, hash: ChunkHash) -> Result<bool, DiskError> {
        self.begin()?;
        let slot = &self.plan.slots[place.file];
        slot.note(place, hash);
        self.journal.append(number, hash).map_err(DiskError::at(slot.label()))?;
        let last = slot.left.fetch_sub(1, Ordering::AcqRel) == 1;
        if last {
            self.name_finished(place.file)?;
        }
        Ok(last)
    }

    /// Writes a file of at most one chunk, whose bytes were hashed to `id`, and names it.
    pub(super) fn write_small(&self, file: usize, data: &[u8], id: FileId) -> Result<(), DiskError> {
        self.begin()?;
        let slot = &self.plan.slots[file];
        for name in &slot.names {
            let draft = self.draft(name)?;
            draft.file().write_all_at(data, 0).map_err(DiskError::at(&name.path))?;
            self.name_draft(draft, id, (name, slot))?;
        }
        slot.left.store(0, Ordering::Release);
        self.files_done.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Proves the whole of a finished file and renames it into place; further names get copies.
    fn name_finished(&self, file: usize) -> Result<(), DiskError> {
        let slot = &self.plan.slots[file];
        let Some((first, others)) = slot.names.split_first() else { return Ok(()) };
        let hashes: Option<Vec<ChunkHash>> = lock(&slot.hashes).iter().copied().collect();
        let merged = hashes.and_then(|hashes| Manifest::new(slot.geometry, hashes).ok());
        let id = merged.map_or(FileId::NONE, |(_, id)| id);
        let data = self.data(file)?;
        give_back_holes(&data).map_err(DiskError::at(&first.path))?;
        for name in others {
            self.name_draft(self.copy_of(&data, name)?, id, (name, slot))?;
        }
        let at = DiskError::at(&first.path);
        let temporary = file.to_string();
        let moved = self.name(&data, id, (first, slot), |folder, base, replace| {
            naming::rename(self.partial.fd(), &temporary, folder, base, replace)
        });
        match moved {
            Err(DiskError::Io { error, .. }) if error.kind() == io::ErrorKind::CrossesDevices => {
                // What was proved are the bytes that lie here.
                let copy = self.copy_of(&data, first)?;
                let id = id_on_disk(copy.file(), slot.geometry).map_err(&at)?.unwrap_or(FileId::NONE);
                self.name_draft(copy, id, (first, slot))?;
                self.partial.remove(&temporary).map_err(at)?;
            }
            moved => moved?,
        }
        self.files_done.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// A copy of a finished file, where its name will be.
    fn copy_of(&self, data: &File, name: &Name) -> Result<Draft, DiskError> {
        let draft = self.draft(name)?;
        copy(data, draft.file()).map_err(DiskError::at(&name.path))?;
        Ok(draft)
    }

    fn draft(&self, name: &Name) -> Result<Draft, DiskError> {
        let (folder, _) = self.spot(&name.path)?;
        Draft::new(folder, unfinished_mode(self.looks_of(name))).map_err(DiskError::at(&name.path))
    }

    fn name_draft(&self, draft: Draft, id: FileId, name: (&Name, &Slot)) -> Result<(), DiskError> {
        let file = draft.file().clone();
        self.name(&file, id, name, move |_, base, replace| draft.name(base, replace))
    }

    /// Gives a finished file its times, its name by way of `give`, and, if wanted, permanence. Every name is
    /// given here, and only to bytes whose `id` was computed from them and is the one wanted.
    fn name(
        &self,
        file: &File,
        id: FileId,
        (name, slot): (&Name, &Slot),
        give: impl FnOnce(&OwnedFd, &str, bool) -> io::Result<()>,
    ) -> Result<(), DiskError> {
        if id != slot.id {
            let _ = std::fs::remove_dir_all(&self.partial_path);
            return Err(DiskError::Integrity(name.path.clone()));
        }
        let at = DiskError::at(&name.path);
        set_looks(file, self.looks_of(name)).map_err(&at)?;
        if self.manner.fsync {
            file.sync_all().map_err(&at)?;
        }
        let (folder, base) = self.spot(&name.path)?;
        if self.manner.force
            && let Some(what) = naming::obstacle(&folder, base).map_err(&at)?
        {
            return Err(DiskError::InTheWay(name.path.clone(), what));
        }
        let replace = self.manner.force
            || self.own.as_ref().is_some_and(|own| own.still_gives_way(&name.path))
            || self.own_link(&folder, base, &name.path);
        match give(&folder, base, replace) {
            // Somebody else may have put the very same file there: another name's copy, or a former run.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match self.in_place(slot, name)? {
                true => Ok(()),
                false => Err(DiskError::Exists(name.path.clone())),
            },
            Err(error) => Err(at(error)),
            // With this name the system counts it as changed; so only now it looks as it will.
            Ok(()) => note_named(file, name).map_err(&at),
        }?;
        if self.manner.fsync {
            rustix::fs::fsync(&*folder).map_err(|error| at(error.into()))?;
        }
        Ok(())
    }

    /// The folder that a path's last part goes to, made if need be, and that part.
    fn spot<'n>(&self, path: &'n str) -> Result<(Arc<OwnedFd>, &'n str), DiskError> {
        match path.rsplit_once('/') {
            Some((folder, base)) => {
                let opened = self.root.folder(folder).map_err(|error| folder_error(folder, error))?;
                Ok((opened, base))
            }
            None => Ok((self.root.itself(), path)),
        }
    }

    /// The unfinished file, made at its full size if it is not there yet.
    fn data(&self, file: usize) -> Result<Arc<File>, DiskError> {
        let slot = &self.plan.slots[file];
        let mut data = lock(&slot.data);
        if let Some(open) = &*data {
            return Ok(open.clone());
        }
        let at = DiskError::at(slot.label());
        let mode = unfinished_mode(slot.names.first().and_then(|name| self.looks_of(name)));
        let opened = Arc::new(self.temporary(&file.to_string(), OFlags::RDWR, mode).map_err(&at)?);
        if opened.metadata().map_err(&at)?.len() != slot.geometry.size() {
            reserve(&opened, slot.geometry.size()).map_err(&at)?;
        }
        *data = Some(opened.clone());
        drop(data);
        self.close_oldest(file);
        Ok(opened)
    }

    /// A file in the folder of unfinished ones; what lies there and is no file is set aside.
    fn temporary(&self, name: &str, flags: OFlags, mode: Mode) -> io::Result<File> {
        if let Some(file) = self.partial.temporary(name, flags, mode)? {
            return Ok(file);
        }
        set_aside(&self.partial_path.join(name), "is not a file");
        self.partial.temporary(name, flags, mode)?.ok_or_else(|| Errno::EXIST.into())
    }

    fn close_oldest(&self, newest: usize) {
        let mut open = lock(&self.open);
        open.push(newest);
        let oldest = (open.len() > descriptors::cached(MAX_OPEN_FILES)).then(|| open.remove(0));
        drop(open);
        if let Some(oldest) = oldest.filter(|oldest| *oldest != newest) {
            lock(&self.plan.slots[oldest].data).take();
        }
    }

    /// A file of the transfer to serve proved chunks from, wherever it is now. One that has its name is served
    /// under one of its names that still looks as it did then.
    pub(super) fn reader(&self, file: usize) -> io::Result<Arc<File>> {
        let slot = &self.plan.slots[file];
        if let Some((_, held)) = self.held.get().filter(|(held, _)| *held == file) {
            return Ok(held.clone());
        }
        // Cloned, so that nothing is asked of the system under the lock.
        let open = lock(&slot.data).clone();
        if slot.left.load(Ordering::Acquire) > 0 {
            return open.map_or_else(|| self.partial.open_existing(&file.to_string()).map(Arc::new), Ok);
        }
        let named = |name: &Name| *lock(&name.named);
        if let (Some(open), Some(stamp)) = (&open, slot.names.first().and_then(named)) {
            match Stamp::of(&open.metadata()?) == stamp {
                true => return Ok(open.clone()),
                false => drop(lock(&slot.data).take()),
            }
        }
        for (name, stamp) in slot.names.iter().filter_map(|name| Some((name, named(name)?))) {
            match self.root.open_file_now(&name.path) {
                Err(error) if error.is_shortage() => return Err(error),
                Ok(opened) if has_stamp(&opened, stamp) => return Ok(Arc::new(opened)),
                _ => {}
            }
        }
        if slot.names.iter().all(|name| named(name).is_some()) {
            return Err(io::Error::other(format!("{} is not what was fetched any more", slot.label())));
        }
        // The last chunk is here, and the name is being given.
        open.map_or_else(|| self.partial.open_existing(&file.to_string()).map(Arc::new), Ok)
    }

    /// True if all files that have their names still look as they did then.
    pub(super) fn is_as_named(&self) -> bool {
        let others = self.plan.hard_links.iter().map(|link| &link.name);
        self.plan.slots.iter().flat_map(|slot| &slot.names).chain(others).all(|name| {
            let Some(stamp) = *lock(&name.named) else { return true };
            self.root.open_file(&name.path).is_ok_and(|file| has_stamp(&file, stamp))
        })
    }

    /// Keeps the file open, so that it can be served when it has no name any more.
    pub(super) fn hold(&self, file: usize) -> io::Result<()> {
        let opened = self.reader(file)?;
        let _ = self.held.set((file, opened));
        Ok(())
    }

    /// All files are there: makes what needs them, and removes the temporary directory.
    pub(super) fn finish(&self) -> Result<(), DiskError> {
        self.complete()?;
        partial::clear(&self.partial_path);
        self.finish_root();
        Ok(())
    }

    /// The finished files' names with what a share index needs to know of them, and how each looked when it had
    /// got that name.
    pub(super) fn finished_files(
        &self,
    ) -> impl Iterator<Item = (String, FileId, Vec<ChunkHash>, Stamp)> + '_ {
        self.plan.slots.iter().enumerate().flat_map(|(file, slot)| {
            let hashes: Vec<ChunkHash> = lock(&slot.hashes).iter().flatten().copied().collect();
            let known = slot.geometry.chunks() <= 1 || hashes.len() == slot.geometry.chunks() as usize;
            let others = self.plan.hard_links.iter().filter(move |link| link.file == file);
            let names = slot.names.iter().chain(others.map(|link| &link.name)).filter(move |_| known);
            names.filter_map(move |name| {
                let stamp = (*lock(&name.named))?;
                Some((name.path.clone(), slot.id, hashes.clone(), stamp))
            })
        })
    }
}

/// True if nothing is in a folder but a peer's own state.
fn is_fresh(folder: &Path) -> bool {
    let inside = patiently(|| std::fs::read_dir(folder)).into_iter().flatten().flatten();
    inside.map(|entry| entry.file_name()).all(|name| name == SafeName::STATE_FOLDER)
}

/// The first of these paths, and how many more there are.
fn listed(mut paths: Vec<String>) -> String {
    paths.sort();
    let more = paths.len().saturating_sub(MAX_NAMED);
    paths.truncate(MAX_NAMED);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    paths.join(", ") + &rest
}

/// Remembers how a file looks that has just got its name.
fn note_named(file: &File, name: &Name) -> io::Result<()> {
    *lock(&name.named) = Some(Stamp::of(&file.metadata()?));
    Ok(())
}

fn has_stamp(file: &File, stamp: Stamp) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file() && Stamp::of(&metadata) == stamp)
}

pub(super) fn folder_error(folder: &str, error: io::Error) -> DiskError {
    match place::is_link_or_no_folder(&error) || error.kind() == io::ErrorKind::AlreadyExists {
        true => DiskError::NotAFolder(folder.to_owned()),
        false => DiskError::at(folder)(error),
    }
}

#[cfg(test)]
mod tests;
