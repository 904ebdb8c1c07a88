//! What becomes of a chunk that came wrong, in virtual time.

use std::time::Duration;

use super::*;
use crate::content::Geometry;

const CHUNKS: u32 = 4;
const ROUND_TRIP: Duration = Duration::from_millis(1);

fn scheduler() -> Scheduler {
    let file = Geometry::of(u64::from(CHUNKS) << 16).unwrap();
    let layout = Arc::new(Layout::new(vec![file]).unwrap());
    let all = ChunkSet::full(CHUNKS);
    Scheduler::new(layout, ChunkSet::empty(CHUNKS), &all, Limits { max_inflight_bytes: 1 << 30 }, 1)
}

fn join(scheduler: &mut Scheduler, source: SourceId, have: ChunkSet, now: Instant) -> Vec<Effect> {
    scheduler.step(Event::Joined { source, have, chooses: false, round_trip: ROUND_TRIP }, now)
}

#[test]
fn a_wrong_chunk_is_asked_again_of_the_only_one_who_has_it_until_that_one_is_closed() {
    let (mut scheduler, now, only) = (scheduler(), Instant::now(), SourceId(0));
    let asked = join(&mut scheduler, only, ChunkSet::full(CHUNKS), now);
    assert!(asked.contains(&Effect::Ask(only, 0)), "{asked:?}");
    for _ in 1..MAX_CORRUPT {
        let again = scheduler.step(Event::Corrupt(only, 0), now);
        assert_eq!(again, [Effect::Ask(only, 0)]);
    }
    let last = scheduler.step(Event::Corrupt(only, 0), now);
    assert!(last.contains(&Effect::Close(only)), "{last:?}");
}

#[test]
fn a_source_that_can_choose_nothing_any_more_is_asked_by_number_and_then_no_more() {
    let (mut scheduler, now, only) = (scheduler(), Instant::now(), SourceId(0));
    let have = ChunkSet::full(CHUNKS);
    let joined = Event::Joined { source: only, have, chooses: true, round_trip: ROUND_TRIP };
    let asked = scheduler.step(joined, now);
    assert_eq!(asked, vec![Effect::AskAny(only); CHUNKS as usize]);
    let mut numbers = Vec::new();
    for _ in 0..CHUNKS {
        numbers.extend(scheduler.step(Event::Refused(only, None, Refusal::Gone), now));
    }
    assert_eq!(numbers.len(), CHUNKS as usize, "{numbers:?}");
    for chunk in 0..CHUNKS {
        assert!(numbers.contains(&Effect::Ask(only, chunk)));
        assert_eq!(scheduler.step(Event::Refused(only, Some(chunk), Refusal::Gone), now), []);
    }
    assert!(scheduler.sources().all(|(_, view)| view.useful == 0), "it is of no use");
}

#[test]
fn a_wrong_chunk_is_asked_elsewhere_first_and_again_when_nobody_else_is_left() {
    let (mut scheduler, now) = (scheduler(), Instant::now());
    let (liar, honest) = (SourceId(0), SourceId(1));
    let asked = join(&mut scheduler, liar, ChunkSet::full(CHUNKS), now);
    assert_eq!(asked.len(), CHUNKS as usize);
    assert_eq!(join(&mut scheduler, honest, ChunkSet::full(CHUNKS), now), []);
    assert_eq!(scheduler.step(Event::Corrupt(liar, 2), now), [Effect::Ask(honest, 2)]);
    let left = scheduler.step(Event::Left(honest), now);
    assert_eq!(left, [Effect::Ask(liar, 2)], "nobody else has it");
}
