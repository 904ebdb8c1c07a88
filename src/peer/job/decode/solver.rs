//! Works out what is lost of a column, a part of it at a time.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::content::code::{CodecError, Recovery, Shape};

/// So much of each shard is read at a time: it is still in a cache when it is multiplied.
const PART_BYTES: u64 = 64 << 10;
/// So many ways in which some shards follow from others are remembered. Stores that are lost are few, and stay lost: so are these.
const MOST_KNOWN: usize = 64;

/// Which shards are here, and which of the others are wanted.
type Pattern = (Vec<usize>, Vec<usize>);

/// Decodes columns of one code.
#[derive(Debug)]
pub(super) struct Solver {
    shape: Shape,
    known: BTreeMap<Pattern, Recovery>,
}

impl Solver {
    pub(super) fn new(shape: Shape) -> Solver {
        Solver { shape, known: BTreeMap::new() }
    }

    /// The blocks of the `wanted` shards in a column of so many bytes, from those `given`. `read` fills in a part of a given
    /// one, or says that it is zeros alone.
    pub(super) fn solve<E: From<CodecError>>(
        &mut self,
        bytes: u64,
        (given, wanted): (&[usize], &[usize]),
        mut read: impl FnMut(usize, Range<u64>, &mut [u8]) -> Result<bool, E>,
    ) -> Result<Vec<Vec<u8>>, E> {
        let recovery = self.recovery(given, wanted)?;
        let mut blocks = vec![vec![0; bytes as usize]; wanted.len()];
        let mut slice = vec![0; PART_BYTES.min(bytes) as usize];
        let mut from = 0;
        while from < bytes {
            let part = from..bytes.min(from + PART_BYTES);
            from = part.end;
            let (slice, place) =
                (&mut slice[..(part.end - part.start) as usize], part.start as usize..part.end as usize);
            for (nth, index) in given.iter().enumerate() {
                if read(*index, part.clone(), slice)? {
                    let mut sums: Vec<&mut [u8]> =
                        blocks.iter_mut().map(|block| &mut block[place.clone()]).collect();
                    recovery.add(nth, slice, &mut sums)?;
                }
            }
        }
        Ok(blocks)
    }

    fn recovery(&mut self, given: &[usize], wanted: &[usize]) -> Result<&Recovery, CodecError> {
        let pattern = (given.to_vec(), wanted.to_vec());
        if !self.known.contains_key(&pattern) {
            if self.known.len() >= MOST_KNOWN {
                self.known.clear();
            }
            let recovery = Recovery::new(self.shape, given, wanted)?;
            self.known.insert(pattern.clone(), recovery);
        }
        Ok(&self.known[&pattern])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::code::encode;

    #[test]
    fn what_is_read_part_by_part_gives_what_is_wanted_and_zeros_need_not_be_read() {
        const BYTES: usize = PART_BYTES as usize + 128;
        let shape = Shape::new(3, 2).unwrap();
        let mut rng = fastrand::Rng::with_seed(3);
        let mut all: Vec<Vec<u8>> = (0..2).map(|_| (0..BYTES).map(|_| rng.u8(..)).collect()).collect();
        all.push(vec![0; BYTES]);
        all.extend(encode(shape, &all).unwrap());
        let mut solver = Solver::new(shape);
        let mut parts = Vec::new();
        let mut read = |index: usize, part: Range<u64>, into: &mut [u8]| {
            parts.push((index, part.clone()));
            into.copy_from_slice(&all[index][part.start as usize..part.end as usize]);
            Ok::<bool, CodecError>(index != 2)
        };
        let of = (&[1, 2, 3][..], &[0, 4][..]);
        let solved = solver.solve(BYTES as u64, of, &mut read).unwrap();
        assert_eq!(solved, [all[0].clone(), all[4].clone()]);
        let (first, second) = (0..PART_BYTES, PART_BYTES..BYTES as u64);
        let each = |part: &Range<u64>| [1, 2, 3].map(|index| (index, part.clone()));
        assert_eq!(parts, [each(&first), each(&second)].concat());
        assert_eq!(solver.known.len(), 1);
    }
}
