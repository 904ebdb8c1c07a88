//! Nodes, as messages: who beats, who is brought back by whom, and what people see and say of it.

use super::stores::answer;
use super::*;
use crate::wire::{
    Claim, ClientId, DutyDone, GetNodes, Life, NodeBeat, NodeDuty, NodeId, NodeOrders, NodeState, Nodes,
    NodesChange, SeenNode, SetNodes,
};

fn life(start: u64) -> Life {
    Life { start, drawn: 7 }
}

fn beat(start: u64) -> NodeBeat {
    NodeBeat {
        life: life(start),
        name: Label::new("n"),
        host: Label::new("h"),
        able: true,
        drained: false,
        free: 1,
        load: 2,
        roles: List::default(),
        software: Label::new("p2p/1"),
    }
}

fn id(peer: u8) -> NodeId {
    NodeId::of(PeerId([peer; 16]))
}

impl Scene {
    #[track_caller]
    fn beats(&self, session: &mut Session, start: u64) -> NodeOrders {
        match answer(self.answer(session, beat(start))) {
            FromTracker::NodeOrders(orders) => orders,
            other => panic!("{other:?}"),
        }
    }

    fn after(&mut self, time: Duration) {
        self.now += time;
        self.shared.watch_nodes(self.now);
    }

    fn nodes(&self, session: &mut Session) -> Vec<SeenNode> {
        match answer(self.answer(session, GetNodes { after: NodeId::NONE, limit: 64 })) {
            FromTracker::Nodes(Nodes { nodes, more: false, .. }) => nodes.into_vec(),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn who_falls_silent_is_given_to_another_who_claims_it_once_and_its_older_life_is_fenced() {
    let mut scene = Scene::new();
    let (mut a, mut b) = (session(1, 1), session(2, 2));
    scene.after(Duration::ZERO); // it leads from its start on, and misses nobody before it has listened for so long
    scene.beats(&mut a, 1);
    scene.beats(&mut b, 4);
    scene.after(Duration::from_secs(9));
    assert_eq!(scene.beats(&mut b, 4).duties.len(), 0);
    scene.after(Duration::from_secs(2));
    scene.after(Duration::from_secs(1));
    let orders = scene.beats(&mut b, 4);
    assert_eq!((orders.beat_ms, orders.paused), (2000, false));
    let duty = orders.duties[0].duty;
    let (name, host) = (Label::new("n"), Label::new("h"));
    assert_eq!(orders.duties[..], [NodeDuty { duty, node: id(1), name, host, lease_ms: 30_000 }]);
    assert_eq!(code(scene.answer(&mut a, Claim { duty, life: life(1) })), ErrorCode::Over);
    assert_eq!(code(scene.answer(&mut b, Claim { duty, life: life(3) })), ErrorCode::Fenced);
    for _ in 0..2 {
        assert_eq!(scene.answer(&mut b, Claim { duty, life: life(4) }), ok(), "as often as it asks");
    }
    let seen = scene.nodes(&mut a).into_iter().find(|node| node.id == id(1)).expect("it is on record");
    assert_eq!((seen.state, seen.duties[0].executor, seen.duties[0].claimed), (NodeState::Lost, id(2), true));
    scene.beats(&mut a, 2);
    scene.after(Duration::from_secs(1));
    assert_eq!(code(scene.answer(&mut a, beat(1))), ErrorCode::Fenced);
    for _ in 0..2 {
        assert_eq!(scene.answer(&mut b, DutyDone { duty, life: life(4) }), ok(), "it is over, or was");
    }
    assert!(scene.nodes(&mut a).iter().all(|node| node.state == NodeState::Up && node.duties.is_empty()));
}

#[test]
fn a_person_pauses_and_forgets_what_is_lost() {
    let mut scene = Scene::new();
    let (mut agent, mut tool) = (session(1, 1), session(2, 2));
    scene.beats(&mut agent, 1);
    scene.after(Duration::from_secs(1));
    let set = |seq, change, node| SetNodes { client: ClientId(3), seq, change, node };
    assert_eq!(scene.answer(&mut tool, set(1, NodesChange::Pause, NodeId::NONE)), ok());
    assert!(scene.beats(&mut agent, 1).paused);
    assert_eq!(code(scene.answer(&mut tool, set(2, NodesChange::Forget, id(1)))), ErrorCode::NotFound);
    scene.after(Duration::from_secs(11));
    assert_eq!(scene.nodes(&mut tool)[0].state, NodeState::Lost);
    assert_eq!(scene.answer(&mut tool, set(3, NodesChange::Forget, id(1))), ok());
    assert_eq!(scene.nodes(&mut tool), []);
}
