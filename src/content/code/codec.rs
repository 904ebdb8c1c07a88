//! Reed-Solomon over a field of 2^16 elements: a systematic code, of which any `k` shards give the others
//! (Lin, Chung, Han, "Novel polynomial basis and its application to Reed-Solomon erasure codes", FOCS 2014), as the crate
//! has it. It works in blocks of 64 bytes, so a shard can be coded slice by slice.

use std::collections::BTreeMap;

use reed_solomon_simd::engine::{DefaultEngine, Engine, tables};
use reed_solomon_simd::{ReedSolomonDecoder, ReedSolomonEncoder};

use super::stripes::Shape;

/// Shards are coded in slices of at most so many bytes, which bounds memory; all of a slice's shards have the same length.
pub const SLICE_BYTES: usize = 1 << 20;
/// What the length of a slice is a multiple of.
const BLOCK_BYTES: usize = 64;
const _: () = assert!(SLICE_BYTES >= BLOCK_BYTES && SLICE_BYTES.is_multiple_of(BLOCK_BYTES));
/// A block is so many elements of the field: all low bytes, then all high ones.
const ELEMENTS: usize = BLOCK_BYTES / 2;
/// So many blocks are multiplied at a time: few enough to stay in the fastest cache.
const BLOCKS_AT_ONCE: usize = 128;

/// Why nothing was coded: the caller gave what cannot be.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum CodecError {
    /// Too few shards, or of different or odd lengths.
    #[error("these shards cannot be coded: {0}")]
    Shards(reed_solomon_simd::Error),
    /// A length that is no multiple of 64.
    #[error("a slice of {0} bytes cannot be coded")]
    Length(usize),
}

impl From<reed_solomon_simd::Error> for CodecError {
    fn from(error: reed_solomon_simd::Error) -> CodecError {
        CodecError::Shards(error)
    }
}

/// The parity slices of `k` data slices.
///
/// # Errors
/// [`CodecError`]: there are not `k`, or their lengths are not one multiple of 64.
pub fn encode(shape: Shape, data: &[impl AsRef<[u8]>]) -> Result<Vec<Vec<u8>>, CodecError> {
    let bytes = length(data.iter().map(AsRef::as_ref))?;
    let mut encoder = ReedSolomonEncoder::new(shape.k() as usize, shape.m() as usize, bytes)?;
    data.iter().try_for_each(|slice| encoder.add_original_shard(slice))?;
    Ok(encoder.encode()?.recovery_iter().map(<[u8]>::to_vec).collect())
}

/// How some shards of a group follow from others: each is a sum of multiples of those. To find the factors costs about as much
/// as to decode a mebibyte by the transforms that encode; with them any number of slices cost only what is multiplied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// For each that is wanted the logarithm of each given one's factor; none of zero.
    factors: Vec<Vec<Option<u16>>>,
}

impl Recovery {
    /// How the `wanted` shards follow from those `given`, by their numbers in the group.
    ///
    /// # Errors
    /// [`CodecError`]: they do not follow, for fewer than `k` are given.
    pub fn new(shape: Shape, given: &[usize], wanted: &[usize]) -> Result<Recovery, CodecError> {
        // Elements are coded each on its own. So one of them is 1 in one of the given shards, and 0 in the others: what
        // comes of it is the factor of that shard.
        let mut blocks: Vec<Option<[u8; BLOCK_BYTES]>> = vec![None; shape.shards() as usize];
        for (element, index) in given.iter().enumerate() {
            let block = blocks.get_mut(*index).filter(|_| element < ELEMENTS);
            let block = block.ok_or(CodecError::Length(given.len()))?.insert([0; BLOCK_BYTES]);
            block[element] = 1;
        }
        let logarithms = &tables::get_exp_log().log;
        let factor = |block: &[u8], element: usize| {
            let factor = u16::from_le_bytes([block[element], block[ELEMENTS + element]]);
            (factor != 0).then(|| logarithms[usize::from(factor)])
        };
        let solved = decode(shape, &blocks, wanted)?;
        let factors =
            solved.iter().map(|block| (0..given.len()).map(|element| factor(block, element)).collect());
        Ok(Recovery { factors: factors.collect() })
    }

