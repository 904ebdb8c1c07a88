//! Proofs: the right one holds, and no other.

use std::ops::Range;
use std::path::Path;

use super::Numbers;
use crate::content::{ChunkHash, Geometry, Manifest, Proof};

/// Makes a manifest, a run and damage from the bytes. A proof that was changed in any way, or that is
/// checked against another size, proves nothing.
pub(super) fn proof(bytes: &[u8], _: &Path) {
    let mut numbers = Numbers(bytes);
    let chunks = u32::from(numbers.u16()) % 600 + 1;
    let short = u64::from(numbers.u16());
    let size = (u64::from(chunks) << 16) - short;
    let Some(geometry) = Geometry::of(size) else { return };
    let hashes: Vec<ChunkHash> = (0..geometry.chunks()).map(hash).collect();
    let Ok((manifest, id)) = Manifest::new(geometry, hashes) else { panic!("a hash for each chunk") };
    let run = run(geometry, &mut numbers);
    let Ok(mut proof) = manifest.prove(run) else { return };
    assert_eq!(proof.check(id, geometry), Ok(()));
    let right = proof.clone();
    for _ in 0..=numbers.u8() % 3 {
        damage(&mut proof, &mut numbers);
    }
    if proof != right {
        assert!(proof.check(id, geometry).is_err(), "{right:?} and {proof:?}, {size} bytes");
    }
    // A size with another number of chunks, or with chunks of another size, is another tree.
    if let Some(other) = Geometry::of(u64::from(numbers.u32()) << (numbers.u8() % 12))
        && right.check(id, other).is_ok()
    {
        let shape = |geometry: Geometry| (geometry.chunks(), geometry.chunk_size());
        assert!(
            shape(other) == shape(geometry) || other.chunks() as usize >= right.hashes.len(),
            "{geometry:?} and {other:?}"
        );
    }
}

fn hash(chunk: u32) -> ChunkHash {
    let mut out = [7; ChunkHash::BYTES];
    out[..4].copy_from_slice(&chunk.to_be_bytes());
    ChunkHash(out)
}

/// An aligned run as askers want them, or any two numbers.
fn run(geometry: Geometry, numbers: &mut Numbers<'_>) -> Range<u32> {
    let span = 1 << (numbers.u8() % 11);
    let first = u32::from(numbers.u16()) % geometry.chunks();
    match numbers.u8() % 4 {
        0 => first..first + span,
        _ => first / span * span..(first / span * span + span).min(geometry.chunks()),
    }
}

fn damage(proof: &mut Proof, numbers: &mut Numbers<'_>) {
    let what = numbers.u8();
    let at = usize::from(numbers.u16());
    let list = if what & 0x80 == 0 { &mut proof.hashes } else { &mut proof.path };
    match what % 6 {
        0 => proof.first ^= 1 << (at % 32),
        1 => list.push(hash(numbers.u32())),
        2 => drop(list.pop()),
        3 if !list.is_empty() => {
            let len = list.len();
            list[at % len].0[usize::from(numbers.u8()) % ChunkHash::BYTES] ^= 1 << (at % 8);
        }
        4 if !list.is_empty() => {
            let len = list.len();
            list.swap(at % len, (at / 7) % len);
        }
        5 => list.truncate(at % 5),
        _ => {}
    }
}
