//! Leave to put chunks of a content into the vault: they have their slots already.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::catalogue::Catalogue;
use super::entry::Kind;
use super::error::VaultError;
use super::lot::{Adopted, Alike, Lot, Promise, Ticket, Written};
use super::pieces::{class_of, proof_start};
use super::quota::log_promise;
use super::shared::{Located, Shared};
use super::slot::{Class, Slot};
use crate::content::{Chunk, ChunkSet, Looks, Manifest, PROOF_RUN, Place, Proof, runs};
use crate::threads::lock;

/// Leave to put chunks into the vault. What was not kept when it ends, or is dropped, gives back its slots.
#[derive(Debug)]
pub struct Grant {
    shared: Arc<Shared>,
    ticket: Arc<Ticket>,
    /// Where its chunks go: by the first of a run, how many there are, and their first slot.
    slots: BTreeMap<Chunk, (u32, Slot)>,
    had: ChunkSet,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    kept: ChunkSet,
    /// What may be added to the log; none once the grant has ended.
    promise: Option<Arc<Promise>>,
}

impl Grant {
    /// Takes slots for those of the wanted chunks that are not held yet.
    pub(super) fn reserve(shared: &Arc<Shared>, lot: Lot, wanted: &ChunkSet) -> Result<Grant, VaultError> {
        let chunks = lot.layout.chunks();
        if wanted.len() != chunks {
            return Err(VaultError::Contradiction);
        }
        let HeldOf { chunks: had, alike, new_files } = shared.held_of(&lot, wanted)?;
        let mut by_class: BTreeMap<Class, Vec<Chunk>> = BTreeMap::new();
        for chunk in wanted.iter().filter(|chunk| !had.contains(*chunk)) {
            let place = lot.layout.place(chunk);
            let class = place.and_then(|place| class_of(lot.layout.files()[place.file], place.chunk.get()));
            by_class.entry(class.ok_or(VaultError::Contradiction)?).or_default().push(chunk);
        }
        let runs: u32 = wanted.runs().iter().map(|run| run.count / PROOF_RUN + 2).sum();
        let known = lot.manifests.values().map(|manifest| manifest.geometry().chunks() / PROOF_RUN + 1);
        let log = log_promise(
            (new_files, lot.files.len()),
            lot.records.len(),
            wanted.count(),
            runs + known.sum::<u32>(),
        );
        let slots: u64 = by_class.iter().map(|(class, chunks)| class.charge() * chunks.len() as u64).sum();
        let log = shared.promise(log, slots + log)?;
        // From when the slots are allotted they count themselves.
        let until_allotted = Promise { quota: shared.quota.clone(), bytes: slots };
        let slots = shared.allot(&by_class)?;
        drop(until_allotted);
        let settled = Mutex::new(ChunkSet::empty(chunks));
        let (ticket, promise) = (Arc::new(Ticket { lot, settled }), Arc::new(log));
        if !had.is_empty() || chunks == 0 {
            let (ticket, chunks, _promise) = (ticket.clone(), had.clone(), promise.clone());
            shared.queue.adopt(Adopted { ticket, chunks, alike, _promise });
        }
        let state = Mutex::new(State { kept: ChunkSet::empty(chunks), promise: Some(promise) });
        Ok(Grant { shared: shared.clone(), ticket, slots, had, state })
    }

    /// Nothing is brought any more: the slots of what was not kept are free, and so is the room that the log would have
    /// had for it, whoever still holds this to read what was kept.
    pub fn end(&self) {
        let mut state = lock(&self.state);
        if state.promise.take().is_none() {
            return;
        }
        for (first, (count, slot)) in &self.slots {
            let left = (0..*count).map(|nth| first.plus(nth)).filter(|chunk| !state.kept.contains(*chunk));
            for run in runs::of(left) {
                self.shared.slabs.free(slot.plus(run.first.since(*first)), run.count);
            }
        }
    }

    /// What it is for.
    pub fn lot(&self) -> &Lot {
        &self.ticket.lot
    }

    /// The wanted chunks that were held already; they are kept for this content too from the next commit on.
    pub fn had(&self) -> &ChunkSet {
        &self.had
    }

