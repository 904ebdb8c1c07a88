//! Each verb, with the exact effects; and random events beside a slow recount.

use std::collections::BTreeSet;

use super::*;

const RATE: Option<Rate> = Rate::new(1_000_000);
const PLAIN: Wish = Wish { choice: None, urgency: Urgency::Normal };
const BEHIND: Wish = Wish { choice: None, urgency: Urgency::Behind };
const ANY: Wish = Wish { choice: Some(0), urgency: Urgency::Normal };
/// The content of which all speak.
const FILE: char = 'f';

fn peer(number: u32) -> PeerId {
    PeerId([number as u8; 16])
}

fn at(network: u32) -> Network {
    Network::of([10, 0, 0, network as u8].into())
}

/// A desk at which this many connections have joined.
fn desk(connections: u32) -> (Desk<char>, Instant) {
    let now = Instant::now();
    let mut desk = Desk::new(None, now);
    (0..connections).for_each(|number| desk.join(number, peer(number), at(number)));
    (desk, now)
}

/// A desk at which connections 0, 1 and 2 send.
fn sending(connections: u32) -> (Desk<char>, Instant) {
    let (mut desk, now) = desk(connections);
    (0..3).for_each(|number| assert!(desk.turn(number, PLAIN, now)));
    (desk, now)
}

fn wake(number: u32) -> Vec<Effect> {
    vec![Effect::Wake(number)]
}

fn rate(desk: &Desk<char>) -> u64 {
    desk.rate().map_or(0, Rate::get)
}

/// Nobody is woken.
fn nobody() -> Vec<Effect> {
    Vec::new()
}

#[test]
fn three_send_and_the_next_is_woken_when_one_is_done() {
    let (mut desk, now) = sending(5);
    assert!(!desk.turn(3, PLAIN, now) && !desk.turn(4, PLAIN, now));
    assert_eq!(desk.done(1), wake(3));
    assert!(!desk.turn(4, PLAIN, now), "it is the turn of another");
    assert!(desk.turn(3, PLAIN, now));
    assert!(desk.turn(3, PLAIN, now), "asking again changes nothing");
    assert_eq!(desk.done(0), wake(4));
    assert_eq!(desk.done(0), nobody(), "it has no turn");
    assert_eq!(desk.done(2), nobody(), "nobody waits");
    assert!(desk.turn(0, PLAIN, now), "one turn is free");
    assert!(!desk.turn(2, PLAIN, now), "and one only: 4 has not come yet");
}

#[test]
fn a_turn_that_came_for_nothing_goes_to_others() {
    let (mut desk, now) = sending(5);
    assert!(!desk.turn(3, PLAIN, now) && !desk.turn(4, BEHIND, now));
    assert_eq!(desk.rest(4), nobody(), "it keeps its place, though not its rank");
    assert_eq!(desk.done(0), wake(3));
    assert_eq!(desk.rest(3), wake(4));
    assert_eq!(desk.rest(3), nobody());
    assert_eq!(desk.rest(4), nobody(), "nobody waits");
    assert_eq!(desk.rest(1), nobody(), "who sends goes on");
    assert_eq!(desk.stuck(1, now).1, nobody());
    assert!(desk.turn(3, PLAIN, now) && !desk.turn(4, PLAIN, now));
    assert_eq!(desk.rest(9), nobody(), "nobody knows it");
}

#[test]
fn who_leaves_takes_no_turn_along() {
    let (mut desk, now) = sending(7);
    (3..6).for_each(|number| assert!(!desk.turn(number, PLAIN, now)));
    assert_eq!(desk.leave(4, true), nobody(), "it only waited");
    assert_eq!(desk.leave(6, true), nobody(), "it had nothing to do");
    assert_eq!(desk.leave(6, true), nobody(), "it is gone");
    assert_eq!(desk.leave(0, true), wake(3), "it sent");
    assert_eq!(desk.leave(3, true), wake(5), "it had been woken");
    assert_eq!(desk.leave(5, true), nobody());
    assert!(!desk.turn(6, PLAIN, now) && !desk.turn(0, PLAIN, now), "they are gone");
    desk.join(8, peer(8), at(8));
    assert!(desk.turn(8, PLAIN, now), "nobody who is gone keeps a turn");
}

