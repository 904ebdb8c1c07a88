//! What a transfer's bytes were: useful, thrown away, or overhead.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::api::LedgerView;

/// Counters of one transfer, added to by its connections.
#[derive(Debug, Default)]
pub(in crate::peer) struct Ledger {
    pub(in crate::peer) useful: AtomicU64,
    pub(super) duplicate: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) overhead: AtomicU64,
    pub(super) sent: AtomicU64,
}

pub(super) fn add(counter: &AtomicU64, bytes: usize) {
    counter.fetch_add(bytes as u64, Ordering::Relaxed);
}

impl Ledger {
    pub(in crate::peer) fn view(&self) -> LedgerView {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LedgerView {
            useful: read(&self.useful),
            duplicate: read(&self.duplicate),
            rejected: read(&self.rejected),
            overhead: read(&self.overhead),
            sent: read(&self.sent),
        }
    }
}
