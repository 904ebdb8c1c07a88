//! What a source's pace is after so many bytes in so much time.

use super::*;

const ROUND_TRIP: Duration = Duration::from_millis(10);
const MS: Duration = Duration::from_millis(1);

fn load(uploads: u16, rate: u64) -> SourceLoad {
    SourceLoad { uploads, rate: Rate::new(rate) }
}

#[test]
fn a_rate_is_what_came_in_a_tenth_of_a_second_and_half_of_what_it_was() {
    let start = Instant::now();
    let mut pace = Pace::new(ROUND_TRIP, start);
    assert!(pace.is_new());
    pace.delivered(10_000, start + 99 * MS);
    assert!(pace.is_new() && pace.speed().is_none());
    pace.delivered(10_000, start + 100 * MS);
    assert_eq!(pace.rate(), Rate::new(200_000));
    assert!(!pace.is_new());
    pace.delivered(40_000, start + 200 * MS);
    assert_eq!(pace.rate(), Rate::new(300_000), "half of 200,000, half of 400,000");
    assert_eq!((pace.bytes(), pace.speed()), (60_000, Rate::new(300_000)));
}

#[test]
fn a_window_that_came_makes_a_rate_sooner_but_not_at_once() {
    let start = Instant::now();
    let mut pace = Pace::new(ROUND_TRIP, start);
    pace.delivered(FIRST_WINDOW, start + 19 * MS);
    assert!(pace.is_new(), "what waited in a buffer is no rate");
    pace.delivered(0, start + 20 * MS);
    assert_eq!(pace.rate(), Rate::new(FIRST_WINDOW * 50));
    let mut far = Pace::new(50 * MS, start);
    far.delivered(FIRST_WINDOW, start + 49 * MS);
    assert!(far.is_new(), "within a round trip nothing that was asked for can come");
    far.delivered(0, start + 50 * MS);
    assert!(!far.is_new());
}

#[test]
fn the_window_holds_what_comes_in_a_round_trip_and_a_while_and_grows_by_steps() {
    let start = Instant::now();
    let mut pace = Pace::new(ROUND_TRIP, start);
    assert!(pace.has_room(FIRST_WINDOW - 1) && !pace.has_room(FIRST_WINDOW));
    pace.delivered(1_000_000, start + 100 * MS);
    // Ten million a second for 90 ms.
    let four = FIRST_WINDOW * MAX_GROWTH;
    assert!(pace.has_room(four - 1) && !pace.has_room(four), "four times at most");
    pace.delivered(1_000_000, start + 200 * MS);
    assert!(pace.has_room(899_999) && !pace.has_room(900_000));
    // Then it dries up: by half at most.
    pace.delivered(1, start + 10_200 * MS);
    assert!(pace.has_room(449_999) && !pace.has_room(450_000));
    let mut far = Pace::new(200 * MS, start);
    far.delivered(100_000, start + 200 * MS);
    assert!(far.has_room(199_999) && !far.has_room(200_000), "two round trips of 500,000 a second");
    let mut fast = Pace::new(ROUND_TRIP, start);
    for at in 1..20 {
        fast.delivered(1 << 40, start + at * 100 * MS);
    }
    assert!(fast.has_room(MAX_WINDOW - 1) && !fast.has_room(MAX_WINDOW));
}

#[test]
fn an_idle_source_is_measured_from_when_it_is_asked_again() {
    let start = Instant::now();
    let mut pace = Pace::new(ROUND_TRIP, start);
    let asked = start + 1000 * MS;
    pace.asks(0, asked);
    assert_eq!(pace.silent(asked), Duration::ZERO);
    pace.delivered(10_000, asked + ROUND_TRIP + 100 * MS);
    assert_eq!(pace.rate(), Rate::new(100_000), "the trip is no part of it");
    // Asked again at once it was not idle.
    let done = asked + ROUND_TRIP + 100 * MS;
    pace.asks(0, done + MS / 2);
    pace.delivered(10_000, done + 100 * MS);
    assert_eq!(pace.rate(), Rate::new(100_000), "the trip is part of it");
    // Nor is one that owes something.
    let later = done + 200 * MS;
    pace.asks(1, later);
    assert_eq!(pace.silent(later), 100 * MS);
    pace.asks(0, later);
    assert_eq!(pace.silent(later), Duration::ZERO);
}

