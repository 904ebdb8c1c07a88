//! What trackers and stores say of what is kept: duties, what is safe on a store's disk, and how stores are.

use bytes::BytesMut;

use super::codes::{StoreState, View};
use super::field::{Addresses, Bits, Cursor, DecodeError, Field, Label, List};
use super::limits::{MAX_DUTY_SOURCES, MAX_REMEMBERED};
use super::macros::{kinds, layout};
use super::policy::Coding;
use super::records::Published;
use crate::content::{Chunk, FileId, PeerId};

layout! {
    /// What a store holds of a content so that no crash takes it: all of it, not what changed.
    KeptPart {
        /// The content.
        id: FileId,
        /// As what it holds it. Who holds any member of a tree holds its listing, too.
        view: View,
        /// Chunks of the content; a report of another number than the tracker knows counts for nothing.
        chunks: u32,
        /// The chunks that it holds.
        have: Bits,
    }
}

layout! {
    /// From whom a store may fetch what it is to keep.
    DutySource {
        /// The peer.
        peer: PeerId,
        /// Where the store may dial it, those to be tried first in front; none if it cannot be dialled.
        addresses: Addresses,
        /// True if it is to be asked only for what no other source has or is getting: it sends everything once.
        spare: bool,
    }
}

layout! {
    /// One store, as a tracker sees it.
    StoreInfo {
        /// The store.
        peer: PeerId,
        /// Its name.
        name: Label,
        /// The zone that it says it is in; empty if it says none.
        zone: Label,
        /// The machine that it says it runs on.
        machine: Label,
        /// What is to be had from it.
        state: StoreState,
        /// Bytes that it lends.
        capacity: u64,
        /// Bytes of them in use.
        used: u64,
        /// Contents of which it holds something.
        contents: u32,
        /// Chunks that it holds.
        chunks: u64,
    }
}

kinds! {
    /// What a peer is to do, most of it if it is a store.
    Duty {
        /// Dial somebody who cannot dial this peer and wants what it has, and serve it.
        1 "CALL" Call {
            /// What is wanted.
            id: FileId,
            /// Who wants it.
            peer: PeerId,
            /// Where to dial it, those to be tried first in front.
            addresses: Addresses,
        }
        /// Keep these chunks, and say so with KEPT when they are safe, or DECLINE.
        2 "KEEP" Keep {
            /// The content.
            id: FileId,
            /// Its bytes, or the files it lists.
            view: View,
            /// Bytes of the content; of a tree's listing.
            size: u64,
            /// Bytes of all files.
            total: u64,
            /// Chunks of the view.
            chunks: u32,
            /// The chunks to keep.
            keep: Bits,
            /// True if somebody waits for it.
            urgent: bool,
            /// The code that it is a part of: what nobody has is decoded.
            code: Option<Coding>,
            /// From whom they are to be had.
            sources: List<DutySource, MAX_DUTY_SOURCES>,
        }
        /// Say with KEPT what is held of a content, after comparing it with what is held of others.
        3 "LOOK" Look {
            /// The content.
            id: FileId,
            /// Its bytes, or the files it lists.
            view: View,
            /// Bytes of the content; of a tree's listing.
            size: u64,
            /// Bytes of all files.
            total: u64,
            /// Chunks of the view.
            chunks: u32,
            /// From whom its hashes are to be had.
            sources: List<DutySource, MAX_DUTY_SOURCES>,
        }
        /// Read a chunk again, and say with KEPT what is left.
        4 "CHECK" Check {
            /// The content.
            id: FileId,
            /// As what it is held.
            view: View,
            /// The chunk.
            chunk: Chunk,
        }
        /// Give up these chunks, and say with KEPT what is left.
        5 "DROP" Discard {
            /// The content.
            id: FileId,
            /// As what it is held.
            view: View,
            /// The chunks to give up.
            chunks: Bits,
        }
        /// Remember with a content, in place of what was remembered before, for which names it stands.
        6 "REMEMBER" Remember {
            /// The content.
            id: FileId,
            /// As what it is held.
            view: View,
            /// All versions that refer to it.
            published: List<Published, MAX_REMEMBERED>,
        }
    }
}
