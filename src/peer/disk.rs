//! Where a transfer's bytes go: unfinished files, and the names in the end. Nothing unproved gets a name.
//!
//! What belongs to whom, from below: [`plan`] is what is wanted; [`ground`] judges what stands at the destination, by the record that
//! [`own`] keeps of what was put there before; [`survey`] looks at all of it before anything is touched; [`dest`] gives
//! the names, [`names`] remembers them; [`unfinished`] has what is not whole yet; [`restore`] adds folders and links.
//! [`Disk`] is all of this for one transfer.

mod dest;
mod error;
mod files;
#[cfg(feature = "lab")]
pub(crate) mod fuzzing;
mod ground;
mod journal;
mod names;
mod naming;
mod own;
mod partial;
mod place;
mod plan;
mod proved;
mod restore;
mod room;
mod survey;
mod trash;
mod unfinished;

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::got::Noted;
use super::made::Made;
use super::stamp::Stamp;
use crate::api::Trashed;
use crate::content::{Chunk, ChunkHash, ChunkSet, FileId, Looks, Place, Proof, SafeName};
use crate::descriptors::{Shortage, patiently};
use dest::Dest;
pub use error::DiskError;
pub(super) use error::folder_error;
use files::{give_back_holes, id_on_disk, sync_above};
use ground::Ground;
use names::has_stamp;
use own::Own;
pub(super) use own::Spared;
pub(super) use partial::{Partial, is_begun, sweep};
use place::Folder;
use plan::Name;
pub(super) use plan::{Manner, Plan};
use restore::Restore;
use survey::Seen;
use unfinished::Unfinished;

