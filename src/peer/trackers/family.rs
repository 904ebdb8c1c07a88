//! Which trackers a peer has links to: those that were given, and those that say they are one with them. Pure.

use std::collections::BTreeMap;

use crate::content::{Endpoint, PublicKey};
use crate::wire::{Cluster, limits};

/// Most trackers that a peer has links to without having been told of them by its user.
const MAX_HEARD_OF: usize = 2 * limits::MAX_NODES;

/// The addresses of trackers.
#[derive(Debug, Default)]
pub(super) struct Families {
    /// Each with the given one through which it was heard of; a given one with itself.
    links: BTreeMap<String, String>,
    /// How each given one, or one of those heard of through it, is called by the others.
    called: BTreeMap<String, String>,
    /// The last epoch that those said they are in which were heard of through a given one.
    epochs: BTreeMap<String, u32>,
}

/// What is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// To these there is to be a link; who answers there must have that key, if any is said.
    pub(super) added: Vec<(String, Option<PublicKey>)>,
    /// To these not any more.
    pub(super) removed: Vec<String>,
}

impl Families {
    /// A tracker that the user named.
    pub(super) fn given(&mut self, addr: &str) {
        self.links.insert(addr.to_owned(), addr.to_owned());
    }

    /// Another address that was one with a given one the last time that it was asked.
    pub(super) fn remembered(&mut self, given: &str, addr: &str) -> Step {
        let mut step = Step::default();
        self.add(given, (addr, None), &mut step);
        step
    }

    /// What the tracker at `addr` says.
    pub(super) fn heard(&mut self, addr: &str, cluster: &Cluster) -> Step {
        let mut step = Step::default();
        let Some(root) = self.links.get(addr).cloned() else { return step };
        let epoch = self.epochs.entry(root.clone()).or_default();
        // Who has missed the last change would bring back who is gone. One that is not one of several knows of nobody.
        if cluster.epoch == 0 || cluster.epoch < *epoch {
            return step;
        }
        *epoch = cluster.epoch;
        let members = || cluster.nodes.iter().filter(|node| node.votes && !node.address.is_empty());
        if let Some(own) = members().find(|node| node.node == cluster.node) {
            self.called.insert(own.address.to_string(), addr.to_owned());
        }
        for node in members().filter(|node| node.node != cluster.node) {
            let key = Some(node.key).filter(|key| *key != PublicKey::NONE);
            self.add(&root, (&node.address, key), &mut step);
        }
        // What was heard of through another given one is another matter, even if they should be one.
        let is_member = |addr: &String| members().any(|node| *node.address == **addr);
        let gone =
            self.links.iter().filter(|(other, of)| **of == root && **other != root && !is_member(other));
        // Nor is the one gone that speaks: it may be called otherwise.
        step.removed = gone.map(|(other, _)| other.clone()).filter(|other| other != addr).collect();
        step.removed.iter().for_each(|gone| _ = self.links.remove(gone));
        step
    }

    fn add(&mut self, root: &str, (addr, key): (&str, Option<PublicKey>), step: &mut Step) {
        let heard_of = self.links.iter().filter(|(addr, of)| addr != of).count();
        let is_known = self.links.contains_key(addr) || self.called.contains_key(addr);
        if !is_known && heard_of < MAX_HEARD_OF && addr.parse::<Endpoint>().is_ok() {
            self.links.insert(addr.to_owned(), root.to_owned());
            step.added.push((addr.to_owned(), key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Incarnation, List, NodeInfo, TrackerAddress};

    /// What node `of` says: these are members, at `tN:1`, or where it is called otherwise.
    fn says(epoch: u32, of: u16, members: &[u16]) -> Cluster {
        let node = |node: &u16| NodeInfo {
            node: *node,
            address: TrackerAddress::new(format!("t{node}:1")),
            key: PublicKey::NONE,
            votes: true,
            incarnation: Incarnation(1),
            replaced: false,
            heard_ms: 1,
            epoch,
            applied: 1,
        };
        Cluster { epoch, leader: 1, node: of, nodes: List::new(members.iter().map(node).collect()) }
    }

    fn given(addrs: &[&str]) -> Families {
        let mut families = Families::default();
        addrs.iter().for_each(|addr| families.given(addr));
        families
    }

    fn step(added: &[&str], removed: &[&str]) -> Step {
        Step {
            added: added.iter().map(|addr| ((*addr).to_owned(), None)).collect(),
            removed: removed.iter().map(|addr| (*addr).to_owned()).collect(),
        }
    }

    #[test]
    fn who_knows_one_learns_of_the_others_and_of_none_twice() {
        let mut families = given(&["localhost:1"]);
        assert_eq!(families.heard("localhost:1", &says(1, 1, &[1, 2, 3])), step(&["t2:1", "t3:1"], &[]));
        // The given one is called t1:1 by the others.
        assert_eq!(families.heard("t2:1", &says(1, 2, &[1, 2, 3])), step(&[], &[]));
        assert_eq!(families.heard("t2:1", &says(2, 2, &[1, 2, 3, 4])), step(&["t4:1"], &[]));
    }

    #[test]
    fn who_is_removed_goes_and_is_not_brought_back_by_who_missed_it() {
        let mut families = given(&["t1:1"]);
        families.heard("t1:1", &says(1, 1, &[1, 2, 3]));
        assert_eq!(families.heard("t3:1", &says(2, 3, &[1, 3])), step(&[], &["t2:1"]));
        assert_eq!(families.heard("t1:1", &says(1, 1, &[1, 2, 3])), step(&[], &[]));
        assert_eq!(families.heard("t2:1", &says(2, 2, &[2])), step(&[], &[]), "it is asked no more");
    }

    #[test]
    fn a_given_one_stays_and_who_was_heard_of_through_another_does_too() {
        let mut families = given(&["t1:1", "u1:1"]);
        families.heard("t1:1", &says(1, 1, &[1, 2]));
        assert_eq!(families.heard("u1:1", &says(9, 1, &[])), step(&[], &[]));
        assert_eq!(families.heard("t2:1", &says(2, 2, &[2])), step(&[], &[]), "t1 was given");
    }

    #[test]
    fn one_alone_knows_of_nobody_and_nonsense_is_no_address() {
        let mut families = given(&["a:1"]);
        assert_eq!(families.heard("a:1", &says(0, 1, &[1, 2])), step(&[], &[]));
        let mut cluster = says(1, 1, &[1, 2]);
        let mut nodes = cluster.nodes.into_vec();
        nodes[1].address = TrackerAddress::new("no address");
        cluster = Cluster { nodes: List::new(nodes), ..says(1, 1, &[]) };
        assert_eq!(families.heard("a:1", &cluster), step(&[], &[]));
        let many: Vec<u16> = (1..=99).collect();
        assert_eq!(families.heard("a:1", &says(1, 1, &many)).added.len(), MAX_HEARD_OF);
    }

    #[test]
    fn what_was_remembered_goes_as_soon_as_it_is_known_better() {
        let mut families = given(&["t1:1"]);
        assert_eq!(families.remembered("t1:1", "t2:1"), step(&["t2:1"], &[]));
        assert_eq!(families.remembered("t1:1", "t2:1"), step(&[], &[]));
        assert_eq!(families.heard("t1:1", &says(1, 1, &[1, 3])), step(&["t3:1"], &["t2:1"]));
    }
}