#[test]
fn who_is_behind_comes_first_by_its_last_word() {
    let (mut desk, now) = sending(6);
    assert!(!desk.turn(3, BEHIND, now) && !desk.turn(4, PLAIN, now) && !desk.turn(5, PLAIN, now));
    assert!(!desk.turn(3, PLAIN, now) && !desk.turn(5, BEHIND, now));
    assert_eq!(desk.done(0), wake(5));
    assert_eq!(desk.done(1), wake(3), "among equals who waits longest");
    assert_eq!(desk.done(2), wake(4));
}

#[test]
fn whose_chunks_have_spread_is_given_more() {
    let (mut desk, now) = sending(7);
    (3..7).for_each(|number| desk.open(number, 0, FILE, 64));
    assert_eq!(desk.choose(3, 0, now), Some(Chunk(0)));
    assert_eq!(desk.choose(4, 0, now), Some(Chunk(16)), "a run of its own");
    assert_eq!(desk.choose(4, 0, now), Some(Chunk(17)));
    [3, 4, 6].into_iter().for_each(|number| assert!(!desk.turn(number, ANY, now)));
    assert_eq!(desk.done(0), wake(6), "it was given nothing yet");
    [5, 6].into_iter().for_each(|number| desk.has(number, 0, [16, 17].map(Chunk)));
    assert_eq!(desk.done(1), wake(4), "each of its two lacks one copy, the one of the other lacks three");
    assert!(!desk.turn(5, ANY, now));
    assert_eq!(desk.done(2), wake(5));
    assert_eq!(desk.leave(5, true), wake(3));
    // Of another's choice nothing counts but whether it is behind.
    let (mut desk, now) = sending(5);
    (3..5).for_each(|number| desk.open(number, 0, FILE, 64));
    assert_eq!(desk.choose(3, 0, now), Some(Chunk(0)));
    assert!(!desk.turn(3, PLAIN, now) && !desk.turn(4, ANY, now));
    assert_eq!(desk.done(0), wake(3));
}

#[test]
fn each_chunk_is_given_once_and_again_when_it_was_lost() {
    let (mut desk, now) = desk(4);
    (0..3).for_each(|number| desk.open(number, number as u16, FILE, 3));
    desk.open(0, 7, 'g', 1);
    let given: Vec<Chunk> = std::iter::from_fn(|| desk.choose(0, 0, now)).collect();
    assert_eq!(given, [0, 1, 2].map(Chunk));
    assert_eq!(desk.choose(1, 1, now), None);
    assert_eq!(desk.choose(1, 0, now), None, "that is no slot of this one");
    assert_eq!(desk.choose(3, 0, now), None);
    desk.begin(1, 1, Chunk(1), 10, now);
    desk.has(0, 0, [Chunk(2)]);
    desk.close(0, 0, true);
    let lost: Vec<Chunk> = std::iter::from_fn(|| desk.choose(2, 2, now)).collect();
    assert_eq!(lost, [Chunk(0)], "1 is with another, 2 with the one that goes on to share it");
    assert_eq!(desk.choose(0, 7, now), Some(Chunk(0)), "the other slot is still open");
    assert_eq!(desk.leave(2, false), nobody());
    assert_eq!(desk.choose(1, 1, now), Some(Chunk(0)), "who breaks off shares nothing");
    assert_eq!(desk.seeds.len(), 2);
    assert_eq!(desk.leave(0, true), nobody());
    assert_eq!(desk.leave(1, true), nobody());
    assert!(desk.seeds.is_empty(), "what nobody has open is forgotten");
}

