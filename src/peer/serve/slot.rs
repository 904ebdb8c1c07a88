//! One content that an asker has opened.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::content::{Place, Proof, proof_run};
use crate::peer::chunk_set::ChunkSet;
use crate::peer::held::Held;
use crate::peer::uploads::Content;

pub(super) struct Slot {
    pub(super) content: Content,
    pub(super) held: Held,
    pub(super) chunks: u32,
    /// For a whole content: what the asker has or is being sent.
    pub(super) given: Option<ChunkSet>,
    /// For a whole content: what the asker says it has.
    pub(super) told: ChunkSet,
    /// How many chunks it said that it gained, with repetitions.
    pub(super) told_chunks: u64,
    /// The last chunk that was given by this side's choice.
    pub(super) last_choice: Option<u32>,
    /// Runs, by file and first chunk, whose proof has been sent.
    pub(super) proved: BTreeSet<(usize, u32)>,
}

impl Slot {
    /// The proof of a chunk's run, unless this connection has carried it.
    pub(super) fn proof(&mut self, place: Place) -> Option<Arc<Proof>> {
        let (first, _) = proof_run(self.held.layout().files()[place.file], place.chunk);
        if self.proved.contains(&(place.file, first)) {
            return None;
        }
        let proof = self.held.proof(place)?;
        self.proved.insert((place.file, first));
        Some(proof)
    }

    /// The proof did not leave after all.
    pub(super) fn forget_proof(&mut self, place: Place) {
        let (first, _) = proof_run(self.held.layout().files()[place.file], place.chunk);
        self.proved.remove(&(place.file, first));
    }
}
