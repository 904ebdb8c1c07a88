//! The public half of a node's static key pair, by which nodes and members are known.

use std::fmt;
use std::str::FromStr;

use super::base32;
use super::id::PeerId;

/// What the peer id is derived under.
const PEER_ID: &str = "p2p v1 peer id";

/// A static public key (X25519).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PublicKey(pub [u8; PublicKey::BYTES]);

/// A text that is no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a public key is {} letters and digits", (PublicKey::BYTES * 8).div_ceil(5))]
pub struct NoKey;

impl PublicKey {
    /// Bytes of a public key.
    pub const BYTES: usize = 32;

    /// Before every key: where pages begin. Nobody has it, for no private key belongs to it.
    pub const NONE: PublicKey = PublicKey([0; PublicKey::BYTES]);

    /// The id of the node that has this key: nobody else can have it.
    pub fn peer_id(&self) -> PeerId {
        let [id @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = blake3::derive_key(PEER_ID, &self.0);
        PeerId(id)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base32::encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<PublicKey, NoKey> {
        let bytes = base32::decode(text).ok_or(NoKey)?;
        bytes.as_slice().try_into().map(PublicKey).map_err(|_| NoKey)
    }
}
