//! Who came and who went, as a tracker has seen it, for people who look. Pure.
//!
//! So many are remembered of each kind. Where there are more, one goes of the network that has most of them, its oldest: who
//! comes and goes all the time has what he did himself forgotten, and nothing of others.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use super::records::Nodes;
use crate::content::{Network, PeerId};
use crate::wire::{Life, NodeId};

/// So many are remembered of each kind.
pub const MAX_EVENTS: usize = 1_000;

/// What it is that came or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A peer.
    Peer,
    /// A peer that lends space.
    Store,
    /// A host whose agent keeps roles running.
    Node,
}

/// Who it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// What kind.
    pub kind: Kind,
    /// Its id.
    pub id: [u8; 16],
    /// What it calls itself.
    pub name: String,
    /// Where it is, if that is known here.
    pub from: Option<Network>,
}

impl Who {
    /// A peer, or a store.
    pub fn peer(peer: PeerId, name: &str, from: IpAddr, is_store: bool) -> Who {
        let kind = if is_store { Kind::Store } else { Kind::Peer };
        Who { kind, id: peer.0, name: name.to_owned(), from: Some(Network::of(from)) }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Which it is, from the start on.
    pub number: u64,
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// To whom.
    pub who: Who,
    /// What, in words that follow a name.
    pub what: &'static str,
}

/// What happened last.
#[derive(Debug, Default)]
pub struct Chronicle {
    numbers: u64,
    lots: BTreeMap<Kind, Lot>,
    /// Nodes as they were on record at the last look; none before the first.
    nodes: Option<BTreeMap<NodeId, Standing>>,
}

/// What is remembered of a kind.
#[derive(Debug, Default)]
struct Lot {
    by_network: BTreeMap<Option<Network>, VecDeque<Event>>,
    len: usize,
}

/// A node as it is on record.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Standing {
    name: String,
    life: Life,
    lost: bool,
    drained: bool,
    awaited: bool,
}

impl Chronicle {
    /// The number of what happens next, whoever remembers that.
    pub fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Something happened to somebody.
    pub fn note(&mut self, who: Who, what: &'static str, at_ms: u64) {
        let number = self.number();
        self.lots.entry(who.kind).or_default().add(Event { number, at_ms, who, what });
    }

    /// Looks at the nodes on record, and notes what is not as it was at the last look.
    pub fn look(&mut self, nodes: &Nodes, from: impl Fn(NodeId) -> Option<Network>, at_ms: u64) {
        let now = standing(nodes);
        let Some(before) = self.nodes.take() else {
            self.nodes = Some(now);
            return;
        };
        let who = |node: NodeId, name: &str| {
            let (id, name) = (node.0, name.to_owned());
            Who { kind: Kind::Node, id, name, from: from(node) }
        };
        for (node, is) in &now {
            for what in became(before.get(node), is) {
                self.note(who(*node, &is.name), what, at_ms);
            }
        }
        for (node, was) in before.iter().filter(|(node, _)| !now.contains_key(node)) {
            self.note(who(*node, &was.name), "was forgotten", at_ms);
        }
        self.nodes = Some(now);
    }

    /// All that is remembered, in no order.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.lots.values().flat_map(|lot| lot.by_network.values().flatten())
    }

    /// The last of it.
    pub fn latest(&self) -> Option<&Event> {
        let last = self.lots.values().flat_map(|lot| lot.by_network.values().filter_map(VecDeque::back));
        last.max_by_key(|event| event.number)
    }
}

impl Lot {
    fn add(&mut self, event: Event) {
        self.by_network.entry(event.who.from).or_default().push_back(event);
        self.len += 1;
        if self.len <= MAX_EVENTS {
            return;
        }
        let most = self.by_network.iter().max_by_key(|(_, events)| events.len());
        if let Some(most) = most.map(|(network, _)| *network)
            && let Some(events) = self.by_network.get_mut(&most)
        {
            events.pop_front();
            self.len -= 1;
            if events.is_empty() {
                self.by_network.remove(&most);
            }
        }
    }
}

fn standing(nodes: &Nodes) -> BTreeMap<NodeId, Standing> {
    let ledger = nodes.ledger();
    let of = |(id, node): (&NodeId, &crate::rescue::Node)| {
        let name = nodes.called(*id).map_or_else(String::new, |called| called.name.to_string());
        let awaited = ledger.duties().contains_key(id);
        let (life, lost, drained) = (node.incarnation, node.lost, node.drained);
        (*id, Standing { name, life, lost, drained, awaited })
    };
    ledger.nodes().iter().map(of).collect()
}

