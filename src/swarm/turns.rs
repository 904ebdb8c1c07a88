//! Whose turn it is to send, and for how long. Pure.
//!
//! A few connections send at a time and the others wait their turn: chunks then arrive one after the
//! other at full rate instead of all together late, and can be passed on so much earlier.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Connections that send chunks at the same time.
const SLOTS: usize = 3;
/// Nobody waits for more turns than so many times as many as wait, whatever its rank: those of another content may
/// be behind all the time.
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

/// Who may send, and who waits for it in which order.
#[derive(Debug)]
pub(crate) struct Turns<A> {
    sending: usize,
    /// In the order in which they came, with what `passed_on` was then.
    waiting: VecDeque<(A, u64)>,
    passed_on: u64,
}

impl<A: PartialEq> Turns<A> {
    pub(crate) fn new() -> Turns<A> {
        Turns { sending: 0, waiting: VecDeque::new(), passed_on: 0 }
    }

    /// Leave for `asker` to send, or a place in the queue.
    pub(crate) fn take(&mut self, asker: A) -> bool {
        if self.sending < SLOTS && self.waiting.is_empty() {
            self.sending += 1;
            return true;
        }
        if self.waiting.iter().all(|(waiting, _)| *waiting != asker) {
            self.waiting.push_back((asker, self.passed_on));
        }
        false
    }

    /// A turn is over: whose it is now. The smallest rank comes first, among equals who waits longest.
    pub(crate) fn pass_on(&mut self, rank: impl Fn(&A) -> Rank) -> Option<A> {
        let rank_at = |at: &usize| self.waiting.get(*at).map(|(asker, _)| rank(asker));
        let first = if self.is_overdue() { Some(0) } else { (0..self.waiting.len()).min_by_key(rank_at) };
        let next = first.and_then(|at| self.waiting.remove(at));
        match next {
            Some(_) => self.passed_on += 1,
            None => self.sending -= 1,
        }
        next.map(|(asker, _)| asker)
    }

    /// True if who waits longest has seen too many turns go to others.
    fn is_overdue(&self) -> bool {
        let most = self.waiting.len() as u64 * MOST_ROUNDS;
        self.waiting.front().is_some_and(|(_, since)| self.passed_on - since >= most)
    }

    /// The asker waits no more.
    pub(crate) fn forget(&mut self, asker: &A) {
        self.waiting.retain(|(waiting, _)| waiting != asker);
    }
}

#[cfg(test)]
impl<A> Turns<A> {
    /// How many send, and how many wait.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.sending, self.waiting.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Turns<u32> {
        let mut turns = Turns::new();
        (0..SLOTS as u32).for_each(|asker| assert!(turns.take(asker)));
        turns
    }

    #[test]
    fn a_few_send_and_the_smallest_rank_of_those_who_wait_comes_next() {
        let mut turns = full();
        assert!(!turns.take(7) && !turns.take(8) && !turns.take(9) && !turns.take(8));
        let rank = |asker: &u32| Rank::new(if *asker == 8 { 0 } else { 4 }, *asker == 9);
        assert_eq!(turns.pass_on(rank), Some(8), "what is not spread comes before who is behind");
        assert_eq!(turns.pass_on(rank), Some(9));
        assert_eq!(turns.pass_on(rank), Some(7));
        assert_eq!(turns.pass_on(rank), None);
        assert_eq!(turns.sending, SLOTS - 1);
        assert!(turns.take(1), "one turn is free");
        assert!(!turns.take(2), "and one only");
        turns.forget(&2);
        assert_eq!(turns.pass_on(rank), None);
    }

    #[test]
    fn while_somebody_waits_nobody_else_begins() {
        let mut turns = full();
        assert!(!turns.take(7));
        turns.sending -= 1;
        assert!(!turns.take(8), "7 was first");
    }

    #[test]
    fn turns_that_went_to_others_before_one_came_are_not_held_against_them() {
        let mut turns = full();
        for _ in 0..100 {
            assert!(!turns.take(7));
            assert_eq!(turns.pass_on(|_| Rank::new(0, false)), Some(7));
        }
        assert!(!turns.take(8) && !turns.take(9));
        assert_eq!(turns.pass_on(|asker| Rank::new(0, *asker == 9)), Some(9), "8 has seen none go by");
    }

    #[test]
    fn who_is_behind_comes_first_but_nobody_waits_for_ever() {
        const BEHIND: [u32; 3] = [7, 8, 9];
        let mut turns = Turns::new();
        (0..SLOTS as u32).for_each(|asker| assert!(turns.take(asker)));
        assert!(!turns.take(1), "it came first, and keeps up");
        let rank = |asker: &u32| Rank::new(0, BEHIND.contains(asker));
        let turns_until = (1..100).find(|_| {
            BEHIND.into_iter().for_each(|asker| assert!(!turns.take(asker)));
            turns.pass_on(rank) == Some(1)
        });
        assert_eq!(turns_until, Some(MOST_ROUNDS as usize * 4 + 1), "four waited");
        assert_eq!(turns.pass_on(rank), Some(8), "among equals who waits longest");
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
