//! What will happen, in order of time; what is due at the same time happens in the order it was put in.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::connection::Job;
use crate::wire::Refusal;

/// Nanoseconds since the start of the run.
pub(super) type Nanos = u64;

/// Something that will happen; numbers are of peers and connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Happening {
    Join(u32),
    End(u32, bool),
    /// The driving thread of a peer's transfer has its turn.
    Turn(u32),
    /// A peer's uplink has sent what it was sending.
    UplinkFree(u32),
    /// Bytes of a connection have arrived.
    Delivered(u32, u32),
    /// OPEN arrives.
    Open(u32),
    /// OPENED arrives.
    Opened(u32),
    /// A request arrives.
    Asked(u32, Job),
    Cancelled(u32, u32),
    /// The asker has a chunk now.
    Told(u32, u32),
    /// It is time to tell of gains.
    News(u32),
    /// A message of an idle connection arrives: its number.
    Message(u32, u32),
    /// Look whether a turn has been useless for too long.
    Patience(u32),
    /// The asker notices that the connection has ended, orderly or not.
    EndedForAsker(u32),
    /// The server notices.
    EndedForServer(u32),
    /// The tracker's answer is here.
    Located(u32),
    /// The tracker clears away expired leases, and peers give signs of life.
    Leases,
}

/// What a server says beside chunks.
#[derive(Debug)]
pub(super) enum Message {
    Gains(Vec<(u32, u32)>),
    Refused(u32, Refusal),
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Reverse<(Nanos, u64, Happening)>>,
    next: u64,
}

impl Queue {
    pub(super) fn push(&mut self, at: Nanos, what: Happening) {
        self.heap.push(Reverse((at, self.next, what)));
        self.next += 1;
    }

    pub(super) fn pop(&mut self) -> Option<(Nanos, Happening)> {
        self.heap.pop().map(|Reverse((at, _, what))| (at, what))
    }

    /// How many happenings there were or will be.
    pub(super) fn pushed(&self) -> u64 {
        self.next
    }
}
