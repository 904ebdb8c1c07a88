//! Contents by id, each with its swarm.
//!
//! Owns the rule that a content is an id together with what is claimed of it: whether it is a file or a
//! tree, size, total and chunks. So a listing that is shared as a file, too, is two contents, and a false claim makes a content of its own and spoils nobody else's. Most contents are
//! files with one seeder, and cost no more than their own row.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use super::holders::{Leecher, Runs, Swarm};
use crate::content::{ChunkSet, Claim, FileId, Geometry};
use crate::tracker::tables::slab::Slab;

/// One content.
#[derive(Debug)]
struct Content {
    id: FileId,
    size: u64,
    /// 0 for a file, whose claim follows from its size; for a tree one more than the number in `shapes`.
    shape: u32,
    holders: Holders,
    /// The first of its names.
    first_name: u32,
}

impl Default for Content {
    fn default() -> Content {
        Content { id: FileId::NONE, size: 0, shape: 0, holders: Holders::Nobody, first_name: NO_NAME }
    }
}

#[derive(Debug, Clone, Copy)]
enum Holders {
    Nobody,
    /// One seeder with one name.
    One(u32),
    /// The number of a swarm.
    Many(u32),
}

/// The end of a content's list of names.
pub(super) const NO_NAME: u32 = u32::MAX;

/// All contents.
#[derive(Debug, Default)]
pub(super) struct Contents {
    rows: Slab<Content>,
    shapes: Slab<(u64, u32)>,
    swarms: Slab<Swarm>,
    by_id: HashTable<u32>,
    /// Keyed anew in each process, so that ids cannot be made to collide.
    hasher: RandomState,
}

impl Contents {
    /// The contents with this id: one for each different claim.
    pub(super) fn with_id(&self, id: &FileId) -> impl Iterator<Item = u32> {
        let found = self.by_id.iter_hash(self.hasher.hash_one(id)).copied();
        found.filter(move |content| self.rows[*content].id == *id)
    }

    /// The content with this id and claim.
    pub(super) fn find(&self, id: &FileId, claim: &Claim) -> Option<u32> {
        self.with_id(id).find(|content| self.claim(*content) == *claim)
    }

    /// Adds a content that is not there yet.
    pub(super) fn add(&mut self, id: FileId, claim: Claim) -> u32 {
        let shape = match claim.tree {
            false => 0,
            true => self.shapes.add((claim.total, claim.chunks)) + 1,
        };
        let number = self.rows.add(Content { id, size: claim.size, shape, ..Content::default() });
        let (rows, hasher) = (&self.rows, &self.hasher);
        self.by_id.insert_unique(hasher.hash_one(id), number, |other| hasher.hash_one(rows[*other].id));
        number
    }

    /// Forgets a content.
    pub(super) fn remove(&mut self, content: u32) {
        let hash = self.hasher.hash_one(self.rows[content].id);
        if let Ok(entry) = self.by_id.find_entry(hash, |number| *number == content) {
            entry.remove();
        }
        let row = self.rows.take(content);
        if let Some(shape) = row.shape.checked_sub(1) {
            self.shapes.take(shape);
        }
        if let Holders::Many(swarm) = row.holders {
            self.swarms.take(swarm);
        }
    }

    /// The content's id.
    pub(super) fn id(&self, content: u32) -> &FileId {
        &self.rows[content].id
    }

    /// What is claimed of the content.
    pub(super) fn claim(&self, content: u32) -> Claim {
        let row = &self.rows[content];
        match row.shape.checked_sub(1) {
            Some(shape) => {
                let (total, chunks) = self.shapes[shape];
                Claim { size: row.size, total, chunks, tree: true }
            }
            None => Claim {
                size: row.size,
                total: row.size,
                chunks: Geometry::of(row.size).map_or(0, Geometry::chunks),
                tree: false,
            },
        }
    }

    /// The first of the content's names.
    pub(super) fn first_name(&self, content: u32) -> u32 {
        self.rows[content].first_name
    }

    /// Puts another name first.
    pub(super) fn set_first_name(&mut self, content: u32, name: u32) {
        self.rows[content].first_name = name;
    }

