//! What the scheduler decides, verb by verb, in virtual time; and that a slow twin decides the same.

mod random;
mod trust;
mod twin;

use std::time::Duration;

use super::pace::MIN_STALL;
use super::spared::SPARE_AFTER;
use super::*;
use crate::content::{Geometry, PeerId, Rate, Run};

const CHUNKS: u32 = 4;
const CHUNK_BYTES: u64 = 1 << 16;
const ROUND_TRIP: Duration = Duration::from_millis(1);
const PEER: PeerId = PeerId([1; 16]);

fn scheduler() -> Scheduler {
    scheduler_of(CHUNKS)
}

fn scheduler_of(chunks: u32) -> Scheduler {
    let file = Geometry::of(u64::from(chunks) << 16).unwrap();
    let layout = Arc::new(Layout::new(vec![file]).unwrap());
    let all = ChunkSet::full(chunks);
    Scheduler::new(layout, ChunkSet::empty(chunks), &all, 1 << 30, 1)
}

fn join(scheduler: &mut Scheduler, source: SourceId, have: ChunkSet, now: Instant) -> Vec<Effect> {
    scheduler.step(Event::Joined { source, have, may_choose: None, round_trip: ROUND_TRIP, load: None }, now)
}

#[test]
fn who_is_to_be_spared_gives_what_nobody_has_and_the_rest_when_others_do_nothing() {
    let (spare, other) = (SourceId(1), SourceId(2));
    let now = Instant::now();
    let mut scheduler = scheduler_of(8);
    assert_eq!(scheduler.step(Event::Spare(spare), now), []);
    let whole = |source| joined(source, ChunkSet::full(8), true, None);
    let asked = scheduler.step(whole(spare), now);
    assert!(!asked.is_empty() && asked.iter().all(|effect| *effect == Effect::AskAny(spare)), "{asked:?}");
    let refused = Event::Refused(spare, None, Refusal::NothingBetter);
    let mut effects = Vec::new();
    asked.iter().for_each(|_| effects.extend(scheduler.step(refused.clone(), now)));
    assert_eq!(effects, [], "all of it has been given to somebody");
    let mut have = ChunkSet::empty(8);
    assert!(have.insert(Chunk(3)));
    let asked = scheduler.step(joined(other, have, false, None), now);
    assert_eq!(asked, [Effect::Ask(other, Chunk(3))]);
    let asks = |effects: Vec<Effect>| -> Vec<Chunk> {
        let of = |effect| if let Effect::Ask(source, chunk) = effect { Some((source, chunk)) } else { None };
        let asked = effects.into_iter().filter_map(of).filter(|(source, _)| *source == spare);
        asked.map(|(_, chunk)| chunk).collect()
    };
    let late = now + SPARE_AFTER - Duration::from_millis(1);
    assert!(asks(scheduler.step(Event::Tick, late)).is_empty(), "the other may get more");
    let chunks = asks(scheduler.step(Event::Tick, now + SPARE_AFTER));
    assert!(!chunks.is_empty() && !chunks.contains(&Chunk(3)), "{chunks:?}");
}

#[test]
fn who_is_to_be_spared_gives_what_others_have_when_they_do_nothing_for_long() {
    let (spare, other) = (SourceId(1), SourceId(2));
    let now = Instant::now();
    let mut scheduler = scheduler_of(3);
    assert_eq!(scheduler.step(Event::Spare(spare), now), []);
    assert_eq!(
        scheduler.step(joined(other, ChunkSet::of(3, &[0, 1]), false, None), now),
        [Effect::Ask(other, Chunk(1))]
    );
    assert_eq!(scheduler.step(joined(spare, ChunkSet::full(3), false, None), now), []);
    // The other shows life, and brings nothing.
    let mut ticked = |ms: u32| {
        let at = now + ms * MS;
        assert_eq!(scheduler.step(Event::Progress(other, 1), at), []);
        let effects = scheduler.step(Event::Tick, at);
        if effects.contains(&Effect::Ask(spare, Chunk(2))) {
            assert_eq!(
                scheduler.step(Event::Arrived(spare, Chunk(2)), at),
                [],
                "what the other has is left to it"
            );
        }
        effects
    };
    assert_eq!((ticked(250), ticked(499)), (vec![], vec![]));
    assert_eq!(ticked(500), [Effect::Ask(spare, Chunk(2))], "nobody else has it");
    (3..12).for_each(|quarter| assert_eq!(ticked(quarter * 250), []));
    assert_eq!((ticked(2999), ticked(3000)), (vec![], vec![Effect::Ask(spare, Chunk(0))]));
}

