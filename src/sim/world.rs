//! Everything there is in a run, and the loop that lets it happen.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::outcome::{Breach, Outcome};
use super::peer::Peer;
use super::queue::{Happening, Message, Nanos, Queue};
use super::{Fate, Manner, Scenario};
use crate::content::{FileId, Geometry, Layout};
use crate::swarm::chunk_set::ChunkSet;
use crate::tracker::directory::{Bounds, Directory};

/// The lease that the tracker gives.
const LEASE: Duration = Duration::from_secs(30);
/// Parts of the bound in which what was kept is counted.
const CURVE: u64 = 20;

/// The one content of a run.
pub(super) fn content() -> FileId {
    FileId([7; 32])
}

#[derive(Debug)]
pub(super) struct World<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) now: Nanos,
    base: Instant,
    pub(super) delay: Nanos,
    pub(super) queue: Queue,
    pub(super) rng: fastrand::Rng,
    pub(super) layout: Arc<Layout>,
    pub(super) chunks: u32,
    pub(super) proof_bytes: u32,
    pub(super) peers: Vec<Peer>,
    pub(super) connections: Vec<Connection>,
    pub(super) directory: Directory,
    messages: Vec<Option<Message>>,
    spare_messages: Vec<u32>,
    /// Honest fetchers that stay and are not done.
    waiting: usize,
    digest: u64,
    curve: Vec<u64>,
    bound: Nanos,
}

impl<'a> World<'a> {
    pub(super) fn new(scenario: &'a Scenario) -> World<'a> {
        let base = Instant::now();
        let geometry = Geometry::of(scenario.size).expect("a size that a file may have");
        let layout = Arc::new(Layout::new(vec![geometry]).expect("one file has few enough chunks"));
        let chunks = layout.chunks();
        let depth = chunks.div_ceil(super::asking::PROOF_RUN).next_power_of_two().trailing_zeros();
        let seeder = Peer::new(scenario.seeder, Manner::Honest);
        let others = scenario.fetchers.iter().map(|fetcher| Peer::new(fetcher.link, fetcher.manner));
        let mut world = World {
            scenario,
            now: 0,
            base,
            delay: scenario.delay.as_nanos() as u64,
            queue: Queue::default(),
            rng: fastrand::Rng::with_seed(scenario.seed),
            chunks,
            layout,
            proof_bytes: 32 * (super::asking::PROOF_RUN.min(chunks) + depth),
            peers: std::iter::once(seeder).chain(others).collect(),
            connections: Vec::new(),
            directory: Directory::new(LEASE, Bounds::default(), scenario.seed, base),
            messages: Vec::new(),
            spare_messages: Vec::new(),
            waiting: 0,
            digest: 0,
            curve: vec![0; CURVE as usize * 4],
            bound: scenario.bound().as_nanos() as u64,
        };
        world.waiting = (1..world.peers.len()).filter(|p| world.stays(*p)).count();
        world.set_off();
        world
    }

    fn set_off(&mut self) {
        self.peers[0].alive = true;
        self.peers[0].idle_since = Some(0);
        self.register(0, true);
        self.queue.push(super::life::LEASE_INTERVAL.as_nanos() as u64, Happening::Leases);
        for (fetcher, p) in self.scenario.fetchers.iter().zip(1..) {
            self.queue.push(fetcher.joins.as_nanos() as u64, Happening::Join(p));
            if let Some((at, fate)) = fetcher.ends {
                self.queue.push(at.as_nanos() as u64, Happening::End(p, fate == Fate::Vanishes));
            }
        }
    }

    /// True for honest fetchers that stay to the end.
    fn stays(&self, p: usize) -> bool {
        p.checked_sub(1)
            .and_then(|at| self.scenario.fetchers.get(at))
            .is_some_and(|fetcher| fetcher.ends.is_none() && fetcher.manner == Manner::Honest)
    }

    pub(super) fn instant(&self) -> Instant {
        self.base + Duration::from_nanos(self.now)
    }

    pub(super) fn nanos(&self, instant: Instant) -> Nanos {
        instant.saturating_duration_since(self.base).as_nanos() as Nanos
    }

    pub(super) fn bytes_of(&self, chunk: u32) -> u32 {
        self.layout.place(chunk).map_or(0, |place| place.len as u32)
    }

    pub(super) fn keep_message(&mut self, message: Message) -> u32 {
        match self.spare_messages.pop() {
            Some(number) => {
                self.messages[number as usize] = Some(message);
                number
            }
            None => {
                self.messages.push(Some(message));
                self.messages.len() as u32 - 1
            }
        }
    }

    /// Lets things happen until everyone is done, or nothing helps.
    pub(super) fn run(mut self) -> Result<Outcome, Breach> {
        let deadline = self.scenario.deadline.as_nanos() as u64;
        while self.waiting > 0 {
            let Some((at, what)) = self.queue.pop() else { break };
            if at > deadline {
                break;
            }
            self.now = at;
            self.happen(what);
        }
        self.conclude()
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Join(p) => self.join(p),
            Happening::End(p, vanishes) => self.end(p, if vanishes { Fate::Vanishes } else { Fate::Killed }),
            Happening::Turn(p) => self.turn(p),
            Happening::UplinkFree(p) => self.send_next(p),
            Happening::Delivered(c, bytes) => self.delivered(c, bytes),
            Happening::Open(c) => self.open(c),
            Happening::Opened(c) => self.opened(c),
            Happening::Asked(c, job) => self.asked(c, job),
            Happening::Cancelled(c, chunk) => self.cancelled(c, chunk),
            Happening::Told(c, chunk) => self.told(c, chunk),
            Happening::News(c) => self.news(c),
            Happening::Message(c, number) => {
                let message = self.messages[number as usize].take();
                self.spare_messages.push(number);
                if let Some(message) = message {
                    self.message(c, message);
                }
            }
            Happening::Patience(c) => self.patience(c),
            Happening::EndedForAsker(c) => self.ended_for_asker(c),
            Happening::EndedForServer(c) => self.server_ends(c),
            Happening::Located(p) => self.located(p),
            Happening::Leases => self.leases(),
        }
    }

