//! Changes to inputs as a fuzzer makes them, without knowing what they mean.

use fastrand::Rng;

/// Numbers at which decoders change their minds.
const EDGES: &[u32] =
    &[0, 1, 7, 255, 256, 2047, 2048, 4095, 4096, 65_535, 65_536, 1 << 20, 1 << 21, 1 << 31, u32::MAX];
/// Longest input.
const MAX_BYTES: usize = 16 << 10;

/// One of `inputs` with a few changes.
pub(crate) fn mutated(inputs: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let any = |rng: &mut Rng| inputs.get(rng.usize(..inputs.len().max(1))).cloned().unwrap_or_default();
    let mut input = any(rng);
    for _ in 0..=rng.u8(..5) {
        if input.is_empty() || rng.u8(..30) == 0 {
            let len = rng.usize(..64);
            input.extend((0..len).map(|_| rng.u8(..)));
            continue;
        }
        change(&mut input, rng, &any);
    }
    input.truncate(MAX_BYTES);
    input
}

fn change(input: &mut Vec<u8>, rng: &mut Rng, any: &impl Fn(&mut Rng) -> Vec<u8>) {
    let at = rng.usize(..input.len());
    let end = (at + 1 + rng.usize(..40)).min(input.len());
    match rng.u8(..10) {
        0 => input[at] ^= 1 << rng.u8(..8),
        1 => input[at] = rng.u8(..),
        2 => input[at] = b"/.\0\n%p2=&\"[]\xff"[rng.usize(..13)],
        3 => drop(input.drain(at..end)),
        4 => input.extend_from_within(at..end),
        5 => {
            let piece = input[at..end].to_vec();
            let to = rng.usize(..input.len());
            input.splice(to..to, piece);
        }
        6 => {
            let other = any(rng);
            let from = rng.usize(..=other.len());
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        7 => input.truncate(at),
        8 => {
            number(input, at, EDGES[rng.usize(..EDGES.len())].wrapping_add(rng.u32(..3)).wrapping_sub(1), rng)
        }
        _ => {
            let delta = rng.u8(1..8);
            input[at] =
                if rng.bool() { input[at].wrapping_add(delta) } else { input[at].wrapping_sub(delta) };
        }
    }
}

/// Writes a number of one, two or four bytes over what is there.
fn number(input: &mut [u8], at: usize, value: u32, rng: &mut Rng) {
    let bytes = value.to_be_bytes();
    let bytes = &bytes[[0, 2, 3][rng.usize(..3)]..];
    for (place, byte) in input[at..].iter_mut().zip(bytes) {
        *place = *byte;
    }
}
