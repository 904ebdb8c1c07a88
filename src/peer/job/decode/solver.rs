//! Works out what is lost of a column, a part of it at a time.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::columns::Columns;
use crate::content::code::{CodecError, Column, Recovery, Shape};
use crate::content::{Chunk, Place};
use crate::peer::share::read_at;
use crate::peer::transfer::Lying;

/// So much of each shard is read at a time: it is still in a cache when it is multiplied.
const PART_BYTES: u64 = 64 << 10;
/// So many ways in which some shards follow from others are remembered. Stores that are lost are few, and stay lost: so are these.
const MOST_KNOWN: usize = 64;

/// Which shards are here, and which of the others are wanted.
type Pattern = (Vec<usize>, Vec<usize>);

/// Knows how lost shards of one code follow from others.
#[derive(Debug)]
pub(super) struct Solver {
    shape: Shape,
    known: BTreeMap<Pattern, Arc<Recovery>>,
}

impl Solver {
    pub(super) fn new(shape: Shape) -> Solver {
        Solver { shape, known: BTreeMap::new() }
    }

    /// How the `wanted` shards follow from those `given`.
    pub(super) fn recovery(
        &mut self,
        given: &[usize],
        wanted: &[usize],
    ) -> Result<Arc<Recovery>, CodecError> {
        let pattern = (given.to_vec(), wanted.to_vec());
        if let Some(known) = self.known.get(&pattern) {
            return Ok(known.clone());
        }
        if self.known.len() >= MOST_KNOWN {
            self.known.clear();
        }
        let recovery = Arc::new(Recovery::new(self.shape, given, wanted)?);
        self.known.insert(pattern, recovery.clone());
        Ok(recovery)
    }
}

/// A column of which enough is here.
pub(super) struct Ready {
    pub(super) column: Column,
    /// As many blocks as the others follow from.
    pub(super) given: Vec<usize>,
    pub(super) wanted: Vec<usize>,
    pub(super) recovery: Arc<Recovery>,
}

impl Ready {
    pub(super) fn new(
        column: Column,
        (given, wanted): (Vec<usize>, Vec<usize>),
        solver: &mut Solver,
    ) -> Result<Ready, CodecError> {
        let recovery = solver.recovery(&given, &wanted)?;
        Ok(Ready { column, given, wanted, recovery })
    }
}

/// So many blocks of a column of so many bytes each, as they follow from those `given`. `read` fills in a part of a given one, or
/// says that it is zeros alone.
pub(super) fn solve<E: From<CodecError>>(
    recovery: &Recovery,
    (wanted, bytes): (usize, u64),
    given: &[usize],
    mut read: impl FnMut(usize, Range<u64>, &mut [u8]) -> Result<bool, E>,
) -> Result<Vec<Vec<u8>>, E> {
    let mut blocks = vec![vec![0; bytes as usize]; wanted];
    let mut slice = vec![0; PART_BYTES.min(bytes) as usize];
    let mut from = 0;
    while from < bytes {
        let part = from..bytes.min(from + PART_BYTES);
        from = part.end;
        let place = part.start as usize..part.end as usize;
        let slice = &mut slice[..place.len()];
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

/// Reads a part of a block, from where its chunks lie; between and behind them are zeros. False if all of it are.
pub(super) fn read(
    columns: &Columns,
    (column, index): (Column, usize),
    (part, into): (Range<u64>, &mut [u8]),
    lying: impl Fn(usize, Chunk, Place) -> io::Result<Lying>,
) -> io::Result<bool> {
    let side = columns.chunks(column, index).0;
    let mut filled = 0;
    for (chunk, at, place) in columns.places(column, index) {
        let (from, to) = (part.start.max(at), part.end.min(at + place.len));
        if from < to {
            let (first, end) = ((from - part.start) as usize, (to - part.start) as usize);
            into[filled..first].fill(0);
            let lying = lying(side, chunk, place)?;
            read_at(&lying.file, &mut into[first..end], lying.offset + from - at)?;
            filled = end;
        }
    }
    into[filled..].fill(0);
    Ok(filled > 0)
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
        let given = [1, 2, 3];
        let recovery = solver.recovery(&given, &[0, 4]).unwrap();
        let solved = solve(&recovery, (2, BYTES as u64), &given, &mut read).unwrap();
        assert_eq!(solved, [all[0].clone(), all[4].clone()]);
        let (first, second) = (0..PART_BYTES, PART_BYTES..BYTES as u64);
        let each = |part: &Range<u64>| [1, 2, 3].map(|index| (index, part.clone()));
        assert_eq!(parts, [each(&first), each(&second)].concat());
        assert!(Arc::ptr_eq(&recovery, &solver.recovery(&given, &[0, 4]).unwrap()));
    }
}
