//! What of a content that is whole here has been given to whom, and which chunk a free choice is. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::content::{Chunk, ChunkSet, PROOF_RUN, PeerId};

/// Chunks that are given to one asker in a row: a proof's run, so that each proof travels once.
const CHOICE_RUN: u32 = PROOF_RUN;

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
    first: BTreeMap<Chunk, PeerId>,
    /// The same the other way round.
    given_first: BTreeMap<PeerId, BTreeSet<Chunk>>,
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
            left: BTreeMap::new(),
            given_first: BTreeMap::new(),
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
        all.is_some_and(|all| all.is_full())
    }

    /// True if nobody has it open.
    pub(crate) fn is_closed(&self) -> bool {
        self.takers.is_empty()
    }

    /// Gives an asker a chunk that it wants and no asker has, if there is one, to follow the last that it was given so. Each asker
    /// gets a run of its own as long as there are any, so that the proof of a run, which travels with its
    /// first chunk, leaves once too.
    pub(crate) fn choose(&mut self, seat: Seat) -> Option<Chunk> {
        let taker = self.takers.get_mut(&seat)?;
        let next = taker.last.map(|last| last.plus(1));
        let next = next.filter(|next| {
            *next != next.first_of(CHOICE_RUN) && self.ungiven.contains(*next) && taker.wants(*next)
        });
        taker.last = next.or_else(|| match &taker.wants {
            None => self.ungiven.next(self.cursor),
            Some(wants) => self.ungiven.next_common(wants, self.cursor),
        });
        let (peer, chunk) = (taker.peer, taker.last?);
        if next.is_none() {
            self.cursor = chunk.first_of(CHOICE_RUN).plus(CHOICE_RUN);
        }
        self.give(seat, chunk);
        self.first.insert(chunk, peer);
        self.given_first.entry(peer).or_default().insert(chunk);
        Some(chunk)
    }

    /// An asker is being sent a chunk.
    pub(crate) fn give(&mut self, seat: Seat, chunk: Chunk) {
        let Some(taker) = self.takers.get_mut(&seat) else { return };
        let Some(copies) = self.copies.get_mut(chunk.index()) else { return };
        if taker.given.insert(chunk) {
            *copies = copies.saturating_add(1);
            self.ungiven.remove(chunk);
            if self.lacking(chunk) == 0 {
                self.is_spread(chunk);
            }
        }
    }

    /// An asker says that it has a chunk.
    pub(crate) fn has(&mut self, seat: Seat, chunk: Chunk) {
        if let Some(taker) = self.takers.get_mut(&seat).filter(|_| chunk.index() < self.copies.len()) {
            taker.told.insert(chunk);
            self.give(seat, chunk);
        }
    }

    /// How many copies the askers lack of the chunks that `peer` was the first to be given: who passes
    /// on quickly should be given more, and who cannot keep up less.
    pub(crate) fn unspread(&self, peer: PeerId) -> u32 {
        let chunks = self.given_first.get(&peer);
        chunks.map_or(0, |chunks| chunks.iter().map(|chunk| self.lacking(*chunk)).sum())
    }

    /// How many copies of a chunk its askers lack.
    fn lacking(&self, chunk: Chunk) -> u32 {
        let some = self.wanters.get(chunk.index()).copied().unwrap_or(0);
        let copies = self.copies[chunk.index()];
        (u32::from(self.insatiable) + u32::from(some)).saturating_sub(u32::from(copies))
    }

    fn is_spread(&mut self, chunk: Chunk) {
        if let Some(peer) = self.first.remove(&chunk)
            && let Some(chunks) = self.given_first.get_mut(&peer)
        {
            chunks.remove(&chunk);
        }
    }

    fn take_back(&mut self, chunk: Chunk) {
        let copies = &mut self.copies[chunk.index()];
        *copies = copies.saturating_sub(1);
        if *copies == 0 {
            self.ungiven.insert(chunk);
            self.is_spread(chunk);
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
        let first =
            self.given_first.iter().flat_map(|(peer, chunks)| chunks.iter().map(|chunk| (*chunk, *peer)));
        assert_eq!(self.first, first.collect());
        assert!(self.first.keys().all(|chunk| !self.ungiven.contains(*chunk)));
        for taker in self.takers.values() {
            assert!(taker.told.iter().all(|chunk| taker.given.contains(chunk)));
        }
        self.takers.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
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
        let chosen = (0..count).map_while(|_| seed.choose(seat)).map(|chunk| chunk.0).collect();
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
        assert_eq!(
            choices(&mut seed, ONE, 20),
            Vec::from_iter((2..16).chain(33..39)),
            "the cursor goes round"
        );
        assert_eq!(choices(&mut seed, OTHER, 9), [39]);
        assert_eq!(seed.choose((9, 9)), None, "a seat that nobody has");
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
            let left: Vec<u32> = (0..3).map_while(|_| seed.choose(OTHER)).map(|chunk| chunk.0).collect();
            assert_eq!(left, if orderly { vec![2] } else { vec![0, 2] });
            assert!(!seed.is_closed());
            seed.close(OTHER, false);
            assert!(seed.is_closed());
        }
    }
}
