//! Who is in a closed swarm and by which keys, as it stands in messages and in the tracker's journal.

use std::fmt;

use bytes::{BufMut, BytesMut};
use zeroize::Zeroize;

use super::codes::MemberRole;
use super::field::{Cursor, DecodeError, Field, Label, Name, Text};
use super::limits::MAX_ADDRESS_BYTES;
use super::macros::layout;
use crate::content::PublicKey;

/// Bytes of a secret.
const SECRET_BYTES: usize = 32;

/// What lets into a swarm: the secret of one of its epochs, or what is made of the secret of an invite. It is never shown,
/// and wiped where it lay.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SwarmSecret([u8; SECRET_BYTES]);

impl SwarmSecret {
    /// None: where one is to come.
    pub const NONE: SwarmSecret = SwarmSecret([0; SECRET_BYTES]);

    /// A secret of these bytes.
    pub fn new(bytes: [u8; SECRET_BYTES]) -> SwarmSecret {
        SwarmSecret(bytes)
    }

    /// Its bytes, for those who make keys of them or write them down where nobody else reads.
    pub fn expose(&self) -> &[u8; SECRET_BYTES] {
        &self.0
    }
}

impl fmt::Debug for SwarmSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("secret")
    }
}

impl Drop for SwarmSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Field for SwarmSecret {
    fn put(&self, out: &mut BytesMut) {
        out.put_slice(&self.0);
    }
    fn take(from: &mut Cursor) -> Result<SwarmSecret, DecodeError> {
        Ok(SwarmSecret(from.array()?))
    }
}

/// Where a tracker is dialled, as `HOST:PORT`.
pub type TrackerAddress = Text<MAX_ADDRESS_BYTES>;

layout! {
    /// A tracker of the swarm: where it is dialled, and the key that only it has.
    TrackerKey {
        /// Where.
        address: TrackerAddress,
        /// Its public key.
        key: PublicKey,
    }
}

layout! {
    /// The secret of an epoch of the swarm's key.
    Epoch {
        /// Its number; the first is 1.
        number: u32,
        /// What the key is made of.
        secret: SwarmSecret,
    }
}

layout! {
    /// An epoch before that of now whose key still lets in.
    Grace {
        /// The epoch.
        epoch: Epoch,
        /// For how many milliseconds more.
        left_ms: u64,
    }
}

layout! {
    /// What a member may do.
    Standing {
        /// Its role.
        role: MemberRole,
        /// Of a publisher: how the names begin that it may give to contents; empty for any.
        prefix: Name,
    }
}

layout! {
    /// One line of the roster.
    MemberInfo {
        /// The public key.
        key: PublicKey,
        /// Its name, as it called itself when it joined.
        name: Label,
        /// What it may do.
        standing: Standing,
        /// Who invited or entered it; all zero: it was there at the founding.
        by: PublicKey,
        /// True if it is one more key of the member that entered it.
        own: bool,
        /// Since when it is a member, by the tracker's clock, in milliseconds since 1970.
        since_ms: u64,
        /// True if it is connected to this tracker now.
        here: bool,
    }
}
