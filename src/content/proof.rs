//! Chunk hashes, the manifest they form, and proofs that a run of them belongs to a file id.
//!
//! A chunk of 2^k ≥ 1024 bytes at its offset is a subtree of the file's BLAKE3 tree, so chunk hashes
//! merge, pair by pair, to the file id (BLAKE3 paper, section 2.1; `blake3::hazmat`). A proof is the
//! hashes of one aligned run of chunks and the sibling at each level above it.

use std::ops::Range;

use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

use super::geometry::{ChunkIndex, Geometry};
use super::id::{ChunkHash, FileId};

/// Hashes of an aligned run of chunks, and what it takes to merge them to the file id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proof {
    /// The first chunk of the run.
    pub first: u32,
    /// The run's hashes.
    pub hashes: Vec<ChunkHash>,
    /// The sibling at each level above the run, lowest first; levels without a sibling are left out.
    pub path: Vec<ChunkHash>,
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The run is not one subtree of this file.
    #[error("the proof's run does not fit the file")]
    Shape,
    /// The hashes merge to another id.
    #[error("the proof's hashes do not merge to the file id")]
    Mismatch,
}

/// Streaming hash of one chunk.
#[derive(Debug)]
pub struct ChunkHasher {
    hasher: blake3::Hasher,
    whole_file: bool,
}

/// Starts the hash of `chunk`. A file of one chunk has the file id as its chunk's hash.
pub fn chunk_hasher(geometry: Geometry, chunk: ChunkIndex) -> ChunkHasher {
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(geometry.offset(chunk));
    ChunkHasher { hasher, whole_file: geometry.chunks() == 1 }
}

/// The hash of `chunk`, whose bytes are `data`: exactly [`Geometry::len`] of them.
pub fn hash_chunk(geometry: Geometry, chunk: ChunkIndex, data: &[u8]) -> ChunkHash {
    debug_assert_eq!(data.len() as u64, geometry.len(chunk));
    let mut hasher = chunk_hasher(geometry, chunk);
    hasher.update(data);
    hasher.finish()
}

impl ChunkHasher {
    /// Adds the next bytes. More bytes than the chunk has make the hash panic: the caller counts.
    pub fn update(&mut self, data: &[u8]) {
        self.hasher.update(data);
    }

    /// The hash of all that was added, which is at least one byte.
    pub fn finish(&self) -> ChunkHash {
        match self.whole_file {
            true => ChunkHash(*self.hasher.finalize().as_bytes()),
            false => ChunkHash(self.hasher.finalize_non_root()),
        }
    }
}

/// How many chunk hashes a proof in a CHUNK carries at most: a run of these is aligned to its length.
pub const PROOF_RUN: u32 = 1 << RUN_BITS;
const RUN_BITS: u32 = 4;

/// The chunks of the file whose hashes travel together with chunk `chunk`.
pub fn proof_run(geometry: Geometry, chunk: ChunkIndex) -> Range<u32> {
    let first = chunk.get() >> RUN_BITS << RUN_BITS;
    first..(first + PROOF_RUN).min(geometry.chunks())
}

/// All chunk hashes of a file, proved, with the merged hashes of every level above.
#[derive(Debug, Clone)]
pub struct Manifest {
    geometry: Geometry,
    /// `levels[0]` are the chunk hashes; the last level has at most two.
    levels: Vec<Vec<ChunkHash>>,
}

impl Manifest {
    /// The manifest of a file with these chunk hashes, and the file id they merge to.
    ///
    /// # Errors
    /// [`ProofError::Shape`] if the number of hashes is not the file's number of chunks.
    pub fn new(geometry: Geometry, hashes: Vec<ChunkHash>) -> Result<(Manifest, FileId), ProofError> {
        if hashes.len() as u64 != u64::from(geometry.chunks()) {
            return Err(ProofError::Shape);
        }
        let mut levels = vec![hashes];
        while let Some(below) = levels.last().filter(|level| level.len() > 2) {
            levels.push(below.chunks(2).map(merge_pair).collect());
        }
        let manifest = Manifest { geometry, levels };
        let id = match manifest.levels.last().map(Vec::as_slice) {
            Some([left, right]) => merge_root(left, right),
            Some([only]) => FileId(only.0),
            _ => FileId::of(b""),
        };
        Ok((manifest, id))
    }

