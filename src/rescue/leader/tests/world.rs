//! A world of nodes and trackers in virtual time: clocks that drift, links that are cut one way, messages that are late or lost,
//! leaders that change in the middle of a claim, agents that are killed and paused, hooks that fail, hang and succeed late.
//! What must hold is checked at each step.
//!
//! The log is a sequence, for that is what the trackers make of it; each of them has applied some of it.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::super::*;
pub(super) use super::cast::Fault;
use super::cast::{Attempt, Now, Process, Tracker};
use crate::rescue::executor::{Effect, Event, Executor};
use crate::rescue::ledger::Node;

const TRACKERS: usize = 3;
const NODES: u8 = 5;
const BEAT: f64 = 2.0;
/// How often who leads looks at its nodes, and for how long it leads, by and large: one that has just begun misses nobody.
const LOOK_AGAIN: f64 = 0.25;
const TERM: f64 = 60.0;
/// How long faults are made, and the longest until all are up again.
const STORM: f64 = 300.0;
const CALM: f64 = 700.0;
/// How often it is looked whether they are.
const LOOK: f64 = 20.0;

pub(super) struct World {
    rng: fastrand::Rng,
    fault: Fault,
    pauses: bool,
    terms: Terms,
    start: Instant,
    now: f64,
    queue: BinaryHeap<(std::cmp::Reverse<(u64, u64)>, usize)>,
    events: Vec<Now>,
    truth: Ledger,
    log: Vec<Entry>,
    trackers: Vec<Tracker>,
    leader: Option<(Circle, Leader)>,
    processes: Vec<Process>,
    attempts: Vec<Attempt>,
    starts: [u64; NODES as usize + 1],
    /// Cut until then: a node's words to a tracker, and back.
    cut: BTreeMap<(u8, usize, bool), f64>,
    /// Since when a majority hears a node.
    clear: BTreeMap<u8, f64>,
}

/// A leader, and the tracker that is cut from it, if one is: what that one hears is not passed on.
#[derive(Debug, Clone, Copy)]
struct Circle {
    who: usize,
    deaf: Option<usize>,
}

fn id(node: u8) -> NodeId {
    NodeId([node; 16])
}

impl World {
    /// One of its own for each seed, with a fault, and with processes that are paused if that is said.
    pub(super) fn new(seed: u64, fault: Fault, pauses: bool) -> World {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut terms = Terms::default();
        if seed % 2 == 1 || fault != Fault::None {
            terms.pause = Duration::ZERO; // nothing but the lease is between two attempts
        }
        if fault == Fault::NoMargin {
            terms.expiry = terms.lease;
        }
        let drift = |rng: &mut fastrand::Rng| 0.95 + 0.1 * rng.f64();
        let trackers = (0..TRACKERS).map(|_| Tracker::new(drift(&mut rng))).collect();
        let mut world = World {
            rng,
            fault,
            pauses,
            terms,
            start: Instant::now(),
            now: 0.0,
            queue: BinaryHeap::new(),
            events: Vec::new(),
            truth: Ledger::default(),
            log: Vec::new(),
            trackers,
            leader: None,
            processes: Vec::new(),
            attempts: Vec::new(),
            starts: [0; NODES as usize + 1],
            cut: BTreeMap::new(),
            clear: BTreeMap::new(),
        };
        (1..=NODES).for_each(|node| world.rise(node));
        world.after(0.0, Now::Lead);
        world.after(20.0, Now::Harm);
        world.after(STORM, Now::End);
        world
    }

    fn after(&mut self, time: f64, event: Now) {
        let at = ((self.now + time) * 1e9) as u64;
        let number = self.events.len();
        self.events.push(event);
        self.queue.push((std::cmp::Reverse((at, number as u64)), number));
    }

    fn delay(&mut self) -> f64 {
        match self.rng.u8(..20) {
            _ if self.fault == Fault::NoMargin => 0.0,
            0..10 if self.fault == Fault::FromAnswer => 25.0 * self.rng.f64(),
            0 => 25.0 * self.rng.f64(),
            _ => 0.2 * self.rng.f64(),
        }
    }

    fn local(&self, rate: f64) -> Instant {
        self.start + Duration::from_secs_f64(self.now * rate)
    }

    fn is_cut(&self, node: u8, tracker: usize, back: bool) -> bool {
        self.cut.get(&(node, tracker, back)).is_some_and(|until| self.now < *until)
    }

