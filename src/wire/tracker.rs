//! The messages between a member, that is a peer or a tool, and a tracker.

use bytes::{Bytes, BytesMut};

use super::codes::{Complaint, Purpose, View};
use super::common::{Common, FIRST_DIRECTED_ID};
use super::field::{Cursor, DecodeError, Field, Label, List, Name, Ranges};
use super::limits::{MAX_ENTRIES, MAX_HOLDERS, MAX_NEAR, MAX_OFFERS, MAX_PEERS, MAX_VARIANTS};
use super::macros::{layout, messages};
use super::message::Message;
use crate::content::{FileId, Host, PeerId};

layout! {
    /// A content that a peer registers under a name.
    Offer {
        /// The name; a tree's ends with `/`.
        name: Name,
        /// The content's id.
        id: FileId,
        /// Bytes of the content.
        size: u64,
        /// Bytes of all files: `size` for a file, the sum of its members for a tree.
        total: u64,
        /// Chunks that the peer could hold: of the file, or of all members of the tree.
        chunks: u32,
        /// True if it holds all of them; otherwise none until HAVE says so.
        complete: bool,
        /// True if its user put it there, which makes the name; false if the peer fetched it.
        original: bool,
        /// When the content was last changed there, in seconds since 1970; 0 if that is not known.
        modified: u64,
    }
}

layout! {
    /// A peer that holds some of a content.
    Holder {
        /// The peer.
        peer: PeerId,
        /// Its name.
        name: Label,
        /// The host where it listens, an address or a name.
        host: Host,
        /// The port where it listens; 0 if it cannot be dialled.
        port: u16,
        /// Chunks it holds.
        have: u32,
        /// Uploads it serves now.
        uploads: u16,
        /// Downloads it runs now.
        downloads: u16,
        /// True if it has the content as an original under the variant's name.
        original: bool,
    }
}

layout! {
    /// One content under a name, with some of its holders.
    Variant {
        /// The name.
        name: Name,
        /// The content's id.
        id: FileId,
        /// Bytes of the content.
        size: u64,
        /// Bytes of all files.
        total: u64,
        /// Chunks of the content.
        chunks: u32,
        /// Peers that hold all chunks.
        seeders: u32,
        /// Peers that hold a part.
        leechers: u32,
        /// True if somebody has it as an original under this name; false if all are copies.
        original: bool,
        /// True if whoever makes a name for it calls it alike: the last part of the name is agreed on.
        agreed: bool,
        /// When it was last changed, as the newest of its originals says; in seconds since 1970, or 0.
        modified: u64,
        /// The holders chosen for this answer.
        holders: List<Holder, MAX_HOLDERS>,
    }
}

layout! {
    /// One line of a listing.
    Entry {
        /// The name.
        name: Name,
        /// The content's id.
        id: FileId,
        /// Bytes of the content.
        size: u64,
        /// Bytes of all files.
        total: u64,
        /// Peers that hold all chunks.
        seeders: u32,
        /// Peers that hold a part.
        leechers: u32,
    }
}

layout! {
    /// One registered peer.
    PeerInfo {
        /// The peer.
        peer: PeerId,
        /// Its name.
        name: Label,
        /// The host where it listens.
        host: Host,
        /// The port where it listens.
        port: u16,
        /// Contents it registered.
        offers: u32,
        /// Uploads it serves now.
        uploads: u16,
        /// Downloads it runs now.
        downloads: u16,
        /// Milliseconds since its last sign of life.
        silent_ms: u32,
    }
}

