//! A chunk on its way in: from its head to its place on the disk.
//!
//! A chunk has one writer, the source that began it last, and none once it is kept. So wrong bytes of one source
//! cannot land on right bytes of another while a chunk comes from both.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::landing::Landing;
use super::proofs::{Proofs, Whole};
use crate::content::{Chunk, ChunkHash, ChunkHasher, ChunkSet, FileId, Place, Proof, chunk_hasher};
use crate::peer::disk::DiskError;
use crate::swarm::scheduler::SourceId;
use crate::threads::lock;

/// Chunk data is hashed and written in multiples of this many bytes, but for a chunk's end.
const BLOCK_BYTES: usize = 64 << 10;

/// Where the chunks of a transfer come in.
#[derive(Debug)]
pub(super) struct Intake {
    landing: Arc<dyn Landing>,
    proofs: Proofs,
    writers: Mutex<Writers>,
}

/// Who may write a chunk that is arriving, and which chunks nobody may write any more.
#[derive(Debug)]
struct Writers {
    kept: ChunkSet,
    writing: HashMap<Chunk, Arc<Writer>>,
}

/// The source that may write one chunk. It holds the lock while it writes a block: who takes its place waits for
/// that, and from then on it writes nothing.
type Writer = Mutex<SourceId>;

impl Intake {
    /// An intake for all chunks but `kept`: those that are here already, or not wanted.
    pub(super) fn new(landing: Arc<dyn Landing>, kept: ChunkSet) -> Intake {
        let writers = Writers { kept, writing: HashMap::new() };
        Intake { landing, proofs: Proofs::default(), writers: Mutex::new(writers) }
    }

    /// The file that a chunk is of.
    fn whole(&self, place: Place) -> Whole {
        (self.landing.id_of(place.file), self.landing.layout().files()[place.file])
    }

    /// The proved hash of a chunk, if it is known.
    pub(super) fn hash_of(&self, place: Place) -> Option<ChunkHash> {
        self.proofs.hash_of(self.whole(place), place)
    }

    /// The proof of the run that a chunk lies in, if it is known.
    pub(super) fn proof_of(&self, place: Place) -> Option<Arc<Proof>> {
        self.proofs.of(self.whole(place).1, place)
    }

    /// The head of a chunk is here, from `source`, with a proof that may be empty.
    pub(super) fn begin(&self, chunk: Chunk, place: Place, proof: Proof, source: SourceId) -> Arriving<'_> {
        let proved = proof.hashes.is_empty() || self.proofs.learn(self.whole(place), place, proof);
        let fate = match self.hash_of(place).filter(|_| proved) {
            None => Fate::Unproved,
            Some(hash) => match self.write(chunk, source) {
                None => Fate::Had,
                Some(writer) => {
                    let hasher = chunk_hasher(self.landing.layout().files()[place.file], place.chunk);
                    Fate::Wanted(Box::new(Wanted { hash, hasher, writer }))
                }
            },
        };
        Arriving { intake: self, chunk, place, source, within: 0, fate }
    }

    /// Makes `source` the writer of `chunk`; `None` if the chunk is here already.
    fn write(&self, chunk: Chunk, source: SourceId) -> Option<Arc<Writer>> {
        loop {
            let writer = {
                let mut writers = lock(&self.writers);
                if writers.kept.contains(chunk) {
                    return None;
                }
                writers.writing.entry(chunk).or_insert_with(|| Arc::new(Mutex::new(source))).clone()
            };
            // Waits for a block of the former writer, so not under the lock of all;
            *lock(&writer) = source;
            // it may have kept the chunk, or given it up, meanwhile.
            if lock(&self.writers).is_writer(chunk, &writer) {
                return Some(writer);
            }
        }
    }

    /// True if `source`, whose bytes were proved, is the one to keep the chunk.
    fn claim(&self, chunk: Chunk, source: SourceId, writer: &Arc<Writer>) -> bool {
        let mut writers = lock(&self.writers);
        // Nobody writes under it: only `source` could.
        let owns = writers.is_writer(chunk, writer) && *lock(writer) == source;
        if owns {
            writers.writing.remove(&chunk);
        }
        owns && writers.kept.insert(chunk)
    }

    /// The bytes of `source` were wrong or are not coming.
    fn abandon(&self, chunk: Chunk, source: SourceId, writer: &Arc<Writer>) {
        if *lock(writer) != source {
            return; // another writes, perhaps just now
        }
        let mut writers = lock(&self.writers);
        if writers.is_writer(chunk, writer) && *lock(writer) == source {
            writers.writing.remove(&chunk);
        }
    }
}

