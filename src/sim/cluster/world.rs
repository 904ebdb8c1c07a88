//! A run: everything there is, in order of time.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::clients::Client;
use super::judge::Judge;
use super::mutants::Mutant;
use super::net::{Arrival, Net, Time};
use super::node::{Asked, Listed, Told, Tracker, listed};
use super::season::{BREAKS, Season};
use crate::tracker::cluster::{Event, Incarnation, Node, Step, TICK};

/// What a run came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    /// Slots that were applied.
    pub slots: u64,
    /// The last epoch.
    pub epochs: u64,
    /// Processes that ended.
    pub crashes: u64,
    /// Disks that were emptied.
    pub wipes: u64,
    /// Changes of members that were asked for.
    pub changes: u64,
    /// What clients were told was done.
    pub told: u64,
}

const CLIENTS: usize = 4;
/// The number of who is of another cluster.
pub(super) const STRANGER: Node = 90;
/// How long everybody then has to agree, and how long who comes late has.
const HEALS: Time = 30_000;

/// Everything there is.
pub(super) struct World {
    pub(super) now: Time,
    pub(super) rng: Rng,
    pub(super) trackers: BTreeMap<Node, Tracker>,
    pub(super) net: Net,
    pub(super) judge: Judge,
    pub(super) clients: Vec<Client>,
    pub(super) done: Done,
    pub(super) first: Listed,
    pub(super) mutant: Option<Mutant>,
    /// True while a change of members is under way, and since when.
    pub(super) changing: Option<Time>,
    /// Which members were asked for, with their disks, in which epoch.
    pub(super) asked: Vec<(u32, Vec<(Node, Incarnation)>)>,
    pub(super) season: Season,
    arrivals: BTreeMap<(Time, u64), (Node, Event)>,
    pushed: u64,
}

impl World {
    pub(super) fn new(seed: u64, mutant: Option<Mutant>) -> Result<World, String> {
        let mut rng = Rng::with_seed(seed);
        let count = [1, 2, 3, 3, 3, 5][rng.usize(..6)];
        let first: Listed = (1..=count).map(listed).collect();
        let season = Season::new(&mut rng);
        let mut world = World {
            now: 0,
            trackers: BTreeMap::new(),
            net: Net::default(),
            judge: Judge::default(),
            clients: (0..CLIENTS).map(|number| Client::new(number as u128 + 1)).collect(),
            done: Done::default(),
            first: first.clone(),
            mutant,
            changing: None,
            asked: Vec::new(),
            season,
            arrivals: BTreeMap::new(),
            pushed: 0,
            rng,
        };
        for (node, ..) in first {
            world.add_tracker(node)?;
        }
        if seed % 5 == 1 {
            world.add_stranger()?;
        }
        Ok(world)
    }

    /// A tracker with an empty disk starts.
    pub(super) fn add_tracker(&mut self, node: Node) -> Result<(), String> {
        let tracker = Tracker::new(node, self.first.clone(), self.mutant, &mut self.rng);
        self.trackers.insert(node, tracker);
        self.start(node)
    }

    /// Somebody of another cluster was given the address of this one.
    fn add_stranger(&mut self) -> Result<(), String> {
        let mut tracker = Tracker::new(STRANGER, vec![listed(STRANGER)], self.mutant, &mut self.rng);
        tracker.strange = true;
        self.trackers.insert(STRANGER, tracker);
        self.start(STRANGER)
    }

    /// A tracker starts.
    pub(super) fn start(&mut self, node: Node) -> Result<(), String> {
        let known = self.judge.latest().map(|(head, _)| {
            head.members.iter().map(|member| (member.node, member.address.clone(), member.key)).collect()
        });
        let Some(tracker) = self.trackers.get_mut(&node) else { return Ok(()) };
        if !tracker.strange {
            tracker.first = known.unwrap_or_else(|| self.first.clone());
        }
        tracker.start(self.now, &mut self.rng, &mut self.judge)
    }

    /// A tracker's process ends; its connections, too.
    pub(super) fn crash(&mut self, node: Node) {
        let Some(tracker) = self.trackers.get_mut(&node).filter(|tracker| tracker.process.is_some()) else {
            return;
        };
        tracker.crash(&mut self.rng);
        self.done.crashes += 1;
        self.hang_up(node);
    }

    /// The connections of a tracker end.
    pub(super) fn hang_up(&mut self, node: Node) {
        for id in self.net.open(Some(node)) {
            let arrivals = self.net.end(id, self.now, &mut self.rng);
            self.arrive(arrivals);
        }
    }

    pub(super) fn arrive(&mut self, arrivals: Vec<Arrival>) {
        for (at, node, event) in arrivals {
            self.pushed += 1;
            self.arrivals.insert((at, self.pushed), (node, event));
        }
    }

