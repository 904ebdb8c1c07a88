//! How a file gets its name: at once and whole, or not at all. Nothing else in the program gives names to
//! what was fetched.
//!
//! A [`Draft`] is made in the folder where its name will be, without any name as far as the file system
//! can do that: then a kill leaves nothing of it, and the name costs no step from one folder to another.
//! A file that lies elsewhere is renamed, or, if it lies on another file system, copied into a draft.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, linkat, openat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

use crate::descriptors::patiently;

/// What files are called that have no name yet, where there cannot be any without; a random number follows.
const TEMPORARY: &str = ".p2p-";
/// Where a process finds its own open files by number.
const OPEN_FILES: &str = "/proc/self/fd";

/// A file that is being made where its name will be. It goes with this value unless it was named.
#[derive(Debug)]
pub(super) struct Draft {
    file: Arc<File>,
    folder: Arc<OwnedFd>,
    /// None: it has no name at all yet.
    temporary: Option<String>,
}

impl Draft {
    /// Makes an empty file in `folder`.
    pub(super) fn new(folder: Arc<OwnedFd>, mode: Mode) -> io::Result<Draft> {
        if let Some(file) = without_name(&folder, mode)? {
            return Ok(Draft { file: Arc::new(file), folder, temporary: None });
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let temporary = temporary_name();
        let file = File::from(patiently(|| openat(&folder, &temporary, flags, mode))?);
        Ok(Draft { file: Arc::new(file), folder, temporary: Some(temporary) })
    }

    /// What is in it.
    pub(super) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Gives it the name `base`; a file or link that has it is replaced only if told to.
    pub(super) fn name(mut self, base: &str, replace: bool) -> io::Result<()> {
        if self.temporary.is_none() {
            match self.link(base) {
                Err(error) if replace && error.kind() == io::ErrorKind::AlreadyExists => {}
                linked => return linked,
            }
            let temporary = temporary_name();
            self.link(&temporary)?;
            self.temporary = Some(temporary);
        }
        let Some(temporary) = &self.temporary else { return Ok(()) };
        rename(self.folder.as_fd(), temporary, &self.folder, base, replace)?;
        self.temporary = None;
        Ok(())
    }

    fn link(&self, base: &str) -> io::Result<()> {
        let file = format!("{OPEN_FILES}/{}", self.file.as_raw_fd());
        Ok(linkat(CWD, file, &self.folder, base, AtFlags::SYMLINK_FOLLOW)?)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            let _ = unlinkat(&self.folder, temporary, AtFlags::empty());
        }
    }
}

/// A file without a name; `None` where the system cannot make or, later, name one.
fn without_name(folder: &OwnedFd, mode: Mode) -> io::Result<Option<File>> {
    // Names are given through the process's list of its files, which not every container has.
    static LISTED: OnceLock<bool> = OnceLock::new();
    if !*LISTED.get_or_init(|| Path::new(OPEN_FILES).is_dir()) {
        return Ok(None);
    }
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    match patiently(|| openat(folder, ".", flags, mode)) {
        Ok(fd) => Ok(Some(File::from(fd))),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn temporary_name() -> String {
    format!("{TEMPORARY}{:016x}", fastrand::u64(..))
}

/// Renames a file from one folder into another; replaces what is there only if told to.
pub(super) fn rename(
    from: BorrowedFd<'_>,
    old: &str,
    to: &OwnedFd,
    new: &str,
    replace: bool,
) -> io::Result<()> {
    let flags = if replace { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
    match renameat_with(from, old, to, new, flags) {
        // Some file systems cannot promise not to replace: look first.
        Err(Errno::INVAL) if !replace => match statat(to, new, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Err(Errno::EXIST.into()),
            Err(_) => Ok(renameat_with(from, old, to, new, RenameFlags::empty())?),
        },
        renamed => Ok(renamed?),
    }
}

/// What has the name `base` and is never replaced, however much force is used.
pub(super) fn obstacle(folder: &OwnedFd, base: &str) -> io::Result<Option<&'static str>> {
    match statat(folder, base, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(irreplaceable(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What a thing that is neither a file nor a link is called.
pub(super) fn irreplaceable(kind: FileType) -> Option<&'static str> {
    match kind {
        FileType::RegularFile | FileType::Symlink => None,
        FileType::Directory => Some("a folder"),
        FileType::Fifo => Some("a pipe"),
        FileType::Socket => Some("a socket"),
        FileType::CharacterDevice | FileType::BlockDevice | FileType::Unknown => Some("a device"),
    }
}

#[cfg(test)]
mod tests;
