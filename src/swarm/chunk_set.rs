//! A set of chunk numbers below a fixed length, as bits. Pure.

use bytes::Bytes;

use crate::wire::Bits;

const WORD: usize = 64;

/// Chunk numbers below [`ChunkSet::len`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkSet {
    words: Vec<u64>,
    len: u32,
    count: u32,
}

impl ChunkSet {
    /// No chunk of `len`.
    pub fn empty(len: u32) -> ChunkSet {
        ChunkSet { words: vec![0; (len as usize).div_ceil(WORD)], len, count: 0 }
    }

    /// All chunks of `len`.
    pub fn full(len: u32) -> ChunkSet {
        let mut words = vec![u64::MAX; (len as usize).div_ceil(WORD)];
        if let (Some(last), spare @ 1..) = (words.last_mut(), len as usize % WORD) {
            *last = (1 << spare) - 1;
        }
        ChunkSet { words, len, count: len }
    }

    /// How many chunks there could be.
    pub fn len(&self) -> u32 {
        self.len
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
    pub fn contains(&self, chunk: u32) -> bool {
        let word = self.words.get(chunk as usize / WORD).copied().unwrap_or(0);
        word >> (chunk as usize % WORD) & 1 == 1
    }

    /// Adds `chunk`; true if it is new. A number past the end is not added.
    pub fn insert(&mut self, chunk: u32) -> bool {
        let new = chunk < self.len && !self.contains(chunk);
        if new {
            self.words[chunk as usize / WORD] |= 1 << (chunk as usize % WORD);
            self.count += 1;
        }
        new
    }

    /// Takes `chunk` out; true if it was in.
    pub fn remove(&mut self, chunk: u32) -> bool {
        let old = self.contains(chunk);
        if old {
            self.words[chunk as usize / WORD] &= !(1 << (chunk as usize % WORD));
            self.count -= 1;
        }
        old
    }

    /// The chunks in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros();
                (left != 0).then(|| {
                    left &= left - 1;
                    (at * WORD) as u32 + bit
                })
            })
        })
    }

    /// The chunks as runs of first and count.
    pub fn ranges(&self) -> Vec<(u32, u32)> {
        ranges(self.iter())
    }

    /// The first chunk at or after `from`, going round at the end, that is in both sets.
    pub fn next_common(&self, other: &ChunkSet, from: u32) -> Option<u32> {
        self.search(from, |at| self.words[at] & other.words.get(at).copied().unwrap_or(0))
    }

    /// The first chunk at or after `from`, going round at the end.
    pub fn next(&self, from: u32) -> Option<u32> {
        self.search(from, |at| self.words[at])
    }

    fn search(&self, from: u32, word: impl Fn(usize) -> u64) -> Option<u32> {
        let words = self.words.len();
        let (start, bit) = (from as usize / WORD, from as usize % WORD);
        if self.count == 0 || start >= words {
            return if from == 0 { None } else { self.search(0, word) };
        }
        let found = |at: usize, word: u64| (word != 0).then(|| (at * WORD) as u32 + word.trailing_zeros());
        let high = u64::MAX << bit;
        found(start, word(start) & high)
            .or_else(|| (start + 1..words).chain(0..start).find_map(|at| found(at, word(at))))
            .or_else(|| found(start, word(start) & !high))
    }

    /// The set as it is sent in OPENED.
    pub fn to_bits(&self) -> Bits {
        if self.is_empty() {
            return Bits::None;
        }
        if self.is_full() {
            return Bits::All;
        }
        let mut map: Vec<u8> = self.words.iter().flat_map(|word| word.reverse_bits().to_be_bytes()).collect();
        map.truncate((self.len as usize).div_ceil(8));
        Bits::Map(Bytes::from(map))
    }

    /// The set of `len` chunks that `bits` stand for; `None` if the bitmap is not exactly as long.
    pub fn from_bits(bits: &Bits, len: u32) -> Option<ChunkSet> {
        let map = match bits {
            Bits::None => return Some(ChunkSet::empty(len)),
            Bits::All => return Some(ChunkSet::full(len)),
            Bits::Map(map) => map,
        };
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

/// The chunk numbers below `len` in runs from outside: `len` of them at most, so that runs that lie on
/// each other cost their sender more than whoever reads them.
pub(crate) fn numbers(runs: &[(u32, u32)], len: u32) -> impl Iterator<Item = u32> + '_ {
    let run = move |(first, count): &(u32, u32)| *first..first.saturating_add(*count).min(len);
    runs.iter().flat_map(run).take(len as usize)
}

/// Ascending numbers as runs of first and count.
pub fn ranges(chunks: impl IntoIterator<Item = u32>) -> Vec<(u32, u32)> {
    let mut out: Vec<(u32, u32)> = Vec::new();
    for chunk in chunks {
        match out.last_mut() {
            Some((first, count)) if *first + *count == chunk => *count += 1,
            _ => out.push((chunk, 1)),
        }
    }
    out
}

/// How many chunks of `len` the runs name, repetitions and all; an empty run counts, for it is work too.
pub fn named(runs: &[(u32, u32)], len: u32) -> u64 {
    let clipped = |first: u32, count: u32| first.saturating_add(count).min(len).saturating_sub(first);
    runs.iter().map(|(first, count)| u64::from(clipped(*first, *count).max(1))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_read_back() {
        for len in [0, 1, 7, 8, 9, 63, 64, 65, 200] {
            let mut rng = fastrand::Rng::with_seed(u64::from(len));
            let mut set = ChunkSet::empty(len);
            (0..len).filter(|_| rng.bool()).for_each(|chunk| assert!(set.insert(chunk)));
            assert_eq!(ChunkSet::from_bits(&set.to_bits(), len), Some(set.clone()));
            assert_eq!(set.iter().count() as u32, set.count());
        }
        assert_eq!(ChunkSet::from_bits(&Bits::Map(Bytes::from_static(&[0x80, 0x01])), 15), None, "spare bit");
        let first = ChunkSet::from_bits(&Bits::Map(Bytes::from_static(&[0x80, 0x00])), 15).unwrap();
        assert_eq!(first.iter().collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn search_goes_round_like_a_scan() {
        let mut rng = fastrand::Rng::with_seed(7);
        for len in [1, 64, 65, 130] {
            let (mut a, mut b) = (ChunkSet::empty(len), ChunkSet::full(len));
            (0..len).filter(|_| rng.u8(..8) == 0).for_each(|chunk| assert!(a.insert(chunk)));
            (0..len).filter(|_| rng.bool()).for_each(|chunk| assert!(b.remove(chunk)));
            for from in 0..len {
                let scan = (from..len).chain(0..from).find(|chunk| a.contains(*chunk) && b.contains(*chunk));
                assert_eq!(a.next_common(&b, from), scan, "{len} {from}");
            }
        }
    }

    #[test]
    fn runs_from_outside_are_bounded() {
        let read = |runs: &[(u32, u32)], len| numbers(runs, len).collect::<Vec<_>>();
        assert_eq!(read(&[(0, 2), (4, 9), (7, u32::MAX)], 6), [0, 1, 4, 5]);
        assert_eq!(numbers(&[(0, u32::MAX); 4096], 100).count(), 100);
    }

    #[test]
    fn runs_join_neighbours() {
        assert_eq!(ranges([1, 2, 3, 7, 9, 10]), [(1, 3), (7, 1), (9, 2)]);
        assert_eq!(ChunkSet::full(70).ranges(), [(0, 70)]);
        assert_eq!(named(&[(0, 4), (2, u32::MAX), (9, 1), (0, 0)], 5), 4 + 3 + 1 + 1);
    }
}