    /// The next millisecond.
    pub(super) fn millisecond(&mut self, wishes: bool) -> Result<(), String> {
        self.now += 1;
        while let Some(entry) = self.arrivals.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let (node, event) = entry.remove();
            let process = self.trackers.get_mut(&node).and_then(|tracker| tracker.process.as_mut());
            match (process, &event) {
                (Some(process), _) => process.inbox.push(event),
                (None, Event::Up(_, id)) => {
                    let arrivals = self.net.end(*id, self.now, &mut self.rng);
                    self.arrive(arrivals);
                }
                _ => {}
            }
        }
        self.connect();
        self.ask(wishes);
        let nodes: Vec<Node> = self.trackers.keys().copied().collect();
        for node in nodes {
            self.turn(node)?;
        }
        Ok(())
    }

    /// A tracker does what it can now.
    fn turn(&mut self, node: Node) -> Result<(), String> {
        let now = self.now;
        let Some(tracker) = self.trackers.get_mut(&node) else { return Ok(()) };
        let Some(process) = &mut tracker.process else { return Ok(()) };
        if (now + u64::from(node) * 7).is_multiple_of(TICK.as_millis() as u64) {
            process.inbox.push(Event::Tick);
        }
        let step = match process.busy {
            Some(until) if until <= now => tracker.synced(),
            Some(_) => None,
            None => tracker.work(now, &mut self.rng),
        };
        match step {
            Some(step) => self.carry_out(node, step),
            None => Ok(()),
        }
    }

    /// Sends and tells what a step lets leave; the process may end in between.
    fn carry_out(&mut self, node: Node, mut step: Step) -> Result<(), String> {
        let dies = self.now < BREAKS && self.rng.u32(..4000) < self.season.dies;
        if dies {
            let some = self.rng.usize(..=step.frames.len());
            step.frames.truncate(some);
        }
        for (to, id, frame) in std::mem::take(&mut step.frames) {
            let weather = self.season.weather(self.now < BREAKS);
            let arrivals = self.net.send((node, to, id), &frame, self.now, weather, &mut self.rng);
            self.arrive(arrivals);
        }
        for (_, id) in std::mem::take(&mut step.ends) {
            let arrivals = self.net.end(id, self.now, &mut self.rng);
            self.arrive(arrivals);
        }
        if dies && self.rng.bool() {
            self.crash(node);
            return Ok(());
        }
        let Some(tracker) = self.trackers.get_mut(&node) else { return Ok(()) };
        let told = tracker.apply(step, &mut self.judge)?;
        for told in told {
            self.tell(told)?;
        }
        if dies {
            self.crash(node);
        }
        Ok(())
    }

    fn tell(&mut self, told: Told) -> Result<(), String> {
        // An answer may be lost like anything else.
        let lost = self.now < BREAKS && self.rng.u32(..100) < 5;
        match told {
            Told::Done(client, seq, slot) if !lost => {
                let client = &mut self.clients[client];
                if client.seq == seq
                    && let Some(wish) = client.wish.take()
                {
                    self.done.told += 1;
                    match wish.command {
                        Some(_) => self.judge.acknowledged(client.id, seq)?,
                        None => self.judge.read(wish.floor, slot)?,
                    }
                }
            }
            Told::Again(client, seq, leader) if !lost => {
                let client = &mut self.clients[client];
                if let Some(wish) = client.wish.as_mut().filter(|_| client.seq == seq) {
                    wish.again = self.now + self.rng.u64(1..60);
                    client.target = leader.unwrap_or(client.target);
                }
            }
            Told::Operator => self.changing = None,
            _ => {}
        }
        Ok(())
    }

    /// Whoever is not connected dials.
    fn connect(&mut self) {
        if !self.now.is_multiple_of(10) {
            return;
        }
        let up = |tracker: &&Tracker| tracker.process.is_some();
        let nodes: Vec<Node> = self.trackers.values().filter(up).map(|tracker| tracker.node).collect();
        for (at, one) in nodes.iter().enumerate() {
            for other in &nodes[at + 1..] {
                if !self.net.is_connected(*one, *other) && self.rng.u8(..4) == 0 {
                    let arrivals = self.net.connect((*one, *other), self.now, &mut self.rng);
                    self.arrive(arrivals);
                }
            }
        }
    }

    /// The trackers of this cluster, and those that may become some.
    pub(super) fn own(&self) -> Vec<Node> {
        self.trackers.keys().copied().filter(|node| *node != STRANGER).collect()
    }

    /// Clients ask.
    fn ask(&mut self, wishes: bool) {
        let nodes = self.own();
        for number in 0..self.clients.len() {
            let client = &mut self.clients[number];
            if client.wish.is_none() && wishes && self.rng.u32(..1000) < self.season.asks {
                client.wishes(self.judge.floor, &mut self.rng);
            }
            let (seq, target) = (client.seq, client.target);
            let Some(wish) = client.wish.as_mut().filter(|wish| wish.again <= self.now) else { continue };
            if wish.again > 0 && self.mutant == Some(Mutant::NoSessions) {
                client.forgets_itself(&mut self.rng);
            }
            let Some(wish) = &mut client.wish else { continue };
            wish.again = self.now + self.rng.u64(60..400);
            let command = wish.command.clone();
            client.target = nodes[self.rng.usize(..nodes.len())];
            if let Some(tracker) = self.trackers.get_mut(&target) {
                tracker.ask(Asked::Client(number, seq), |tag| Event::Propose(tag, command));
            }
        }
    }

    /// Nothing breaks any more.
    pub(super) fn heal(&mut self) -> Result<(), String> {
        self.net.cut.clear();
        let down: Vec<Node> =
            self.trackers.values().filter(|there| there.process.is_none()).map(|there| there.node).collect();
        for tracker in self.trackers.values_mut() {
            tracker.sync = tracker.sync.min(8);
        }
        down.into_iter().try_for_each(|node| self.start(node))
    }

    /// Waits until everybody has the same, and has it for a while.
    pub(super) fn agree(&mut self) -> Result<(), String> {
        let end = self.now + HEALS;
        let calm = self.now + 1_500;
        while self.now < end {
            let wishes = self.now < calm;
            self.millisecond(wishes)?;
            if self.now.is_multiple_of(50) && !wishes && self.is_agreed()? {
                return Ok(());
            }
        }
        let state = self.trackers.values().map(|tracker| {
            let seam = tracker.process.as_ref().map(|process| &process.seam);
            let state = seam.map(|seam| {
                (
                    seam.head().map(|head| (head.epoch, head.cluster.0 as u16)),
                    seam.slot(),
                    seam.leader(),
                    seam.leads(),
                    seam.is_member(),
                )
            });
            (tracker.node, state)
        });
        let waiting = self.clients.iter().filter(|client| client.wish.is_some()).count();
        Err(format!("NOT CONVERGED: {:?}, {waiting} clients wait", state.collect::<Vec<_>>()))
    }

    /// True if all members that can be there have applied the same, and nobody waits.
    fn is_agreed(&self) -> Result<bool, String> {
        let Some((head, _)) = self.judge.latest() else { return Ok(false) };
        if self.clients.iter().any(|client| client.wish.is_some()) {
            return Ok(false);
        }
        let mut slots = Vec::new();
        for member in head.members.iter() {
            let Some(tracker) = self.trackers.get(&member.node) else { continue };
            let Some(process) = &tracker.process else { return Ok(false) };
            if tracker.incarnation != member.incarnation {
                continue;
            }
            let same_epoch = process.seam.head().is_some_and(|own| own.epoch == head.epoch);
            if !same_epoch || !process.seam.is_member() || process.busy.is_some() {
                return Ok(false);
            }
            slots.push(process.seam.slot());
            if process.records.applied() == self.judge.records.applied()
                && !self.judge.is_whole(&process.records)
            {
                return Err("DIFFERENT records after the same slot".to_owned());
            }
        }
        let own = self.trackers.values().filter(|tracker| !tracker.strange);
        let leads = own.filter_map(|tracker| tracker.process.as_ref());
        let leaders = leads.filter(|process| process.seam.leads()).count();
        Ok(leaders == 1 && slots.windows(2).all(|two| two[0] == two[1]))
    }

    /// On an idle cluster somebody comes late and is taken in; then nobody is behind.
    pub(super) fn late_comer(&mut self) -> Result<(), String> {
        let node = self.own().into_iter().max().map_or(1, |last| last + 1);
        self.add_tracker(node)?;
        let end = self.now + HEALS;
        while self.now < end {
            self.millisecond(false)?;
            let Some((head, _)) = self.judge.latest() else { continue };
            if head.members.iter().any(|member| member.node == node) {
                return self.agree();
            }
            if self.now.is_multiple_of(100) {
                let mut members: Listed = head
                    .members
                    .iter()
                    .map(|member| (member.node, member.address.clone(), member.key))
                    .collect();
                members.push(listed(node));
                self.change(members);
            }
        }
        Err("NOT TAKEN IN: who came late".to_owned())
    }

    /// Asks who leads for other members.
    pub(super) fn change(&mut self, members: Listed) {
        if self.changing.is_some_and(|since| self.now < since + 12_000) {
            return;
        }
        let leads = |tracker: &&mut Tracker| {
            !tracker.strange && tracker.process.as_ref().is_some_and(|process| process.seam.leads())
        };
        let disk = |node: &Node| self.trackers.get(node).map(|tracker| (*node, tracker.incarnation));
        let disks: Vec<_> = members.iter().filter_map(|(node, ..)| disk(node)).collect();
        if let Some(leader) = self.trackers.values_mut().find(leads) {
            let epoch = leader.process.as_ref().and_then(|process| Some(process.seam.head()?.epoch));
            self.asked.push((epoch.unwrap_or_default(), disks));
            leader.ask(Asked::Operator, |tag| Event::Change(tag, members));
            self.changing = Some(self.now);
            self.done.changes += 1;
        }
    }
}