    /// The seeder began to send another chunk: it may be its last.
    pub(super) fn seeder_has_sent(&mut self) {
        let copies = self.peers[0].sent as f64 / self.layout.size() as f64;
        if self.scenario.seeder_killed_after.is_some_and(|most| copies >= most) {
            self.queue.push(self.now, Happening::End(0, false));
        }
    }

    /// A chunk was kept: for the curve and the digest.
    pub(super) fn count_kept(&mut self, p: u32, chunk: u32) {
        let at = (self.now * CURVE / self.bound.max(1)) as usize;
        if let Some(part) = self.curve.get_mut(at) {
            *part += u64::from(self.layout.place(chunk).map_or(0, |place| place.len as u32));
        }
        let what = self.now ^ u64::from(p) << 40 ^ u64::from(chunk) << 20;
        self.digest = (self.digest ^ what).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    }

    pub(super) fn count_done(&mut self, p: u32) {
        self.waiting -= usize::from(self.stays(p as usize));
    }

    /// Every chunk is with somebody honest who is alive.
    fn all_alive(&self) -> bool {
        let mut somewhere = ChunkSet::empty(self.chunks);
        for peer in self.peers.iter().filter(|peer| peer.alive && peer.is_honest()) {
            peer.have(self.chunks).iter().for_each(|chunk| {
                somewhere.insert(chunk);
            });
        }
        somewhere.is_full()
    }

    fn conclude(self) -> Result<Outcome, Breach> {
        let seed = self.scenario.seed;
        for (peer, number) in self.peers.iter().zip(0..) {
            if peer.fetch.as_ref().is_some_and(|fetch| *fetch.scheduler.had() != fetch.kept) {
                return Err(Breach::Had { seed, peer: number });
            }
        }
        if self.waiting > 0 && self.all_alive() {
            let after = Duration::from_nanos(self.now);
            return Err(Breach::Unfinished { seed, unfinished: self.waiting, after });
        }
        Ok(self.outcome())
    }

    fn outcome(self) -> Outcome {
        let staying = || (1..self.peers.len()).filter(|p| self.stays(*p)).map(|p| &self.peers[p]);
        let lost = self.waiting > 0;
        let times = staying().filter_map(|peer| Some(Duration::from_nanos(peer.done? - peer.joined)));
        let last = staying().filter_map(|peer| peer.done).max().unwrap_or(self.now);
        let sum = |of: fn(&Peer) -> u64| self.peers.iter().map(of).sum::<u64>();
        let idle = |peer: &Peer| {
            let more = peer.idle_since.map_or(0, |since| self.now.saturating_sub(since));
            (peer.idle + more) as f64 / (self.now - peer.joined).max(1) as f64
        };
        let whole = |part: &u64| {
            let rates: f64 = staying().map(|peer| peer.link.down).sum();
            *part as f64 / (rates * self.bound as f64 / 1e9 / CURVE as f64)
        };
        Outcome {
            bound: self.scenario.bound(),
            times: if lost { Vec::new() } else { times.collect() },
            last: Duration::from_nanos(last),
            seeder_copies: self.peers[0].sent as f64 / self.layout.size() as f64,
            useful: sum(|peer| peer.useful),
            duplicate: sum(|peer| peer.duplicate),
            rejected: sum(|peer| peer.rejected),
            overhead: sum(|peer| peer.overhead),
            idle: staying().map(idle).sum::<f64>() / staying().count().max(1) as f64,
            seeder_idle: idle(&self.peers[0]),
            most_askers: self.peers[1..].iter().map(|peer| peer.askers.len()).max().unwrap_or(0),
            happenings: self.queue.pushed(),
            digest: self.digest,
            curve: self.curve.iter().map(whole).collect(),
        }
    }
}
