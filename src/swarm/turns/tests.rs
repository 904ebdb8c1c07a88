//! Tests of turns: who comes next, and that nobody waits for ever.

use super::*;

/// Each connection is of its own address.
fn alone(asker: u32) -> Origin {
    origin(asker as u8, asker as u8)
}

fn origin(network: u8, peer: u8) -> Origin {
    Origin { network: Network::of([10, 0, 0, network].into()), peer: PeerId([peer; 16]) }
}

fn rank_of(unspread: u32, behind: bool) -> Rank {
    Rank::new(unspread, if behind { Urgency::Behind } else { Urgency::Normal })
}

impl Turns<u32> {
    fn takes_as(&mut self, asker: u32, origin: Origin) -> bool {
        self.take(asker, origin, false)
    }

    fn takes(&mut self, asker: u32) -> bool {
        self.take(asker, alone(asker), false)
    }

    /// The turn of who has had one longest is over.
    fn next(&mut self, rank: impl Fn(&u32) -> Rank) -> Option<u32> {
        let ended = self.sending.first().map(|sending| sending.asker)?;
        self.goes_on(&ended, rank)
    }

    /// Whose turn comes after that of `ended`, if one alone does.
    fn goes_on(&mut self, ended: &u32, rank: impl Fn(&u32) -> Rank) -> Option<u32> {
        let origin =
            self.sending.iter().find(|sending| sending.asker == *ended).map(|sending| sending.origin);
        let begun = self.pass_on(ended, origin, rank);
        assert!(begun.len() <= 1, "{begun:?}");
        begun.first().copied()
    }
}

fn full() -> Turns<u32> {
    let mut turns = Turns::new();
    (100..100 + SLOTS as u32).for_each(|asker| assert!(turns.takes(asker)));
    turns
}

#[test]
fn a_few_send_and_the_smallest_rank_of_those_who_wait_comes_next() {
    let mut turns = full();
    assert!(!turns.takes(7) && !turns.takes(8) && !turns.takes(9) && !turns.takes(8));
    let rank = |asker: &u32| rank_of(if *asker == 8 { 0 } else { 4 }, *asker == 9);
    assert_eq!(turns.next(rank), Some(8), "what is not spread comes before who is behind");
    assert_eq!(turns.next(rank), Some(9));
    assert_eq!(turns.next(rank), Some(7));
    assert_eq!(turns.next(rank), None);
    assert_eq!(turns.sending.len(), SLOTS - 1);
    assert!(turns.takes(1), "one turn is free");
    assert!(!turns.takes(2), "and one only");
    turns.forget(&2);
    assert_eq!(turns.next(rank), None);
}

#[test]
fn who_can_wait_begins_when_nobody_else_wants_a_turn_and_now_and_then_beside_them() {
    let rank = |asker: &u32| Rank::new(0, if *asker < 10 { Urgency::Background } else { Urgency::Normal });
    let mut turns = Turns::new();
    assert!(turns.take(1, alone(1), true) && turns.take(2, alone(2), true), "nobody else is there");
    assert!(turns.takes(20), "and a turn is left for others");
    assert!(turns.pass_on(&1, Some(alone(1)), rank).is_empty());
    assert!(!turns.take(1, alone(1), true) && !turns.take(3, alone(3), true));
    assert!(turns.pass_on(&2, None, rank).is_empty());
    assert!(turns.takes(21) && turns.takes(22), "those who wait are passed by");
    turns.forget(&3);
    for ended in 0..BACKGROUND_ROUNDS - 2 {
        let asker = 20 + (ended % 3) as u32;
        assert!(turns.pass_on(&asker, Some(alone(asker)), rank).is_empty());
        assert!(turns.takes(asker));
    }
    assert_eq!(turns.pass_on(&20, Some(alone(20)), rank), [1], "so many have passed it by");
    assert!(!turns.takes(20) && !turns.take(3, alone(3), true));
    assert_eq!(turns.pass_on(&1, Some(alone(1)), rank), [20]);
    assert!(turns.pass_on(&20, None, rank).is_empty() && turns.pass_on(&21, None, rank).is_empty());
    assert_eq!(turns.pass_on(&22, None, rank), [3], "nobody else is there any more");
}

#[test]
fn while_somebody_waits_nobody_else_begins() {
    let mut turns = full();
    assert!(!turns.takes(7));
    turns.sending.pop();
    assert!(!turns.takes(8), "7 was first");
    assert!(!turns.has_spare(), "it is free, and not for whoever comes");
}

