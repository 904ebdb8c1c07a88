//! What is said of trackers that are one.

use serde::{Deserialize, Serialize};

use crate::wire::{Cluster, NodeInfo};

/// Trackers that are one, as one of them sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterReport {
    /// The epoch; 0 if the tracker is not one of several, or they have not begun yet.
    pub epoch: u32,
    /// Which of them leads; none if none does that is connected to the one that was asked.
    pub leader: Option<u16>,
    /// Which of them was asked.
    pub asked: u16,
    /// The members, and others that are connected, by their numbers.
    pub nodes: Vec<NodeReport>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Its number.
    pub node: u16,
    /// Where it is reached; empty if that is not known.
    pub address: String,
    /// `leads`, `follows`, `away`, `replaced` (a member with another disk than it was taken in with: it has no vote), or
    /// `newcomer` (no member yet, or any more).
    pub state: String,
    /// The epoch that it says it is in.
    pub epoch: u32,
    /// Up to which entry of the log it has applied all.
    pub applied: u64,
    /// Milliseconds since it was heard; none if it is not connected.
    pub heard_ms: Option<u32>,
}

impl ClusterReport {
    /// As the tracker said that was dialled at this address.
    pub fn new(cluster: &Cluster, dialled: &str) -> ClusterReport {
        let leads = |node: &&NodeInfo| node.node == cluster.leader && is_here(node);
        ClusterReport {
            epoch: cluster.epoch,
            leader: cluster.nodes.iter().find(leads).map(|node| node.node),
            asked: cluster.node,
            nodes: cluster.nodes.iter().map(|node| report(cluster, node, dialled)).collect(),
        }
    }
}

fn is_here(node: &NodeInfo) -> bool {
    node.heard_ms != u32::MAX
}

fn report(cluster: &Cluster, node: &NodeInfo, dialled: &str) -> NodeReport {
    let is_asked = node.node == cluster.node;
    let address = if is_asked && node.address.is_empty() { dialled } else { &*node.address };
    let heard_ms = is_here(node).then_some(node.heard_ms);
    let state = match node {
        NodeInfo { replaced: true, .. } => "replaced",
        NodeInfo { votes: false, .. } => "newcomer",
        _ if heard_ms.is_none() => "away",
        _ if node.node == cluster.leader => "leads",
        _ => "follows",
    };
    NodeReport {
        node: node.node,
        address: address.to_owned(),
        state: state.to_owned(),
        epoch: node.epoch,
        applied: node.applied,
        heard_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::PublicKey;
    use crate::wire::{Incarnation, List, TrackerAddress};

    /// A member that was just heard.
    fn node(node: u16) -> NodeInfo {
        let address = TrackerAddress::new(format!("t{node}:9700"));
        let (key, incarnation) = (PublicKey::NONE, Incarnation(1));
        NodeInfo {
            node,
            address,
            key,
            votes: true,
            incarnation,
            replaced: false,
            heard_ms: 7,
            epoch: 3,
            applied: 9,
        }
    }

    #[test]
    fn each_is_in_one_state_and_who_is_away_leads_nobody() {
        let away = |number| NodeInfo { heard_ms: u32::MAX, ..node(number) };
        let asked = NodeInfo { address: TrackerAddress::new(""), ..node(1) };
        let report = |leader| {
            let other = NodeInfo { replaced: true, votes: false, ..away(4) };
            let new = NodeInfo { votes: false, ..node(5) };
            let nodes = List::new(vec![asked.clone(), node(2), away(3), other, new]);
            ClusterReport::new(&Cluster { epoch: 3, leader, node: 1, nodes }, "here:7")
        };
        let states =
            |report: &ClusterReport| report.nodes.iter().map(|node| node.state.clone()).collect::<Vec<_>>();
        let led = report(2);
        assert_eq!((led.epoch, led.leader, led.asked), (3, Some(2), 1));
        assert_eq!(states(&led), ["follows", "leads", "away", "replaced", "newcomer"]);
        let addresses = [&*led.nodes[0].address, &led.nodes[1].address];
        assert_eq!(addresses, ["here:7", "t2:9700"], "who was asked is where it was dialled");
        let heard: Vec<Option<u32>> = led.nodes.iter().map(|node| node.heard_ms).collect();
        assert_eq!(heard, [Some(7), Some(7), None, None, Some(7)]);
        let lost = report(3);
        assert_eq!((lost.leader, states(&lost)[2].as_str()), (None, "away"));
        assert_eq!(report(0).leader, None);
    }
}
