//! A folder that one process has, by a lock that the kernel takes back from the dead.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use super::said::said;
use crate::owner;

/// Who may see into it: this user.
const PRIVATE: u32 = 0o700;
const LOCK: &str = "lock";

/// A folder, and the right to it for as long as this lives.
#[derive(Debug)]
pub struct Owned {
    path: PathBuf,
    /// The kernel gives the right back when this is closed, however the process ends.
    _lock: File,
}

/// Why a folder cannot be had. What is said goes on with where it is.
#[derive(Debug, thiserror::Error)]
pub enum OwnedError {
    /// Another process has it.
    #[error("{} is in use by another process", .0.display())]
    Busy(PathBuf),
    /// Whoever can write there could put in what would be believed.
    #[error("{} belongs to another user ({})", .0.display(), .1)]
    Stranger(PathBuf, u32),
    /// It cannot be made, or not be written.
    #[error("{} cannot be used: {}", .0.display(), said(.1))]
    Io(PathBuf, io::Error),
}

impl Owned {
    /// Takes a folder; it is made, for this user alone, with those above it, if it is not there.
    ///
    /// # Errors
    /// [`OwnedError`]; nothing in the folder was changed.
    pub fn claim(path: &Path) -> Result<Owned, OwnedError> {
        let at = |error| OwnedError::Io(path.to_owned(), error);
        DirBuilder::new().recursive(true).mode(PRIVATE).create(path).map_err(at)?;
        if let Some(user) = owner::stranger(path) {
            return Err(OwnedError::Stranger(path.to_owned(), user));
        }
        let lock = open_plain(&path.join(LOCK)).map_err(at)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => Err(OwnedError::Busy(path.to_owned())),
            Err(error) => Err(at(error.into())),
            Ok(()) => Ok(Owned { path: path.to_owned(), _lock: lock }),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Opens a plain file to read and to write; made if need be. What is no file is an error, and so is a link.
pub(crate) fn open_plain(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
    let file = options.open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(Errno::INVAL.into()) }
}

/// Puts the names in a folder on the disk.
///
/// # Errors
/// As of opening and syncing it.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_it_until_its_end() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a/b");
        let owned = Owned::claim(&path).unwrap();
        assert_eq!(owned.path(), path);
        assert!(matches!(Owned::claim(&path), Err(OwnedError::Busy(at)) if at == path));
        drop(owned);
        Owned::claim(&path).unwrap();
    }

    #[test]
    fn what_is_no_folder_or_lock_is_left_as_it_is() {
        let place = tempfile::tempdir().unwrap();
        let (file, folder) = (place.path().join("file"), place.path().join("folder"));
        fs::write(&file, "precious").unwrap();
        assert!(matches!(Owned::claim(&file), Err(OwnedError::Io(..))));
        fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink(&file, folder.join(LOCK)).unwrap();
        assert!(matches!(Owned::claim(&folder), Err(OwnedError::Io(..))));
        assert_eq!(fs::read(&file).unwrap(), b"precious");
    }
}
