//! What is given to whom, chunk by chunk.

use super::*;

const ONE: Seat = (1, 0);
const OTHER: Seat = (2, 0);

fn peer(number: u8) -> PeerId {
    PeerId([number; 16])
}

/// One seed of so many chunks, which two peers have open.
fn seed(chunks: u32) -> Seed {
    let mut seed = Seed::new(chunks);
    seed.open(ONE, peer(1));
    seed.open(OTHER, peer(2));
    seed
}

fn choices(seed: &mut Seed, seat: Seat, count: usize) -> Vec<u32> {
    let chosen = (0..count).map_while(|_| seed.choose(seat, Instant::now())).map(|chunk| chunk.0).collect();
    seed.recount(false);
    chosen
}

#[test]
fn a_peer_has_all_when_it_leaves_the_last_of_its_seats_and_got_all_at_those_it_left_in_order() {
    let mut seed = Seed::new(4);
    let (one, other) = ((1, 0), (2, 0));
    let open = |seed: &mut Seed| [one, other].map(|seat| seed.open(seat, PeerId([7; 16])));
    open(&mut seed);
    (0..2).map(Chunk).for_each(|chunk| seed.give(one, chunk));
    (2..4).map(Chunk).for_each(|chunk| seed.has(other, chunk));
    assert!(!seed.close(one, true), "it has another seat");
    assert!(seed.close(other, true));
    open(&mut seed);
    (0..4).map(Chunk).for_each(|chunk| seed.give(one, chunk));
    assert!(!seed.close(one, false), "it was cut off");
    assert!(!seed.close(other, true) && seed.left.is_empty());
    open(&mut seed);
    (0..4).map(Chunk).for_each(|chunk| seed.give(one, chunk));
    assert!(!seed.close(one, true));
    assert!(seed.close(other, false), "a connection that came when all was there, and was not needed");
}

#[test]
fn each_asker_gets_runs_of_its_own_and_then_what_is_left() {
    let mut seed = seed(40);
    assert_eq!(choices(&mut seed, ONE, 2), [0, 1]);
    assert_eq!(choices(&mut seed, OTHER, 17), Vec::from_iter((16..32).chain([32])));
    assert_eq!(choices(&mut seed, ONE, 20), Vec::from_iter((2..16).chain(33..39)), "the cursor goes round");
    assert_eq!(choices(&mut seed, OTHER, 9), [39]);
    assert_eq!(seed.choose((9, 9), Instant::now()), None, "a seat that nobody has");
    seed.close(OTHER, false);
    assert_eq!(choices(&mut seed, ONE, 2), [39, 16], "what was lost is given again");
}

#[test]
fn a_run_goes_on_only_with_what_nobody_has() {
    let mut seed = seed(16);
    assert_eq!(choices(&mut seed, ONE, 1), [0]);
    seed.has(OTHER, Chunk(1));
    seed.give(OTHER, Chunk(2));
    assert_eq!(choices(&mut seed, ONE, 2), [3, 4]);
    [16, 99].map(Chunk).into_iter().for_each(|beyond| seed.has(OTHER, beyond));
    [16, 99].map(Chunk).into_iter().for_each(|beyond| seed.give(OTHER, beyond));
    seed.give((9, 9), Chunk(7));
    seed.has((9, 9), Chunk(7));
    assert_eq!(choices(&mut seed, ONE, 100).len(), 11, "7 is still with nobody");
}

#[test]
fn unspread_are_the_copies_that_others_lack() {
    let mut seed = seed(64);
    seed.open((3, 0), peer(3));
    seed.open((3, 1), peer(3));
    assert_eq!(seed.unspread(peer(1)), 0);
    assert_eq!(choices(&mut seed, ONE, 2), [0, 1]);
    assert_eq!((seed.unspread(peer(1)), seed.unspread(peer(2))), (6, 0));
    seed.has(OTHER, Chunk(0));
    seed.has(OTHER, Chunk(0));
    assert_eq!(seed.unspread(peer(1)), 5, "twice is once");
    seed.has((3, 0), Chunk(0));
    seed.give((3, 1), Chunk(0));
    assert_eq!(seed.unspread(peer(1)), 3);
    assert_eq!(seed.first.len(), 1, "0 is with all");
    seed.close((3, 0), false);
    seed.close((3, 1), false);
    seed.recount(false);
    assert_eq!(seed.unspread(peer(1)), 1);
    seed.open((4, 0), peer(4));
    assert_eq!(seed.unspread(peer(1)), 2, "who comes later lacks it too");
    seed.close(ONE, false);
    seed.recount(false);
    assert_eq!(seed.unspread(peer(1)), 0, "nobody has it any more");
}

