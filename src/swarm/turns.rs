//! How a peer serves: whose turn it is to send, which chunk a free choice is, when gains are told. Pure.
//!
//! A few connections send at a time and the others wait their turn: chunks then arrive one after the
//! other at full rate instead of all together late, and can be passed on so much earlier.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::content::{ChunkSet, PROOF_RUN};

/// Connections that send chunks at the same time.
const SLOTS: usize = 3;
/// Nobody waits for more turns than so many times as many as wait, whatever its rank: those of another content may
/// be behind all the time.
const MOST_ROUNDS: u64 = 4;
/// Chunks that are given to one asker in a row: a proof's run, so that each proof travels once.
const CHOICE_RUN: u32 = PROOF_RUN;
/// So many times an asker is told of gains at once: at the start little is there to be passed on, and all
/// wait for it.
const EARLY_TELLS: u32 = 32;
/// From then on gains are gathered for so long for each asker that is to be told of them,
const NEWS_INTERVAL: Duration = Duration::from_millis(3);
/// and for so long if it has requests with us and no chunk takes them along before: it has enough to do, and
/// among many neighbours telling each of each chunk costs more than sending the chunks.
const NEWS_PATIENCE: Duration = Duration::from_millis(12);
/// No gain waits longer than for so many askers.
const MOST_ASKERS: u32 = 32;
/// Bytes that a socket takes ahead of what has left the host. What it has taken cannot be put in a
/// better order, and gains wait behind it.
pub(crate) const UNSENT_AHEAD: u32 = 16 << 10;
/// A connection that gets less than one part in so many of our uplink, and has for this long, gives up its
/// turn: not our uplink is what is slow, unless that is full.
const TURN_SHARE: u64 = 4;
const TURN_PATIENCE: Duration = Duration::from_millis(20);

/// When an asker is told of gains.
#[derive(Debug)]
pub(crate) struct Telling {
    early: u32,
    told: Option<Instant>,
}

impl Telling {
    pub(crate) fn new() -> Telling {
        Telling { early: EARLY_TELLS, told: None }
    }

    /// The moment from which gains are told to one of so many `askers` although nothing else is sent; none
    /// if at once.
    pub(crate) fn due(&self, has_requests: bool, askers: u32) -> Option<Instant> {
        let interval = if has_requests { NEWS_PATIENCE } else { NEWS_INTERVAL };
        self.told.filter(|_| self.early == 0).map(|told| told + interval * askers.min(MOST_ASKERS))
    }

    /// It has been told of all there was.
    pub(crate) fn told(&mut self, now: Instant) {
        self.early = self.early.saturating_sub(1);
        self.told = Some(now);
    }
}

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
    /// [`Seed::unspread`], else 0.
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

/// Which chunks of a content the present askers have between them.
#[derive(Debug)]
pub(crate) struct Seed<P> {
    /// Connections that have the content open.
    pub(crate) askers: u32,
    copies: Vec<u16>,
    ungiven: ChunkSet,
    cursor: u32,
    /// Who was the first to be given a chunk that not all askers have yet.
    first: BTreeMap<u32, P>,
    /// The same the other way round.
    given_first: BTreeMap<P, BTreeSet<u32>>,
}

impl<P: Ord + Copy> Seed<P> {
    pub(crate) fn new(chunks: u32) -> Seed<P> {
        Seed {
            askers: 0,
            copies: vec![0; chunks as usize],
            ungiven: ChunkSet::full(chunks),
            cursor: 0,
            first: BTreeMap::new(),
            given_first: BTreeMap::new(),
        }
    }

    /// A chunk that no asker has, to follow `last`, the last one that this asker was given. Each asker
    /// gets a run of its own as long as there are any, so that the proof of a run, which travels with
    /// its first chunk, leaves once too.
    pub(crate) fn choose(&mut self, last: Option<u32>) -> Option<u32> {
        let next =
            last.map(|last| last + 1).filter(|next| next % CHOICE_RUN != 0 && self.ungiven.contains(*next));
        next.or_else(|| {
            let chunk = self.ungiven.next(self.cursor)?;
            self.cursor = (chunk / CHOICE_RUN + 1) * CHOICE_RUN;
            Some(chunk)
        })
    }

    /// An asker has, or is being sent, a chunk.
    pub(crate) fn give(&mut self, chunk: u32) {
        if let Some(copies) = self.copies.get_mut(chunk as usize) {
            *copies = copies.saturating_add(1);
            self.ungiven.remove(chunk);
            if u32::from(*copies) >= self.askers {
                self.is_spread(chunk);
            }
        }
    }

    /// A chunk of our choice is being sent to `asker`, the first one to have it.
    pub(crate) fn give_first(&mut self, chunk: u32, asker: P) {
        self.give(chunk);
        self.first.insert(chunk, asker);
        self.given_first.entry(asker).or_default().insert(chunk);
    }

    fn is_spread(&mut self, chunk: u32) {
        if let Some(asker) = self.first.remove(&chunk)
            && let Some(chunks) = self.given_first.get_mut(&asker)
        {
            chunks.remove(&chunk);
        }
    }

    /// How many copies the askers lack of the chunks that `asker` was the first to be given: who passes
    /// on quickly should be given more, and who cannot keep up less.
    pub(crate) fn unspread(&self, asker: P) -> u32 {
        let lacking = |chunk: &u32| self.askers.saturating_sub(u32::from(self.copies[*chunk as usize]));
        self.given_first.get(&asker).map_or(0, |chunks| chunks.iter().map(lacking).sum())
    }

    /// An asker that had a chunk is gone.
    pub(crate) fn take_back(&mut self, chunk: u32) {
        if let Some(copies) = self.copies.get_mut(chunk as usize) {
            *copies = copies.saturating_sub(1);
            if *copies == 0 {
                self.ungiven.insert(chunk);
                self.is_spread(chunk);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_turn_is_for_who_passes_on_what_it_gets() {
        let mut seed = Seed::new(4);
        seed.askers = 3;
        for (chunk, asker) in [(0, 7), (1, 7), (2, 8)] {
            seed.give_first(chunk, asker);
        }
        assert_eq!((seed.unspread(7), seed.unspread(8)), (4, 2), "two askers lack each chunk");
        let mut turns = Turns::new();
        let waiting: Vec<u32> = (0..SLOTS as u32).chain([7, 8]).filter(|asker| !turns.take(*asker)).collect();
        assert_eq!(waiting, [7, 8]);
        let rank = |seed: &Seed<u32>, asker: &u32| Rank::new(seed.unspread(*asker), false);
        assert_eq!(turns.pass_on(|asker| rank(&seed, asker)), Some(8));
        [0, 1, 0, 1].into_iter().for_each(|chunk| seed.give(chunk));
        assert_eq!(seed.unspread(7), 0, "others have them now");
        assert!(!turns.take(8));
        assert_eq!(turns.pass_on(|asker| rank(&seed, asker)), Some(7));
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
    fn gains_are_told_at_once_at_first_and_gathered_later() {
        let (mut telling, now) = (Telling::new(), Instant::now());
        for _ in 0..EARLY_TELLS {
            assert_eq!(telling.due(true, 2), None);
            telling.told(now);
        }
        assert_eq!(telling.due(true, 2), Some(now + NEWS_PATIENCE * 2));
        assert_eq!(telling.due(false, 1), Some(now + NEWS_INTERVAL));
        assert_eq!(telling.due(false, 10_000), Some(now + NEWS_INTERVAL * MOST_ASKERS));
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
