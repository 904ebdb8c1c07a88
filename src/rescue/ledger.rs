//! What trackers agree on about nodes: which are up, which are lost, and who is to bring a lost one back. Pure.
//!
//! The entries of a log, applied by every tracker in the same order, make the same ledger at each. Every rule that must
//! hold whoever proposes what is here: at most one duty for a node, at most one who has claimed it, none for a node that is
//! not lost, and an incarnation that was let in is never older than the one before.

use std::collections::BTreeMap;

use bytes::BytesMut;

use crate::wire::{Cursor, DecodeError, Field};
pub use crate::wire::{Life, NodeId};

/// A duty, by the number of the entry that opened it.
pub type Duty = u64;

/// What trackers agree to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A node is heard for the first time, or is back, or another life of it is let in.
    Back(NodeId, Life),
    /// Most trackers have not heard it.
    Lost(NodeId),
    /// Nobody is to bring it back, or it is to be treated as others again: a person says so.
    Drained(NodeId, bool),
    /// Nobody is to be brought back at all: a person says so.
    Paused(bool),
    /// A lost node is to be brought back by another.
    Opened {
        /// The lost one.
        target: NodeId,
        /// The other.
        executor: NodeId,
    },
    /// Another is to do it, for the one before has not claimed it.
    Assigned(Duty, NodeId),
    /// It is about to be done, by this life of its executor and no other.
    Claimed(Duty, NodeId, Life),
    /// It was done, or it was tried.
    Done(Duty, NodeId),
    /// Whoever claimed it cannot be at it any more.
    Expired(Duty),
    /// A lost node does not come back: a person says so.
    Forgotten(NodeId),
}

/// A node, as the log has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// The life that is let in.
    pub incarnation: Life,
    /// Most trackers did not hear it.
    pub lost: bool,
    /// It is left alone.
    pub drained: bool,
    /// Times that somebody was to bring it back since it was up.
    pub tries: u32,
}

/// A duty, as the log has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Its number.
    pub duty: Duty,
    /// Who is to do it.
    pub executor: NodeId,
    /// The life of that one that has claimed it.
    pub claimed: Option<Life>,
}

/// What the log says so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    nodes: BTreeMap<NodeId, Node>,
    /// By the node that is to be brought back.
    duties: BTreeMap<NodeId, Held>,
    paused: bool,
}

impl Ledger {
    /// The nodes.
    pub fn nodes(&self) -> &BTreeMap<NodeId, Node> {
        &self.nodes
    }

    /// The duties, by the node that is to be brought back.
    pub fn duties(&self) -> &BTreeMap<NodeId, Held> {
        &self.duties
    }

    /// True if nobody is to be brought back.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// What this node is to do, and to whom.
    pub fn duty_of(&self, executor: NodeId) -> Option<(NodeId, Held)> {
        let mut all = self.duties.iter().map(|(target, held)| (*target, *held));
        all.find(|(_, held)| held.executor == executor)
    }

    /// True if this life of a node is older than the one that was let in.
    pub fn is_fenced(&self, node: NodeId, incarnation: Life) -> bool {
        self.nodes.get(&node).is_some_and(|node| incarnation < node.incarnation)
    }

    /// True if this life of `executor` has claimed it, and may do it.
    pub fn is_claimed(&self, duty: Duty, executor: NodeId, life: Life) -> bool {
        self.duties.values().any(|held| *held == Held { duty, executor, claimed: Some(life) })
    }

    /// Applies the entry of this number; false if it says nothing any more, for another was there before it.
    pub fn apply(&mut self, number: u64, entry: Entry) -> bool {
        match entry {
            Entry::Back(node, incarnation) => self.back(node, incarnation),
            Entry::Lost(node) => {
                self.nodes.get_mut(&node).is_some_and(|node| !std::mem::replace(&mut node.lost, true))
            }
            Entry::Drained(node, drained) => {
                if drained {
                    self.drop_open(node);
                }
                self.nodes
                    .get_mut(&node)
                    .is_some_and(|node| std::mem::replace(&mut node.drained, drained) != drained)
            }
            Entry::Paused(paused) => {
                if paused {
                    self.duties.retain(|_, held| held.claimed.is_some());
                }
                std::mem::replace(&mut self.paused, paused) != paused
            }
            Entry::Opened { target, executor } => self.open(number, target, executor),
            Entry::Assigned(duty, executor) => {
                let target = self.target_of(duty, |held| held.claimed.is_none());
                let free = self.duty_of(executor).is_none();
                let fits = free && target.is_some_and(|target| self.may(executor, target));
                match target.and_then(|target| self.duties.get_mut(&target)).filter(|_| fits) {
                    Some(held) => std::mem::replace(&mut held.executor, executor) != executor,
                    None => false,
                }
            }
            Entry::Claimed(duty, executor, life) => {
                let mut held = self.duties.values_mut();
                let open = Held { duty, executor, claimed: None };
                held.find(|held| **held == open).map(|held| held.claimed = Some(life)).is_some()
            }
            Entry::Done(duty, executor) => {
                self.end(duty, |held| held.claimed.is_some() && held.executor == executor)
            }
            Entry::Expired(duty) => self.end(duty, |held| held.claimed.is_some()),
            Entry::Forgotten(node) => {
                self.drop_open(node);
                let is_over = |known: &Node| known.lost && !self.duties.contains_key(&node);
                self.nodes.get(&node).is_some_and(is_over) && self.nodes.remove(&node).is_some()
            }
        }
    }

