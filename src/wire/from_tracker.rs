//! What a tracker says to a member, that is a peer or a tool.

use bytes::{Bytes, BytesMut};

use super::cluster::NodeInfo;
use super::common::{Common, FIRST_DIRECTED_ID};
use super::field::{Addresses, Cursor, DecodeError, Field, Label, List, Name};
use super::limits::{
    MAX_DUTIES, MAX_ENTRIES, MAX_GRACES, MAX_HOLDERS, MAX_NEAR, MAX_NODES_SEEN, MAX_PAGE_MEMBERS,
    MAX_PAGE_NODES, MAX_PAGE_STORES, MAX_PEERS, MAX_RECORDS, MAX_REVOKED, MAX_TRACKERS, MAX_VARIANTS,
};
use super::macros::{layout, messages};
use super::members::{Epoch, Grace, MemberInfo, Standing, TrackerAddress, TrackerKey};
use super::message::Message;
use super::nodes::{NodeDuty, SeenNode};
use super::policy::Coding;
use super::records::{Authority, Term, Version};
use super::stores::{Duty, StoreInfo};
use crate::content::{FileId, PeerId, PublicKey};

layout! {
    /// A peer that holds some of a content.
    Holder {
        /// The peer.
        peer: PeerId,
        /// Its name.
        name: Label,
        /// Where the asker may dial it, those to be tried first in front; none if it cannot be dialled.
        addresses: Addresses,
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
        /// The number of the version, if it is what is published under the name; else 0.
        version: u32,
        /// Of a file that stores keep as shards of a code, or of their parity: that code.
        code: Option<Coding>,
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
        /// The number of the version, if it is what is published under the name; else 0.
        version: u32,
    }
}

