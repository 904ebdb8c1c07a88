//! Sources that have not what they say they have, or are silent.

use super::*;

#[test]
fn when_who_chooses_has_not_what_it_said_the_next_whole_one_chooses() {
    let now = Instant::now();
    let mut scheduler = scheduler_of(16);
    let whole = |id, peer| {
        let (source, have, may_choose) = (id, ChunkSet::full(16), Some(PeerId([peer; 16])));
        Event::Joined { source, have, may_choose, round_trip: ROUND_TRIP, load: None }
    };
    assert_eq!(scheduler.step(whole(A, 1), now), [Effect::AskAny(A)]);
    let Some(Effect::Ask(B, chunk)) = scheduler.step(whole(B, 2), now).first().cloned() else { panic!() };
    let asked = scheduler.step(Event::Refused(A, None, Refusal::NotHere), now);
    assert!(matches!(asked[..], [Effect::Ask(A, _)]), "by number: {asked:?}");
    let asked = scheduler.step(Event::Arrived(B, chunk), now);
    assert_eq!(asked, [Effect::AskAny(B)]);
    let asked = scheduler.step(Event::Refused(B, None, Refusal::NothingBetter), now);
    assert!(matches!(asked[..], [Effect::Ask(B, _)]), "all by number from now on: {asked:?}");
}

#[test]
fn a_source_fails_that_is_silent_or_has_again_and_again_not_what_it_says() {
    let now = Instant::now();
    let mut scheduler = scheduler_of(16);
    let _ = join(&mut scheduler, A, ChunkSet::full(16), now);
    let _ = join(&mut scheduler, B, ChunkSet::full(16), now);
    for chunk in 0..3 {
        assert!(!scheduler.is_failed_by(A, now), "after {chunk}");
        let _ = scheduler.step(Event::Refused(A, Some(Chunk(chunk)), Refusal::NotHere), now);
    }
    assert!(scheduler.is_failed_by(A, now));
    for chunk in 8..12 {
        let _ = scheduler.step(Event::Refused(B, Some(Chunk(chunk)), Refusal::NotYet), now);
    }
    assert!(!scheduler.is_failed_by(B, now), "what is not there yet was never said to be");
    let later = now + Duration::from_secs(1);
    let _ = scheduler.step(Event::Tick, later - MS);
    assert!(!scheduler.is_failed_by(B, later - MS), "not for long");
    let _ = scheduler.step(Event::Tick, later);
    assert!(scheduler.is_failed_by(B, later), "it owes a chunk and is silent");
    let owed = scheduler.sources(later).find(|(id, _)| *id == B).map(|(_, view)| view.inflight_bytes);
    assert!(owed.is_some());
    let _ = scheduler.step(Event::Progress(B, 1), later);
    assert!(!scheduler.is_failed_by(B, later) && !scheduler.is_failed_by(SourceId(9), later));
}
