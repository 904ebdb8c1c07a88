//! The seam between a tracker and what makes several of them one: events and ticks in; out comes what is to be written,
//! what is to be said once that is on the disk, and what may be answered then.
//!
//! It is pure: no socket, file, clock or lock of its own. Time is in ticks of [`super::TICK`].

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use super::durable::{Found, Head, Identity, Write};
use super::entry::{
    Address, Chain, ClusterId, Incarnation, MAX_NODE, Mark, Member, Members, Node, What, cluster_of,
};
use super::epoch::{Epoch, Progress};
use super::event::{Event, Other, Ready, Reason, Settings, Step};
use super::rules::Rule;
use super::said::{At, Fetch, Frame, Greeting, Link, Said};
use crate::content::PublicKey;
use crate::tracker::records::{Command, Start};
use crate::wire::Term;

/// Ticks between two words of where this tracker is.
const AT_TICKS: u32 = 4;
/// Ticks after which a connection on which nothing comes is ended.
const SILENT_TICKS: u32 = 40;
/// Ticks after which a piece that did not come is asked for again.
const PIECE_TICKS: u32 = 20;
/// Ticks that who was asked to end an epoch waits for the next.
const CHANGE_TICKS: u32 = 200;

/// What makes a tracker one of several.
#[derive(Debug)]
pub struct Seam {
    pub(super) settings: Settings,
    pub(super) identity: Identity,
    /// The hash of the first members as they were given.
    pub(super) list: u64,
    /// The cluster that it would found; none as long as not all have met.
    pub(super) proposal: ClusterId,
    pub(super) epoch: Option<Epoch>,
    pub(super) links: BTreeMap<Node, Link>,
    pub(super) fetch: Option<Fetch>,
    /// Who waits for the end of this epoch, and for how long.
    pub(super) change: Option<(u64, u32, u32)>,
    /// True once most members were in the same epoch as this one, on connections that stood.
    pub(super) touched: bool,
    pub(super) marks: u64,
    pub(super) ticks: u32,
    pub(super) step: Step,
}

impl Seam {
    /// From what was found on the disk. The first step comes with it: what was applied before is to be applied again.
    pub fn new(settings: Settings, found: Found) -> (Seam, Step) {
        let fresh = Identity { node: settings.node, incarnation: settings.incarnation };
        let mut step = Step::default();
        let identity = found.identity.unwrap_or_else(|| {
            step.writes.push(Write::Identity(fresh.clone()));
            fresh
        });
        let list = list_hash(&settings.first);
        let mut seam = Seam {
            settings,
            identity,
            list,
            proposal: ClusterId::default(),
            epoch: None,
            links: BTreeMap::new(),
            fetch: None,
            change: None,
            touched: false,
            marks: 0,
            ticks: 0,
            step,
        };
        if let Some((head, snapshot)) = found.begun {
            seam.step.ready.push(Ready::Install(snapshot.clone()));
            seam.epoch = Some(Epoch::new(&seam.identity, head, snapshot, found.kept, seam.settings.rules));
        }
        seam.found_if_all_met();
        let step = seam.flush();
        (seam, step)
    }

    /// Takes in an event; [`Seam::flush`] has what comes of all that were taken in together.
    pub fn feed(&mut self, event: Event) {
        match event {
            Event::Tick => self.tick(),
            Event::Up(node, id) => self.up(node, id),
            Event::Down(node, id) => self.down(node, id),
            Event::Frame(node, id, frame) => self.frame(node, id, frame),
            Event::Propose(tag, command) => self.propose(tag, command),
            Event::Change(tag, members) => self.change(tag, &members),
            Event::Snapshot(snapshot) => self.next_epoch(snapshot),
            Event::Shrunk => self.compact(),
            #[cfg(feature = "lab")]
            Event::Campaign => self.epoch.iter_mut().for_each(Epoch::campaign),
        }
    }

    /// What has come of the events since the last time.
    pub fn flush(&mut self) -> Step {
        self.go_on();
        self.touched = self.touched || self.is_with_most();
        std::mem::take(&mut self.step)
    }

