//! Which chunk is taken over, from whom, and how.

use super::*;
use crate::content::{ChunkSet, Rate};
use crate::swarm::scheduler::SourceLoad;

const CHUNKS: u32 = 8;
const SLOW: SourceId = SourceId(0);
const FAST: SourceId = SourceId(1);
const MS: Duration = Duration::from_millis(1);

struct Scene {
    chunks: Chunks,
    sources: Sources,
    now: Instant,
}

impl Scene {
    /// One that has delivered 10,000 bytes a second for a while, and one a million, so far away both.
    fn new(round_trip: Duration) -> Scene {
        let all = ChunkSet::full(CHUNKS);
        let (start, mut sources) = (Instant::now(), Sources::default());
        let now = start + 1000 * MS;
        for (id, bytes) in [(SLOW, 10_000), (FAST, 1_000_000)] {
            let mut source = Source::new(all.clone(), 0, None, round_trip, start);
            source.delivered(bytes, now);
            sources.insert(id, source);
        }
        Scene { chunks: Chunks::new(ChunkSet::empty(CHUNKS), &all), sources, now }
    }

    fn asks(&mut self, id: SourceId, chunk: Chunk, bytes: u64) {
        self.sources.ask(id, chunk, bytes, self.now);
        self.chunks.ask(chunk, id);
    }

    fn of_fast(&self) -> Option<Takeover> {
        takeover(&self.chunks, &self.sources, FAST, self.now)
    }

    fn begins(&mut self, chunk: Chunk) {
        assert!(!self.sources.get_mut(SLOW).unwrap().begun(chunk, self.now));
    }
}

fn from_slow(chunk: Chunk, at_once: bool) -> Option<Takeover> {
    Some(Takeover { from: SLOW, chunk, at_once })
}

#[test]
fn what_comes_latest_is_taken_when_it_comes_twice_as_late_and_a_while() {
    let mut scene = Scene::new(10 * MS);
    assert_eq!(scene.of_fast(), None, "nothing is owed");
    // 10 + 40 ms there; 10 ms and half a millisecond here, twice that and 40 ms more are not saved.
    scene.asks(SLOW, Chunk(0), 400);
    assert_eq!(scene.of_fast(), None);
    scene.asks(SLOW, Chunk(1), 600);
    assert_eq!(scene.of_fast(), from_slow(Chunk(1), false), "first the other lets go");
    scene.asks(SLOW, Chunk(2), 100);
    assert_eq!(scene.of_fast(), from_slow(Chunk(2), false), "the last of them");
    scene.asks(SLOW, Chunk(3), 1);
    scene.sources.get_mut(SLOW).unwrap().cancelled(Chunk(3));
    assert_eq!(scene.of_fast(), from_slow(Chunk(2), false), "not what was cancelled");
    let slow = takeover(&scene.chunks, &scene.sources, SLOW, scene.now);
    assert_eq!(slow, None, "from itself nothing");
    scene.sources.get_mut(FAST).unwrap().has_stolen(scene.now);
    assert_eq!(scene.of_fast(), None, "not twice at a time");
}

#[test]
fn only_what_it_has_and_what_it_does_not_owe_itself() {
    let mut scene = Scene::new(10 * MS);
    scene.asks(SLOW, Chunk(0), 10_000);
    scene.sources.get_mut(FAST).unwrap().have.remove(Chunk(0));
    assert_eq!(scene.of_fast(), None);
    scene.sources.get_mut(FAST).unwrap().have.insert(Chunk(0));
    assert_eq!(scene.of_fast(), from_slow(Chunk(0), false));
    scene.asks(FAST, Chunk(0), 10_000);
    assert_eq!(scene.of_fast(), None, "it comes from here, too");
    scene.chunks.release(Chunk(0), FAST);
    scene.chunks.ask(Chunk(0), SourceId(7));
    assert_eq!(scene.of_fast(), None, "two copies are on their way");
    scene.chunks.release(Chunk(0), SourceId(7));
    assert_eq!(scene.of_fast(), from_slow(Chunk(0), false));
}

#[test]
fn what_has_begun_comes_twice_and_so_must_be_much_later() {
    let mut scene = Scene::new(10 * MS);
    scene.asks(SLOW, Chunk(0), 2000);
    scene.begins(Chunk(0));
    // 210 ms; eight times 12 and 160 more.
    assert_eq!(scene.of_fast(), None);
    scene.asks(SLOW, Chunk(1), 1000);
    scene.begins(Chunk(1));
    assert_eq!(scene.of_fast(), from_slow(Chunk(1), true), "310 ms, and at once");
}

