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
    let mut files: Vec<Hashes> = files.into_iter().map(Hashes::new).collect();
    let me = store.means.identity.peer.get();
    let sources = keep.sources.iter().filter(|source| source.peer != me && !source.addresses.is_empty());
    for source in sources.take(MOST_ASKED) {
        if files.is_empty() {
            return;
        }
        let addresses: Vec<SocketAddr> = source.addresses.iter().map(|address| address.socket()).collect();
        let at = (source.peer, addresses.as_slice());
        if let Err(error) = ask(store, at, (keep.id, view), &mut files) {
            tracing::debug!("{addresses:?} does not say what the chunks of {} are: {error}", keep.id);
        }
        files.retain(|hashes| {
            let known = hashes.manifest().map(|manifest| manifest.hashes().to_vec());
            known.is_none_or(|known| lot.know(hashes.listed.file, known).is_err())
        });
    }
}

fn ask(
    store: &Store,
    at: (PeerId, &[SocketAddr]),
    content: (FileId, View),
    files: &mut [Hashes],
) -> Result<(), NetError> {
    let mut holder = Holder::open(&store.means.identity, at, content)?;
    files.iter_mut().try_for_each(|hashes| holder.tell(hashes))?;
    holder.leave();
    Ok(())
}
