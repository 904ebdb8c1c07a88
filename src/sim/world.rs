//! Everything there is in a run, and the loop that lets it happen.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::happening::{Happening, Message, Nanos};
use super::peer::Peer;
use super::queue::Queue;
use super::scenario::{Manner, Scenario};
use crate::content::{Chunk, FileId, Geometry, Layout, PROOF_RUN};
use crate::tracker::directory::{Bounds, Directory};

/// The lease that the tracker gives.
const LEASE: Duration = Duration::from_secs(30);
/// How often leases are looked at, and signs of life given.
pub(super) const LEASE_INTERVAL: Duration = Duration::from_secs(1);
/// Parts of the bound in which what was kept is counted.
pub(super) const CURVE: u64 = 20;

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
    pub(super) waiting: usize,
    pub(super) digest: u64,
    pub(super) curve: Vec<u64>,
    pub(super) bound: Nanos,
}

impl<'a> World<'a> {
    pub(super) fn new(scenario: &'a Scenario) -> World<'a> {
        let base = Instant::now();
        let geometry = Geometry::of(scenario.size).expect("a size that a file may have");
        let layout = Arc::new(Layout::new(vec![geometry]).expect("one file has few enough chunks"));
        let chunks = layout.chunks();
        let depth = chunks.div_ceil(PROOF_RUN).next_power_of_two().trailing_zeros();
        let seeder = Peer::new(scenario.seeder, Manner::Honest, base);
        let others = scenario.fetchers.iter().map(|fetcher| Peer::new(fetcher.link, fetcher.manner, base));
        let mut world = World {
            scenario,
            now: 0,
            base,
            delay: scenario.delay.as_nanos() as u64,
            queue: Queue::default(),
            rng: fastrand::Rng::with_seed(scenario.seed),
            chunks,
            layout,
            proof_bytes: 32 * (PROOF_RUN.min(chunks) + depth),
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
        world
    }

    /// True for honest fetchers that stay to the end.
    pub(super) fn stays(&self, p: usize) -> bool {
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

    pub(super) fn bytes_of(&self, chunk: Chunk) -> u32 {
        self.layout.place(chunk).map_or(0, |place| place.len as u32)
    }

    pub(super) fn take_message(&mut self, number: u32) -> Option<Message> {
        self.spare_messages.push(number);
        self.messages[number as usize].take()
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

    /// The seeder began to send another chunk: it may be its last.
    pub(super) fn seeder_has_sent(&mut self) {
        let copies = self.peers[0].sent as f64 / self.layout.size() as f64;
        if self.scenario.seeder_killed_after.is_some_and(|most| copies >= most) {
            self.queue.push(self.now, Happening::End(0, false));
        }
    }

    /// A chunk was kept: for the curve and the digest.
    pub(super) fn count_kept(&mut self, p: u32, chunk: Chunk) {
        let at = (self.now * CURVE / self.bound.max(1)) as usize;
        let bytes = u64::from(self.bytes_of(chunk));
        if let Some(part) = self.curve.get_mut(at) {
            *part += bytes;
        }
        let what = self.now ^ u64::from(p) << 40 ^ u64::from(chunk.0) << 20;
        self.digest = (self.digest ^ what).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    }

    pub(super) fn count_done(&mut self, p: u32) {
        self.waiting -= usize::from(self.stays(p as usize));
    }
}
