//! One content that an asker has opened.

use std::collections::BTreeSet;

use super::held::Held;
use super::restate::Gone;
use crate::content::{Place, Proof, proof_run};

pub(super) struct Slot {
    pub(super) held: Held,
    pub(super) chunks: u32,
    /// How many chunks it said that it gained, with repetitions.
    pub(super) told_chunks: u64,
    /// Runs, by file and first chunk, whose proof has been sent.
    pub(super) proved: BTreeSet<(usize, u32)>,
    /// Chunks refused because their file had changed.
    pub(super) gone: Gone,
}

impl Slot {
    /// The proof that goes with a chunk: that of its run if it is wanted, known, and was not carried by
    /// this connection; else an empty one.
    pub(super) fn proof(&mut self, wanted: bool, place: Place) -> Proof {
        let (first, _) = proof_run(self.held.layout().files()[place.file], place.chunk);
        if !wanted || self.proved.contains(&(place.file, first)) {
            return Proof::default();
        }
        let Some(proof) = self.held.proof(place) else { return Proof::default() };
        self.proved.insert((place.file, first));
        Proof::clone(&proof)
    }

    /// The proof did not leave after all.
    pub(super) fn forget_proof(&mut self, place: Place) {
        let (first, _) = proof_run(self.held.layout().files()[place.file], place.chunk);
        self.proved.remove(&(place.file, first));
    }
}
