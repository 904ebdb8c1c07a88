//! What a tree has besides its files' bytes: folders with their modes and times, symbolic and hard links.
//!
//! Folders are made first, open to this user alone. Links come when all files have their names, so that
//! nothing is ever written through one, and modes and times of folders last, innermost first. Each step
//! looks at what is there, so a run that is repeated or goes on after a kill ends with the same.

use std::os::fd::OwnedFd;

use rustix::fs::{
    AtFlags, FileType, Mode, Stat, fchmod, fstat, fsync, linkat, readlinkat, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::files::set_looks;
use super::plan::HardLink;
use super::{Disk, DiskError, folder_error, naming, note_named};
use crate::content::{Looks, SafeName};

/// What this user needs of a folder to fill it.
pub(super) const FILL: u32 = 0o700;

impl Disk {
    /// Sees whether a different thing is where a link should be, before anything is fetched for it.
    pub(super) fn check_links(&self) -> Vec<DiskError> {
        let links = self.plan.links.iter().map(|(path, target)| self.check_link(path, target));
        let hard_links = self.plan.hard_links.iter().map(|link| self.check_hard_link(link));
        links.chain(hard_links).filter_map(Result::err).collect()
    }

    fn check_link(&self, path: &str, target: &str) -> Result<(), DiskError> {
        if self.kind_at(path)?.is_none() {
            return Ok(());
        }
        let (folder, base) = self.spot(path)?;
        if !is_link_to(&folder, base, target) {
            self.expect_replaceable(&folder, base, path)?;
        } else if let Some(own) = &self.own {
            own.is_right_link(path, target);
        }
        Ok(())
    }

    fn check_hard_link(&self, link: &HardLink) -> Result<(), DiskError> {
        let path = &link.name.path;
        if self.kind_at(path)?.is_some() && !self.has_bytes(link)? {
            let (folder, base) = self.spot(path)?;
            self.expect_replaceable(&folder, base, path)?;
        }
        Ok(())
    }

    /// Makes the folders, open to this user until they get their modes.
    pub(super) fn prepare(&self) -> Result<(), DiskError> {
        self.prepare_root();
        self.plan.folders.iter().try_for_each(|(path, _)| self.make_folder(path))
    }

    /// All files have their names: makes the links, then finishes the folders.
    pub(super) fn complete(&self) -> Result<(), DiskError> {
        for (path, target) in &self.plan.links {
            self.make_link(path, target)?;
        }
        for link in &self.plan.hard_links {
            self.make_hard_link(link)?;
        }
        self.note_links()?;
        self.finish_folders()
    }

    /// Gives the folders their modes and times, when nothing is put into them any more.
    pub(super) fn finish_folders(&self) -> Result<(), DiskError> {
        for (path, looks) in self.plan.folders.iter().rev() {
            let folder = self.root.folder(path).map_err(|error| folder_error(path, error))?;
            set_looks(&*folder, Some(*looks)).map_err(DiskError::at(path))?;
            self.sync(&folder, path)?;
        }
        Ok(())
    }

    fn make_folder(&self, path: &str) -> Result<(), DiskError> {
        self.clear_for_folder(path)?;
        let folder = self.root.folder(path).map_err(|error| folder_error(path, error))?;
        let mode = fstat(&*folder).map_err(|error| folder_error(path, error.into()))?.st_mode;
        if mode & FILL != FILL {
            // If it is not ours to open, what has to be written there will say so.
            let _ = fchmod(&*folder, Mode::from_raw_mode(mode & u32::from(Looks::MODE) | FILL));
        }
        Ok(())
    }

    /// A destination with nothing in it but our own state was made for this tree, by this run or an earlier
    /// one: nobody else is to look into it who may not look into the source.
    fn prepare_root(&self) {
        let Some(mode) = self.plan.root_mode else { return };
        let entries = std::fs::read_dir(self.root.path()).map(|entries| entries.flatten());
        let is_new =
            entries.is_ok_and(|mut entries| entries.all(|entry| entry.file_name() == SafeName::STATE_FOLDER));
        if is_new {
            let _ = fchmod(self.root.fd(), Mode::from_raw_mode(u32::from(mode) | FILL));
        }
    }

    /// Nothing is to be written into the destination any more.
    pub(super) fn finish_root(&self) {
        let Some(mode) = self.plan.root_mode.map(u32::from) else { return };
        let now = fstat(self.root.fd()).map(|stat| stat.st_mode & u32::from(Looks::MODE));
        if now == Ok(mode | FILL) {
            let _ = fchmod(self.root.fd(), Mode::from_raw_mode(mode));
        }
    }

    fn make_link(&self, path: &str, target: &str) -> Result<(), DiskError> {
        let at = |error: Errno| DiskError::at(path)(error.into());
        let (folder, base) = self.spot(path)?;
        if is_link_to(&folder, base, target) {
            return Ok(());
        }
        self.clear(&folder, base, path)?;
        symlinkat(target, &folder, base).map_err(at)?;
        self.sync(&folder, path)
    }

    fn make_hard_link(&self, link: &HardLink) -> Result<(), DiskError> {
        let path = &link.name.path;
        let at = |error: Errno| DiskError::at(path)(error.into());
        let (from, old) = self.spot(&link.of)?;
        let (to, new) = self.spot(path)?;
        let place = |stat: Stat| (stat.st_dev, stat.st_ino);
        if look(&from, old).map(place) == look(&to, new).map(place) {
            return Ok(());
        }
        if !self.has_bytes(link)? {
            self.clear(&to, new, path)?;
        } else {
            unlinkat(&to, new, AtFlags::empty()).map_err(at)?;
        }
        match linkat(&from, old, &to, new, AtFlags::empty()) {
            // Not between these folders, or not on this file system, or it has too many names.
            Err(Errno::XDEV | Errno::PERM | Errno::MLINK | Errno::OPNOTSUPP) => {
                return self.copy_again(link);
            }
            linked => linked.map_err(at)?,
        }
        self.sync(&to, path)
    }

    /// With another name the system counts a file as changed; so only now they all look as they will.
    fn note_links(&self) -> Result<(), DiskError> {
        for link in &self.plan.hard_links {
            let first = self.plan.slots[link.file].names.iter().find(|name| name.path == link.of);
            for name in first.into_iter().chain([&link.name]) {
                let file = self.root.open_file(&name.path);
                file.and_then(|file| note_named(&file, name)).map_err(DiskError::at(&name.path))?;
            }
        }
        Ok(())
    }

    /// A file that has its name and was proved, once more under another.
    fn copy_again(&self, link: &HardLink) -> Result<(), DiskError> {
        let from = self.root.open_file(&link.of).map_err(DiskError::at(&link.of))?;
        let slot = &self.plan.slots[link.file];
        self.name_draft(self.copy_of(&from, &link.name)?, slot.id, (&link.name, slot))
    }

    /// True if the file's bytes are under this name too, whatever its inode.
    fn has_bytes(&self, link: &HardLink) -> Result<bool, DiskError> {
        match self.in_place(&self.plan.slots[link.file], &link.name) {
            // What is in the way is judged by whoever wants to replace it.
            Err(
                DiskError::Exists(_)
                | DiskError::InTheWay(..)
                | DiskError::NotAFolder(_)
                | DiskError::OlderFolder(_),
            ) => Ok(false),
            right => right,
        }
    }

    /// Makes a name free, if what has it may be replaced.
    fn clear(&self, folder: &OwnedFd, base: &str, path: &str) -> Result<(), DiskError> {
        if look(folder, base).is_some() {
            self.expect_replaceable(folder, base, path)?;
            unlinkat(folder, base, AtFlags::empty()).map_err(|error| DiskError::at(path)(error.into()))?;
        }
        Ok(())
    }

    /// Only files and links are ever replaced, and only if told to or if they are what was put there before.
    fn expect_replaceable(&self, folder: &OwnedFd, base: &str, path: &str) -> Result<(), DiskError> {
        let kind = look(folder, base).map(|stat| FileType::from_raw_mode(stat.st_mode));
        if kind == Some(FileType::Directory) && self.folder_gives_way(path)? {
            return Ok(());
        }
        match kind.and_then(naming::irreplaceable) {
            Some(what) => Err(DiskError::InTheWay(path.to_owned(), what)),
            None if self.manner.force || self.gives_way(folder, base, path)? => Ok(()),
            None => Err(DiskError::Exists(path.to_owned())),
        }
    }

    /// True if a link or file is what was put there before, and may be replaced by what is newer.
    pub(super) fn gives_way(&self, folder: &OwnedFd, base: &str, path: &str) -> Result<bool, DiskError> {
        let Some(own) = &self.own else { return Ok(false) };
        if self.own_link(folder, base, path) || own.still_gives_way(path) {
            return Ok(true);
        }
        match self.root.kind(path) {
            Ok(FileType::RegularFile) => {
                let file = self.root.open_file(path).map_err(DiskError::at(path))?;
                own.gives_way(path, &file).map_err(DiskError::at(path))
            }
            _ => Ok(false),
        }
    }

    /// True if a link that was put there before has this name.
    pub(super) fn own_link(&self, folder: &OwnedFd, base: &str, path: &str) -> bool {
        let Some(own) = &self.own else { return false };
        let target = readlinkat(folder, base, Vec::new()).ok().and_then(|target| target.into_string().ok());
        target.is_some_and(|target| own.link_gives_way(path, &target))
    }

    fn sync(&self, folder: &OwnedFd, path: &str) -> Result<(), DiskError> {
        match self.manner.fsync {
            true => fsync(folder).map_err(|error| DiskError::at(path)(error.into())),
            false => Ok(()),
        }
    }
}

fn look(folder: &OwnedFd, base: &str) -> Option<Stat> {
    statat(folder, base, AtFlags::SYMLINK_NOFOLLOW).ok()
}

fn is_link_to(folder: &OwnedFd, base: &str, target: &str) -> bool {
    readlinkat(folder, base, Vec::new()).is_ok_and(|there| there.as_bytes() == target.as_bytes())
}
