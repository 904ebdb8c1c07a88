//! What is done when a file may not be what it was hashed as: its bytes are asked, and they alone decide.
//!
//! A file that looks as it did is served as it is. One that only may be what it was is served chunk by chunk, each
//! proved before it leaves. Whoever says that bytes do not prove has the chunk read again here; only if that reading
//! says so too is the file withdrawn and hashed anew, and the user told. That it cannot be read now says neither:
//! until it can be, it is served chunk by chunk.

use std::fs::{self, File};
use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::core::Core;
use super::find;
use super::holding::Standing;
use super::reading::{is_passing, open_quietly, read_chunk};
use super::record::below;
use crate::content::{FileId, Place, hash_chunk};
use crate::descriptors::Shortage;
use crate::peer::stamp::Stamp;

/// Opens the file at `path` to serve it as the content `id`.
pub(super) fn open_source(core: &Core, path: &str, id: FileId) -> io::Result<Standing> {
    let Some(stamp) = stamp_of(core, path, id) else { return Ok(Standing::Gone) };
    let file = open_quietly(&core.walker.root, path)?;
    let metadata = file.metadata()?;
    let now = Stamp::of(&metadata);
    if !metadata.is_file() {
        return Ok(Standing::Gone);
    }
    if now == stamp && !core.read().waits(path) {
        return Ok(Standing::Sound(file, stamp));
    }
    Ok(if now.may_hold(&stamp) { Standing::Doubted(file) } else { Standing::Gone })
}

/// The stamp under which the file at `path` was hashed as `id`, if it is still offered as that, or only longer.
pub(super) fn stamp_of(core: &Core, path: &str, id: FileId) -> Option<Stamp> {
    core.read().sources_of(id).find(|source| *source.path == *path).map(|source| source.stamp)
}

/// One chunk of a file of the content `id`; `None` if its bytes are not those that were hashed.
pub(super) fn proved_chunk(
    core: &Core,
    id: FileId,
    file: &File,
    place: Place,
) -> io::Result<Option<Vec<u8>>> {
    let Some(manifest) = find::manifest(core, id) else { return Ok(None) };
    let bytes = match read_chunk(file, place) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    };
    let hash = hash_chunk(manifest.geometry(), place.chunk, &bytes);
    Ok((manifest.hashes().get(place.chunk.get() as usize) == Some(&hash)).then_some(bytes))
}

/// Somebody says that this chunk did not prove, or could not read it: it is read again here.
pub(super) fn check(core: &Core, path: &Arc<str>, id: FileId, place: Place) {
    let read = match open_source(core, path, id) {
        Ok(Standing::Sound(file, _) | Standing::Doubted(file)) => proved_chunk(core, id, &file, place),
        Ok(Standing::Gone) => return core.mailbox.post([path.clone()]),
        Err(error) => Err(error),
    };
    judge(core, path, id, read);
}

/// What is read of a doubted chunk decides.
pub(super) fn judge(core: &Core, path: &Arc<str>, id: FileId, read: io::Result<Option<Vec<u8>>>) {
    match read {
        Ok(Some(_)) => tracing::debug!(path = &**path, "a chunk was doubted, and proves"),
        Ok(None) => expose(core, path, id),
        Err(error) if is_passing(&error) => put_off(core, path, &error),
        Err(error) => {
            tracing::warn!(path = &**path, "it cannot be read, and is not shared until it can: {error}");
            core.withdraw(path);
        }
    }
}

/// The file at `path` could not be read now: it is read again, and until then nobody gets what was not proved.
/// What this process is short of is no reason for that.
pub(super) fn put_off(core: &Core, path: &Arc<str>, error: &io::Error) {
    if error.is_shortage() {
        return;
    }
    core.step(|state| ((), state.put_off(path, error, Instant::now()).into_iter().collect()));
    core.count_withdrawal(); // whoever has it open looks at it again
}

/// The file at `path` does not hold the bytes that were hashed as `id`, however it looks.
pub(super) fn expose(core: &Core, path: &str, id: FileId) {
    let now = fs::metadata(below(&core.walker.root, path)).ok().map(|metadata| Stamp::of(&metadata));
    core.step(|state| {
        let effects = state.expose(path, id, now);
        if !effects.is_empty() {
            core.count_withdrawal();
        }
        ((), effects)
    });
}

#[cfg(test)]
mod tests;
