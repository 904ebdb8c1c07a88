//! From one epoch to the next, and to the first: who founds a cluster, when an epoch begins, how who missed it gets the snapshot.

use bytes::Bytes;

use super::durable::{Head, Kept, Write};
use super::entry::{Chain, Member, Members, Node, cluster_of};
use super::epoch::Epoch;
use super::event::Ready;
use super::rules::Rule;
use super::said::{Link, Said};
use super::seam::Seam;
use crate::content::FileId;

impl Seam {
    /// Begins the first epoch when all of the first members have met with empty disks and the same list, and each has said
    /// that it would found the same cluster, and that it has heard that this one would: what was heard of somebody may be old, and
    /// what he has agreed to is not.
    pub(super) fn found_if_all_met(&mut self) {
        if self.epoch.is_some() {
            return;
        }
        let members = self.met();
        let proposal = members.as_ref().map(cluster_of).unwrap_or_default();
        self.proposal = proposal;
        let is_news = |(node, link): &(&Node, &Link)| {
            link.told.is_some_and(|told| told != (proposal, self.has_said_the_same(**node)))
        };
        let news: Vec<Node> = self.links.iter().filter(is_news).map(|(node, _)| *node).collect();
        news.into_iter().for_each(|node| self.say_at(node));
        let Some(members) = members else { return };
        let agrees = |member: &Member| {
            let at = self.links.get(&member.node).and_then(|link| link.at.as_ref());
            let has_heard = at.is_some_and(|at| at.slot > 0);
            member.node == self.identity.node || self.has_said_the_same(member.node) && has_heard
        };
        if !members.iter().all(agrees) {
            return;
        }
        let snapshot = self.settings.records.clone();
        let head = Head {
            cluster: proposal,
            epoch: 1,
            base: 0,
            chain: Chain::default(),
            members,
            bytes: snapshot.len() as u64,
            hash: FileId::of(&snapshot),
        };
        self.begin(head, snapshot, true);
    }

    /// True if another tracker has said, on the connection that stands, that it would found the cluster that this one would.
    pub(super) fn has_said_the_same(&self, node: Node) -> bool {
        let at = self.links.get(&node).and_then(|link| link.at.as_ref());
        at.is_some_and(|at| at.would_found(self.proposal))
    }

    /// The first members with their disks, if all have met: this tracker is one, and no disk holds anything.
    fn met(&self) -> Option<Members> {
        let mut met = Vec::new();
        for (node, address, key) in &self.settings.first {
            let incarnation = if *node == self.identity.node {
                self.identity.incarnation
            } else {
                let link = self.links.get(node)?;
                let (greeting, at) = link.greeting.as_ref().zip(link.at.as_ref())?;
                (at.epoch == 0 && greeting.list == self.list).then_some(greeting.incarnation)?
            };
            met.push(Member { node: *node, address: address.clone(), incarnation, key: *key });
        }
        met.sort_by_key(|member| member.node);
        met.iter().any(|member| member.node == self.identity.node).then(|| Members::new(met))
    }

    /// The next epoch, from the records at the end of this one.
    pub(super) fn next_epoch(&mut self, snapshot: Bytes) {
        let Some(epoch) = &self.epoch else { return };
        let Some(members) = epoch.ended().cloned() else { return };
        let head = Head {
            cluster: epoch.head.cluster,
            epoch: epoch.head.epoch + 1,
            base: epoch.slot(),
            chain: epoch.chain(),
            members,
            bytes: snapshot.len() as u64,
            hash: FileId::of(&snapshot),
        };
        self.begin(head, snapshot, false);
    }

    fn begin(&mut self, head: Head, snapshot: Bytes, installs: bool) {
        if let Some(mut epoch) = self.epoch.take() {
            let progress = epoch.close();
            self.pass_on(progress);
        }
        // What of the old epoch was said in this step is said no more: who is in it gets the snapshot.
        self.step.writes.retain(|write| matches!(write, Write::Identity(_)));
        self.step.writes.push(Write::Identity(self.identity.clone()));
        self.step.writes.push(Write::Begin(head.clone(), snapshot.clone()));
        if installs {
            self.step.ready.push(Ready::Install(snapshot.clone()));
        }
        self.fetch = None;
        let kept = Kept::default();
        self.epoch = Some(Epoch::new(&self.identity, head, snapshot, kept, self.settings.rules));
        self.say_at_to_all();
        let nodes: Vec<Node> = self.links.keys().copied().collect();
        nodes.into_iter().for_each(|node| self.join(node));
    }

    pub(super) fn asked(&mut self, node: Node, from: u64) {
        let Some(epoch) = self.epoch.as_ref().filter(|epoch| self.hands_out(epoch, node)) else { return };
        let from = from.min(epoch.snapshot.len() as u64);
        let end = epoch.snapshot.len().min(from as usize + self.settings.piece_bytes);
        let piece = Said::Piece(epoch.head.clone(), from, epoch.snapshot.slice(from as usize..end));
        self.say(node, &piece);
    }

    /// True if this epoch may be handed to this tracker. As long as a member has applied nothing of the first one, its founder may
    /// lose its disk, and the others found another: only they are to have it, who then will not. Who is no member has it only from
    /// somebody who had applied something.
    fn hands_out(&self, epoch: &Epoch, node: Node) -> bool {
        let is_settled = epoch.head.epoch > 1 || epoch.slot() > epoch.head.base || !self.is_member();
        is_settled || self.votes(node)
    }

    /// True if this epoch is one of a cluster that this tracker was started for: an empty disk does not follow just anybody.
    fn is_meant(&self, head: &Head) -> bool {
        let listed = |member: &Member| {
            self.settings
                .first
                .iter()
                .any(|(node, address, _)| *node == member.node && *address == member.address)
        };
        self.epoch.is_some() || head.members.iter().any(listed)
    }

    pub(super) fn piece(&mut self, node: Node, head: Head, from: u64, bytes: &[u8]) {
        let rules = self.settings.rules;
        let cluster = self.epoch.as_ref().map_or(head.cluster, |epoch| epoch.head.cluster);
        let meant = self.is_meant(&head);
        let Some(fetch) = self.fetch.as_mut().filter(|fetch| fetch.from == node) else { return };
        let other =
            fetch.head.as_ref().is_some_and(|known| *known != head) && rules.hold(Rule::SnapshotProved);
        if other || !meant || head.cluster != cluster || from != fetch.got.len() as u64 {
            self.fetch = None; // it is asked for anew when they say again where they are
            return;
        }
        fetch.got.extend_from_slice(bytes);
        fetch.ticks = 0;
        let (epoch, got) = (head.epoch, fetch.got.len() as u64);
        if got < head.bytes && !bytes.is_empty() {
            fetch.head = Some(head);
            return self.say(node, &Said::Ask(epoch, got));
        }
        let snapshot = fetch.got.split().freeze();
        self.fetch = None;
        if FileId::of(&snapshot) == head.hash || !rules.hold(Rule::SnapshotProved) {
            self.begin(head, snapshot, true);
        }
    }
}
