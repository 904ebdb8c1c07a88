//! What all serving connections share: the desk behind its lock, whom to wake, how much was sent.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::content::{FileId, Rate};
use crate::net::wake::Wake;
use crate::swarm::backlog::Backlog;
use crate::swarm::desk::{Desk, Effect};
use crate::threads::lock;
use crate::wire::View;

/// A content as it is opened: a tree's listing and its members have one id, but chunks of their own.
pub(super) type Content = (FileId, View);

/// The state that serving connections share.
#[derive(Debug)]
pub(in crate::peer) struct Uploads {
    desk: Mutex<Desk<Content>>,
    /// What waits for those who do not read.
    pub(super) backlog: Mutex<Backlog>,
    /// The connections, by their numbers.
    wakes: Mutex<BTreeMap<u32, Arc<Wake>>>,
    next_number: AtomicU32,
    /// Bytes a second that may be sent; 0: there is no limit.
    limit: AtomicU64,
    /// Chunk requests waiting, of all connections.
    pub(super) queued: AtomicU32,
    /// Bytes of chunks sent since the start.
    pub(in crate::peer) sent: AtomicU64,
}

impl Uploads {
    /// Those of a peer that may send no faster than `limit`, if there is one.
    pub(in crate::peer) fn new(limit: Option<Rate>) -> Uploads {
        Uploads {
            desk: Mutex::new(Desk::new(limit, Instant::now())),
            backlog: Mutex::default(),
            wakes: Mutex::new(BTreeMap::new()),
            next_number: AtomicU32::new(0),
            limit: AtomicU64::new(limit.map_or(0, Rate::get)),
            queued: AtomicU32::new(0),
            sent: AtomicU64::new(0),
        }
    }

    /// From now on nothing is sent faster than `limit`, if there is one.
    pub(in crate::peer) fn set_limit(&self, limit: Option<Rate>) {
        self.desk(|desk| desk.set_limit(limit, Instant::now()));
        self.limit.store(limit.map_or(0, Rate::get), Ordering::Relaxed);
    }

    /// How fast may be sent, if there is a limit.
    pub(in crate::peer) fn limit(&self) -> Option<Rate> {
        Rate::new(self.limit.load(Ordering::Relaxed))
    }

    /// Connections with something to send.
    pub(in crate::peer) fn busy(&self) -> u16 {
        self.desk(|desk| desk.busy(None)).min(u32::from(u16::MAX)) as u16
    }

    /// A number for a new connection, which `wake` wakes as long as it is listed.
    pub(super) fn enlist(&self, wake: Arc<Wake>) -> u32 {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        lock(&self.wakes).insert(number, wake);
        number
    }

    pub(super) fn delist(&self, number: u32) {
        lock(&self.wakes).remove(&number);
    }

    /// A step at the desk, under its lock.
    pub(super) fn desk<T>(&self, step: impl FnOnce(&mut Desk<Content>) -> T) -> T {
        step(&mut lock(&self.desk))
    }

    /// What follows from a step for other connections. Who has left meanwhile has handed its turn on.
    pub(super) fn carry_out(&self, effects: Vec<Effect>) {
        for Effect::Wake(number) in effects {
            let wake = lock(&self.wakes).get(&number).cloned();
            if let Some(wake) = wake {
                wake.wake();
            }
        }
    }
}