    /// Starts the agent of a node, unless one runs on its host.
    fn rise(&mut self, node: u8) {
        self.starts[usize::from(node)] += 1;
        let life = Life { start: self.starts[usize::from(node)], drawn: self.rng.u32(..) };
        let rate = 0.95 + 0.1 * self.rng.f64();
        let executor = Executor::new(self.terms.lease);
        self.processes.push(Process { node, life, alive: true, paused: 0.0, rate, executor, attempt: None });
        let soon = self.rng.f64();
        self.after(soon, Now::Beat(self.processes.len() - 1));
    }

    /// How often somebody was brought back, or that was tried; or what does not hold.
    pub(super) fn run(mut self) -> Result<usize, String> {
        while let Some((std::cmp::Reverse((at, _)), number)) = self.queue.pop() {
            self.now = at as f64 / 1e9;
            match self.events[number] {
                Now::End => match self.is_well() {
                    Ok(()) => return Ok(self.attempts.len()),
                    Err(why) if self.now > STORM + CALM => return Err(why),
                    Err(_) => self.after(LOOK, Now::End),
                },
                event => self.happen(event)?,
            }
        }
        Err("it stands still".to_owned())
    }

    fn happen(&mut self, event: Now) -> Result<(), String> {
        match event {
            Now::Lead => self.lead(),
            Now::Beat(process) => self.beat(process),
            Now::Arrive { process, tracker } => self.arrive(process, tracker),
            Now::Fenced { process } => {
                if self.fault != Fault::NotFenced {
                    self.dies(process);
                }
                Ok(())
            }
            Now::Hear { process, event } => self.hear(process, event),
            Now::Decide(entry, whose) => self.decide(entry, whose),
            Now::Wake(process) => self.hear(process, Event::Tick),
            Now::HookEnds { process, attempt } => self.hook_ends(process, attempt),
            Now::Rises(node) => {
                let runs = |process: &Process| process.alive && process.node == node;
                if !self.processes.iter().any(runs) {
                    self.rise(node);
                }
                Ok(())
            }
            Now::Harm => {
                self.harm();
                Ok(())
            }
            Now::End => Ok(()),
        }
    }

    fn apply_some(&mut self, tracker: usize, all: bool) {
        while self.trackers[tracker].applied < self.log.len() && (all || self.rng.u8(..4) > 0) {
            let Tracker { applied, ledger, .. } = &mut self.trackers[tracker];
            ledger.apply(*applied as u64, self.log[*applied]);
            *applied += 1;
        }
    }

    fn lead(&mut self) -> Result<(), String> {
        if self.now < STORM && self.rng.f64() < LOOK_AGAIN / TERM {
            self.leader = None; // nothing is decided for a moment
            self.clear.clear();
            let later = 5.0 * self.rng.f64();
            self.after(later, Now::Lead);
            return Ok(());
        }
        let Circle { who, deaf } = match &self.leader {
            Some((circle, _)) => *circle,
            None => {
                let who = self.rng.usize(..TRACKERS);
                let deaf = Some(self.rng.usize(..TRACKERS)).filter(|deaf| *deaf != who);
                let at = self.local(self.trackers[who].rate);
                let leader = Leader::new(self.terms, self.rng.u64(..), at);
                self.leader = Some((Circle { who, deaf }, leader));
                Circle { who, deaf }
            }
        };
        self.apply_some(who, true);
        let mut heard = BTreeMap::new();
        for node in 1..=NODES {
            let last = |tracker: &Tracker| {
                let last = tracker.heard.get(&node);
                let rate = self.trackers[who].rate;
                last.filter(|(at, _)| (self.now - at) * rate < self.terms.silence.as_secs_f64()).copied()
            };
            let most: Vec<(f64, Life)> = self.trackers.iter().filter_map(last).collect();
            let is_clear = most.len() > TRACKERS / 2
                && most.iter().any(|(_, life)| !self.truth.is_fenced(id(node), *life));
            if is_clear {
                self.clear.entry(node).or_insert(self.now);
            } else {
                self.clear.remove(&node);
            }
            let told = (0..TRACKERS).filter(|tracker| Some(*tracker) != deaf);
            let lives = told.filter_map(|tracker| last(&self.trackers[tracker])).map(|(_, life)| life);
            heard.extend(lives.max().map(|life| (id(node), Heard { life, able: true })));
        }
        let at = self.local(self.trackers[who].rate);
        let ledger = self.trackers[who].ledger.clone();
        let Some((_, leader)) = &mut self.leader else { return Ok(()) };
        for entry in leader.step(&ledger, &heard, at) {
            let delay = 0.05 * self.rng.f64();
            self.after(if self.fault == Fault::NoMargin { 0.0 } else { delay }, Now::Decide(entry, None));
        }
        self.after(LOOK_AGAIN, Now::Lead);
        Ok(())
    }