    /// Writes a part of a chunk, proved or not, `within` bytes from its start.
    ///
    /// # Errors
    /// [`VaultError::Contradiction`] of a chunk that this is no leave for, or not any more; else as of writing.
    pub fn write(&self, place: Place, within: u64, data: &[u8]) -> Result<(), VaultError> {
        let slot = self.slot(self.lot().layout.chunk(place)).ok_or(VaultError::Contradiction)?;
        let state = lock(&self.state);
        state.promise.as_ref().ok_or(VaultError::Contradiction)?;
        // Who ends this meanwhile frees the slot, and somebody else may get it, when this is written.
        let _pin = self.shared.slabs.pin(slot);
        drop(state);
        self.shared.slabs.write(slot, within, data).map_err(|error| self.shared.failed(error))
    }

    /// A chunk was written whole and proved, by `proof` if its file has several. It counts as kept when a commit says so.
    ///
    /// # Errors
    /// [`VaultError::Contradiction`] of a chunk that this is no leave for, or not any more, or without its proof.
    pub fn keep(&self, place: Place, proof: Option<Arc<Proof>>) -> Result<(), VaultError> {
        let chunk = self.lot().layout.chunk(place);
        let slot = self.slot(chunk).ok_or(VaultError::Contradiction)?;
        let is_alone = self.lot().layout.files()[place.file].chunks() == 1;
        if proof.is_none() != is_alone {
            return Err(VaultError::Contradiction);
        }
        let mut state = lock(&self.state);
        let promise = state.promise.clone().ok_or(VaultError::Contradiction)?;
        let is_new = state.kept.insert(chunk);
        drop(state);
        if is_new {
            self.shared.slabs.is_written(slot);
            let ticket = self.ticket.clone();
            self.shared.queue.write(Written { ticket, chunk, slot, proof, _promise: promise });
        }
        Ok(())
    }

    /// Mode and time of a single file, as its source says.
    pub fn hear_looks(&self, looks: Looks) {
        self.lot().hear_looks(looks);
    }

    /// Mode and time, as they were heard, or when another part of it came.
    pub fn looks(&self) -> Option<Looks> {
        let heard = *lock(&self.lot().looks);
        let of_root = || {
            let index = lock(&self.shared.index);
            let root = index.catalogue.root_number(self.lot().id, self.lot().kind)?;
            index.catalogue.root(root)?.looks
        };
        heard.or_else(of_root)
    }

    /// Where the bytes of a chunk are that was kept or had.
    ///
    /// # Errors
    /// As of opening the file.
    pub fn locate(&self, place: Place) -> Result<Option<Located>, VaultError> {
        let chunk = self.lot().layout.chunk(place);
        // Whatever is in the log may be freed at any time: the catalogue knows.
        let index = lock(&self.shared.index);
        let is_ours = !lock(&self.ticket.settled).contains(chunk) && lock(&self.state).kept.contains(chunk);
        let slot = if is_ours {
            self.slot(chunk)
        } else {
            let (id, size) = self.lot().files[place.file];
            let number = index.catalogue.file_number(id, size);
            number.and_then(|number| index.catalogue.file(number)?.slot(place.chunk.get()))
        };
        let Some(slot) = slot else { return Ok(None) };
        let pin = self.shared.slabs.pin(slot);
        drop(index);
        self.shared.open(slot, pin).map(Some).map_err(|error| self.shared.failed(error))
    }

    fn slot(&self, chunk: Chunk) -> Option<Slot> {
        let (first, (count, slot)) = self.slots.range(..=chunk).next_back()?;
        let nth = chunk.since(*first);
        (nth < *count).then(|| slot.plus(nth))
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.end();
    }
}

/// What is held already of what is wanted.
struct HeldOf {
    chunks: ChunkSet,
    /// The files that have the same chunks as those of the lot, by the place of those.
    alike: BTreeMap<usize, Alike>,
    /// Files of the lot that are not known.
    new_files: usize,
}

impl Catalogue {
    /// # Errors
    /// If a lot contradicts what is kept, or is of members whose listing is not here.
    fn refuse(&self, lot: &Lot) -> Result<(), VaultError> {
        let root = self.root_number(lot.id, lot.kind).and_then(|root| self.root(root));
        let ours = || lot.files.iter().map(|(id, size)| self.file_number(*id, *size));
        if root.is_some_and(|root| !ours().eq(root.files.iter().copied().map(Some))) {
            return Err(VaultError::Contradiction);
        }
        let listing = || self.file_by_id(lot.id).and_then(|file| self.file(file));
        if lot.kind == Kind::Members && !listing().is_some_and(|file| file.held().is_full()) {
            return Err(VaultError::NoListing);
        }
        Ok(())
    }
}

