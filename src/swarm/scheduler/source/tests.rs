//! What a source owes, has and is trusted for.

use super::super::load::FIRST_WINDOW;
use super::*;

const ROUND_TRIP: Duration = Duration::from_millis(10);
const MS: Duration = Duration::from_millis(1);
const PEER: PeerId = PeerId([1; 16]);

fn source(now: Instant) -> Source {
    Source::new(ChunkSet::full(8), 0, Some(PEER), ROUND_TRIP, now)
}

fn owed(source: &Source, now: Instant) -> Vec<(u32, u64, bool, Duration)> {
    source.owed(now).map(|owed| (owed.chunk.0, owed.bytes, owed.begun, owed.due)).collect()
}

#[test]
fn what_is_asked_is_owed_until_it_is_settled() {
    let now = Instant::now();
    let mut source = source(now);
    source.ask(Chunk(3), 100, now);
    source.ask_any(40, now);
    source.ask_any(41, now);
    assert_eq!((source.inflight_bytes(), source.choices()), (181, 2));
    assert!(!source.begun(Chunk(3), now), "it was asked for by number");
    assert!(source.begun(Chunk(5), now), "the choice was this");
    assert_eq!((source.choices(), Vec::from_iter(source.asked_chunks())), (1, vec![Chunk(3), Chunk(5)]));
    assert_eq!(source.settle(Chunk(5)), Some(40));
    assert_eq!(source.settle(Chunk(5)), None);
    assert_eq!(source.settle_any(), 41);
    assert_eq!((source.inflight_bytes(), source.choices(), source.settle_any()), (100, 0, 0));
    assert!(!source.begun(Chunk(6), now), "nothing was left to choose");
    assert_eq!(source.settle(Chunk(3)), Some(100));
    assert_eq!(source.inflight_bytes(), 0);
}

#[test]
fn one_request_always_has_room_and_more_while_the_window_has() {
    let now = Instant::now();
    let mut source = source(now);
    assert!(source.has_room(now));
    source.ask(Chunk(0), 1, now);
    assert!(source.has_room(now));
    source.ask(Chunk(1), FIRST_WINDOW, now);
    assert!(!source.has_room(now));
    source.settle(Chunk(1));
    source.ask_any(FIRST_WINDOW, now);
    assert!(!source.has_room(now));
    source.settle(Chunk(0));
    source.settle_any();
    source.back_off(now);
    assert!(!source.has_room(now), "it is busy");
}

#[test]
fn of_a_measured_source_what_is_owed_comes_at_its_rate_one_after_the_other() {
    let start = Instant::now();
    let mut source = source(start);
    source.delivered(100_000, start + 100 * MS);
    let now = start + 100 * MS;
    source.ask(Chunk(0), 1000, now);
    source.ask(Chunk(1), 2000, now + 4 * MS);
    assert!(!source.begun(Chunk(0), now));
    let then = now + 4 * MS;
    assert_eq!(owed(&source, then), [(0, 1000, true, 7 * MS), (1, 2000, false, 13 * MS)]);
    source.cancelled(Chunk(0));
    assert_eq!(owed(&source, then), [(1, 2000, false, 13 * MS)], "behind what was cancelled");
    // Later than a trip and a hiccup after the last sign it is late by so much.
    assert_eq!(owed(&source, now + 60 * MS), [(1, 2000, false, 23 * MS)]);
    assert_eq!(source.expected(1000), ROUND_TRIP + 4 * MS);
}

#[test]
fn of_a_new_source_the_time_runs_from_when_it_was_asked() {
    let start = Instant::now();
    let mut source = source(start);
    source.told(SourceLoad { uploads: 0, rate: Rate::new(100_000) }, start);
    source.ask(Chunk(0), 1000, start);
    assert_eq!(owed(&source, start), [(0, 1000, false, 20 * MS)]);
    assert_eq!(owed(&source, start + 15 * MS), [(0, 1000, false, 5 * MS)]);
    assert_eq!(owed(&source, start + 50 * MS), [(0, 1000, false, Duration::ZERO)], "a hiccup is no delay");
    assert_eq!(owed(&source, start + 51 * MS), [(0, 1000, false, MS)], "now it is late");
}

#[test]
fn one_wrong_chunk_is_excused_and_who_loses_one_twice_is_left_alone() {
    let now = Instant::now();
    let mut source = source(now);
    source.was_wrong(Chunk(1));
    source.was_wrong(Chunk(2));
    assert_eq!((source.corrupt(), source.doubted()), (2, [Chunk(1), Chunk(2)].as_slice()));
    source.lost(Chunk(5), now);
    source.lost(Chunk(6), now);
    assert_eq!(source.corrupt(), 1, "once");
    assert!(source.is_well(now));
    source.lost(Chunk(5), now);
    assert!(source.is_paused(now) && !source.is_well(now));
    source.doubts_no_more(Chunk(1));
    assert_eq!(source.doubted(), [Chunk(2)]);
}

#[test]
fn takeovers_have_time_to_show_what_they_bring() {
    let now = Instant::now();
    let mut near = source(now);
    assert!(near.may_steal(now));
    near.has_stolen(now);
    assert!(!near.may_steal(now + 19 * MS) && near.may_steal(now + 20 * MS));
    let mut far = Source::new(ChunkSet::empty(8), 0, None, 30 * MS, now);
    far.has_stolen(now);
    assert!(!far.may_steal(now + 59 * MS) && far.may_steal(now + 60 * MS));
    assert!(far.has_just_come(now + 19 * MS) && !far.has_just_come(now + 20 * MS));
}

#[test]
fn the_lead_over_a_source_counts_from_when_it_came_and_a_whole_one_has_none() {
    let now = Instant::now();
    let mut set = ChunkSet::empty(8);
    set.insert(Chunk(0));
    let mut source = Source::new(set, 5, None, ROUND_TRIP, now);
    assert_eq!(source.lead(5), Some(0));
    source.have.insert(Chunk(1));
    assert_eq!((source.lead(5), source.lead(8)), (Some(-1), Some(2)));
    assert_eq!(super::Source::new(ChunkSet::full(8), 5, Some(PEER), ROUND_TRIP, now).lead(8), None);
}

#[test]
fn a_view_says_what_is_known() {
    let now = Instant::now();
    let mut source = source(now);
    source.told(SourceLoad { uploads: 2, rate: Rate::new(7) }, now);
    source.delivered(100_000, now + 100 * MS);
    source.has_brought();
    source.was_wrong(Chunk(1));
    source.ask(Chunk(3), 1000, now + 100 * MS);
    assert_eq!(
        source.view(4, 1000, Reason::Helps),
        SourceView {
            have: 8,
            useful: 4,
            rate: Rate::new(1_000_000),
            round_trip: ROUND_TRIP,
            inflight_bytes: 1000,
            load: Some(SourceLoad { uploads: 2, rate: Rate::new(7) }),
            bytes: 100_000,
            chunks: 1,
            corrupt: 1,
            cost: 12 * MS,
            stalled: false,
            reason: Reason::Helps,
        }
    );
    assert_eq!(source.may_choose(), Some(PEER));
    source.chooses_no_more();
    assert_eq!(source.may_choose(), None);
}
