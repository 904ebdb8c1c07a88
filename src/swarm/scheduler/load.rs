//! How busy a source says it is, and what to expect of one that has not delivered yet.

use std::time::Duration;

/// The usual time for a first window, and what is no delay yet: a scheduling hiccup of either machine.
pub(super) const HORIZON: Duration = Duration::from_millis(30);
/// In flight at a source of which nothing is known yet, in bytes.
pub(super) const FIRST_WINDOW: u64 = 64 << 10;

/// What a source says of how busy it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceLoad {
    /// Uploads it serves to others.
    pub uploads: u16,
    /// Bytes a second that all its uploads can get together; 0 if it does not know.
    pub rate: u64,
}

impl SourceLoad {
    /// Bytes a second that one more asker can expect.
    pub(super) fn share(&self) -> f64 {
        let all = match self.rate {
            0 => FIRST_WINDOW as f64 / HORIZON.as_secs_f64(),
            known => known as f64,
        };
        all / (f64::from(self.uploads) + 1.0)
    }
}

pub(super) fn seconds(bytes: u64, rate: f64) -> Duration {
    Duration::from_secs_f64((bytes as f64 / rate.max(1.0)).min(3600.0))
}
