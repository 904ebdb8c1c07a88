//! On how many disks things are, in the world that these tests play.

use super::world::World;
use crate::content::code::Shard;
use crate::content::{Chunk, ChunkSet};
use crate::tracker::keeping::shards;
use crate::tracker::records::{Content, Promise};
use crate::wire::{Coding, Side, View};

/// As how many copies it is promised.
pub(super) fn copies(promise: &Promise) -> usize {
    usize::from(promise.policy.m()) + 1
}

impl World {
    /// What is promised of a content; of a parity what is of its data.
    pub(super) fn promised(&self, content: Content) -> Option<Promise> {
        let promise = *self.promises.get(&content)?;
        match promise.code {
            Some(code) if code.of != Side::Data => self.promised(code.other()),
            _ => Some(promise),
        }
    }

    /// Of a code, one more than the losses that every group survives, and the same of what is on most disks: shards of a
    /// group are to be on a disk each, once.
    fn spread_of_code(&self, promise: &Promise, code: Coding) -> (usize, usize) {
        let stripes = code.stripes(promise.size, promise.chunks).unwrap();
        let held = |content: Content| -> Vec<Option<&ChunkSet>> {
            self.disks.iter().map(|disk| disk.held.get(&content)).collect()
        };
        let (data, parity) = (held(promise.content), held((code.with, View::Bytes)));
        let (mut fewest, mut most) = (usize::MAX, 0);
        for group in 0..stripes.groups() {
            let all: Vec<Shard> = stripes.shards(group).collect();
            let on = |shard: &Shard| -> Vec<u32> {
                let sets = if stripes.is_parity(*shard) { &parity } else { &data };
                let has = |set: &ChunkSet| stripes.chunks(*shard).all(|chunk| set.contains(Chunk(chunk)));
                (0..).zip(sets).filter(|(_, set)| set.is_some_and(has)).map(|(disk, _)| disk).collect()
            };
            let places: Vec<Vec<u32>> = all.iter().map(on).collect();
            let lost = all.len() - shards::count(&places) as usize;
            fewest = fewest.min((code.shape.m() as usize + 1).saturating_sub(lost));
            most = most.max(places.iter().map(Vec::len).max().unwrap_or(0) + code.shape.m() as usize);
        }
        (fewest, most)
    }

    /// On how many disks the chunk is that is on fewest, and the one that is on most.
    pub(super) fn spread(&self, promise: &Promise) -> (usize, usize) {
        if let Some(code) = promise.code.filter(|code| code.of == Side::Data) {
            return self.spread_of_code(promise, code);
        }
        let sets = self.disks.iter().filter_map(|disk| disk.held.get(&promise.content));
        let sets: Vec<&ChunkSet> = sets.collect();
        let on = |chunk| sets.iter().filter(|set| set.contains(chunk)).count();
        let counts: Vec<usize> = (0..promise.chunks).map(|chunk| on(Chunk(chunk))).collect();
        (counts.iter().copied().min().unwrap_or(0), counts.iter().copied().max().unwrap_or(0))
    }

    /// How many copies it has too few, of the chunk that has fewest.
    pub(super) fn lack(&self, promise: &Promise) -> usize {
        copies(promise).saturating_sub(self.spread(promise).0)
    }

    /// The most that something lacks that is promised.
    pub(super) fn most_lacking(&self) -> usize {
        self.promises.values().map(|promise| self.lack(promise)).max().unwrap_or(0)
    }
}