    /// True if most members, with this one, are in the same epoch.
    fn is_with_most(&self) -> bool {
        let Some(epoch) = self.epoch.as_ref().filter(|_| self.is_member()) else { return false };
        let is_here = |node: &&Node| {
            let at = self.links.get(node).and_then(|link| link.at.as_ref());
            self.votes(**node) && at.is_some_and(|at| at.epoch == epoch.head.epoch)
        };
        let others = self.links.keys().filter(is_here).count();
        2 * (1 + others) > epoch.head.members.len()
    }

    // ---- connections

    fn up(&mut self, node: Node, id: u64) {
        if node == self.identity.node || node == 0 || node > MAX_NODE {
            return self.step.ends.push((node, id));
        }
        self.take_engine(); // what was said before is of the old connection
        if let Some(before) = self.links.insert(node, Link::new(id)) {
            self.step.ends.push((node, before.id)); // else one that was heard of in the wrong order would stay, with nobody on it
        }
        self.fetch.take_if(|fetch| fetch.from == node); // on the old one
        self.found_if_all_met(); // who was met there is not there any more
        let greeting =
            Greeting { node: self.identity.node, incarnation: self.identity.incarnation, list: self.list };
        self.say(node, &Said::Greeting(greeting));
        self.say_at(node);
    }

    fn down(&mut self, node: Node, id: u64) {
        if self.links.get(&node).is_some_and(|link| link.id == id) {
            self.take_engine();
            self.links.remove(&node);
            self.found_if_all_met();
            self.fetch.take_if(|fetch| fetch.from == node);
        }
    }

    pub(super) fn end(&mut self, node: Node) {
        if let Some(link) = self.links.get(&node) {
            let id = link.id;
            self.step.ends.push((node, id));
            self.down(node, id);
        }
    }

    pub(super) fn say(&mut self, node: Node, said: &Said) {
        if let Some(link) = self.links.get_mut(&node) {
            let frame = link.frame(said);
            self.step.frames.push((node, link.id, frame));
        }
    }

    /// Tells a tracker where this one is.
    pub(super) fn say_at(&mut self, node: Node) {
        let word = (self.proposal, self.has_said_the_same(node));
        let at = match &self.epoch {
            Some(epoch) => At {
                cluster: epoch.head.cluster,
                epoch: epoch.head.epoch,
                slot: epoch.slot(),
                chain: epoch.chain(),
            },
            None => At { cluster: word.0, epoch: 0, slot: word.1.into(), chain: Chain::default() },
        };
        self.say(node, &Said::At(at));
        self.links.get_mut(&node).into_iter().for_each(|link| link.told = Some(word));
    }

    pub(super) fn say_at_to_all(&mut self) {
        let nodes: Vec<Node> = self.links.keys().copied().collect();
        nodes.into_iter().for_each(|node| self.say_at(node));
    }

    fn frame(&mut self, node: Node, id: u64, frame: Bytes) {
        let rules = self.settings.rules;
        let Some(link) = self.links.get_mut(&node) else { return };
        if link.id != id {
            return;
        }
        match link.take(frame, rules) {
            Frame::Says(Said::Greeting(greeting)) => self.greeted(node, greeting),
            Frame::Says(Said::At(at)) => self.hears_at(node, at),
            Frame::Says(Said::Engine(epoch, said)) => self.hears_engine(node, epoch, said),
            Frame::Says(Said::Ask(_, from)) => self.asked(node, from),
            Frame::Says(Said::Piece(head, from, bytes)) => self.piece(node, head, from, &bytes),
            Frame::Wrong => self.end(node),
        }
    }

    fn greeted(&mut self, node: Node, greeting: Greeting) {
        if greeting.node != node {
            return self.end(node);
        }
        if let Some(link) = self.links.get_mut(&node) {
            link.greeting = Some(greeting);
        }
    }

    /// True if what this node's engine says counts: it is a member, with the disk that is written.
    pub(super) fn votes(&self, node: Node) -> bool {
        let greeting = self.links.get(&node).and_then(|link| link.greeting.as_ref());
        let epoch = self.epoch.as_ref();
        greeting.zip(epoch).is_some_and(|(greeting, epoch)| epoch.is_member(node, greeting.incarnation))
    }

    /// Tells the engine of a member that is in the same epoch.
    pub(super) fn join(&mut self, node: Node) {
        if !self.votes(node) {
            return;
        }
        self.take_engine();
        let (Some(epoch), Some(link)) = (self.epoch.as_mut(), self.links.get_mut(&node)) else { return };
        let number = epoch.head.epoch;
        if link.at.as_ref().is_some_and(|at| at.epoch == number) && link.joint != number {
            link.joint = number;
            epoch.reconnected(node);
        }
    }

