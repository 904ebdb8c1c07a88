//! What a tracker answers to the agents of nodes, and to those who ask about nodes.

use std::time::Instant;

use super::published::recorded;
use crate::content::{Network, PeerId};
use crate::rescue::Held;
use crate::tracker::nodes::Said;
use crate::tracker::records::{self, Command, DutyClaimed, DutyEnded};
use crate::tracker::shared::Shared;
use crate::wire::{
    self, Common, DutyInfo, ErrorCode, FromTracker, Label, Life, List, NodeDuty, NodeId, NodeState, SeenNode,
    limits,
};

/// What an agent is told that beats, if its life is not over.
pub(super) fn beat(
    shared: &Shared,
    (agent, from): (PeerId, Network),
    beat: wire::NodeBeat,
    now: Instant,
) -> FromTracker {
    let (node, life) = (NodeId::of(agent), beat.life);
    if is_fenced(shared, node, life) {
        return fenced();
    }
    if let Err(full) = shared.nodes().hear(node, Said { at: now, beat, from }) {
        return Common::error(ErrorCode::Limit, full.to_string()).into();
    }
    orders(shared, (node, life))
}

/// What this life of a node's agent is to do.
fn orders(shared: &Shared, (node, life): (NodeId, Life)) -> FromTracker {
    let terms = shared.nodes().terms();
    let records = shared.records();
    let nodes = records.nodes();
    let its = |held: &Held| held.claimed.is_none_or(|by| by == life);
    let duty = nodes.ledger().duty_of(node).filter(|(_, held)| its(held)).map(|(target, held)| {
        let called = nodes.called(target).cloned();
        let (name, host) = called.map(|called| (called.name, called.host)).unwrap_or_default();
        NodeDuty { duty: held.duty, node: target, name, host, lease_ms: ms(terms.lease) }
    });
    let duties = List::new(duty.into_iter().collect());
    let (authority, paused) = (records.authority(), nodes.ledger().is_paused());
    wire::NodeOrders { authority, beat_ms: ms(terms.beat()), paused, duties }.into()
}

/// The duty is its own now, or is not.
pub(super) fn claim(shared: &Shared, agent: PeerId, claim: wire::Claim, now: Instant) -> FromTracker {
    let (executor, wire::Claim { duty, life }) = (NodeId::of(agent), claim);
    if is_fenced(shared, executor, life) {
        return fenced();
    }
    recorded(shared.record(Command::DutyClaimed(DutyClaimed { duty, executor, life }), now))
}

/// It is noted that a duty was done; that it was noted before is as well.
pub(super) fn done(shared: &Shared, agent: PeerId, done: wire::DutyDone, now: Instant) -> FromTracker {
    let (executor, wire::DutyDone { duty, life }) = (NodeId::of(agent), done);
    if !shared.records().nodes().ledger().is_claimed(duty, executor, life) {
        return Common::Ok.into();
    }
    recorded(shared.record(Command::DutyEnded(DutyEnded { duty, executor }), now))
}

/// The command by which a person says what is to become of nodes.
pub(super) fn set(message: &wire::SetNodes) -> Command {
    let wire::SetNodes { client, seq, change, node } = *message;
    Command::SetNodes(records::SetNodes { client, seq, change, node })
}

/// Nodes on record, page by page.
pub(super) fn list(shared: &Shared, message: &wire::GetNodes, now: Instant) -> FromTracker {
    let heard = shared.nodes();
    let records = shared.records();
    let ledger = records.nodes().ledger();
    let limit = usize::from(message.limit).clamp(1, limits::MAX_PAGE_NODES);
    let mut left = ledger.nodes().iter().filter(|(id, _)| **id > message.after).peekable();
    let mut page = Vec::new();
    while let Some((id, node)) = left.next_if(|_| page.len() < limit) {
        let said = heard.said(*id).map(|said| &said.beat);
        let called = records.nodes().called(*id);
        let duty = ledger.duties().get(id).map(|held| DutyInfo {
            duty: held.duty,
            executor: held.executor,
            claimed: held.claimed.is_some(),
        });
        page.push(SeenNode {
            id: *id,
            name: called.map_or_else(Label::default, |called| called.name.clone()),
            host: called.map_or_else(Label::default, |called| called.host.clone()),
            state: match (node.drained, node.lost) {
                (true, _) => NodeState::Drained,
                (false, true) => NodeState::Lost,
                (false, false) => NodeState::Up,
            },
            start: node.incarnation.start,
            silent_ms: ms(heard.silent(*id, now)),
            able: said.is_some_and(|beat| beat.able),
            free: said.map_or(0, |beat| beat.free),
            load: said.map_or(0, |beat| beat.load),
            roles: said.map_or_else(List::default, |beat| beat.roles.clone()),
            tries: node.tries,
            duties: List::new(duty.into_iter().collect()),
            software: said.map_or_else(Label::default, |beat| beat.software.clone()),
        });
    }
    wire::Nodes { paused: ledger.is_paused(), nodes: List::new(page), more: left.peek().is_some() }.into()
}

fn is_fenced(shared: &Shared, node: NodeId, life: Life) -> bool {
    shared.records().nodes().ledger().is_fenced(node, life)
}

fn fenced() -> FromTracker {
    Common::error(ErrorCode::Fenced, "a later start of this node's agent was let in: this one is to end")
        .into()
}

fn ms(time: std::time::Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}
