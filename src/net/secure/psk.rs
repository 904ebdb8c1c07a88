//! Pre-shared keys: without one, a handshake does not even begin.

use std::fmt;

use super::secret::Secret;

/// What a key id, the psk of a swarm and that of an invite are derived under.
const KEY_ID: &str = "p2p v1 key id";
const SWARM: &str = "p2p v1 swarm psk";
const INVITE: &str = "p2p v1 invite psk";

/// Which key a dialler begins with, as the accepter finds it: told in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; KeyId::BYTES]);

impl KeyId {
    /// Bytes of a key id.
    pub const BYTES: usize = 8;
}

/// What both sides of a handshake know before it.
#[derive(Clone)]
pub struct Psk {
    key: Secret,
    id: KeyId,
}

/// What a session may be used for that was begun with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Everything: the key of the swarm.
    Member,
    /// JOIN alone: the key of an invite.
    Join,
    /// RENEW alone: a key of the swarm from an epoch that is over.
    Renew,
}

/// What a handshake begins with.
#[derive(Debug, Clone)]
pub struct Opening {
    /// The key that both sides know.
    pub psk: Psk,
    /// What the session may be used for.
    pub purpose: Purpose,
}

impl Psk {
    /// That of a swarm's members, from the secret of an epoch.
    pub fn of_swarm(secret: &Secret) -> Psk {
        Psk::derived(SWARM, secret.expose())
    }

    /// That of who was invited, from the invite's secret.
    pub fn of_invite(secret: &[u8]) -> Psk {
        Psk::derived(INVITE, secret)
    }

    /// The one with this key, as [`Psk::key`] gives it.
    pub fn of_key(key: Secret) -> Psk {
        let [id @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] =
            blake3::derive_key(KEY_ID, key.expose());
        Psk { key, id: KeyId(id) }
    }

    fn derived(what: &str, secret: &[u8]) -> Psk {
        Psk::of_key(Secret::from(blake3::derive_key(what, secret)))
    }

    /// Which one it is.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The key itself, for a tracker that is to let in whoever has it.
    pub fn key(&self) -> &Secret {
        &self.key
    }
}

impl fmt::Debug for Psk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Psk({:?})", self.id)
    }
}
