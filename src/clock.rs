//! The wall clock, as records, logs and people have it.

use std::time::{Duration, SystemTime};

/// The time since 1970; none on a host whose clock stands before that.
pub(crate) fn since_1970() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}

/// Milliseconds since 1970.
pub(crate) fn since_1970_ms() -> u64 {
    since_1970().as_millis() as u64
}
