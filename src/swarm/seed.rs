//! What of a content that is whole here has been given to whom, and which chunk a free choice is. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::content::{Chunk, ChunkSet, PROOF_RUN, PeerId};

/// Chunks that are given to one asker in a row: a proof's run, so that each proof travels once.
const CHOICE_RUN: u32 = PROOF_RUN;
/// Who was given a chunk so long ago, and so many times as many chunks ago as there are askers, is still the only one that
/// has it, and has passed on no other since, keeps it back: it is given to another, too.
const KEPT_AFTER: Duration = Duration::from_millis(500);
const KEPT_ROUNDS: u64 = 4;
/// Among so many chunks, those that were given first, one that is kept back is looked for.
const LOOKED_AT: usize = 16;

/// One slot of one connection, in which the content is open.
pub(crate) type Seat = (u32, u16);

/// An asker of the content.
#[derive(Debug)]
struct Taker {
    peer: PeerId,
    /// What it has or is being sent.
    given: ChunkSet,
    /// What it says it has.
    told: ChunkSet,
    /// The chunks that it will ask for; none: all.
    wants: Option<ChunkSet>,
    /// The last chunk that was given by this side's choice.
    last: Option<Chunk>,
}

impl Taker {
    fn wants(&self, chunk: Chunk) -> bool {
        self.wants.as_ref().is_none_or(|wants| wants.contains(chunk))
    }
}

/// A chunk that was given to one asker, and that no other has from somebody else.
#[derive(Debug)]
struct Gift {
    chunk: Chunk,
    at: Instant,
    /// How many chunks had left before it.
    sent: u64,
}

/// Who was the first to be given a chunk, and the number of that gift.
#[derive(Debug, Clone, Copy, PartialEq)]
struct First {
    peer: PeerId,
    gift: u64,
}

/// Whether a peer passes on what it is given.
#[derive(Debug, Default)]
struct Conduct {
    /// How many chunks had left when it last passed one on.
    passed_on: u64,
    /// How many it kept back, less those that it passed on since.
    kept_back: u32,
}

/// Which chunks of a content the present askers have between them.
#[derive(Debug)]
pub(crate) struct Seed {
    takers: BTreeMap<Seat, Taker>,
    /// How many askers have each chunk.
    copies: Vec<u16>,
    /// How many askers want all.
    insatiable: u16,
    /// How many of the others want each chunk; empty as long as there is none.
    wanters: Vec<u16>,
    ungiven: ChunkSet,
    cursor: Chunk,
    /// Who was the first to be given a chunk that not all askers have yet.
    first: BTreeMap<Chunk, First>,
    /// The same the other way round.
    given_first: BTreeMap<PeerId, BTreeSet<Chunk>>,
    /// By their numbers, and so in the order in which they were given.
    gifts: BTreeMap<u64, Gift>,
    last_gift: u64,
    conduct: BTreeMap<PeerId, Conduct>,
    /// Chunks that have left.
    sent: u64,
    /// What peers got at seats that they left, while they have others.
    left: BTreeMap<PeerId, ChunkSet>,
}

impl Seed {
    pub(crate) fn new(chunks: u32) -> Seed {
        Seed {
            takers: BTreeMap::new(),
            copies: vec![0; chunks as usize],
            insatiable: 0,
            wanters: Vec::new(),
            ungiven: ChunkSet::full(chunks),
            cursor: Chunk(0),
            first: BTreeMap::new(),
            given_first: BTreeMap::new(),
            gifts: BTreeMap::new(),
            last_gift: 0,
            conduct: BTreeMap::new(),
            sent: 0,
            left: BTreeMap::new(),
        }
    }

    /// An asker opens the content.
    pub(crate) fn open(&mut self, seat: Seat, peer: PeerId) {
        let none = ChunkSet::empty(self.copies.len() as u32);
        self.takers.insert(seat, Taker { peer, given: none.clone(), told: none, wants: None, last: None });
        self.insatiable += 1;
    }

    /// That asker will ask for no chunk but those that [`Seed::want`] names.
    pub(crate) fn narrow(&mut self, seat: Seat) {
        let Some(taker) = self.takers.get_mut(&seat) else { return };
        let chunks = self.copies.len();
        if taker.wants.is_none() {
            taker.wants = Some(ChunkSet::empty(chunks as u32));
            self.insatiable -= 1;
            self.wanters.resize(chunks, 0);
        }
    }

    /// An asker that wants not all wants this chunk.
    pub(crate) fn want(&mut self, seat: Seat, chunk: Chunk) {
        let wants = self.takers.get_mut(&seat).and_then(|taker| taker.wants.as_mut());
        if wants.is_some_and(|wants| wants.insert(chunk)) {
            self.wanters[chunk.index()] += 1;
        }
    }