    /// Adds to the sums, one for each wanted shard, what the same part of the `nth` given shard has in them: zeros are those
    /// parts once that was done for every given one. What is zeros alone may be left out.
    ///
    /// # Errors
    /// [`CodecError`]: the lengths are not one multiple of 64.
    pub fn add(&self, nth: usize, slice: &[u8], sums: &mut [&mut [u8]]) -> Result<(), CodecError> {
        length(std::iter::once(slice))?;
        let (engine, mut product) = (DefaultEngine::new(), [[0; BLOCK_BYTES]; BLOCKS_AT_ONCE]);
        for (factors, sum) in self.factors.iter().zip(sums) {
            let Some(factor) = factors.get(nth).copied().flatten() else { continue };
            if sum.len() != slice.len() {
                return Err(CodecError::Length(sum.len()));
            }
            let parts = slice.chunks(product.as_flattened().len());
            for (part, sum) in parts.zip(sum.chunks_mut(BLOCKS_AT_ONCE * BLOCK_BYTES)) {
                let product = &mut product[..part.len() / BLOCK_BYTES];
                product.as_flattened_mut().copy_from_slice(part);
                engine.mul(product, factor);
                sum.iter_mut().zip(product.as_flattened()).for_each(|(sum, product)| *sum ^= product);
            }
        }
        Ok(())
    }
}

/// The `wanted` slices of a group, by their numbers: as they were given, or as they follow from the others. No more is worked
/// out than they need. At least `k` are to be given if one of them was not.
fn decode(
    shape: Shape,
    slices: &[Option<impl AsRef<[u8]>>],
    wanted: &[usize],
) -> Result<Vec<Vec<u8>>, CodecError> {
    let (k, m) = (shape.k() as usize, shape.m() as usize);
    let bytes = length(slices.iter().flatten().map(AsRef::as_ref))?;
    let given = |index: usize| slices.get(index).and_then(Option::as_ref).map(AsRef::as_ref);
    let mut lost = wanted.iter().filter(|index| given(**index).is_none()).peekable();
    let (is_lost, encodes) = (lost.peek().is_some(), lost.any(|index| *index >= k));
    let mut made: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
    if is_lost && (0..k).any(|index| given(index).is_none()) {
        let mut decoder = ReedSolomonDecoder::new(k, m, bytes)?;
        let data = (0..k).filter_map(|index| Some((index, given(index)?)));
        data.into_iter().try_for_each(|(index, slice)| decoder.add_original_shard(index, slice))?;
        let parity = (0..m).filter_map(|index| Some((index, given(k + index)?)));
        parity.into_iter().try_for_each(|(index, slice)| decoder.add_recovery_shard(index, slice))?;
        made.extend(decoder.decode()?.restored_original_iter().map(|(index, slice)| (index, slice.to_vec())));
    }
    if encodes {
        let data = (0..k).map(|index| given(index).or_else(|| made.get(&index).map(Vec::as_slice)));
        let data: Vec<&[u8]> = data.map(Option::unwrap_or_default).collect();
        let parity = encode(shape, &data)?;
        made.extend((k..).zip(parity));
    }
    let slice = |index: &usize| given(*index).map(<[u8]>::to_vec).or_else(|| made.remove(index));
    Ok(wanted.iter().map(slice).map(Option::unwrap_or_default).collect())
}

