//! A set of the chunks of a view, as bits. Pure.

use super::geometry::Chunk;
use super::runs::{self, Run};

const WORD: usize = 64;

/// Some of the first [`ChunkSet::len`] chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkSet {
    words: Box<[u64]>,
    len: u32,
    count: u32,
}

impl ChunkSet {
    /// No chunk of `len`.
    pub fn empty(len: u32) -> ChunkSet {
        ChunkSet { words: vec![0; (len as usize).div_ceil(WORD)].into(), len, count: 0 }
    }

    /// All chunks of `len`.
    pub fn full(len: u32) -> ChunkSet {
        let mut words = vec![u64::MAX; (len as usize).div_ceil(WORD)];
        if let (Some(last), spare @ 1..) = (words.last_mut(), len as usize % WORD) {
            *last = (1 << spare) - 1;
        }
        ChunkSet { words: words.into(), len, count: len }
    }

    /// How many chunks there could be.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Bytes of memory that a set of `len` chunks takes beside the value itself.
    pub fn bytes_of(len: u32) -> usize {
        (len as usize).div_ceil(WORD) * size_of::<u64>()
    }

    /// How many chunks are in the set.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// True if no chunk is in the set.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// True if every chunk is in the set.
    pub fn is_full(&self) -> bool {
        self.count == self.len
    }

    /// True if `chunk` is in the set.
    pub fn contains(&self, chunk: Chunk) -> bool {
        let word = self.words.get(chunk.index() / WORD).copied().unwrap_or(0);
        word >> (chunk.index() % WORD) & 1 == 1
    }

    /// Adds `chunk`; true if it is new. One past the end is not added.
    pub fn insert(&mut self, chunk: Chunk) -> bool {
        let new = chunk.0 < self.len && !self.contains(chunk);
        if new {
            self.words[chunk.index() / WORD] |= 1 << (chunk.index() % WORD);
            self.count += 1;
        }
        new
    }

    /// Takes `chunk` out; true if it was in.
    pub fn remove(&mut self, chunk: Chunk) -> bool {
        let old = self.contains(chunk);
        if old {
            self.words[chunk.index() / WORD] &= !(1 << (chunk.index() % WORD));
            self.count -= 1;
        }
        old
    }

