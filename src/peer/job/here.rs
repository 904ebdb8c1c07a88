//! What is wanted and is in the shared folder already: it is copied from there, each chunk proved as it goes, and
//! nobody is asked for it. What has changed there meanwhile, or is not there, is left to the network.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::error::FetchError;
use super::handle::Course;
use super::want::Want;
use crate::content::{ChunkSet, FileId, Layout, Looks, Manifest, Place, hash_chunk, proof_run};
use crate::peer::disk::Disk;
use crate::peer::share::{Holding, Share, Standing, looks_of, read_chunk};
use crate::wire::{Offer, View};

/// Where bytes are that may be the ones wanted.
pub(super) enum Source {
    File(File),
    Memory(Arc<[u8]>),
}

impl Source {
    /// Mode and time of a file.
    fn looks(&self) -> Option<Looks> {
        match self {
            Source::File(file) => file.metadata().ok().map(|metadata| looks_of(&metadata)),
            Source::Memory(_) => None,
        }
    }

    fn read(&self, place: Place) -> io::Result<Vec<u8>> {
        match self {
            Source::File(file) => read_chunk(file, place),
            Source::Memory(bytes) => {
                let (start, end) = (place.offset as usize, (place.offset + place.len) as usize);
                bytes.get(start..end).map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
            }
        }
    }
}

/// Bytes of the content, if the shared folder has it as what is wanted.
pub(super) fn size_here(share: &Share, want: &Want) -> Option<u64> {
    let Want { id, name, size, .. } = want;
    let offers = share.offers_of(*id);
    let fits = |offer: &&Offer| {
        let claimed = if name.is_tree() { offer.total } else { offer.size };
        offer.complete
            && offer.name.ends_with('/') == name.is_tree()
            && size.is_none_or(|size| size == claimed)
    };
    offers.iter().find(fits).map(|offer| offer.size)
}

/// Copies what the shared folder has of the files that a job is to fetch; `had` gains their chunks.
pub(super) fn take_here(
    share: &Share,
    job: &Course,
    disk: &Disk,
    had: &mut ChunkSet,
) -> Result<(), FetchError> {
    let layout = disk.plan().layout.clone();
    let wanted = disk.plan().wanted();
    for file in 0..disk.plan().files() {
        if layout.chunks_of(file).all(|chunk| had.contains(chunk) || !wanted.contains(chunk)) {
            continue;
        }
        let id = disk.plan().id_of(file);
        if let Some((source, manifest)) = find(share, id, &layout, file) {
            if let Some(looks) = source.looks() {
                disk.hear_looks(looks, true);
            }
            copy(job, disk, had, (file, &source, &manifest), false)?;
        }
    }
    Ok(())
}

/// Copies the chunks of a file that `source` has, each proved; one that differs there is passed over if `differs`, else
/// nothing more is taken from it.
pub(super) fn copy(
    job: &Course,
    disk: &Disk,
    had: &mut ChunkSet,
    (file, source, manifest): (usize, &Source, &Manifest),
    differs: bool,
) -> Result<(), FetchError> {
    let layout = &disk.plan().layout;
    let fresh = layout.chunks_of(file).all(|chunk| !had.contains(chunk));
    // What shares its blocks with the source is proved by reading it where it then lies.
    let cloned = match source {
        Source::File(from) if fresh => disk.clone_of(file, from),
        _ => None,
    };
    for number in layout.chunks_of(file).filter(|number| !had.contains(*number)).collect::<Vec<_>>() {
        if job.is_cancelled() {
            return Err(FetchError::Interrupted);
        }
        let Some(place) = layout.place(number) else { return Ok(()) };
        let read = cloned.as_ref().map_or_else(|| source.read(place), |file| read_chunk(file, place));
        let Ok(bytes) = read else { return Ok(()) };
        let hash = hash_chunk(manifest.geometry(), place.chunk, &bytes);
        if manifest.hashes().get(place.chunk.get() as usize) != Some(&hash) {
            if differs {
                continue;
            }
            tracing::debug!("what is shared as {} is not that any more", disk.plan().id_of(file));
            return Ok(());
        }
        if manifest.geometry().chunks() == 1 {
            disk.write_small(file, &bytes, FileId(hash.0))?;
        } else {
            if cloned.is_none() {
                disk.write(place, 0, &bytes)?;
            }
            let run = proof_run(manifest.geometry(), place.chunk);
            disk.keep(number, place, hash, manifest.prove(run).ok().map(Arc::new))?;
        }
        had.insert(number);
    }
    Ok(())
}

/// A file or listing of the shared folder that is said to have this content, and what its chunks must be.
fn find(share: &Share, id: FileId, layout: &Layout, file: usize) -> Option<(Source, Arc<Manifest>)> {
    let source = match share.find(id, View::Bytes)? {
        Holding::Listing(_, bytes) => Source::Memory(bytes),
        Holding::File(_, source) => match share.open_source(&source.path, id).ok()? {
            Standing::Sound(file, _) | Standing::Doubted(file) => Source::File(file),
            Standing::Gone => return None,
        },
        Holding::Members(_) => return None,
    };
    let manifest = share.manifest(id)?;
    (layout.files().get(file) == Some(&manifest.geometry())).then_some((source, manifest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Geometry;

    #[test]
    fn what_lies_beyond_the_end_of_a_listing_is_not_there() {
        let source = Source::Memory(Arc::from(*b"listing"));
        let chunk = Geometry::of(7).unwrap().index(0).unwrap();
        let read = |offset, len| source.read(Place { file: 0, chunk, offset, len });
        assert_eq!(read(0, 7).unwrap(), b"listing");
        assert_eq!(read(3, 4).unwrap(), b"ting");
        for (offset, len) in [(3, 5), (7, 1), (8, 0)] {
            assert_eq!(read(offset, len).unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "{offset} {len}");
        }
        assert_eq!(source.looks(), None, "mode and time are those of files");
    }
}
