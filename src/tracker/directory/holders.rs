//! The holders of one content: who has all of it, and who has which part.
//!
//! Owns the one rule that a peer is in at most one of the two lists, with at least one name it
//! registered the content under.

use super::rows::PeerRow;
use crate::content::{Chunk, ChunkSet, Run};

/// A peer that has every chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seeder {
    /// The peer.
    pub(super) peer: PeerRow,
    /// Names under which it registered the content.
    names: u32,
}

/// A peer that has some chunks, or none yet.
#[derive(Debug)]
pub(super) struct Leecher {
    /// The peer.
    pub(super) peer: PeerRow,
    names: u32,
    /// The chunks it has; of length 0 while it has none, which takes no room.
    chunks: ChunkSet,
}

impl Leecher {
    /// How many chunks it has.
    pub(super) fn have(&self) -> u32 {
        self.chunks.count()
    }

    /// Bytes of its bitmap.
    pub(super) fn bitmap_bytes(&self) -> usize {
        ChunkSet::bytes_of(self.chunks.len())
    }

    /// True if it has one of these chunks.
    pub(super) fn has_any(&self, wanted: &ChunkSet) -> bool {
        self.chunks.next_common(wanted, Chunk(0)).is_some()
    }
}

/// The holders of a content, each list in order of the peers' rows.
#[derive(Debug, Default)]
pub(super) struct Swarm {
    pub(super) seeders: Vec<Seeder>,
    pub(super) leechers: Vec<Leecher>,
}

impl Swarm {
    /// A swarm of one seeder with one name: the most common one.
    pub(super) fn of_one(peer: PeerRow) -> Swarm {
        Swarm { seeders: vec![Seeder { peer, names: 1 }], leechers: Vec::new() }
    }

    /// The peer, if the swarm is as [`Swarm::of_one`] makes it.
    pub(super) fn only_one(&self) -> Option<PeerRow> {
        match (&self.seeders[..], &self.leechers[..]) {
            ([Seeder { peer, names: 1 }], []) => Some(*peer),
            _ => None,
        }
    }

    /// True if nobody is left.
    pub(super) fn is_empty(&self) -> bool {
        self.seeders.is_empty() && self.leechers.is_empty()
    }

    fn seeder(&self, peer: PeerRow) -> Result<usize, usize> {
        self.seeders.binary_search_by_key(&peer, |seeder| seeder.peer)
    }

    fn leecher(&self, peer: PeerRow) -> Result<usize, usize> {
        self.leechers.binary_search_by_key(&peer, |leecher| leecher.peer)
    }

    /// True if the peer is in the swarm.
    pub(super) fn holds(&self, peer: PeerRow) -> bool {
        self.seeder(peer).is_ok() || self.leecher(peer).is_ok()
    }

    /// Bytes of the peer's bitmap.
    pub(super) fn bitmap(&self, peer: PeerRow) -> usize {
        self.leecher(peer).map_or(0, |at| self.leechers[at].bitmap_bytes())
    }

    /// Counts one more name under which the peer holds the content.
    pub(super) fn add_name(&mut self, peer: PeerRow, complete: bool) {
        if complete {
            self.complete(peer);
        }
        match (self.seeder(peer), self.leecher(peer)) {
            (Ok(at), _) => self.seeders[at].names += 1,
            (_, Ok(at)) => self.leechers[at].names += 1,
            (Err(at), _) if complete => self.seeders.insert(at, Seeder { peer, names: 1 }),
            (_, Err(at)) => {
                self.leechers.insert(at, Leecher { peer, names: 1, chunks: ChunkSet::empty(0) });
            }
        }
    }

    /// Counts one name less; with the last one the peer leaves the swarm.
    pub(super) fn remove_name(&mut self, peer: PeerRow) {
        if let Ok(at) = self.seeder(peer) {
            self.seeders[at].names -= 1;
            if self.seeders[at].names == 0 {
                self.seeders.remove(at);
            }
        } else if let Ok(at) = self.leecher(peer) {
            self.leechers[at].names -= 1;
            if self.leechers[at].names == 0 {
                self.leechers.remove(at);
            }
        }
    }

    /// Makes a leecher a seeder.
    pub(super) fn complete(&mut self, peer: PeerRow) {
        if let (Ok(from), Err(to)) = (self.leecher(peer), self.seeder(peer)) {
            let names = self.leechers.remove(from).names;
            self.seeders.insert(to, Seeder { peer, names });
        }
    }

    /// Gives chunks to a leecher; with all of them it is a seeder.
    pub(super) fn gain(&mut self, peer: PeerRow, gained: &[Run], chunks: u32) {
        let Ok(at) = self.leecher(peer) else {
            return;
        };
        let has = &mut self.leechers[at].chunks;
        if has.len() != chunks && !gained.is_empty() {
            *has = ChunkSet::empty(chunks);
        }
        has.add_runs(gained);
        if has.count() == chunks {
            self.complete(peer);
        }
    }
}
