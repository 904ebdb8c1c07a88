//! Asks who has a content for the chunk hashes of its files: what is kept of another version of them, chunk by chunk at the
//! same place, is then not fetched again.

use std::net::SocketAddr;

use super::store::Store;
use super::vault::Lot;
use crate::content::{FileId, PeerId};
use crate::net::NetError;
use crate::peer::transfer::manifest::{Hashes, Holder, Listed};
use crate::wire::{Keep, View};

/// Sources that are asked, one after the other, until all hashes are known: without an answer all is fetched.
const MOST_ASKED: usize = 3;
/// Most files of a content that are asked for, the largest: each is a round trip.
const MOST_FILES: usize = 256;
/// Files of fewer chunks are fetched sooner than asked for.
const LEAST_CHUNKS: u32 = 4;

/// Lets a lot know the hashes of those of its files, as `ids`, that a version may be kept of; and of a part of a code, of which each store
/// knows all hashes: what nobody has any more is decoded, and they tell whether it is right. True if all of those are known, or nobody who can
/// be dialled is there to tell them.
pub(super) fn learn(store: &Store, keep: &Keep, view: View, ids: &[FileId], lot: &mut Lot) -> bool {
    // The listing of a folder is kept by all who keep members.
    let is_coded = keep.code.is_some() && view == keep.view;
    let geometries = lot.layout().files().iter();
    let listed = ids.iter().zip(geometries).enumerate();
    let mut files: Vec<Listed> =
        listed.map(|(file, (id, geometry))| Listed { file, id: *id, geometry: *geometry }).collect();
    files.retain(|listed| {
        let chunks = listed.geometry.chunks();
        let has_versions = || store.vault.may_have_versions(listed.id, listed.geometry);
        (is_coded && chunks > 1) || (chunks >= LEAST_CHUNKS && has_versions())
    });
    files.sort_by_key(|listed| std::cmp::Reverse(listed.geometry.size()));
    files.truncate(if is_coded { usize::MAX } else { MOST_FILES });
    let mut files: Vec<Hashes> = files.into_iter().map(Hashes::new).collect();
    let has_sources = store.sources(keep).next().is_some();
    for (peer, addresses) in store.sources(keep).take(if is_coded { usize::MAX } else { MOST_ASKED }) {
        if files.is_empty() {
            break;
        }
        if let Err(error) = ask(store, (peer, &addresses), (keep.id, view), &mut files, lot) {
            tracing::debug!("{addresses:?} does not say what the chunks of {} are: {error}", keep.id);
        }
        files.retain(|hashes| {
            let known = hashes.manifest().map(|manifest| manifest.hashes().to_vec());
            known.is_none_or(|known| lot.know(hashes.listed.file, known).is_err())
        });
    }
    files.is_empty() || !is_coded || !has_sources
}

fn ask(
    store: &Store,
    at: (PeerId, &[SocketAddr]),
    content: (FileId, View),
    files: &mut [Hashes],
    lot: &Lot,
) -> Result<(), NetError> {
    let mut holder = Holder::open(&store.means.identity, at, content)?;
    holder.looks.into_iter().for_each(|looks| lot.hear_looks(looks));
    holder.tell_all(files)?;
    holder.leave();
    Ok(())
}
