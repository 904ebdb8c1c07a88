//! What all serving connections share: who may send now, what has been given to whom, how much.
//!
//! Owns the locks around what [`crate::swarm::turns`] and [`crate::swarm::uplink`] decide.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::Asker;
use crate::content::{ChunkSet, FileId, PeerId};
use crate::peer::transfer::add;
use crate::swarm::throttle::Throttle;
use crate::swarm::turns::{Rank, Seed, Turns};
use crate::swarm::uplink::Uplink;
use crate::threads::lock;
use crate::wire::View;

/// The state that serving connections share.
#[derive(Debug)]
pub(in crate::peer) struct Uploads {
    turns: Mutex<Turns<Waiting>>,
    seeds: Mutex<BTreeMap<Content, Seed<PeerId>>>,
    /// Connections with something to send.
    pub(in crate::peer) busy: AtomicU32,
    /// Chunk requests waiting, of all connections.
    pub(in crate::peer) queued: AtomicU32,
    next_asker: AtomicU32,
    /// Bytes of chunks sent since the start.
    pub(in crate::peer) sent: AtomicU64,
    pub(in crate::peer) throttle: Option<Mutex<Throttle>>,
    uplink: Mutex<Uplink>,
}

/// A content as it is opened: a tree's listing and its members have one id, but chunks of their own.
pub(in crate::peer) type Content = (FileId, View);

/// A connection that waits for its turn.
#[derive(Debug)]
struct Waiting {
    asker: Arc<Asker>,
    /// It is to send a chunk of our choice of this content.
    choice: Option<Content>,
    /// It is for an asker that is behind others.
    behind: bool,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Waiting) -> bool {
        self.asker == other.asker
    }
}

/// Leave to send one chunk; the next connection's turn comes when it is dropped.
#[derive(Debug)]
pub(in crate::peer) struct Turn(Arc<Uploads>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.pass_on();
    }
}

impl Uploads {
    pub(in crate::peer) fn new(rate: Option<u64>) -> Uploads {
        Uploads {
            turns: Mutex::new(Turns::new()),
            seeds: Mutex::new(BTreeMap::new()),
            busy: AtomicU32::new(0),
            queued: AtomicU32::new(0),
            next_asker: AtomicU32::new(0),
            sent: AtomicU64::new(0),
            throttle: rate.map(|rate| Mutex::new(Throttle::new(rate, Instant::now()))),
            uplink: Mutex::new(Uplink::new(rate)),
        }
    }

    /// See [`Uplink::rate`].
    pub(in crate::peer) fn rate(&self) -> u64 {
        lock(&self.uplink).rate()
    }

    /// A chunk begins to leave.
    pub(in crate::peer) fn begun(&self, bytes: usize, now: Instant) {
        add(&self.sent, bytes);
        lock(&self.uplink).begun(bytes, now);
    }

    /// See [`Uplink::give_up`].
    pub(in crate::peer) fn give_up(&self, now: Instant) -> Option<Instant> {
        lock(&self.uplink).give_up(now)
    }

    /// Leave to send, or a place in the queue: `asker` is woken when its turn comes. `choice` is the
    /// content of which it wants whichever chunk, if it does; `behind` if others get on faster than it.
    pub(in crate::peer) fn turn(
        self: &Arc<Self>,
        asker: &Arc<Asker>,
        choice: Option<Content>,
        behind: bool,
    ) -> Option<Turn> {
        if asker.granted.swap(false, Ordering::AcqRel) {
            return Some(Turn(self.clone()));
        }
        let mut turns = lock(&self.turns);
        // It may have been granted while the lock was not held.
        let waiting = Waiting { asker: asker.clone(), choice, behind };
        if asker.granted.swap(false, Ordering::AcqRel) || turns.take(waiting) {
            return Some(Turn(self.clone()));
        }
        None
    }

