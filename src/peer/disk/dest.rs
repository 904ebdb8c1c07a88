//! The destination while it is filled. Every name is given here, and only to bytes whose id was computed from them and is
//! the one wanted.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::FileType;

use super::error::{DiskError, folder_error};
use super::files::{copy, has_looks, set_looks, unfinished_mode};
use super::ground::Ground;
use super::names::{Names, has_stamp};
use super::naming::Draft;
use super::plan::{Name, Plan, Slot};
use super::survey::Seen;
use crate::content::{FileId, Looks};
use crate::peer::hint::Hint;
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

    /// What is there under this name, if it is a file that was looked at and gives way.
    pub(super) fn older(&self, name: &Name) -> Option<File> {
        let kind = self.ground.kind(&name.path, &self.seen.turned).ok()??;
        if kind != FileType::RegularFile || self.seen.right.contains_key(&name.number) {
            return None;
        }
        self.ground.root.open_closed(&name.path).ok()
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
        let file = self.ground.root.reach(path).map_err(|error| folder_error(path, error))?;
        let dressed = || {
            let now = file.metadata()?;
            if !has_stamp(&now, stamp) {
                return Ok(false);
            }
            let looks = self.looks_of(name);
            if looks.is_none_or(|looks| has_looks(&now, looks)) {
                self.names.note(name, stamp);
            } else {
                let file = self.ground.root.open_closed(path)?;
                if Stamp::of(&file.metadata()?).inode != stamp.inode {
                    return Ok(false);
                }
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{FileExt, MetadataExt};
    use std::path::Path;

    use super::super::place::Folder;
    use super::super::plan::Manner;
    use super::super::survey;
    use super::*;
    use crate::content::Geometry;

    const LOOKS: Looks = Looks { mode: 0o640, mtime_ns: 5_000_000_007 };

    fn manner(force: bool) -> Manner {
        Manner { force, noted: false, own: false, delete: false, told: true, fsync: false }
    }

    fn dest(root: &Path, force: bool) -> (Dest, Plan) {
        let plan = Plan::file(FileId::of(b"hello"), Geometry::of(5).unwrap(), "a").unwrap();
        let ground = Ground { root: Folder::open(root).unwrap(), manner: manner(force), own: None };
        let seen = survey::look(&ground, &plan).unwrap();
        (Dest::new(ground, seen, &plan), plan)
    }

    fn looks(path: &Path) -> (u32, i64, i64) {
        let now = fs::metadata(path).unwrap();
        (now.mode() & 0o777, now.mtime(), now.mtime_nsec())
    }

    #[test]
    fn what_was_found_gets_its_looks_once_and_is_known_by_how_it_looks_then() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "hello").unwrap();
        let (dest, plan) = dest(folder.path(), false);
        let (slot, name) = (&plan.slots[0], &plan.slots[0].names[0]);
        let found = Stamp::of(&fs::metadata(&path).unwrap());
        assert_eq!(dest.names.stamp(name), Some(found));
        dest.dress_found(name, slot).unwrap();
        assert_eq!(dest.names.stamp(name), Some(found), "nobody said how it looks");
        assert!(dest.hear(LOOKS, false) && dest.told() == Some(LOOKS) && dest.looks(slot) == Some(LOOKS));
        dest.dress_found(name, slot).unwrap();
        assert_eq!(looks(&path), (0o640, 5, 7));
        let dressed = Stamp::of(&fs::metadata(&path).unwrap());
        assert!(dest.names.stamp(name) == Some(dressed) && dressed != found);
        // It was touched since it was seen, so it is read; it looks as it should, so it is left alone.
        dest.dress_found(name, slot).unwrap();
        assert_eq!(Stamp::of(&fs::metadata(&path).unwrap()), dressed);
        fs::write(&path, "other").unwrap();
        assert!(matches!(dest.dress_found(name, slot), Err(DiskError::Exists(_))));
        assert!(!dest.dress(name, dressed).unwrap());
        assert_ne!(looks(&path), (0o640, 5, 7), "another's file keeps its time");
    }

    #[test]
    fn a_name_is_given_once_and_only_to_what_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let (dest, plan) = dest(folder.path(), false);
        let name = (&plan.slots[0].names[0], &plan.slots[0]);
        let draft = |content: &[u8]| {
            let draft = dest.draft(name.0).unwrap();
            draft.file().write_all_at(content, 0).unwrap();
            draft
        };
        let refused = dest.give_draft(draft(b"other"), FileId::of(b"other"), name);
        assert!(matches!(refused, Err(DiskError::Integrity(_))) && !path.exists());
        dest.hear(LOOKS, true);
        dest.give_draft(draft(b"hello"), FileId::of(b"hello"), name).unwrap();
        assert_eq!((fs::read(&path).unwrap(), looks(&path)), (b"hello".to_vec(), (0o640, 5, 7)));
        assert_eq!(dest.names.stamp(name.0), Some(Stamp::of(&fs::metadata(&path).unwrap())));
        dest.give_draft(draft(b"hello"), FileId::of(b"hello"), name).unwrap();
        fs::write(&path, "mine").unwrap();
        let refused = dest.give_draft(draft(b"hello"), FileId::of(b"hello"), name);
        assert!(matches!(refused, Err(DiskError::Exists(_))));
        assert_eq!(fs::read(&path).unwrap(), b"mine");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn by_force_it_is_given_whatever_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "mine").unwrap();
        let (dest, plan) = dest(folder.path(), true);
        let name = (&plan.slots[0].names[0], &plan.slots[0]);
        let data = tempfile::tempfile_in(folder.path()).unwrap();
        data.write_all_at(b"hello", 0).unwrap();
        dest.give_draft(dest.copy_of(&data, name.0).unwrap(), FileId::of(b"hello"), name).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"hello");
    }
}
