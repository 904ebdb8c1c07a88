//! What a vault is asked to keep, and what has come of it and is not in the log yet.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::entry::Kind;
use super::error::VaultError;
use super::quota::Quota;
use super::slot::Slot;
use crate::content::{Chunk, ChunkHash, ChunkSet, FileId, Geometry, Layout, Looks, Manifest, Proof};
use crate::threads::lock;

/// So much is written before it is put on the disk and into the log,
const COMMIT_BYTES: u64 = 64 << 20;
/// or so long after the first chunk.
const COMMIT_AFTER: Duration = Duration::from_millis(100);

/// A content that is to be kept, or a part of it, and what it consists of.
#[derive(Debug)]
pub struct Lot {
    pub(super) id: FileId,
    pub(super) kind: Kind,
    pub(super) files: Vec<(FileId, u64)>,
    pub(super) layout: Arc<Layout>,
    pub(super) records: Vec<u8>,
    pub(super) looks: Mutex<Option<Looks>>,
    /// Of files, by their place, all chunk hashes, as far as they are known.
    pub(super) manifests: BTreeMap<usize, Manifest>,
}

impl Lot {
    /// A content `id` that consists of these files, ids and sizes in bytes, in the order of its layout: itself, or the
    /// members of a listing. `records` are remembered with it, whatever they say.
    ///
    /// # Errors
    /// [`VaultError::Contradiction`] if there can be no such content.
    pub fn new(
        id: FileId,
        kind: Kind,
        files: Vec<(FileId, u64)>,
        records: Vec<u8>,
    ) -> Result<Lot, VaultError> {
        let is_itself = || matches!(files[..], [(only, _)] if only == id);
        let possible = files.iter().all(|(id, size)| id.can_be_of(*size));
        let geometries = files.iter().map(|(_, size)| Geometry::of(*size)).collect::<Option<Vec<_>>>();
        match geometries.and_then(Layout::new) {
            Some(layout) if possible && (kind == Kind::Members || is_itself()) => {
                let (layout, looks) = (Arc::new(layout), Mutex::new(None));
                Ok(Lot { id, kind, files, layout, records, looks, manifests: BTreeMap::new() })
            }
            _ => Err(VaultError::Contradiction),
        }
    }

    /// All chunk hashes of one of its files, by its place, are known: then chunks that are held of another file at the
    /// same place, as of an older version, are not brought again, and whoever asks is told the hashes.
    ///
    /// # Errors
    /// [`VaultError::Contradiction`] if they are not that file's.
    pub fn know(&mut self, file: usize, hashes: Vec<ChunkHash>) -> Result<(), VaultError> {
        let geometry = self.layout.files().get(file).ok_or(VaultError::Contradiction)?;
        match Manifest::new(*geometry, hashes) {
            Ok((manifest, id)) if id == self.files[file].0 => {
                self.manifests.insert(file, manifest);
                Ok(())
            }
            _ => Err(VaultError::Contradiction),
        }
    }

    /// Mode and time of a single file, as somebody says who has it.
    pub fn hear_looks(&self, looks: Looks) {
        if self.kind == Kind::Bytes {
            *lock(&self.looks) = Some(looks);
        }
    }

    /// Its chunks as they are numbered.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }
}

/// Room that is set aside until this is dropped.
#[derive(Debug)]
pub(super) struct Promise {
    pub(super) quota: Arc<Mutex<Quota>>,
    pub(super) bytes: u64,
}

impl Drop for Promise {
    fn drop(&mut self) {
        lock(&self.quota).release(self.bytes);
    }
}

/// What a grant and its chunks that are not in the log yet have in common.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) lot: Lot,
    /// The chunks of the lot that do not wait for the log any more: the catalogue knows where they lie, if they do.
    pub(super) settled: Mutex<ChunkSet>,
}

/// A chunk whose bytes were proved and written to its slot.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) ticket: Arc<Ticket>,
    /// As the lot numbers it.
    pub(super) chunk: Chunk,
    pub(super) slot: Slot,
    /// Of its run; none for a file of one chunk.
    pub(super) proof: Option<Arc<Proof>>,
    /// What it may add to the log.
    pub(super) _promise: Arc<Promise>,
}

/// A file that is held, and which of its chunks are those of another one.
#[derive(Debug, Clone)]
pub(super) struct Alike {
    /// Its number in the log.
    pub(super) file: u32,
    pub(super) chunks: ChunkSet,
}

/// Chunks that are held already, and are to be kept for another content too.
#[derive(Debug)]
pub(super) struct Adopted {
    pub(super) ticket: Arc<Ticket>,
    pub(super) chunks: ChunkSet,
    /// By their place in the lot, files of which another one that is held has the same chunks.
    pub(super) alike: BTreeMap<usize, Alike>,
    /// What they may add to the log.
    pub(super) _promise: Arc<Promise>,
}

/// What is to go into the log.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) written: Vec<Written>,
    pub(super) adopted: Vec<Adopted>,
    bytes: u64,
    since: Option<Instant>,
}

/// The same, for those who add to it and those who wait for it.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.written.is_empty() && self.adopted.is_empty()
    }

    /// All of it is in the log, or given up: from now on the catalogue knows.
    pub(super) fn are_settled(&self) {
        for written in &self.written {
            lock(&written.ticket.settled).insert(written.chunk);
        }
    }

    /// How long it may still wait; `None` if there is nothing.
    fn patience(&self, now: Instant) -> Option<Duration> {
        let since = self.since?;
        let full = self.bytes >= COMMIT_BYTES;
        Some(if full { Duration::ZERO } else { (since + COMMIT_AFTER).saturating_duration_since(now) })
    }
}

impl Queue {
    pub(super) fn write(&self, written: Written) {
        let mut waiting = lock(&self.waiting);
        waiting.bytes += written.slot.class.bytes();
        waiting.written.push(written);
        self.is_later(waiting);
    }

    pub(super) fn adopt(&self, adopted: Adopted) {
        let mut waiting = lock(&self.waiting);
        waiting.adopted.push(adopted);
        self.is_later(waiting);
    }

    fn is_later(&self, mut waiting: std::sync::MutexGuard<'_, Waiting>) {
        let first = waiting.since.is_none();
        waiting.since.get_or_insert_with(Instant::now);
        let full = waiting.bytes >= COMMIT_BYTES;
        drop(waiting);
        if first || full {
            self.changed.notify_all();
        }
    }

    /// All of it.
    pub(super) fn take(&self) -> Waiting {
        std::mem::take(&mut *lock(&self.waiting))
    }

    /// Waits until something should go into the log; false if nothing was there to wait for within `timeout`.
    pub(super) fn wait_due(&self, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        let mut waiting = lock(&self.waiting);
        loop {
            let now = Instant::now();
            let patience = waiting.patience(now);
            if patience == Some(Duration::ZERO) {
                return true;
            }
            let left = patience.unwrap_or(Duration::MAX).min(until.saturating_duration_since(now));
            if left.is_zero() {
                return false;
            }
            let waited = self.changed.wait_timeout(waiting, left);
            waiting = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }
}
