//! How busy a source says it is, and what to expect of one that has not delivered yet.

use std::time::Duration;

use crate::content::Rate;

/// The usual time for a first window, and what is no delay yet: a scheduling hiccup of either machine.
pub(super) const HORIZON: Duration = Duration::from_millis(30);
/// In flight at a source of which nothing is known yet, in bytes.
pub(super) const FIRST_WINDOW: u64 = 64 << 10;
/// What is taken for the rate of all uploads of such a source.
pub(super) const FIRST_RATE: Rate = match Rate::new(FIRST_WINDOW * 1000 / HORIZON.as_millis() as u64) {
    Some(rate) => rate,
    None => panic!("a window is more than a byte a second"),
};

/// What a source says of how busy it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceLoad {
    /// Uploads it serves to others.
    pub uploads: u16,
    /// What all its uploads can get together, if it knows.
    pub rate: Option<Rate>,
}

impl SourceLoad {
    /// What one more asker can expect.
    pub(super) fn share(&self) -> Rate {
        self.rate.unwrap_or(FIRST_RATE).shared(u32::from(self.uploads) + 1)
    }
}
