//! Open chunks ordered by how many sources have them.

use crate::content::{Chunk, ChunkSet};

/// Chunks that this many sources or more have are all equally common.
const LEVELS: usize = 16;

/// The open chunks, one set for each number of sources that have them. Sources that have everything
/// do not count: they make no chunk rarer than another.
#[derive(Debug)]
pub(super) struct Rarity {
    levels: Vec<ChunkSet>,
    copies: Vec<u16>,
    count: u32,
}

impl Rarity {
    pub(super) fn new(open: ChunkSet) -> Rarity {
        let chunks = open.len();
        let count = open.count();
        let mut levels = vec![ChunkSet::empty(chunks); LEVELS];
        levels[0] = open;
        Rarity { levels, copies: vec![0; chunks as usize], count }
    }

    fn level(&self, chunk: Chunk) -> usize {
        usize::from(self.copies[chunk.index()]).min(LEVELS - 1)
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn contains(&self, chunk: Chunk) -> bool {
        self.levels[self.level(chunk)].contains(chunk)
    }

    pub(super) fn insert(&mut self, chunk: Chunk) {
        let level = self.level(chunk);
        self.count += u32::from(self.levels[level].insert(chunk));
    }

    pub(super) fn remove(&mut self, chunk: Chunk) {
        let level = self.level(chunk);
        self.count -= u32::from(self.levels[level].remove(chunk));
    }

    pub(super) fn more_common(&mut self, chunk: Chunk) {
        self.recount(chunk, 1);
    }

    pub(super) fn less_common(&mut self, chunk: Chunk) {
        self.recount(chunk, -1);
    }

    fn recount(&mut self, chunk: Chunk, change: i16) {
        let before = self.level(chunk);
        let copies = &mut self.copies[chunk.index()];
        *copies = copies.saturating_add_signed(change);
        let after = self.level(chunk);
        if before != after && self.levels[before].remove(chunk) {
            self.levels[after].insert(chunk);
        }
    }

    /// The open chunks that no partial source has.
    pub(super) fn unavailable(&self) -> &ChunkSet {
        &self.levels[0]
    }

    /// The rarest open chunk in `have`; among equals the first at or after `from`, going round.
    pub(super) fn rarest(&self, have: &ChunkSet, from: Chunk) -> Option<Chunk> {
        if self.count == 0 {
            return None;
        }
        let from = if from.0 < have.len() { from } else { Chunk(0) };
        self.levels.iter().filter(|level| !level.is_empty()).find_map(|level| level.next_common(have, from))
    }
}
