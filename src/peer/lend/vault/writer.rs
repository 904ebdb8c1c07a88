//! Who writes the log of a vault: entries are on the disk before they count, and the log is written anew when most of it
//! is of what is gone.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::catalogue::Catalogue;
use super::entry::Entry;
use super::error::VaultError;
use super::pieces::{Freed, Stretch};
use super::plan::Encoded;
use super::quota::LOG_AHEAD_BYTES;
use super::shared::Shared;
use super::slot::Slot;
use crate::storage::log::{Batch, Extent, Log, LogError, Magic};
use crate::threads::lock;

/// The last byte is the version.
pub(super) const MAGIC: &Magic = b"p2pvalt1";
pub(super) const LOG: &str = "log";
/// Entries are gathered up to this before they are written.
const BATCH_BYTES: u64 = 1 << 20;
/// Less than this is never worth writing the log anew.
const MIN_WASTE_BYTES: u64 = 1 << 20;

/// The log, and what is known of it.
#[derive(Debug)]
pub(super) struct Writer {
    log: Log,
    /// What is on the disk is not known.
    failed: bool,
    /// Up to where the log has room on the disk.
    ahead: u64,
    /// When the log is as long as this, it is looked whether it should be written anew.
    look_at: u64,
}

impl Writer {
    pub(super) fn new(log: Log) -> Writer {
        let mut writer = Writer { log, failed: false, ahead: 0, look_at: 0 };
        writer.reserve();
        writer
    }

    /// Takes room for what the log will say, before what there is of it is used up.
    fn reserve(&mut self) {
        let is_short = self.ahead < self.log.len() + LOG_AHEAD_BYTES / 2;
        if is_short && self.log.reserve(LOG_AHEAD_BYTES) {
            self.ahead = self.log.len() + LOG_AHEAD_BYTES;
        }
    }

    /// Nothing is written any more.
    pub(super) fn fail(&mut self) {
        self.failed = true;
    }

    /// # Errors
    /// [`VaultError::Failed`] if something of a write before is not known.
    pub(super) fn refuse_if_failed(&self, shared: &Shared) -> Result<(), VaultError> {
        match self.failed {
            true => Err(VaultError::Failed(shared.folder.path().to_owned())),
            false => Ok(()),
        }
    }

    /// Enters what belongs together, puts it on the disk, and then takes it into the catalogue, at once with what `then`
    /// does. The slots that are free then.
    ///
    /// # Errors
    /// As of writing; nothing of it is in the log then, unless the disk failed so that nothing is written any more.
    pub(super) fn enter(
        &mut self,
        shared: &Shared,
        units: &[Vec<Encoded>],
        then: impl FnOnce(),
    ) -> Result<Freed, VaultError> {
        self.refuse_if_failed(shared)?;
        let extents = self.write(units).map_err(|error| shared.failed(error))?;
        shared.log_bytes.store(self.log.len(), Ordering::Release);
        let mut index = lock(&shared.index);
        let mut freed = Freed::new();
        for ((kind, body), extent) in units.iter().flatten().zip(extents) {
            if let Some(entry) = Entry::decode(*kind, body) {
                freed.extend(index.catalogue.apply(&entry, extent));
            }
        }
        then();
        Ok(freed)
    }

    /// Bytes that this would add to the log, at most.
    pub(super) fn bytes_of(units: &[Vec<Encoded>]) -> u64 {
        let batch = Batch::default().bytes();
        units.iter().flatten().map(|(_, body)| body.len() as u64 + 5).sum::<u64>() + 2 * batch
    }

    fn write(&mut self, units: &[Vec<Encoded>]) -> io::Result<Vec<Extent>> {
        let start = self.log.len();
        let written = append(&mut self.log, units.iter().map(Vec::as_slice));
        let undone = written.is_err() && self.log.cut(start).is_err();
        let synced =
            written.and_then(|extents| self.log.sync().inspect_err(|_| self.failed = true).map(|()| extents));
        self.failed |= undone;
        self.reserve();
        synced
    }

    /// Writes the log anew if more than half of it is of what is gone, or, if room is `scarce`, if any of it is. One that
    /// cannot be written leaves the old one as it is.
    pub(super) fn tidy(&mut self, shared: &Shared, scarce: bool) {
        if self.failed || (self.log.len() < self.look_at && !scarce) {
            return;
        }
        let live = lock(&shared.index).catalogue.live_bytes();
        self.look_at = 2 * live + MIN_WASTE_BYTES;
        let worth = if scarce { self.log.len() / 4 * 3 > live } else { self.log.len() >= self.look_at };
        if worth && let Err(error) = self.rewrite(shared) {
            tracing::warn!("the log of kept chunks could not be written anew: {error}");
            self.look_at = self.log.len() + MIN_WASTE_BYTES;
        }
    }

