//! Servers that send one chunk after the other, a chunk for each asker in turn, and fetchers that are
//! production schedulers. A request takes the whole distance, an answer none: as `--latency-file` does it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use p2p::content::{Chunk, ChunkSet, Geometry, Layout, Rate};
use p2p::swarm::scheduler::{Effect, Event, Scheduler, SourceId, SourceLoad, TICK};
use p2p::wire::Refusal;

/// Bytes of a chunk.
pub(crate) const CHUNK: u64 = 64 << 10;

/// One who has everything.
#[derive(Debug)]
pub(crate) struct Server {
    /// Bytes a second.
    pub(crate) rate: f64,
    /// What it says of its rate.
    pub(crate) says: f64,
    /// Others that always want the next chunk.
    pub(crate) background: u32,
    /// Chunks sent to fetchers.
    pub(crate) sent: u32,
    /// Who is next: a fetcher with its chunks, or (none) one of the background.
    turns: VecDeque<Option<usize>>,
    queues: BTreeMap<usize, VecDeque<Chunk>>,
    sending: Option<Option<(usize, Chunk)>>,
}

impl Server {
    pub(crate) fn new(rate: f64, background: u32) -> Server {
        let turns = (0..background).map(|_| None).collect();
        Server { rate, says: rate, background, sent: 0, turns, queues: BTreeMap::new(), sending: None }
    }

    fn load(&self, asker: usize) -> SourceLoad {
        let others = self.queues.keys().filter(|other| **other != asker).count() as u32;
        SourceLoad { uploads: (self.background + others) as u16, rate: Rate::new(self.says as u64) }
    }
}

/// One who wants everything.
#[derive(Debug)]
pub(crate) struct Fetcher {
    scheduler: Scheduler,
    distances: Vec<Duration>,
    starts: Duration,
    done: Option<Duration>,
}

impl Fetcher {
    /// From its start to its end.
    pub(crate) fn took(&self) -> Duration {
        self.done.expect("it is done") - self.starts
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Request {
    Open,
    Chunk(Chunk),
    Cancel(Chunk),
    Load,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    /// A request of a fetcher is at a server.
    Arrives(usize, usize, Request),
    /// A server has sent a chunk.
    Sent(usize),
    /// A fetcher's turn.
    Tick(usize),
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) servers: Vec<Server>,
    pub(crate) fetchers: Vec<Fetcher>,
    /// Chunks asked for.
    pub(crate) asked: u32,
    base: Instant,
    now: Duration,
    queue: BinaryHeap<Reverse<(Duration, u64, Happening)>>,
    pushed: u64,
    seed: u64,
}

impl World {
    pub(crate) fn new(servers: Vec<Server>, seed: u64) -> World {
        let (base, now) = (Instant::now(), Duration::ZERO);
        let (fetchers, queue) = (Vec::new(), BinaryHeap::new());
        let mut world = World { servers, fetchers, asked: 0, base, now, queue, pushed: 0, seed };
        (0..world.servers.len()).for_each(|server| world.send_next(server));
        world
    }

    /// A fetcher of so many chunks, so far from each server.
    pub(crate) fn add(&mut self, chunks: u32, distances: &[Duration], starts: Duration) {
        let geometry = Geometry::of(u64::from(chunks) * CHUNK).expect("a file of that size");
        let layout = Arc::new(Layout::new(vec![geometry]).expect("few chunks"));
        let (none, all) = (ChunkSet::empty(chunks), ChunkSet::full(chunks));
        let f = self.fetchers.len();
        let seed = self.seed * 1000 + f as u64;
        let scheduler = Scheduler::new(layout, none, &all, 64 << 20, seed);
        self.fetchers.push(Fetcher { scheduler, distances: distances.to_vec(), starts, done: None });
        for (s, distance) in distances.iter().enumerate() {
            self.push(starts + *distance, Happening::Arrives(s, f, Request::Open));
        }
        self.push(starts, Happening::Tick(f));
    }

    /// When the last was done.
    pub(crate) fn last(&self) -> Duration {
        self.fetchers.iter().filter_map(|fetcher| fetcher.done).max().expect("all are done")
    }

    /// Chunks sent to fetchers.
    pub(crate) fn sent(&self) -> u32 {
        self.servers.iter().map(|server| server.sent).sum()
    }

