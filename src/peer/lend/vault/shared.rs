//! What all parts of an open vault share. Each lock is held for a step, and no other is taken under it but that of the
//! pins, which is the last.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::catalogue::Catalogue;
use super::entry::decode_proof;
use super::error::VaultError;
use super::lot::Queue;
use super::pieces::proof_start;
use super::quota::{Quota, Space};
use super::slab::{Pin, Slabs};
use super::slot::Slot;
use crate::content::{ChunkHash, ChunkIndex, Geometry, Proof, hash_chunk};
use crate::storage::Owned;
use crate::threads::lock;

/// An open vault.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) folder: Owned,
    pub(super) slabs: Arc<Slabs>,
    pub(super) index: Mutex<Index>,
    pub(super) quota: Arc<Mutex<Quota>>,
    /// Bytes of the log.
    pub(super) log_bytes: AtomicU64,
    pub(super) queue: Queue,
    /// It was said that the disk is not there.
    pub(super) is_missed: AtomicBool,
}

/// What is held, and the log that tells more of it.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) catalogue: Catalogue,
    pub(super) log: Arc<File>,
}

/// Where the bytes of a chunk lie, for as long as this lives.
#[derive(Debug)]
pub struct Located {
    /// The file.
    pub file: Arc<File>,
    /// Where they begin.
    pub offset: u64,
    /// Keeps them there.
    pub pin: Pin,
}

impl Shared {
    /// How much is lent and taken.
    pub(super) fn space(&self) -> Space {
        lock(&self.quota).space(self.slabs.charge(), self.log_bytes.load(Ordering::Acquire))
    }

    /// About how much the disk has left for whoever may write here: whole mebibytes. Nothing, if it is not there any
    /// more; that is said once, because a store of which trackers hear that it has no room is asked for nothing that
    /// would show it.
    pub(super) fn left_on_disk(&self) -> u64 {
        let left = match rustix::fs::statvfs(self.folder.path()) {
            Ok(stat) if stat.f_blocks == 0 => u64::MAX, // a file system without an end
            Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
            Err(error) => {
                if !self.is_missed.swap(true, Ordering::Relaxed) {
                    tracing::warn!("{}", self.failed(error.into()));
                }
                return 0;
            }
        };
        self.is_missed.store(false, Ordering::Relaxed);
        left >> 20 << 20
    }

    /// An error of the disk.
    pub(super) fn failed(&self, error: io::Error) -> VaultError {
        VaultError::disk(self.folder.path().to_owned(), error)
    }

    /// Where a chunk of a file lies; `None` if it is not held.
    pub(super) fn locate(&self, file: u32, chunk: u32) -> Option<io::Result<Located>> {
        let index = lock(&self.index);
        let slot = index.catalogue.file(file)?.slot(chunk)?;
        let pin = self.slabs.pin(slot);
        drop(index);
        Some(self.open(slot, pin))
    }

    /// A slot that is known to be in use.
    pub(super) fn open(&self, slot: Slot, pin: Pin) -> io::Result<Located> {
        Ok(Located { file: self.slabs.file(slot.class)?, offset: slot.offset(), pin })
    }

    /// The proof of the run that a chunk of a file lies in, if it is known.
    pub(super) fn proof(&self, file: u32, chunk: u32) -> Option<Proof> {
        let index = lock(&self.index);
        let extent = index.catalogue.file(file)?.proof(proof_start(chunk))?;
        let log = index.log.clone();
        drop(index);
        // The number of the file comes first.
        decode_proof(extent.read(&log).ok()?.get(4..)?)
    }

    /// True if a chunk that is held is what it should be, as far as can be read.
    pub(super) fn is_right(&self, number: u32, chunk: u32) -> bool {
        let (id, geometry) = match lock(&self.index).catalogue.file(number) {
            Some(file) => (file.id, file.geometry),
            None => return false,
        };
        let Some(index) = geometry.index(chunk) else { return false };
        let expected = match geometry.chunks() {
            1 => Some(ChunkHash(id.0)),
            _ => self
                .proof(number, chunk)
                .filter(|proof| proof.check(id, geometry).is_ok())
                .and_then(|proof| proof.hashes.get((chunk - proof.first) as usize).copied()),
        };
        let read = self.locate(number, chunk).and_then(|located| read(&located.ok()?, geometry, index).ok());
        read.is_some_and(|bytes| Some(hash_chunk(geometry, index, &bytes)) == expected)
    }
}

/// The bytes of a chunk.
pub(super) fn read(located: &Located, geometry: Geometry, chunk: ChunkIndex) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; geometry.len(chunk) as usize];
    located.file.read_exact_at(&mut bytes, located.offset)?;
    Ok(bytes)
}
