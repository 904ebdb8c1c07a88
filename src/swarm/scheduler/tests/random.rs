//! Random events: the scheduler decides what its slow twin decides, and what is fetched gets here.

use std::time::{Duration, Instant};

use super::super::*;
use super::twin::Twin;
use crate::content::{Geometry, PeerId, Rate, Run};

const RUNS: u64 = 400;
const STEPS: usize = 300;

/// What a source does: it answers what it was asked for in order, as a rule.
struct Play {
    rng: fastrand::Rng,
    chunks: u32,
    now: Instant,
    joined: u32,
    /// Requests that are not answered: of whom, and for which chunk.
    open: Vec<(SourceId, Option<Chunk>)>,
    here: Vec<SourceId>,
    had: ChunkSet,
}

impl Play {
    fn set(&mut self) -> ChunkSet {
        if self.rng.u8(..3) == 0 {
            return ChunkSet::full(self.chunks);
        }
        let mut set = ChunkSet::empty(self.chunks);
        let share = self.rng.f64();
        for chunk in (0..self.chunks).map(Chunk) {
            if self.rng.f64() < share {
                set.insert(chunk);
            }
        }
        set
    }

    fn load(&mut self) -> SourceLoad {
        SourceLoad {
            uploads: self.rng.u16(..4),
            rate: Rate::new(self.rng.choice([0, 20_000, 1_000_000]).unwrap_or(0)),
        }
    }

    fn someone(&mut self) -> Option<SourceId> {
        self.rng.choice(self.here.clone())
    }

    fn event(&mut self) -> Vec<Event> {
        match self.rng.u8(..100) {
            0..8 if self.here.len() < 6 => {
                let source = SourceId(self.joined);
                self.joined += 1;
                self.here.push(source);
                let round_trip = Duration::from_micros(self.rng.u64(100..200_000));
                let load = self.rng.bool().then(|| self.load());
                let have = self.set();
                let peer = PeerId([self.rng.u8(..3); 16]);
                let may_choose = (have.is_full() && self.rng.bool()).then_some(peer);
                vec![Event::Joined { source, have, may_choose, round_trip, load }]
            }
            8..11 => {
                let Some(source) = self.someone() else { return Vec::new() };
                self.here.retain(|other| *other != source);
                self.open.retain(|(other, _)| *other != source);
                vec![Event::Left(source)]
            }
            11..20 => {
                let first = self.rng.u32(..self.chunks);
                let count = self.rng.u32(1..=(self.chunks - first).min(5));
                Vec::from_iter(
                    self.someone().map(|source| Event::Gained(source, vec![Run::new(Chunk(first), count)])),
                )
            }
            20..25 => {
                let load = self.load();
                Vec::from_iter(self.someone().map(|source| Event::Loaded(source, load)))
            }
            25..45 => vec![Event::Tick],
            _ => self.answer(),
        }
    }

    /// An answer to one of the requests, mostly the chunk.
    fn answer(&mut self) -> Vec<Event> {
        if self.open.is_empty() {
            return vec![Event::Tick];
        }
        let (source, asked) = self.open.remove(self.rng.usize(..self.open.len().min(4)));
        let why =
            [Refusal::Cancelled, Refusal::Busy, Refusal::Gone, Refusal::NotHere, Refusal::NothingBetter];
        if self.rng.u8(..8) == 0 {
            let why = self.rng.choice(why).unwrap_or(Refusal::Busy);
            return vec![Event::Refused(source, asked, why)];
        }
        let chunk = asked.unwrap_or_else(|| Chunk(self.rng.u32(..self.chunks)));
        let mut events = vec![Event::Arriving(source, chunk), Event::Progress(source, 1 << 15)];
        if self.rng.u8(..6) == 0 {
            // The rest comes later, if at all.
            self.open.push((source, Some(chunk)));
            return events;
        }
        events.push(Event::Progress(source, 1 << 15));
        events.push(match self.rng.u8(..12) {
            0 => Event::Corrupt(source, chunk),
            _ if self.had.contains(chunk) => Event::Settled(source, chunk),
            _ => Event::Arrived(source, chunk),
        });
        events
    }
}

/// One run; how many effects of each kind there were.
fn run(seed: u64) -> [usize; 5] {
    let mut rng = fastrand::Rng::with_seed(seed);
    let chunks = rng.choice([1, 3, 5, 12, 70]).unwrap_or(1);
    let size = (u64::from(chunks - 1) << 16) + rng.u64(1..=1 << 16);
    let layout = Arc::new(Layout::new(vec![Geometry::of(size).unwrap()]).unwrap());
    let most = rng.choice([1 << 17, 1 << 30]).unwrap_or(1);
    let (none, all) = (ChunkSet::empty(chunks), ChunkSet::full(chunks));
    let mut fast = Scheduler::new(layout.clone(), none.clone(), &all, most, seed);
    let mut slow = Twin::new(layout, most, seed);
    let now = Instant::now();
    let mut play = Play { rng, chunks, now, joined: 0, open: Vec::new(), here: Vec::new(), had: none };
    let mut kinds = [0; 5];
    for step in 0..STEPS {
        if fast.is_done() && play.rng.u8(..10) == 0 {
            break; // little more will happen
        }
        let pause = play.rng.choice([0, 1, 10, 100, 3000]).unwrap_or(0);
        play.now += Duration::from_millis(pause);
        for event in play.event() {
            let what = format!("seed {seed}, step {step}, {event:?}");
            let expected = slow.step(event.clone(), play.now);
            if let Event::Arrived(_, chunk) = event {
                play.had.insert(chunk);
            }
            let decided = fast.step(event, play.now);
            assert_eq!(decided, expected, "{what}");
            for effect in decided {
                let (kind, open) = match effect {
                    Effect::Ask(source, chunk) => (0, Some((source, Some(chunk)))),
                    Effect::AskAny(source) => (1, Some((source, None))),
                    Effect::AskLoad(_) => (2, None),
                    Effect::Cancel(..) => (3, None),
                    Effect::Close(_) => (4, None),
                };
                kinds[kind] += 1;
                play.open.extend(open);
            }
            assert_eq!(fast.is_helped(), slow.is_helped(), "{what}");
            assert_eq!(fast.is_behind(), slow.is_behind(), "{what}");
            assert_eq!(fast.unavailable(), runs::of(slow.unavailable()), "{what}");
            assert_eq!(fast.had(), &play.had, "{what}");
            assert_eq!(fast.is_done(), play.had.is_full(), "{what}");
        }
    }
    kinds
}

#[test]
fn it_decides_what_its_slow_twin_decides() {
    let mut kinds = [0; 5];
    for seed in 0..RUNS {
        let of_run = run(seed);
        kinds.iter_mut().zip(of_run).for_each(|(all, of_run)| *all += of_run);
    }
    assert!(kinds.iter().all(|count| *count > 50), "each kind of effect was decided often: {kinds:?}");
}
