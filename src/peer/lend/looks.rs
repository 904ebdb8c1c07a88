//! Asks who has a file for its mode and time, when no chunk of it has to be fetched: it is here as one of a folder's,
//! whose listing has them.

use super::store::Store;
use super::vault::{Kind, Lot};
use crate::content::ChunkSet;
use crate::peer::transfer::manifest::Holder;
use crate::wire::{Keep, View};

/// Sources that are asked, one after the other, until one knows.
const MOST_ASKED: usize = 3;

/// Lets a file know its mode and time, if nobody has said them. They are a hint: without an answer it is kept without.
pub(super) fn learn(store: &Store, keep: &Keep, lot: &Lot, wanted: &ChunkSet) {
    let is_here = || {
        store.vault.serve(keep.id, Kind::Bytes).is_some_and(|kept| {
            let have = kept.have();
            kept.looks().is_none() && wanted.iter().all(|chunk| have.contains(chunk))
        })
    };
    if keep.view != View::Bytes || !is_here() {
        return;
    }
    for (peer, addresses) in store.sources(keep).take(MOST_ASKED) {
        match Holder::open(&store.means.identity, (peer, &addresses), (keep.id, View::Bytes)) {
            Ok(holder) => {
                let looks = holder.looks;
                holder.leave();
                if let Some(looks) = looks {
                    return lot.hear_looks(looks);
                }
            }
            Err(error) => {
                tracing::debug!("{addresses:?} does not say which mode {} has: {error}", keep.id);
            }
        }
    }
}
