//! The protocol's messages, numbers, limits and codec.
//!
//! `docs/PROTOCOL.md` is the specification of this module, and a test compares the two in both
//! directions. Pure: bytes in, values out; no socket, no clock.
//!
//! Messages stand by who says them to whom: `common`, `tracker` (members and trackers), `peer` (askers and
//! servers), `node` (trackers of a cluster), each declared once with its number. `records`, `stores`, `members` and `cluster` are what some of them carry; `codes` are the numbers in their fields, `field` how a value is
//! laid out, `frame` what surrounds a message, `limits` how much of anything there may be.

mod claim;
mod cluster;
mod codes;
mod common;
mod field;
mod frame;
pub mod limits;
mod macros;
mod members;
mod message;
mod node;
mod nodes;
mod peer;
mod policy;
mod records;
mod stores;
#[cfg(test)]
mod tests;
mod tracker;

pub use cluster::{Incarnation, NodeInfo, NodePlace};
pub use codes::{
    Complaint, ErrorCode, MemberRole, NodeState, NodesChange, Purpose, Refusal, Reluctance, Role, RoleState,
    StoreChange, StoreState, Urgency, View,
};
pub use common::{Common, Hello, Problem};
pub use field::{Addresses, Bits, DecodeError, Label, List, Name, Ranges, Text};
pub(crate) use field::{Cursor, Field, put_list};
pub use frame::{
    Frame, FrameCodec, FrameError, HEADER_BYTES, PREFACE_BYTES, Preface, PrefaceError, RawHeader,
};
pub(crate) use macros::layout;
pub use members::{Epoch, Grace, MemberInfo, Standing, SwarmSecret, TrackerAddress, TrackerKey};
pub use message::Message;
pub use node::{BetweenNodes, ChangePages, Confirm, Forward, Forwarded, LinkNodes, Passed, Say};
pub use nodes::{DutyInfo, Life, NodeDuty, NodeId, NodeRole, SeenNode};
pub use peer::{
    ANY_CHUNK, AskerHas, Cancel, ChunkHead, Close, Corrupt, FromServer, GetChunk, GetLoad, GetManifest, Here,
    Load, Manifest, Open, Opened, Refused, ServerHas, ToServer, Want,
};
pub use policy::{Coding, Policy, Side};
pub use records::{Authority, ClientId, Published, Term, Version};
pub use stores::{Call, Check, Discard, Duty, DutySource, Keep, KeptPart, Look, Remember, StoreInfo};
pub use tracker::{
    ChangeMembers, Claim, Cluster, Decline, Duties, DutyDone, Enter, Entry, FromTracker, GetCluster,
    GetDuties, GetHealth, GetList, GetMembers, GetNodes, GetPeers, GetStatus, GetStores, GetVersions,
    HaveChunks, Health, Heartbeat, Holder, Invite, Invited, Join, Joined, Kept, Keys, Lend, Lent, Listing,
    Locate, Located, Members, NodeBeat, NodeOrders, Nodes, Offer, PeerInfo, Peers, Publish, Records,
    Register, Registered, Remove, Removed, Renew, Renewed, Report, Resolve, Resolved, Revoke, Rotate,
    SetNodes, SetStore, Status, Store, Stored, Stores, Storing, ToTracker, Update, Variant, Versions,
};
