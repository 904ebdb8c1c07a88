//! The destination while it is filled. Every name is given here, and only to bytes whose id was computed from them and is
//! the one wanted.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use super::error::{DiskError, folder_error};
use super::files::{copy, has_looks, set_looks, unfinished_mode};
use super::ground::Ground;
use super::hint::Hint;
use super::names::{Names, has_stamp};
use super::naming::Draft;
use super::plan::{Name, Plan, Slot};
use super::survey::Seen;
use crate::content::{FileId, Looks};
use crate::peer::stamp::Stamp;

/// Where a transfer's files go.
#[derive(Debug)]
pub(super) struct Dest {
    pub(super) ground: Ground,
    pub(super) seen: Seen,
    pub(super) names: Names,
    hint: Hint,
}

impl Dest {
    /// One at which this was seen.
    pub(super) fn new(ground: Ground, seen: Seen, plan: &Plan) -> Dest {
        let names = Names::new(plan);
        for name in plan.names() {
            if let Some(stamp) = seen.right.get(&name.number) {
                names.note(name, *stamp);
            }
        }
        Dest { ground, seen, names, hint: Hint::default() }
    }

    /// Somebody, who may have the whole file, says which mode and time it has. True if that counts.
    pub(super) fn hear(&self, looks: Looks, whole: bool) -> bool {
        self.ground.manner.told && self.hint.hear(looks, whole)
    }

    /// What was heard, to be passed on.
    pub(super) fn told(&self) -> Option<Looks> {
        self.hint.looks()
    }

    /// Mode and time for a name: as the listing says, else as sources do.
    fn looks_of(&self, name: &Name) -> Option<Looks> {
        name.looks.or_else(|| self.hint.looks())
    }

    /// Mode and time for a file that has no name yet.
    pub(super) fn looks(&self, slot: &Slot) -> Option<Looks> {
        slot.names.first().and_then(|name| self.looks_of(name))
    }

    /// True if the file is there under this name, now with its mode and time; false if what is there may give way.
    pub(super) fn in_place(&self, name: &Name, slot: &Slot) -> Result<bool, DiskError> {
        // Looked at before it is opened: opening a device may do something.
        let Some(kind) = self.ground.kind(&name.path, &self.seen.turned)? else { return Ok(false) };
        match self.ground.in_place(kind, (name, slot))? {
            Some(proved) => self.dress(name, proved.stamp),
            None => Ok(false),
        }
    }

    /// A file that was found gets its mode and time. One that was touched since is read again; one that is
    /// another by now is its user's, and an error unless it may be replaced.
    pub(super) fn dress_found(&self, name: &Name, slot: &Slot) -> Result<(), DiskError> {
        let seen = self.seen.right.get(&name.number).copied();
        if !seen.is_some_and(|stamp| self.dress(name, stamp).unwrap_or(false)) {
            self.in_place(name, slot)?;
        }
        Ok(())
    }

    /// Gives a file that was read its mode and time. False if it looks otherwise than when it was read.
    fn dress(&self, name: &Name, stamp: Stamp) -> Result<bool, DiskError> {
        let path = &name.path;
        let file = self.ground.root.open_file(path).map_err(|error| folder_error(path, error))?;
        let dressed = || {
            let now = file.metadata()?;
            if !has_stamp(&now, stamp) {
                return Ok(false);
            }
            let looks = self.looks_of(name);
            if looks.is_none_or(|looks| has_looks(&now, looks)) {
                self.names.note(name, stamp);
            } else {
                set_looks(&file, looks)?;
                self.names.note_now(name, &file)?;
            }
            Ok(true)
        };
        dressed().map_err(DiskError::at(path))
    }

    /// An empty file where this name will be.
    pub(super) fn draft(&self, name: &Name) -> Result<Draft, DiskError> {
        let (folder, _) = self.ground.spot(&name.path)?;
        Draft::new(folder, unfinished_mode(self.looks_of(name))).map_err(DiskError::at(&name.path))
    }

    /// A copy of a finished file, where its name will be.
    pub(super) fn copy_of(&self, data: &File, name: &Name) -> Result<Draft, DiskError> {
        let draft = self.draft(name)?;
        copy(data, draft.file()).map_err(DiskError::at(&name.path))?;
        Ok(draft)
    }

    /// Gives a draft its name.
    pub(super) fn give_draft(&self, draft: Draft, id: FileId, name: (&Name, &Slot)) -> Result<(), DiskError> {
        let file = draft.file().clone();
        self.give(&file, id, name, move |_, base, replace| draft.name(base, replace))
    }

    /// Gives a finished file, which has this `id`, its times, its name by way of `give`, and, if wanted, permanence.
    pub(super) fn give(
        &self,
        file: &File,
        id: FileId,
        (name, slot): (&Name, &Slot),
        give: impl FnOnce(&OwnedFd, &str, bool) -> io::Result<()>,
    ) -> Result<(), DiskError> {
        if id != slot.id {
            return Err(DiskError::Integrity(name.path.clone()));
        }
        let at = DiskError::at(&name.path);
        set_looks(file, self.looks_of(name)).map_err(&at)?;
        if self.ground.manner.fsync {
            file.sync_all().map_err(&at)?;
        }
        let (folder, base) = self.ground.spot(&name.path)?;
        let replace = self.ground.may_replace(&folder, base, &name.path)?;
        match give(&folder, base, replace) {
            // Somebody else may have put the very same file there: another name's copy, or a former run.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match self.in_place(name, slot)? {
                true => Ok(()),
                false => Err(DiskError::Exists(name.path.clone())),
            },
            Err(error) => Err(at(error)),
            // With this name the system counts it as changed; so only now it looks as it will.
            Ok(()) => self.names.note_now(name, file).map_err(&at),
        }?;
        self.ground.sync(&folder, &name.path)
    }
}