layout! {
    /// One registered peer.
    PeerInfo {
        /// The peer.
        peer: PeerId,
        /// Its name.
        name: Label,
        /// Where the asker may dial it, those to be tried first in front; none if it cannot be dialled.
        addresses: Addresses,
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
            /// Milliseconds that peers still have to come back which were registered before the tracker started again; 0 if it did
            /// not, or their time is over.
            settling_ms: u32,
            /// What its clock shows, in milliseconds since 1970.
            clock_ms: u64,
        }
        /// The answer to GET_PEERS.
        0x34 "PEERS" Peers {
            /// Peers in order of id.
            peers: List<PeerInfo, MAX_PEERS>,
            /// True if there are more after the last one.
            more: bool,
        }
        /// The answer to GET_CLUSTER and CHANGE_MEMBERS.
        0x37 "CLUSTER" Cluster {
            /// The epoch that this tracker is in; 0 if it is not one of several.
            epoch: u32,
            /// Who leads, as far as it knows; 0 if nobody does.
            leader: u16,
            /// Which of them this tracker is.
            node: u16,
            /// The members, and other trackers that are connected to this one, by their numbers.
            nodes: List<NodeInfo, MAX_NODES_SEEN>,
        }
        /// The answer to LEND.
        0x38 "LENT" Lent {
            /// Who gives duties here.
            authority: Authority,
            /// Its term.
            term: Term,
            /// True if it stays the same when the tracker starts again: its records are on a disk.
            lasting: bool,
            /// True if it takes over the stores of another one, whose records are lost.
            recovers: bool,
            /// True if the store is to report all that it holds.
            report: bool,
            /// True if the store is to tell what it remembers of names and versions.
            records: bool,
        }
        /// The answer to GET_DUTIES.
        0x39 "DUTIES" Duties {
            /// The term in which they were given.
            term: Term,
            /// What is to be done.
            duties: List<Duty, MAX_DUTIES>,
        }
        /// The answer to STORE while stores have not all they are to keep.
        0x3a "STORING" Storing {
            /// Chunks that are safe, each counted once for every copy.
            covered: u32,
            /// Chunks that have to be, counted alike.
            needed: u32,
        }
        /// The answer to STORE and PUBLISH when it is on record.
        0x3b "STORED" Stored {
            /// The version's number.
            number: u32,
            /// False if the latest version was that content already.
            fresh: bool,
        }
        /// The answer to RESOLVE.
        0x3c "RESOLVED" Resolved {
            /// The version; none if there is no such.
            versions: List<Version, 1>,
        }
        /// The answer to GET_VERSIONS.
        0x3d "VERSIONS" Versions {
            /// Versions, latest first.
            versions: List<Version, MAX_RECORDS>,
            /// True if there are more before the last one.
            more: bool,
        }
        /// The answer to REMOVE.
        0x3e "REMOVED" Removed {
            /// How many versions went.
            count: u32,
        }
        /// The answer to GET_HEALTH.
        0x3f "HEALTH" Health {
            /// Contents that stores promise to keep.
            contents: u32,
            /// How many stores may be lost, whichever they are, before a byte of these contents is.
            survives: u8,
            /// How many that should be.
            promised: u8,
            /// How many machines may be lost, each with all stores on it.
            machines: u8,
            /// How many zones may be lost, each with all stores in it.
            zones: u8,
            /// Bytes of these contents; this and the next in proportion to the chunks, so that a tree's are about right.
            bytes: u64,
            /// Bytes of them that fewer losses would take than promised.
            endangered: u64,
            /// Bytes of them that no store here holds.
            lost: u64,
            /// Bytes, each counted for every copy, that stores have been told to keep and do not yet.
            repairing: u64,
            /// True while stores have not said yet all that they hold, so that there may be more.
            hearing: bool,
            /// Stores that are away.
            away: List<StoreInfo, MAX_PAGE_STORES>,
        }
        /// The answer to GET_STORES.
        0x40 "STORES" Stores {
            /// Stores in order of id.
            stores: List<StoreInfo, MAX_PAGE_STORES>,
            /// True if there are more after the last one.
            more: bool,
        }
        /// The answer to JOIN.
        0x41 "JOINED" Joined {
            /// The swarm's name.
            swarm: Label,
            /// What the new member may do.
            standing: Standing,
            /// The key that lets in from now on.
            epoch: Epoch,
            /// The swarm's trackers; an empty address is that which was dialled.
            trackers: List<TrackerKey, MAX_TRACKERS>,
        }
        /// The answer to RENEW.
        0x42 "RENEWED" Renewed {
            /// What the member may do.
            standing: Standing,
            /// The key that lets in from now on.
            epoch: Epoch,
            /// Those before it that let in as well, the latest first.
            before: List<Grace, MAX_GRACES>,
            /// Keys that were put out of the swarm lately.
            revoked: List<PublicKey, MAX_REVOKED>,
        }
        /// The answer to INVITE.
        0x43 "INVITED" Invited {
            /// When the invite ends, by the tracker's clock, in milliseconds since 1970.
            until_ms: u64,
            /// Where trackers are dialled.
            trackers: List<TrackerAddress, MAX_TRACKERS>,
        }
        /// The answer to GET_MEMBERS.
        0x44 "MEMBERS" Members {
            /// Members in order of key.
            members: List<MemberInfo, MAX_PAGE_MEMBERS>,
            /// True if there are more after the last one.
            more: bool,
        }
        /// The swarm has another key: a notice to members, and the answer to REVOKE and ROTATE.
        0x45 "KEYS" Keys {
            /// The key that lets in from now on.
            epoch: Epoch,
            /// Those before it that let in as well, the latest first.
            before: List<Grace, MAX_GRACES>,
            /// Keys that were put out of the swarm lately.
            revoked: List<PublicKey, MAX_REVOKED>,
        }
        /// The answer to NODE_BEAT.
        0x47 "NODE_ORDERS" NodeOrders {
            /// Whose orders these are.
            authority: Authority,
            /// Milliseconds until the next beat is due.
            beat_ms: u32,
            /// True if nobody is to be brought back.
            paused: bool,
            /// What the receiver is to do; none if nothing.
            duties: List<NodeDuty, 1>,
        }
        /// The answer to GET_NODES.
        0x68 "NODES" Nodes {
            /// True if nobody is to be brought back.
            paused: bool,
            /// Nodes in order of id.
            nodes: List<SeenNode, MAX_PAGE_NODES>,
            /// True if there are more after the last one.
            more: bool,
        }
    }
}
