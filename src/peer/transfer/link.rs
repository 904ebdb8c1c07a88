//! The connection to a source, as other threads see it: what its own thread is to do.

use std::sync::{Arc, Mutex};

use crate::content::PeerId;
use crate::net::bulk::Wake;
use crate::swarm::scheduler::SourceId;
use crate::threads::lock;

/// What the thread of a source connection is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::peer) enum Order {
    Ask(u32),
    AskAny,
    AskLoad,
    Cancel(u32),
    /// Tell the source that this chunk is here.
    Tell(u32),
    Close,
}

/// What the connection showed of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::peer) enum Trust {
    /// Nothing was wrong.
    Kept,
    /// It sent wrong bytes too often.
    Lost,
}

/// The connection to a source, as other threads see it.
#[derive(Debug)]
pub(in crate::peer) struct SourceLink {
    pub(in crate::peer) id: SourceId,
    pub(in crate::peer) peer: PeerId,
    pub(in crate::peer) name: String,
    pub(in crate::peer) addr: String,
    pub(in crate::peer) wake: Arc<Wake>,
    orders: Mutex<Vec<Order>>,
    /// The source chooses chunks, and wants to know what is here.
    pub(super) wants_news: bool,
}

impl SourceLink {
    pub(in crate::peer) fn new(
        id: SourceId,
        peer: PeerId,
        name: String,
        addr: String,
        wake: Arc<Wake>,
        wants_news: bool,
    ) -> SourceLink {
        SourceLink { id, peer, name, addr, wake, orders: Mutex::new(Vec::new()), wants_news }
    }

    pub(in crate::peer) fn take_orders(&self) -> Vec<Order> {
        std::mem::take(&mut *lock(&self.orders))
    }

    pub(super) fn order(&self, order: Order) {
        lock(&self.orders).push(order);
    }
}
