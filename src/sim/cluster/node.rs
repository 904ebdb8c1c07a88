//! A simulated tracker: its disk, and while it runs its seam and records.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::disk::Disk;
use super::judge::Judge;
use super::mutants::Mutant;
use super::net::Time;
use crate::content::PublicKey;
use crate::tracker::cluster::{Address, Event, Incarnation, Node, Ready, Rule, Seam, Settings, Step};
use crate::tracker::records::Records;
use crate::wire::Authority;

/// The first members, as they are typed.
pub(super) type Listed = Vec<(Node, Address, PublicKey)>;

/// A member as it is typed.
pub(super) fn listed(node: Node) -> (Node, Address, PublicKey) {
    (node, Address::new(format!("{node}:9700")), PublicKey::NONE)
}

/// A tracker that runs.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) seam: Seam,
    pub(super) records: Records,
    /// What has come and was not taken in yet.
    pub(super) inbox: Vec<Event>,
    /// Until then the disk has not done what it was told last.
    pub(super) busy: Option<Time>,
    /// What waits for that.
    held: Step,
    /// Whom each number stands for.
    pub(super) asked: BTreeMap<u64, Asked>,
    next: u64,
    pub(super) leads: bool,
}

/// What somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// A client, for its command of this number.
    Client(usize, u64),
    /// The operator, for a change of members.
    Operator,
}

/// What is said to others than trackers.
#[derive(Debug)]
pub(super) enum Told {
    /// A client's command was carried out, or a fresh read was answered by records of this slot.
    Done(usize, u64, u64),
    /// It is to be asked again, there if that is known.
    Again(usize, u64, Option<Node>),
    /// Members are changed, or not to be.
    Operator,
}

/// A tracker.
#[derive(Debug)]
pub(super) struct Tracker {
    pub(super) node: Node,
    pub(super) disk: Disk,
    /// The disk, as it is numbered.
    pub(super) incarnation: Incarnation,
    pub(super) process: Option<Process>,
    /// When that was the last time.
    pub(super) wiped: Time,
    /// It is of another cluster.
    pub(super) strange: bool,
    /// The members with which it is started.
    pub(super) first: Listed,
    mutant: Option<Mutant>,
    /// Milliseconds that a sync may take.
    pub(super) sync: Time,
}

impl Tracker {
    pub(super) fn new(node: Node, first: Listed, mutant: Option<Mutant>, rng: &mut Rng) -> Tracker {
        let incarnation = Incarnation(rng.u128(1..));
        let sync = [1, 3, 8, 60][rng.usize(..4)];
        Tracker {
            node,
            disk: Disk::default(),
            incarnation,
            process: None,
            wiped: 0,
            strange: false,
            first,
            mutant,
            sync,
        }
    }

    /// Starts it, from what is on its disk.
    pub(super) fn start(&mut self, now: Time, rng: &mut Rng, judge: &mut Judge) -> Result<(), String> {
        let rules = Mutant::rules(self.mutant);
        let found = self.disk.read(rules)?;
        let settings = Settings {
            node: self.node,
            first: self.first.clone(),
            process: rng.u64(..),
            incarnation: self.incarnation,
            records: Records::default().snapshot(),
            authority: Authority(1),
            piece_bytes: 200,
            log_bytes: (3000, 6000),
            rules,
        };
        let (seam, step) = Seam::new(settings, found);
        let process = Process {
            seam,
            records: Records::default(),
            inbox: Vec::new(),
            busy: None,
            held: Step::default(),
            asked: BTreeMap::new(),
            next: 0,
            leads: false,
        };
        self.process = Some(process);
        // What was on the disk is applied again before anything else happens.
        let ready = self.write(step, now, rng);
        if let Some(ready) = ready {
            self.apply(ready, judge)?;
        }
        Ok(())
    }

    /// Its process ends.
    pub(super) fn crash(&mut self, rng: &mut Rng) {
        self.process = None;
        self.disk.crash(rng, self.mutant == Some(Mutant::BatchInParts));
    }

