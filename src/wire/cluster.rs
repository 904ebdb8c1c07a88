//! The trackers of a cluster, as they stand in messages.

use crate::content::PublicKey;
use bytes::{Buf, BufMut, BytesMut};

use super::field::{Cursor, DecodeError, Field};
use super::macros::layout;
use super::members::TrackerAddress;

/// A tracker's disk: made when it was empty, and on it from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Incarnation(pub u128);

impl Field for Incarnation {
    fn put(&self, out: &mut BytesMut) {
        out.put_u128(self.0);
    }
    fn take(from: &mut Cursor) -> Result<Incarnation, DecodeError> {
        Ok(Incarnation(from.take(size_of::<u128>())?.get_u128()))
    }
}

layout! {
    /// A tracker that is to be a member of a cluster.
    NodePlace {
        /// Its number.
        node: u16,
        /// Where it is reached.
        address: TrackerAddress,
        /// Its public key; zeros in an open network.
        key: PublicKey,
    }
}

layout! {
    /// A tracker of a cluster, as another one sees it.
    NodeInfo {
        /// Its number.
        node: u16,
        /// Where it is reached; empty if that is the address which was dialled, or not known.
        address: TrackerAddress,
        /// Its public key; zeros in an open network.
        key: PublicKey,
        /// True for a member; false for one that is connected and has no vote.
        votes: bool,
        /// Its disk: of a member as the epoch has it, of another as it says.
        incarnation: Incarnation,
        /// True if it has another disk than its membership: its vote does not count.
        replaced: bool,
        /// Milliseconds since it was heard; all ones if it is not connected.
        heard_ms: u32,
        /// The epoch it said it is in; 0 if it said none.
        epoch: u32,
        /// Up to which slot it said it has applied.
        applied: u64,
    }
}