    fn back(&mut self, id: NodeId, incarnation: Life) -> bool {
        let fresh = Node { incarnation, lost: false, drained: false, tries: 0 };
        let Some(node) = self.nodes.get_mut(&id) else {
            self.nodes.insert(id, fresh);
            return true;
        };
        if incarnation < node.incarnation {
            return false;
        }
        let new = node.lost || incarnation > node.incarnation;
        *node = Node { drained: node.drained, ..fresh };
        self.drop_open(id);
        new
    }

    /// What is claimed runs out: whoever does it cannot be told in time.
    fn drop_open(&mut self, target: NodeId) {
        if self.duties.get(&target).is_some_and(|held| held.claimed.is_none()) {
            self.duties.remove(&target);
        }
    }

    fn open(&mut self, number: u64, target: NodeId, executor: NodeId) -> bool {
        let wants = |node: &Node| node.lost && !node.drained;
        let fits = !self.paused
            && !self.duties.contains_key(&target)
            && self.may(executor, target)
            && self.duty_of(executor).is_none();
        let Some(node) = self.nodes.get_mut(&target).filter(|node| fits && wants(node)) else { return false };
        node.tries = node.tries.saturating_add(1);
        self.duties.insert(target, Held { duty: number, executor, claimed: None });
        true
    }

    /// True if one may bring another back.
    fn may(&self, executor: NodeId, target: NodeId) -> bool {
        executor != target && self.nodes.get(&executor).is_some_and(|node| !node.lost && !node.drained)
    }

    fn end(&mut self, duty: Duty, ends: impl Fn(&Held) -> bool) -> bool {
        self.target_of(duty, ends).is_some_and(|target| self.duties.remove(&target).is_some())
    }

    fn target_of(&self, duty: Duty, is_so: impl Fn(&Held) -> bool) -> Option<NodeId> {
        self.duties.iter().find(|(_, held)| held.duty == duty && is_so(held)).map(|(target, _)| *target)
    }
}

