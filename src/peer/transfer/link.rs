//! The connection to a source, as other threads see it: what its own thread is to do.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::content::{Chunk, ChunkSet, PeerId};
use crate::net::wake::Wake;
use crate::swarm::scheduler::{SourceId, SourceLoad};
use crate::threads::lock;

/// What the thread of a source connection is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Ask(Chunk),
    AskAny,
    AskLoad,
    Cancel(Chunk),
    /// Tell the source that this chunk is here.
    Tell(Chunk),
    Close,
}

/// Who a source is.
#[derive(Debug, Clone)]
pub(super) struct Who {
    pub(super) peer: PeerId,
    pub(super) name: String,
    /// Where it was dialled.
    pub(super) addr: String,
}

/// What a source answered to OPEN, and how long that took.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) have: ChunkSet,
    pub(super) load: Option<SourceLoad>,
    pub(super) round_trip: Duration,
    /// It may be left the choice of a chunk, and told of what is here.
    pub(super) one: bool,
}

/// The connection to a source, as other threads see it.
#[derive(Debug)]
pub(super) struct SourceLink {
    pub(super) id: SourceId,
    pub(super) who: Who,
    pub(super) wake: Arc<Wake>,
    orders: Mutex<Vec<Order>>,
    /// The source chooses chunks, and wants to know what is here.
    pub(super) wants_news: bool,
}

impl SourceLink {
    pub(super) fn new(id: SourceId, who: Who, wake: Arc<Wake>, wants_news: bool) -> SourceLink {
        SourceLink { id, who, wake, orders: Mutex::new(Vec::new()), wants_news }
    }

    pub(super) fn take_orders(&self) -> Vec<Order> {
        std::mem::take(&mut *lock(&self.orders))
    }

    pub(super) fn order(&self, order: Order) {
        lock(&self.orders).push(order);
    }
}