    fn hears_engine(&mut self, node: Node, number: u32, said: Bytes) {
        if !self.votes(node) {
            return;
        }
        let rules = self.settings.rules;
        let Some(epoch) = &mut self.epoch else { return };
        if number != epoch.head.epoch && rules.hold(Rule::EpochCompared) {
            return;
        }
        if epoch.hear(node, said).is_err() {
            self.end(node);
        }
    }

    fn hears_at(&mut self, node: Node, at: At) {
        let others = self.epoch.is_some() && at.epoch > 0 && self.cluster() != at.cluster;
        if others && self.settings.rules.hold(Rule::ClusterCompared) {
            return self.end(node);
        }
        let mine = self.epoch.as_ref().map_or(0, |epoch| epoch.head.epoch);
        let Some(link) = self.links.get_mut(&node) else { return };
        let before = link.at.replace(at.clone());
        // Who is in this epoch, too, comes to its end a moment later by itself.
        let later = at.epoch > mine && before.is_some_and(|before| before.epoch > mine);
        self.join(node);
        self.found_if_all_met();
        if let Some(epoch) = &mut self.epoch {
            if let Err(why) = epoch.compare(&at) {
                self.step.ready.push(Ready::Halt(format!("tracker {node} {why}")));
            }
            // Who was removed learns from others that the next epoch goes on without it.
            let gone_on = at.epoch == epoch.head.epoch && at.slot > epoch.head.base;
            self.changed_if(gone_on);
        }
        if later && self.fetch.is_none() && self.settings.rules.hold(Rule::SnapshotAsked) {
            self.fetch = Some(Fetch { from: node, head: None, got: BytesMut::new(), ticks: 0 });
            self.say(node, &Said::Ask(at.epoch, 0));
        }
    }

    // ---- time

    fn tick(&mut self) {
        self.ticks = self.ticks.wrapping_add(1);
        if let Some(epoch) = &mut self.epoch {
            let (number, slot) = (epoch.head.epoch, epoch.slot());
            let mut others = self.links.values().filter_map(|link| link.at.as_ref());
            let behind = others.any(|at| at.epoch == number && at.slot > slot);
            epoch.tick(behind);
        }
        if self.ticks.is_multiple_of(AT_TICKS) {
            self.say_at_to_all();
        }
        self.links.values_mut().for_each(|link| link.silent += 1);
        let silent = self.links.iter().filter(|(_, link)| link.silent > SILENT_TICKS);
        let silent: Vec<Node> = silent.map(|(node, _)| *node).collect();
        silent.into_iter().for_each(|node| self.end(node));
        if let Some(fetch) = &mut self.fetch {
            fetch.ticks += 1;
            self.fetch.take_if(|fetch| fetch.ticks > PIECE_TICKS);
        }
        if let Some((tag, _, ticks)) = &mut self.change {
            *ticks += 1;
            if *ticks > CHANGE_TICKS {
                self.step.ready.push(Ready::Unknown(*tag));
                self.change = None;
            }
        }
    }

    // ---- entries

    pub(super) fn mark(&mut self) -> Mark {
        self.marks += 1;
        Mark { process: self.settings.process, number: self.marks }
    }

    fn propose(&mut self, tag: u64, command: Option<Command>) {
        let mark = self.mark();
        let what = command.map_or(What::Barrier, What::Command);
        let refused = match &mut self.epoch {
            Some(epoch) => epoch.propose(mark, &what, tag).err(),
            None => Some(None),
        };
        if let Some(leader) = refused {
            self.step.ready.push(Ready::Refused(tag, Reason::NotLeader(leader)));
        }
    }

    /// Everything that follows without another event: what is decided, offices, the end of a log that has grown.
    fn go_on(&mut self) {
        let Some(epoch) = &mut self.epoch else { return };
        let progress = epoch.go_on();
        self.pass_on(progress);
        self.lead();
        let Some(epoch) = &mut self.epoch else { return };
        let (least, most) = self.settings.log_bytes;
        let bytes = (2 * epoch.snapshot.len()).clamp(least, most);
        if epoch.bytes() > bytes {
            self.compact();
        }
        self.take_engine();
    }

