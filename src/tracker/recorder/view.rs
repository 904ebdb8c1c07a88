//! How a tracker of a cluster stands, as the rest of the tracker sees it.

use crate::tracker::cluster::{Incarnation, Member, Node, Other, Seam};

/// How a tracker stands among the others, a moment ago.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    /// Its number.
    pub node: Node,
    /// Its disk.
    pub incarnation: Incarnation,
    /// The epoch; 0 before the first.
    pub epoch: u32,
    /// Up to which slot it has applied.
    pub slot: u64,
    /// True if it is a member, and has been in touch with most of them since it started, in the epoch of then.
    pub in_touch: bool,
    /// Who leads, as far as it knows.
    pub leader: Option<Node>,
    /// True if that is this tracker, and its term has begun.
    pub leads: bool,
    /// Members of the epoch; before the first those that are to found it, with disks that are not known.
    pub members: Vec<Member>,
    /// The other trackers that are connected.
    pub others: Vec<Other>,
    /// Why nothing can be written to its disk, if that is so: it neither leads nor votes meanwhile.
    pub unwritable: Option<String>,
}

impl View {
    pub(super) fn of(seam: &Seam, first: &[Member]) -> View {
        let head = seam.head();
        View {
            node: seam.identity().node,
            incarnation: seam.identity().incarnation,
            epoch: head.map_or(0, |head| head.epoch),
            slot: seam.slot(),
            in_touch: seam.is_in_touch(),
            leader: seam.leader(),
            leads: seam.leads(),
            members: head.map_or_else(|| first.to_vec(), |head| head.members.to_vec()),
            others: seam.others().collect(),
            unwritable: None,
        }
    }

    /// The member with this number.
    pub fn member(&self, node: Node) -> Option<&Member> {
        self.members.iter().find(|member| member.node == node)
    }

    /// True if this tracker has a vote: it is a member, with the disk that it was one with, which can be written.
    pub fn votes(&self) -> bool {
        let member = self.member(self.node);
        let is_whole = self.epoch > 0 && self.unwritable.is_none();
        is_whole && member.is_some_and(|member| member.incarnation == self.incarnation)
    }

    /// True if a member has another disk now.
    pub fn is_replaced(&self, member: &Member) -> bool {
        let now = match member.node == self.node {
            true => Some(self.incarnation),
            false => self.other(member.node).and_then(|other| other.incarnation),
        };
        self.epoch > 0 && now.is_some_and(|now| now != member.incarnation)
    }

    /// What is seen of another tracker.
    pub fn other(&self, node: Node) -> Option<&Other> {
        self.others.iter().find(|other| other.node == node)
    }

    /// Why these trackers agree on nothing now, as far as this one sees; none if they do. One that leads stays in office for a
    /// while when it hears most others no more, so it is counted who is there as well.
    pub fn stuck(&self) -> Option<String> {
        let is_here = |member: &&Member| match member.node == self.node {
            true => self.votes(),
            false => self.other(member.node).is_some() && !self.is_replaced(member),
        };
        let here = self.members.iter().filter(is_here).count();
        let is_led = self.leads || self.leader.is_some_and(|leader| self.other(leader).is_some());
        let why = match () {
            () if self.epoch == 0 => "the trackers of this cluster have not met yet",
            () if here * 2 <= self.members.len() => "too few trackers of this cluster are there to agree",
            () if !is_led => "no tracker of this cluster leads",
            () => return None,
        };
        Some(self.missing().map_or_else(|| why.to_owned(), |missing| format!("{why}; {missing}")))
    }