impl Shared {
    /// What is held of the wanted chunks of a lot.
    fn held_of(&self, lot: &Lot, wanted: &ChunkSet) -> Result<HeldOf, VaultError> {
        let mut held = HeldOf { chunks: ChunkSet::empty(wanted.len()), alike: BTreeMap::new(), new_files: 0 };
        let mut bases = Vec::new();
        let index = lock(&self.index);
        let catalogue = &index.catalogue;
        catalogue.refuse(lot)?;
        for (at, (id, size)) in lot.files.iter().enumerate() {
            let number = catalogue.file_number(*id, *size);
            let file = number.and_then(|number| catalogue.file(number));
            held.new_files += usize::from(file.is_none());
            if let Some(file) = file {
                let chunks = lot.layout.chunks_of(at).zip(0..);
                let here = chunks
                    .filter(|(chunk, of_file)| wanted.contains(*chunk) && file.slot(*of_file).is_some());
                held.chunks.add_runs(&runs::of(here.map(|(chunk, _)| chunk)));
            }
            let manifest = lot.manifests.get(&at);
            let base = manifest.and_then(|manifest| catalogue.alike(manifest.hashes(), number));
            bases.extend(base.map(|base| (at, base)));
        }
        drop(index);
        for (at, base) in bases {
            let chunks = lot.layout.chunks_of(at).zip(0..);
            let wanted = chunks
                .filter(|(chunk, _)| wanted.contains(*chunk) && !held.chunks.contains(*chunk))
                .map(|(_, of_file)| of_file);
            let same = self.same(base, &lot.manifests[&at], wanted.collect());
            let chunks =
                lot.layout.chunks_of(at).zip(0..).filter(|(_, of_file)| same.contains(Chunk(*of_file)));
            held.chunks.add_runs(&runs::of(chunks.map(|(chunk, _)| chunk)));
            held.alike.insert(at, Alike { file: base, chunks: same });
        }
        Ok(held)
    }

    /// Which of these chunks are held of a file and are the same as those of one with these hashes.
    fn same(&self, file: u32, manifest: &Manifest, chunks: Vec<u32>) -> ChunkSet {
        let mut same = ChunkSet::empty(manifest.geometry().chunks());
        let held = lock(&self.index).catalogue.file(file).map(|file| file.held());
        let Some(held) = held else { return same };
        let mut proof: Option<Proof> = None;
        for chunk in chunks.into_iter().filter(|chunk| held.contains(Chunk(*chunk))) {
            if proof.as_ref().is_none_or(|proof| proof.first != proof_start(chunk)) {
                proof = self.proof(file, chunk);
            }
            let hash = proof.as_ref().and_then(|proof| proof.hashes.get((chunk - proof.first) as usize));
            // A hash is of the bytes and of where they lie in their file.
            if hash.is_some() && hash == manifest.hashes().get(chunk as usize) {
                same.insert(Chunk(chunk));
            }
        }
        same
    }

    /// Sets aside `all` bytes if there is room; the promise of `log` of them.
    fn promise(&self, log: u64, all: u64) -> Result<Promise, VaultError> {
        let bytes = self.log_bytes.load(std::sync::atomic::Ordering::Acquire);
        let mut quota = lock(&self.quota);
        let slots = self.slabs.charge();
        if quota.promise(all, slots, bytes) {
            return Ok(Promise { quota: self.quota.clone(), bytes: log });
        }
        Err(VaultError::NoSpace { needed: all, room: quota.space(slots, bytes).room() })
    }

    /// Slots for chunks by their size.
    fn allot(
        &self,
        by_class: &BTreeMap<Class, Vec<Chunk>>,
    ) -> Result<BTreeMap<Chunk, (u32, Slot)>, VaultError> {
        let mut slots: BTreeMap<Chunk, (u32, Slot)> = BTreeMap::new();
        for (class, chunks) in by_class {
            let runs = self.slabs.allot(*class, chunks.len() as u32).map_err(|error| {
                slots.values().for_each(|(count, slot)| self.slabs.free(*slot, *count));
                self.failed(error)
            })?;
            let each = runs.iter().flat_map(|(slot, count)| (0..*count).map(|more| slot.plus(more)));
            let mut last: Option<Chunk> = None;
            for (chunk, slot) in chunks.iter().zip(each) {
                let before = last.and_then(|first| Some((first, slots.get_mut(&first)?)));
                match before {
                    Some((first, (count, start)))
                        if first.plus(*count) == *chunk && start.plus(*count) == slot =>
                    {
                        *count += 1;
                    }
                    _ => {
                        slots.insert(*chunk, (1, slot));
                        last = Some(*chunk);
                    }
                }
            }
        }
        Ok(slots)
    }
}
