//! How a transfer ends: once, as the first says who says so.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::peer::disk::DiskError;
use crate::threads::lock;

/// How a transfer ended.
#[derive(Debug, Clone)]
pub(in crate::peer) enum End {
    Done,
    Cancelled,
    Failed(Arc<DiskError>),
}

/// The end of one transfer.
#[derive(Debug, Default)]
pub(super) struct Ending {
    begun: AtomicBool,
    end: Mutex<Option<(End, Instant)>>,
    settled: AtomicBool,
}

impl Ending {
    /// True for the first who says so; it settles the end as soon as it is known, which may take its time.
    pub(super) fn begin(&self) -> bool {
        !self.begun.swap(true, Ordering::AcqRel)
    }

    pub(super) fn settle(&self, end: End) {
        *lock(&self.end) = Some((end, Instant::now()));
        self.settled.store(true, Ordering::Release);
    }

    /// How it ended, and when, if it has.
    pub(super) fn get(&self) -> Option<(End, Instant)> {
        lock(&self.end).clone()
    }

    pub(super) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }
}
