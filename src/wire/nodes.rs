//! What agents and trackers say of nodes: hosts with their roles, and who brings a lost one back.

use bytes::{BufMut, BytesMut};

use super::codes::{NodeState, RoleState};
use super::field::{Cursor, DecodeError, Field, Label, List};
use super::limits::MAX_NODE_ROLES;
use super::macros::layout;
use crate::content::PeerId;

/// Bytes of a node's id.
const ID_BYTES: usize = 16;
/// What the ids of nodes are derived under.
const CONTEXT: &str = "p2p node 1";

/// A node, by what is made of its agent's peer id. Who knows it can name the node, but cannot say to be it: in an open swarm
/// nothing else would keep others from that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub [u8; ID_BYTES]);

impl NodeId {
    /// Before every node: where pages begin.
    pub const NONE: NodeId = NodeId([0; ID_BYTES]);

    /// The node whose agent has this peer id.
    pub fn of(agent: PeerId) -> NodeId {
        let hash = blake3::derive_key(CONTEXT, &agent.0);
        NodeId(std::array::from_fn(|at| hash[at]))
    }
}

impl Field for NodeId {
    fn put(&self, out: &mut BytesMut) {
        out.put_slice(&self.0);
    }
    fn take(from: &mut Cursor) -> Result<NodeId, DecodeError> {
        Ok(NodeId(from.array()?))
    }
}

/// One life of a node's agent: the one that started last is the one that counts. The number tells two lives apart that
/// came from one disk, which was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Life {
    /// Starts that the agent's state has counted.
    pub start: u64,
    /// Drawn at the start.
    pub drawn: u32,
}

impl Field for Life {
    fn put(&self, out: &mut BytesMut) {
        (self.start, self.drawn).put(out);
    }
    fn take(from: &mut Cursor) -> Result<Life, DecodeError> {
        Ok(Life { start: Field::take(from)?, drawn: Field::take(from)? })
    }
}

layout! {
    /// A role of a node, as its agent sees it.
    NodeRole {
        /// Its name.
        name: Label,
        /// What it does.
        state: RoleState,
        /// Processes that were started for it.
        starts: u32,
        /// True if it ended five times or more within a minute.
        looping: bool,
    }
}

layout! {
    /// A lost node that the receiver is to bring back.
    NodeDuty {
        /// The duty's number.
        duty: u64,
        /// The node.
        node: NodeId,
        /// Its name.
        name: Label,
        /// Where it is, as its agent said.
        host: Label,
        /// Milliseconds that may be spent on it, from when it is first claimed.
        lease_ms: u32,
    }
}

layout! {
    /// Who is to bring a node back.
    DutyInfo {
        /// The duty's number.
        duty: u64,
        /// The node whose agent is to do it.
        executor: NodeId,
        /// True if it is at it.
        claimed: bool,
    }
}

layout! {
    /// One node, as a tracker sees it.
    SeenNode {
        /// The node.
        id: NodeId,
        /// Its name.
        name: Label,
        /// Where it is, as its agent said.
        host: Label,
        /// Whether it is there.
        state: NodeState,
        /// Starts of its agent.
        start: u64,
        /// Milliseconds since this tracker heard it, or since it started.
        silent_ms: u32,
        /// True if its agent can bring others back.
        able: bool,
        /// Bytes free where its agent keeps its state; 0 if this tracker has not heard it.
        free: u64,
        /// Hundredths of its load average.
        load: u32,
        /// Its roles; none if this tracker has not heard it.
        roles: List<NodeRole, MAX_NODE_ROLES>,
        /// Times that somebody was to bring it back since it was there.
        tries: u32,
        /// Who is to do it now; none if nobody.
        duties: List<DutyInfo, 1>,
        /// Program and version of its agent, for people; empty if this tracker has not heard it.
        software: Label,
    }
}