impl Writers {
    fn is_writer(&self, chunk: Chunk, writer: &Arc<Writer>) -> bool {
        self.writing.get(&chunk).is_some_and(|current| Arc::ptr_eq(current, writer))
    }
}

/// A chunk whose data is arriving from one source. Whoever drops it gives it up.
#[derive(Debug)]
pub(super) struct Arriving<'a> {
    intake: &'a Intake,
    chunk: Chunk,
    place: Place,
    source: SourceId,
    /// Bytes of it that were taken in.
    within: u64,
    fate: Fate,
}

/// What is to become of a chunk that is arriving, as its head tells.
#[derive(Debug)]
enum Fate {
    Wanted(Box<Wanted>),
    /// It is here already, or not wanted: its data is thrown away.
    Had,
    /// Nothing proves what it should be: its data is thrown away.
    Unproved,
}

#[derive(Debug)]
struct Wanted {
    hash: ChunkHash,
    hasher: ChunkHasher,
    writer: Arc<Writer>,
}

/// What has become of a chunk when all of its data was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It is proved and stored.
    Kept,
    /// It was here before, or another source has begun it since.
    Had,
    /// It is not what it should be.
    Wrong,
    /// Nothing proved it, as was known at its head.
    Unproved,
}

impl Arriving<'_> {
    pub(super) fn chunk(&self) -> Chunk {
        self.chunk
    }

    /// Bytes of its data.
    pub(super) fn bytes(&self) -> u64 {
        self.place.len
    }

    /// True if nothing proves what it should be.
    pub(super) fn is_unproved(&self) -> bool {
        matches!(self.fate, Fate::Unproved)
    }

    /// True if it was here already when it began.
    pub(super) fn was_had(&self) -> bool {
        matches!(self.fate, Fate::Had)
    }

    /// How many of the bytes that came should be taken in now: all that are left, or whole blocks.
    pub(super) fn portion(&self, came: usize) -> usize {
        let left = (self.place.len - self.within) as usize;
        if came >= left { left } else { came / BLOCK_BYTES * BLOCK_BYTES }
    }

    /// Takes in a portion of its data. True if that was the last.
    pub(super) fn take(&mut self, data: &[u8]) -> Result<bool, DiskError> {
        let small = self.is_small();
        if let Fate::Wanted(wanted) = &mut self.fate {
            wanted.hasher.update(data);
            if !small {
                let writer = lock(&wanted.writer);
                if *writer == self.source {
                    self.intake.landing.write(self.place, self.within, data)?;
                }
            }
        }
        self.within += data.len() as u64;
        Ok(self.within == self.place.len)
    }

    /// All of its data was taken in, the portion `last` at the end. Proves and stores it.
    pub(super) fn end(mut self, last: &[u8]) -> Result<Ended, DiskError> {
        let Wanted { hash, hasher, writer } = match std::mem::replace(&mut self.fate, Fate::Had) {
            Fate::Wanted(wanted) => *wanted,
            Fate::Had => return Ok(Ended::Had),
            Fate::Unproved => return Ok(Ended::Unproved),
        };
        if hasher.finish() != hash {
            self.intake.abandon(self.chunk, self.source, &writer);
            return Ok(Ended::Wrong);
        }
        if !self.intake.claim(self.chunk, self.source, &writer) {
            return Ok(Ended::Had);
        }
        if self.is_small() {
            self.intake.landing.keep_small(self.place, last, FileId(hash.0))?;
        } else {
            let proof = self.intake.proof_of(self.place);
            self.intake.landing.keep(self.chunk, self.place, hash, proof)?;
        }
        Ok(Ended::Kept)
    }

    /// A file of one chunk is written whole, when it is proved.
    fn is_small(&self) -> bool {
        self.intake.landing.layout().files()[self.place.file].chunks() == 1
    }
}

impl Drop for Arriving<'_> {
    fn drop(&mut self) {
        if let Fate::Wanted(wanted) = &self.fate {
            self.intake.abandon(self.chunk, self.source, &wanted.writer);
        }
    }
}

#[cfg(test)]
mod tests;
