//! Whose turn it is to send, and for how long. Pure.
//!
//! A few connections send at a time and the others wait their turn: chunks then arrive one after the
//! other at full rate instead of all together late, and can be passed on so much earlier.
//!
//! Turns go round by address, then by peer, then by connection: whoever makes many connections gets no more for it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::content::{Network, PeerId};

/// Connections that send chunks at the same time.
const SLOTS: usize = 3;
/// Nobody waits for more turns than so many times as many addresses as wait, whatever its rank: those of another content
/// may be behind all the time.
const MOST_ROUNDS: u64 = 4;
/// A connection that gets less than one part in so many of our uplink, and has for this long, gives up its
/// turn: not our uplink is what is slow, unless that is full.
const TURN_SHARE: u64 = 4;
const TURN_PATIENCE: Duration = Duration::from_millis(20);

/// How long a connection keeps its turn when the socket does not take all at once.
#[derive(Debug)]
pub(crate) struct Hold {
    ends: Instant,
}

impl Hold {
    pub(crate) fn begin(now: Instant) -> Hold {
        Hold { ends: now + TURN_PATIENCE }
    }

    pub(crate) fn ends(&self) -> Instant {
        self.ends
    }

    /// True if its turn is to be given up; not while the uplink is `full`, which says until when.
    pub(crate) fn is_over(&mut self, now: Instant, full: impl FnOnce() -> Option<Instant>) -> bool {
        if now < self.ends {
            return false;
        }
        let until = full();
        self.ends = until.unwrap_or(self.ends);
        until.is_none()
    }

    /// The connection got rid of `bytes`; all connections together can of `rate` a second, 0 if that is
    /// not known.
    pub(crate) fn sent(&mut self, bytes: u64, rate: u64, now: Instant) {
        self.ends = match rate {
            0 => now + TURN_PATIENCE,
            rate => self.ends + Duration::from_secs_f64((bytes * TURN_SHARE) as f64 / rate as f64),
        };
    }
}

/// Whose turn comes first: the smallest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    unspread: u32,
    keeps_up: bool,
}

impl Rank {
    /// Of an asker that others get on faster than, if it is `behind`; `unspread` if it wants a chunk of our choice:
    /// [`unspread`](super::seed::Seed::unspread), else 0.
    pub(crate) fn new(unspread: u32, behind: bool) -> Rank {
        Rank { unspread, keeps_up: !behind }
    }
}

/// Where a connection comes from: the address of its network, and its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) network: Network,
    pub(crate) peer: PeerId,
}

/// A connection that waits. Its places in the rounds are moments, counted in steps.
#[derive(Debug)]
struct Waiting<A> {
    asker: A,
    origin: Origin,
    /// What `passed_on` was when it came.
    since: u64,
    /// When its network, and its peer, came or last had a turn.
    network_at: u64,
    peer_at: u64,
}

/// Who may send, and who waits for it in which order.
#[derive(Debug)]
pub(crate) struct Turns<A> {
    sending: Vec<(A, Origin)>,
    /// In the order in which they came.
    waiting: Vec<Waiting<A>>,
    passed_on: u64,
    steps: u64,
}

impl<A: PartialEq + Copy> Turns<A> {
    pub(crate) fn new() -> Turns<A> {
        Turns { sending: Vec::new(), waiting: Vec::new(), passed_on: 0, steps: 0 }
    }

    /// Leave for `asker` to send, or a place in the queue.
    pub(crate) fn take(&mut self, asker: A, origin: Origin) -> bool {
        if self.sending.len() < SLOTS && self.waiting.is_empty() {
            self.sending.push((asker, origin));
            return true;
        }
        if self.waiting.iter().all(|waiting| waiting.asker != asker) {
            self.steps += 1;
            let network = self.waiting.iter().find(|other| other.origin.network == origin.network);
            let peer = self.waiting.iter().find(|other| other.origin == origin);
            self.waiting.push(Waiting {
                asker,
                origin,
                since: self.passed_on,
                network_at: network.map_or(self.steps, |other| other.network_at),
                peer_at: peer.map_or(self.steps, |other| other.peer_at),
            });
        }
        false
    }