#[test]
fn a_far_source_is_not_waited_for() {
    let mut scene = Scene::new(76 * MS);
    scene.asks(SLOW, Chunk(0), 10_000);
    assert_eq!(scene.of_fast(), from_slow(Chunk(0), true));
    let mut near = Scene::new(75 * MS);
    near.asks(SLOW, Chunk(0), 10_000);
    assert_eq!(near.of_fast(), from_slow(Chunk(0), false));
}

#[test]
fn the_last_chunks_are_taken_for_less_and_at_once() {
    let mut scene = Scene::new(10 * MS);
    for chunk in 2..CHUNKS {
        scene.chunks.arrived(Chunk(chunk));
    }
    scene.asks(SLOW, Chunk(0), 1);
    scene.asks(SLOW, Chunk(1), 170);
    // 27 ms; one and a half times 10 and 10 more.
    assert_eq!(scene.of_fast(), from_slow(Chunk(1), true));
    scene.begins(Chunk(1));
    assert_eq!(scene.of_fast(), None, "for what has begun it must still be twice and 40 ms");
    scene.sources.settle(SLOW, Chunk(0));
    scene.chunks.release(Chunk(0), SLOW);
    scene.asks(SLOW, Chunk(0), 500);
    scene.begins(Chunk(0));
    assert_eq!(scene.of_fast(), from_slow(Chunk(0), true), "77 ms against 21 and 40");
}

/// Two that have delivered nothing, and say how much they send.
fn newcomers(slow: u64, fast: u64, came: Duration) -> Scene {
    let all = ChunkSet::full(CHUNKS);
    let (now, mut sources) = (Instant::now(), Sources::default());
    for (id, rate) in [(SLOW, slow), (FAST, fast)] {
        let mut source = Source::new(all.clone(), 0, None, 10 * MS, now);
        source.told(SourceLoad { uploads: 0, rate: Rate::new(rate) }, now);
        sources.insert(id, source);
    }
    let mut scene = Scene { chunks: Chunks::new(ChunkSet::empty(CHUNKS), &all), sources, now: now + came };
    scene.asks(SLOW, Chunk(0), 1000);
    scene
}

#[test]
fn who_has_delivered_nothing_is_left_for_little_but_not_again_and_again() {
    // 60 ms there, 20 ms here.
    let mut scene = newcomers(20_000, 100_000, 20 * MS);
    scene.sources.get_mut(FAST).unwrap().has_stolen(scene.now);
    assert_eq!(scene.of_fast(), from_slow(Chunk(0), false), "however short ago it took another");
    scene.chunks.ask(Chunk(0), SourceId(7));
    scene.chunks.ask(Chunk(0), SourceId(8));
    assert_eq!(scene.of_fast(), from_slow(Chunk(0), false), "copies that wait for their turn do not count");
    scene.chunks.count_move(Chunk(0));
    scene.chunks.count_move(Chunk(0));
    assert_eq!(scene.of_fast(), from_slow(Chunk(0), false), "49.5 ms and 10 are still less");
    scene.chunks.count_move(Chunk(0));
    assert_eq!(scene.of_fast(), None, "74 ms are not");
    let mut fresh = newcomers(20_000, 100_000, 19 * MS);
    (0..9).for_each(|_| fresh.chunks.count_move(Chunk(0)));
    assert_eq!(fresh.of_fast(), from_slow(Chunk(0), false), "who has just come knows what is");
    let near = newcomers(40_000, 100_000, 20 * MS);
    assert_eq!(near.of_fast(), from_slow(Chunk(0), false), "35 ms against 22 and 10");
    let nearer = newcomers(50_000, 100_000, 20 * MS);
    assert_eq!(nearer.of_fast(), None, "30 ms against 22 and 10");
}

#[test]
fn a_silent_source_gives_up_what_others_can_send_and_do_not_yet() {
    let mut scene = Scene::new(10 * MS);
    (0..4).map(Chunk).for_each(|chunk| scene.asks(SLOW, chunk, 10));
    scene.asks(FAST, Chunk(1), 10);
    scene.sources.get_mut(FAST).unwrap().have.remove(Chunk(2));
    assert_eq!(given_up(&scene.chunks, &scene.sources, SLOW), [Chunk(0), Chunk(3)]);
    assert!(scene.sources.get_mut(FAST).unwrap().stalls(scene.now + Duration::from_secs(60)));
    assert!(given_up(&scene.chunks, &scene.sources, SLOW).is_empty(), "the other is silent, too");
}