    fn rewrite(&mut self, shared: &Shared) -> Result<(), LogError> {
        let path = shared.folder.path().join(LOG);
        let at = |error| LogError::Io(path.clone(), error);
        let mut draft = Log::draft(&path, MAGIC)?;
        // Nobody else changes the catalogue meanwhile: that takes this writer.
        let units = said_anew(&lock(&shared.index).catalogue);
        let mut moved = Moved::default();
        let (mut tags, mut entries, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut left = units.iter().peekable();
        while let Some(unit) = left.next() {
            bytes += unit.read(&self.log, &mut tags, &mut entries).map_err(at)?;
            if bytes < BATCH_BYTES as usize && left.peek().is_some() {
                continue;
            }
            bytes = 0;
            let extents = append(&mut draft, [entries.as_slice()].into_iter()).map_err(at)?;
            tags.drain(..).zip(extents).for_each(|(tag, extent)| moved.note(tag, extent));
            entries.clear();
        }
        self.replace(shared, draft, &path, &moved)
    }

    fn replace(
        &mut self,
        shared: &Shared,
        mut draft: Log,
        path: &Path,
        moved: &Moved,
    ) -> Result<(), LogError> {
        if let Err(error) = draft.replace(path) {
            // Which of the two has the name is not known.
            self.failed = true;
            return Err(error);
        }
        let mut index = lock(&shared.index);
        index.catalogue.moved(&moved.proofs, &moved.records);
        index.log = draft.file().clone();
        shared.log_bytes.store(draft.len(), Ordering::Release);
        drop(index);
        self.log = draft;
        self.ahead = 0;
        self.reserve();
        Ok(())
    }
}

/// Appends entries in batches, those of a unit in one; where their bodies lie.
fn append<'a>(log: &mut Log, units: impl Iterator<Item = &'a [Encoded]>) -> io::Result<Vec<Extent>> {
    let (mut batch, mut in_batch, mut extents) = (Batch::default(), Vec::new(), Vec::new());
    let mut units = units.peekable();
    while let Some(unit) = units.next() {
        in_batch.extend(unit.iter().map(|(kind, body)| batch.push(*kind, &[body])));
        if batch.bytes() >= BATCH_BYTES || units.peek().is_none() {
            let at = log.append(std::mem::take(&mut batch))?;
            extents.extend(in_batch.drain(..).map(|extent: Extent| extent.in_batch(at)));
        }
    }
    Ok(extents)
}

/// What lies elsewhere after the log was written anew.
#[derive(Debug, Default)]
struct Moved {
    proofs: HashMap<(u32, u32), Extent>,
    records: HashMap<u32, Extent>,
}

/// What an entry is of, whose place in the log somebody remembers.
#[derive(Debug, Clone, Copy)]
enum Tag {
    Proof { file: u32, first: u32 },
    Records { root: u32 },
    Nothing,
}

impl Moved {
    fn note(&mut self, tag: Tag, extent: Extent) {
        match tag {
            Tag::Proof { file, first } => drop(self.proofs.insert((file, first), extent)),
            Tag::Records { root } => drop(self.records.insert(root, extent)),
            Tag::Nothing => {}
        }
    }
}

/// Entries of the new log: some are copied from the old one.
struct Anew {
    entries: Vec<Encoded>,
    copied: Vec<(Tag, u8, Extent)>,
}

impl Anew {
    /// Adds all of them, with what each is of; how many bytes they are.
    fn read(&self, log: &Log, tags: &mut Vec<Tag>, entries: &mut Vec<Encoded>) -> io::Result<usize> {
        let before = entries.len();
        tags.resize(tags.len() + self.entries.len(), Tag::Nothing);
        entries.extend_from_slice(&self.entries);
        for (tag, kind, extent) in &self.copied {
            tags.push(*tag);
            entries.push((*kind, extent.read(log.file())?));
        }
        Ok(entries[before..].iter().map(|(_, body)| body.len()).sum())
    }
}

/// All that is to be said of a catalogue.
fn said_anew(catalogue: &Catalogue) -> Vec<Anew> {
    let owner = catalogue.owner().map(|owner| Entry::Owner(owner).encode());
    let scrubbed = Entry::Scrubbed(catalogue.scrubbed()).encode();
    let entries = owner.into_iter().chain([scrubbed]).collect();
    let mut units = vec![Anew { entries, copied: Vec::new() }];
    let mut said = HashSet::new();
    for (number, file) in catalogue.files() {
        let mut entries =
            vec![Entry::File { file: number, id: file.id, size: file.geometry.size() }.encode()];
        entries.extend(file.runs().iter().flat_map(|run| said_of(catalogue, number, run, &mut said)));
        let proof = |(first, extent)| (Tag::Proof { file: number, first }, Entry::PROOF, extent);
        units.push(Anew { entries, copied: file.proofs().into_iter().map(proof).collect() });
    }
    for (number, root) in catalogue.roots() {
        let files = root.files.to_vec();
        let mut entries = vec![Entry::Root { root: number, id: root.id, kind: root.kind, files }.encode()];
        entries.push(Entry::Claim { root: number, runs: root.claimed.runs() }.encode());
        entries.extend(root.looks.map(|looks| Entry::Looks { root: number, looks }.encode()));
        let records = root.records.map(|extent| (Tag::Records { root: number }, Entry::RECORDS, extent));
        units.push(Anew { entries, copied: records.into_iter().collect() });
    }
    units
}

/// What is to be said of chunks in a row; `said` has the slots of several files that were told of.
fn said_of(catalogue: &Catalogue, file: u32, run: &Stretch, said: &mut HashSet<Slot>) -> Vec<Encoded> {
    let mut parts: Vec<(bool, Stretch)> = Vec::new();
    for at in 0..run.count {
        let slot = run.slot.plus(at);
        let is_again = catalogue.is_shared(slot) && !said.insert(slot);
        match parts.last_mut() {
            Some((again, part)) if *again == is_again => part.count += 1,
            _ => parts.push((is_again, Stretch { first: run.first + at, count: 1, slot })),
        }
    }
    let entry = |(is_again, Stretch { first, count, slot })| match is_again {
        false => Entry::Chunks { file, first, count, slot },
        true => Entry::Share { file, first, count, slot },
    };
    parts.into_iter().map(|part| entry(part).encode()).collect()
}
