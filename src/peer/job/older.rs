//! What an older version at the destination has of what is wanted: chunks that are the same at the same place are
//! copied, each proved as it goes, and not fetched. Which these are, the chunk hashes tell, which holders are asked for.

use std::net::SocketAddr;
use std::sync::Arc;

use super::error::FetchError;
use super::handle::Course;
use super::here::{Source, copy};
use super::means::Means;
use crate::content::{ChunkSet, FileId, Manifest, PeerId};
use crate::net::NetError;
use crate::peer::disk::Disk;
use crate::peer::transfer::manifest::{Hashes, Holder, Listed};
use crate::wire::{self, Variant, View};

/// Holders that are asked, one after the other, until all hashes are known: as many as the stores that a content is on at
/// most. Without an answer all is fetched.
const MOST_ASKED: usize = 16;
/// After so many that did not answer nobody else is asked: each takes time.
const MOST_SILENT: usize = 3;

/// Files whose hashes are asked for together: a holder is not waited for file by file.
const TOGETHER: usize = 64;

/// Copies what is at the destination already of files that are to be replaced; `had` gains their chunks.
pub(super) fn take_older(
    means: &Means,
    job: &Course,
    (content, disk): ((FileId, View), &Disk),
    had: &mut ChunkSet,
    variants: &[Variant],
) -> Result<(), FetchError> {
    let mut older = older(disk, had);
    let mut silent = 0;
    for (peer, addresses) in holders(means, variants) {
        if older.is_empty() || silent == MOST_SILENT {
            break;
        }
        let asked = ask(means, (peer, &addresses), content, &mut older, &mut |file, manifest| {
            // What stands there may have gone since.
            let Some(from) = disk.older(file) else { return Ok(()) };
            copy(job, disk, had, (file, &Source::File(from), &Arc::new(manifest)), true)
        })?;
        if let Err(error) = asked {
            tracing::debug!("peer {peer} does not say what the chunks of {} are: {error}", content.0);
            silent += 1;
        }
    }
    Ok(())
}

/// The files of more than one chunk that are not all here, where one stands in their place that is to be replaced.
fn older(disk: &Disk, had: &ChunkSet) -> Vec<Hashes> {
    let layout = &disk.plan().layout;
    let files = layout.files().iter().enumerate();
    let missing = files.filter(|(file, geometry)| {
        geometry.chunks() > 1 && layout.chunks_of(*file).any(|chunk| !had.contains(chunk))
    });
    let listed = |(file, geometry)| Listed { file, id: disk.plan().id_of(file), geometry };
    missing
        .filter(|(file, _)| disk.older(*file).is_some())
        .map(|(file, geometry)| Hashes::new(listed((file, *geometry))))
        .collect()
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

/// Asks one holder for the hashes of all files of `older`; those whose hashes are known go to `take`. The inner error is
/// the holder's.
fn ask(
    means: &Means,
    holder: (PeerId, &[SocketAddr]),
    content: (FileId, View),
    older: &mut Vec<Hashes>,
    take: &mut dyn FnMut(usize, Manifest) -> Result<(), FetchError>,
) -> Result<Result<(), NetError>, FetchError> {
    let mut holder = match Holder::open(&means.identity, holder, content) {
        Ok(holder) => holder,
        Err(error) => return Ok(Err(error)),
    };
    let mut left = Vec::new();
    let mut asked = Ok(());
    while asked.is_ok() && !older.is_empty() {
        let mut some: Vec<Hashes> = older.drain(..older.len().min(TOGETHER)).collect();
        asked = holder.tell_all(&mut some);
        for hashes in some {
            match hashes.manifest() {
                Some(manifest) => take(hashes.listed.file, manifest)?,
                None => left.push(hashes),
            }
        }
    }
    left.append(older);
    *older = left;
    holder.leave();
    Ok(asked)
}