    /// The chunks in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Chunk> + '_ {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros();
                (left != 0).then(|| {
                    left &= left - 1;
                    Chunk((at * WORD) as u32 + bit)
                })
            })
        })
    }

    /// The chunks as runs.
    pub fn runs(&self) -> Vec<Run> {
        runs::of(self.iter())
    }

    /// The first chunk at or after `from`, going round at the end, that is in both sets.
    pub fn next_common(&self, other: &ChunkSet, from: Chunk) -> Option<Chunk> {
        self.search(from, |at| self.words[at] & other.words.get(at).copied().unwrap_or(0))
    }

    /// The first chunk at or after `from`, going round at the end.
    pub fn next(&self, from: Chunk) -> Option<Chunk> {
        self.search(from, |at| self.words[at])
    }

    fn search(&self, from: Chunk, word: impl Fn(usize) -> u64) -> Option<Chunk> {
        let words = self.words.len();
        let (start, bit) = (from.index() / WORD, from.index() % WORD);
        if self.count == 0 || start >= words {
            return if from.0 == 0 { None } else { self.search(Chunk(0), word) };
        }
        let found =
            |at: usize, word: u64| (word != 0).then(|| Chunk((at * WORD) as u32 + word.trailing_zeros()));
        let high = u64::MAX << bit;
        found(start, word(start) & high)
            .or_else(|| (start + 1..words).chain(0..start).find_map(|at| found(at, word(at))))
            .or_else(|| found(start, word(start) & !high))
    }

    /// Adds the chunks of `runs`, leaving out those past the end: a word at a time, so that long runs
    /// cost little.
    pub fn add_runs(&mut self, runs: &[Run]) {
        for run in runs {
            let end = run.end().min(self.len);
            let mut at = run.first.0;
            while at < end {
                let low = at as usize % WORD;
                let width = (WORD - low).min((end - at) as usize);
                let word = &mut self.words[at as usize / WORD];
                let more = *word | (u64::MAX >> (WORD - width)) << low;
                self.count += (more ^ *word).count_ones();
                *word = more;
                at += width as u32;
            }
        }
    }

    /// The chunks of this set and those that are not in `other`, which is as long.
    #[must_use]
    pub fn or_not(&self, other: &ChunkSet) -> ChunkSet {
        let mut set = ChunkSet::full(self.len);
        for (at, word) in set.words.iter_mut().enumerate() {
            *word &= self.words[at] | !other.words.get(at).copied().unwrap_or(0);
        }
        set.count = set.words.iter().map(|word| word.count_ones()).sum();
        set
    }

    /// These chunks of so many.
    #[cfg(test)]
    pub(crate) fn of(len: u32, chunks: &[u32]) -> ChunkSet {
        let mut set = ChunkSet::empty(len);
        chunks.iter().for_each(|chunk| assert!(set.insert(Chunk(*chunk)), "once, and one of them"));
        set
    }

    /// The chunks that are in either, or in both; the other is as long.
    #[must_use]
    pub fn union(&self, other: &ChunkSet) -> ChunkSet {
        self.combined(other, |one, other| one | other)
    }

    /// The chunks that are in both; the other is as long.
    #[must_use]
    pub fn intersection(&self, other: &ChunkSet) -> ChunkSet {
        self.combined(other, |one, other| one & other)
    }

    /// The chunks that are not in the other, which is as long.
    #[must_use]
    pub fn difference(&self, other: &ChunkSet) -> ChunkSet {
        self.combined(other, |one, other| one & !other)
    }

    fn combined(&self, other: &ChunkSet, word: impl Fn(u64, u64) -> u64) -> ChunkSet {
        let words = self.words.iter().zip(&other.words).map(|(one, other)| word(*one, *other));
        ChunkSet::from_words(words, self.len)
    }

    /// The set as words: one bit a chunk, the first in the lowest bit of the first word; spare bits are 0.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The set of `len` chunks that these words stand for; what is past its end is left out.
    pub fn from_words(words: impl Iterator<Item = u64>, len: u32) -> ChunkSet {
        let mut set = ChunkSet::full(len);
        set.words.iter_mut().zip(words.chain(std::iter::repeat(0))).for_each(|(all, word)| *all &= word);
        set.count = set.words.iter().map(|word| word.count_ones()).sum();
        set
    }

    /// The set as bytes: one bit a chunk, the first in the highest bit of the first byte; spare bits are 0.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut map: Vec<u8> = self.words.iter().flat_map(|word| word.reverse_bits().to_be_bytes()).collect();
        map.truncate((self.len as usize).div_ceil(8));
        map
    }

    /// The set of `len` chunks that these bytes stand for; `None` if there are more or fewer, or a spare bit is set.
    pub fn from_bytes(map: &[u8], len: u32) -> Option<ChunkSet> {
        if map.len() != (len as usize).div_ceil(8) {
            return None;
        }
        let mut set = ChunkSet::empty(len);
        for (at, byte) in map.iter().enumerate() {
            set.words[at / 8] |= u64::from(byte.reverse_bits()) << (at % 8 * 8);
        }
        let spare =
            set.words.last().copied().unwrap_or(0) & !ChunkSet::full(len).words.last().copied().unwrap_or(0);
        set.count = set.words.iter().map(|word| word.count_ones()).sum();
        (spare == 0).then_some(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_joined_with_what_another_lacks() {
        let set = |chunks: &[u32]| ChunkSet::of(70, chunks);
        let (some, all) = (set(&[1, 68]), ChunkSet::full(70));
        assert_eq!(some.or_not(&all), some);
        assert_eq!(some.or_not(&set(&[])), all);
        let mut but_two = all;
        assert!(but_two.remove(Chunk(2)) && but_two.remove(Chunk(69)));
        assert_eq!(some.or_not(&set(&[1, 2, 69])), but_two);
    }

    #[test]
    fn sets_are_combined_chunk_by_chunk() {
        let set = |chunks: &[u32]| ChunkSet::of(70, chunks);
        let (one, other) = (set(&[1, 2, 68]), set(&[2, 69]));
        assert_eq!(one.union(&other), set(&[1, 2, 68, 69]));
        assert_eq!(one.intersection(&other), set(&[2]));
        assert_eq!((one.difference(&other), other.difference(&one)), (set(&[1, 68]), set(&[69])));
    }

    #[test]
    fn bytes_read_back() {
        for len in [0, 1, 7, 8, 9, 63, 64, 65, 200] {
            let mut rng = fastrand::Rng::with_seed(u64::from(len));
            let mut set = ChunkSet::empty(len);
            (0..len).map(Chunk).filter(|_| rng.bool()).for_each(|chunk| assert!(set.insert(chunk)));
            for set in [set, ChunkSet::empty(len), ChunkSet::full(len)] {
                assert_eq!(ChunkSet::from_bytes(&set.to_bytes(), len), Some(set.clone()));
                assert_eq!(set.iter().count() as u32, set.count());
            }
        }
        let read = |bytes: &[u8], len| Some(ChunkSet::from_bytes(bytes, len)?.runs());
        assert_eq!(read(&[0x80, 0x02], 15), Some(vec![Run::new(Chunk(0), 1), Run::new(Chunk(14), 1)]));
        assert_eq!(read(&[0x80, 0x01], 15), None, "a spare bit");
        assert_eq!(read(&[0x80], 15), None, "too short");
        assert_eq!(read(&[0x80, 0, 0], 15), None, "too long");
        assert_eq!(read(&[], 0), Some(vec![]));
    }

    #[test]
    fn words_read_back_and_what_is_past_the_end_is_left_out() {
        for len in [0, 1, 63, 64, 65, 130] {
            let mut rng = fastrand::Rng::with_seed(u64::from(len));
            let mut some = ChunkSet::empty(len);
            (0..len).map(Chunk).filter(|_| rng.bool()).for_each(|chunk| assert!(some.insert(chunk)));
            assert_eq!(ChunkSet::from_words(some.words().iter().copied(), len), some);
            assert_eq!(ChunkSet::from_words(std::iter::repeat(u64::MAX), len), ChunkSet::full(len));
            assert_eq!(ChunkSet::from_words(std::iter::empty(), len), ChunkSet::empty(len));
        }
    }

    #[test]
    fn a_set_counts_what_goes_in_and_out() {
        let mut set = ChunkSet::empty(65);
        assert!(set.is_empty() && !set.is_full());
        assert_eq!(
            [set.insert(Chunk(64)), set.insert(Chunk(64)), set.insert(Chunk(65))],
            [true, false, false]
        );
        assert_eq!(
            (set.len(), set.count(), set.contains(Chunk(64)), set.contains(Chunk(0))),
            (65, 1, true, false)
        );
        assert_eq!(
            [set.remove(Chunk(64)), set.remove(Chunk(64)), set.remove(Chunk(65)), set.remove(Chunk(1000))],
            [true, false, false, false]
        );
        assert_eq!(set, ChunkSet::empty(65));
        let full = ChunkSet::full(65);
        assert!(full.is_full() && !full.is_empty() && !full.contains(Chunk(65)));
        assert_eq!([0, 1, 64, 65].map(ChunkSet::bytes_of), [0, 8, 8, 16]);
    }

    #[test]
    fn runs_are_added_as_one_by_one() {
        let mut rng = fastrand::Rng::with_seed(3);
        for len in [0, 1, 63, 64, 65, 200] {
            let (mut fast, mut slow) = (ChunkSet::empty(len), ChunkSet::empty(len));
            for _ in 0..20 {
                let run = Run::new(Chunk(rng.u32(..=len + 2)), rng.u32(..100));
                fast.add_runs(&[run]);
                for chunk in run.below(u32::MAX) {
                    slow.insert(chunk);
                }
                assert_eq!(fast, slow, "{run:?} of {len}");
            }
            fast.add_runs(&[Run::new(Chunk(0), u32::MAX), Run::new(Chunk(u32::MAX), u32::MAX)]);
            assert_eq!(fast, ChunkSet::full(len));
        }
    }

    #[test]
    fn search_goes_round_like_a_scan() {
        let mut rng = fastrand::Rng::with_seed(7);
        for len in [1, 64, 65, 130] {
            let (mut a, mut b) = (ChunkSet::empty(len), ChunkSet::full(len));
            let all = (0..len).map(Chunk);
            all.clone().filter(|_| rng.u8(..8) == 0).for_each(|chunk| assert!(a.insert(chunk)));
            all.filter(|_| rng.bool()).for_each(|chunk| assert!(b.remove(chunk)));
            for from in 0..len + 70 {
                let mut round = (from..len).chain(0..len.min(from)).map(Chunk);
                let scan = round.clone().find(|chunk| a.contains(*chunk) && b.contains(*chunk));
                assert_eq!(a.next_common(&b, Chunk(from)), scan, "{len} {from}");
                assert_eq!(a.next(Chunk(from)), round.find(|chunk| a.contains(*chunk)), "{len} {from}");
            }
        }
    }
}
