//! What trackers say of nodes: hosts with their roles, and who brings a lost one back.

use serde::{Deserialize, Serialize};

use super::node::RoleState;
use crate::wire::{NodeId, NodeRole, NodeState, SeenNode};

/// A node as a tracker knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Its id.
    pub id: String,
    /// Its name.
    pub node: String,
    /// Where it is, as its agent said.
    pub host: String,
    /// `up`, `lost`, or `drained`: left alone, whether it is there or not.
    pub state: String,
    /// Starts of its agent.
    pub starts: u64,
    /// Milliseconds since the tracker heard it, or since that started.
    pub silent_ms: u32,
    /// True if its agent can bring others back.
    pub able: bool,
    /// Bytes free where its agent keeps its state; 0 if the tracker has not heard it.
    pub free: u64,
    /// Hundredths of its load average of the last minute; 0 if the tracker has not heard it.
    pub load: u32,
    /// Its roles; none if the tracker has not heard it.
    pub roles: Vec<NodeRoleReport>,
    /// Times that somebody was to bring it back since it was there.
    pub tries: u32,
    /// The id of the node that is to bring it back now.
    pub executor: Option<String>,
    /// True if that one is at it.
    pub claimed: bool,
    /// Program and version of its agent; none if the tracker has not heard it.
    pub software: Option<String>,
}

/// A role of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRoleReport {
    /// Its name.
    pub role: String,
    /// What it does: as of `p2p node status`.
    pub state: String,
    /// Processes that were started for it.
    pub starts: u32,
    /// It ended five times or more within a minute.
    pub looping: bool,
}

impl From<&SeenNode> for NodeReport {
    fn from(node: &SeenNode) -> NodeReport {
        let state = match node.state {
            NodeState::Up => "up",
            NodeState::Lost => "lost",
            NodeState::Drained => "drained",
        };
        let duty = node.duties.first();
        NodeReport {
            id: id_of(node.id),
            node: node.name.to_string(),
            host: node.host.to_string(),
            state: state.to_owned(),
            starts: node.start,
            silent_ms: node.silent_ms,
            able: node.able,
            free: node.free,
            load: node.load,
            roles: node.roles.iter().map(NodeRoleReport::from).collect(),
            tries: node.tries,
            executor: duty.map(|duty| id_of(duty.executor)),
            claimed: duty.is_some_and(|duty| duty.claimed),
            software: (!node.software.is_empty()).then(|| node.software.to_string()),
        }
    }
}

impl From<&NodeRole> for NodeRoleReport {
    fn from(role: &NodeRole) -> NodeRoleReport {
        let NodeRole { name, state, starts, looping } = role;
        let state = RoleState::from(*state).name();
        NodeRoleReport { role: name.to_string(), state: state.to_owned(), starts: *starts, looping: *looping }
    }
}

/// As people and programs name a node.
pub fn id_of(node: NodeId) -> String {
    node.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{DutyInfo, Label, List, RoleState};

    #[test]
    fn a_node_says_what_it_is_and_who_brings_it_back() {
        let seen = |state, duties| SeenNode {
            id: NodeId([0xab; 16]),
            name: Label::new("n1"),
            host: Label::new("h1"),
            state,
            start: 2,
            silent_ms: 3,
            able: true,
            free: 4,
            load: 150,
            roles: List::new(vec![NodeRole {
                name: Label::new("store"),
                state: RoleState::Backoff,
                starts: 6,
                looping: true,
            }]),
            tries: 7,
            duties: List::new(duties),
            software: Label::new(if state == NodeState::Lost { "" } else { "p2p/1" }),
        };
        let duty = DutyInfo { duty: 1, executor: NodeId([1; 16]), claimed: true };
        let report = NodeReport::from(&seen(NodeState::Lost, vec![duty]));
        let role = NodeRoleReport { role: "store".into(), state: "backoff".into(), starts: 6, looping: true };
        let expected = NodeReport {
            id: "ab".repeat(16),
            node: "n1".into(),
            host: "h1".into(),
            state: "lost".into(),
            starts: 2,
            silent_ms: 3,
            able: true,
            free: 4,
            load: 150,
            roles: vec![role],
            tries: 7,
            executor: Some("01".repeat(16)),
            claimed: true,
            software: None,
        };
        assert_eq!(report, expected);
        let said = |state| NodeReport::from(&seen(state, Vec::new()));
        assert_eq!([NodeState::Up, NodeState::Drained].map(|state| said(state).state), ["up", "drained"]);
        assert_eq!(said(NodeState::Up).software.as_deref(), Some("p2p/1"));
        let alone = said(NodeState::Lost);
        assert_eq!((alone.executor, alone.claimed), (None, false));
    }
}