    fn decide(&mut self, entry: Entry, whose: Option<(usize, Duty)>) -> Result<(), String> {
        if let Entry::Claimed(duty, ..) = entry
            && let Some((target, _)) =
                self.truth.duties().iter().find(|(_, held)| held.duty == duty && held.claimed.is_none())
        {
            let since = self.clear.get(&target.0[0]);
            if since.is_some_and(|since| self.now - since > 5.0) {
                return Err(format!("{target:?} is to be brought back, and a majority hears it"));
            }
        }
        let number = self.log.len() as u64;
        let before = self.truth.nodes().clone();
        self.log.push(entry);
        self.truth.apply(number, entry);
        let is_older = |(node, was): (&NodeId, &Node)| self.truth.nodes()[node].incarnation < was.incarnation;
        if before.iter().any(is_older) {
            return Err("an older life was let in".to_owned());
        }
        let executors = self.truth.duties().values().map(|held| held.executor);
        if executors.clone().collect::<BTreeSet<_>>().len() != executors.count() {
            return Err("somebody has two duties".to_owned());
        }
        // Whoever claimed or told hears of it, now or late or never.
        if let Some((process, duty)) = whose
            && self.rng.u8(..10) > 0
        {
            let answer = match entry {
                Entry::Claimed(_, executor, life) => {
                    Event::Claimed(duty, self.truth.is_claimed(duty, executor, life))
                }
                _ => Event::Noted(duty),
            };
            let delay = self.delay();
            self.after(delay, Now::Hear { process, event: answer });
        }
        Ok(())
    }

    fn beat(&mut self, process: usize) -> Result<(), String> {
        if !self.processes[process].alive {
            return Ok(());
        }
        let next = BEAT * (0.8 + 0.4 * self.rng.f64());
        self.after(next, Now::Beat(process));
        if self.now < self.processes[process].paused {
            return Ok(());
        }
        for tracker in 0..TRACKERS {
            if !self.is_cut(self.processes[process].node, tracker, false) && self.rng.u8(..20) > 0 {
                let delay = self.delay();
                self.after(delay, Now::Arrive { process, tracker });
            }
        }
        self.hear(process, Event::Tick)
    }

    fn arrive(&mut self, process: usize, tracker: usize) -> Result<(), String> {
        self.apply_some(tracker, false);
        let Process { node, life, .. } = self.processes[process];
        let delay = self.delay();
        let answered = !self.is_cut(node, tracker, true);
        let Tracker { ledger, heard, .. } = &mut self.trackers[tracker];
        if ledger.is_fenced(id(node), life) {
            if answered {
                self.after(delay, Now::Fenced { process });
            }
            return Ok(());
        }
        let known = heard.entry(node).or_insert((self.now, life));
        // An older life does not hide a younger one that was heard lately.
        if life >= known.1 || self.now - known.0 > self.terms.silence.as_secs_f64() {
            *known = (self.now, life);
        }
        let told = ledger.duty_of(id(node)).filter(|(_, held)| held.claimed.is_none_or(|by| by == life));
        let event = Event::Told(told.map(|(target, held)| (held.duty, target)));
        if answered {
            self.after(delay, Now::Hear { process, event });
        }
        Ok(())
    }

    fn hear(&mut self, process: usize, event: Event) -> Result<(), String> {
        let its = &self.processes[process];
        if !its.alive {
            return Ok(());
        }
        if self.now < its.paused {
            let later = its.paused - self.now + 1e-6;
            self.after(later, Now::Hear { process, event });
            return Ok(());
        }
        let at = self.local(its.rate);
        if self.fault == Fault::FromAnswer && matches!(event, Event::Claimed(..)) {
            self.processes[process].executor.forgets_when_it_asked(at);
        }
        let effect = self.processes[process].executor.step(event, at);
        if let Some(deadline) = self.processes[process].executor.deadline() {
            let left = deadline.saturating_duration_since(at).as_secs_f64() / self.processes[process].rate;
            self.after(left + 1e-6, Now::Wake(process));
        }
        let Process { node, life, .. } = self.processes[process];
        match effect {
            None => Ok(()),
            Some(Effect::Claim(duty)) if self.fault == Fault::NoClaim => {
                self.hear(process, Event::Claimed(duty, true))
            }
            Some(Effect::Claim(duty)) => {
                let delay = self.delay();
                if self.leader.is_some() {
                    self.after(
                        delay,
                        Now::Decide(Entry::Claimed(duty, id(node), life), Some((process, duty))),
                    );
                }
                Ok(())
            }
            Some(Effect::Tell(duty)) => {
                let delay = self.delay();
                if self.leader.is_some() {
                    self.after(delay, Now::Decide(Entry::Done(duty, id(node)), Some((process, duty))));
                }
                Ok(())
            }
            Some(Effect::Run(_, target)) => self.attempt(process, target.0[0]),
            Some(Effect::Kill) => match self.processes[process].attempt {
                Some(attempt) => {
                    self.attempts[attempt].works &= self.attempts[attempt].late;
                    self.hook_ends(process, attempt)
                }
                None => Ok(()),
            },
        }
    }