    /// The file's geometry.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The chunk hashes.
    pub fn hashes(&self) -> &[ChunkHash] {
        &self.levels[0]
    }

    /// The proof of an aligned run of the file's chunks: its length is a power of two that divides its start, or it
    /// reaches the end.
    ///
    /// # Errors
    /// [`ProofError::Shape`] if there is no such run.
    pub fn prove(&self, run: Range<u32>) -> Result<Proof, ProofError> {
        let level = run_level(self.geometry.chunks(), &run)?;
        let hashes = self.hashes()[run.start as usize..run.end as usize].to_vec();
        let mut node = (run.start >> level) as usize;
        let mut path = Vec::new();
        for nodes in self.levels.iter().skip(level as usize) {
            path.extend(nodes.get(node ^ 1).filter(|_| nodes.len() > 1));
            node /= 2;
        }
        Ok(Proof { first: run.start, hashes, path })
    }
}

impl Proof {
    /// The chunks of the file whose hashes these are; their end is at most the largest number there is.
    pub fn run(&self) -> Range<u32> {
        self.first..self.first.saturating_add(self.hashes.len() as u32)
    }

    /// True if this is right, and of the very run that a chunk of the file `id` is proved with.
    pub fn proves(&self, id: FileId, geometry: Geometry, chunk: ChunkIndex) -> bool {
        self.run() == proof_run(geometry, chunk) && self.check(id, geometry).is_ok()
    }

    /// Checks that the hashes are those of their chunks in the file `id`.
    ///
    /// # Errors
    /// [`ProofError`]: the sender is wrong or lies, about the hashes or about the file's size.
    pub fn check(&self, id: FileId, geometry: Geometry) -> Result<(), ProofError> {
        let chunks = geometry.chunks();
        let level = run_level(chunks, &self.run())?;
        let mut nodes = self.hashes.clone();
        let mut width = chunks; // nodes of the whole file at this level
        for _ in 0..level {
            if width == 2 {
                break; // the run is the whole file, and the next merge makes the root
            }
            nodes = nodes.chunks(2).map(merge_pair).collect();
            width = width.div_ceil(2);
        }
        let mut path = self.path.iter();
        let mut number = self.first >> level;
        let mut node = match nodes.as_slice() {
            [only] => *only,
            [left, right] if width == 2 && self.path.is_empty() => {
                return equal(merge_root(left, right), id);
            }
            _ => return Err(ProofError::Shape),
        };
        while width > 1 {
            if number ^ 1 < width {
                let sibling = path.next().ok_or(ProofError::Shape)?;
                let (left, right) = if number & 1 == 0 { (&node, sibling) } else { (sibling, &node) };
                if width == 2 {
                    return match path.next() {
                        None => equal(merge_root(left, right), id),
                        Some(_) => Err(ProofError::Shape),
                    };
                }
                node = merge(left, right);
            }
            number /= 2;
            width = width.div_ceil(2);
        }
        match path.next() {
            None => equal(FileId(node.0), id),
            Some(_) => Err(ProofError::Shape),
        }
    }
}

/// The level at which a run is one node: log2 of its length, rounded up.
fn run_level(chunks: u32, run: &Range<u32>) -> Result<u32, ProofError> {
    if run.is_empty() || run.end > chunks {
        return Err(ProofError::Shape);
    }
    let count = run.end - run.start;
    let span = count.checked_next_power_of_two().ok_or(ProofError::Shape)?;
    let whole = count == span || run.end == chunks;
    if !whole || !run.start.is_multiple_of(span) {
        return Err(ProofError::Shape);
    }
    Ok(span.trailing_zeros())
}

fn equal(got: FileId, id: FileId) -> Result<(), ProofError> {
    if got == id { Ok(()) } else { Err(ProofError::Mismatch) }
}