    /// The turn of `ended` is over: whose it is now. First comes who has fewest turns now, by address and by peer; of
    /// those the smallest rank, and among equals who waits longest.
    pub(crate) fn pass_on(&mut self, ended: &A, rank: impl Fn(&A) -> Rank) -> Option<A> {
        if let Some(at) = self.sending.iter().position(|(asker, _)| asker == ended) {
            self.sending.swap_remove(at);
        }
        let networks: BTreeSet<_> = self.waiting.iter().map(|waiting| waiting.origin.network).collect();
        let most = networks.len() as u64 * MOST_ROUNDS;
        let order = |at: &usize| {
            let waiting = self.waiting.get(*at)?;
            // Who waits longest may have seen too many turns go to others.
            let overdue = self.passed_on - waiting.since >= most;
            let rank = if overdue { None } else { Some(rank(&waiting.asker)) };
            Some((self.held(waiting.origin), rank, waiting.network_at, waiting.peer_at))
        };
        let next = self.waiting.remove((0..self.waiting.len()).min_by_key(order)?);
        self.passed_on += 1;
        self.steps += 1;
        let Origin { network, .. } = next.origin;
        // Behind those, too, who have their turns now or next, and come again at once: two steps each.
        let behind = self.steps + SLOTS as u64;
        let peer_behind = self.steps + 2 * (SLOTS * networks.len()) as u64;
        for waiting in self.waiting.iter_mut().filter(|other| other.origin.network == network) {
            waiting.network_at = behind;
            if waiting.origin == next.origin {
                waiting.peer_at = peer_behind;
            }
        }
        self.sending.push((next.asker, next.origin));
        Some(next.asker)
    }

    /// How many turns the network, and the peer, have now.
    fn held(&self, origin: Origin) -> (usize, usize) {
        let of_network = self.sending.iter().filter(|(_, other)| other.network == origin.network);
        let of_peer = self.sending.iter().filter(|(_, other)| *other == origin);
        (of_network.count(), of_peer.count())
    }

    /// The asker waits no more.
    pub(crate) fn forget(&mut self, asker: &A) {
        self.waiting.retain(|waiting| waiting.asker != *asker);
    }
}

#[cfg(test)]
impl<A> Turns<A> {
    /// How many send, and how many wait.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.sending.len(), self.waiting.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each connection is of its own address.
    fn alone(asker: u32) -> Origin {
        origin(asker as u8, asker as u8)
    }

    fn origin(network: u8, peer: u8) -> Origin {
        Origin { network: Network::of([10, 0, 0, network].into()), peer: PeerId([peer; 16]) }
    }

    impl Turns<u32> {
        fn takes(&mut self, asker: u32) -> bool {
            self.take(asker, alone(asker))
        }