    /// How many peers hold all, and how many hold a part.
    pub(super) fn counts(&self, content: u32) -> (usize, usize) {
        match self.rows[content].holders {
            Holders::Nobody => (0, 0),
            Holders::One(_) => (1, 0),
            Holders::Many(swarm) => (self.swarms[swarm].seeders.len(), self.swarms[swarm].leechers.len()),
        }
    }

    /// The `nth` peer that holds all; `nth` is below the count.
    pub(super) fn seeder(&self, content: u32, nth: usize) -> Option<u32> {
        match self.rows[content].holders {
            Holders::Nobody => None,
            Holders::One(peer) => Some(peer),
            Holders::Many(swarm) => self.swarms[swarm].seeders.get(nth).map(|seeder| seeder.peer),
        }
    }

    /// The `nth` peer that holds a part; `nth` is below the count.
    pub(super) fn leecher(&self, content: u32, nth: usize) -> Option<&Leecher> {
        match self.rows[content].holders {
            Holders::Nobody | Holders::One(_) => None,
            Holders::Many(swarm) => self.swarms[swarm].leechers.get(nth),
        }
    }

    /// True if the peer holds some of the content, or wants to.
    pub(super) fn holds(&self, content: u32, peer: u32) -> bool {
        match self.rows[content].holders {
            Holders::Nobody => false,
            Holders::One(one) => one == peer,
            Holders::Many(swarm) => self.swarms[swarm].holds(peer),
        }
    }

    /// Bytes of the peer's bitmap of this content.
    pub(super) fn bitmap(&self, content: u32, peer: u32) -> usize {
        match self.rows[content].holders {
            Holders::Many(swarm) => self.swarms[swarm].bitmap(peer),
            _ => 0,
        }
    }

    /// Bytes that a bitmap of this content takes.
    pub(super) fn bitmap_bytes(&self, content: u32) -> usize {
        ChunkSet::bytes_of(self.claim(content).chunks)
    }

    /// Counts one more name under which the peer holds the content.
    pub(super) fn add_name(&mut self, content: u32, peer: u32, complete: bool) {
        match self.rows[content].holders {
            Holders::Nobody if complete => self.rows[content].holders = Holders::One(peer),
            _ => self.with_swarm(content, |swarm, _| swarm.add_name(peer, complete)),
        }
    }

    /// Counts one name less under which the peer holds the content.
    pub(super) fn remove_name(&mut self, content: u32, peer: u32) {
        match self.rows[content].holders {
            Holders::One(one) if one == peer => self.rows[content].holders = Holders::Nobody,
            Holders::Many(_) => self.with_swarm(content, |swarm, _| swarm.remove_name(peer)),
            _ => {}
        }
    }

    /// Makes a leecher a seeder.
    pub(super) fn complete(&mut self, content: u32, peer: u32) {
        if let Holders::Many(_) = self.rows[content].holders {
            self.with_swarm(content, |swarm, _| swarm.complete(peer));
        }
    }

    /// Gives chunks to a leecher.
    pub(super) fn gain(&mut self, content: u32, peer: u32, gained: &Runs) {
        if let Holders::Many(_) = self.rows[content].holders {
            self.with_swarm(content, |swarm, chunks| swarm.gain(peer, gained, chunks));
        }
    }

    /// Changes the swarm, and folds it away when it is as small as can be.
    fn with_swarm(&mut self, content: u32, change: impl FnOnce(&mut Swarm, u32)) {
        let chunks = self.claim(content).chunks;
        let number = match self.rows[content].holders {
            Holders::Nobody => self.swarms.add(Swarm::default()),
            Holders::One(peer) => self.swarms.add(Swarm::of_one(peer)),
            Holders::Many(swarm) => swarm,
        };
        let swarm = &mut self.swarms[number];
        change(swarm, chunks);
        let holders = match swarm.only_one() {
            Some(peer) => Holders::One(peer),
            None if swarm.is_empty() => Holders::Nobody,
            None => Holders::Many(number),
        };
        self.rows[content].holders = holders;
        if !matches!(holders, Holders::Many(_)) {
            self.swarms.take(number);
        }
    }
}
