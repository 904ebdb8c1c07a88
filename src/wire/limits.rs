//! Every limit of the protocol, named. `docs/PROTOCOL.md` lists each with what happens past it.

use crate::content::code::Shape;

/// The framing version carried in the preface.
pub const FRAMING_VERSION: u16 = 1;
/// The oldest protocol version this build speaks.
pub const MIN_VERSION: u16 = 1;
/// The newest protocol version this build speaks.
pub const MAX_VERSION: u16 = 1;

/// Largest frame before HELLO is done, in bytes after the length field.
pub const MAX_HELLO_FRAME_BYTES: usize = 2048;
/// Largest frame after HELLO, except CHUNK, in bytes after the length field.
pub const MAX_FRAME_BYTES: usize = 1 << 20;
/// Largest frame between peers after HELLO, except CHUNK, in bytes after the length field.
pub const MAX_PEER_FRAME_BYTES: usize = 320 << 10;
/// Longest name (a `/`-separated relative path), in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 4096;
/// Longest name of a peer or software, in bytes of UTF-8.
pub const MAX_LABEL_BYTES: usize = 255;
/// Most addresses of one peer.
pub const MAX_ADDRESSES: usize = 8;
/// Longest explanation in an ERROR, in bytes of UTF-8.
pub const MAX_DETAIL_BYTES: usize = 1024;
/// Most offers in one REGISTER or UPDATE.
pub const MAX_OFFERS: usize = 1024;
/// Most contents that one peer may have registered at a tracker.
pub const MAX_OFFERS_PER_PEER: usize = 2_000_000;
/// Most chunk ranges in one HAVE or LOCATE.
pub const MAX_RANGES: usize = 4096;
/// Most contents (variants of one name) in one LOCATED.
pub const MAX_VARIANTS: usize = 64;
/// Most holders of one variant in one LOCATED.
pub const MAX_HOLDERS: usize = 256;
/// Most near matches in one LOCATED.
pub const MAX_NEAR: usize = 8;
/// Most entries in one LISTING.
pub const MAX_ENTRIES: usize = 1000;
/// Most peers in one PEERS answer.
pub const MAX_PEERS: usize = 1000;
/// Most chunks of one content: what a bitmap, a HAVE range or a tree may cover.
pub const MAX_CHUNKS: u32 = 1 << 21;
const _: () = assert!(MAX_CHUNKS == crate::content::Layout::MAX_CHUNKS);
/// Most hashes in one proof's run.
pub const MAX_PROOF_RUN: usize = 4096;
/// Most hashes beside a proof's run: the depth of the tree over the chunks of the largest file.
pub const MAX_PROOF_PATH: usize = 20;
/// Most chunks asked for by one GET_CHUNK.
pub const MAX_RUN: u16 = 256;
/// Most chunk requests waiting on one connection; past it a request is REFUSED as busy.
pub const MAX_QUEUED_CHUNKS: usize = 4096;
/// How often one connection may tell as many chunks as a content has, in all HAVE about it.
pub const MAX_TOLD: u32 = 2;
/// Most contents open on one connection at once.
pub const MAX_SLOTS: usize = 256;
/// How long a connection may take to finish HELLO, in milliseconds.
pub const HELLO_TIMEOUT_MS: u32 = 5_000;
/// Most plaintext bytes of one sealed record.
pub const MAX_RECORD_BYTES: usize = 32 << 10;
/// How many records are sealed with one key; then it is replaced.
pub const REKEY_RECORDS: u64 = 1 << 22;
/// Most shards of which any suffice: `k` of a policy.
pub const MAX_SHARDS: u8 = 16;
/// Most shards that may be lost: `m` of a policy. One more is the most copies.
pub const MAX_PARITY: u8 = 8;
const _: () = assert!(MAX_SHARDS == Shape::MOST_DATA && MAX_PARITY == Shape::MOST_PARITY);
/// Most versions of one name.
pub const MAX_VERSIONS: usize = 10_000;
/// Most versions in one VERSIONS or RECORDS.
pub const MAX_RECORDS: usize = 1000;
/// Most contents in one KEPT.
pub const MAX_KEPT: usize = 1024;
/// Most duties in one DUTIES.
pub const MAX_DUTIES: usize = 1024;
/// Most sources of one duty.
pub const MAX_DUTY_SOURCES: usize = 16;
/// Most versions that a store is to remember with one content.
pub const MAX_REMEMBERED: usize = 64;
/// Most stores in one STORES or HEALTH.
pub const MAX_PAGE_STORES: usize = 256;
/// Longest time that a request may ask to be let wait, in milliseconds.
pub const MAX_WAIT_MS: u32 = 10_000;
/// Longest address of a tracker, in bytes.
pub const MAX_ADDRESS_BYTES: usize = 262;
/// Most trackers in one JOINED or INVITED.
pub const MAX_TRACKERS: usize = 16;
/// Most members in one MEMBERS.
pub const MAX_PAGE_MEMBERS: usize = 100;
/// Most epochs of before in one KEYS or RENEWED whose keys still let in.
pub const MAX_GRACES: usize = 16;
/// Most keys in one KEYS or RENEWED that were put out of the swarm.
pub const MAX_REVOKED: usize = 1024;
/// Bytes of one piece of what trackers of a cluster say to each other, or pass on for others.
pub const MAX_PASSED_BYTES: usize = 983_040;
/// Members of a cluster of trackers.
pub const MAX_NODES: usize = 9;
/// Trackers in a CLUSTER: members, and others that are connected.
pub const MAX_NODES_SEEN: usize = 99;
/// Most roles of one node.
pub const MAX_NODE_ROLES: usize = 32;
/// Most nodes in one NODES.
pub const MAX_PAGE_NODES: usize = 64;