    /// That asker is gone; what only it was given counts as not given, but for what it said it has, if it left
    /// in order: that it goes on to share. True if that was the last seat of a peer which has or was sent all there is.
    pub(crate) fn close(&mut self, seat: Seat, orderly: bool) -> bool {
        let Some(taker) = self.takers.remove(&seat) else { return false };
        match &taker.wants {
            None => self.insatiable -= 1,
            Some(wants) => wants.iter().for_each(|chunk| self.wanters[chunk.index()] -= 1),
        }
        for chunk in taker.given.iter() {
            if !orderly || !taker.told.contains(chunk) {
                self.take_back(chunk);
            }
        }
        self.has_all_at_last(&taker, orderly)
    }

    /// A peer may have several seats: what it got at one that it left in order counts until it leaves the last, in order or not.
    fn has_all_at_last(&mut self, taker: &Taker, orderly: bool) -> bool {
        let mut all = self.left.remove(&taker.peer);
        if orderly {
            let all = all.get_or_insert_with(|| ChunkSet::empty(taker.given.len()));
            all.add_runs(&taker.given.runs());
        }
        if self.takers.values().any(|other| other.peer == taker.peer) {
            self.left.extend(all.map(|all| (taker.peer, all)));
            return false;
        }
        self.conduct.remove(&taker.peer);
        all.is_some_and(|all| all.is_full())
    }

    /// True if nobody has it open.
    pub(crate) fn is_closed(&self) -> bool {
        self.takers.is_empty()
    }

    /// Gives an asker a chunk that it wants and no asker has, or only one that keeps it back, if there is one.
    pub(crate) fn choose(&mut self, seat: Seat, now: Instant) -> Option<Chunk> {
        let chunk = self.kept_from(seat, now).or_else(|| self.ungiven(seat))?;
        let peer = self.takers.get(&seat)?.peer;
        if let Some(before) = self.forget_first(chunk) {
            self.conduct.entry(before).or_default().kept_back += 1;
        }
        self.give(seat, chunk);
        if self.lacking(chunk) > 0 {
            self.last_gift += 1;
            self.gifts.insert(self.last_gift, Gift { chunk, at: now, sent: self.sent });
            self.first.insert(chunk, First { peer, gift: self.last_gift });
            self.given_first.entry(peer).or_default().insert(chunk);
        }
        Some(chunk)
    }

    /// A chunk that the asker wants and that another keeps back.
    fn kept_from(&self, seat: Seat, now: Instant) -> Option<Chunk> {
        let taker = self.takers.get(&seat)?;
        let since = KEPT_ROUNDS * self.takers.len() as u64;
        let is_kept = |gift: &&Gift| {
            let is_old =
                now.saturating_duration_since(gift.at) >= KEPT_AFTER && self.sent - gift.sent >= since;
            let is_wanted = !taker.given.contains(gift.chunk) && taker.wants(gift.chunk);
            // Who passes on others has those asked for that are wanted more.
            let is_kept_by = |peer: PeerId| {
                let passes_on = self.conduct.get(&peer).is_some_and(|conduct| conduct.passed_on > gift.sent);
                peer != taker.peer && !passes_on
            };
            is_old && is_wanted && self.first.get(&gift.chunk).is_some_and(|first| is_kept_by(first.peer))
        };
        self.gifts.values().take(LOOKED_AT).find(is_kept).map(|gift| gift.chunk)
    }

    /// A chunk that the asker wants and no asker has, to follow the last that it was given so. Each asker gets a run of its
    /// own as long as there are any, so that the proof of a run, which travels with its first chunk, leaves once too.
    fn ungiven(&mut self, seat: Seat) -> Option<Chunk> {
        let taker = self.takers.get_mut(&seat)?;
        let next = taker.last.map(|last| last.plus(1));
        let next = next.filter(|next| {
            *next != next.first_of(CHOICE_RUN) && self.ungiven.contains(*next) && taker.wants(*next)
        });
        taker.last = next.or_else(|| match &taker.wants {
            None => self.ungiven.next(self.cursor),
            Some(wants) => self.ungiven.next_common(wants, self.cursor),
        });
        let chunk = taker.last?;
        if next.is_none() {
            self.cursor = chunk.first_of(CHOICE_RUN).plus(CHOICE_RUN);
        }
        Some(chunk)
    }

    /// A chunk begins to leave for an asker.
    pub(crate) fn send(&mut self, seat: Seat, chunk: Chunk) {
        self.sent += 1;
        self.give(seat, chunk);
    }

