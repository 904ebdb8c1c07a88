//! What the chunks of a transfer should be, as far as it has been proved.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::content::{ChunkHash, FileId, Geometry, Place, Proof, proof_run};
use crate::threads::lock;

/// The proofs of runs of chunks, by their file and first chunk.
#[derive(Debug, Default)]
pub(super) struct Proofs(Mutex<HashMap<(usize, u32), Arc<Proof>>>);

/// A file: what its chunks merge to, and how it is cut.
pub(super) type Whole = (FileId, Geometry);

impl Proofs {
    /// The proved hash of a chunk, if it is known.
    pub(super) fn hash_of(&self, (id, geometry): Whole, place: Place) -> Option<ChunkHash> {
        if geometry.chunks() == 1 {
            return Some(ChunkHash(id.0));
        }
        let proof = self.of(geometry, place)?;
        proof.hashes.get((place.chunk.get() - proof.first) as usize).copied()
    }

    /// Takes in a proof; false if it proves nothing of the run that the chunk lies in.
    pub(super) fn learn(&self, (id, geometry): Whole, place: Place, proof: Proof) -> bool {
        let proved = proof.proves(id, geometry, place.chunk);
        if proved {
            lock(&self.0).entry((place.file, proof.first)).or_insert_with(|| Arc::new(proof));
        }
        proved
    }

    /// The proof of the run that a chunk lies in, if it is known.
    pub(super) fn of(&self, geometry: Geometry, place: Place) -> Option<Arc<Proof>> {
        let run = proof_run(geometry, place.chunk);
        lock(&self.0).get(&(place.file, run.start)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{Chunk, Layout, Manifest, hash_chunk};

    #[test]
    fn only_what_proves_the_very_run_of_the_chunk_is_believed() {
        let bytes = vec![7; 40 << 16];
        let geometry = Geometry::of(bytes.len() as u64).unwrap();
        let hashes = (0..geometry.chunks()).map(|chunk| {
            let index = geometry.index(chunk).unwrap();
            hash_chunk(geometry, index, &bytes[..1 << 16])
        });
        let (manifest, id) = Manifest::new(geometry, hashes.collect()).unwrap();
        let (whole, layout) = ((id, geometry), Layout::new(vec![geometry]).unwrap());
        let proofs = Proofs::default();
        let (early, late) = (layout.place(Chunk(3)).unwrap(), layout.place(Chunk(17)).unwrap());
        let of_late = manifest.prove(16..32).unwrap();
        assert!(!proofs.learn(whole, early, of_late.clone()), "of another run");
        let mut wrong = of_late.clone();
        wrong.hashes[1] = ChunkHash([1; 32]);
        assert!(!proofs.learn(whole, late, wrong));
        assert_eq!(proofs.hash_of(whole, late), None);
        assert!(proofs.learn(whole, late, of_late.clone()));
        assert_eq!(proofs.hash_of(whole, late), Some(of_late.hashes[1]));
        assert_eq!(proofs.of(geometry, late).map(|proof| (*proof).clone()), Some(of_late));
        assert_eq!(proofs.hash_of(whole, early), None);
        // A file of one chunk proves itself.
        let id = FileId::of(b"x");
        let geometry = Geometry::of(1).unwrap();
        let layout = Layout::new(vec![geometry]).unwrap();
        assert_eq!(proofs.hash_of((id, geometry), layout.place(Chunk(0)).unwrap()), Some(ChunkHash(id.0)));
    }
}