    /// Lets everyone finish.
    pub(crate) fn run(&mut self) {
        while self.fetchers.iter().any(|fetcher| fetcher.done.is_none()) {
            let Reverse((at, _, what)) = self.queue.pop().expect("something happens until all are done");
            assert!(at < Duration::from_secs(600), "seed {}: it does not end", self.seed);
            self.now = at;
            match what {
                Happening::Arrives(s, f, request) => self.arrives(s, f, request),
                Happening::Sent(s) => self.has_sent(s),
                Happening::Tick(f) => {
                    if self.fetchers[f].done.is_none() {
                        self.step(f, Event::Tick);
                        self.push(self.now + TICK, Happening::Tick(f));
                    }
                }
            }
        }
    }

    fn push(&mut self, at: Duration, what: Happening) {
        self.pushed += 1;
        self.queue.push(Reverse((at, self.pushed, what)));
    }

    fn arrives(&mut self, s: usize, f: usize, request: Request) {
        let load = self.servers[s].load(f);
        let id = SourceId(s as u32);
        match request {
            Request::Open => {
                let fetcher = &self.fetchers[f];
                let have = ChunkSet::full(fetcher.scheduler.had().len());
                let round_trip = fetcher.distances[s];
                let load = Some(load);
                self.step(f, Event::Joined { source: id, have, may_choose: None, round_trip, load });
            }
            Request::Load => self.step(f, Event::Loaded(id, load)),
            Request::Chunk(chunk) => {
                let server = &mut self.servers[s];
                let queue = server.queues.entry(f).or_default();
                if queue.is_empty() {
                    server.turns.push_back(Some(f));
                }
                queue.push_back(chunk);
                self.send_next(s);
            }
            Request::Cancel(chunk) => {
                let Some(queue) = self.servers[s].queues.get_mut(&f) else { return };
                let Some(at) = queue.iter().position(|other| *other == chunk) else { return };
                queue.remove(at);
                self.forget_idle(s, f);
                self.step(f, Event::Refused(id, Some(chunk), Refusal::Cancelled));
            }
        }
    }

    /// Who waits for nothing any more has no turn.
    fn forget_idle(&mut self, s: usize, f: usize) {
        let server = &mut self.servers[s];
        if server.queues.get(&f).is_some_and(VecDeque::is_empty) {
            server.queues.remove(&f);
            server.turns.retain(|turn| *turn != Some(f));
        }
    }

    fn send_next(&mut self, s: usize) {
        let server = &mut self.servers[s];
        if server.sending.is_some() {
            return;
        }
        let Some(turn) = server.turns.pop_front() else { return };
        let chunk = turn.and_then(|f| Some((f, server.queues.get_mut(&f)?.pop_front()?)));
        server.sending = Some(chunk);
        let at = self.now + Duration::from_secs_f64(CHUNK as f64 / server.rate);
        self.push(at, Happening::Sent(s));
    }

    fn has_sent(&mut self, s: usize) {
        let server = &mut self.servers[s];
        match server.sending.take().expect("it was sending") {
            None => server.turns.push_back(None),
            Some((f, chunk)) => {
                server.sent += 1;
                match server.queues.get(&f).is_some_and(|queue| !queue.is_empty()) {
                    true => server.turns.push_back(Some(f)),
                    false => self.forget_idle(s, f),
                }
                self.send_next(s);
                return self.delivered(s, f, chunk);
            }
        }
        self.send_next(s);
    }

    fn delivered(&mut self, s: usize, f: usize, chunk: Chunk) {
        let id = SourceId(s as u32);
        self.step(f, Event::Arriving(id, chunk));
        self.step(f, Event::Progress(id, CHUNK));
        let twice = self.fetchers[f].scheduler.had().contains(chunk);
        self.step(
            f,
            match twice {
                true => Event::Settled(id, chunk),
                false => Event::Arrived(id, chunk),
            },
        );
        let fetcher = &mut self.fetchers[f];
        if fetcher.scheduler.is_done() && fetcher.done.is_none() {
            fetcher.done = Some(self.now);
            for s in 0..self.servers.len() {
                self.servers[s].queues.remove(&f);
                self.servers[s].turns.retain(|turn| *turn != Some(f));
            }
        }
    }

    fn step(&mut self, f: usize, event: Event) {
        let now = self.base + self.now;
        for effect in self.fetchers[f].scheduler.step(event, now) {
            let (id, request) = match effect {
                Effect::Ask(id, chunk) => {
                    self.asked += 1;
                    (id, Request::Chunk(chunk))
                }
                Effect::Cancel(id, chunk) => (id, Request::Cancel(chunk)),
                Effect::AskLoad(id) => (id, Request::Load),
                Effect::AskAny(_) => unreachable!("no source chooses"),
                Effect::Close(id) => panic!("{id:?} is closed"),
            };
            let s = id.0 as usize;
            let at = self.now + self.fetchers[f].distances[s];
            self.push(at, Happening::Arrives(s, f, request));
        }
    }
}