        /// The turn of who has had one longest is over.
        fn next(&mut self, rank: impl Fn(&u32) -> Rank) -> Option<u32> {
            let ended = self.sending.first().map(|(asker, _)| *asker)?;
            self.pass_on(&ended, rank)
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
        let rank = |asker: &u32| Rank::new(if *asker == 8 { 0 } else { 4 }, *asker == 9);
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
    fn while_somebody_waits_nobody_else_begins() {
        let mut turns = full();
        assert!(!turns.takes(7));
        turns.sending.pop();
        assert!(!turns.takes(8), "7 was first");
    }

    #[test]
    fn turns_that_went_to_others_before_one_came_are_not_held_against_them() {
        let mut turns = full();
        for _ in 0..100 {
            assert!(!turns.takes(7));
            assert_eq!(turns.next(|_| Rank::new(0, false)), Some(7));
        }
        assert!(!turns.takes(8) && !turns.takes(9));
        assert_eq!(turns.next(|asker| Rank::new(0, *asker == 9)), Some(9), "8 has seen none go by");
    }

    #[test]
    fn who_is_behind_comes_first_but_nobody_waits_for_ever() {
        const BEHIND: [u32; 3] = [7, 8, 9];
        let mut turns = full();
        assert!(!turns.takes(1), "it came first, and keeps up");
        let rank = |asker: &u32| Rank::new(0, BEHIND.contains(asker));
        let turns_until = (1..100).find(|_| {
            BEHIND.into_iter().for_each(|asker| assert!(!turns.takes(asker)));
            turns.next(rank) == Some(1)
        });
        assert_eq!(turns_until, Some(MOST_ROUNDS as usize * 4 + 1), "four waited");
        assert_eq!(turns.next(rank), Some(8), "among equals who waits longest");
    }

    /// Who has the next turns if each asks again as soon as its turn is over, all with the same rank.
    fn rounds(origins: &[Origin], count: usize) -> Vec<u32> {
        let mut turns = full();
        origins.iter().enumerate().for_each(|(asker, origin)| assert!(!turns.take(asker as u32, *origin)));
        // Those that had a turn at first do not come again.
        (0..SLOTS).for_each(|_| turns.sending.truncate(1));
        let mut had = Vec::new();
        let mut ended = turns.sending[0].0;
        while had.len() < count {
            let next = turns.pass_on(&ended, |_| Rank::new(0, false)).unwrap();
            had.push(next);
            if let Some(origin) = origins.get(ended as usize) {
                assert!(!turns.take(ended, *origin));
            }
            ended = next;
        }
        had
    }

    #[test]
    fn turns_go_round_by_address_then_by_peer_then_by_connection() {
        // 0 to 3 are of one address: 0, 1 and 2 of one peer.
        let crowd = [origin(1, 1), origin(1, 1), origin(1, 1), origin(1, 2), origin(2, 3)];
        assert_eq!(rounds(&crowd, 9), [0, 4, 3, 4, 1, 4, 2, 4, 3]);
        let own: Vec<Origin> = (1..=4).map(alone).collect();
        assert_eq!(rounds(&own, 6), [0, 1, 2, 3, 0, 1]);
    }

    #[test]
    fn who_has_turns_now_gets_none_before_others_whatever_its_rank() {
        let mut turns = Turns::new();
        (0..SLOTS as u32).for_each(|asker| assert!(turns.take(asker, origin(1, asker as u8))));
        (3..20).for_each(|asker| assert!(!turns.take(asker, origin(1, 9))));
        assert!(!turns.take(20, origin(2, 2)));
        assert!(!turns.take(21, origin(1, 0)), "a peer that has a turn");
        let rank = |asker: &u32| Rank::new(0, *asker < 20);
        assert_eq!(turns.pass_on(&1, rank), Some(20));
        assert_eq!(turns.pass_on(&20, rank), Some(3), "one of a peer that has none");
        assert_eq!(turns.held(origin(1, 9)), (3, 1));
        assert!(!turns.take(20, origin(2, 2)));
        assert_eq!(turns.pass_on(&2, rank), Some(20));
    }

    #[test]
    fn connections_of_one_address_that_wait_for_long_come_before_nobody_elses() {
        let mut turns = full();
        assert!(!turns.take(1, origin(1, 1)), "it is not behind as others of its address are");
        let behind = |asker: &u32| Rank::new(0, *asker != 1);
        for _ in 0..MOST_ROUNDS {
            (2..50).for_each(|asker| assert!(!turns.take(asker, origin(1, asker as u8))));
            let next = turns.next(behind).unwrap();
            assert_ne!(next, 1);
            turns.sending.retain(|(asker, _)| *asker != next);
            turns.sending.push((200, alone(200)));
        }
        assert_eq!(turns.next(behind), Some(1), "one address waits: four turns are too many");
        assert!(!turns.take(99, alone(99)));
        assert_eq!(turns.next(behind), Some(99), "the other has a turn");
    }

    #[test]
    fn a_turn_lasts_while_the_connection_gets_its_share_of_the_uplink() {
        const RATE: u64 = 1_000_000;
        let start = Instant::now();
        let mut hold = Hold::begin(start);
        let (mut now, step) = (start, Duration::from_millis(5));
        let share = RATE / TURN_SHARE / 200; // in one step
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
        unknown.sent(1, 0, now);
        assert_eq!(unknown.ends(), now + TURN_PATIENCE, "any progress will do");
    }
}
