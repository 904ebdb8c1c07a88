//! Which chunks of a content one store holds, or is to hold.

use std::ops::Range;

use crate::content::{Chunk, ChunkSet, PROOF_RUN};
use crate::wire::Bits;

/// A run of chunks that is placed as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Unit(u32);

impl Unit {
    /// All units of a content; a tree without chunks has one, for its listing is to be kept, too.
    #[cfg(test)]
    pub(super) fn all(chunks: u32) -> impl Iterator<Item = Unit> {
        (0..chunks.div_ceil(PROOF_RUN).max(1)).map(Unit)
    }

    /// The units that have chunks among some of a word of a bitmap: `word` is its number, and each bit a chunk.
    pub(super) fn of_word(word: usize, bits: u64) -> impl Iterator<Item = Unit> {
        let lanes = (0..LANES).filter(move |lane| bits & lane_mask(*lane) != 0);
        lanes.map(move |lane| Unit(word as u32 * LANES + lane))
    }

    /// Its bits in the word that it is in.
    pub(super) fn mask(self) -> u64 {
        lane_mask(self.0 % LANES)
    }

    /// Its number in its content.
    pub(super) fn number(self) -> u64 {
        self.0.into()
    }

    /// Its chunks in a content of so many.
    pub(super) fn of(self, chunks: u32) -> impl Iterator<Item = Chunk> {
        self.run(chunks).map(Chunk)
    }

    /// The same as numbers.
    pub(super) fn run(self, chunks: u32) -> Range<u32> {
        let first = self.0 * PROOF_RUN;
        first..(first + PROOF_RUN).min(chunks)
    }
}

/// Units in a word of a bitmap.
const LANES: u32 = u64::BITS / PROOF_RUN;
const _: () = assert!(u64::BITS.is_multiple_of(PROOF_RUN));

fn lane_mask(lane: u32) -> u64 {
    ((1 << PROOF_RUN) - 1) << (lane * PROOF_RUN)
}

/// Some chunks of a content. All of a content without chunks is its listing, and something else than none of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Part {
    #[default]
    None,
    All,
    /// Neither of the others.
    Some(ChunkSet),
}

impl Part {
    /// What was reported of a content of so many chunks; `None` if it cannot be.
    pub(super) fn new(bits: &Bits, chunks: u32) -> Option<Part> {
        match bits {
            Bits::None => Some(Part::None),
            Bits::All => Some(Part::All),
            Bits::Map(_) => bits.to_set(chunks).map(Part::from),
        }
    }

    pub(super) fn to_bits(&self) -> Bits {
        match self {
            Part::None => Bits::None,
            Part::All => Bits::All,
            Part::Some(set) => Bits::from(set),
        }
    }

    pub(super) fn is_none(&self) -> bool {
        *self == Part::None
    }

    /// How many chunks of `chunks` it has.
    pub(super) fn count(&self, chunks: u32) -> u32 {
        match self {
            Part::None => 0,
            Part::All => chunks,
            Part::Some(set) => set.count(),
        }
    }

    pub(super) fn contains(&self, chunk: Chunk) -> bool {
        match self {
            Part::None => false,
            Part::All => true,
            Part::Some(set) => set.contains(chunk),
        }
    }

    /// True if it has every chunk of the unit.
    pub(super) fn has(&self, unit: Unit, chunks: u32) -> bool {
        match self {
            Part::None => false,
            Part::All => true,
            Part::Some(_) => unit.of(chunks).all(|chunk| self.contains(chunk)),
        }
    }

    /// True if it has a chunk of the unit.
    pub(super) fn has_some(&self, unit: Unit, chunks: u32) -> bool {
        match self {
            Part::None => false,
            Part::All => true,
            Part::Some(_) => unit.of(chunks).any(|chunk| self.contains(chunk)),
        }
    }

    /// True if it has one of these chunks.
    pub(super) fn has_any(&self, chunks: &ChunkSet) -> bool {
        match self {
            Part::None => false,
            Part::All => !chunks.is_empty(),
            Part::Some(set) => set.next_common(chunks, Chunk(0)).is_some(),
        }
    }