#[test]
fn a_wrong_chunk_is_asked_again_of_the_only_one_who_has_it_until_that_one_is_closed() {
    let (mut scheduler, now, only) = (scheduler_of(1), Instant::now(), SourceId(0));
    let asked = join(&mut scheduler, only, ChunkSet::full(1), now);
    assert!(asked.contains(&Effect::Ask(only, Chunk(0))), "{asked:?}");
    for _ in 1..MAX_CORRUPT {
        let again = scheduler.step(Event::Corrupt(only, Chunk(0)), now);
        assert_eq!(again, [Effect::Ask(only, Chunk(0))]);
    }
    let last = scheduler.step(Event::Corrupt(only, Chunk(0)), now);
    assert!(last.contains(&Effect::Close(only)), "{last:?}");
}

#[test]
fn a_source_that_can_choose_nothing_any_more_is_asked_by_number_and_then_no_more() {
    const CHUNKS: u32 = FEW_CHUNKS + 1;
    let (mut scheduler, now, only) = (scheduler_of(CHUNKS), Instant::now(), SourceId(0));
    let have = ChunkSet::full(CHUNKS);
    let joined =
        Event::Joined { source: only, have, may_choose: Some(PEER), round_trip: ROUND_TRIP, load: None };
    let mut asked = scheduler.step(joined, now);
    assert!(!asked.is_empty() && asked.iter().all(|effect| *effect == Effect::AskAny(only)), "{asked:?}");
    let mut numbers = Vec::new();
    while let Some(effect) = asked.pop() {
        let refused = match effect {
            Effect::Ask(_, chunk) => {
                numbers.push(chunk);
                Some(chunk)
            }
            _ => None,
        };
        asked.extend(scheduler.step(Event::Refused(only, refused, Refusal::Gone), now));
    }
    numbers.sort_unstable();
    assert_eq!(numbers, Vec::from_iter((0..CHUNKS).map(Chunk)), "each is asked for by its number, once");
    assert!(scheduler.sources(now).all(|(_, view)| view.useful == 0), "it is of no use");
}

#[test]
fn under_a_limit_no_more_is_asked_for_than_is_allowed_and_by_number() {
    const CHUNKS: u32 = FEW_CHUNKS + 1;
    const CHUNK: i64 = CHUNK_BYTES as i64;
    let (mut scheduler, now) = (scheduler_of(CHUNKS), Instant::now());
    let joined = |number| {
        let (source, have) = (SourceId(number), ChunkSet::full(CHUNKS));
        Event::Joined { source, have, may_choose: Some(PEER), round_trip: ROUND_TRIP, load: None }
    };
    scheduler.allow(Some(0));
    assert_eq!((scheduler.step(joined(0), now), scheduler.spent()), (Vec::new(), 0));
    scheduler.allow(Some(1));
    let asked = scheduler.step(Event::Tick, now);
    let [Effect::Ask(_, chunk)] = asked[..] else { panic!("a chunk is begun with a byte: {asked:?}") };
    assert_eq!(scheduler.spent(), CHUNK);
    scheduler.allow(Some(0));
    assert_eq!(scheduler.step(Event::Tick, now), []);
    // What will not come may be asked for again.
    let again = scheduler.step(Event::Refused(SourceId(0), Some(chunk), Refusal::Cancelled), now);
    assert!(matches!(again[..], [Effect::Ask(..)]), "{again:?}");
    assert_eq!(scheduler.spent(), 0);
    assert_eq!((scheduler.step(Event::Left(SourceId(0)), now), scheduler.spent()), (Vec::new(), -CHUNK));
    scheduler.allow(None);
    let choices = scheduler.step(joined(1), now).len() as i64;
    assert_eq!(scheduler.spent(), choices * CHUNK, "a free choice counts, too");
    scheduler.allow(Some(0));
    let refused = scheduler.step(Event::Refused(SourceId(1), None, Refusal::NothingBetter), now);
    assert!(matches!(refused[..], [Effect::Ask(..)]), "{refused:?}");
    assert_eq!(scheduler.spent(), 0);
}

