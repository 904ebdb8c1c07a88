//! Asks who has a content for the chunk hashes of its files: what is kept of another version of them, chunk by chunk at the
//! same place, is then not fetched again.

use std::net::SocketAddr;

use super::store::Store;
use super::vault::Lot;
use crate::content::FileId;
use crate::peer::transfer::manifest::{Holder, Listed};
use crate::wire::{Keep, View};

/// Sources that are asked, one after the other, until one answers: without an answer all is fetched.
const MOST_ASKED: usize = 3;
/// Most files of a content that are asked for, the largest: each is a round trip.
const MOST_FILES: usize = 256;
/// Files of fewer chunks are fetched sooner than asked for.
const LEAST_CHUNKS: u32 = 4;

/// Lets a lot know the hashes of those of its files, as `ids`, that a version may be kept of.
pub(super) fn learn(store: &Store, keep: &Keep, view: View, ids: &[FileId], lot: &mut Lot) {
    let geometries = lot.layout().files().iter();
    let listed = ids.iter().zip(geometries).enumerate();
    let mut files: Vec<Listed> =
        listed.map(|(file, (id, geometry))| Listed { file, id: *id, geometry: *geometry }).collect();
    files.retain(|listed| {
        listed.geometry.chunks() >= LEAST_CHUNKS && store.vault.may_have_versions(listed.id, listed.geometry)
    });
    files.sort_by_key(|listed| std::cmp::Reverse(listed.geometry.size()));
    files.truncate(MOST_FILES);
    let me = store.means.identity.peer.get();
    let sources = keep.sources.iter().filter(|source| source.peer != me && !source.addresses.is_empty());
    for source in sources.take(MOST_ASKED) {
        if files.is_empty() {
            return;
        }
        let addresses: Vec<SocketAddr> = source.addresses.iter().map(|address| address.socket()).collect();
        let mut holder = match Holder::open(&store.means.identity, (source.peer, &addresses), (keep.id, view))
        {
            Ok(holder) => holder,
            Err(error) => {
                tracing::debug!("{addresses:?} does not say what the chunks of {} are: {error}", keep.id);
                continue;
            }
        };
        // Who cannot tell of one may of the next.
        files.retain(|listed| {
            let told = holder.manifest(*listed).ok();
            told.is_none_or(|manifest| lot.know(listed.file, manifest.hashes().to_vec()).is_err())
        });
        holder.leave();
    }
}
