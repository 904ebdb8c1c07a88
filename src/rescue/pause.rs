//! How long it is waited before what has failed is tried again: the curve of roles and of duties. Pure.

use std::time::Duration;

/// Nothing after the first failure; after each further one `first`, twice that, and so on up to `longest`, a fifth more or
/// less by chance: hosts that fell together do not all come back at once.
pub fn pause(failures: u32, first: Duration, longest: Duration, rng: &mut fastrand::Rng) -> Duration {
    let Some(doubled) = failures.checked_sub(1) else { return Duration::ZERO };
    let times = 1u32.checked_shl(doubled).unwrap_or(u32::MAX);
    first.saturating_mul(times).min(longest).mul_f64(0.8 + 0.4 * rng.f64())
}
