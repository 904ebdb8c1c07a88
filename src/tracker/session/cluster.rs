//! What a tracker answers about who is one with it, and which questions only that one of several can answer that leads.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::published;
use crate::content::PublicKey;
use crate::tracker::cluster::Other;
use crate::tracker::recorder::{Unrecorded, View};
use crate::tracker::records::Command;
use crate::tracker::shared::Shared;
use crate::wire::{
    self, Cluster, Common, ErrorCode, FromTracker, Incarnation, List, NodeInfo, ToTracker, TrackerAddress,
};

/// Milliseconds of a tick of a cluster.
const TICK_MS: u32 = crate::tracker::cluster::TICK.as_millis() as u32;

const UNSURE: &str = "this tracker is no member of its cluster now, or has not heard from the others since it started: it does not know who is in the swarm";

/// What one of several trackers needs to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing but what it has.
    Nothing,
    /// To lead: it changes the records, or goes by what stores have told.
    Lead,
    /// To lead, and to have all that was acknowledged by anybody before.
    Fresh,
}

/// What a question needs.
pub(super) fn need(message: &ToTracker) -> Need {
    match message {
        ToTracker::Store(_)
        | ToTracker::Publish(_)
        | ToTracker::Remove(_)
        | ToTracker::SetStore(_)
        | ToTracker::ChangeMembers(_)
        | ToTracker::Join(_)
        | ToTracker::Invite(_)
        | ToTracker::Revoke(_)
        | ToTracker::Rotate(_)
        | ToTracker::Enter(_)
        // Whoever leads hears nodes through all trackers that it hears, which are most of them.
        | ToTracker::NodeBeat(_)
        | ToTracker::Claim(_)
        | ToTracker::DutyDone(_)
        | ToTracker::GetNodes(_)
        | ToTracker::SetNodes(_) => Need::Lead,
        ToTracker::Resolve(_)
        | ToTracker::GetVersions(_)
        | ToTracker::GetHealth(_)
        | ToTracker::GetStores(_)
        | ToTracker::GetMembers(_) => Need::Fresh,
        ToTracker::Common(_)
        | ToTracker::Register(_)
        | ToTracker::Update(_)
        | ToTracker::HaveChunks(_)
        | ToTracker::Locate(_)
        | ToTracker::GetList(_)
        | ToTracker::Heartbeat(_)
        | ToTracker::Report(_)
        | ToTracker::GetStatus(_)
        | ToTracker::GetPeers(_)
        | ToTracker::GetCluster(_)
        | ToTracker::Lend(_)
        | ToTracker::Kept(_)
        | ToTracker::Decline(_)
        | ToTracker::GetDuties(_)
        | ToTracker::Records(_)
        | ToTracker::Renew(_) => Need::Nothing,
    }
}

/// True if only that tracker of several can answer that leads.
pub fn need_of(message: &ToTracker) -> bool {
    need(message) != Need::Nothing
}

/// Why this tracker cannot answer, if it cannot.
pub(super) fn unable(shared: &Shared, message: &ToTracker) -> Option<Common> {
    let several = shared.several()?;
    match need(message) {
        Need::Nothing => None,
        _ if !shared.leads() => Some(elsewhere(shared, &Unrecorded::NotLeader)),
        Need::Lead => None,
        Need::Fresh => several.catch_up().err().map(|why| elsewhere(shared, &why)),
    }
}

/// What a member of a closed swarm is told where it is not known whether he still is one; but which trackers are one, he may know.
pub fn unsure(shared: &Shared, message: &ToTracker) -> Option<Common> {
    let is_told = matches!(message, ToTracker::Common(_) | ToTracker::GetCluster(_));
    (!is_told && shared.is_unsure()).then(|| elsewhere(shared, &UNSURE))
}

/// Tells that this tracker does not lead, and whom it misses.
pub(super) fn elsewhere(shared: &Shared, why: &dyn Display) -> Common {
    let missing = shared.several().and_then(|several| several.view().missing());
    let detail = missing.map_or_else(|| why.to_string(), |missing| format!("{why}; {missing}"));
    Common::error(ErrorCode::NoQuorum, detail)
}

/// Which trackers are one with this.
pub(super) fn cluster(shared: &Shared) -> FromTracker {
    match shared.several() {
        Some(several) => told(&several.view()).into(),
        None => alone(shared).into(),
    }
}