#[test]
fn a_wrong_chunk_is_asked_elsewhere_first_and_again_when_nobody_else_is_left() {
    let (mut scheduler, now) = (scheduler_of(1), Instant::now());
    let (liar, honest) = (SourceId(0), SourceId(1));
    let asked = join(&mut scheduler, liar, ChunkSet::full(1), now);
    assert_eq!(asked.len(), 1);
    assert_eq!(join(&mut scheduler, honest, ChunkSet::full(1), now), []);
    assert_eq!(scheduler.step(Event::Corrupt(liar, Chunk(0)), now), [Effect::Ask(honest, Chunk(0))]);
    let left = scheduler.step(Event::Left(honest), now);
    assert_eq!(left, [Effect::Ask(liar, Chunk(0))], "nobody else has it");
}

#[test]
fn what_a_source_lost_is_asked_of_it_again_once_it_says_anew_that_it_has_it() {
    let (mut scheduler, now, only) = (scheduler_of(1), Instant::now(), SourceId(0));
    assert!(join(&mut scheduler, only, ChunkSet::full(1), now).contains(&Effect::Ask(only, Chunk(0))));
    let gone = || Event::Refused(only, Some(Chunk(0)), Refusal::Gone);
    assert_eq!(scheduler.step(gone(), now), []);
    assert!(!scheduler.is_helped());
    assert_eq!(
        scheduler.step(Event::Gained(only, vec![Run::new(Chunk(0), 1)]), now),
        [Effect::Ask(only, Chunk(0))]
    );
    // One that says so and has it not, again and again, is asked less and less.
    let _ = scheduler.step(gone(), now);
    assert_eq!(scheduler.step(Event::Gained(only, vec![Run::new(Chunk(0), 1)]), now), [], "not at once");
    let later = now + Duration::from_secs(1);
    assert_eq!(scheduler.step(Event::Tick, later), [Effect::Ask(only, Chunk(0))]);
}

#[test]
fn one_wrong_chunk_is_excused_by_a_change_of_the_file_and_no_more() {
    let (mut scheduler, now, only) = (scheduler_of(1), Instant::now(), SourceId(0));
    let _ = join(&mut scheduler, only, ChunkSet::full(1), now);
    let mut wrong = 0;
    let mut closed = false;
    while !closed {
        wrong += 1;
        closed = scheduler.step(Event::Corrupt(only, Chunk(0)), now).contains(&Effect::Close(only));
        // A liar says after each that its file has changed, and then that it is back.
        let _ = scheduler.step(Event::Refused(only, Some(Chunk(0)), Refusal::Gone), now);
        let _ = scheduler.step(Event::Gained(only, vec![Run::new(Chunk(0), 1)]), now);
    }
    assert_eq!(wrong, MAX_CORRUPT + 1);
}

#[test]
fn nothing_is_missing_before_the_first_source_has_come() {
    let (mut scheduler, now) = (scheduler(), Instant::now());
    assert_eq!(scheduler.unavailable(), [], "those who start with us have nothing, and are worth knowing");
    let _ = join(&mut scheduler, SourceId(0), ChunkSet::empty(CHUNKS), now);
    assert_eq!(scheduler.unavailable(), [Run::new(Chunk(0), CHUNKS)]);
    let _ = join(&mut scheduler, SourceId(1), ChunkSet::full(CHUNKS), now);
    assert_eq!(scheduler.unavailable(), []);
}

