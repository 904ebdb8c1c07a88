//! A registered peer: what it said of itself, and what others say of it.

use std::time::{Duration, Instant};

use crate::content::PeerId;
use crate::tracker::order::Order;
use crate::wire::{Label, PeerInfo};

/// Who sends a request: the connection, and the peer it says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sender {
    /// The connection; never the same number twice.
    pub connection: u64,
    /// The peer.
    pub peer: PeerId,
}

/// What a peer says of itself when it registers.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// The host where it listens.
    pub host: String,
    /// The port where it listens; 0 if it cannot be dialled.
    pub port: u16,
}

/// A peer's load as its heartbeats tell it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Uploads it serves now.
    pub uploads: u16,
    /// Downloads it runs now.
    pub downloads: u16,
    /// Bytes it would lend to others.
    pub space: u64,
}

/// A registered peer.
#[derive(Debug, Default)]
pub(super) struct Peer {
    pub(super) id: Option<PeerId>,
    pub(super) profile: Profile,
    pub(super) connection: u64,
    pub(super) seen: Option<Instant>,
    pub(super) load: Load,
    /// How often it was suggested since its last heartbeat: load that it could not tell yet.
    pub(super) suggested: u32,
    /// The numbers of the pairs of name and content that it registered, in order.
    pub(super) pairs: Order,
    pub(super) bitmap_bytes: usize,
    pub(super) dead_votes: Vec<(PeerId, Instant)>,
    pub(super) suspect_until: Option<Instant>,
    pub(super) corrupt_votes: Vec<PeerId>,
    pub(super) missing_reports: u32,
}

impl Peer {
    pub(super) fn info(&self, id: PeerId, now: Instant) -> PeerInfo {
        let silent = self.seen.map_or(Duration::ZERO, |seen| now.duration_since(seen));
        PeerInfo {
            peer: id,
            name: Label::new(&*self.profile.name),
            host: Label::new(&*self.profile.host),
            port: self.profile.port,
            offers: self.pairs.len() as u32,
            uploads: self.load.uploads,
            downloads: self.load.downloads,
            silent_ms: u32::try_from(silent.as_millis()).unwrap_or(u32::MAX),
        }
    }

    /// Returns false if the pair was there already.
    pub(super) fn add_pair(&mut self, pair: u32) -> bool {
        let place = self.pairs.partition(|other| other < pair);
        let new = self.pairs.from(place).next() != Some(pair);
        if new {
            self.pairs.insert(place, pair);
        }
        new
    }

    /// Returns false if the pair was not there.
    pub(super) fn remove_pair(&mut self, pair: u32) -> bool {
        let place = self.pairs.partition(|other| other < pair);
        let there = self.pairs.from(place).next() == Some(pair);
        if there {
            self.pairs.remove(place);
        }
        there
    }
}
