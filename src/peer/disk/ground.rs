//! What stands at the destination: looked at, proved, judged whether it may give way. Nothing is changed here, but that
//! folders on the way to a name are made.
//!
//! Only files and links ever give way: to force, or if they are what was put there before and nobody changed.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Stat, fsync, readlinkat, statat};

use super::error::{DiskError, folder_error};
use super::files::hashes_of;
use super::naming;
use super::own::Own;
use super::place::{self, Folder};
use super::plan::{Manner, Name, Slot};
use crate::content::ChunkHash;
use crate::peer::stamp::Stamp;

/// A file that was read and is right, and how it looked then.
#[derive(Debug)]
pub(super) struct Proved {
    pub(super) stamp: Stamp,
    pub(super) hashes: Vec<ChunkHash>,
}

/// The destination, and the record of what was put there before.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) root: Folder,
    pub(super) manner: Manner,
    pub(super) own: Option<Own>,
}

impl Ground {
    /// The folder that a path's last part goes to, made if need be, and that part.
    pub(super) fn spot<'n>(&self, path: &'n str) -> Result<(Arc<OwnedFd>, &'n str), DiskError> {
        match path.rsplit_once('/') {
            Some((folder, base)) => {
                let opened = self.root.folder(folder).map_err(|error| folder_error(folder, error))?;
                Ok((opened, base))
            }
            None => Ok((self.root.itself(), path)),
        }
    }

    /// What is at a path; there is nothing below the paths `turned`, which are to be folders and are none yet.
    pub(super) fn kind(&self, path: &str, turned: &HashSet<String>) -> Result<Option<FileType>, DiskError> {
        let is_below_turned = || path.match_indices('/').any(|(end, _)| turned.contains(&path[..end]));
        match self.root.kind(path) {
            Ok(kind) => Ok(Some(kind)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if place::is_link_or_no_folder(&error) && is_below_turned() => Ok(None),
            Err(error) => Err(folder_error(path, error)),
        }
    }

    /// The file if it is there under this name with the right bytes, which another name does not tell: a kill can
    /// come between two names of one file. None if what is there, of this kind, may give way to it.
    pub(super) fn in_place(
        &self,
        kind: FileType,
        (name, slot): (&Name, &Slot),
    ) -> Result<Option<Proved>, DiskError> {
        let path = &name.path;
        let at = DiskError::at(path);
        if let Some(what) = naming::irreplaceable(kind) {
            return Err(DiskError::InTheWay(path.clone(), what));
        }
        if kind == FileType::Symlink {
            let (folder, base) = self.spot(path)?;
            if self.is_own_link(&folder, base, path) {
                return Ok(None);
            }
        } else {
            let file = self.root.open_closed(path).map_err(|error| folder_error(path, error))?;
            let proved = prove(&file, slot).map_err(&at)?;
            if let Some(own) = &self.own {
                match proved {
                    Some(_) => own.is_right(path, slot.id),
                    None if own.gives_way(path, &file).map_err(&at)? => return Ok(None),
                    None => {}
                }
            }
            if proved.is_some() {
                return Ok(proved);
            }
        }
        match self.manner.force {
            true => Ok(None),
            false => Err(DiskError::Exists(path.clone())),
        }
    }

    /// Refuses what stands there, unless it may be replaced.
    pub(super) fn expect_replaceable(
        &self,
        folder: &OwnedFd,
        base: &str,
        path: &str,
    ) -> Result<(), DiskError> {
        let kind = look(folder, base).map(|stat| FileType::from_raw_mode(stat.st_mode));
        match kind.and_then(naming::irreplaceable) {
            Some(what) => Err(DiskError::InTheWay(path.to_owned(), what)),
            None if self.manner.force || self.gives_way(folder, base, path)? => Ok(()),
            None => Err(DiskError::Exists(path.to_owned())),
        }
    }

    /// Refuses what stands in the place of a folder, unless it is what was put there before.
    pub(super) fn expect_own(&self, path: &str) -> Result<(), DiskError> {
        let (folder, base) = self.spot(path)?;
        match self.gives_way(&folder, base, path)? {
            true => Ok(()),
            false => Err(DiskError::NotAFolder(path.to_owned())),
        }
    }

    /// True if a link or file is what was put there before, and may be replaced by what is newer.
    fn gives_way(&self, folder: &OwnedFd, base: &str, path: &str) -> Result<bool, DiskError> {
        let Some(own) = &self.own else { return Ok(false) };
        if self.is_own_link(folder, base, path) || own.still_gives_way(path) {
            return Ok(true);
        }
        match self.root.kind(path) {
            Ok(FileType::RegularFile) => {
                let file = self.root.open_closed(path).map_err(DiskError::at(path))?;
                own.gives_way(path, &file).map_err(DiskError::at(path))
            }
            _ => Ok(false),
        }
    }

    /// True if a link that was put there before has this name.
    fn is_own_link(&self, folder: &OwnedFd, base: &str, path: &str) -> bool {
        let Some(own) = &self.own else { return false };
        let target = readlinkat(folder, base, Vec::new()).ok().and_then(|target| target.into_string().ok());
        target.is_some_and(|target| own.link_gives_way(path, &target))
    }

    /// True if a finished file may take this name from what has it, which was looked at before.
    pub(super) fn may_replace(&self, folder: &OwnedFd, base: &str, path: &str) -> Result<bool, DiskError> {
        if self.manner.force
            && let Some(what) = naming::obstacle(folder, base).map_err(DiskError::at(path))?
        {
            return Err(DiskError::InTheWay(path.to_owned(), what));
        }
        Ok(self.manner.force
            || self.own.as_ref().is_some_and(|own| own.still_gives_way(path))
            || self.is_own_link(folder, base, path))
    }

    /// What was put into a folder is on the disk itself, if that is wanted.
    pub(super) fn sync(&self, folder: &OwnedFd, path: &str) -> Result<(), DiskError> {
        match self.manner.fsync {
            true => fsync(folder).map_err(|error| DiskError::at(path)(error.into())),
            false => Ok(()),
        }
    }
}

/// Reads a file; none if it is not what the slot wants, or is being written.
fn prove(file: &File, slot: &Slot) -> io::Result<Option<Proved>> {
    let stamp = Stamp::of(&file.metadata()?);
    let Some((_, hashes)) = hashes_of(file, slot.geometry)?.filter(|(id, _)| *id == slot.id) else {
        return Ok(None);
    };
    // What is written while it is read is not known.
    Ok((Stamp::of(&file.metadata()?) == stamp).then_some(Proved { stamp, hashes }))
}

/// What has this name, not what a link leads to.
pub(super) fn look(folder: &OwnedFd, base: &str) -> Option<Stat> {
    statat(folder, base, AtFlags::SYMLINK_NOFOLLOW).ok()
}

/// True if a link to `target` has this name.
pub(super) fn is_link_to(folder: &OwnedFd, base: &str, target: &str) -> bool {
    readlinkat(folder, base, Vec::new()).is_ok_and(|there| there.as_bytes() == target.as_bytes())
}
