//! What a tracker says of itself and of the peers that are registered with it.

use serde::{Deserialize, Serialize};

use crate::wire::{PeerInfo, Status};

/// A tracker, and who is registered with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackerReport {
    /// Its address, as it was asked.
    pub tracker: String,
    /// Milliseconds since its start.
    pub uptime_ms: u64,
    /// Pairs of name and content.
    pub names: u32,
    /// Registrations: a name and content at a peer.
    pub registrations: u64,
    /// Questions for contents answered since the start.
    pub located: u64,
    /// Who is registered.
    pub peers: Vec<Member>,
}

/// A peer as a tracker knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The peer's id.
    pub peer: String,
    /// Its name.
    pub name: String,
    /// `host:port`, or nothing if it cannot be dialled.
    pub address: Option<String>,
    /// Contents that it offers.
    pub offers: u32,
    /// Uploads that it serves now.
    pub uploads: u16,
    /// Downloads that it runs now.
    pub downloads: u16,
    /// Milliseconds since its last sign of life.
    pub silent_ms: u32,
}

impl TrackerReport {
    /// From what the tracker at this address answered.
    pub fn new(tracker: &str, status: &Status, peers: &[PeerInfo]) -> TrackerReport {
        TrackerReport {
            tracker: tracker.to_owned(),
            uptime_ms: status.uptime_ms,
            names: status.names,
            registrations: status.registrations,
            located: status.located,
            peers: peers.iter().map(Member::from).collect(),
        }
    }
}

impl From<&PeerInfo> for Member {
    fn from(peer: &PeerInfo) -> Member {
        Member {
            peer: peer.peer.to_string(),
            name: peer.name.to_string(),
            address: (peer.port > 0).then(|| peer.host.endpoint(peer.port)),
            offers: peer.offers,
            uploads: peer.uploads,
            downloads: peer.downloads,
            silent_ms: peer.silent_ms,
        }
    }
}
