//! What proves the chunks that are here of unfinished files: the proofs of their runs, as they came or were made.
//!
//! A journal says which chunks are here, but a hash alone could be that of anything: whoever is sent a chunk must be
//! sent what proves it, too. So a chunk is taken up again only with its proof. They lie beside the journal, each in a
//! place of [`SLOT_BYTES`]: the file's number (`u32`, big-endian), the proof as on the wire, zeros. Each proves itself or
//! is passed over; what of it is lost costs time alone.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};

use super::plan::Plan;
use crate::content::{ChunkHash, ChunkIndex, PROOF_RUN, Place, Proof, proof_run};
use crate::peer::state_folder::open_log;
use crate::threads::lock;
use crate::wire::limits::MAX_PROOF_PATH;
use crate::wire::{Cursor, Field};

/// Room for a file's number and the largest proof of a run of [`PROOF_RUN`] chunks.
const SLOT_BYTES: usize = 4 + 7 + ChunkHash::BYTES * (PROOF_RUN as usize + MAX_PROOF_PATH);

/// The proofs of runs of chunks, by file and first chunk, in memory and on the disk.
#[derive(Debug)]
pub(super) struct Proved {
    file: File,
    known: Mutex<HashMap<(usize, u32), Arc<Proof>>>,
}

impl Proved {
    /// Opens those at `path`, and reads the ones that prove runs of the plan's files.
    pub(super) fn open(path: &Path, plan: &Plan) -> io::Result<Proved> {
        let mut file = open_log(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (slots, torn) = bytes.as_chunks::<SLOT_BYTES>();
        if !torn.is_empty() {
            // So that what is appended begins where a proof should.
            file.set_len((bytes.len() - torn.len()) as u64)?;
        }
        let known = slots.iter().filter_map(|slot| {
            let (number, proof) = decode(slot)?;
            is_right(plan, number, &proof).then(|| ((number, proof.first), Arc::new(proof)))
        });
        Ok(Proved { known: Mutex::new(known.collect()), file })
    }

    /// The proof of the run that a chunk lies in, if it is known.
    pub(super) fn of(&self, plan: &Plan, place: Place) -> Option<Arc<Proof>> {
        lock(&self.known).get(&(place.file, run_of(plan, place.file, place.chunk))).cloned()
    }

    /// What the hash of a chunk must be, if that is known.
    pub(super) fn hash_of(&self, plan: &Plan, place: Place) -> Option<ChunkHash> {
        let proof = self.of(plan, place)?;
        proof.hashes.get((place.chunk.get() - proof.first) as usize).copied()
    }

    /// Keeps the right proof of a run, for good if it is new.
    pub(super) fn keep(&self, file: usize, proof: Arc<Proof>) -> io::Result<()> {
        let mut slot = BytesMut::with_capacity(SLOT_BYTES);
        (file as u32).put(&mut slot);
        proof.put(&mut slot);
        slot.resize(SLOT_BYTES, 0);
        let mut known = lock(&self.known);
        if known.insert((file, proof.first), proof).is_some() {
            return Ok(());
        }
        drop(known);
        (&self.file).write_all(&slot)
    }
}

/// The first chunk of the run that a chunk is proved with.
fn run_of(plan: &Plan, file: usize, chunk: ChunkIndex) -> u32 {
    proof_run(plan.slots[file].geometry, chunk).start
}

fn decode(slot: &[u8; SLOT_BYTES]) -> Option<(usize, Proof)> {
    let mut from = Cursor::new(Bytes::copy_from_slice(slot));
    Some((u32::take(&mut from).ok()? as usize, Proof::take(&mut from).ok()?))
}

/// True if this proves a run of the plan's file.
fn is_right(plan: &Plan, file: usize, proof: &Proof) -> bool {
    let Some(slot) = plan.slots.get(file) else { return false };
    let index = slot.geometry.index(proof.first);
    index.is_some_and(|first| proof.proves(slot.id, slot.geometry, first))
}
