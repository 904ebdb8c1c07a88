//! A simulated peer: its link, what it serves, what it fetches.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use super::happening::Nanos;
use super::scenario::{Link, Manner};
use crate::content::{Chunk, ChunkSet, PeerId};
use crate::swarm::desk::Desk;
use crate::swarm::errands::Errands;
use crate::swarm::neighbours::Neighbours;
use crate::swarm::scheduler::{Scheduler, SourceId, SourceLoad};

/// The transfer of a fetching peer.
#[derive(Debug)]
pub(super) struct Fetch {
    pub(super) scheduler: Scheduler,
    pub(super) neighbours: Neighbours,
    /// The connection of each source, by the source's number.
    pub(super) connections: Vec<u32>,
    /// The chunks that were delivered whole and true: what the scheduler must say it has.
    pub(super) kept: ChunkSet,
    /// Who writes a chunk that is arriving: the one that began last.
    pub(super) writers: BTreeMap<Chunk, SourceId>,
    /// Runs whose proof is known.
    pub(super) proved: ChunkSet,
    pub(super) errands: Errands,
    /// Holders in the tracker's answer that is on its way.
    pub(super) located: Vec<u32>,
    /// An early turn has been called for.
    pub(super) turn_due: bool,
}

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) link: Link,
    pub(super) manner: Manner,
    pub(super) alive: bool,
    pub(super) vanished: bool,
    pub(super) joined: Nanos,
    pub(super) done: Option<Nanos>,
    /// None for the seeder, and before the peer joins.
    pub(super) fetch: Option<Box<Fetch>>,
    // The link.
    /// Connections that wait for the uplink.
    pub(super) ready: VecDeque<u32>,
    pub(super) sending: bool,
    pub(super) idle_since: Option<Nanos>,
    pub(super) idle: Nanos,
    pub(super) debt: f64,
    pub(super) down_free: Nanos,
    // Serving.
    pub(super) desk: Desk<()>,
    pub(super) askers: Vec<u32>,
    // The ledger.
    pub(super) sent: u64,
    pub(super) useful: u64,
    pub(super) duplicate: u64,
    pub(super) rejected: u64,
    pub(super) overhead: u64,
}

/// The peer's id, from which its number can be read.
pub(super) fn id_of(number: u32) -> PeerId {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    id[15] = 1;
    PeerId(id)
}

/// The address of a peer: each has its own.
pub(super) fn address_of(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(number))
}

/// The number of a peer.
pub(super) fn number_of(id: PeerId) -> u32 {
    u32::from_be_bytes([id.0[0], id.0[1], id.0[2], id.0[3]])
}

impl Peer {
    pub(super) fn new(link: Link, manner: Manner, now: Instant) -> Peer {
        Peer {
            link,
            manner,
            alive: false,
            vanished: false,
            joined: 0,
            done: None,
            fetch: None,
            ready: VecDeque::new(),
            sending: false,
            idle_since: None,
            idle: 0,
            debt: 0.0,
            down_free: 0,
            desk: Desk::new(None, now),
            askers: Vec::new(),
            sent: 0,
            useful: 0,
            duplicate: 0,
            rejected: 0,
            overhead: 0,
        }
    }

    /// True if a chunk is here.
    pub(super) fn has(&self, chunk: Chunk) -> bool {
        self.fetch.as_ref().is_none_or(|fetch| fetch.scheduler.had().contains(chunk))
    }

    /// The chunks that are here.
    pub(super) fn have(&self, chunks: u32) -> ChunkSet {
        self.fetch.as_ref().map_or_else(|| ChunkSet::full(chunks), |fetch| fetch.scheduler.had().clone())
    }

    /// What it says of its load on the connection of this number.
    pub(super) fn load_for(&self, c: u32) -> SourceLoad {
        SourceLoad { uploads: self.desk.busy(Some(c)) as u16, rate: self.desk.rate() }
    }

    pub(super) fn is_honest(&self) -> bool {
        self.manner == Manner::Honest
    }
}