    fn pass_on(&self) {
        let mut turns = lock(&self.turns);
        let seeds = lock(&self.seeds);
        let rank = |waiting: &Waiting| {
            let seed = waiting.choice.and_then(|content| seeds.get(&content));
            Rank::new(seed.map_or(0, |seed| seed.unspread(waiting.asker.peer)), waiting.behind)
        };
        if let Some(Waiting { asker, .. }) = turns.pass_on(rank) {
            asker.granted.store(true, Ordering::Release);
            asker.wake.wake();
        } else {
            lock(&self.uplink).has_spare();
        }
    }

    /// The connection has nothing to send: a turn that came to it meanwhile goes to others.
    pub(in crate::peer) fn decline(&self, asker: &Asker) {
        if asker.granted.swap(false, Ordering::AcqRel) {
            self.pass_on();
        }
    }

    /// The connection is closing: gives its turn, or its place in the queue, to others.
    pub(in crate::peer) fn forget(&self, asker: &Arc<Asker>) {
        lock(&self.turns).forget(&Waiting { asker: asker.clone(), choice: None, behind: false });
        self.decline(asker);
    }

    /// An asker opened a content that is whole here.
    pub(in crate::peer) fn seed_opened(&self, content: Content, chunks: u32) {
        lock(&self.seeds).entry(content).or_insert_with(|| Seed::new(chunks)).askers += 1;
    }

    /// That asker is gone; what only it was given counts as not given, but for `kept`: what it surely
    /// has and goes on to share.
    pub(in crate::peer) fn seed_closed(&self, content: Content, given: &ChunkSet, kept: &ChunkSet) {
        let mut seeds = lock(&self.seeds);
        if let Some(seed) = seeds.get_mut(&content) {
            given.iter().filter(|chunk| !kept.contains(*chunk)).for_each(|chunk| seed.take_back(chunk));
            seed.askers -= 1;
            if seed.askers == 0 {
                seeds.remove(&content);
            }
        }
    }

    /// An asker has, or is being sent, a chunk.
    pub(in crate::peer) fn seed_gave(&self, content: Content, chunk: u32) {
        if let Some(seed) = lock(&self.seeds).get_mut(&content) {
            seed.give(chunk);
        }
    }

    /// A number for a new asker.
    pub(in crate::peer) fn number(&self) -> u32 {
        self.next_asker.fetch_add(1, Ordering::Relaxed)
    }

    /// Gives this asker a chunk that no asker has, if there is one, to follow `last`, the
    /// last one it was given.
    pub(in crate::peer) fn seed_choice(
        &self,
        content: Content,
        last: Option<u32>,
        asker: PeerId,
    ) -> Option<u32> {
        let mut seeds = lock(&self.seeds);
        let seed = seeds.get_mut(&content)?;
        let chunk = seed.choose(last)?;
        seed.give_first(chunk, asker);
        Some(chunk)
    }
}

/// A flag that wakes nobody: whether it is an asker's turn.
pub(in crate::peer) type Granted = AtomicBool;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_each_chunk_once_and_again_when_it_was_lost() {
        let uploads = Uploads::new(None);
        let id = (FileId::of(b"x"), View::Members);
        uploads.seed_opened((id.0, View::Bytes), 1);
        uploads.seed_opened(id, 3);
        uploads.seed_opened(id, 3);
        let mut first = ChunkSet::empty(3);
        for _ in 0..3 {
            first.insert(uploads.seed_choice(id, None, PeerId([1; 16])).unwrap());
        }
        assert!(first.is_full());
        assert_eq!(uploads.seed_choice(id, None, PeerId([2; 16])), None);
        uploads.seed_gave(id, 1);
        uploads.seed_closed(id, &first, &ChunkSet::empty(3));
        let lost: Vec<u32> = (0..2).filter_map(|_| uploads.seed_choice(id, None, PeerId([2; 16]))).collect();
        assert_eq!(lost, [0, 2], "chunk 1 is still with the second asker");
        assert_eq!(uploads.seed_choice(id, None, PeerId([2; 16])), None);
    }
}