#[test]
fn the_last_chunks_are_asked_elsewhere_without_waiting_for_a_slow_source_to_let_go() {
    let (mut scheduler, start) = (scheduler(), Instant::now());
    let (slow, fast) = (SourceId(0), SourceId(1));
    let mut one = ChunkSet::empty(CHUNKS);
    one.insert(Chunk(0));
    let asked = join(&mut scheduler, slow, one, start);
    assert_eq!(asked, [Effect::Ask(slow, Chunk(0))]);
    let mut asked = join(&mut scheduler, fast, ChunkSet::full(CHUNKS), start);
    let mut now = start;
    let mut elsewhere = None;
    while elsewhere.is_none() && now < start + MIN_STALL {
        now += Duration::from_millis(5);
        let mut next = Vec::new();
        for chunk in asked.iter().filter_map(|effect| match effect {
            Effect::Ask(source, chunk) if *source == fast => Some(*chunk),
            _ => None,
        }) {
            next.extend(scheduler.step(Event::Progress(fast, CHUNK_BYTES), now));
            next.extend(scheduler.step(Event::Arrived(fast, chunk), now));
        }
        // The slow one sends a little, and so does not stall.
        next.extend(scheduler.step(Event::Progress(slow, 64), now));
        next.extend(scheduler.step(Event::Tick, now));
        elsewhere = next.iter().position(|effect| *effect == Effect::Ask(fast, Chunk(0)));
        asked = next;
    }
    let asked_at = elsewhere.expect("it is asked of the fast one");
    assert_eq!(asked[asked_at - 1], Effect::Cancel(slow, Chunk(0)), "and of the slow one no more: {asked:?}");
}

#[test]
fn who_gained_less_than_its_sources_since_they_came_is_behind() {
    let (mut scheduler, now) = (scheduler_of(16), Instant::now());
    let (seeder, ahead, late) = (SourceId(0), SourceId(1), SourceId(2));
    let _ = join(&mut scheduler, seeder, ChunkSet::full(16), now);
    assert!(!scheduler.is_behind(), "a seeder gains nothing");
    let mut many = ChunkSet::empty(16);
    (0..8).for_each(|chunk| _ = many.insert(Chunk(chunk)));
    let _ = join(&mut scheduler, ahead, many, now);
    assert!(!scheduler.is_behind(), "what it had before says nothing");
    let _ = scheduler.step(Event::Gained(ahead, vec![Run::new(Chunk(8), 1)]), now);
    assert!(scheduler.is_behind());
    let _ = scheduler.step(Event::Arrived(seeder, Chunk(0)), now);
    assert!(!scheduler.is_behind(), "as much as it");
    let _ = join(&mut scheduler, late, ChunkSet::empty(16), now);
    let _ = scheduler.step(Event::Gained(late, vec![Run::new(Chunk(3), 2)]), now);
    assert!(scheduler.is_behind(), "what was here before it came says nothing either");
    let _ = scheduler.step(Event::Arrived(seeder, Chunk(1)), now);
    assert!(!scheduler.is_behind(), "one more than the first, one less than the other");
    let _ = scheduler.step(Event::Gained(ahead, vec![Run::new(Chunk(9), 7)]), now);
    assert!(scheduler.is_behind(), "it has all now, and counts still");
    let _ = scheduler.step(Event::Left(ahead), now);
    let _ = scheduler.step(Event::Left(late), now);
    assert!(!scheduler.is_behind(), "with nobody but the seeder");
}

// Verb by verb: the exact list of effects.

const A: SourceId = SourceId(0);
const B: SourceId = SourceId(1);
const MS: Duration = Duration::from_millis(1);

fn joined(source: SourceId, have: ChunkSet, chooses: bool, load: Option<SourceLoad>) -> Event {
    let may_choose = chooses.then_some(PEER);
    Event::Joined { source, have, may_choose, round_trip: ROUND_TRIP, load }
}

#[test]
fn who_joins_is_asked_for_what_its_window_holds_and_for_its_load_if_it_tells_it() {
    let now = Instant::now();
    let mut scheduler = scheduler_of(16);
    assert_eq!(scheduler.step(joined(A, ChunkSet::full(16), true, None), now), [Effect::AskAny(A)]);
    let load = Some(SourceLoad { uploads: 1, rate: None });
    let asked = scheduler.step(joined(B, ChunkSet::full(16), false, load), now);
    assert_eq!(asked, [Effect::Ask(B, Chunk(1)), Effect::AskLoad(B)], "from where its seed says");
    assert_eq!(scheduler.step(joined(SourceId(2), ChunkSet::empty(16), false, load), now), []);
    let mut few = scheduler_of(FEW_CHUNKS);
    let asked = few.step(joined(A, ChunkSet::full(FEW_CHUNKS), true, None), now);
    assert_eq!(asked, [Effect::Ask(A, Chunk(1))], "of few each by number");
}