    /// Its disk is another, and empty.
    pub(super) fn wipe(&mut self, now: Time, rng: &mut Rng) {
        self.wiped = now;
        self.process = None;
        self.disk.wipe();
        self.incarnation = Incarnation(rng.u128(1..));
    }

    /// Asks it for something.
    pub(super) fn ask(&mut self, asked: Asked, event: impl FnOnce(u64) -> Event) {
        if let Some(process) = &mut self.process {
            process.next += 1;
            process.asked.insert(process.next, asked);
            let event = event(process.next);
            process.inbox.push(event);
        }
    }

    /// Takes in some of what has come; what may leave at once.
    pub(super) fn work(&mut self, now: Time, rng: &mut Rng) -> Option<Step> {
        let process = self.process.as_mut().filter(|process| process.busy.is_none())?;
        if process.inbox.is_empty() {
            return None;
        }
        let together = rng.usize(1..=process.inbox.len().min(8));
        for event in process.inbox.drain(..together) {
            process.seam.feed(event);
        }
        let step = process.seam.flush();
        self.write(step, now, rng)
    }

    /// Writes what a step wants; what of it may leave at once.
    fn write(&mut self, step: Step, now: Time, rng: &mut Rng) -> Option<Step> {
        let keep_old = self.mutant == Some(Mutant::Without(Rule::OldLogGoes));
        let syncs = self.disk.write(&step.writes, keep_old);
        let process = self.process.as_mut()?;
        if !syncs {
            return Some(step);
        }
        process.busy = Some(now + rng.u64(1..=self.sync));
        let (mut now, mut later) = (Step::default(), step);
        match self.mutant {
            Some(Mutant::SaidBeforeSync) => now.frames = std::mem::take(&mut later.frames),
            Some(Mutant::AnsweredBeforeSync) => now.ready = std::mem::take(&mut later.ready),
            _ => {}
        }
        process.held = later;
        Some(now)
    }

    /// The disk has done what it was told; what may leave.
    pub(super) fn synced(&mut self) -> Option<Step> {
        let process = self.process.as_mut()?;
        process.busy = None;
        self.disk.sync();
        Some(std::mem::take(&mut process.held))
    }

    /// Does what is ready; whom to tell what.
    pub(super) fn apply(&mut self, step: Step, judge: &mut Judge) -> Result<Vec<Told>, String> {
        let mut told = Vec::new();
        let Some(process) = &mut self.process else { return Ok(told) };
        for ready in step.ready {
            match ready {
                Ready::Install(snapshot) => {
                    process.records =
                        Records::restore(snapshot).map_err(|error| format!("SNAPSHOT: {error}"))?;
                }
                Ready::Apply(slot, command, tag) => {
                    let outcome = process.records.apply(slot, &command).outcome;
                    if !self.strange {
                        judge.applied(slot, &command, &outcome)?;
                    }
                    if let Some(Asked::Client(client, seq)) = tag.and_then(|tag| process.asked.remove(&tag)) {
                        told.push(Told::Done(client, seq, slot));
                    }
                }
                Ready::Passed(tag) => {
                    let applied = process.records.applied();
                    if let Some(Asked::Client(client, seq)) = process.asked.remove(&tag) {
                        told.push(Told::Done(client, seq, applied));
                    }
                }
                Ready::Ended => process.inbox.insert(0, Event::Snapshot(process.records.snapshot())),
                Ready::Leads(leads) => process.leads = leads,
                Ready::Changed(tag) | Ready::Unknown(tag) | Ready::Refused(tag, _) => {
                    let leader = process.seam.leader();
                    match process.asked.remove(&tag) {
                        Some(Asked::Client(client, seq)) => told.push(Told::Again(client, seq, leader)),
                        Some(Asked::Operator) => told.push(Told::Operator),
                        None => {}
                    }
                }
                Ready::Halt(why) => return Err(format!("HALT: {why}")),
            }
        }
        // What is not on the disk yet is not begun.
        if let Some(head) = process.seam.head().filter(|_| process.busy.is_none() && !self.strange) {
            judge.begun(self.node, head)?;
        }
        Ok(told)
    }
}
