//! Nodes as this tracker hears them, and what it proposes about them while it leads. Pure.
//!
//! What is heard is soft state: agents beat again in a moment. What is agreed on is on record, and there the rules are that
//! hold whoever proposes what (`rescue/ledger.rs`).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::records::{
    Called, Command, DutyAssigned, DutyClaimed, DutyEnded, DutyExpired, DutyOpened, NodeBack, NodeDrained,
    NodeLost, Nodes as OnRecord,
};
use crate::content::Network;
use crate::rescue::{Entry, Heard, Leader, Terms};
use crate::wire::{NodeBeat, NodeId};

/// Most nodes that are heard.
const MAX_NODES: usize = 1024;
/// Most of them from one network.
const MAX_NODES_OF_NETWORK: usize = 256;

/// There are too many nodes, or too many from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this tracker hears {0} nodes, and no more{1}")]
pub struct Full(usize, &'static str);

/// What an agent said last.
#[derive(Debug, Clone)]
pub struct Said {
    /// When.
    pub at: Instant,
    /// What.
    pub beat: NodeBeat,
    /// From where.
    pub from: Network,
}

/// The nodes that beat to this tracker, or to another that passes on to it what they say.
#[derive(Debug)]
pub struct Nodes {
    terms: Terms,
    since: Instant,
    said: BTreeMap<NodeId, Said>,
    /// What it proposes, from when it began to lead.
    leader: Option<Leader>,
    seed: u64,
}

impl Nodes {
    /// Nobody was heard yet.
    pub fn new(terms: Terms, seed: u64, now: Instant) -> Nodes {
        Nodes { terms, since: now, said: BTreeMap::new(), leader: None, seed }
    }

    /// By what it goes.
    pub fn terms(&self) -> Terms {
        self.terms
    }

    /// An agent beats, whose life is not over.
    ///
    /// # Errors
    /// There are too many.
    pub fn hear(&mut self, node: NodeId, said: Said) -> Result<(), Full> {
        if let Some(known) = self.said.get(&node) {
            // An older life does not hide a younger one that was heard lately.
            let lately = said.at.saturating_duration_since(known.at) < self.terms.silence;
            if said.beat.life < known.beat.life && lately {
                return Ok(());
            }
        } else if self.said.len() >= MAX_NODES {
            return Err(Full(MAX_NODES, ""));
        } else if self.said.values().filter(|other| other.from == said.from).count() >= MAX_NODES_OF_NETWORK {
            return Err(Full(MAX_NODES_OF_NETWORK, " from one network"));
        }
        self.said.insert(node, said);
        Ok(())
    }

    /// What the agent of a node said last, if it was heard.
    pub fn said(&self, node: NodeId) -> Option<&Said> {
        self.said.get(&node)
    }

    /// For how long a node was silent, as far as this tracker can know.
    pub fn silent(&self, node: NodeId, now: Instant) -> Duration {
        now.saturating_duration_since(self.said.get(&node).map_or(self.since, |said| said.at))
    }

    /// Another leads, or nobody does: what this tracker has waited for counts no more.
    pub fn follow(&mut self) {
        self.leader = None;
    }

    /// What is proposed now by the tracker that leads, which this is.
    pub fn lead(&mut self, on_record: &OnRecord, now: Instant) -> Vec<Command> {
        let ledger = on_record.ledger();
        let (terms, known) = (self.terms, ledger.nodes());
        let begins = self.leader.is_none();
        let lately = |said: &Said| said.at + terms.silence > now;
        // Who came, was never let in and is silent takes no place.
        self.said.retain(|node, said| lately(said) || (known.contains_key(node) && !begins));
        if begins {
            // What was said to it before it led was said to another since.
            self.since = now;
        }
        let heard = self.said.iter().filter(|(_, said)| lately(said));
        let heard = heard.map(|(node, Said { beat, .. })| {
            (*node, Heard { life: beat.life, able: beat.able && !beat.drained })
        });
        let leader = self.leader.get_or_insert_with(|| Leader::new(terms, self.seed, now));
        let entries = leader.step(ledger, &heard.collect(), now);
        let mut commands: Vec<Command> =
            entries.into_iter().filter_map(|entry| self.command(entry)).collect();
        commands.extend(self.said.iter().filter_map(|(node, said)| corrected(*node, said, on_record)));
        commands
    }

    /// The command that puts an entry on record.
    fn command(&self, entry: Entry) -> Option<Command> {
        Some(match entry {
            Entry::Back(node, _) => Command::NodeBack(back(node, self.said.get(&node)?)),
            Entry::Lost(node) => Command::NodeLost(NodeLost { node }),
            Entry::Opened { target, executor } => Command::DutyOpened(DutyOpened { target, executor }),
            Entry::Assigned(duty, executor) => Command::DutyAssigned(DutyAssigned { duty, executor }),
            Entry::Expired(duty) => Command::DutyExpired(DutyExpired { duty }),
            Entry::Claimed(duty, executor, life) => {
                Command::DutyClaimed(DutyClaimed { duty, executor, life })
            }
            Entry::Done(duty, executor) => Command::DutyEnded(DutyEnded { duty, executor }),
            // These are for agents and people to say.
            Entry::Drained(..) | Entry::Paused(_) | Entry::Forgotten(_) => return None,
        })
    }
}

fn back(node: NodeId, said: &Said) -> NodeBack {
    let NodeBeat { life, name, host, .. } = said.beat.clone();
    NodeBack { node, life, name, host }
}

/// What a node that is there says otherwise than it is on record.
fn corrected(node: NodeId, said: &Said, on_record: &OnRecord) -> Option<Command> {
    let known = on_record.ledger().nodes().get(&node)?;
    if known.lost || known.incarnation != said.beat.life {
        return None;
    }
    let NodeBeat { name, host, drained, .. } = &said.beat;
    if on_record.called(node).is_none_or(|Called { name: n, host: h }| (n, h) != (name, host)) {
        return Some(Command::NodeBack(back(node, said)));
    }
    (known.drained != *drained).then_some(Command::NodeDrained(NodeDrained { node, drained: *drained }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::records::{Outcome, Records};
    use crate::wire::{Label, Life, List};

    const SECOND: Duration = Duration::from_secs(1);
    const A: NodeId = NodeId([1; 16]);
    const B: NodeId = NodeId([2; 16]);

    fn beat(start: u64) -> NodeBeat {
        NodeBeat {
            life: Life { start, drawn: 0 },
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

    fn said(beat: NodeBeat, last: u8, at: Instant) -> Said {
        Said { at, beat, from: Network::of([10, 0, 0, last].into()) }
    }

    /// A tracker with its records.
    struct World {
        nodes: Nodes,
        records: Records,
        now: Instant,
    }

    impl World {
        fn new() -> World {
            let now = Instant::now();
            World { nodes: Nodes::new(Terms::default(), 1, now), records: Records::default(), now }
        }

        fn hears(&mut self, node: NodeId, beat: NodeBeat) {
            self.nodes.hear(node, said(beat, 1, self.now)).unwrap();
        }

        /// Leads, after a time; what came on record.
        fn leads(&mut self, after: Duration) -> Vec<Command> {
            self.now += after;
            let mut commands = self.nodes.lead(self.records.nodes(), self.now);
            commands.retain(|command| {
                let slot = self.records.applied() + 1;
                self.records.apply(slot, command).outcome == Outcome::Noted
            });
            commands
        }
    }

    #[test]
    fn one_tracker_lets_nodes_in_misses_them_and_gives_another_the_duty() {
        let mut world = World::new();
        world.hears(A, beat(1));
        world.hears(B, beat(5));
        let back = |node, start| Command::NodeBack(back(node, &said(beat(start), 1, Instant::now())));
        assert_eq!(world.leads(SECOND), [back(A, 1), back(B, 5)]);
        assert_eq!(world.leads(8 * SECOND), []);
        world.hears(B, beat(5));
        assert_eq!(world.leads(2 * SECOND), [Command::NodeLost(NodeLost { node: A })]);
        let opened = DutyOpened { target: A, executor: B };
        assert_eq!(world.leads(SECOND), [Command::DutyOpened(opened)]);
        world.hears(A, beat(2));
        assert_eq!(world.leads(SECOND), [back(A, 2)]);
        assert!(world.records.nodes().ledger().duties().is_empty());
    }

    #[test]
    fn a_tracker_that_leads_since_a_moment_misses_nobody_yet() {
        let mut world = World::new();
        world.hears(A, beat(1));
        world.leads(SECOND);
        world.nodes.follow();
        world.now += 30 * SECOND;
        assert_eq!(world.leads(Duration::ZERO), [], "another has led meanwhile");
        assert_eq!(world.leads(9 * SECOND), []);
        assert_eq!(world.leads(SECOND), [Command::NodeLost(NodeLost { node: A })]);
    }

    #[test]
    fn what_a_node_says_otherwise_is_put_on_record_and_an_older_life_hides_no_younger() {
        let mut world = World::new();
        world.hears(A, beat(3));
        world.leads(SECOND);
        world.hears(A, beat(2));
        assert_eq!(world.nodes.said(A).unwrap().beat.life.start, 3);
        world.hears(A, NodeBeat { drained: true, ..beat(3) });
        let drained = NodeDrained { node: A, drained: true };
        assert_eq!(world.leads(SECOND), [Command::NodeDrained(drained)]);
        let moved = NodeBeat { host: Label::new("elsewhere"), drained: true, ..beat(3) };
        world.hears(A, moved);
        assert_eq!(world.leads(SECOND).len(), 1);
        assert_eq!(&*world.records.nodes().called(A).unwrap().host, "elsewhere");
        assert_eq!(world.leads(SECOND), []);
    }

    #[test]
    fn strangers_take_so_many_places_and_only_while_they_are_heard() {
        let mut world = World::new();
        let node = |number: u32| {
            let mut node = NodeId([9; 16]);
            node.0[..4].copy_from_slice(&number.to_be_bytes());
            node
        };
        let mut take =
            |number: u32, network| world.nodes.hear(node(number), said(beat(1), network, world.now));
        let most = MAX_NODES_OF_NETWORK as u32;
        (0..most).for_each(|number| take(number, 1).unwrap());
        assert!(take(most, 1).is_err() && take(0, 1).is_ok() && take(most, 2).is_ok());
        world.now += 20 * SECOND;
        world.nodes.lead(world.records.nodes(), world.now);
        assert!(world.nodes.said.is_empty());
    }
}
