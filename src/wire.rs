//! The protocol's messages, numbers, limits and codec.
//!
//! `docs/PROTOCOL.md` is the specification of this module, and a test compares the two in both
//! directions. Pure: bytes in, values out; no socket, no clock.
//!
//! Messages stand by who says them to whom: `common`, `to_tracker` and `from_tracker` (members and
//! trackers), `peer` (askers and servers), `node` (trackers of a cluster), each declared once with its number. `records`,
//! `stores`, `members` and `cluster` are what some of them carry; `codes` are the numbers in their fields, `field` how a value is
//! laid out, `frame` what surrounds a message, `limits` how much of anything there may be.

mod claim;
mod cluster;
mod codes;
mod common;
mod field;
mod frame;
mod from_tracker;
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
mod to_tracker;

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
pub use from_tracker::{
    Cluster, Duties, Entry, FromTracker, Health, Holder, Invited, Joined, Keys, Lent, Listing, Located,
    Members, NodeOrders, Nodes, PeerInfo, Peers, Registered, Removed, Renewed, Resolved, Status, Stored,
    Stores, Storing, Variant, Versions,
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
pub use to_tracker::{
    ChangeMembers, Claim, Decline, DutyDone, Enter, GetCluster, GetDuties, GetHealth, GetList, GetMembers,
    GetNodes, GetPeers, GetStatus, GetStores, GetVersions, HaveChunks, Heartbeat, Invite, Join, Kept, Lend,
    Locate, NodeBeat, Offer, Publish, Records, Register, Remove, Renew, Report, Resolve, Revoke, Rotate,
    SetNodes, SetStore, Store, ToTracker, Update,
};
