//! Paths that were a file or a symbolic link in an older version and are a folder in the newer one, or the other way round.
//!
//! What was put there before, and nobody changed, gives way; what its user put there never does, not even to force.
//! It is looked at with all else that could be in the way, and goes when the folders are made: a file or link is removed, a folder
//! goes to the trash, if that was asked for.

use std::io;
use std::sync::atomic::Ordering;

use rustix::fs::{AtFlags, FileType, unlinkat};

use super::{Disk, DiskError, folder_error, place};
use crate::threads::lock;

impl Disk {
    /// Sees what is where folders should be, before what should be in them is looked at.
    pub(super) fn check_folders(&self) -> Vec<DiskError> {
        self.plan.folders.iter().filter_map(|(path, _)| self.check_folder(path).err()).collect()
    }

    fn check_folder(&self, path: &str) -> Result<(), DiskError> {
        match self.kind_at(path)? {
            None | Some(FileType::Directory) => Ok(()),
            Some(_) => {
                lock(&self.turned).insert(path.to_owned());
                self.expect_own(path)
            }
        }
    }

    fn expect_own(&self, path: &str) -> Result<(), DiskError> {
        let (folder, base) = self.spot(path)?;
        match self.gives_way(&folder, base, path)? {
            true => Ok(()),
            false => Err(DiskError::NotAFolder(path.to_owned())),
        }
    }

    /// What is at a path; there is nothing below what is to be a folder and is none yet.
    pub(super) fn kind_at(&self, path: &str) -> Result<Option<FileType>, DiskError> {
        match self.root.kind(path) {
            Ok(kind) => Ok(Some(kind)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if place::is_link_or_no_folder(&error) && self.is_below_turned(path) => Ok(None),
            Err(error) => Err(folder_error(path, error)),
        }
    }

    fn is_below_turned(&self, path: &str) -> bool {
        let turned = lock(&self.turned);
        path.match_indices('/').any(|(end, _)| turned.contains(&path[..end]))
    }

    /// True if a folder that stands in the place of a file or link may go: it is asked while nothing is touched yet.
    pub(super) fn folder_gives_way(&self, path: &str) -> Result<bool, DiskError> {
        let Some(own) = self.own.as_ref().filter(|_| !self.checked.load(Ordering::Acquire)) else {
            return Ok(false);
        };
        if !own.folder_gives_way(path, &self.plan, &self.root).map_err(DiskError::at(path))? {
            return Ok(false);
        }
        if !self.manner.delete {
            return Err(DiskError::OlderFolder(path.to_owned()));
        }
        lock(&self.folded).insert(path.to_owned());
        Ok(true)
    }

    /// Moves those folders to the trash.
    pub(super) fn clear_folders(&self) -> Result<(), DiskError> {
        let Some(own) = &self.own else { return Ok(()) };
        let mut folded: Vec<String> = lock(&self.folded).drain().collect();
        folded.sort();
        for path in folded {
            let gone = own.retire_folder(&path, &self.plan, &self.root).map_err(DiskError::at(&path))?;
            if !gone {
                return Err(DiskError::InTheWay(path, "a folder"));
            }
        }
        Ok(())
    }

    /// Removes what stands in a folder's place, if it still is what was found to give way.
    pub(super) fn clear_for_folder(&self, path: &str) -> Result<(), DiskError> {
        if !lock(&self.turned).contains(path) {
            return Ok(());
        }
        if !matches!(self.kind_at(path)?, None | Some(FileType::Directory)) {
            self.expect_own(path)?;
            let (folder, base) = self.spot(path)?;
            unlinkat(&folder, base, AtFlags::empty()).map_err(|error| DiskError::at(path)(error.into()))?;
        }
        lock(&self.turned).remove(path);
        Ok(())
    }
}
