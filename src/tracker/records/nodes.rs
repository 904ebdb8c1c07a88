//! Nodes on record, and who is to bring a lost one back: the ledger of `rescue`, with what a node is called and where it is.

use std::collections::BTreeMap;

use bytes::BytesMut;

use super::outcome::{Outcome, Refused};
use crate::rescue::{Entry, Ledger};
use crate::wire::{ClientId, Cursor, DecodeError, Field, Label, Life, NodeId, NodesChange, layout};

/// Most nodes on record.
const MAX_NODES: usize = 1024;

layout! {
    /// A node is heard for the first time, or is back, or another life of it is let in, or it is called otherwise.
    NodeBack {
        /// The node.
        node: NodeId,
        /// The life that is let in.
        life: Life,
        /// Its name.
        name: Label,
        /// Where it is.
        host: Label,
    }
}

layout! {
    /// Most trackers do not hear a node.
    NodeLost {
        /// The node.
        node: NodeId,
    }
}

layout! {
    /// A node is to be left alone, or not any more.
    NodeDrained {
        /// The node.
        node: NodeId,
        /// Left alone.
        drained: bool,
    }
}

layout! {
    /// A lost node is to be brought back.
    DutyOpened {
        /// The lost one.
        target: NodeId,
        /// Whose agent is to do it.
        executor: NodeId,
    }
}

layout! {
    /// Another is to do a duty, for the one before has not claimed it.
    DutyAssigned {
        /// The duty.
        duty: u64,
        /// Whose agent is to do it.
        executor: NodeId,
    }
}

layout! {
    /// A duty is about to be done.
    DutyClaimed {
        /// The duty.
        duty: u64,
        /// By whose agent.
        executor: NodeId,
        /// By this life of it, and no other.
        life: Life,
    }
}

layout! {
    /// A duty was done, or tried.
    DutyEnded {
        /// The duty.
        duty: u64,
        /// By whose agent.
        executor: NodeId,
    }
}

layout! {
    /// Whoever claimed a duty cannot be at it any more.
    DutyExpired {
        /// The duty.
        duty: u64,
    }
}

layout! {
    /// What a person says is to become of nodes.
    SetNodes {
        /// Who asks.
        client: ClientId,
        /// Which of its commands this is.
        seq: u64,
        /// What is to become of them.
        change: NodesChange,
        /// Of FORGET: the node.
        node: NodeId,
    }
}

layout! {
    /// What a node is called, and where it is.
    Called {
        /// Its name.
        name: Label,
        /// Where it is.
        host: Label,
    }
}

/// All nodes on record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nodes {
    ledger: Ledger,
    called: BTreeMap<NodeId, Called>,
}

impl Nodes {
    /// Which are there, which are lost, and who is to bring whom back.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What a node is called, and where it is, if it is on record.
    pub fn called(&self, node: NodeId) -> Option<&Called> {
        self.called.get(&node)
    }

    pub(super) fn back(&mut self, slot: u64, back: &NodeBack) -> Outcome {
        let NodeBack { node, life, name, host } = back.clone();
        if self.called.len() >= MAX_NODES && !self.called.contains_key(&node) {
            return Outcome::Refused(Refused::Full);
        }
        if self.ledger.is_fenced(node, life) {
            return Outcome::Refused(Refused::Over);
        }
        self.called.insert(node, Called { name, host });
        self.ledger.apply(slot, Entry::Back(node, life));
        Outcome::Noted
    }

    /// A claim that comes again, from the same life, was granted before: its answer was lost.
    pub(super) fn claim(&mut self, slot: u64, claim: &DutyClaimed) -> Outcome {
        let DutyClaimed { duty, executor, life } = *claim;
        let stale = self.ledger.is_fenced(executor, life);
        let granted = !stale
            && (self.ledger.is_claimed(duty, executor, life)
                || self.ledger.apply(slot, Entry::Claimed(duty, executor, life)));
        noted(granted)
    }

    pub(super) fn set(&mut self, slot: u64, set: &SetNodes) -> Outcome {
        match set.change {
            NodesChange::Pause => drop(self.ledger.apply(slot, Entry::Paused(true))),
            NodesChange::Resume => drop(self.ledger.apply(slot, Entry::Paused(false))),
            NodesChange::Forget => {
                if !self.ledger.apply(slot, Entry::Forgotten(set.node)) {
                    return Outcome::Refused(Refused::NoLostNode);
                }
                self.called.remove(&set.node);
            }
        }
        Outcome::Noted
    }

    pub(super) fn apply(&mut self, slot: u64, entry: Entry) -> Outcome {
        noted(self.ledger.apply(slot, entry))
    }
}

fn noted(changed: bool) -> Outcome {
    if changed { Outcome::Noted } else { Outcome::Refused(Refused::Over) }
}