/// The destination of one transfer.
#[derive(Debug)]
pub(super) struct Disk {
    id: FileId,
    plan: Arc<Plan>,
    dest: Dest,
    unfinished: Unfinished,
    /// What needs no chunk: folders and empty files.
    begun: Made<()>,
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
        let plan = Arc::new(plan);
        let root_at = root.display().to_string();
        std::fs::create_dir_all(root).map_err(|error| folder_error(&root_at, error))?;
        let fresh = is_fresh(root);
        if manner.fsync {
            sync_above(root);
        }
        let (unfinished, mut had) = Unfinished::open(plan.clone(), id, partial)?;
        let folder = Folder::open(root).map_err(DiskError::at(&root_at))?;
        let ground = Ground {
            root: folder.synced(manner.fsync).private(plan.root_mode.is_some()),
            manner,
            own: manner.noted.then(|| Own::open(root, manner.own)),
        };
        let mut seen = if fresh { Seen::default() } else { survey::look(&ground, &plan)? };
        let mut found = BTreeSet::new();
        for (file, hashes) in std::mem::take(&mut seen.found) {
            unfinished.note_found(file, hashes);
            plan.layout.chunks_of(file).for_each(|chunk| {
                had.insert(chunk);
            });
            found.insert(file);
        }
        room::check(&plan, &unfinished, &ground.root, &partial.display().to_string())?;
        let dest = Dest::new(ground, seen, &plan);
        let disk = Disk { id, plan, dest, unfinished, begun: Made::default(), held: OnceLock::new() };
        // Nothing is made for a fetch of which nothing ever arrives.
        if !had.is_empty() || disk.plan.layout.chunks() == 0 {
            disk.begin()?;
        }
        disk.finish_found(&found)?;
        disk.name_left(&found)?;
        Ok((disk, had))
    }

    /// The plan.
    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How many files have their names.
    pub(super) fn files_done(&self) -> usize {
        self.dest.names.files()
    }

    /// Somebody, who may have the whole file, says which mode and time it has.
    pub(super) fn hear_looks(&self, looks: Looks, whole: bool) {
        if self.dest.hear(looks, whole) {
            self.unfinished.tell(looks);
        }
    }

    /// What was heard, to be passed on.
    pub(super) fn told_looks(&self) -> Option<Looks> {
        self.dest.told()
    }

    /// What was found in place gets its mode and time.
    fn finish_found(&self, found: &BTreeSet<usize>) -> Result<(), DiskError> {
        for file in found {
            let slot = &self.plan.slots[*file];
            slot.names.iter().try_for_each(|name| self.dest.dress_found(name, slot))?;
            self.dest.names.count();
        }
        Ok(())
    }

    /// Names files whose last chunk a kill left unnamed.
    fn name_left(&self, found: &BTreeSet<usize>) -> Result<(), DiskError> {
        for (file, slot) in self.plan.slots.iter().enumerate() {
            // Of one that was found, nothing lies here that could be named.
            let lies_here = !slot.geometry.is_empty() && !found.contains(&file);
            if lies_here && self.unfinished.is_whole(file) {
                self.name_finished(file)?;
            }
        }
        Ok(())
    }

    fn restore(&self) -> Restore<'_> {
        Restore { dest: &self.dest, plan: &self.plan }
    }

    /// Makes what needs no chunk, once: folders and empty files. The others wait: where a folder will be, a file may
    /// stand until then.
    fn begin(&self) -> Result<(), DiskError> {
        let mut first = false;
        self.begun.get_or_make(|| {
            first = true;
            if let Some(own) = &self.dest.ground.own {
                own.begin(&self.plan, self.id, &self.dest.ground.root);
            }
            self.restore().make_folders()
        })?;
        if first {
            let empty = |file: &usize| self.plan.slots[*file].geometry.is_empty();
            (0..self.plan.files())
                .filter(empty)
                .try_for_each(|file| self.write_named(file, &[], FileId::of(&[])))?;
        }
        Ok(())
    }

    /// Writes a part of a chunk of a file of more than one chunk, proved or not.
    pub(super) fn write(&self, place: Place, within: u64, data: &[u8]) -> Result<(), DiskError> {
        let slot = &self.plan.slots[place.file];
        let written = self.unfinished.write(place, within, data, self.dest.looks(slot));
        written.map_err(DiskError::at(slot.label()))
    }

    /// What stands in the place of a file that is to be made, if it is a file.
    pub(super) fn older(&self, file: usize) -> Option<File> {
        let name = self.plan.slots[file].names.first()?;
        self.dest.older(name)
    }

    /// Makes an unfinished file share the blocks of another, not proved yet; none where that cannot be.
    pub(super) fn clone_of(&self, file: usize, from: &File) -> Option<Arc<File>> {
        self.unfinished.clone_of(file, from, self.dest.looks(&self.plan.slots[file]))
    }

    /// Keeps a proved chunk whose bytes were written, with the proof of its run; the last one gives the file its name.
    /// The file is finished when this returns true.
    pub(super) fn keep(
        &self,
        chunk: Chunk,
        place: Place,
        hash: ChunkHash,
        proof: Option<Arc<Proof>>,
    ) -> Result<bool, DiskError> {
        self.begin()?;
        let label = self.plan.slots[place.file].label();
        let last = self.unfinished.keep(chunk, place, hash, proof).map_err(DiskError::at(label))?;
        if last {
            self.name_finished(place.file)?;
        }
        Ok(last)
    }

    /// The proof of the run that a chunk that is here lies in, if it is known.
    pub(super) fn proof(&self, place: Place) -> Option<Arc<Proof>> {
        self.unfinished.proof(place)
    }

    /// Writes a file of at most one chunk, whose bytes were hashed to `id`, and names it.
    pub(super) fn write_small(&self, file: usize, data: &[u8], id: FileId) -> Result<(), DiskError> {
        self.begin()?;
        self.write_named(file, data, id)
    }

    fn write_named(&self, file: usize, data: &[u8], id: FileId) -> Result<(), DiskError> {
        let slot = &self.plan.slots[file];
        for name in &slot.names {
            let draft = self.dest.draft(name)?;
            draft.file().write_all_at(data, 0).map_err(DiskError::at(&name.path))?;
            self.judge(self.dest.give_draft(draft, id, (name, slot)))?;
        }
        self.unfinished.is_elsewhere(file);
        self.dest.names.count();
        Ok(())
    }

    /// Proves the whole of a finished file and renames it into place; further names get copies.
    fn name_finished(&self, file: usize) -> Result<(), DiskError> {
        let slot = &self.plan.slots[file];
        let Some((first, others)) = slot.names.split_first() else { return Ok(()) };
        let at = DiskError::at(&first.path);
        let id = self.unfinished.id_of(file).unwrap_or(FileId::NONE);
        let data = self.unfinished.data(file, self.dest.looks(slot)).map_err(&at)?;
        give_back_holes(&data).map_err(&at)?;
        for name in others {
            self.judge(self.dest.give_draft(self.dest.copy_of(&data, name)?, id, (name, slot)))?;
        }
        let temporary = file.to_string();
        let moved = self.dest.give(&data, id, (first, slot), |folder, base, replace| {
            naming::rename(self.unfinished.fd(), &temporary, folder, base, replace)
        });
        match moved {
            Err(DiskError::Io { error, .. }) if error.kind() == io::ErrorKind::CrossesDevices => {
                // What was proved are the bytes that lie here.
                let copy = self.dest.copy_of(&data, first)?;
                let id = id_on_disk(copy.file(), slot.geometry).map_err(&at)?.unwrap_or(FileId::NONE);
                self.judge(self.dest.give_draft(copy, id, (first, slot)))?;
                self.unfinished.remove(file).map_err(at)?;
            }
            moved => self.judge(moved)?,
        }
        self.dest.names.count();
        Ok(())
    }

    /// If what was proved is not right as a whole, nothing of it is kept.
    fn judge(&self, given: Result<(), DiskError>) -> Result<(), DiskError> {
        if let Err(DiskError::Integrity(_)) = given {
            self.unfinished.spoil();
        }
        given
    }

    /// A file of the transfer to serve proved chunks from, wherever it is now. One that has its name is served
    /// under one of its names that still looks as it did then.
    pub(super) fn reader(&self, file: usize) -> io::Result<Arc<File>> {
        let slot = &self.plan.slots[file];
        if let Some((_, held)) = self.held.get().filter(|(held, _)| *held == file) {
            return Ok(held.clone());
        }
        let open = self.unfinished.opened(file);
        let unfinished =
            |open: Option<Arc<File>>| open.map_or_else(|| self.unfinished.existing(file).map(Arc::new), Ok);
        if !self.unfinished.is_whole(file) {
            return unfinished(open);
        }
        let named = |name: &Name| self.dest.names.stamp(name);
        if let (Some(open), Some(stamp)) = (&open, slot.names.first().and_then(named)) {
            match has_stamp(&open.metadata()?, stamp) {
                true => return Ok(open.clone()),
                false => self.unfinished.close(file),
            }
        }
        for (name, stamp) in slot.names.iter().filter_map(|name| Some((name, named(name)?))) {
            match self.dest.ground.root.open_file_now(&name.path) {
                Err(error) if error.is_shortage() => return Err(error),
                Ok(opened) if is_as(&opened, stamp) => return Ok(Arc::new(opened)),
                _ => {}
            }
        }
        if slot.names.iter().all(|name| named(name).is_some()) {
            return Err(io::Error::other(format!("{} is not what was fetched any more", slot.label())));
        }
        // The last chunk is here, and the name is being given.
        unfinished(open)
    }

    /// True if all files that have their names still look as they did then.
    pub(super) fn is_as_named(&self) -> bool {
        self.plan.names().all(|name| {
            let Some(stamp) = self.dest.names.stamp(name) else { return true };
            self.dest.ground.root.peek(&name.path).is_ok_and(|file| is_as(&file, stamp))
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
        self.restore().complete()?;
        self.unfinished.clear();
        self.restore().finish_root();
        Ok(())
    }

    /// Everything has its name. What only an older version had goes, if that was asked for; says what else is there.
    pub(super) fn note_done(&self, stop: &dyn Fn() -> bool) -> (Spared, Option<Trashed>) {
        let Ground { own: Some(own), root, manner } = &self.dest.ground else {
            return (Spared::default(), None);
        };
        own.finish(&self.plan);
        let trashed = manner.delete.then(|| own.retire(&self.plan, root, self.dest.names.inodes(), stop));
        if trashed.is_some()
            && let Err(error) = self.restore().finish_folders()
        {
            tracing::warn!("not all folders have their times and modes: {error}");
        }
        (own.left_alone(&self.plan), trashed)
    }

    /// What this changed of what is known of the destination.
    pub(super) fn noted(&self) -> Noted {
        self.dest.ground.own.as_ref().map_or(Noted::Nothing, |own| own.noted(&self.plan))
    }

    /// The finished files' names with what a share index needs to know of them, and how each looked when it had
    /// got that name.
    pub(super) fn finished_files(
        &self,
    ) -> impl Iterator<Item = (String, FileId, Vec<ChunkHash>, Stamp)> + '_ {
        self.plan.slots.iter().enumerate().flat_map(move |(file, slot)| {
            let hashes = self.unfinished.hashes(file);
            let others = self.plan.hard_links.iter().filter(move |link| link.file == file);
            let names = slot.names.iter().chain(others.map(|link| &link.name));
            names.filter_map(move |name| {
                let stamp = self.dest.names.stamp(name)?;
                Some((name.path.clone(), slot.id, hashes.clone()?, stamp))
            })
        })
    }
}

/// True if nothing is in a folder but a peer's own state.
fn is_fresh(folder: &Path) -> bool {
    let inside = patiently(|| std::fs::read_dir(folder)).into_iter().flatten().flatten();
    inside.map(|entry| entry.file_name()).all(|name| name == SafeName::STATE_FOLDER)
}

fn is_as(file: &File, stamp: Stamp) -> bool {
    file.metadata().is_ok_and(|metadata| has_stamp(&metadata, stamp))
}

#[cfg(test)]
mod tests;
