//! Files that only their owner may read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

/// Longest file of keys, in bytes.
pub const MAX_BYTES: u64 = 1 << 20;
/// What others than the owner may do with a private file: nothing.
const OTHERS: u32 = 0o077;
const PRIVATE: u32 = 0o600;

/// All of a private file.
///
/// # Errors
/// As of the system's calls; [`io::ErrorKind::PermissionDenied`] with how to mend it if others may read or write it;
/// [`io::ErrorKind::InvalidData`] if it is longer than [`MAX_BYTES`].
pub fn read_private(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = File::open(path)?;
    let found = file.metadata()?;
    if found.mode() & OTHERS != 0 {
        let shown = path.display();
        let mend = format!("others may read it; `chmod 600 {shown}` keeps it private");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, mend));
    }
    if found.len() > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long to be a file of keys"));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(found.len() as usize + 1)); // never moved, so nothing stays behind
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes a private file that is not there yet, whole or not at all, and puts it on the disk.
///
/// # Errors
/// As of the system's calls; [`io::ErrorKind::AlreadyExists`] if there is one.
pub fn create_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder.join(format!(".{name}.{}.new", std::process::id()));
    let written = write_new(&beside, bytes).and_then(|()| fs::hard_link(&beside, path));
    let _ = fs::remove_file(&beside);
    written?;
    File::open(folder)?.sync_all()
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(PRIVATE).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
