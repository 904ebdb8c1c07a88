//! What a tracker answers about who is one with it.

use crate::tracker::shared::Shared;
use crate::wire::{
    Cluster, Common, ErrorCode, FromTracker, Incarnation, List, MemberKey, NodeInfo, TrackerAddress,
};

/// This tracker, which is not one of several.
pub(super) fn alone(shared: &Shared) -> FromTracker {
    let node = NodeInfo {
        node: 1,
        address: TrackerAddress::default(),
        key: MemberKey::NONE,
        votes: true,
        incarnation: Incarnation::default(),
        replaced: false,
        heard_ms: 0,
        epoch: 0,
        applied: shared.records().applied(),
    };
    Cluster { epoch: 0, leader: 1, node: 1, nodes: List::new(vec![node]) }.into()
}

/// The answer to who would have others with it.
pub(super) fn stays_alone() -> Common {
    let detail = "this tracker is not one of several: it is if it is started with --node and --cluster";
    Common::error(ErrorCode::Conflict, detail)
}
