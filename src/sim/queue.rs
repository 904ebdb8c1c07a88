//! What will happen, in order of time; what is due at the same time happens in the order it was put in.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::happening::{Happening, Nanos};

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