    /// An asker is being sent a chunk, or has it.
    fn give(&mut self, seat: Seat, chunk: Chunk) {
        let Some(taker) = self.takers.get_mut(&seat) else { return };
        let Some(copies) = self.copies.get_mut(chunk.index()) else { return };
        if taker.given.insert(chunk) {
            *copies = copies.saturating_add(1);
            self.ungiven.remove(chunk);
            if self.lacking(chunk) == 0 {
                self.forget_first(chunk);
            }
        }
    }

    /// An asker says that it has a chunk.
    pub(crate) fn has(&mut self, seat: Seat, chunk: Chunk) {
        if let Some(taker) = self.takers.get_mut(&seat).filter(|_| chunk.index() < self.copies.len()) {
            taker.told.insert(chunk);
            if !taker.given.contains(chunk)
                && let Some(First { peer, gift }) = self.first.get(&chunk)
                && self.gifts.remove(gift).is_some()
            {
                let conduct = self.conduct.entry(*peer).or_default();
                conduct.passed_on = self.sent;
                conduct.kept_back = conduct.kept_back.saturating_sub(1);
            }
            self.give(seat, chunk);
        }
    }

    /// How many copies the askers lack of the chunks that `peer` was the first to be given; each that it kept back counts as
    /// lacked by all. Who passes on quickly should be given more, and who cannot keep up less.
    pub(crate) fn unspread(&self, peer: PeerId) -> u32 {
        let kept_back = self.conduct.get(&peer).map_or(0, |conduct| conduct.kept_back);
        let kept_back = kept_back.saturating_mul(self.takers.len() as u32);
        let chunks = self.given_first.get(&peer);
        chunks.map_or(kept_back, |chunks| {
            chunks.iter().map(|chunk| self.lacking(*chunk)).fold(kept_back, u32::saturating_add)
        })
    }

    /// How many copies of a chunk its askers lack.
    fn lacking(&self, chunk: Chunk) -> u32 {
        let some = self.wanters.get(chunk.index()).copied().unwrap_or(0);
        let copies = self.copies[chunk.index()];
        (u32::from(self.insatiable) + u32::from(some)).saturating_sub(u32::from(copies))
    }

    /// Nothing counts any more of who was the first to be given a chunk; who that was.
    fn forget_first(&mut self, chunk: Chunk) -> Option<PeerId> {
        let First { peer, gift } = self.first.remove(&chunk)?;
        self.gifts.remove(&gift);
        if let Some(chunks) = self.given_first.get_mut(&peer) {
            chunks.remove(&chunk);
        }
        Some(peer)
    }

    fn take_back(&mut self, chunk: Chunk) {
        let copies = &mut self.copies[chunk.index()];
        *copies = copies.saturating_sub(1);
        if *copies == 0 {
            self.ungiven.insert(chunk);
            self.forget_first(chunk);
        }
    }
}

#[cfg(test)]
impl Seed {
    /// Counts by a slow way what is kept up to date step by step; who has it open. Of who left in order, copies are
    /// left behind.
    pub(super) fn recount(&self, left_behind: bool) -> Vec<Seat> {
        for chunk in (0..self.copies.len() as u32).map(Chunk) {
            let copies = self.takers.values().filter(|taker| taker.given.contains(chunk)).count();
            let counted = usize::from(self.copies[chunk.index()]);
            assert!(
                counted == copies || (left_behind && counted > copies),
                "{counted} of {chunk}, not {copies}"
            );
            assert_eq!(self.ungiven.contains(chunk), counted == 0, "{chunk} has {counted}");
            let want = self.takers.values().filter(|taker| taker.wants(chunk)).count();
            let some = self.wanters.get(chunk.index()).copied().unwrap_or(0);
            assert_eq!(usize::from(self.insatiable + some), want, "who wants {chunk}");
        }
        let given = self.given_first.iter();
        let given = given.flat_map(|(peer, chunks)| chunks.iter().map(|chunk| (*chunk, *peer)));
        let first = self.first.iter().map(|(chunk, first)| (*chunk, first.peer));
        assert_eq!(first.collect::<BTreeMap<_, _>>(), given.collect());
        assert!(self.first.keys().all(|chunk| !self.ungiven.contains(*chunk)));
        for (number, gift) in &self.gifts {
            assert_eq!(self.first.get(&gift.chunk).map(|first| first.gift), Some(*number));
        }
        for taker in self.takers.values() {
            assert!(taker.told.iter().all(|chunk| taker.given.contains(chunk)));
        }
        self.takers.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests;