messages! {
    /// What a member (peer or tool) sends to a tracker.
    ToTracker {
        /// Registers the sender, forgetting all it registered before; answered with REGISTERED.
        0x10 "REGISTER" Register {
            /// The host others should dial; empty: the address this connection comes from.
            host: Host,
            /// The port others should dial; 0 if it cannot be dialled.
            port: u16,
            /// The first of its contents; UPDATE carries the rest.
            offers: List<Offer, MAX_OFFERS>,
        }
        /// Contents gained and lost by the sender; answered with OK.
        0x11 "UPDATE" Update {
            /// Names and contents it shares from now on.
            added: List<Offer, MAX_OFFERS>,
            /// Names and contents it no longer shares.
            removed: List<(Name, FileId), MAX_OFFERS>,
        }
        /// Chunks gained by the sender of a content it registered; answered with OK.
        0x12 "HAVE" HaveChunks {
            /// The content.
            id: FileId,
            /// As what the sender registered it: a file, or a tree whose members' chunks these are.
            view: View,
            /// The chunks gained.
            gained: Ranges,
        }
        /// Asks who has a content; answered with LOCATED.
        0x13 "LOCATE" Locate {
            /// The name wanted; empty to ask by id.
            name: Name,
            /// The id wanted; all zero to ask by name.
            id: FileId,
            /// What the answer is for.
            purpose: Purpose,
            /// Most holders wanted of each variant.
            max: u16,
            /// If not empty: only holders of one of these chunks.
            missing: Ranges,
        }
        /// Asks for names in order; answered with LISTING.
        0x14 "LIST" GetList {
            /// `*` and `?` match as in a shell, `*` also across `/`; without either, a part of the name.
            pattern: Name,
            /// Only names after this one.
            after: Name,
            /// Most entries wanted.
            limit: u16,
        }
        /// A sign of life with the sender's load; answered with OK.
        0x15 "HEARTBEAT" Heartbeat {
            /// Uploads it serves now.
            uploads: u16,
            /// Downloads it runs now.
            downloads: u16,
            /// Bytes it would lend to others.
            space: u64,
        }
        /// Tells what is wrong with a peer; answered with OK.
        0x16 "REPORT" Report {
            /// The peer complained about.
            peer: PeerId,
            /// The content it is about.
            id: FileId,
            /// The chunk it is about.
            chunk: u32,
            /// What is wrong.
            complaint: Complaint,
        }
        /// Asks how the tracker is; answered with STATUS.
        0x17 "GET_STATUS" GetStatus {}
        /// Asks for the registered peers in order of id; answered with PEERS.
        0x18 "GET_PEERS" GetPeers {
            /// Only peers after this one.
            after: PeerId,
            /// Most peers wanted.
            limit: u16,
        }
    }
}

messages! {
    /// What a tracker sends to a member.
    FromTracker {
        /// The answer to REGISTER.
        0x30 "REGISTERED" Registered {
            /// Milliseconds without a sign of life after which the registration ends.
            lease_ms: u32,
            /// Differs after each start of the tracker.
            epoch: u64,
        }
        /// The answer to LOCATE.
        0x31 "LOCATED" Located {
            /// Every content found.
            variants: List<Variant, MAX_VARIANTS>,
            /// Where none was found: names that are nearly the one asked for.
            near: List<Name, MAX_NEAR>,
        }
        /// The answer to LIST.
        0x32 "LISTING" Listing {
            /// Entries in order of name, then id.
            entries: List<Entry, MAX_ENTRIES>,
            /// True if there are more after the last one.
            more: bool,
        }
        /// The answer to GET_STATUS.
        0x33 "STATUS" Status {
            /// Milliseconds since the tracker started.
            uptime_ms: u64,
            /// Differs after each start of the tracker.
            epoch: u64,
            /// Registered peers.
            peers: u32,
            /// Pairs of name and content.
            names: u32,
            /// Registrations: a name and content at a peer.
            registrations: u64,
            /// LOCATE requests answered since the start.
            located: u64,
        }
        /// The answer to GET_PEERS.
        0x34 "PEERS" Peers {
            /// Peers in order of id.
            peers: List<PeerInfo, MAX_PEERS>,
            /// True if there are more after the last one.
            more: bool,
        }
        /// A store duty: keep these chunks of a content. Reserved for stores.
        0x35 "KEEP" Keep {
            /// The content.
            id: FileId,
            /// The chunks to keep.
            chunks: Ranges,
        }
        /// The end of a store duty. Reserved for stores.
        0x36 "DROP" Discard {
            /// The content.
            id: FileId,
        }
    }
}
