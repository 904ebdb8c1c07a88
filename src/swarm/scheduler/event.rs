//! What the scheduler is told, and what it wants done.

use std::time::Duration;

use super::load::SourceLoad;
use crate::content::{Chunk, ChunkSet, PeerId, Run};
use crate::wire::Refusal;

/// A connection that serves this transfer. Numbers are never reused within a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u32);

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A source answered OPEN.
    Joined {
        /// The source.
        source: SourceId,
        /// What it has.
        have: ChunkSet,
        /// Its peer, if it may be asked for whichever chunk it thinks best.
        may_choose: Option<PeerId>,
        /// How long it took to answer.
        round_trip: Duration,
        /// What it said of its load, if it did.
        load: Option<SourceLoad>,
    },
    /// The source that joins under this number next is to be spared: it sends every chunk once, and what others have or
    /// get is to come from them.
    Spare(SourceId),
    /// These are wanted, too.
    Wanted(ChunkSet),
    /// From now on each source is asked for neighbouring chunks one after the other: they are needed together.
    InOrder,
    /// A source told its load.
    Loaded(SourceId, SourceLoad),
    /// A source gained chunks, as runs.
    Gained(SourceId, Vec<Run>),
    /// A source is gone.
    Left(SourceId),
    /// The head of a chunk came from a source; tells what "whichever" turned out to be.
    Arriving(SourceId, Chunk),
    /// Bytes of a chunk came from a source.
    Progress(SourceId, u64),
    /// A chunk came from a source, is proved and stored.
    Arrived(SourceId, Chunk),
    /// What came from a source is not the chunk.
    Corrupt(SourceId, Chunk),
    /// All of a chunk came from a source, and it was here already or is wanted from another.
    Settled(SourceId, Chunk),
    /// A source refused a chunk, or ([`None`]) to choose one.
    Refused(SourceId, Option<Chunk>, Refusal),
    /// Time passed.
    Tick,
}

/// What to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Ask a source for a chunk.
    Ask(SourceId, Chunk),
    /// Ask a source for a chunk of its choice.
    AskAny(SourceId),
    /// Ask a source for its load, behind what it was asked for before.
    AskLoad(SourceId),
    /// Tell a source that a chunk is no longer wanted from it.
    Cancel(SourceId, Chunk),
    /// Close a source: it sent wrong bytes too often, or nothing for too long.
    Close(SourceId),
}

/// How often [`Event::Tick`] should come while sources are connected.
pub const TICK: Duration = Duration::from_millis(25);

/// Corrupt chunks after which a source is closed.
pub const MAX_CORRUPT: u32 = 3;
