//! The holders of one content: who has all of it, and who has which part.
//!
//! Owns the one rule that a peer is in at most one of the two lists, with at least one name it
//! registered the content under. Peers are known by their number in the directory.

/// A set of chunks, one bit each; empty while no chunk is in it.
pub(super) type Bits = Box<[u64]>;

/// Runs of chunks as they come in messages: first chunk and how many.
pub(super) type Runs = [(u32, u32)];

/// Bytes that a set of chunks takes once it is not empty.
pub(super) fn bitmap_bytes(chunks: u32) -> usize {
    chunks.div_ceil(u64::BITS) as usize * size_of::<u64>()
}

/// The chunks of `runs`, leaving out those that do not exist.
pub(super) fn bits_of(runs: &Runs, chunks: u32) -> Bits {
    let mut bits: Bits = vec![0; chunks.div_ceil(u64::BITS) as usize].into();
    add_runs(&mut bits, runs, chunks);
    bits
}

fn add_runs(bits: &mut Bits, runs: &Runs, chunks: u32) {
    for (first, count) in runs {
        let end = first.saturating_add(*count).min(chunks);
        let mut at = *first;
        while at < end {
            let (word, low) = ((at / u64::BITS) as usize, at % u64::BITS);
            let width = (u64::BITS - low).min(end - at);
            bits[word] |= (u64::MAX >> (u64::BITS - width)) << low;
            at += width;
        }
    }
}

/// A peer that has every chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seeder {
    /// The peer.
    pub(super) peer: u32,
    /// Names under which it registered the content.
    names: u32,
}

/// A peer that has some chunks, or none yet.
#[derive(Debug)]
pub(super) struct Leecher {
    /// The peer.
    pub(super) peer: u32,
    names: u32,
    /// How many chunks it has.
    pub(super) have: u32,
    bits: Bits,
}

impl Leecher {
    /// True if it has one of these chunks.
    pub(super) fn has_any(&self, wanted: &Bits) -> bool {
        self.bits.iter().zip(wanted).any(|(have, wanted)| have & wanted != 0)
    }
}

/// The holders of a content, each list in order of the peers' numbers.
#[derive(Debug, Default)]
pub(super) struct Swarm {
    pub(super) seeders: Vec<Seeder>,
    pub(super) leechers: Vec<Leecher>,
}

impl Swarm {
    /// A swarm of one seeder with one name: the most common one.
    pub(super) fn of_one(peer: u32) -> Swarm {
        Swarm { seeders: vec![Seeder { peer, names: 1 }], leechers: Vec::new() }
    }

    /// The peer, if the swarm is as [`Swarm::of_one`] makes it.
    pub(super) fn only_one(&self) -> Option<u32> {
        match (&self.seeders[..], &self.leechers[..]) {
            ([Seeder { peer, names: 1 }], []) => Some(*peer),
            _ => None,
        }
    }

    /// True if nobody is left.
    pub(super) fn is_empty(&self) -> bool {
        self.seeders.is_empty() && self.leechers.is_empty()
    }

    fn seeder(&self, peer: u32) -> Result<usize, usize> {
        self.seeders.binary_search_by_key(&peer, |seeder| seeder.peer)
    }

    fn leecher(&self, peer: u32) -> Result<usize, usize> {
        self.leechers.binary_search_by_key(&peer, |leecher| leecher.peer)
    }

    /// True if the peer is in the swarm.
    pub(super) fn holds(&self, peer: u32) -> bool {
        self.seeder(peer).is_ok() || self.leecher(peer).is_ok()
    }

    /// Bytes of the peer's bitmap.
    pub(super) fn bitmap(&self, peer: u32) -> usize {
        self.leecher(peer).map_or(0, |at| size_of_val(&*self.leechers[at].bits))
    }

    /// Counts one more name under which the peer holds the content.
    pub(super) fn add_name(&mut self, peer: u32, complete: bool) {
        if complete {
            self.complete(peer);
        }
        match (self.seeder(peer), self.leecher(peer)) {
            (Ok(at), _) => self.seeders[at].names += 1,
            (_, Ok(at)) => self.leechers[at].names += 1,
            (Err(at), _) if complete => self.seeders.insert(at, Seeder { peer, names: 1 }),
            (_, Err(at)) => {
                self.leechers.insert(at, Leecher { peer, names: 1, have: 0, bits: Bits::default() });
            }
        }
    }

    /// Counts one name less; with the last one the peer leaves the swarm.
    pub(super) fn remove_name(&mut self, peer: u32) {
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
    pub(super) fn complete(&mut self, peer: u32) {
        if let (Ok(from), Err(to)) = (self.leecher(peer), self.seeder(peer)) {
            let names = self.leechers.remove(from).names;
            self.seeders.insert(to, Seeder { peer, names });
        }
    }

    /// Gives chunks to a leecher; with all of them it is a seeder.
    pub(super) fn gain(&mut self, peer: u32, gained: &Runs, chunks: u32) {
        let Ok(at) = self.leecher(peer) else {
            return;
        };
        let leecher = &mut self.leechers[at];
        if leecher.bits.is_empty() && !gained.is_empty() {
            leecher.bits = bits_of(&[], chunks);
        }
        add_runs(&mut leecher.bits, gained, chunks);
        leecher.have = leecher.bits.iter().map(|word| word.count_ones()).sum();
        if leecher.have == chunks {
            self.complete(peer);
        }
    }
}