#[test]
fn who_owes_and_is_silent_for_four_usual_pauses_has_stalled_once() {
    let start = Instant::now();
    let mut pace = Pace::new(ROUND_TRIP, start);
    pace.delivered(10_000, start + 200 * MS);
    let last = start + 200 * MS;
    assert!(!pace.stalls(1, last + 800 * MS), "four times 200 ms");
    assert!(!pace.stalls(0, last + 801 * MS), "it owes nothing");
    assert!(pace.is_well(last + 801 * MS));
    assert!(pace.stalls(1, last + 801 * MS));
    assert!(!pace.stalls(1, last + 802 * MS), "it is said once");
    assert!(pace.is_stalled() && !pace.is_well(last + 802 * MS));
    // A pause that was once long is forgotten by and by.
    pace.delivered(1, last + 900 * MS);
    assert!(!pace.is_stalled());
    let mut now = last + 900 * MS;
    for _ in 0..200 {
        now += MS;
        pace.delivered(1, now);
    }
    assert!(!pace.stalls(1, now + MIN_STALL) && pace.stalls(1, now + MIN_STALL + MS));
}

#[test]
fn a_stalled_source_that_answers_is_left_alone_longer_each_time() {
    let start = Instant::now();
    let mut pace = Pace::new(ROUND_TRIP, start);
    pace.delivered(10_000, start + 100 * MS);
    let mut last = start + 100 * MS;
    pace.answered(0, last);
    assert!(pace.is_well(last), "it had not stalled");
    for (stall, pause) in [(400, 800), (800, 1000)] {
        let stalled = last + (stall + 1) * MS;
        assert!(!pace.stalls(1, stalled - MS));
        assert!(pace.stalls(1, stalled));
        pace.answered(1, stalled);
        assert!(pace.is_stalled(), "it still owes");
        pace.answered(0, stalled);
        assert!(!pace.is_stalled() && pace.is_paused(stalled + (pause - 1) * MS));
        assert!(pace.is_well(stalled + pause * MS));
        last = stalled + pause * MS;
        pace.asks(0, last);
    }
}

#[test]
fn a_stalled_source_is_lost_after_eight_times_as_long_but_not_soon() {
    let start = Instant::now();
    let mut pace = Pace::new(ROUND_TRIP, start);
    pace.delivered(10_000, start + 1000 * MS);
    let last = start + 1000 * MS;
    assert!(!pace.is_lost(1, last + 1000 * 1000 * MS), "it has not stalled");
    assert!(pace.stalls(1, last + 4001 * MS));
    // Its stall time is twice four seconds now.
    assert!(!pace.is_lost(1, last + 64_000 * MS) && pace.is_lost(1, last + 64_001 * MS));
    let mut near = Pace::new(ROUND_TRIP, start);
    near.delivered(10_000, start + 100 * MS);
    assert!(near.stalls(1, start + 501 * MS));
    assert!(!near.is_lost(1, start + 10_100 * MS) && near.is_lost(1, start + 10_101 * MS));
}

#[test]
fn of_a_new_source_what_it_says_of_its_load_tells_and_it_is_given_time_by_that() {
    let start = Instant::now();
    let mut pace = Pace::new(ROUND_TRIP, start);
    assert_eq!(pace.expected(0, 1 << 20), ROUND_TRIP + HORIZON, "nothing is known");
    pace.told(load(3, 4000), 0, start);
    assert_eq!(pace.load(), Some(load(3, 4000)));
    assert_eq!(pace.speed(), Rate::new(1000), "a fourth of it");
    assert_eq!(pace.expected(1000, 500), ROUND_TRIP + 1500 * MS);
    assert!(!pace.stalls(1000, start + 2020 * MS), "twice what it should take");
    assert!(pace.stalls(1000, start + 2021 * MS));
    let mut slow = Pace::new(ROUND_TRIP, start);
    slow.told(load(0, 1), 0, start);
    assert!(
        !slow.stalls(1 << 16, start + MOST_NEW_STALL) && slow.stalls(1 << 16, start + MOST_NEW_STALL + MS)
    );
    // What was measured counts for more.
    slow.delivered(1000, start + 21_000 * MS);
    assert_eq!(slow.speed(), Rate::new(1000 / 21));
}