#[test]
fn who_is_too_slow_loses_its_turn_unless_the_uplink_is_full() {
    let start = Instant::now();
    let ms = |count| start + Duration::from_millis(count);
    let mut desk: Desk<char> = Desk::new(RATE, start);
    (0..5).for_each(|number| desk.join(number, peer(number), at(number)));
    (0..3).for_each(|number| assert!(desk.turn(number, PLAIN, start)));
    assert!(!desk.turn(3, PLAIN, start) && !desk.turn(4, PLAIN, start));
    assert_eq!(desk.stuck(0, start), (Some(ms(20)), nobody()), "there is patience");
    assert_eq!(desk.sent(0, 1000, start), Some(ms(24)), "and more for what was sent");
    desk.begin(1, 0, Chunk(0), 110_000, ms(20)); // the uplink is full for 100 ms
    assert_eq!(desk.stuck(1, ms(19)), (Some(ms(20)), nobody()));
    assert_eq!(desk.stuck(1, ms(20)), (Some(ms(120)), nobody()), "one more would not help");
    assert_eq!(desk.stuck(0, ms(121)), (None, wake(3)));
    assert_eq!(desk.stuck(0, ms(200)), (None, nobody()), "it has none to lose");
    assert_eq!(desk.sent(0, 1000, ms(200)), None);
    assert_eq!(desk.done(0), nobody(), "nor to end");
    assert!(!desk.turn(0, PLAIN, ms(200)), "and waits as all do");
    assert_eq!(desk.stuck(3, ms(200)), (None, nobody()), "it was woken and did not come");
    assert_eq!(desk.stuck(9, ms(200)), (None, nobody()));
}

#[test]
fn a_limit_is_kept_chunk_by_chunk() {
    let start = Instant::now();
    let mut desk: Desk<char> = Desk::new(RATE, start);
    desk.join(0, peer(0), at(0));
    assert_eq!((desk.rate(), desk.piece()), (RATE, Some(16 << 10)));
    assert!(desk.turn(0, PLAIN, start));
    assert_eq!(desk.pay(0, 100_000, start), Some(Duration::from_millis(100)));
    assert_eq!(desk.busy(None), 1, "it waits for the limit");
    let ms = |count| start + Duration::from_millis(count);
    assert_eq!(desk.stuck(0, ms(119)), (Some(ms(120)), nobody()), "its turn lasts from when it may send");
    assert_eq!(desk.stuck(0, ms(120)), (None, nobody()));
    assert_eq!((desk.done(0), desk.busy(None)), (nobody(), 0));
    let later = start + Duration::from_secs(1);
    assert_eq!(desk.pay(0, 10, later), Some(Duration::ZERO));
    assert_eq!(desk.busy(None), 0, "without a turn it pays all the same");
    let twice = Rate::new(2_000_000);
    desk.set_limit(twice, later);
    assert_eq!((desk.pay(0, 100_000, later), desk.rate()), (Some(Duration::from_millis(50)), twice));
    desk.set_limit(None, later);
    assert_eq!((desk.pay(0, 100_000, later), desk.rate()), (None, None));
    let mut unlimited: Desk<char> = Desk::new(None, start);
    unlimited.join(0, peer(0), at(0));
    assert_eq!((unlimited.pay(0, 100_000, start), unlimited.rate()), (None, None));
}

/// Each address has the same quota, whoever is there: had the crowd the third slot, it would have two of three turns.
#[test]
fn many_connections_of_one_address_get_no_more_than_one_of_another() {
    let (mut desk, now) = desk(0);
    (0..20).for_each(|number| desk.join(number, peer(number), at(1)));
    desk.join(20, peer(20), at(2));
    (0..20).for_each(|number| assert_eq!(desk.turn(number, BEHIND, now), number < 3));
    assert!(!desk.turn(20, PLAIN, now));
    assert_eq!(desk.done(0), wake(20));
    assert!(desk.turn(20, PLAIN, now) && !desk.turn(0, BEHIND, now));
    assert_eq!(desk.done(20), nobody(), "the others have two turns already");
    assert!(desk.turn(20, PLAIN, now));
    assert_eq!(desk.leave(1, true), nobody());
    assert_eq!(desk.done(2), wake(3), "one for each address, though three could send");
    assert_eq!(desk.done(20), nobody());
    assert_eq!(desk.rest(20), [Effect::Wake(4), Effect::Wake(5)], "which are for who is left once it rests");
}

