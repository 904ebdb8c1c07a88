//! Where each chunk of a transfer is: open, in flight with one source or more, or here.

use std::collections::BTreeMap;

use super::event::SourceId;
use super::rarity::Rarity;
use crate::content::{Chunk, ChunkSet, Run};

/// The chunks of one transfer. Each that is wanted is in exactly one state.
#[derive(Debug)]
pub(super) struct Chunks {
    had: ChunkSet,
    wanted: ChunkSet,
    /// Wanted chunks that are in flight nowhere, by how many partial sources have them.
    open: Rarity,
    in_flight: BTreeMap<Chunk, Vec<SourceId>>,
    /// How often a chunk that is still wanted was taken over.
    moved: BTreeMap<Chunk, i32>,
}

impl Chunks {
    /// Of `wanted` those that are not `had`.
    pub(super) fn new(had: ChunkSet, wanted: &ChunkSet) -> Chunks {
        let mut open = ChunkSet::empty(had.len());
        for chunk in wanted.iter().filter(|chunk| !had.contains(*chunk)) {
            open.insert(chunk);
        }
        let wanted = open.clone();
        Chunks { had, wanted, open: Rarity::new(open), in_flight: BTreeMap::new(), moved: BTreeMap::new() }
    }

    /// How many there are, wanted or not.
    pub(super) fn len(&self) -> u32 {
        self.had.len()
    }

    pub(super) fn had(&self) -> &ChunkSet {
        &self.had
    }

    /// How many are still wanted.
    pub(super) fn left(&self) -> u32 {
        self.wanted.count()
    }

    pub(super) fn is_wanted(&self, chunk: Chunk) -> bool {
        self.wanted.contains(chunk)
    }

    /// How many of `have` are wanted.
    pub(super) fn useful(&self, have: &ChunkSet) -> u32 {
        if have.is_full() {
            return self.wanted.count();
        }
        have.iter().filter(|chunk| self.wanted.contains(*chunk)).count() as u32
    }

    /// True if any of `have` is wanted.
    pub(super) fn are_in(&self, have: &ChunkSet) -> bool {
        have.next_common(&self.wanted, Chunk(0)).is_some()
    }

    /// More are wanted: those of `more` that are not here.
    pub(super) fn want(&mut self, more: &ChunkSet) {
        for chunk in more.iter().filter(|chunk| !self.had.contains(*chunk)) {
            if self.wanted.insert(chunk) {
                self.open.insert(chunk);
            }
        }
    }

    // Open chunks.

    /// How many are in flight nowhere.
    pub(super) fn open(&self) -> u32 {
        self.open.count()
    }

    /// The rarest open chunk of `have`; among equals the first at or after `from`, going round.
    pub(super) fn rarest(&self, have: &ChunkSet, from: Chunk) -> Option<Chunk> {
        self.open.rarest(have, from)
    }

    /// The first open chunk of a run that `have` has.
    pub(super) fn first_open(&self, have: &ChunkSet, run: Run) -> Option<Chunk> {
        run.below(self.len()).find(|chunk| self.open.contains(*chunk) && have.contains(*chunk))
    }

    /// The open ones that no partial source has, as runs.
    pub(super) fn unavailable(&self) -> Vec<Run> {
        self.open.unavailable().runs()
    }

    // What sources have. Whole ones do not count: they make no chunk rarer than another.

    /// A source came that has these.
    pub(super) fn offered(&mut self, have: &ChunkSet) {
        if !have.is_full() {
            have.iter().for_each(|chunk| self.open.more_common(chunk));
        }
    }

    /// A source that has these is gone.
    pub(super) fn withdrawn(&mut self, have: &ChunkSet) {
        if !have.is_full() {
            have.iter().for_each(|chunk| self.open.less_common(chunk));
        }
    }

    /// A partial source has one more; if it has all by that, it counts as whole.
    pub(super) fn gained(&mut self, chunk: Chunk, have: &ChunkSet) {
        self.open.more_common(chunk);
        if have.is_full() {
            (0..self.len()).map(Chunk).for_each(|chunk| self.open.less_common(chunk));
        }
    }

    /// A source that had `before` has one less.
    pub(super) fn lost(&mut self, chunk: Chunk, before: &ChunkSet) {
        if before.is_full() {
            // It is whole no more: all that it has counts by the chunk from now on.
            before.iter().for_each(|chunk| self.open.more_common(chunk));
        }
        self.open.less_common(chunk);
    }

    // In flight.

    /// An open chunk is asked of `source`, or one in flight of one more source.
    pub(super) fn ask(&mut self, chunk: Chunk, source: SourceId) {
        self.open.remove(chunk);
        self.in_flight.entry(chunk).or_default().push(source);
    }

    /// A chunk that was not asked for by number comes from `source`. Who else owes it.
    pub(super) fn chosen(&mut self, chunk: Chunk, source: SourceId) -> Vec<SourceId> {
        if !self.wanted.contains(chunk) {
            return Vec::new();
        }
        let others = self.owing(chunk).to_vec();
        self.ask(chunk, source);
        others
    }

    /// The sources that owe a chunk.
    pub(super) fn owing(&self, chunk: Chunk) -> &[SourceId] {
        self.in_flight.get(&chunk).map_or(&[], Vec::as_slice)
    }

    /// A chunk does not come from `source` any more; if from nobody else either, it is open again.
    pub(super) fn release(&mut self, chunk: Chunk, source: SourceId) {
        let Some(owing) = self.in_flight.get_mut(&chunk) else { return };
        owing.retain(|other| *other != source);
        if owing.is_empty() {
            self.in_flight.remove(&chunk);
            self.open.insert(chunk);
        }
    }

    /// A chunk is here. Who else owes it.
    pub(super) fn arrived(&mut self, chunk: Chunk) -> Vec<SourceId> {
        self.had.insert(chunk);
        self.wanted.remove(chunk);
        self.moved.remove(&chunk);
        self.open.remove(chunk);
        self.in_flight.remove(&chunk).unwrap_or_default()
    }

    // Takeovers.

    /// How often a chunk was taken over.
    pub(super) fn moved(&self, chunk: Chunk) -> i32 {
        self.moved.get(&chunk).copied().unwrap_or(0)
    }

    pub(super) fn count_move(&mut self, chunk: Chunk) {
        *self.moved.entry(chunk).or_default() += 1;
    }

    /// True when all is asked for and no more is left than `sources` could be asked for.
    pub(super) fn are_nearly_done(&self, sources: usize) -> bool {
        self.open.count() == 0 && self.wanted.count() as usize <= sources
    }

    /// Recounts by a slow way what the fields claim.
    pub(super) fn check(&self) {
        for chunk in (0..self.len()).map(Chunk) {
            let states = [
                self.open.contains(chunk),
                self.in_flight.contains_key(&chunk),
                !self.wanted.contains(chunk),
            ];
            let count = states.iter().filter(|state| **state).count();
            assert_eq!(count, 1, "chunk {chunk} is in exactly one state: {states:?}");
        }
    }
}

#[cfg(test)]
mod tests;
