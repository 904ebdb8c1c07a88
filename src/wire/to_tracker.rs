//! What a member, that is a peer or a tool, says to a tracker.

use bytes::{Bytes, BytesMut};

use super::cluster::NodePlace;
use super::codes::{Complaint, NodesChange, Purpose, Reluctance, StoreChange, View};
use super::common::{Common, FIRST_DIRECTED_ID};
use super::field::{Addresses, Cursor, DecodeError, Field, Label, List, Name, Ranges};
use super::limits::{MAX_KEPT, MAX_NODE_ROLES, MAX_NODES, MAX_OFFERS, MAX_RECORDS};
use super::macros::{layout, messages};
use super::members::{Standing, SwarmSecret};
use super::message::Message;
use super::nodes::{Life, NodeId, NodeRole};
use super::records::{Authority, ClientId, Published, Term, Version};
use super::stores::KeptPart;
use crate::content::{Chunk, FileId, PeerId, PublicKey};

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

messages! {
    /// What a member (peer or tool) sends to a tracker.
    ToTracker {
        /// Registers the sender, forgetting all it registered before; answered with REGISTERED.
        0x10 "REGISTER" Register {
            /// The port where it listens at the address that this connection comes from; 0: it does not.
            port: u16,
            /// Where else it listens, those to be tried first in front.
            addresses: Addresses,
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
            chunk: Chunk,
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
        /// Asks which trackers are one with this; answered with CLUSTER.
        0x19 "GET_CLUSTER" GetCluster {}
        /// Lends space: says how much there is, and whom the sender serves; answered with LENT.
        0x1a "LEND" Lend {
            /// Bytes lent.
            capacity: u64,
            /// Bytes of them in use.
            used: u64,
            /// The zone that the store is in; empty for none.
            zone: Label,
            /// The machine that it runs on.
            machine: Label,
            /// Whom it serves.
            authority: Authority,
            /// The last term of the authority that it knows of, for good.
            term: Term,
        }
        /// What a store holds for good; answered with OK.
        0x1b "KEPT" Kept {
            /// Whole contents' worth of what it holds, each as it is now.
            parts: List<KeptPart, MAX_KEPT>,
            /// True at the end of a report of all that it holds.
            last: bool,
        }
        /// A store does not keep what it was to keep; answered with OK.
        0x1c "DECLINE" Decline {
            /// The content.
            id: FileId,
            /// As what it was to keep it.
            view: View,
            /// Why it does not.
            reason: Reluctance,
            /// Bytes lent and not in use.
            free: u64,
        }
        /// Asks what is to be done; answered with DUTIES, when there is something or the time is over.
        0x1d "GET_DUTIES" GetDuties {
            /// The last term that the sender knows of.
            term: Term,
            /// Milliseconds that the answer may wait.
            wait_ms: u32,
        }
        /// Asks for a content to be kept by stores and published; answered with STORING until it is, then with STORED.
        0x1e "STORE" Store {
            /// Who asks: the same each time for the same upload.
            client: ClientId,
            /// The number of the change among those of the client.
            seq: u64,
            /// The name to publish it under.
            name: Name,
            /// The version, without number and stamp.
            version: Version,
            /// The number of the version that should be the latest now; 0 for whichever.
            expect: u32,
            /// True if fewer copies than promised will do for now, where there are too few stores.
            degraded: bool,
            /// Milliseconds that the answer may wait.
            wait_ms: u32,
        }
        /// Asks for a published version; answered with RESOLVED.
        0x1f "RESOLVE" Resolve {
            /// The name.
            name: Name,
            /// The version's number; 0 for the latest.
            number: u32,
        }
        /// Asks for the versions of a name, latest first; answered with VERSIONS.
        0x20 "GET_VERSIONS" GetVersions {
            /// The name.
            name: Name,
            /// Only versions before this number; 0 for all.
            before: u32,
            /// Most versions wanted.
            limit: u16,
        }
        /// Takes versions away; answered with REMOVED.
        0x21 "REMOVE" Remove {
            /// Who asks.
            client: ClientId,
            /// The number of the change among those of the client.
            seq: u64,
            /// The name.
            name: Name,
            /// The version's number; 0 for all.
            number: u32,
        }
        /// Asks how safe is what is published; answered with HEALTH.
        0x22 "GET_HEALTH" GetHealth {
            /// The name, all of whose versions are meant; empty for all names.
            name: Name,
        }
        /// Asks for stores in order of id; answered with STORES.
        0x23 "GET_STORES" GetStores {
            /// Only stores after this one.
            after: PeerId,
            /// Most stores wanted.
            limit: u16,
        }
        /// Says what is to become of a store; answered with OK.
        0x24 "SET_STORE" SetStore {
            /// Who asks.
            client: ClientId,
            /// The number of the change among those of the client.
            seq: u64,
            /// The store; all zero for REBALANCE.
            store: PeerId,
            /// What is to become of it.
            change: StoreChange,
        }
        /// Says which trackers are to be one from now on; answered with CLUSTER.
        0x25 "CHANGE_MEMBERS" ChangeMembers {
            /// The epoch of which the sender knows the members.
            epoch: u32,
            /// All that are to be members of the next.
            members: List<NodePlace, MAX_NODES>,
            /// Milliseconds that the answer may wait for who is to come.
            wait_ms: u32,
        }
        /// Tells a tracker that has no memory what versions its contents stand for; answered with OK.
        0x26 "RECORDS" Records {
            /// The versions.
            published: List<Published, MAX_RECORDS>,
            /// True at the end of all that the sender remembers.
            last: bool,
        }
        /// Publishes a content that no store promises to keep; answered with STORED.
        0x27 "PUBLISH" Publish {
            /// Who asks.
            client: ClientId,
            /// The number of the change among those of the client.
            seq: u64,
            /// The name to publish it under.
            name: Name,
            /// The version, without number and stamp.
            version: Version,
            /// The number of the version that should be the latest now; 0 for whichever.
            expect: u32,
        }
        /// Asks to become a member, by the key of an invite; answered with JOINED.
        0x28 "JOIN" Join {
            /// The sender's name.
            name: Label,
        }
        /// Asks for the swarm's key, by one that is over; answered with RENEWED.
        0x29 "RENEW" Renew {}
        /// Makes an invite; answered with INVITED.
        0x2a "INVITE" Invite {
            /// Who asks.
            client: ClientId,
            /// The number of the change among those of the client.
            seq: u64,
            /// The key of the invite: what is made of its secret, which stays with the sender.
            key: SwarmSecret,
            /// What those may do who join by it.
            standing: Standing,
            /// How many may join by it.
            uses: u32,
            /// For how many milliseconds they may.
            valid_ms: u64,
        }
        /// Puts a member out, and gives the swarm another key; answered with KEYS.
        0x2b "REVOKE" Revoke {
            /// Who asks.
            client: ClientId,
            /// The number of the change among those of the client.
            seq: u64,
            /// Whose key it is.
            member: PublicKey,
        }
        /// Gives the swarm another key; answered with KEYS.
        0x2c "ROTATE" Rotate {
            /// Who asks.
            client: ClientId,
            /// The number of the change among those of the client.
            seq: u64,
            /// For how many milliseconds the key that there is lets in as well.
            grace_ms: u64,
        }
        /// Asks for members in order of key; answered with MEMBERS.
        0x2d "GET_MEMBERS" GetMembers {
            /// Only members after this one.
            after: PublicKey,
            /// Most members wanted.
            limit: u16,
        }
        /// Enters a key: one more of the sender's own, or as an admin says; answered with OK.
        0x2e "ENTER" Enter {
            /// Who asks.
            client: ClientId,
            /// The number of the change among those of the client.
            seq: u64,
            /// The key.
            key: PublicKey,
            /// What it is called; empty: as before.
            name: Label,
            /// True if it is one more key of the sender, which may do what the sender may.
            own: bool,
            /// Else what it may do.
            standing: Standing,
        }
        /// A sign of life of a node's agent, and how its roles are; answered with NODE_ORDERS.
        0x2f "NODE_BEAT" NodeBeat {
            /// Which life of the agent this is.
            life: Life,
            /// The node's name.
            name: Label,
            /// Where it is, for those who are to bring it back.
            host: Label,
            /// True if the agent can bring others back.
            able: bool,
            /// True if the node is to be left alone.
            drained: bool,
            /// Bytes free where the agent keeps its state.
            free: u64,
            /// Hundredths of the load average.
            load: u32,
            /// Its roles.
            roles: List<NodeRole, MAX_NODE_ROLES>,
            /// Program and version of the agent, for people.
            software: Label,
        }
        /// Says that a duty is about to be done, which nobody else does then; answered with OK.
        0x60 "CLAIM" Claim {
            /// The duty's number.
            duty: u64,
            /// Which life of the agent it is.
            life: Life,
        }
        /// Says that a duty was done, or tried; answered with OK.
        0x61 "DUTY_DONE" DutyDone {
            /// The duty's number.
            duty: u64,
            /// Which life of the agent it was.
            life: Life,
        }
        /// Asks for nodes in order of id; answered with NODES.
        0x62 "GET_NODES" GetNodes {
            /// Only nodes after this one.
            after: NodeId,
            /// Most nodes wanted.
            limit: u16,
        }
        /// Says what is to become of nodes; answered with OK.
        0x63 "SET_NODES" SetNodes {
            /// Who asks.
            client: ClientId,
            /// The number of the change among those of the client.
            seq: u64,
            /// What is to become of them.
            change: NodesChange,
            /// Of FORGET: the node; else all zero.
            node: NodeId,
        }
    }
}