#[test]
fn what_is_seen_to_leave_is_the_rate() {
    let (mut desk, start) = desk(1);
    assert_eq!(desk.piece(), Some(512 << 10), "not known");
    (0..10).for_each(|nth| desk.begin(0, 0, Chunk(0), 10_000, start + Duration::from_millis(nth * 50)));
    assert!((150_000..=200_000).contains(&rate(&desk)), "{}", rate(&desk));
}

#[test]
fn the_rate_that_was_seen_falls_only_while_turns_are_waited_for() {
    for waited in [false, true] {
        let (mut desk, start) = desk(5);
        let begin = |desk: &mut Desk<char>, bytes, nth: u64| {
            desk.begin(0, 0, Chunk(0), bytes, start + Duration::from_millis(nth * 50));
        };
        (0..10).for_each(|nth| begin(&mut desk, 10_000, nth));
        let before = rate(&desk);
        let first = desk.turn(0, PLAIN, start) && desk.turn(1, PLAIN, start) && desk.turn(2, PLAIN, start);
        assert!(first && !desk.turn(3, PLAIN, start));
        for nth in 10..60 {
            if !waited {
                assert_eq!(desk.leave(3, true), nobody());
                assert_eq!(desk.done(0), nobody(), "a turn to spare");
                desk.join(3, peer(3), at(3));
                assert!(desk.turn(0, PLAIN, start));
            }
            begin(&mut desk, 1_000, nth);
        }
        assert_eq!(rate(&desk) < before / 2, waited, "{} of {before}", rate(&desk));
    }
}

#[test]
fn busy_is_who_has_something_to_send() {
    let (mut desk, now) = sending(6);
    assert_eq!((desk.busy(None), desk.busy(Some(0)), desk.busy(Some(5))), (3, 2, 3));
    assert!(!desk.turn(3, PLAIN, now));
    assert_eq!(desk.busy(None), 4);
    assert_eq!((desk.rest(3), desk.busy(None)), (nobody(), 3));
    assert!(!desk.turn(3, PLAIN, now));
    assert_eq!((desk.done(0), desk.busy(None)), (wake(3), 3));
    assert_eq!(desk.stuck(1, now + Duration::from_secs(1)), (None, nobody()));
    assert_eq!(desk.busy(None), 3, "it sends on without a turn");
    assert_eq!((desk.done(1), desk.busy(None)), (nobody(), 2));
}