#[test]
fn what_is_said_to_cost_so_much_is_a_whole_chunk_behind_all_that_is_owed() {
    let now = Instant::now();
    let mut scheduler = scheduler_of(16);
    let load = Some(SourceLoad { uploads: 1, rate: Rate::new(2 * CHUNK_BYTES) });
    let _ = scheduler.step(joined(A, ChunkSet::full(16), false, load), now);
    let (source, view) = scheduler.sources(now).next().unwrap();
    let seconds = view.inflight_bytes / CHUNK_BYTES + 1;
    assert!(seconds > 1, "something was asked for");
    assert_eq!((source, view.cost), (A, ROUND_TRIP + Duration::from_secs(seconds)));
}

#[test]
fn what_a_much_faster_source_will_have_soon_is_not_asked_of_a_slow_one() {
    const CHUNKS: u32 = 64;
    let now = Instant::now();
    let load = |rate| Some(SourceLoad { uploads: 0, rate: Rate::new(rate) });
    let slow = joined(B, ChunkSet::full(CHUNKS), false, load(10_000));
    let asked = |effects: &[Effect], of| {
        effects.iter().filter(|effect| matches!(effect, Effect::Ask(source, _) if *source == of)).count()
    };
    let mut scheduler = scheduler_of(CHUNKS);
    let fast = joined(A, ChunkSet::full(CHUNKS), false, load(100_000_000));
    assert!((1..CHUNKS as usize).contains(&asked(&scheduler.step(fast, now), A)), "there are more");
    assert_eq!(asked(&scheduler.step(slow.clone(), now), B), 0);
    let mut alone = scheduler_of(CHUNKS);
    assert_eq!(asked(&alone.step(slow, now), B), 1, "who is alone is asked however slow it is");
}

#[test]
fn no_more_is_in_flight_than_may_be() {
    let file = Geometry::of(16 << 16).unwrap();
    let layout = Arc::new(Layout::new(vec![file]).unwrap());
    let (none, all) = (ChunkSet::empty(16), ChunkSet::full(16));
    let mut scheduler = Scheduler::new(layout, none, &all, CHUNK_BYTES + 1, 0);
    let now = Instant::now();
    assert_eq!(join(&mut scheduler, A, all.clone(), now), [Effect::Ask(A, Chunk(0))]);
    assert_eq!(join(&mut scheduler, B, all.clone(), now), [Effect::Ask(B, Chunk(1))]);
    assert_eq!(join(&mut scheduler, SourceId(2), all, now), []);
    assert_eq!(scheduler.step(Event::Arrived(A, Chunk(0)), now), [Effect::Ask(A, Chunk(2))]);
}

#[test]
fn what_a_source_chose_is_asked_of_nobody_else_any_more() {
    let now = Instant::now();
    let mut scheduler = scheduler_of(16);
    assert_eq!(join(&mut scheduler, A, ChunkSet::of(16, &[3]), now), [Effect::Ask(A, Chunk(3))]);
    assert_eq!(scheduler.step(joined(B, ChunkSet::full(16), true, None), now), [Effect::AskAny(B)]);
    assert_eq!(scheduler.step(Event::Arriving(B, Chunk(3)), now), [Effect::Cancel(A, Chunk(3))]);
    assert_eq!(scheduler.step(Event::Arriving(B, Chunk(3)), now), [], "it is known by now");
    assert_eq!(
        scheduler.step(Event::Arrived(B, Chunk(3)), now),
        [Effect::Cancel(A, Chunk(3)), Effect::AskAny(B)]
    );
    assert_eq!(scheduler.had(), &ChunkSet::of(16, &[3]));
}

#[test]
fn what_was_settled_is_asked_again_if_it_is_still_wanted() {
    let now = Instant::now();
    let mut scheduler = scheduler_of(1);
    assert_eq!(join(&mut scheduler, A, ChunkSet::full(1), now), [Effect::Ask(A, Chunk(0))]);
    assert_eq!(scheduler.step(Event::Settled(A, Chunk(0)), now), [Effect::Ask(A, Chunk(0))]);
    assert_eq!(scheduler.step(Event::Settled(B, Chunk(0)), now), [], "nobody knows of it");
    assert_eq!(scheduler.step(Event::Arrived(A, Chunk(0)), now), []);
    assert!(scheduler.is_done());
    assert_eq!(scheduler.step(Event::Settled(A, Chunk(0)), now), []);
}

