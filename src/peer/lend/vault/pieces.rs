//! Where the chunks of one file lie. Pure.

use std::collections::BTreeMap;

use super::slot::{Class, Slot};
use crate::content::{Chunk, ChunkSet, FileId, Geometry, PROOF_RUN, Run};
use crate::storage::log::Extent;

/// A file of which something is held, or that a content lists.
#[derive(Debug)]
pub(super) struct File {
    pub(super) id: FileId,
    pub(super) geometry: Geometry,
    /// Ascending.
    pub(super) runs: Vec<Stretch>,
    /// Where the proof of each run of chunks lies in the log; none of a file of one chunk.
    pub(super) proofs: BTreeMap<u32, Extent>,
    /// The contents that list it, and which of their chunks is its first.
    pub(super) roots: Vec<(u32, Chunk)>,
}

/// Chunks in a row that lie in slots in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) first: u32,
    pub(super) count: u32,
    pub(super) slot: Slot,
}

/// Slots that are free now, as first ones and counts.
pub(super) type Freed = Vec<(Slot, u32)>;

impl File {
    /// The slot of a chunk that is held.
    pub(super) fn slot(&self, chunk: u32) -> Option<Slot> {
        let behind = self.runs.partition_point(|run| run.first <= chunk);
        let run = self.runs[..behind].last()?;
        (chunk - run.first < run.count).then(|| run.slot.plus(chunk - run.first))
    }

    /// The chunks that are held.
    pub(super) fn held(&self) -> ChunkSet {
        let mut held = ChunkSet::empty(self.geometry.chunks());
        held.add_runs(&self.runs.iter().map(|run| Run::new(Chunk(run.first), run.count)).collect::<Vec<_>>());
        held
    }

    /// Where the proof of the run of chunks that begins at `first` lies.
    pub(super) fn proof(&self, first: u32) -> Option<Extent> {
        self.proofs.get(&first).copied()
    }

    /// Where its proofs lie, with the first chunk of each, in order.
    pub(super) fn proofs(&self) -> Vec<(u32, Extent)> {
        self.proofs.iter().map(|(first, extent)| (*first, *extent)).collect()
    }

    /// Where its chunks lie.
    pub(super) fn runs(&self) -> &[Stretch] {
        &self.runs
    }

    /// Notes where chunks lie that lay nowhere.
    pub(super) fn add(&mut self, new: Stretch) {
        let at = self.runs.partition_point(|run| run.first < new.first);
        let before = at.checked_sub(1).map(|before| &mut self.runs[before]);
        match before {
            Some(run) if run.first + run.count == new.first && run.slot.plus(run.count) == new.slot => {
                run.count += new.count;
            }
            _ => self.runs.insert(at, new),
        }
    }

    /// Forgets where chunks lie that lay somewhere; the slots.
    pub(super) fn remove(&mut self, first: u32, count: u32) -> Freed {
        let end = first + count;
        let mut freed = Freed::new();
        let mut left = Vec::with_capacity(self.runs.len() + 1);
        for run in self.runs.drain(..) {
            let (from, to) = (run.first.max(first), (run.first + run.count).min(end));
            if from >= to {
                left.push(run);
                continue;
            }
            let part = |from: u32, to: u32| Stretch {
                first: from,
                count: to - from,
                slot: run.slot.plus(from - run.first),
            };
            freed.push((run.slot.plus(from - run.first), to - from));
            left.extend((run.first < from).then(|| part(run.first, from)));
            left.extend((to < run.first + run.count).then(|| part(to, run.first + run.count)));
        }
        self.runs = left;
        freed
    }
}

/// The first chunk of the run that a chunk's proof is of.
pub(super) fn proof_start(chunk: u32) -> u32 {
    chunk / PROOF_RUN * PROOF_RUN
}

/// The size of the slot for a chunk of a file.
pub(super) fn class_of(geometry: Geometry, chunk: u32) -> Option<Class> {
    geometry.index(chunk).map(|chunk| Class::of(geometry.len(chunk)))
}
