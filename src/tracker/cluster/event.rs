//! What happens to a tracker of several, and what comes of it.

use std::time::Duration;

use bytes::Bytes;

use super::durable::Write;
use super::entry::{Address, Incarnation, Node};
use super::rules::Rules;
use crate::content::PublicKey;
use crate::tracker::records::Command;
use crate::wire::Authority;

/// How often [`Event::Tick`] is to come.
pub const TICK: Duration = Duration::from_millis(50);
/// What a tracker of a cluster is given to start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its number.
    pub node: Node,
    /// The first members.
    pub first: Vec<(Node, Address, PublicKey)>,
    /// A random number of this process.
    pub process: u64,
    /// For a disk that is empty.
    pub incarnation: Incarnation,
    /// The records with which a cluster is founded; others than none only by a tracker that founds one by itself.
    pub records: Bytes,
    /// Whose records they are, if they are nobody's yet.
    pub authority: Authority,
    /// Bytes of a piece of a snapshot.
    pub piece_bytes: usize,
    /// Least and most bytes of a log that ends its epoch.
    pub log_bytes: (usize, usize),
    /// Which rules hold.
    pub rules: Rules,
}

/// Something happens.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// [`TICK`] has passed.
    Tick,
    /// There is a connection to a tracker; another one to it is gone.
    Up(Node, u64),
    /// This connection is gone.
    Down(Node, u64),
    /// A frame came on this connection.
    Frame(Node, u64, Bytes),
    /// A command is to be carried out, or a barrier to be passed; the number is given back with what came of it.
    Propose(u64, Option<Command>),
    /// The epoch is to end, and these are to be the members of the next.
    Change(u64, Vec<(Node, Address, PublicKey)>),
    /// The records, after everything up to the end of the epoch was applied.
    Snapshot(Bytes),
    /// Most of what the snapshot of this epoch has is gone from the records: the next would be much smaller.
    Shrunk,
    /// For the simulation: campaign now.
    #[cfg(feature = "lab")]
    Campaign,
}

/// What may be done or answered when the writes are on the disk, in order.
#[allow(clippy::large_enum_variant, reason = "one lives for a moment, and most are commands")]
#[derive(Debug, Clone, PartialEq)]
pub enum Ready {
    /// The records are these now, all of them.
    Install(Bytes),
    /// This command is to be applied, in this slot; with the number of who proposed it here.
    Apply(u64, Command, Option<u64>),
    /// A barrier was passed: everything acknowledged before it was proposed is applied.
    Passed(u64),
    /// The epoch has ended: a snapshot of the records is wanted ([`Event::Snapshot`]).
    Ended,
    /// This tracker leads now, and what it began to lead with is applied; or it leads no more.
    Leads(bool),
    /// The epoch that was asked for has begun.
    Changed(u64),
    /// Nothing was proposed, or a change is not to be.
    Refused(u64, Reason),
    /// It is not known what became of it; the same may be asked again.
    Unknown(u64),
    /// Something is wrong that must not spread: the tracker is to end.
    Halt(String),
}

/// Why nothing was proposed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// This tracker does not lead; who does, if that is known.
    #[error("this tracker does not lead")]
    NotLeader(Option<Node>),
    /// Another change is under way.
    #[error("the members are being changed already")]
    Changing,
    /// Who is new is not there yet.
    #[error("{0}")]
    NotYet(String),
    /// There cannot be such members.
    #[error("{0}")]
    Members(String),
}

/// Another tracker with a connection, as it is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Other {
    /// Its number.
    pub node: Node,
    /// Its disk, once it has said so.
    pub incarnation: Option<Incarnation>,
    /// The epoch that it is in, and up to which slot it has applied, as far as it has said.
    pub at: (u32, u64),
    /// Ticks since it was heard.
    pub silent: u32,
}

/// What a step comes to. What leaves, and what is ready, waits until the writes are on the disk.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Step {
    /// To be written, all in one batch.
    pub writes: Vec<Write>,
    /// To be sent, on this connection to this node.
    pub frames: Vec<(Node, u64, Bytes)>,
    /// Connections to be ended.
    pub ends: Vec<(Node, u64)>,
    /// To be done or answered.
    pub ready: Vec<Ready>,
}
