//! A tracker of several that stays away, and the spare that takes its place. Pure.
//!
//! Whoever leads has the members changed, and a change names the epoch that it ends: of two that are asked for at once one is
//! made, and who was replaced and comes back has no vote. So nothing else has to be agreed on. A spare is a tracker that
//! runs and is connected, without a vote; only one that this tracker was told of at its start is taken, for anybody may
//! say to be one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::cluster::{Address, Member, Node};
use super::recorder::View;
use crate::content::PublicKey;

/// Which trackers are spares, and how long is waited for one that is away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpareTerms {
    /// Where they are, in the order in which they are taken.
    pub places: Vec<(Node, Address)>,
    /// How long one of the members may be away.
    pub patience: Duration,
}

/// A member that is to be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// Who is away.
    pub away: Node,
    /// Who takes its place.
    pub spare: Node,
    /// The members with the one and without the other; the key of the spare is for others to know.
    pub members: Vec<(Node, Address, PublicKey)>,
}

/// What one tracker of several sees of the others that are away, for as long as it leads.
#[derive(Debug)]
pub struct Spares {
    terms: SpareTerms,
    /// Since when each member is away.
    away: BTreeMap<Node, Instant>,
}

impl Spares {
    /// Nobody is away yet.
    pub fn new(terms: SpareTerms) -> Spares {
        Spares { terms, away: BTreeMap::new() }
    }

    /// Who is to be replaced now, if anybody: one at a time, who is away for longest. Who `is_left_alone` is not waited for.
    pub fn step(
        &mut self,
        view: &View,
        is_left_alone: impl Fn(&Member) -> bool,
        now: Instant,
    ) -> Option<Replacement> {
        let is_away = |member: &&Member| {
            let is_there = member.node == view.node || view.other(member.node).is_some();
            view.leads && (!is_there || view.is_replaced(member)) && !is_left_alone(member)
        };
        let away: Vec<&Member> = view.members.iter().filter(is_away).collect();
        self.away.retain(|node, _| away.iter().any(|member| member.node == *node));
        away.iter().for_each(|member| _ = self.away.entry(member.node).or_insert(now));
        let (node, since) = self.away.iter().min_by_key(|(_, since)| **since)?;
        if now.saturating_duration_since(*since) < self.terms.patience {
            return None;
        }
        let is_spare =
            |(node, _): &&(Node, Address)| view.member(*node).is_none() && view.other(*node).is_some();
        let (spare, address) = self.terms.places.iter().find(is_spare)?.clone();
        let left = view.members.iter().filter(|member| member.node != *node);
        let left = left.map(|member| (member.node, member.address.clone(), member.key));
        let members = left.chain([(spare, address, PublicKey::NONE)]).collect();
        Some(Replacement { away: *node, spare, members })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::cluster::{Incarnation, Other};

    const SECOND: Duration = Duration::from_secs(1);

    fn address(node: Node) -> Address {
        Address::new(format!("t{node}:1"))
    }

    /// How tracker 1 sees three that are one, where these others are connected.
    fn view(others: &[Node]) -> View {
        let incarnation = |node: Node| Incarnation(node.into());
        let member = |node| Member {
            node,
            address: address(node),
            incarnation: incarnation(node),
            key: PublicKey::NONE,
        };
        let other =
            |node: &Node| Other { node: *node, incarnation: Some(incarnation(*node)), at: (1, 1), silent: 0 };
        View {
            node: 1,
            incarnation: incarnation(1),
            epoch: 1,
            leads: true,
            members: [1, 2, 3].map(member).to_vec(),
            others: others.iter().map(other).collect(),
            ..View::default()
        }
    }

    fn spares() -> Spares {
        let places = [2, 4, 5].map(|node| (node, address(node))).to_vec();
        Spares::new(SpareTerms { places, patience: 10 * SECOND })
    }

    #[test]
    fn who_stays_away_gives_its_place_to_the_first_spare_that_is_there() {
        let (mut spares, now) = (spares(), Instant::now());
        let mut step = |others: &[Node], after| spares.step(&view(others), |_| false, now + after * SECOND);
        assert_eq!(step(&[2, 4, 5], 0), None);
        assert_eq!(step(&[2, 4, 5], 9), None);
        assert_eq!(step(&[2, 3, 4, 5], 10), None, "it is back");
        assert_eq!(step(&[2, 4, 5], 11), None);
        assert_eq!(step(&[2], 21), None, "no spare is there");
        let members = [1, 2, 5].map(|node| (node, address(node), PublicKey::NONE)).to_vec();
        assert_eq!(step(&[2, 5], 22), Some(Replacement { away: 3, spare: 5, members }));
        assert_eq!(step(&[2, 4, 5], 23).map(|replacement| replacement.spare), Some(4));
    }

    #[test]
    fn who_is_there_with_another_disk_has_no_vote_and_is_replaced_as_well() {
        let (mut spares, now) = (spares(), Instant::now());
        let mut view = view(&[2, 3, 4]);
        view.others[1].incarnation = Some(Incarnation(99));
        assert_eq!(spares.step(&view, |_| false, now), None);
        let replaced = spares.step(&view, |_| false, now + 10 * SECOND);
        assert_eq!(replaced.map(|replacement| (replacement.away, replacement.spare)), Some((3, 4)));
    }

    #[test]
    fn only_who_leads_replaces_and_nobody_who_is_left_alone() {
        let (mut spares, now) = (spares(), Instant::now());
        let follows = View { leads: false, ..view(&[2, 4]) };
        for after in [0, 30, 60] {
            assert_eq!(spares.step(&follows, |_| false, now + after * SECOND), None);
            assert_eq!(spares.step(&view(&[2, 4]), |_| true, now + after * SECOND), None);
        }
        assert_eq!(spares.step(&view(&[2, 4]), |_| false, now + 61 * SECOND), None, "it waits from now on");
    }
}
