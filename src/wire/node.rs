//! The messages between two trackers of a cluster.

use bytes::{BufMut, Bytes, BytesMut};

use super::common::{Common, FIRST_DIRECTED_ID};
use super::field::{Cursor, DecodeError, Field, Label};
use super::limits::MAX_PASSED_BYTES;
use super::macros::{layout, messages};
use super::message::Message;
use crate::content::{PeerId, PublicKey};

/// Bytes that mean something to others than those who pass them on; at most `MAX_PASSED_BYTES`, with a `u32` length before them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Passed(pub Bytes);

impl Field for Passed {
    fn put(&self, out: &mut BytesMut) {
        out.put_u32(self.0.len() as u32);
        out.put_slice(&self.0);
    }
    fn take(from: &mut Cursor) -> Result<Passed, DecodeError> {
        let len = u32::take(from)? as usize;
        if len > MAX_PASSED_BYTES {
            return Err(DecodeError::OverLimit {
                what: "what is passed on",
                got: len,
                limit: MAX_PASSED_BYTES,
            });
        }
        from.take(len).map(Passed)
    }
}

messages! {
    /// What a tracker of a cluster sends to another.
    BetweenNodes {
        /// This connection is the one between the two; answered with OK.
        0x80 "LINK" LinkNodes {
            /// The number of the sender.
            node: u16,
            /// The number of the receiver, as the sender believes.
            to: u16,
            /// Drawn for this connection: by it the sender is known at the address of its number ([`Confirm`]).
            token: u64,
        }
        /// The next piece of what is said on the connection between two trackers; a notice.
        0x81 "SAY" Say {
            /// True if what is said goes on in the next.
            more: bool,
            /// The piece.
            said: Passed,
        }
        /// What a member asked another tracker than the leader; answered with FORWARDED.
        0x82 "FORWARD" Forward {
            /// The peer id of the member.
            peer: PeerId,
            /// Its name.
            name: Label,
            /// Its key, as its handshake has proved it; zeros if nobody asked for one.
            key: PublicKey,
            /// The invite by whose key it came; 0 if it has a key of the swarm.
            invite: u64,
            /// True if the key of the swarm that it has is over.
            late: bool,
            /// The message id of what it asked.
            message: u8,
            /// The fields of that.
            body: Passed,
        }
        /// What the member is to be told.
        0x83 "FORWARDED" Forwarded {
            /// The message id of the answer.
            message: u8,
            /// The fields of that.
            body: Passed,
        }
        /// Is the connection with this token one that the receiver has made? Answered with OK if it is.
        0x84 "CONFIRM" Confirm {
            /// The number of the tracker to which it is made.
            to: u16,
            /// What was said there in LINK.
            token: u64,
        }
        /// A change of who may come in to pages, asked for at the page of another tracker than the leader; answered with FORWARDED.
        0x85 "CHANGE_PAGES" ChangePages {
            /// Which change it is.
            change: u8,
            /// The fields of that.
            body: Passed,
        }
    }
}
