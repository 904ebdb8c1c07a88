//! What a tracker says of itself and of the peers that are registered with it.

use serde::{Deserialize, Serialize};

use crate::content::Address;
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
    /// Milliseconds that peers still have to come back which it had before it started again; else 0.
    pub settling_ms: u32,
    /// What its clock shows, in milliseconds since 1970.
    pub clock_ms: u64,
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
    /// Where to dial it first, or nothing if it cannot be dialled.
    pub address: Option<String>,
    /// Where to dial it, those to be tried first in front.
    pub addresses: Vec<String>,
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
            settling_ms: status.settling_ms,
            clock_ms: status.clock_ms,
            peers: peers.iter().map(Member::from).collect(),
        }
    }
}

impl From<&PeerInfo> for Member {
    fn from(peer: &PeerInfo) -> Member {
        Member {
            peer: peer.peer.to_string(),
            name: peer.name.to_string(),
            address: peer.addresses.first().map(Address::to_string),
            addresses: peer.addresses.iter().map(Address::to_string).collect(),
            offers: peer.offers,
            uploads: peer.uploads,
            downloads: peer.downloads,
            silent_ms: peer.silent_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::PeerId;
    use crate::wire::{Label, List};

    #[test]
    fn who_cannot_be_dialled_has_no_address() {
        let peer = |port| PeerInfo {
            peer: PeerId([7; 16]),
            name: Label::new("alice"),
            addresses: List::new(Address::new([10, 0, 0, 1].into(), port).into_iter().collect()),
            offers: 3,
            uploads: 2,
            downloads: 1,
            silent_ms: 900,
        };
        let status = Status {
            uptime_ms: 5,
            peers: 2,
            names: 13,
            registrations: 14,
            located: 4,
            epoch: 0,
            settling_ms: 6,
            clock_ms: 7,
        };
        let report = TrackerReport::new("t:1", &status, &[peer(0), peer(9)]);
        let member = Member {
            peer: PeerId([7; 16]).to_string(),
            name: "alice".to_owned(),
            address: None,
            addresses: Vec::new(),
            offers: 3,
            uploads: 2,
            downloads: 1,
            silent_ms: 900,
        };
        let at = "10.0.0.1:9".to_owned();
        let dialled = Member { address: Some(at.clone()), addresses: vec![at], ..member.clone() };
        let peers = vec![member, dialled];
        let told = TrackerReport {
            tracker: "t:1".to_owned(),
            uptime_ms: 5,
            names: 13,
            registrations: 14,
            located: 4,
            settling_ms: 6,
            clock_ms: 7,
            peers,
        };
        assert_eq!(report, told);
    }
}
