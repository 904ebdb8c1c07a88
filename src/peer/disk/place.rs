//! Files below a folder, reached so that no symbolic link and no `..` can lead out of it.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, fstat, fsync, mkdirat, openat, openat2, unlinkat,
};
use rustix::io::Errno;

use crate::descriptors::{self, patiently};
use crate::threads::lock;

/// Folders whose descriptors are kept; past it the cache starts anew.
const MAX_OPEN_FOLDERS: usize = 64;

/// What this user needs of a folder to fill it.
pub(super) const FILL: u32 = 0o700;

/// A folder that is the root of what is written.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    fd: Arc<OwnedFd>,
    /// A folder that is made is on the disk before anything is put into it.
    synced: bool,
    /// A folder that is made is for this user alone until it gets its own mode.
    private: bool,
    below: Mutex<HashMap<String, Arc<OwnedFd>>>,
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Folder {
    pub(super) fn open(path: &Path) -> io::Result<Folder> {
        let fd = patiently(|| openat(CWD, path, FOLDER, Mode::empty()))?;
        Ok(Folder {
            path: path.to_owned(),
            fd: Arc::new(fd),
            synced: false,
            private: false,
            below: Mutex::new(HashMap::new()),
        })
    }

    pub(super) fn synced(self, synced: bool) -> Folder {
        Folder { synced, ..self }
    }

    pub(super) fn private(self, private: bool) -> Folder {
        Folder { private, ..self }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn itself(&self) -> Arc<OwnedFd> {
        self.fd.clone()
    }

    /// The folder at the safe relative `path`, made with all its parents if they are not there.
    pub(super) fn folder(&self, path: &str) -> io::Result<Arc<OwnedFd>> {
        if let Some(fd) = lock(&self.below).get(path) {
            return Ok(fd.clone());
        }
        let mut at = self.fd.clone();
        for part in path.split('/') {
            at = Arc::new(step(&at, part, self)?);
        }
        let most = descriptors::cached(MAX_OPEN_FOLDERS);
        let mut below = lock(&self.below);
        let full = below.len() >= most;
        let closed = if full { std::mem::take(&mut *below) } else { HashMap::new() };
        below.insert(path.to_owned(), at.clone());
        drop(below);
        drop(closed); // by the system, with no lock held
        Ok(at)
    }

    /// What lies at the safe relative `path`, which no symbolic link may lead to; nothing is opened by it.
    pub(super) fn kind(&self, path: &str) -> io::Result<FileType> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let found = patiently(|| openat2(&self.fd, path, flags, Mode::empty(), resolve))?;
        Ok(FileType::from_raw_mode(fstat(found)?.st_mode))
    }

    /// Opens the folder at the safe relative `path`, or itself if that is empty, as it is now; nothing is made.
    pub(super) fn existing(&self, path: &str) -> io::Result<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let path = if path.is_empty() { "." } else { path };
        Ok(openat2(&self.fd, path, FOLDER | OFlags::NOFOLLOW, Mode::empty(), resolve)?)
    }

    /// Opens the file at the safe relative `path`, which no symbolic link may be part of.
    pub(super) fn open_file(&self, path: &str) -> io::Result<File> {
        patiently(|| self.open_file_now(path))
    }

    /// The same, for who does not wait if the process is short of descriptors.
    pub(super) fn open_file_now(&self, path: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        Ok(File::from(openat2(&self.fd, path, flags, Mode::empty(), resolve)?))
    }

    /// Opens a file of this folder to write, made with this mode, if there is one, where it is not there. `None` if what
    /// lies there is not this folder's alone: it would lead elsewhere, or block.
    pub(super) fn own_file(&self, name: &str, made: Option<Mode>) -> io::Result<Option<File>> {
        let create = if made.is_some() { OFlags::CREATE } else { OFlags::empty() };
        let flags = OFlags::RDWR | create | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        match patiently(|| openat(&self.fd, name, flags, made.unwrap_or(Mode::empty()))) {
            Ok(fd) => {
                let file = File::from(fd);
                Ok(self.is_own(&file)?.then_some(file))
            }
            Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// True for a file that has no other name, and belongs to this user or to whom the folder belongs. Who could write
    /// here, but not there, may have linked what is precious elsewhere.
    fn is_own(&self, file: &File) -> io::Result<bool> {
        let (file, folder) = (fstat(file)?, fstat(&self.fd)?);
        let owners = [rustix::process::geteuid().as_raw(), folder.st_uid];
        let is_file = FileType::from_raw_mode(file.st_mode) == FileType::RegularFile;
        Ok(is_file && file.st_nlink <= 1 && owners.contains(&file.st_uid))
    }

    /// Removes a file of this folder.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.fd, name, AtFlags::empty())?)
    }

    /// Opens a file of this folder to read, which is this folder's alone.
    pub(super) fn open_existing(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(&self.fd, name, flags, Mode::empty())?);
        match self.is_own(&file)? {
            true => Ok(file),
            false => Err(Errno::LOOP.into()),
        }
    }
}

fn step(at: &OwnedFd, part: &str, root: &Folder) -> io::Result<OwnedFd> {
    let mode = if root.private { 0o700 } else { 0o777 };
    let open = || patiently(|| openat(at, part, FOLDER | OFlags::NOFOLLOW, Mode::empty()));
    match open() {
        Err(Errno::NOENT) => {
            match mkdirat(at, part, Mode::from_raw_mode(mode)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            if root.synced {
                fsync(at)?;
            }
            Ok(open()?)
        }
        opened => Ok(opened?),
    }
}

/// True if a symbolic link, or something that is no folder, was on the way.
pub(super) fn is_link_or_no_folder(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::LOOP | Errno::NOTDIR | Errno::XDEV))
}
