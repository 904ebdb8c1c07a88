//! Whom checks speak to: a tracker, or a peer that serves.

use std::time::Duration;

use super::check::{Checked, same};
use super::client::{Client, Hello};
use super::numbers::{ASK, MEMBER, SERVE, TRACKER};

/// A program under test.
#[derive(Debug)]
pub(super) struct Target {
    /// `host:port`.
    pub(super) addr: String,
    /// The role to dial it with.
    pub(super) role: u8,
    /// The role it then plays.
    pub(super) theirs: u8,
    /// How long it may take for anything.
    pub(super) patience: Duration,
}

impl Target {
    pub(super) fn tracker(addr: &str, patience: Duration) -> Target {
        Target { addr: addr.to_owned(), role: MEMBER, theirs: TRACKER, patience }
    }

    /// A connection that has said nothing yet.
    pub(super) fn dial(&self) -> Checked<Client> {
        Client::dial_within(&self.addr, self.patience)
    }

    /// A connection that has shaken hands, under a name never seen before.
    pub(super) fn greet(&self) -> Checked<Client> {
        self.greet_as(&Hello::new(self.role))
    }

    pub(super) fn greet_as(&self, hello: &Hello) -> Checked<Client> {
        let (client, theirs) = self.dial()?.shake(hello)?;
        same!(theirs.role, self.theirs, "HELLO with the role");
        Ok(client)
    }
}

/// What a peer shares, so that something can be asked of it.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The id of a content of at least two chunks.
    pub id: [u8; 32],
    /// Its size.
    pub size: u64,
    /// A tree with at least one member that has a chunk.
    pub tree: Option<[u8; 32]>,
}

/// A peer, dialled as one asks.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) target: Target,
    pub(super) id: [u8; 32],
    pub(super) size: u64,
    pub(super) tree: Option<[u8; 32]>,
}

impl Peer {
    pub(super) fn new(addr: &str, shared: &Shared, patience: Duration) -> Peer {
        let target = Target { addr: addr.to_owned(), role: ASK, theirs: SERVE, patience };
        Peer { target, id: shared.id, size: shared.size, tree: shared.tree }
    }
}

/// The pattern of section 5.1: so many bytes of it.
pub(super) fn pattern(bytes: usize, seed: u8) -> Vec<u8> {
    (0..bytes).map(|i| ((i + i / 251) as u8).wrapping_add(seed)).collect()
}

impl Default for Shared {
    /// The pattern of 200,000 bytes, and no tree.
    fn default() -> Shared {
        let content = pattern(200_000, 0);
        Shared { id: *blake3::hash(&content).as_bytes(), size: content.len() as u64, tree: None }
    }
}