#[test]
fn a_turn_is_spare_while_one_is_free_and_nobody_waits() {
    let mut turns = Turns::new();
    (0..SLOTS as u32).for_each(|asker| assert!(turns.has_spare() && turns.takes(asker)));
    assert!(!turns.has_spare());
    assert!(turns.pass_on(&0, None, |_| rank_of(0, false)).is_empty() && turns.has_spare());
}

#[test]
fn a_network_has_waited_since_the_first_of_it_came_whoever_that_was() {
    let mut turns = full();
    assert!(!turns.takes_as(1, origin(1, 1)) && !turns.takes(9));
    assert_eq!(turns.next(|asker| rank_of(0, *asker == 9)), Some(9));
    assert!(!turns.takes_as(2, origin(2, 2)) && !turns.takes_as(3, origin(1, 3)));
    turns.forget(&1);
    assert_eq!(turns.next(|_| rank_of(0, false)), Some(3), "somebody of its network came before 2");
}

#[test]
fn turns_that_went_to_others_before_one_came_are_not_held_against_them() {
    let mut turns = full();
    assert!(!turns.takes(7));
    for _ in 0..100 {
        let ended = turns.sending[0].asker;
        assert!(turns.next(|_| rank_of(0, false)).is_some());
        assert!(!turns.takes(ended));
    }
    assert!(!turns.takes(8) && !turns.takes(9));
    assert_eq!(turns.next(|asker| rank_of(0, *asker == 9)), Some(9), "8 has seen none go by");
}

#[test]
fn who_is_behind_comes_first_but_nobody_waits_for_ever() {
    const BEHIND: [u32; 3] = [7, 8, 9];
    let mut turns = full();
    assert!(!turns.takes(1), "it came first, and keeps up");
    let rank = |asker: &u32| rank_of(0, BEHIND.contains(asker));
    let turns_until = (1..100).find(|_| {
        BEHIND.into_iter().for_each(|asker| assert!(!turns.takes(asker)));
        turns.next(rank) == Some(1)
    });
    assert_eq!(turns_until, Some(MOST_ROUNDS as usize * 4 + 1), "four waited");
    assert_eq!(turns.next(rank), Some(9), "among equals who waits longest");
}

/// Who has the next turns if each asks again as soon as its turn is over, all with the same rank.
fn rounds(origins: &[Origin], count: usize) -> Vec<u32> {
    let mut turns = full();
    origins.iter().enumerate().for_each(|(asker, origin)| assert!(!turns.takes_as(asker as u32, *origin)));
    // Of those that had a turn at first one ends it; the others leave one turn to all.
    let mut had = Vec::new();
    let mut ended = turns.sending[0].asker;
    while had.len() < count {
        let next = turns.goes_on(&ended, |_| rank_of(0, false)).unwrap();
        had.push(next);
        if let Some(origin) = origins.get(ended as usize) {
            assert!(!turns.takes_as(ended, *origin));
        }
        ended = next;
    }
    had
}

#[test]
fn turns_go_round_by_address_then_by_peer_then_by_connection() {
    // 0 to 3 are of one address: 0, 1 and 2 of one peer.
    let crowd = [origin(1, 1), origin(1, 1), origin(1, 1), origin(1, 2), origin(2, 3)];
    assert_eq!(rounds(&crowd, 9), [0, 4, 3, 4, 1, 4, 3, 4, 2]);
    assert_eq!(rounds(&crowd[..4], 7), [0, 3, 1, 3, 2, 3, 0]);
    let own: Vec<Origin> = (1..=4).map(alone).collect();
    assert_eq!(rounds(&own, 6), [0, 1, 2, 3, 0, 1]);
}

/// The heaviest pays first: an address with two turns gives both back before it has another, and the one that is left
/// free then is nobody's, for a third of three is all that the other would have.
#[test]
fn who_has_turns_now_gets_none_before_others_whatever_its_rank() {
    let mut turns = Turns::new();
    (0..SLOTS as u32).for_each(|asker| assert!(turns.takes_as(asker, origin(1, asker as u8))));
    (3..20).for_each(|asker| assert!(!turns.takes_as(asker, origin(1, 9))));
    assert!(!turns.takes_as(20, origin(2, 2)));
    assert!(!turns.takes_as(21, origin(1, 0)), "a peer that has a turn");
    let rank = |asker: &u32| rank_of(0, *asker < 20);
    assert_eq!(turns.goes_on(&1, rank), Some(20));
    assert_eq!(turns.goes_on(&20, rank), None, "the other address has two turns, and may have half of them");
    assert!(turns.takes_as(20, origin(2, 2)), "what it has left is its own still");
    assert_eq!(turns.goes_on(&2, rank), None);
    assert_eq!(turns.goes_on(&0, rank), Some(3), "one of a peer that has none");
    assert_eq!(turns.held(origin(1, 9)), (1, 1));
}