    /// A hook begins, after a pause if there are pauses: whoever is stopped between a look at its clock and an act.
    fn attempt(&mut self, process: usize, target: u8) -> Result<(), String> {
        let is_on = |attempt: &&Attempt| attempt.target == target && attempt.ended.is_none();
        if !self.pauses && self.attempts.iter().any(|attempt| is_on(&attempt)) {
            return Err(format!("two are at {target} at once"));
        }
        let takes: f64 = [1.0, 3.0, 8.0, 20.0, 60.0][self.rng.usize(..5)];
        let (works, late) = (self.now > STORM || self.rng.u8(..10) < 7, self.rng.u8(..10) == 0);
        let takes = if self.now > STORM { takes.min(8.0) } else { takes };
        self.attempts.push(Attempt { target, ended: None, works, late });
        let attempt = self.attempts.len() - 1;
        self.processes[process].attempt = Some(attempt);
        self.after(takes, Now::HookEnds { process, attempt });
        Ok(())
    }

    fn hook_ends(&mut self, process: usize, attempt: usize) -> Result<(), String> {
        if self.attempts[attempt].ended.is_some() {
            return Ok(());
        }
        self.attempts[attempt].ended = Some(self.now);
        let Attempt { target, works, late, .. } = self.attempts[attempt];
        if works {
            // A copy of the node is started elsewhere, or its host starts it if nobody runs there.
            let elsewhere = self.pauses && self.rng.bool();
            match (elsewhere, late) {
                (true, _) => self.rise(target),
                (false, true) => self.after(5.0, Now::Rises(target)),
                (false, false) => self.after(0.1, Now::Rises(target)),
            }
        }
        self.processes[process].attempt = None;
        self.hear(process, Event::Ended)
    }

    fn dies(&mut self, process: usize) {
        self.processes[process].alive = false;
        // What it was at ends with it.
        if let Some(attempt) = self.processes[process].attempt.take() {
            self.attempts[attempt].ended.get_or_insert(self.now);
        }
    }

    fn harm(&mut self) {
        if self.now > STORM {
            return;
        }
        let up: Vec<usize> = (0..self.processes.len())
            .filter(|at| self.processes[*at].alive && self.now >= self.processes[*at].paused)
            .collect();
        match self.rng.u8(..4) {
            0 | 1 if up.len() > 2 => {
                let victim = up[self.rng.usize(..up.len())];
                self.dies(victim);
            }
            2 if self.pauses && up.len() > 2 => {
                let victim = up[self.rng.usize(..up.len())];
                self.processes[victim].paused = self.now + 60.0 * self.rng.f64();
            }
            _ => {
                let link = (self.rng.u8(1..=NODES), self.rng.usize(..TRACKERS), self.rng.bool());
                self.cut.insert(link, self.now + 40.0 * self.rng.f64());
            }
        }
        let pause = 12.0 * self.rng.f64();
        self.after(pause, Now::Harm);
    }

    /// All are up, each once, and nothing is left to do.
    fn is_well(&self) -> Result<(), String> {
        for node in 1..=NODES {
            let lives: Vec<Life> = self
                .processes
                .iter()
                .filter(|process| process.alive && process.node == node)
                .map(|process| process.life)
                .collect();
            let known = self.truth.nodes().get(&id(node));
            if lives.len() != 1 || known.is_none_or(|known| known.lost || known.incarnation != lives[0]) {
                return Err(format!("{node} is not up, or not once: {lives:?} {known:?}"));
            }
        }
        if !self.truth.duties().is_empty() {
            return Err(format!("there are duties left: {:?}", self.truth.duties()));
        }
        Ok(())
    }
}
