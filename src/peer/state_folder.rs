//! Files of our own: in `.p2p` of a folder, or wherever else a peer keeps its state. What lies in the place of one and is
//! not what it should be is renamed, never followed, waited for or deleted.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use crate::descriptors::patiently;

/// What a copy is called until it is whole; a random number follows.
const COPY: &str = "new-";

/// Renames what lies in the way of a file of our own, because it `what`, so that nothing of somebody else's
/// is lost. True if the way is free.
pub(super) fn set_aside(path: &Path, what: &str) -> bool {
    const MOST: u32 = 100;
    let name = |number: u32| format!("{}.damaged{}", path.display(), number);
    let Some(aside) = (1..=MOST).map(name).find(|aside| std::fs::symlink_metadata(aside).is_err()) else {
        return false;
    };
    let renamed = std::fs::rename(path, &aside).is_ok();
    if renamed {
        tracing::warn!("{} {what}; it is called {aside} now, and begun anew", path.display());
    }
    renamed
}

/// Makes a folder of our own; anything else in its place is set aside.
pub(super) fn make_own_folder(path: &Path) -> io::Result<()> {
    let is_folder = std::fs::symlink_metadata(path).map(|metadata| metadata.is_dir());
    if matches!(is_folder, Ok(false)) {
        set_aside(path, "is not a folder");
    }
    std::fs::create_dir_all(path)
}

/// Opens a plain file to read and to write; made if need be. Anything else in its place is set aside.
pub(super) fn open_plain(path: &Path) -> io::Result<File> {
    open_or_set_aside(path, OpenOptions::new().read(true).write(true))
}

/// Opens a plain file to read and to append to; made if need be. Anything else in its place is set aside. One that has
/// another name, which a backup may have given it, becomes a copy: the other is not written to.
pub(super) fn open_log(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true);
    let mut file = open_or_set_aside(path, &mut options)?;
    if file.metadata()?.nlink() <= 1 {
        return Ok(file);
    }
    let copy = path.with_extension(format!("{COPY}{:016x}", fastrand::u64(..)));
    let copied = File::create_new(&copy).and_then(|mut to| io::copy(&mut file, &mut to));
    match copied.and_then(|_| std::fs::rename(&copy, path)) {
        Ok(()) => open_or_set_aside(path, &mut options),
        Err(error) => {
            let _ = std::fs::remove_file(&copy);
            Err(error)
        }
    }
}

fn open_or_set_aside(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    options.create(true).truncate(false).custom_flags(flags);
    let open = || {
        let file = patiently(|| options.open(path))?;
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::ErrorKind::InvalidInput.into()),
        }
    };
    open().or_else(|error: io::Error| match error.kind() {
        // Its folder is not there.
        io::ErrorKind::NotFound => Err(error),
        _ if set_aside(path, "is not a file") => open(),
        _ => Err(error),
    })
}

/// Removes folders, innermost first, up to the first that something is in.
pub(super) fn remove_if_empty<'a>(folders: impl IntoIterator<Item = &'a Path>) {
    let _ = folders.into_iter().try_for_each(std::fs::remove_dir);
}