#[test]
fn an_asker_is_given_what_it_wants_and_lacks_nothing_else() {
    let mut seed = seed(64);
    seed.narrow(ONE);
    seed.narrow(ONE);
    seed.narrow((9, 9));
    seed.want((9, 9), Chunk(1));
    for chunk in (0..20).chain(40..42).chain([64, 0]).map(Chunk) {
        seed.want(ONE, chunk);
    }
    assert_eq!(choices(&mut seed, OTHER, 1), [0], "who wants all is not asked which");
    assert_eq!(seed.unspread(peer(2)), 1);
    assert_eq!(choices(&mut seed, ONE, 9), [16, 17, 18, 19, 40, 41, 1, 2, 3], "runs of its own first");
    assert_eq!(choices(&mut seed, OTHER, 1), [20]);
    assert_eq!(seed.unspread(peer(2)), 1, "20 is wanted by nobody else");
    seed.want(OTHER, Chunk(5));
    assert_eq!(choices(&mut seed, ONE, 99).len(), 12, "and then nothing, though 21 is with nobody");
    seed.close(ONE, false);
    assert_eq!(seed.unspread(peer(2)), 0);
    assert_eq!(choices(&mut seed, OTHER, 99).len(), 62);
}

#[test]
fn who_leaves_in_order_goes_on_to_share_what_it_said_it_has() {
    for orderly in [true, false] {
        let mut seed = seed(3);
        seed.has(ONE, Chunk(0));
        seed.give(ONE, Chunk(1));
        seed.has(OTHER, Chunk(1));
        seed.close(ONE, orderly);
        seed.close((9, 9), orderly);
        let left: Vec<u32> =
            (0..3).map_while(|_| seed.choose(OTHER, Instant::now())).map(|chunk| chunk.0).collect();
        assert_eq!(left, if orderly { vec![2] } else { vec![0, 2] });
        assert!(!seed.is_closed());
        seed.close(OTHER, false);
        assert!(seed.is_closed());
    }
}

#[test]
fn what_one_keeps_back_is_given_to_another_and_counts_against_it_until_it_passes_on() {
    const THIRD: Seat = (3, 0);
    let mut seed = seed(64);
    seed.open(THIRD, peer(3));
    let start = Instant::now();
    let gives = |seed: &mut Seed, seat, after| {
        let chunk = seed.choose(seat, start + after)?;
        seed.send(seat, chunk);
        seed.recount(false);
        Some(chunk.0)
    };
    assert_eq!(gives(&mut seed, ONE, Duration::ZERO), Some(0));
    assert_eq!(gives(&mut seed, ONE, Duration::ZERO), Some(1));
    let rounds = 16..16 + 3 * KEPT_ROUNDS as u32 - 2;
    for chunk in rounds.clone() {
        assert_eq!(gives(&mut seed, OTHER, KEPT_AFTER), Some(chunk), "not enough have left since");
        seed.has(THIRD, Chunk(chunk));
    }
    assert_eq!(gives(&mut seed, OTHER, KEPT_AFTER / 2), Some(rounds.end), "it may be on its way");
    assert_eq!(gives(&mut seed, ONE, KEPT_AFTER), Some(2), "who keeps it back gets others");
    assert_eq!((seed.unspread(peer(1)), seed.unspread(peer(3))), (2 + 2 + 2, 0));
    assert_eq!(gives(&mut seed, THIRD, KEPT_AFTER), Some(0), "it was given first");
    assert_eq!((seed.unspread(peer(1)), seed.unspread(peer(3))), (2 + 2 + 3, 1));
    seed.has(OTHER, Chunk(2));
    assert_eq!(seed.unspread(peer(1)), 2 + 1, "it passes on again");
    assert_eq!(gives(&mut seed, THIRD, KEPT_AFTER * 2), Some(32), "and so 1 will be passed on, too");
    seed.has(OTHER, Chunk(0));
    assert_eq!(seed.unspread(peer(3)), 2, "so does the other, and has kept nothing back");
}

#[test]
fn nothing_is_kept_back_from_another_connection_of_the_same_peer_nor_by_who_lost_it() {
    let now = Instant::now();
    let mut alone = Seed::new(64);
    [ONE, OTHER].into_iter().for_each(|seat| alone.open(seat, peer(1)));
    let give = |seed: &mut Seed, seat, now| {
        let chunk = seed.choose(seat, now)?;
        seed.send(seat, chunk);
        Some(chunk)
    };
    let given: BTreeSet<Chunk> = (0..64)
        .filter_map(|nth| give(&mut alone, [ONE, OTHER][nth % 2], now + KEPT_AFTER * nth as u32))
        .collect();
    assert_eq!(given.len(), 64, "each once");
    assert_eq!(give(&mut alone, ONE, now + KEPT_AFTER * 100), None);
    let mut gone = seed(64);
    gone.open((3, 0), peer(3));
    assert_eq!(give(&mut gone, ONE, now), Some(Chunk(0)));
    gone.close(ONE, false);
    let given = (0..64).map_while(|_| give(&mut gone, OTHER, now + KEPT_AFTER));
    assert_eq!(given.count(), 64, "what was lost is given anew");
    gone.recount(false);
    assert_eq!(give(&mut gone, (3, 0), now + KEPT_AFTER), None, "and has just been given");
    assert!(give(&mut gone, (3, 0), now + KEPT_AFTER * 2).is_some());
}