    /// Ends the epoch with the same members if this tracker leads: the next begins with a log of nothing but its snapshot.
    fn compact(&mut self) {
        let Some(epoch) = self.epoch.as_ref().filter(|epoch| epoch.leads() && !epoch.is_ending()) else {
            return;
        };
        let members = epoch.head.members.clone();
        let _ = self.end_epoch(members); // a member that leads may
    }

    pub(super) fn pass_on(&mut self, progress: Vec<Progress>) {
        for progress in progress {
            match progress {
                Progress::Ready(ready) => self.step.ready.push(ready),
                Progress::Applied => self.changed_if(true),
            }
        }
    }

    /// Takes the office that the engine gave: a term begins.
    fn lead(&mut self) {
        let (authority, mark) =
            (self.settings.authority, Mark { process: self.settings.process, number: self.marks + 1 });
        let Some(epoch) = &mut self.epoch else { return };
        if let Some(term) = epoch.takes_office() {
            self.marks += 1;
            let start = Command::Start(Start { authority, least: Term(term) });
            epoch.inaugurate(mark, &What::Command(start));
        }
    }

    /// Takes what the engine wants written and sent.
    pub(super) fn take_engine(&mut self) {
        let Some(epoch) = &mut self.epoch else { return };
        let number = epoch.head.epoch;
        let (writes, messages) = epoch.take_engine();
        self.step.writes.extend(writes);
        for (node, said) in messages {
            self.say(node, &Said::Engine(number, said));
        }
        let progress = self.epoch.as_mut().map(Epoch::go_on).unwrap_or_default();
        self.pass_on(progress);
    }

    pub(super) fn cluster(&self) -> ClusterId {
        self.epoch.as_ref().map_or(ClusterId::default(), |epoch| epoch.head.cluster)
    }

    /// Answers who asked for the next epoch, if that goes on.
    pub(super) fn changed_if(&mut self, goes_on: bool) {
        let number = self.epoch.as_ref().map_or(0, |epoch| epoch.head.epoch);
        if let Some((tag, ..)) = self.change.take_if(|(_, ended, _)| goes_on && number > *ended) {
            self.step.ready.push(Ready::Changed(tag));
        }
    }

    // ---- what others want to know

    /// This tracker and its disk.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The epoch it is in.
    pub fn head(&self) -> Option<&Head> {
        self.epoch.as_ref().map(|epoch| &epoch.head)
    }

    /// Up to which slot it has applied.
    pub fn slot(&self) -> u64 {
        self.epoch.as_ref().map_or(0, Epoch::slot)
    }

    /// Who leads, as far as this tracker knows.
    pub fn leader(&self) -> Option<Node> {
        self.epoch.as_ref().and_then(Epoch::leader)
    }

    /// True if this tracker leads, and has taken office.
    pub fn leads(&self) -> bool {
        self.epoch.as_ref().is_some_and(Epoch::in_office)
    }

    /// True if this tracker is a member of the epoch it is in.
    pub fn is_member(&self) -> bool {
        let (node, incarnation) = (self.identity.node, self.identity.incarnation);
        self.epoch.as_ref().is_some_and(|epoch| epoch.is_member(node, incarnation))
    }

    /// True if it is a member, and has been in touch with most of them since it started.
    pub fn is_in_touch(&self) -> bool {
        self.touched && self.is_member()
    }

    /// Other trackers with a connection, as they are seen.
    pub fn others(&self) -> impl Iterator<Item = Other> {
        self.links.iter().map(|(node, link)| Other {
            node: *node,
            incarnation: link.greeting.as_ref().map(|greeting| greeting.incarnation),
            at: link.at.as_ref().map_or((0, 0), |at| (at.epoch, at.slot)),
            silent: link.silent,
        })
    }
}

/// The hash of a list of first members, as it was given.
fn list_hash(first: &[(Node, Address, PublicKey)]) -> u64 {
    let mut sorted: Vec<_> = first.to_vec();
    sorted.sort_by_key(|(node, ..)| *node);
    let members = sorted.into_iter().map(|(node, address, key)| Member {
        node,
        address,
        incarnation: Incarnation::default(),
        key,
    });
    (cluster_of(&Members::new(members.collect())).0 >> 64) as u64
}

#[cfg(test)]
mod tests;