    /// Members that are not there, or not with the disk that they had, or cannot write it; in words, if there are any.
    pub fn missing(&self) -> Option<String> {
        let unwritable = |why: &String| format!("cannot write its disk: {why}");
        let why = |member: &Member| match () {
            () if self.is_replaced(member) => Some("has another disk".to_owned()),
            () if member.node == self.node => self.unwritable.as_ref().map(unwritable),
            () if self.other(member.node).is_none() => Some("is not there".to_owned()),
            () => None,
        };
        let missing = self.members.iter().filter_map(|member| {
            Some(format!("tracker {} ({}) {}", member.node, &*member.address, why(member)?))
        });
        let missing: Vec<String> = missing.collect();
        (!missing.is_empty()).then(|| missing.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::PublicKey;
    use crate::tracker::cluster::Address;

    fn member(node: Node) -> Member {
        let address = Address::new(format!("10.0.0.{node}:9700"));
        Member { node, address, incarnation: Incarnation(node.into()), key: PublicKey([0; 32]) }
    }

    fn other(node: Node, incarnation: Option<u128>) -> Other {
        Other { node, incarnation: incarnation.map(Incarnation), at: (1, 0), silent: 0 }
    }

    /// Tracker 1 of three, of which all are there.
    fn view() -> View {
        View {
            node: 1,
            incarnation: Incarnation(1),
            epoch: 1,
            members: [1, 2, 3].map(member).into(),
            others: vec![other(2, Some(2)), other(3, Some(3))],
            ..View::default()
        }
    }

    #[test]
    fn where_all_are_there_with_their_disks_nobody_is_missing() {
        assert_eq!((view().votes(), view().missing()), (true, None));
        let not_said_yet = View { others: vec![other(2, None), other(3, Some(3))], ..view() };
        assert_eq!(not_said_yet.missing(), None, "its disk is not known to be another");
    }

    #[test]
    fn who_is_not_there_or_has_another_disk_is_named_in_order() {
        let view = View { others: vec![other(3, Some(33))], ..view() };
        assert_eq!(
            view.missing().as_deref(),
            Some("tracker 2 (10.0.0.2:9700) is not there, tracker 3 (10.0.0.3:9700) has another disk")
        );
        assert!(view.is_replaced(&member(3)) && !view.is_replaced(&member(2)));
        assert_eq!(view.other(3).map(|other| other.node), Some(3));
        assert_eq!((view.other(2), view.member(4)), (None, None));
    }

    #[test]
    fn trackers_agree_while_one_of_them_leads_and_most_are_there() {
        let led = |leader, others| View { leader, others, ..view() };
        let one = |node| other(node, Some(node.into()));
        let stuck = |view: View| view.stuck();
        assert_eq!(stuck(led(Some(2), vec![one(2)])), None, "two of three, and one leads");
        assert_eq!(stuck(View { leads: true, ..led(Some(1), vec![one(3)]) }), None);
        assert_eq!(
            stuck(View { leads: true, ..led(Some(1), vec![]) }).as_deref(),
            Some(
                "too few trackers of this cluster are there to agree; tracker 2 (10.0.0.2:9700) is not there, \
                 tracker 3 (10.0.0.3:9700) is not there"
            )
        );
        let replaced = led(Some(3), vec![other(2, Some(22))]);
        assert!(stuck(replaced).is_some_and(|why| why.starts_with("too few")), "another disk has no vote");
        let alone = stuck(led(None, vec![one(2), one(3)]));
        assert_eq!(alone.as_deref(), Some("no tracker of this cluster leads"));
        let gone = stuck(led(Some(3), vec![one(2)]));
        assert!(gone.is_some_and(|why| why.starts_with("no tracker of this cluster leads; tracker 3")));
        let founding = stuck(View { epoch: 0, ..view() });
        assert_eq!(founding.as_deref(), Some("the trackers of this cluster have not met yet"));
    }

    #[test]
    fn only_a_member_with_its_own_disk_in_an_epoch_that_began_has_a_vote() {
        let emptied = View { incarnation: Incarnation(9), ..view() };
        assert!(!emptied.votes() && emptied.is_replaced(&member(1)));
        assert_eq!(emptied.missing().as_deref(), Some("tracker 1 (10.0.0.1:9700) has another disk"));
        let founding = View { epoch: 0, ..emptied };
        assert!(!founding.votes() && !founding.is_replaced(&member(1)), "its disk is not known yet");
        assert!(!View { node: 4, incarnation: Incarnation(4), ..view() }.votes());
    }
}
