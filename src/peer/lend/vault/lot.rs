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

#[cfg(test)]
mod tests {
    use super::*;

    const ID: FileId = FileId([1; 32]);

    #[test]
    fn a_content_is_itself_or_what_it_lists_and_nothing_that_cannot_be() {
        let other = FileId([2; 32]);
        let chunks = |kind, files: &[(FileId, u64)]| {
            Lot::new(ID, kind, files.to_vec(), Vec::new()).ok().map(|lot| lot.layout.chunks())
        };
        for kind in [Kind::Bytes, Kind::Listing] {
            assert_eq!(chunks(kind, &[(ID, 3 << 16)]), Some(3));
            for files in [&[][..], &[(other, 1)], &[(ID, 1), (ID, 1)]] {
                assert_eq!(chunks(kind, files), None, "{files:?}");
            }
        }
        assert_eq!(chunks(Kind::Members, &[]), Some(0));
        assert_eq!(
            chunks(Kind::Members, &[(other, 1), (FileId::NOTHING, 0), (ID, 3 << 16), (other, 1)]),
            Some(5)
        );
        for file in [(other, 0), (FileId::NOTHING, 1), (FileId::NONE, 1), (other, Geometry::MAX_SIZE + 1)] {
            assert_eq!(chunks(Kind::Members, &[(ID, 1), file]), None, "{file:?}");
        }
    }

    #[test]
    fn only_hashes_that_make_a_file_s_id_are_known_of_it() {
        let hashes = vec![ChunkHash([7; 32]); 3];
        let geometry = Geometry::of(3 << 16).unwrap();
        let (_, id) = Manifest::new(geometry, hashes.clone()).unwrap();
        let mut lot =
            Lot::new(ID, Kind::Members, vec![(FileId([2; 32]), 3 << 16), (id, 3 << 16)], vec![]).unwrap();
        let other = vec![ChunkHash([7; 32]), ChunkHash([8; 32]), ChunkHash([7; 32])];
        for (file, hashes) in
            [(0, hashes.clone()), (1, other), (1, hashes[..2].to_vec()), (2, hashes.clone())]
        {
            assert!(matches!(lot.know(file, hashes), Err(VaultError::Contradiction)), "{file}");
        }
        assert!(lot.manifests.is_empty());
        lot.know(1, hashes).unwrap();
        assert_eq!(lot.manifests.keys().collect::<Vec<_>>(), [&1]);
    }

    #[test]
    fn mode_and_time_are_a_single_file_s() {
        let looks = Looks { mode: 0o755, mtime_ns: 1 };
        for (kind, heard) in [(Kind::Bytes, Some(looks)), (Kind::Members, None), (Kind::Listing, None)] {
            let lot = Lot::new(ID, kind, vec![(ID, 1)], vec![]).unwrap();
            lot.hear_looks(looks);
            assert_eq!(*lock(&lot.looks), heard, "{kind:?}");
        }
    }

    #[test]
    fn what_waits_is_due_when_it_is_much_or_has_waited_for_a_while() {
        let now = Instant::now();
        let patience = |bytes, since| Waiting { bytes, since, ..Waiting::default() }.patience(now);
        assert_eq!(patience(0, None), None);
        assert_eq!(patience(COMMIT_BYTES - 1, Some(now)), Some(COMMIT_AFTER));
        assert_eq!(patience(COMMIT_BYTES, Some(now)), Some(Duration::ZERO));
        let later = now + COMMIT_AFTER;
        let waiting = Waiting { since: Some(now), ..Waiting::default() };
        assert_eq!(waiting.patience(later - Duration::from_millis(1)), Some(Duration::from_millis(1)));
        assert_eq!(waiting.patience(later + COMMIT_AFTER), Some(Duration::ZERO));
        assert!(!Queue::default().wait_due(Duration::ZERO), "nothing is there to wait for");
    }
}