fn told(view: &View) -> Cluster {
    let member = |member: &crate::tracker::cluster::Member| {
        let (heard_ms, at) = match view.other(member.node) {
            _ if member.node == view.node => (0, (view.epoch, view.slot)),
            Some(other) => (other.silent * TICK_MS, other.at),
            None => (u32::MAX, (0, 0)),
        };
        NodeInfo {
            node: member.node,
            address: TrackerAddress::new(&*member.address),
            key: member.key,
            votes: true,
            incarnation: member.incarnation,
            replaced: view.is_replaced(member),
            heard_ms,
            epoch: at.0,
            applied: at.1,
        }
    };
    let guest = |other: &Other| NodeInfo {
        node: other.node,
        address: TrackerAddress::default(),
        key: PublicKey::NONE,
        votes: false,
        incarnation: other.incarnation.unwrap_or_default(),
        replaced: false,
        heard_ms: other.silent * TICK_MS,
        epoch: other.at.0,
        applied: other.at.1,
    };
    let guests = view.others.iter().filter(|other| view.member(other.node).is_none());
    let mut nodes: Vec<NodeInfo> = view.members.iter().map(member).chain(guests.map(guest)).collect();
    nodes.sort_by_key(|node| node.node);
    Cluster { epoch: view.epoch, leader: view.leader.unwrap_or(0), node: view.node, nodes: List::new(nodes) }
}

/// Changes who may come in to pages, as another tracker was asked to; nothing else is changed this way.
pub fn change_pages(shared: &Shared, change: wire::ChangePages) -> FromTracker {
    match Command::decode_of_pages(change.change, change.body.0) {
        Ok(command) => published::recorded(shared.change_pages(command)),
        Err(error) => Common::error(ErrorCode::Malformed, error.to_string()).into(),
    }
}

/// This tracker, which is not one of several.
fn alone(shared: &Shared) -> Cluster {
    let node = NodeInfo {
        node: 1,
        address: TrackerAddress::default(),
        key: PublicKey::NONE,
        votes: true,
        incarnation: Incarnation::default(),
        replaced: false,
        heard_ms: 0,
        epoch: 0,
        applied: shared.records().applied(),
    };
    Cluster { epoch: 0, leader: 1, node: 1, nodes: List::new(vec![node]) }
}

/// Makes others the members, and waits until they have gone on as such. None as long as who is new is not there and it is not late.
pub(super) fn change(shared: &Shared, message: &wire::ChangeMembers, is_late: bool) -> Option<FromTracker> {
    let Some(several) = shared.several() else { return Some(stays_alone().into()) };
    let view = several.view();
    let epoch = view.epoch;
    if epoch != message.epoch {
        if is_made(&view, message) {
            return Some(told(&view).into());
        }
        let detail = format!("the members have changed meanwhile: this is epoch {epoch}");
        return Some(Common::error(ErrorCode::Conflict, detail).into());
    }
    let wanted = message
        .members
        .iter()
        .map(|place| {
            let key = match place.key {
                PublicKey::NONE => several.key_of(place.node),
                key => key,
            };
            (place.node, wire::Text::new(&*place.address), key)
        })
        .collect();
    Some(match several.change(wanted) {
        Ok(()) => cluster(shared),
        Err(Unrecorded::NotYet(_)) if !is_late => return None,
        Err(Unrecorded::NotYet(why)) => Common::error(ErrorCode::NotFound, why).into(),
        Err(Unrecorded::Members(why)) => Common::error(ErrorCode::Conflict, why).into(),
        Err(why) => elsewhere(shared, &why).into(),
    })
}

/// True if a change that was asked for before has been made, and who asked may not have heard of it.
fn is_made(view: &View, message: &wire::ChangeMembers) -> bool {
    let asked: BTreeSet<(u16, &str)> =
        message.members.iter().map(|place| (place.node, &*place.address)).collect();
    let members = view.members.iter().map(|member| (member.node, &*member.address)).collect();
    let whole = view.members.iter().all(|member| !view.is_replaced(member));
    view.epoch > message.epoch && asked == members && whole
}

/// The answer to who would have others with it.
fn stays_alone() -> Common {
    let detail = "this tracker is not one of several: it is if it is started with --node and --cluster";
    Common::error(ErrorCode::Conflict, detail)
}