/// Merges two neighbours; the last of an odd row moves up as it is.
fn merge_pair(pair: &[ChunkHash]) -> ChunkHash {
    match pair {
        [left, right] => merge(left, right),
        [only, ..] => *only,
        [] => unreachable!("chunks(2) gives no empty slice"),
    }
}

fn merge(left: &ChunkHash, right: &ChunkHash) -> ChunkHash {
    ChunkHash(merge_subtrees_non_root(&left.0, &right.0, Mode::Hash))
}

fn merge_root(left: &ChunkHash, right: &ChunkHash) -> FileId {
    FileId(*merge_subtrees_root(&left.0, &right.0, Mode::Hash).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: usize = 64 << 10;

    fn file(len: usize) -> (Vec<u8>, Geometry, Manifest, FileId) {
        let mut rng = fastrand::Rng::with_seed(len as u64);
        let data: Vec<u8> = (0..len).map(|_| rng.u8(..)).collect();
        let geometry = Geometry::of(len as u64).unwrap();
        let chunks = (0..geometry.chunks()).filter_map(|n| geometry.index(n));
        let hashes = chunks.zip(data.chunks(CHUNK)).map(|(chunk, data)| hash_chunk(geometry, chunk, data));
        let (manifest, id) = Manifest::new(geometry, hashes.collect()).unwrap();
        (data, geometry, manifest, id)
    }

    #[test]
    fn chunk_hashes_merge_to_the_plain_hash() {
        for chunks in [0, 1, 2, 3, 4, 5, 7, 8, 13] {
            for around in [-1_i64, 0, 1] {
                let len = (chunks * CHUNK as i64 + around).max(0) as usize;
                let (data, _, _, id) = file(len);
                assert_eq!(id, FileId::of(&data), "{len} bytes");
            }
        }
    }

    #[test]
    fn every_aligned_run_proves_itself_and_no_other_does() {
        for chunks in 1..=21_u32 {
            let (_, geometry, manifest, id) = file(chunks as usize * CHUNK - 7);
            for first in 0..chunks {
                for count in 1..=chunks - first {
                    let aligned = (0..6).map(|bits| 1_u32 << bits).any(|span| {
                        first % span == 0
                            && (count == span
                                || (first + count == chunks && count < span && count * 2 > span))
                    });
                    let proof = manifest.prove(first..first + count);
                    assert_eq!(proof.is_ok(), aligned, "{first}+{count} of {chunks}");
                    if let Ok(proof) = proof {
                        assert_eq!(proof.check(id, geometry), Ok(()), "{first}+{count} of {chunks}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_hashes_of_sixteen_chunks_travel_together_at_the_end_of_those_that_are_left() {
        let geometry = Geometry::of(37 * CHUNK as u64).unwrap();
        let runs = [0, 15, 16, 31, 32, 36].map(|at| proof_run(geometry, geometry.index(at).unwrap()));
        assert_eq!(runs, [0..16, 0..16, 16..32, 16..32, 32..37, 32..37]);
    }

    #[test]
    fn a_changed_proof_fails() {
        let (_, geometry, manifest, id) = file(21 * CHUNK);
        let proof = manifest.prove(4..8).unwrap();
        let mut hash = proof.clone();
        hash.hashes[2].0[0] ^= 1;
        assert_eq!(hash.check(id, geometry), Err(ProofError::Mismatch));
        let mut path = proof.clone();
        path.path[1].0[31] ^= 1;
        assert_eq!(path.check(id, geometry), Err(ProofError::Mismatch));
        let mut long = proof.clone();
        long.path.push(ChunkHash([0; 32]));
        assert_eq!(long.check(id, geometry), Err(ProofError::Shape));
        let mut short = proof.clone();
        short.path.pop();
        assert_eq!(short.check(id, geometry), Err(ProofError::Shape));
        let mut moved = proof;
        moved.first = 8;
        assert!(moved.check(id, geometry).is_err());
    }

    #[test]
    fn a_wrong_size_fails() {
        let (_, _, manifest, id) = file(21 * CHUNK);
        let shorter = Geometry::of(20 * CHUNK as u64).unwrap();
        assert!(manifest.prove(16..20).unwrap().check(id, shorter).is_err());
    }
}