/// Bytes of each slice.
fn length<'a>(mut slices: impl Iterator<Item = &'a [u8]>) -> Result<usize, CodecError> {
    let bytes = slices.next().map_or(0, <[u8]>::len);
    match bytes > 0 && bytes.is_multiple_of(BLOCK_BYTES) {
        true => Ok(bytes),
        false => Err(CodecError::Length(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(k: u8, m: u8) -> Shape {
        Shape::new(k, m).unwrap()
    }

    /// Slices whose bytes follow from where they are: byte `n` of slice `i` is the low byte of `n * 7 + i * 31`.
    fn slices(k: usize, bytes: usize) -> Vec<Vec<u8>> {
        (0..k).map(|slice| (0..bytes).map(|byte| (byte * 7 + slice * 31) as u8).collect()).collect()
    }

    fn hash(slices: &[Vec<u8>]) -> String {
        blake3::hash(&slices.concat()).to_hex()[..16].to_owned()
    }

    #[test]
    fn parity_is_what_it_has_always_been() {
        let parity = encode(shape(4, 2), &slices(4, 128)).unwrap();
        assert_eq!(parity.iter().map(Vec::len).collect::<Vec<_>>(), [128, 128]);
        assert_eq!((&parity[0][..8], &parity[1][..8]), (&GOLDEN.0[..], &GOLDEN.1[..]));
        assert_eq!(hash(&parity), GOLDEN.2);
        assert_eq!(hash(&encode(shape(2, 1), &slices(2, 64)).unwrap()), GOLDEN.3);
        assert_eq!(hash(&encode(shape(10, 4), &slices(10, 192)).unwrap()), GOLDEN.4);
    }

    /// What other programs must come to: parity that is kept is read by later versions of this one.
    const GOLDEN: ([u8; 8], [u8; 8], &str, &str, &str) = (
        [3, 220, 20, 216, 140, 135, 151, 155],
        [127, 220, 16, 216, 136, 7, 27, 27],
        "d4f0fc08270165e2",
        "2d88af22127649ef",
        "7adbdeba4af185d0",
    );

    #[test]
    fn any_k_of_all_give_the_rest() {
        let mut rng = fastrand::Rng::with_seed(7);
        for (k, m) in [(2, 1), (2, 2), (3, 2), (4, 2), (5, 3), (8, 8), (10, 4), (16, 8)] {
            let shape = shape(k, m);
            for _ in 0..20 {
                let bytes = 64 * rng.usize(1..9);
                let data: Vec<Vec<u8>> = (0..k).map(|_| (0..bytes).map(|_| rng.u8(..)).collect()).collect();
                let mut all = data.clone();
                all.extend(encode(shape, &data).unwrap());
                let mut given: Vec<Option<&Vec<u8>>> = all.iter().map(Some).collect();
                let every: Vec<usize> = (0..all.len()).collect();
                let mut order = every.clone();
                rng.shuffle(&mut order);
                let lost = rng.usize(0..=usize::from(m));
                order[..lost].iter().for_each(|index| given[*index] = None);
                let lost = &order[..lost];
                assert_eq!(decode(shape, &given, &every).unwrap(), all, "{k}+{m} without {lost:?}");
                for index in &every {
                    assert_eq!(decode(shape, &given, &[*index]).unwrap(), [all[*index].clone()], "{index}");
                }
                recovers(shape, &all, &order);
                // One more is too many.
                order[..usize::from(m) + 1].iter().for_each(|index| given[*index] = None);
                assert!(matches!(decode(shape, &given, &every), Err(CodecError::Shards(_))), "{k}+{m}");
            }
        }
    }

    /// The last `k` of an order give all shards, added in two parts, and what is given itself among them.
    fn recovers(shape: Shape, all: &[Vec<u8>], order: &[usize]) {
        let given = &order[shape.m() as usize..];
        let recovery = Recovery::new(shape, given, order).unwrap();
        let (bytes, parts) = (all[0].len(), all[0].len() / BLOCK_BYTES / 2 * BLOCK_BYTES);
        let mut sums = vec![vec![0; bytes]; all.len()];
        for part in [0..parts, parts..bytes].into_iter().filter(|part| !part.is_empty()) {
            for (nth, index) in given.iter().enumerate() {
                let mut sums: Vec<&mut [u8]> = sums.iter_mut().map(|sum| &mut sum[part.clone()]).collect();
                recovery.add(nth, &all[*index][part.clone()], &mut sums).unwrap();
            }
        }
        let wanted: Vec<Vec<u8>> = order.iter().map(|index| all[*index].clone()).collect();
        assert_eq!(sums, wanted, "{order:?}");
        let fewer = Recovery::new(shape, &given[1..], order);
        assert!(matches!(fewer, Err(CodecError::Shards(_))), "{order:?}");
    }

    #[test]
    fn slices_are_coded_on_their_own() {
        let (shape, data) = (shape(4, 2), slices(4, 640));
        let whole = encode(shape, &data).unwrap();
        let part = |from: usize, to: usize| {
            let part: Vec<&[u8]> = data.iter().map(|slice| &slice[from..to]).collect();
            encode(shape, &part).unwrap()
        };
        let parts = [part(0, 128), part(128, 192), part(192, 640)];
        for (index, slice) in whole.iter().enumerate() {
            assert_eq!(*slice, parts.iter().flat_map(|part| part[index].clone()).collect::<Vec<u8>>());
        }
    }

    #[test]
    fn what_cannot_be_coded_is_said_and_nothing_else_happens() {
        assert_eq!(encode(shape(2, 1), &slices(2, 63)), Err(CodecError::Length(63)));
        assert_eq!(encode(shape(2, 1), &slices(2, 0)), Err(CodecError::Length(0)));
        assert!(matches!(encode(shape(2, 1), &slices(3, 64)), Err(CodecError::Shards(_))));
        assert!(matches!(encode(shape(2, 1), &[vec![0; 64], vec![0; 128]]), Err(CodecError::Shards(_))));
        let nothing: [Option<Vec<u8>>; 3] = [None, None, None];
        assert_eq!(decode(shape(2, 1), &nothing, &[0]), Err(CodecError::Length(0)));
        assert_eq!(
            Recovery::new(shape(2, 1), &[0, 3], &[1]),
            Err(CodecError::Length(2)),
            "there is no such shard"
        );
        let recovery = Recovery::new(shape(2, 1), &[0, 2], &[1]).unwrap();
        assert_eq!(recovery.add(0, &[0; 63], &mut [&mut [0; 63]]), Err(CodecError::Length(63)));
        assert_eq!(recovery.add(0, &[0; 64], &mut [&mut [0; 128]]), Err(CodecError::Length(128)));
    }
}