#[test]
fn who_is_busy_is_asked_later() {
    let now = Instant::now();
    for asked in [Some(Chunk(0)), None] {
        let mut scheduler = scheduler_of(8);
        let first = scheduler.step(joined(A, ChunkSet::full(8), asked.is_none(), None), now);
        let again = asked.map_or(Effect::AskAny(A), |_| Effect::Ask(A, Chunk(1)));
        assert_eq!(first, [again]);
        let refused = Event::Refused(A, asked.map(|_| Chunk(1)), Refusal::Busy);
        assert_eq!(scheduler.step(refused, now), []);
        assert_eq!(scheduler.step(Event::Tick, now + 199 * MS), []);
        let later = scheduler.step(Event::Tick, now + 200 * MS);
        let next = asked.map_or(Effect::AskAny(A), |_| Effect::Ask(A, Chunk(2)));
        assert_eq!(later, [next]);
    }
}

#[test]
fn what_a_silent_source_owes_is_asked_of_another_and_it_is_closed_in_the_end() {
    let now = Instant::now();
    let mut scheduler = scheduler_of(8);
    assert_eq!(join(&mut scheduler, A, ChunkSet::of(8, &[0]), now), [Effect::Ask(A, Chunk(0))]);
    assert_eq!(join(&mut scheduler, B, ChunkSet::of(8, &[0, 1]), now + MS), [Effect::Ask(B, Chunk(1))]);
    assert_eq!(scheduler.step(Event::Tick, now + MIN_STALL), []);
    assert_eq!(scheduler.step(Event::Tick, now + MIN_STALL + MS), [Effect::Cancel(A, Chunk(0))]);
    let later = now + MIN_STALL + MS;
    assert_eq!(scheduler.step(Event::Progress(B, CHUNK_BYTES), later), []);
    assert_eq!(scheduler.step(Event::Arrived(B, Chunk(1)), later), [Effect::Ask(B, Chunk(0))]);
    let ticked = scheduler.step(Event::Tick, now + 10_000 * MS);
    assert!(!ticked.contains(&Effect::Close(A)), "{ticked:?}");
    let ticked = scheduler.step(Event::Tick, now + 10_001 * MS);
    assert!(ticked.contains(&Effect::Close(A)), "{ticked:?}");
}

#[test]
fn who_leaves_leaves_nothing_in_flight() {
    let now = Instant::now();
    let mut scheduler = scheduler_of(16);
    assert_eq!(scheduler.step(joined(A, ChunkSet::full(16), true, None), now), [Effect::AskAny(A)]);
    assert_eq!(join(&mut scheduler, B, ChunkSet::of(16, &[5]), now), [Effect::Ask(B, Chunk(5))]);
    assert_eq!(scheduler.step(Event::Left(B), now), []);
    assert_eq!(scheduler.step(Event::Left(B), now), []);
    assert_eq!(scheduler.step(Event::Arriving(B, Chunk(5)), now), []);
    assert_eq!(scheduler.step(Event::Progress(B, 5), now), []);
    assert_eq!(scheduler.step(Event::Left(A), now), []);
    assert_eq!(scheduler.step(Event::Gained(A, vec![Run::new(Chunk(0), 1)]), now), []);
    assert_eq!(scheduler.step(Event::Loaded(A, SourceLoad { uploads: 0, rate: None }), now), []);
    assert_eq!(
        join(&mut scheduler, SourceId(2), ChunkSet::of(16, &[5]), now),
        [Effect::Ask(SourceId(2), Chunk(5))]
    );
}

