//! What a running peer says of itself.

use serde::{Deserialize, Serialize};

use super::transfer::TransferStatus;

/// What a running peer says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub addr: String,
    /// Files it shares from its folder.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Uploads served now.
    pub uploads: u16,
    /// Downloads running now.
    pub downloads: u16,
    /// Bytes of chunks sent since the start.
    pub sent: u64,
    /// Bytes a second that it may receive, if there is a limit.
    #[serde(default)]
    pub down: Option<u64>,
    /// Bytes a second that it may send, if there is a limit.
    #[serde(default)]
    pub up: Option<u64>,
    /// How it misbehaves on purpose, if it does.
    #[serde(default)]
    pub faults: Option<String>,
    /// The trackers.
    pub trackers: Vec<TrackerStatus>,
    /// Fetches under way, and the last that ended.
    pub transfers: Vec<TransferStatus>,
}

/// A tracker as a peer sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackerStatus {
    /// Its address.
    pub addr: String,
    /// Whether the peer is connected to it now.
    pub connected: bool,
}
