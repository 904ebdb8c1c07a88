//! How a peer serves: whose turn it is to send, which chunk a free choice is, when gains are told. Pure.
//!
//! A few connections send at a time and the others wait their turn: chunks then arrive one after the
//! other at full rate instead of all together late, and can be passed on so much earlier.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::chunk_set::ChunkSet;

/// Connections that send chunks at the same time.
const SLOTS: usize = 4;
/// Chunks that are given to one asker in a row: a proof's run.
const CHOICE_RUN: u32 = 16;
/// Gains are gathered for this long before any asker hears of them.
pub(crate) const NEWS_INTERVAL: Duration = Duration::from_millis(25);
/// An asker that has requests with us hears of gains this late: it has enough to do, and in a swarm of
/// many neighbours telling of each chunk at once costs more than sending the chunks.
const NEWS_PATIENCE: Duration = Duration::from_millis(50);
/// Bytes that a socket takes ahead of what has left the host. What it has taken cannot be put in a
/// better order, and gains wait behind it.
pub(crate) const UNSENT_AHEAD: u32 = 32 << 10;
/// A connection that cannot send for this long gives up its turn: not our uplink is what is slow.
pub(crate) const TURN_PATIENCE: Duration = Duration::from_millis(20);

/// How long after an asker was last told of gains it is told of others.
pub(crate) fn news_interval(has_requests: bool) -> Duration {
    if has_requests { NEWS_PATIENCE } else { NEWS_INTERVAL }
}

/// Who may send, and who waits for it in which order.
#[derive(Debug)]
pub(crate) struct Turns<A> {
    sending: usize,
    waiting: VecDeque<A>,
}

impl<A: PartialEq> Turns<A> {
    pub(crate) fn new() -> Turns<A> {
        Turns { sending: 0, waiting: VecDeque::new() }
    }

    /// Leave for `asker` to send, or a place in the queue.
    pub(crate) fn take(&mut self, asker: A) -> bool {
        if self.sending < SLOTS && self.waiting.is_empty() {
            self.sending += 1;
            return true;
        }
        if !self.waiting.contains(&asker) {
            self.waiting.push_back(asker);
        }
        false
    }

    /// A turn is over: whose it is now. The smallest `cost` comes first, among equals who waits longest.
    pub(crate) fn pass_on(&mut self, cost: impl Fn(&A) -> u32) -> Option<A> {
        let cheapest = (0..self.waiting.len()).min_by_key(|at| self.waiting.get(*at).map(&cost));
        let next = cheapest.and_then(|at| self.waiting.remove(at));
        if next.is_none() {
            self.sending -= 1;
        }
        next
    }

    /// The asker waits no more.
    pub(crate) fn forget(&mut self, asker: &A) {
        self.waiting.retain(|waiting| waiting != asker);
    }
}

/// Which chunks of a content the present askers have between them.
#[derive(Debug)]
pub(crate) struct Seed {
    /// Connections that have the content open.
    pub(crate) askers: u32,
    copies: Vec<u16>,
    ungiven: ChunkSet,
    cursor: u32,
    /// Chunks that one asker alone was given, with the number of that asker.
    alone: BTreeMap<u32, u32>,
    /// How many these are for each asker.
    unspread: BTreeMap<u32, u32>,
}

impl Seed {
    pub(crate) fn new(chunks: u32) -> Seed {
        Seed {
            askers: 0,
            copies: vec![0; chunks as usize],
            ungiven: ChunkSet::full(chunks),
            cursor: 0,
            alone: BTreeMap::new(),
            unspread: BTreeMap::new(),
        }
    }

    /// A chunk that no asker has, to follow `last`, the last one that this asker was given. Each asker
    /// gets a run of its own as long as there are any, so that the proof of a run, which travels with
    /// its first chunk, leaves once too.
    pub(crate) fn choose(&mut self, last: Option<u32>) -> Option<u32> {
        let next =
            last.map(|last| last + 1).filter(|next| next % CHOICE_RUN != 0 && self.ungiven.contains(*next));
        next.or_else(|| {
            let chunk = self.ungiven.next(self.cursor)?;
            self.cursor = (chunk / CHOICE_RUN + 1) * CHOICE_RUN;
            Some(chunk)
        })
    }

    /// An asker has, or is being sent, a chunk.
    pub(crate) fn give(&mut self, chunk: u32) {
        if let Some(copies) = self.copies.get_mut(chunk as usize) {
            *copies = copies.saturating_add(1);
            self.ungiven.remove(chunk);
            self.is_spread(chunk);
        }
    }

    /// A chunk of our choice is being sent to `asker`, the first one to have it.
    pub(crate) fn give_first(&mut self, chunk: u32, asker: u32) {
        self.give(chunk);
        self.alone.insert(chunk, asker);
        *self.unspread.entry(asker).or_default() += 1;
    }

    fn is_spread(&mut self, chunk: u32) {
        if let Some(asker) = self.alone.remove(&chunk)
            && let Some(count) = self.unspread.get_mut(&asker)
        {
            *count -= 1;
        }
    }

    /// How many of the chunks that `asker` was the first to be given no other asker has yet: who
    /// passes on quickly should be given more, and who cannot keep up less.
    pub(crate) fn unspread(&self, asker: u32) -> u32 {
        self.unspread.get(&asker).copied().unwrap_or(0)
    }

    /// An asker that had a chunk is gone.
    pub(crate) fn take_back(&mut self, chunk: u32) {
        if let Some(copies) = self.copies.get_mut(chunk as usize) {
            *copies = copies.saturating_sub(1);
            if *copies == 0 {
                self.ungiven.insert(chunk);
                self.is_spread(chunk);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_turn_is_for_who_passes_on_what_it_gets() {
        let mut seed = Seed::new(4);
        for (chunk, asker) in [(0, 7), (1, 7), (2, 8)] {
            seed.give_first(chunk, asker);
        }
        assert_eq!((seed.unspread(7), seed.unspread(8)), (2, 1));
        let mut turns = Turns::new();
        let waiting: Vec<u32> = (0..SLOTS as u32).chain([7, 8]).filter(|asker| !turns.take(*asker)).collect();
        assert_eq!(waiting, [7, 8]);
        assert_eq!(turns.pass_on(|asker| seed.unspread(*asker)), Some(8));
        seed.give(0);
        seed.give(1);
        assert_eq!(seed.unspread(7), 0, "others have them now");
        assert!(!turns.take(8));
        assert_eq!(turns.pass_on(|asker| seed.unspread(*asker)), Some(7));
    }
}
