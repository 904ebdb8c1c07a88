//! What an older version at the destination has of what is wanted: chunks that are the same at the same place are
//! copied, each proved as it goes, and not fetched. Which these are, the chunk hashes tell, which one holder is asked for.

use std::fs::File;
use std::net::SocketAddr;
use std::sync::Arc;

use super::error::FetchError;
use super::handle::Course;
use super::here::{Source, copy};
use super::means::Means;
use crate::content::{ChunkSet, FileId, PeerId};
use crate::net::NetError;
use crate::peer::disk::Disk;
use crate::peer::transfer::manifest::{Holder, Listed};
use crate::wire::{self, Variant, View};

/// Holders that are asked, one after the other, until one answers: without an answer all is fetched.
const MOST_ASKED: usize = 3;

/// Copies what is at the destination already of files that are to be replaced; `had` gains their chunks.
pub(super) fn take_older(
    means: &Means,
    job: &Course,
    (content, disk): ((FileId, View), &Disk),
    had: &mut ChunkSet,
    variants: &[Variant],
) -> Result<(), FetchError> {
    let mut older = older(disk, had);
    for (peer, addresses) in holders(means, variants) {
        if older.is_empty() {
            break;
        }
        if let Err(error) = take_with(means, job, (peer, &addresses), (content, disk), had, &mut older)? {
            tracing::debug!("peer {peer} does not say what the chunks of {} are: {error}", content.0);
        }
    }
    Ok(())
}

/// The files of more than one chunk that nothing is here of, and what stands in their place.
fn older(disk: &Disk, had: &ChunkSet) -> Vec<(Listed, File)> {
    let layout = &disk.plan().layout;
    let files = layout.files().iter().enumerate();
    let missing = files.filter(|(file, geometry)| {
        geometry.chunks() > 1 && layout.chunks_of(*file).any(|chunk| !had.contains(chunk))
    });
    let listed = |(file, geometry)| Listed { file, id: disk.plan().id_of(file), geometry };
    missing.filter_map(|(file, geometry)| Some((listed((file, *geometry)), disk.older(file)?))).collect()
}

/// Where those are who may know the hashes, who has all of it first.
fn holders(means: &Means, variants: &[Variant]) -> Vec<(PeerId, Vec<SocketAddr>)> {
    let all = variants
        .iter()
        .flat_map(|variant| means.others(variant).map(move |holder| (holder.have < variant.chunks, holder)));
    let mut all: Vec<_> = all.collect();
    all.sort_by_key(|(partial, _)| *partial);
    all.truncate(MOST_ASKED);
    let dialled = |holder: &wire::Holder| holder.addresses.iter().map(|address| address.socket()).collect();
    all.into_iter().map(|(_, holder)| (holder.peer, dialled(holder))).collect()
}

/// Takes one file after the other off the end of `older`; the inner error is the holder's.
fn take_with(
    means: &Means,
    job: &Course,
    holder: (PeerId, &[SocketAddr]),
    (content, disk): ((FileId, View), &Disk),
    had: &mut ChunkSet,
    older: &mut Vec<(Listed, File)>,
) -> Result<Result<(), NetError>, FetchError> {
    let mut holder = match Holder::open(&means.identity, holder, content) {
        Ok(holder) => holder,
        Err(error) => return Ok(Err(error)),
    };
    while let Some((listed, _)) = older.last() {
        let manifest = match holder.manifest(*listed) {
            Ok(manifest) => Arc::new(manifest),
            Err(error) => return Ok(Err(error)),
        };
        let Some((listed, file)) = older.pop() else { break };
        copy(job, disk, had, (listed.file, &Source::File(file), &manifest), true)?;
    }
    holder.leave();
    Ok(Ok(()))
}
