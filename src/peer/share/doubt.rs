//! What is done when a file may not be what it was hashed as: its bytes are asked, and they alone decide.
//!
//! A file that looks as it did is served as it is. One that only may be what it was is served chunk by chunk, each
//! proved before it leaves. Whoever says that bytes do not prove has the chunk read again here; only if that reading
//! says so too is the file withdrawn and hashed anew, and the user told. That it cannot be read now says neither:
//! until it can be, it is served chunk by chunk.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use rustix::io::Errno;

use super::hash::open_quietly;
use super::record::below;
use super::{Core, Share, lock};
use crate::content::{FileId, Geometry, Place, hash_chunk};
use crate::descriptors::Shortage;
use crate::peer::stamp::Stamp;

/// A file that was opened to be served.
#[derive(Debug)]
pub enum Standing {
    /// It looks as it did when it was hashed.
    Sound(File, Stamp),
    /// It may be what was hashed, or begin with it: only proved chunks of it may be served.
    Doubted(File),
    /// It is something else, or the path has another content by now.
    Gone,
}

impl Share {
    /// Opens the file at `path` to serve it as the content `id`.
    ///
    /// # Errors
    /// Those of opening.
    pub fn open_source(&self, path: &str, id: FileId) -> io::Result<Standing> {
        let Some(stamp) = self.stamp_of(path, id) else { return Ok(Standing::Gone) };
        let file = open_quietly(self.root(), path)?;
        let metadata = file.metadata()?;
        let now = Stamp::of(&metadata);
        Ok(match metadata.is_file() {
            true if now == stamp && !lock(&self.core.later).waits(path) => Standing::Sound(file, stamp),
            true if now.may_hold(&stamp) => Standing::Doubted(file),
            _ => Standing::Gone,
        })
    }

    /// The stamp under which the file at `path` was hashed as `id`, if it is still offered as that, or only longer.
    pub fn stamp_of(&self, path: &str, id: FileId) -> Option<Stamp> {
        self.core.read().sources_of(id).find(|source| *source.path == *path).map(|source| source.stamp)
    }

    /// Changes whenever a file was found not to be what it was offered as, however it looks.
    pub fn withdrawals(&self) -> u64 {
        self.core.withdrawals.load(Ordering::Acquire)
    }

    /// One chunk of a file of the content `id`; `None` if its bytes are not those that were hashed.
    ///
    /// # Errors
    /// Those of reading.
    pub fn proved_chunk(&self, id: FileId, file: &File, place: Place) -> io::Result<Option<Vec<u8>>> {
        let Some(manifest) = self.manifest(id) else { return Ok(None) };
        let bytes = match read_chunk(file, place) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        };
        let hash = hash_chunk(manifest.geometry(), place.chunk, &bytes);
        Ok((manifest.hashes().get(place.chunk.get() as usize) == Some(&hash)).then_some(bytes))
    }

    /// Somebody says that this chunk did not prove, or could not read it: it is read again here.
    pub fn check(&self, path: &Arc<str>, id: FileId, place: Place) {
        let read = match self.open_source(path, id) {
            Ok(Standing::Sound(file, _) | Standing::Doubted(file)) => self.proved_chunk(id, &file, place),
            Ok(Standing::Gone) => return self.look_at(path),
            Err(error) => Err(error),
        };
        self.judge(path, id, read);
    }

    /// What is read of a doubted chunk decides.
    pub(super) fn judge(&self, path: &Arc<str>, id: FileId, read: io::Result<Option<Vec<u8>>>) {
        match read {
            Ok(Some(_)) => tracing::debug!(path = &**path, "a chunk was doubted, and proves"),
            Ok(None) => self.expose(path, id),
            Err(error) if is_passing(&error) => self.put_off(path, &error),
            Err(error) => {
                tracing::warn!(path = &**path, "it cannot be read, and is not shared until it can: {error}");
                self.withdraw(path);
            }
        }
    }

    /// The file at `path` could not be read now: it is read again, and until then nobody gets what was not proved.
    /// What this process is short of is no reason for that.
    pub fn put_off(&self, path: &Arc<str>, error: &io::Error) {
        if error.is_shortage() {
            return;
        }
        self.core.put_off(path, error);
        // Whoever has it open looks at it again.
        self.core.withdrawals.fetch_add(1, Ordering::Release);
    }

    /// The file at `path` does not hold the bytes that were hashed as `id`, however it looks.
    pub fn expose(&self, path: &str, id: FileId) {
        self.core.write().earlier.forget(path);
        let known = self.core.read().catalogue.file(path).copied();
        // What it was before it grew is not what it is offered as.
        let Some(known) = known.filter(|known| known.id == id) else { return };
        let now = std::fs::metadata(below(self.root(), path)).ok().map(|metadata| Stamp::of(&metadata));
        if now.is_some_and(|now| now.may_be(&known.stamp)) {
            self.core.tell_of_hidden_change(path);
        }
        self.withdraw(path);
    }
}

impl Core {
    /// What is at `path` is looked at again, ever less often until it can be read.
    pub(super) fn put_off(&self, path: &Arc<str>, error: &io::Error) {
        if lock(&self.later).put_off(path.clone(), Instant::now()) {
            let path = if path.is_empty() { "." } else { &**path };
            tracing::warn!(path, "it cannot be read now, and is tried again: {error}");
        }
        self.mailbox.wake();
    }

    /// The user is told of a file that is not what it seems to be.
    pub(super) fn tell_of_hidden_change(&self, path: &str) {
        tracing::warn!(
            path,
            "its bytes have changed although its size and time have not; it is hashed anew and shared as what it is now"
        );
    }
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