impl Field for Nodes {
    fn put(&self, out: &mut BytesMut) {
        self.ledger.put(out);
        (self.called.len() as u32).put(out);
        self.called.iter().for_each(|(node, called)| {
            node.put(out);
            called.put(out);
        });
    }
    fn take(from: &mut Cursor) -> Result<Nodes, DecodeError> {
        let ledger = Field::take(from)?;
        let count = u32::take(from)?;
        let called = (0..count).map(|_| Ok((Field::take(from)?, Field::take(from)?)));
        Ok(Nodes { ledger, called: called.collect::<Result<_, _>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::super::command::Command;
    use super::super::machine::Records;
    use super::*;

    const A: NodeId = NodeId([1; 16]);
    const B: NodeId = NodeId([2; 16]);

    fn life(start: u64) -> Life {
        Life { start, drawn: 7 }
    }

    fn back(node: NodeId, start: u64) -> Command {
        let (name, host) = (Label::new("rack1-a"), Label::new("a.lan"));
        Command::NodeBack(NodeBack { node, life: life(start), name, host })
    }

    fn set(seq: u64, change: NodesChange, node: NodeId) -> Command {
        Command::SetNodes(SetNodes { client: ClientId(1), seq, change, node })
    }

    /// Records to which commands are given as a journal has them, and that are restored after each.
    #[derive(Default)]
    struct World(Records, u64);

    impl World {
        fn apply(&mut self, command: &Command) -> Outcome {
            self.1 += 1;
            let (number, bytes) = command.encode();
            assert_eq!(Command::decode(number, bytes).as_ref(), Ok(command));
            let outcome = self.0.apply(self.1, command).outcome;
            assert_eq!(Records::restore(self.0.snapshot()).as_ref(), Ok(&self.0));
            outcome
        }
    }

    #[test]
    fn a_lost_node_is_brought_back_by_one_and_its_older_lives_are_refused() {
        let mut world = World::default();
        let over = Outcome::Refused(Refused::Over);
        assert_eq!((world.apply(&back(A, 1)), world.apply(&back(B, 4))), (Outcome::Noted, Outcome::Noted));
        assert_eq!(world.apply(&Command::NodeLost(NodeLost { node: A })), Outcome::Noted);
        assert_eq!(world.apply(&Command::NodeLost(NodeLost { node: A })), over);
        let opened = Command::DutyOpened(DutyOpened { target: A, executor: B });
        assert_eq!(world.apply(&opened), Outcome::Noted);
        let duty = world.1;
        assert_eq!(world.apply(&opened), over);
        let claim = |start| Command::DutyClaimed(DutyClaimed { duty, executor: B, life: life(start) });
        assert_eq!(world.apply(&claim(3)), over, "a life of B that is over");
        assert_eq!((world.apply(&claim(4)), world.apply(&claim(4))), (Outcome::Noted, Outcome::Noted));
        assert_eq!(world.apply(&claim(5)), over);
        let assigned = DutyAssigned { duty, executor: B };
        assert_eq!(world.apply(&Command::DutyAssigned(assigned)), over);
        assert_eq!(world.apply(&back(A, 2)), Outcome::Noted);
        assert_eq!(world.apply(&back(A, 1)), over);
        let ended = DutyEnded { duty, executor: B };
        assert_eq!(world.apply(&Command::DutyEnded(ended)), Outcome::Noted);
        assert_eq!(world.apply(&Command::DutyExpired(DutyExpired { duty })), over);
        assert_eq!(world.0.nodes().ledger().nodes()[&A].incarnation, life(2));
        assert_eq!(&*world.0.nodes().called(A).unwrap().host, "a.lan");
    }

    #[test]
    fn people_pause_and_forget_and_a_node_drains_itself() {
        let mut world = World::default();
        world.apply(&back(A, 1));
        let drained = NodeDrained { node: A, drained: true };
        assert_eq!(world.apply(&Command::NodeDrained(drained)), Outcome::Noted);
        assert_eq!(world.apply(&set(1, NodesChange::Pause, NodeId::NONE)), Outcome::Noted);
        assert_eq!(world.apply(&set(2, NodesChange::Pause, NodeId::NONE)), Outcome::Noted, "it is so");
        assert!(world.0.nodes().ledger().is_paused());
        let forget = |seq| set(seq, NodesChange::Forget, A);
        assert_eq!(world.apply(&forget(3)), Outcome::Refused(Refused::NoLostNode));
        assert_eq!(world.apply(&Command::NodeLost(NodeLost { node: A })), Outcome::Noted);
        assert_eq!(world.apply(&forget(3)), Outcome::Refused(Refused::NoLostNode), "the answer of before");
        assert_eq!(world.apply(&forget(4)), Outcome::Noted);
        assert!(world.0.nodes().called(A).is_none());
        assert_eq!(world.apply(&set(5, NodesChange::Resume, NodeId::NONE)), Outcome::Noted);
        assert!(!world.0.nodes().ledger().is_paused());
    }

    #[test]
    fn no_more_nodes_are_on_record_than_there_can_be() {
        let mut nodes = Nodes::default();
        let back = |number: u32| {
            let mut node = NodeId([0; 16]);
            node.0[..4].copy_from_slice(&number.to_be_bytes());
            NodeBack { node, life: life(1), name: Label::default(), host: Label::default() }
        };
        (0..MAX_NODES as u32).for_each(|number| assert_eq!(nodes.back(1, &back(number)), Outcome::Noted));
        assert_eq!(nodes.back(1, &back(MAX_NODES as u32)), Outcome::Refused(Refused::Full));
        assert_eq!(nodes.back(1, &back(0)), Outcome::Noted);
    }
}
