//! A content that can be served: shared from the folder, or on its way here.

use std::fs::File;
use std::sync::Arc;

use super::chunk_set::ChunkSet;
use super::ledger::add;
use super::share::Shared;
use super::transfer::Transfer;
use crate::content::{Layout, Place, Proof, proof_run};
use crate::wire::Refusal;

/// Where a chunk's bytes are.
#[derive(Debug)]
pub(super) enum Data {
    /// In a file, at the chunk's offset.
    File(Arc<File>),
    /// In memory, the whole content.
    Memory(Arc<[u8]>),
}

/// A content that can be served.
#[derive(Debug)]
pub(super) enum Held {
    /// Whole, in the shared folder.
    Shared(Shared),
    /// On its way here, or fetched and not part of a shared folder.
    Fetching(Arc<Transfer>),
}

impl Held {
    pub(super) fn layout(&self) -> &Layout {
        match self {
            Held::Shared(shared) => shared.layout(),
            Held::Fetching(transfer) => &transfer.layout,
        }
    }

    /// The chunks that are here.
    pub(super) fn have(&self) -> ChunkSet {
        match self {
            Held::Shared(shared) => ChunkSet::full(shared.layout().chunks()),
            Held::Fetching(transfer) => transfer.had(),
        }
    }

    /// Where the bytes of a chunk are; only of proved ones.
    pub(super) fn data(&mut self, number: u32, place: Place) -> Result<Data, Refusal> {
        match self {
            Held::Shared(shared) => shared.data(place.file).ok_or(Refusal::Gone),
            Held::Fetching(transfer) => {
                if !transfer.has(number) {
                    return Err(Refusal::NotYet);
                }
                transfer.store.reader(place.file).map(Data::File).map_err(|_| Refusal::Gone)
            }
        }
    }

    /// The proof of the run that a chunk lies in.
    pub(super) fn proof(&self, place: Place) -> Option<Arc<Proof>> {
        let geometry = self.layout().files()[place.file];
        if geometry.chunks() == 1 {
            return None; // the file's id is its chunk's hash
        }
        match self {
            Held::Shared(shared) => {
                let (first, count) = proof_run(geometry, place.chunk);
                shared.manifest(place.file)?.prove(first, count).ok().map(Arc::new)
            }
            Held::Fetching(transfer) => transfer.proof_of(place),
        }
    }

    /// The proof of any aligned run of a file's chunks; a content on its way here knows too few hashes.
    pub(super) fn manifest_run(&self, file: usize, first: u32, count: u32) -> Option<Proof> {
        match self {
            Held::Shared(shared) => shared.manifest(file)?.prove(first, count).ok(),
            Held::Fetching(_) => None,
        }
    }

    pub(super) fn count_sent(&self, bytes: usize) {
        if let Held::Fetching(transfer) = self {
            add(&transfer.ledger.sent, bytes);
        }
    }
}