/// What anybody could count who looks at all of it.
fn recount(desk: &Desk<char>, left_behind: bool) {
    let count = |which: fn(&Standing) -> bool| {
        desk.connections.values().filter(|connection| which(&connection.standing)).count()
    };
    let turns = count(|standing| matches!(standing, Standing::Sends(_) | Standing::IsNext));
    let waiting = count(|standing| matches!(standing, Standing::Waits(_)));
    assert_eq!(desk.turns.counts(), (turns, waiting));
    // A slot stays free only for who has its share already, among those that send or wait now: who rests has no share.
    let share = |whole: usize, among: usize| (whole / among).max(1);
    let wants = |of: &&Connection<char>| !matches!(of.standing, Standing::Rests | Standing::Lags);
    for (number, waiting) in
        desk.connections.iter().filter(|(_, of)| matches!(of.standing, Standing::Waits(_)))
    {
        let Origin { network, peer } = waiting.origin;
        let held = |of: &dyn Fn(&Origin) -> bool| {
            let sending = desk.connections.values().filter(|other| of(&other.origin));
            sending.filter(|of| matches!(of.standing, Standing::Sends(_) | Standing::IsNext)).count()
        };
        let wanting = || desk.connections.values().filter(wants);
        let networks: BTreeSet<_> = wanting().map(|of| of.origin.network).collect();
        let here = wanting().filter(|of| of.origin.network == network);
        let peers: BTreeSet<_> = here.map(|of| of.origin.peer).collect();
        let its = share(3, networks.len());
        let has_its_share = held(&|other| other.network == network) >= its
            || held(&|other| *other == Origin { network, peer }) >= share(its, peers.len());
        let can_wait = desk.turns.is_kept_waiting(number);
        assert!(turns == 3 || has_its_share || can_wait, "{waiting:?} waits for {turns}");
    }
    let seats = desk.connections.iter().flat_map(|(number, connection)| {
        connection.seeds.iter().map(move |(slot, content)| (*content, (*number, *slot)))
    });
    let mut open: BTreeMap<char, Vec<(u32, u16)>> = BTreeMap::new();
    seats.for_each(|(content, seat)| open.entry(content).or_default().push(seat));
    assert_eq!(desk.seeds.keys().collect::<Vec<_>>(), open.keys().collect::<Vec<_>>());
    for (content, seats) in open {
        assert_eq!(desk.seeds[&content].recount(left_behind), seats);
    }
}

/// Anything that a connection may do, or that may be done with it.
fn anything(desk: &mut Desk<char>, rng: &mut fastrand::Rng, orderly: bool, now: Instant) -> Vec<Effect> {
    let (number, slot) = (rng.u32(..8), rng.u16(..2));
    let content = if slot == 0 { FILE } else { 'g' };
    match rng.u8(..13) {
        0 if !desk.connections.contains_key(&number) => {
            desk.join(number, peer(number / 2), at(number / 4));
            nobody()
        }
        1 if rng.u8(..4) == 0 => desk.leave(number, orderly && rng.bool()),
        2 => {
            let open = desk.connections.get(&number).is_some_and(|of| of.seeds.contains_key(&slot));
            if !open {
                desk.open(number, slot, content, 40);
            }
            nobody()
        }
        3 if rng.bool() => {
            desk.close(number, slot, orderly && rng.bool());
            nobody()
        }
        4 => {
            desk.has(number, slot, [rng.u32(..40), rng.u32(..50)].map(Chunk));
            nobody()
        }
        5 => {
            desk.choose(number, slot, now);
            nobody()
        }
        6 => {
            desk.begin(number, slot, Chunk(rng.u32(..40)), rng.usize(..50_000), now);
            nobody()
        }
        7 => desk.rest(number),
        8 => {
            let mut woken = desk.done(number);
            woken.extend(desk.rest(number));
            woken
        }
        9 => desk.stuck(number, now).1,
        10 => {
            desk.pay(number, rng.usize(..50_000), now);
            desk.sent(number, rng.u64(..50_000), now);
            nobody()
        }
        11 => {
            desk.narrow(number, slot);
            desk.wants(number, slot, [rng.u32(..40), rng.u32(..50)].map(Chunk));
            nobody()
        }
        _ => {
            desk.turn(
                number,
                Wish {
                    choice: Some(slot).filter(|_| rng.bool()),
                    urgency: *rng.choice(Urgency::ALL).unwrap(),
                },
                now,
            );
            nobody()
        }
    }
}

#[test]
fn whatever_happens_no_turn_is_lost_and_every_chunk_is_counted() {
    for seed in 0..50 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (mut now, orderly) = (Instant::now(), seed % 4 < 2);
        let mut desk = Desk::new(RATE.filter(|_| seed % 2 == 0), now);
        for _ in 0..400 {
            now += Duration::from_millis(rng.u64(..30));
            let effects = anything(&mut desk, &mut rng, orderly, now);
            for Effect::Wake(next) in effects {
                assert!(matches!(desk.connections[&next].standing, Standing::IsNext));
            }
            recount(&desk, orderly);
        }
    }
}
