//! What can happen, and what is said.

use crate::content::{Chunk, Run};
use crate::swarm::scheduler::SourceLoad;
use crate::wire::Refusal;

/// Nanoseconds since the start of the run.
pub(super) type Nanos = u64;

/// Something that will happen; numbers are of peers and connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Happening {
    Join(u32),
    End(u32, bool),
    /// The driving thread of a peer's transfer has its turn.
    Turn(u32),
    /// A peer's uplink has sent what it was sending.
    UplinkFree(u32),
    /// Bytes of a connection have arrived.
    Delivered(u32, u32),
    /// OPEN arrives.
    Open(u32),
    /// OPENED arrives.
    Opened(u32),
    /// A request arrives.
    Asked(u32, Job),
    Cancelled(u32, Chunk),
    /// GET_LOAD arrives.
    LoadAsked(u32),
    /// The asker has a chunk now.
    Told(u32, Chunk),
    /// It is time to tell of gains.
    News(u32),
    /// A message of an idle connection arrives: its number.
    Message(u32, u32),
    /// Look whether a turn has been useless for too long.
    Patience(u32),
    /// The asker notices that the connection has ended, orderly or not.
    EndedForAsker(u32),
    /// The server notices.
    EndedForServer(u32),
    /// The tracker's answer is here.
    Located(u32),
    /// The tracker clears away expired leases, and peers give signs of life.
    Leases,
}

/// What a server says beside chunks.
#[derive(Debug)]
pub(super) enum Message {
    Gains(Vec<Run>),
    Refused(Chunk, Refusal),
    Load(SourceLoad),
}

/// A request that waits: for a chunk or [`ANY_CHUNK`](crate::wire::ANY_CHUNK), with its proof or without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Job {
    pub(super) chunk: Chunk,
    pub(super) proof: bool,
    /// Others get on faster than the asker.
    pub(super) behind: bool,
}