#[test]
fn what_is_wanted_later_is_asked_of_who_is_there_already() {
    let (file, now) = (Geometry::of(4 << 16).unwrap(), Instant::now());
    let layout = Arc::new(Layout::new(vec![file]).unwrap());
    let nothing = ChunkSet::empty(4);
    let mut scheduler = Scheduler::new(layout, nothing.clone(), &nothing, 1 << 30, 1);
    assert_eq!(join(&mut scheduler, A, ChunkSet::of(4, &[1, 2]), now), []);
    assert!(scheduler.is_done() && !scheduler.is_helped() && scheduler.unavailable().is_empty());
    assert_eq!(scheduler.step(Event::Wanted(ChunkSet::of(4, &[2, 3])), now), [Effect::Ask(A, Chunk(2))]);
    assert!(!scheduler.is_done() && scheduler.is_helped());
    assert_eq!(scheduler.unavailable(), [Run::new(Chunk(3), 1)]);
    assert_eq!(scheduler.step(Event::Arriving(A, Chunk(2)), now), []);
    assert_eq!(scheduler.step(Event::Progress(A, CHUNK_BYTES), now), []);
    assert_eq!(scheduler.step(Event::Arrived(A, Chunk(2)), now), []);
    assert_eq!(scheduler.step(Event::Wanted(ChunkSet::of(4, &[2])), now), [], "it is here");
    assert_eq!(scheduler.step(Event::Wanted(ChunkSet::of(4, &[1])), now), [Effect::Ask(A, Chunk(1))]);
}

#[test]
fn what_is_needed_together_is_asked_of_each_source_in_order_from_where_this_peer_begins() {
    const CHUNKS: u32 = 64;
    let (mut scheduler, now) = (scheduler_of(CHUNKS), Instant::now());
    assert_eq!(scheduler.step(Event::InOrder, now), []);
    let of = |odd: u32| (0..CHUNKS).filter(|chunk| chunk % 2 == odd).collect::<Vec<u32>>();
    let mut asked: [Vec<u32>; 2] = [Vec::new(), Vec::new()];
    let mut left: Vec<(SourceId, Chunk)> = Vec::new();
    let mut note = |effects: Vec<Effect>, left: &mut Vec<(SourceId, Chunk)>| {
        for effect in effects {
            if let Effect::Ask(source, chunk) = effect {
                asked[source.0 as usize].push(chunk.0);
                left.push((source, chunk));
            }
        }
    };
    note(join(&mut scheduler, A, ChunkSet::of(CHUNKS, &of(0)), now), &mut left);
    note(join(&mut scheduler, B, ChunkSet::of(CHUNKS, &of(1)), now), &mut left);
    while !left.is_empty() {
        let (source, chunk) = left.remove(0);
        let arrives = [Event::Arriving(source, chunk), Event::Progress(source, CHUNK_BYTES)];
        for event in arrives.into_iter().chain([Event::Arrived(source, chunk)]) {
            note(scheduler.step(event, now), &mut left);
        }
    }
    assert!(scheduler.is_done());
    // The seed is 1: so the first chunk is the last that the one is asked for.
    let from_one = |odd| [of(odd).split_off(1 - odd as usize), of(odd)[..1 - odd as usize].to_vec()].concat();
    assert_eq!(asked, [from_one(0), from_one(1)]);
}

#[test]
fn what_somebody_waits_for_is_asked_for_first_in_its_order_and_of_who_could_choose() {
    const CHUNKS: u32 = 40;
    let (mut scheduler, now, whole) = (scheduler_of(CHUNKS), Instant::now(), SourceId(0));
    scheduler.press(Run::new(Chunk(30), 3));
    let asked = scheduler.step(joined(whole, ChunkSet::full(CHUNKS), true, None), now);
    let first: Vec<&Effect> = asked.iter().filter(|effect| matches!(effect, Effect::Ask(..))).collect();
    let pressing = [30, 31, 32].map(|chunk| Effect::Ask(whole, Chunk(chunk)));
    let wanted: Vec<&Effect> = pressing.iter().take(first.len()).collect();
    assert!(!first.is_empty() && first == wanted, "{asked:?}");
    let after = asked.iter().skip(first.len());
    assert!(
        after.clone().all(|effect| *effect == Effect::AskAny(whole)),
        "the rest is left to it: {asked:?}"
    );
    let (mut scheduler, part) = (scheduler_of(CHUNKS), SourceId(1));
    scheduler.press(Run::new(Chunk(30), 3));
    let mut have = ChunkSet::empty(CHUNKS);
    assert!([2, 32].into_iter().all(|chunk| have.insert(Chunk(chunk))));
    let asked = join(&mut scheduler, part, have, now);
    assert!(
        asked.starts_with(&[Effect::Ask(part, Chunk(32))]),
        "who has only some of it gives that: {asked:?}"
    );
}