#[test]
fn the_load_is_asked_for_to_know_the_turn_of_what_was_asked_first_and_of_idle_ones_again() {
    let start = Instant::now();
    let mut pace = Pace::new(ROUND_TRIP, start);
    assert!(!pace.should_tell(0, None, start + LOAD_AGE), "one that said nothing at first is not asked");
    pace.told(load(0, 0), 0, start);
    assert!(!pace.should_tell(0, None, start + LOAD_AGE - MS));
    assert!(pace.should_tell(1, Some(start), start));
    assert!(!pace.should_tell(1, Some(start), start), "it has not answered");
    pace.told(load(0, 0), 1, start + 5 * MS);
    assert!(!pace.should_tell(1, Some(start), start + 5 * MS), "it told after that");
    assert!(!pace.should_tell(1, None, start + 5 * MS));
    assert!(!pace.should_tell(0, None, start + 5 * MS + LOAD_AGE - MS));
    assert!(pace.should_tell(0, None, start + 5 * MS + LOAD_AGE));
    let mut known = Pace::new(ROUND_TRIP, start);
    known.told(load(0, 0), 0, start);
    known.delivered(1000, start + 100 * MS);
    assert!(!known.should_tell(1, Some(start + 100 * MS), start + 100 * MS), "its rate is known");
}

#[test]
fn the_round_trip_is_the_shortest_and_longer_only_for_an_idle_source() {
    let start = Instant::now();
    let after = |owed, took: u32| {
        let mut pace = Pace::new(80 * MS, start);
        pace.told(load(0, 0), 0, start);
        assert_eq!(pace.round_trip(), 80 * MS, "it was not asked");
        assert!(pace.should_tell(0, None, start + LOAD_AGE));
        pace.told(load(0, 0), owed, start + LOAD_AGE + took * MS);
        pace.round_trip()
    };
    assert_eq!(after(1, 20), 20 * MS);
    assert_eq!(after(1, 160), 80 * MS, "the queue before the answer, perhaps");
    assert_eq!(after(0, 160), 90 * MS);
}

#[test]
fn who_is_busy_is_left_alone_for_a_moment() {
    let start = Instant::now();
    let mut pace = Pace::new(ROUND_TRIP, start);
    pace.back_off(start);
    assert!(pace.is_paused(start + BUSY_PAUSE - MS) && !pace.is_paused(start + BUSY_PAUSE));
}

#[test]
fn a_pause_that_was_long_counts_a_sixteenth_less_with_each_delivery() {
    let start = Instant::now();
    let mut pace = Pace::new(ROUND_TRIP, start);
    let last = start + 320 * MS;
    pace.delivered(1, last);
    pace.delivered(1, last);
    assert!(!pace.stalls(1, last + 1200 * MS), "four times 300 ms");
    assert!(pace.stalls(1, last + 1201 * MS));
}

#[test]
fn a_window_that_is_too_wide_is_halved_each_time_and_one_byte_is_left() {
    let start = Instant::now();
    let mut pace = Pace::new(ROUND_TRIP, start);
    pace.delivered(1, start + 100 * MS);
    let half = FIRST_WINDOW / 2;
    assert!(pace.has_room(half - 1) && !pace.has_room(half), "it gives next to nothing");
    for at in 2..64 {
        pace.delivered(1, start + at * 100 * MS);
    }
    assert!(pace.has_room(0) && !pace.has_room(1), "else it would never be asked again");
}
