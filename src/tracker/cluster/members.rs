//! Who is to be a member of the next epoch.

use super::entry::{Address, MAX_NODE, Member, Members, Node, member};
use super::event::{Ready, Reason};
use super::said::At;
use super::seam::Seam;
use crate::content::PublicKey;

impl Seam {
    pub(super) fn change(&mut self, tag: u64, wanted: &[(Node, Address, PublicKey)]) {
        let asked = match self.next_members(wanted) {
            Ok(members) => self.end_epoch(members),
            Err(reason) => Err(reason),
        };
        match asked {
            Ok(epoch) => self.change = Some((tag, epoch, 0)),
            Err(reason) => self.step.ready.push(Ready::Refused(tag, reason)),
        }
    }

    /// The next members, with their disks; whoever is new must have caught up.
    fn next_members(&self, wanted: &[(Node, Address, PublicKey)]) -> Result<Members, Reason> {
        let wrong = |why: String| Err(Reason::Members(why));
        let not_yet = |why: String| Err(Reason::NotYet(why));
        let Some(epoch) = &self.epoch else { return Err(Reason::NotLeader(None)) };
        if self.change.is_some() || epoch.is_ending() {
            return Err(Reason::Changing);
        }
        let mut members: Vec<Member> = Vec::new();
        for (node, address, key) in wanted {
            let link = self.links.get(node);
            let incarnation = match member(&epoch.head.members, *node) {
                Some(member) => member.incarnation,
                None => match link.and_then(|link| link.greeting.as_ref().zip(link.at.as_ref())) {
                    Some((greeting, at)) if self.has_caught_up(at) => greeting.incarnation,
                    Some(_) => return not_yet(format!("tracker {node} has not caught up yet")),
                    None => return not_yet(format!("tracker {node} is not connected to this one")),
                },
            };
            members.push(Member { node: *node, address: address.clone(), incarnation, key: *key });
        }
        members.sort_by_key(|member| member.node);
        let twice = members.windows(2).any(|two| two[0].node == two[1].node);
        if members.is_empty()
            || twice
            || members.iter().any(|member| member.node == 0 || member.node > MAX_NODE)
        {
            return wrong("a cluster has members with different numbers from 1 up".to_owned());
        }
        Ok(Members::new(members))
    }

    fn has_caught_up(&self, at: &At) -> bool {
        let epoch = self.epoch.as_ref().map_or(0, |epoch| epoch.head.epoch);
        at.epoch == epoch
    }

    /// Proposes the end of this epoch, and says which that is.
    pub(super) fn end_epoch(&mut self, members: Members) -> Result<u32, Reason> {
        let mark = self.mark();
        let Some(epoch) = &mut self.epoch else { return Err(Reason::NotLeader(None)) };
        epoch.propose_end(mark, members).map_err(Reason::NotLeader)?;
        Ok(epoch.head.epoch)
    }
}