#[test]
fn what_others_leave_free_is_for_whoever_waits() {
    let mut turns = Turns::new();
    assert!(turns.takes_as(0, origin(1, 1)) && turns.takes_as(1, origin(2, 2)));
    (2..9).for_each(|asker| assert!(!turns.takes_as(asker, origin(1, 1)), "half of three is one"));
    let rank = |_: &u32| rank_of(0, false);
    assert_eq!(turns.goes_on(&1, rank), None, "it may come again at once");
    assert_eq!(turns.pass_on(&1, None, rank), [2, 3], "it has nothing to send");
    assert!(!turns.takes_as(1, origin(2, 2)));
    assert_eq!(turns.goes_on(&0, rank), Some(1));
    assert_eq!(turns.goes_on(&2, rank), None, "back to one for each");
    let mut one = Turns::new();
    assert!(one.takes_as(0, origin(1, 1)) && one.takes_as(1, origin(1, 2)));
    assert!(!one.takes_as(2, origin(1, 1)), "peers of one address share as addresses do");
    assert!(one.takes_as(3, origin(1, 2 + 1)));
}

#[test]
fn however_many_addresses_push_ahead_each_has_its_turn_in_time() {
    let mut turns = full();
    let behind = |asker: &u32| rank_of(0, *asker != 0);
    assert!(!turns.takes(0), "it is not behind");
    let mut waited = 0;
    for nth in 0..500 {
        for network in 1..=4 {
            (0..20).for_each(|each| assert!(!turns.takes_as(network * 20 + each, origin(network as u8, 9))));
        }
        waited += 1;
        if turns.next(behind) == Some(0) {
            assert!(waited <= MOST_ROUNDS * 5 + 1, "{waited} turns, the {nth}th");
            waited = 0;
            turns.sending.retain(|sending| sending.asker != 0);
            turns.sending.push(Sending { asker: 200, origin: alone(200), can_wait: false });
            assert!(!turns.takes(0));
        }
    }
    assert!(waited <= MOST_ROUNDS * 5 + 1, "{waited} turns at the end");
}

#[test]
fn connections_of_one_address_that_wait_for_long_come_before_nobody_elses() {
    let mut turns = full();
    assert!(!turns.takes_as(1, origin(1, 1)), "it is not behind as others of its address are");
    let behind = |asker: &u32| rank_of(0, *asker != 1);
    for _ in 0..MOST_ROUNDS {
        (2..50).for_each(|asker| assert!(!turns.takes_as(asker, origin(1, asker as u8))));
        let next = turns.next(behind).unwrap();
        assert_ne!(next, 1);
        turns.sending.retain(|sending| sending.asker != next);
        turns.sending.push(Sending { asker: 200, origin: alone(200), can_wait: false });
    }
    assert_eq!(turns.next(behind), Some(1), "one address waits: four turns are too many");
    assert!(!turns.takes_as(99, alone(99)));
    assert_eq!(turns.next(behind), Some(99), "the other has a turn");
}

#[test]
fn a_turn_lasts_while_the_connection_gets_its_share_of_the_uplink() {
    const RATE: Option<Rate> = Rate::new(1_000_000);
    let start = Instant::now();
    let mut hold = Hold::begin(start);
    let (mut now, step) = (start, Duration::from_millis(5));
    let share = RATE.unwrap().get() / TURN_SHARE / 200; // in one step
    for _ in 0..100 {
        now += step;
        hold.sent(share, RATE, now);
        assert!(now < hold.ends(), "just enough");
    }
    let slow = (0..100).position(|_| {
        now += step;
        hold.sent(share / 2, RATE, now);
        now >= hold.ends()
    });
    assert!(slow.is_some_and(|steps| (4..12).contains(&steps)), "{slow:?}");
    let mut unknown = Hold::begin(start);
    unknown.sent(1, None, now);
    assert_eq!(unknown.ends(), now + TURN_PATIENCE, "any progress will do");
}