/// As it stands in the records of a tracker: whether all is paused, how many nodes and duties follow; each node, and each duty
/// behind the node that it is about.
impl Field for Ledger {
    fn put(&self, out: &mut BytesMut) {
        self.paused.put(out);
        (self.nodes.len() as u32, self.duties.len() as u32).put(out);
        for (id, Node { incarnation, lost, drained, tries }) in &self.nodes {
            (*id, *incarnation).put(out);
            (*lost, (*drained, *tries)).put(out);
        }
        for (target, Held { duty, executor, claimed }) in &self.duties {
            (*target, (*duty, *executor)).put(out);
            (claimed.is_some(), claimed.unwrap_or_default()).put(out);
        }
    }
    fn take(from: &mut Cursor) -> Result<Ledger, DecodeError> {
        let mut ledger = Ledger { paused: Field::take(from)?, ..Ledger::default() };
        let (nodes, duties) = <(u32, u32)>::take(from)?;
        for _ in 0..nodes {
            let (id, incarnation) = Field::take(from)?;
            let (lost, (drained, tries)) = Field::take(from)?;
            ledger.nodes.insert(id, Node { incarnation, lost, drained, tries });
        }
        for _ in 0..duties {
            let (target, (duty, executor)) = Field::take(from)?;
            let (is_claimed, life) = <(bool, Life)>::take(from)?;
            ledger.duties.insert(target, Held { duty, executor, claimed: is_claimed.then_some(life) });
        }
        Ok(ledger)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId([1; 16]);
    const B: NodeId = NodeId([2; 16]);
    const C: NodeId = NodeId([3; 16]);

    fn life(start: u64) -> Life {
        Life { start, drawn: 0 }
    }

    /// Three nodes, of which A is lost.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        for node in [A, B, C] {
            assert!(ledger.apply(0, Entry::Back(node, life(1))));
        }
        assert!(ledger.apply(1, Entry::Lost(A)) && !ledger.apply(2, Entry::Lost(A)));
        ledger
    }

    #[test]
    fn a_lost_node_has_one_duty_of_which_one_is_the_executor() {
        let mut ledger = ledger();
        assert!(!ledger.apply(3, Entry::Opened { target: B, executor: C }), "it is not lost");
        assert!(!ledger.apply(4, Entry::Opened { target: A, executor: A }), "not itself");
        assert!(!ledger.apply(5, Entry::Opened { target: A, executor: NodeId([9; 16]) }), "nobody knows it");
        assert!(ledger.apply(6, Entry::Opened { target: A, executor: B }));
        assert!(!ledger.apply(7, Entry::Opened { target: A, executor: C }), "there is one");
        assert!(!ledger.apply(8, Entry::Claimed(6, C, life(1))), "it is not C's");
        assert!(ledger.apply(9, Entry::Assigned(6, C)) && !ledger.apply(10, Entry::Claimed(6, B, life(1))));
        assert!(ledger.apply(11, Entry::Claimed(6, C, life(1))) && ledger.is_claimed(6, C, life(1)));
        assert!(!ledger.apply(12, Entry::Claimed(6, C, life(2))), "another life of C asks for it in vain");
        assert!(ledger.is_claimed(6, C, life(1)) && !ledger.is_claimed(6, C, life(2)));
        assert!(!ledger.apply(13, Entry::Assigned(6, B)), "C is at it");
        assert!(!ledger.apply(14, Entry::Done(6, B)) && ledger.apply(15, Entry::Done(6, C)));
        assert!(!ledger.apply(16, Entry::Expired(6)));
        assert_eq!((ledger.duties().len(), ledger.nodes()[&A].tries), (0, 1));
        assert!(ledger.apply(17, Entry::Opened { target: A, executor: B }), "it is not back yet");
        assert!(!ledger.apply(18, Entry::Expired(17)), "nobody has claimed it");
    }

    #[test]
    fn who_is_back_ends_what_is_open_and_what_is_claimed_runs_out() {
        let mut ledger = ledger();
        assert!(ledger.apply(3, Entry::Opened { target: A, executor: B }));
        assert!(ledger.apply(4, Entry::Back(A, life(2))) && ledger.duties().is_empty());
        assert!(ledger.apply(5, Entry::Lost(A)));
        assert!(
            ledger.apply(6, Entry::Opened { target: A, executor: B })
                && ledger.apply(7, Entry::Claimed(6, B, life(1)))
        );
        assert!(ledger.apply(8, Entry::Back(A, life(2))), "the same life was silent for a while");
        assert!(ledger.is_claimed(6, B, life(1)) && ledger.apply(9, Entry::Expired(6)));
    }

    #[test]
    fn the_life_that_started_last_is_let_in_and_older_ones_are_fenced() {
        let mut ledger = ledger();
        assert!(ledger.apply(3, Entry::Back(A, life(3))));
        assert!(
            ledger.is_fenced(A, life(2)) && !ledger.is_fenced(A, life(3)) && !ledger.is_fenced(A, life(4))
        );
        assert!(!ledger.apply(4, Entry::Back(A, life(2))));
        let copy = Life { start: 3, drawn: 1 };
        assert!(ledger.apply(5, Entry::Back(A, copy)) && ledger.is_fenced(A, life(3)));
        assert!(!ledger.apply(6, Entry::Back(A, copy)), "it says nothing");
    }

    #[test]
    fn what_a_person_drains_or_pauses_is_left_alone() {
        let mut ledger = ledger();
        assert!(ledger.apply(3, Entry::Opened { target: A, executor: B }));
        assert!(ledger.apply(4, Entry::Drained(A, true)) && ledger.duties().is_empty());
        assert!(!ledger.apply(5, Entry::Opened { target: A, executor: B }));
        assert!(ledger.apply(6, Entry::Drained(A, false)) && ledger.apply(7, Entry::Drained(B, true)));
        assert!(!ledger.apply(8, Entry::Opened { target: A, executor: B }), "it is not there for others");
        assert!(
            ledger.apply(9, Entry::Opened { target: A, executor: C })
                && ledger.apply(10, Entry::Paused(true))
        );
        assert!(ledger.is_paused() && ledger.duties().is_empty());
        assert!(!ledger.apply(11, Entry::Opened { target: A, executor: C }));
    }

    #[test]
    fn a_lost_node_is_forgotten_unless_somebody_is_bringing_it_back() {
        let mut ledger = ledger();
        assert!(!ledger.apply(3, Entry::Forgotten(B)), "it is there");
        assert!(ledger.apply(4, Entry::Opened { target: A, executor: B }));
        assert!(ledger.apply(5, Entry::Claimed(4, B, life(1))) && !ledger.apply(6, Entry::Forgotten(A)));
        assert!(
            ledger.apply(7, Entry::Expired(4)) && ledger.apply(8, Entry::Opened { target: A, executor: B })
        );
        assert!(ledger.apply(9, Entry::Forgotten(A)) && !ledger.nodes().contains_key(&A));
        assert!(ledger.duties().is_empty() && !ledger.apply(10, Entry::Forgotten(A)));
    }

    #[test]
    fn a_ledger_is_bytes_and_the_same_again() {
        let mut ledger = ledger();
        assert!(ledger.apply(3, Entry::Opened { target: A, executor: B }));
        for number in 4..6 {
            let mut bytes = BytesMut::new();
            ledger.put(&mut bytes);
            let mut from = Cursor::new(bytes.freeze());
            assert_eq!(Ledger::take(&mut from).as_ref(), Ok(&ledger));
            from.finish().unwrap();
            ledger.apply(number, Entry::Claimed(3, B, life(7)));
        }
        assert!(ledger.is_claimed(3, B, life(7)));
    }
}
