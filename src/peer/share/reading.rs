//! Reading of shared files: they are opened only as what they are expected to be, and it is told apart what is over at
//! the next try from what says something of the file.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::record::below;
use crate::content::{Geometry, Place, Reason};
use crate::descriptors::Shortage;
use crate::peer::stamp::Stamp;

/// Opens a file that is expected to look like `stamp`, or to have grown since. `None` if it looks otherwise.
///
/// # Errors
/// Those of opening.
pub(super) fn open_stamped(root: &Path, path: &str, stamp: Stamp) -> io::Result<Option<File>> {
    let file = open_quietly(root, path)?;
    Ok(may_be_read(&file, stamp)?.then_some(file))
}

/// Opens a file that is expected to look like `stamp`, but for the time of its inode. `None` if it looks otherwise.
///
/// # Errors
/// Those of opening.
pub(super) fn open_like(root: &Path, path: &str, stamp: Stamp) -> io::Result<Option<File>> {
    let file = open_quietly(root, path)?;
    let metadata = file.metadata()?;
    Ok((metadata.is_file() && Stamp::of(&metadata).may_be(&stamp)).then_some(file))
}

/// Opens a file to read it.
///
/// # Errors
/// Those of opening.
pub(super) fn open_quietly(root: &Path, path: &str) -> io::Result<File> {
    // Whatever has taken the file's place, opening it must not block or take a terminal.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
    File::options().read(true).custom_flags(flags).open(below(root, path))
}

/// True if an open file still looks like `stamp`, or has only grown since.
///
/// # Errors
/// What the system says.
pub(super) fn may_be_read(file: &File, stamp: Stamp) -> io::Result<bool> {
    let metadata = file.metadata()?;
    let now = Stamp::of(&metadata);
    Ok(metadata.is_file() && (now == stamp || now.may_have_grown_from(&stamp)))
}

/// The bytes of one chunk.
///
/// # Errors
/// Those of reading; the end of the file among them. Of a file that is as long as it was, that is a disk that fails.
pub(in crate::peer) fn read_chunk(file: &File, place: Place) -> io::Result<Vec<u8>> {
    let len = usize::try_from(place.len.min(Geometry::MAX_CHUNK_SIZE)).unwrap_or_default();
    let mut bytes = vec![0; len];
    read_at(file, &mut bytes, place.offset)?;
    Ok(bytes)
}

/// Fills the buffer from a place in a file.
///
/// # Errors
/// As [`read_chunk`].
pub(in crate::peer) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    let end = offset.saturating_add(buffer.len() as u64);
    match file.read_exact_at(buffer, offset) {
        Err(error)
            if error.kind() == io::ErrorKind::UnexpectedEof
                && file.metadata().is_ok_and(|metadata| metadata.len() >= end) =>
        {
            Err(disk_failure())
        }
        read => read,
    }
}

/// What the system says of a disk that fails.
pub(super) fn disk_failure() -> io::Error {
    Errno::IO.into()
}

/// True for what may be over at the next try, and says nothing of what is in the file.
pub(in crate::peer) fn is_passing(error: &io::Error) -> bool {
    let failures = [Errno::IO, Errno::TIMEDOUT];
    error.is_shortage() || Errno::from_io_error(error).is_some_and(|error| failures.contains(&error))
}

/// What becomes of a file that could not be read: one that vanished is not there to be left out.
pub(super) fn unread(error: &io::Error) -> Option<Reason> {
    (error.kind() != io::ErrorKind::NotFound).then_some(Reason::Unreadable)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_short_read_of_a_file_that_is_as_long_as_it_was_is_a_failure_of_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "123").unwrap();
        let file = fs::File::open(folder.path().join("a")).unwrap();
        let shorter = read_at(&file, &mut [0; 4], 0).unwrap_err();
        assert!(!is_passing(&shorter), "it is shorter");
        // Files of the kernel say that they are a page long and end before.
        let Ok(kernel) = fs::File::open("/sys/kernel/uevent_seqnum") else { return };
        let short = read_at(&kernel, &mut [0; 4000], 0).unwrap_err();
        assert!(is_passing(&short), "{short}");
    }
}
