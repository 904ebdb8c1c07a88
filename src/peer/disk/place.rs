//! Files below a folder, reached so that no symbolic link and no `..` can lead out of it.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, chmod, fstat, fsync, mkdirat, openat, openat2,
    unlinkat,
};
use rustix::io::Errno;

use crate::descriptors::{self, patiently};
use crate::threads::lock;

/// Folders whose descriptors are kept; past it the cache starts anew.
const MAX_OPEN_FOLDERS: usize = 64;

/// What this user needs of a folder to fill it.
pub(super) const FILL: u32 = 0o700;

/// What this user needs of a file to read it.
const READ: u32 = 0o400;
/// All bits of a mode that are no kind.
const ALL_MODE: u32 = 0o7777;

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
        Ok(FileType::from_raw_mode(fstat(self.reach(path)?)?.st_mode))
    }

    /// What lies at the safe relative `path`, to be looked at from outside, whatever its mode.
    pub(super) fn peek(&self, path: &str) -> io::Result<File> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        Ok(File::from(patiently(|| openat2(&self.fd, path, flags, Mode::empty(), resolve))?))
    }

    /// The same, while this is filled: folders above it that are this user's and closed to him, as a listing wanted
    /// them, are opened up until they get their modes again.
    pub(super) fn reach(&self, path: &str) -> io::Result<File> {
        match self.peek(path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                for (end, _) in path.match_indices('/') {
                    open_up(self.peek(&path[..end])?, FILL)?;
                }
                self.peek(path)
            }
            found => found,
        }
    }

    /// Opens the file at the safe relative `path`, also if it is this user's and its mode keeps him from reading it.
    pub(super) fn open_closed(&self, path: &str) -> io::Result<File> {
        match self.open_file(path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let file = self.reach(path)?;
                let before = open_up(&file, READ)?;
                let opened = self.open_file(path);
                before.map_or(Ok(()), |mode| set_mode(&file, mode))?;
                opened
            }
            opened => opened,
        }
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
        Err(Errno::ACCESS) => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            open_up(&openat(at, part, flags, Mode::empty())?, FILL)?;
            Ok(open()?)
        }
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

/// Adds bits to the mode of something that is this user's. The mode it had, if it lacked them.
fn open_up(it: impl AsFd, bits: u32) -> io::Result<Option<u32>> {
    let stat = fstat(&it)?;
    if stat.st_uid != rustix::process::geteuid().as_raw() || stat.st_mode & bits == bits {
        return Ok(None);
    }
    set_mode(it, stat.st_mode | bits)?;
    Ok(Some(stat.st_mode))
}

/// By its number in this process: what is only looked at takes no mode otherwise.
fn set_mode(it: impl AsFd, mode: u32) -> io::Result<()> {
    let path = format!("/proc/self/fd/{}", it.as_fd().as_raw_fd());
    Ok(chmod(path, Mode::from_raw_mode(mode & ALL_MODE))?)
}

/// True if a symbolic link, or something that is no folder, was on the way.
pub(super) fn is_link_or_no_folder(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::LOOP | Errno::NOTDIR | Errno::XDEV))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_of_a_folder_alone_is_opened_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let own = Folder::open(folder.path()).unwrap();
        let open = |name: &str, made| own.own_file(name, made).map(|file| file.is_some());
        let made = Some(Mode::RUSR | Mode::WUSR);
        assert_eq!(open("a", None).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(open("a", made).unwrap() && open("a", None).unwrap() && own.open_existing("a").is_ok());
        assert_eq!(fstat(fs::File::open(at("a")).unwrap()).unwrap().st_mode & ALL_MODE, 0o600);
        fs::hard_link(at("a"), at("b")).unwrap();
        fs::create_dir(at("d")).unwrap();
        std::os::unix::fs::symlink("a", at("l")).unwrap();
        rustix::fs::mknodat(CWD, at("p"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        for name in ["a", "b", "d", "l", "p"] {
            assert!(!open(name, made).unwrap(), "{name}");
            assert!(own.open_existing(name).is_err(), "{name}");
        }
    }

    #[test]
    fn what_is_looked_at_is_below_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("d/e")).unwrap();
        fs::write(at("d/f"), "hello").unwrap();
        std::os::unix::fs::symlink("d", at("l")).unwrap();
        let root = Folder::open(folder.path()).unwrap();
        assert_eq!(root.kind("d/e").unwrap(), FileType::Directory);
        assert_eq!(root.kind("d/f").unwrap(), FileType::RegularFile);
        assert_eq!(root.kind("l").unwrap(), FileType::Symlink);
        assert_eq!(root.peek("d/f").unwrap().metadata().unwrap().len(), 5);
        assert!(is_link_or_no_folder(&root.kind("l/f").unwrap_err()));
        assert!(is_link_or_no_folder(&root.kind("d/f/x").unwrap_err()));
        assert_eq!(root.kind("none/x").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(!at("none").exists(), "nothing is made by it");
        root.folder("d/new").unwrap();
        assert!(at("d/new").is_dir() && root.existing("d/new").is_ok() && root.existing("").is_ok());
        assert!(root.existing("none").is_err() && root.existing("l").is_err());
    }
}
