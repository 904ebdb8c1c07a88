//! A registered peer: what it said of itself, and what others say of it.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use super::doubt::{Doubt, Missed};
use crate::content::{Host, PeerId};
use crate::tracker::tables::order::{Order, Place};
use crate::wire::{Label, PeerInfo};

/// Stands in a number of [`Peer::pairs`] for what the peer fetched; without it, its user put it there.
const COPY: u32 = super::names::MAX_PAIRS;

/// Who sends a request: the connection, and the peer it says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sender {
    /// The connection; never the same number twice.
    pub connection: u64,
    /// The peer.
    pub peer: PeerId,
}

/// What a peer says of itself when it registers.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// The host where it listens.
    pub host: Host,
    /// The port where it listens; 0 if it cannot be dialled.
    pub port: u16,
    /// The address that its connection comes from.
    pub from: IpAddr,
}

impl Default for Profile {
    fn default() -> Profile {
        let from = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Profile { name: String::new(), host: Host::default(), port: 0, from }
    }
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
    /// The numbers of the pairs of name and content that it registered, in order, those of copies marked.
    pub(super) pairs: Order,
    pub(super) bitmap_bytes: usize,
    /// When it last said what it has.
    pub(super) stated: Option<Instant>,
    /// When it was last asked whether it lives, because another connection wants its place.
    pub(super) pinged: Option<Instant>,
    pub(super) doubt: Doubt,
    /// Who refused it what.
    pub(super) missed: Vec<Missed>,
}

impl Peer {
    pub(super) fn info(&self, id: PeerId, now: Instant) -> PeerInfo {
        let silent = self.seen.map_or(Duration::ZERO, |seen| now.duration_since(seen));
        PeerInfo {
            peer: id,
            name: Label::new(&*self.profile.name),
            host: self.profile.host.clone(),
            port: self.profile.port,
            offers: self.pairs.len() as u32,
            uploads: self.load.uploads,
            downloads: self.load.downloads,
            silent_ms: u32::try_from(silent.as_millis()).unwrap_or(u32::MAX),
        }
    }

    /// Adds a pair. A copy that is an original from now on is changed; an original stays one.
    pub(super) fn add_pair(&mut self, pair: u32, original: bool) -> Added {
        let (place, there) = self.find_pair(pair);
        match there {
            Some(false) if original => {
                self.pairs.remove(place);
                self.pairs.insert(place, pair);
                Added::Raised
            }
            Some(_) => Added::Known,
            None => {
                self.pairs.insert(place, if original { pair } else { pair | COPY });
                Added::New
            }
        }
    }

    /// Takes a pair away. True if it was an original; `None` if it was not there.
    pub(super) fn remove_pair(&mut self, pair: u32) -> Option<bool> {
        let (place, there) = self.find_pair(pair);
        if there.is_some() {
            self.pairs.remove(place);
        }
        there
    }

    /// True if the pair is registered as an original.
    pub(super) fn has_original(&self, pair: u32) -> bool {
        self.find_pair(pair).1 == Some(true)
    }

    fn find_pair(&self, pair: u32) -> (Place, Option<bool>) {
        let place = self.pairs.partition(|other| other & !COPY < pair);
        let there = self.pairs.from(place).next().filter(|other| other & !COPY == pair);
        (place, there.map(|other| unmarked(other).1))
    }
}

/// A number of [`Peer::pairs`]: the pair, and whether it is an original.
pub(super) fn unmarked(pair: u32) -> (u32, bool) {
    (pair & !COPY, pair & COPY == 0)
}

/// What became of a pair that was registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    New,
    /// It was a copy and is an original now.
    Raised,
    /// It was there already.
    Known,
}
