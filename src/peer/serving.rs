//! How a peer serves: whose turn it is to send, which chunk a free choice is, when gains are told. Pure.
//!
//! A few connections send at a time and the others wait their turn: chunks then arrive one after the
//! other at full rate instead of all together late, and can be passed on so much earlier.

use std::collections::VecDeque;
use std::time::Duration;

use super::chunk_set::ChunkSet;

/// Connections that send chunks at the same time.
const SLOTS: usize = 4;
/// Chunks that are given to one asker in a row: a proof's run.
const CHOICE_RUN: u32 = 16;
/// Gains are told at most this often, unless something is being sent anyway.
pub(crate) const NEWS_INTERVAL: Duration = Duration::from_millis(10);
/// A connection that cannot send for this long gives up its turn: not our uplink is what is slow.
pub(crate) const TURN_PATIENCE: Duration = Duration::from_millis(50);

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

    /// A turn is over: whose it is now.
    pub(crate) fn pass_on(&mut self) -> Option<A> {
        let next = self.waiting.pop_front();
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
}

impl Seed {
    pub(crate) fn new(chunks: u32) -> Seed {
        Seed { askers: 0, copies: vec![0; chunks as usize], ungiven: ChunkSet::full(chunks), cursor: 0 }
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
        }
    }

    /// An asker that had a chunk is gone.
    pub(crate) fn take_back(&mut self, chunk: u32) {
        if let Some(copies) = self.copies.get_mut(chunk as usize) {
            *copies = copies.saturating_sub(1);
            if *copies == 0 {
                self.ungiven.insert(chunk);
            }
        }
    }
}