    pub(super) fn and(&self, other: &Part) -> Part {
        match (self, other) {
            (Part::None, _) | (_, Part::None) => Part::None,
            (Part::All, one) | (one, Part::All) => one.clone(),
            (Part::Some(one), Part::Some(other)) => one.intersection(other).into(),
        }
    }

    pub(super) fn or(&self, other: &Part) -> Part {
        match (self, other) {
            (Part::None, one) | (one, Part::None) => one.clone(),
            (Part::All, _) | (_, Part::All) => Part::All,
            (Part::Some(one), Part::Some(other)) => one.union(other).into(),
        }
    }

    /// What of it is not in the other.
    pub(super) fn without(&self, other: &Part, chunks: u32) -> Part {
        match (self, other) {
            (Part::None, _) | (_, Part::All) => Part::None,
            (one, Part::None) => one.clone(),
            (Part::All, Part::Some(other)) => ChunkSet::full(chunks).difference(other).into(),
            (Part::Some(one), Part::Some(other)) => one.difference(other).into(),
        }
    }

    /// Adds chunks that are not in `but`.
    pub(super) fn add(&mut self, run: Range<u32>, but: &Part, chunks: u32) {
        if chunks == 0 {
            if but.is_none() {
                *self = Part::All;
            }
            return;
        }
        let mut set = match std::mem::take(self) {
            Part::All => return *self = Part::All,
            Part::None => ChunkSet::empty(chunks),
            Part::Some(set) => set,
        };
        run.map(Chunk).filter(|chunk| !but.contains(*chunk)).for_each(|chunk| {
            set.insert(chunk);
        });
        *self = set.into();
    }

    /// Takes chunks out.
    pub(super) fn remove(&mut self, run: Range<u32>, chunks: u32) {
        let mut set = match std::mem::take(self) {
            Part::None => return,
            Part::All => ChunkSet::full(chunks),
            Part::Some(set) => set,
        };
        run.map(Chunk).for_each(|chunk| {
            set.remove(chunk);
        });
        *self = set.into();
    }

    /// How many chunks of `chunks` it has, where a content without chunks counts as one.
    pub(super) fn weight(&self, chunks: u32) -> u32 {
        match self {
            Part::All => weight(chunks),
            some => some.count(chunks),
        }
    }

    /// Chunks `at * 64` to `at * 64 + 63` as bits, the first in the lowest; for a content without chunks one bit.
    pub(super) fn word(&self, at: usize) -> u64 {
        match self {
            Part::None => 0,
            Part::All => u64::MAX,
            Part::Some(set) => set.words().get(at).copied().unwrap_or(0),
        }
    }

    /// Bytes of memory beside the value itself.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Part::None | Part::All => 0,
            Part::Some(set) => ChunkSet::bytes_of(set.len()),
        }
    }
}

impl From<ChunkSet> for Part {
    fn from(set: ChunkSet) -> Part {
        match (set.is_empty(), set.is_full()) {
            (true, _) => Part::None,
            (_, true) => Part::All,
            _ => Part::Some(set),
        }
    }
}

/// Words of a bitmap of so many chunks.
pub(super) fn words(chunks: u32) -> usize {
    (weight(chunks) as usize).div_ceil(u64::BITS as usize)
}

/// The bits of a word that stand for chunks.
pub(super) fn used(word: usize, chunks: u32) -> u64 {
    match weight(chunks) as usize - word * u64::BITS as usize {
        left @ ..64 => (1 << left) - 1,
        _ => u64::MAX,
    }
}

/// Counts, for each chunk of a word, in how many of the sets that are added it is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Levels([u64; MAX_COPIES]);

impl Levels {
    pub(super) fn add(&mut self, set: u64) {
        let mut rest = set;
        for level in &mut self.0 {
            (*level, rest) = (*level | rest, *level & rest);
        }
    }

    /// Chunks in at least so many of the sets, at most [`MAX_COPIES`]; all for 0.
    pub(super) fn at_least(&self, sets: usize) -> u64 {
        match sets {
            0 => u64::MAX,
            sets => self.0.get(sets - 1).copied().unwrap_or(0),
        }
    }
}

