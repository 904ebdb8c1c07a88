//! How a vault is opened: its log is read, and what it says is believed as far as it can be.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};

use super::catalogue::Catalogue;
use super::entry::Entry;
use super::error::VaultError;
use super::lot::Queue;
use super::plan::Encoded;
use super::quota::{LEAST_QUOTA_BYTES, Quota};
use super::shared::{Index, Shared};
use super::slab::Slabs;
use super::writer::{LOG, MAGIC, Writer};
use crate::storage::Owned;
use crate::storage::log::{Damage, Log, LogError};
use crate::threads::lock;

/// Opens the vault in a folder; it is made if it is not there.
pub(super) fn open(path: &Path, quota: u64) -> Result<(Shared, Writer), VaultError> {
    if quota < LEAST_QUOTA_BYTES {
        return Err(VaultError::TooSmall(quota));
    }
    let folder = Owned::claim(path)?;
    let slabs = Arc::new(Slabs::new(path));
    let in_log = |error| VaultError::Log { error, vault: path.to_owned() };
    let at = path.join(LOG);
    let (mut catalogue, mut is_doubted) = (Catalogue::default(), false);
    let log = match fs::symlink_metadata(&at) {
        Ok(_) => {
            let opened = Log::open(&at, MAGIC, Damage::Skip, &mut |record| match Entry::decode(
                record.kind,
                record.body,
            ) {
                Some(entry) => drop(catalogue.apply(&entry, record.extent)),
                None => is_doubted = true,
            });
            let opened = opened.map_err(in_log)?;
            is_doubted |= !opened.damaged.is_empty();
            opened.log
        }
        Err(_) if slabs.are_there() => return Err(VaultError::NoLog(path.to_owned())),
        Err(_) => Log::create(&at, MAGIC).map_err(|error| match error {
            LogError::Io(path, error) => VaultError::disk(path, error),
            other => in_log(other),
        })?,
    };
    is_doubted |= !catalogue.recount() || is_short(&catalogue, &slabs);
    let index = Mutex::new(Index { catalogue, log: log.file().clone() });
    let log_bytes = AtomicU64::new(log.len());
    let quota = Arc::new(Mutex::new(Quota::new(quota)));
    let shared = Shared {
        folder,
        slabs,
        index,
        quota,
        log_bytes,
        queue: Queue::default(),
        is_missed: AtomicBool::new(false),
    };
    let mut writer = Writer::new(log);
    if is_doubted {
        tracing::warn!("{} is damaged; what is kept there is read and proved once more", path.display());
        let lost = not_right(&shared);
        writer.enter(&shared, &lost, || ())?;
        lock(&shared.index).catalogue.recount();
    }
    // A listing is without members once those are given up: it is looked again, if anything was.
    for _ in 0..2 {
        let amends = lock(&shared.index).catalogue.amends();
        let amends: Vec<Vec<Encoded>> = amends.iter().map(|entry| vec![entry.encode()]).collect();
        writer.enter(&shared, &amends, || ())?;
        if amends.is_empty() {
            break;
        }
    }
    for (_, file) in lock(&shared.index).catalogue.files() {
        for run in file.runs() {
            shared.slabs.mark(run.slot, run.count);
        }
    }
    shared.slabs.settle().map_err(|error| shared.failed(error))?;
    writer.tidy(&shared, false);
    Ok((shared, writer))
}

/// True if a slab ends before its last slot.
fn is_short(catalogue: &Catalogue, slabs: &Slabs) -> bool {
    catalogue.files().flat_map(|(_, file)| file.runs()).any(|run| {
        let len = slabs.file(run.slot.class).and_then(|file| file.metadata()).map(|metadata| metadata.len());
        len.unwrap_or(0) < run.slot.plus(run.count).offset()
    })
}

/// What the log is to say of chunks that are not what they should be. Of two in one slot at most one is right, unless they
/// are the same.
fn not_right(shared: &Shared) -> Vec<Vec<Encoded>> {
    let mut lost = Vec::new();
    let files: Vec<u32> = lock(&shared.index).catalogue.files().map(|(number, _)| number).collect();
    for number in files {
        let held = lock(&shared.index).catalogue.file(number).map(|file| file.held());
        let chunks =
            held.iter().flat_map(|held| held.iter()).filter(|chunk| !shared.is_right(number, chunk.0));
        lost.extend(
            chunks.map(|chunk| vec![Entry::Lost { file: number, first: chunk.0, count: 1 }.encode()]),
        );
    }
    lost
}
