//! Reed-Solomon over a field of 2^16 elements: a systematic code, of which any `k` shards give the others
//! (Lin, Chung, Han, "Novel polynomial basis and its application to Reed-Solomon erasure codes", FOCS 2014), as the crate
//! has it. It works in blocks of 64 bytes, so a shard can be coded slice by slice.

use std::collections::BTreeMap;

use reed_solomon_simd::{ReedSolomonDecoder, ReedSolomonEncoder};

use super::stripes::Shape;

/// Shards are coded in slices of at most so many bytes, which bounds memory; all of a slice's shards have the same length.
pub const SLICE_BYTES: usize = 1 << 20;
/// What the length of a slice is a multiple of.
const BLOCK_BYTES: usize = 64;
const _: () = assert!(SLICE_BYTES >= BLOCK_BYTES && SLICE_BYTES.is_multiple_of(BLOCK_BYTES));

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

/// The `wanted` slices of a group, by their numbers: as they were given, or as they follow from the others. No more is worked
/// out than they need. At least `k` are to be given if one of them was not.
///
/// # Errors
/// [`CodecError`]: too few are given, or their lengths are not one multiple of 64.
pub fn decode(
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
                // One more is too many.
                order[..usize::from(m) + 1].iter().for_each(|index| given[*index] = None);
                assert!(matches!(decode(shape, &given, &every), Err(CodecError::Shards(_))), "{k}+{m}");
            }
        }
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
    }
}