/// What became of a node since it was as it was.
fn became(was: Option<&Standing>, is: &Standing) -> Vec<&'static str> {
    let Some(was) = was else { return vec!["came"] };
    let mut became = Vec::new();
    match (was.lost, is.lost) {
        (false, true) => became.push("is lost: most trackers do not hear it"),
        (true, false) => became.push("is back"),
        _ if was.life != is.life => became.push("its agent started again"),
        _ => {}
    }
    match (was.drained, is.drained) {
        (false, true) => became.push("is left alone from now on"),
        (true, false) => became.push("is looked after again"),
        _ => {}
    }
    if is.awaited && !was.awaited {
        became.push("is to be brought back by another node");
    }
    became
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn peer(number: u32, last: u8) -> Who {
        let mut id = PeerId([0; 16]);
        id.0[..4].copy_from_slice(&number.to_be_bytes());
        Who::peer(id, "bob", Ipv4Addr::new(10, 0, 0, last).into(), false)
    }

    fn numbers(chronicle: &Chronicle, kind: Kind) -> Vec<u64> {
        let mut numbers: Vec<u64> =
            chronicle.events().filter(|event| event.who.kind == kind).map(|event| event.number).collect();
        numbers.sort_unstable();
        numbers
    }

    #[test]
    fn who_comes_and_goes_all_the_time_has_only_his_own_forgotten() {
        let mut chronicle = Chronicle::default();
        chronicle.note(peer(1, 1), "joined", 7);
        chronicle.note(Who { kind: Kind::Store, ..peer(2, 9) }, "lends space", 8);
        let flood = 3 * MAX_EVENTS as u64;
        (0..flood).for_each(|number| chronicle.note(peer(number as u32, 9), "joined", 9));
        let kept = numbers(&chronicle, Kind::Peer);
        assert_eq!((kept.len(), kept[0]), (MAX_EVENTS, 1), "what another did is older than all of it");
        assert_eq!(kept[1..], (flood + 3 - (MAX_EVENTS as u64 - 1)..flood + 3).collect::<Vec<_>>());
        assert_eq!(numbers(&chronicle, Kind::Store), [2], "and a flood of peers is none of stores");
        assert_eq!(chronicle.latest().map(|event| event.number), Some(flood + 2));
    }

    #[test]
    fn many_networks_share_the_room() {
        let mut chronicle = Chronicle::default();
        for round in 0..20 {
            (0..=255).for_each(|last| chronicle.note(peer(round, last), "joined", 1));
        }
        let lot = &chronicle.lots[&Kind::Peer];
        assert_eq!((lot.len, chronicle.events().count()), (MAX_EVENTS, MAX_EVENTS));
        assert!(lot.by_network.values().all(|events| (3..=4).contains(&events.len())), "as much for each");
    }

    #[test]
    fn what_becomes_of_a_node_is_told_once() {
        let up = Standing {
            name: "a".to_owned(),
            life: Life { start: 1, drawn: 0 },
            lost: false,
            drained: false,
            awaited: false,
        };
        let lost = Standing { lost: true, ..up.clone() };
        assert_eq!(became(None, &up), ["came"]);
        assert!(became(Some(&up), &up).is_empty());
        assert_eq!(became(Some(&up), &lost), ["is lost: most trackers do not hear it"]);
        let awaited = Standing { awaited: true, ..lost.clone() };
        assert_eq!(became(Some(&lost), &awaited), ["is to be brought back by another node"]);
        let younger = Standing { life: Life { start: 2, drawn: 0 }, ..up.clone() };
        assert_eq!(became(Some(&awaited), &younger), ["is back"]);
        assert_eq!(became(Some(&up), &younger), ["its agent started again"]);
        let drained = Standing { drained: true, ..up.clone() };
        assert_eq!(became(Some(&up), &drained), ["is left alone from now on"]);
        assert_eq!(became(Some(&drained), &up), ["is looked after again"]);
    }

    #[test]
    fn nodes_that_are_there_at_the_first_look_have_not_come() {
        use crate::tracker::records::{Command, NodeBack, Records};
        use crate::wire::Label;

        let (mut records, mut chronicle) = (Records::default(), Chronicle::default());
        let back = |records: &mut Records, number: u8| {
            let life = Life { start: 1, drawn: 0 };
            let (name, host) = (Label::new(format!("n{number}")), Label::default());
            let command = Command::NodeBack(NodeBack { node: NodeId([number; 16]), life, name, host });
            let slot = records.applied() + 1;
            let _ = records.apply(slot, &command);
        };
        back(&mut records, 1);
        chronicle.look(records.nodes(), |_| None, 1);
        assert_eq!(chronicle.latest(), None);
        back(&mut records, 2);
        chronicle.look(records.nodes(), |_| None, 2);
        chronicle.look(records.nodes(), |_| None, 3);
        let told: Vec<_> =
            chronicle.events().map(|event| (event.who.name.clone(), event.what, event.at_ms)).collect();
        assert_eq!(told, [("n2".to_owned(), "came", 2)]);
    }
}
