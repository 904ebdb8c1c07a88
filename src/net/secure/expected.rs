//! Whom a dialler expects at the other end.

use crate::content::{PeerId, PublicKey};

/// Whom a dialler expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Whoever has the key of the swarm.
    Anybody,
    /// The peer with this id.
    Peer(PeerId),
    /// The node with this key.
    Key(PublicKey),
}

impl Expected {
    pub(super) fn is_met_by(&self, key: &PublicKey) -> bool {
        match self {
            Expected::Anybody => true,
            Expected::Peer(id) => key.peer_id() == *id,
            Expected::Key(expected) => key == expected,
        }
    }
}