/// How many chunks are in at least one place, in at least two, and so on up to `most`. Each part is in the place of its
/// number, and those in one place are next to each other. A content without chunks counts as one: its listing.
///
/// Copies of one chunk and places: so many are the most that can be matched, each copy to a place of its own.
pub(super) fn copies(parts: &[(u32, &Part)], chunks: u32, most: usize) -> Vec<u32> {
    let mut counts = vec![0; most];
    for at in 0..words(chunks) {
        let levels = levels(parts, at);
        let used = used(at, chunks);
        for (sets, count) in (1..).zip(&mut counts) {
            *count += (levels.at_least(sets) & used).count_ones();
        }
    }
    counts
}

/// In how many places the chunks of a word are.
pub(super) fn levels(parts: &[(u32, &Part)], at: usize) -> Levels {
    let mut levels = Levels::default();
    for place in parts.chunk_by(|one, next| one.0 == next.0) {
        levels.add(place.iter().fold(0, |set, (_, part)| set | part.word(at)));
    }
    levels
}

/// Most copies of anything.
pub(super) const MAX_COPIES: usize = crate::wire::limits::MAX_PARITY as usize + 1;

/// How many chunks a content counts for.
pub(super) fn weight(chunks: u32) -> u32 {
    chunks.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(rng: &mut fastrand::Rng, chunks: u32) -> Part {
        match rng.u8(..4) {
            0 => Part::None,
            1 => Part::All,
            _ => {
                let mut set = ChunkSet::empty(chunks);
                (0..chunks).map(Chunk).filter(|_| rng.bool()).for_each(|chunk| assert!(set.insert(chunk)));
                set.into()
            }
        }
    }

    #[test]
    fn parts_are_sets() {
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..300 {
            let chunks = *rng.choice(&[1, 15, 16, 17, 64, 65, 200]).unwrap();
            let (a, b) = (part(&mut rng, chunks), part(&mut rng, chunks));
            let numbers = |test: &dyn Fn(Chunk) -> bool| {
                (0..chunks).map(Chunk).filter(|n| test(*n)).collect::<Vec<_>>()
            };
            let of = |part: &Part| numbers(&|n| part.contains(n));
            assert_eq!(of(&a.and(&b)), numbers(&|n| a.contains(n) && b.contains(n)));
            assert_eq!(of(&a.or(&b)), numbers(&|n| a.contains(n) || b.contains(n)));
            assert_eq!(of(&a.without(&b, chunks)), numbers(&|n| a.contains(n) && !b.contains(n)));
            assert_eq!(a.count(chunks) as usize, of(&a).len());
            assert_eq!(Part::new(&a.to_bits(), chunks), Some(a));
        }
    }

    #[test]
    fn copies_are_counted_as_one_would_by_hand() {
        let mut rng = fastrand::Rng::with_seed(2);
        for _ in 0..200 {
            let chunks = *rng.choice(&[1, 16, 63, 64, 65, 130]).unwrap();
            let parts: Vec<Part> = (0..rng.usize(..6)).map(|_| part(&mut rng, chunks)).collect();
            let held = |chunk| parts.iter().filter(|part| part.contains(chunk)).count();
            let by_hand = |least| (0..chunks).map(Chunk).filter(|chunk| held(*chunk) >= least).count() as u32;
            let apart: Vec<(u32, &Part)> = (0..).zip(&parts).collect();
            assert_eq!(copies(&apart, chunks, 3), [by_hand(1), by_hand(2), by_hand(3)]);
        }
    }

    #[test]
    fn a_tree_without_chunks_is_its_listing() {
        assert_eq!(copies(&[(0, &Part::All), (1, &Part::None), (2, &Part::All)], 0, 3), [1, 1, 0]);
        assert_eq!(copies(&[(0, &Part::All), (2, &Part::All), (2, &Part::All)], 0, 3), [1, 1, 0]);
        assert_eq!(Unit::all(0).count(), 1);
        let only = Unit(0);
        assert!(Part::All.has(only, 0) && !Part::None.has(only, 0));
    }
}
