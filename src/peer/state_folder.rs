//! Files of our own: in `.p2p` of a folder, or wherever else a peer keeps its state. What lies in the place of one and is
//! not what it should be is renamed, never followed, waited for or deleted.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

use crate::descriptors::patiently;

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

/// Opens a plain file to read and to write, or only append; made if need be. Anything else in its place is set
/// aside.
pub(super) fn open_plain(path: &Path, append: bool) -> io::Result<File> {
    let open = || {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
        let mut options = OpenOptions::new();
        options.read(true).write(!append).append(append).create(true).truncate(false).custom_flags(flags);
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
