//! What a vault holds: which chunks of which files lie in which slots, and for whose sake. Pure: entries of the log in,
//! slots that are free out.
//!
//! A file is held once, however many contents list it. A chunk of it is held while at least one content claims it.

use std::collections::{BTreeMap, HashMap};

use super::entry::{Entry, Kind, Owner, Scrubbed};
use super::pieces::{File, Freed, Stretch};
use super::slot::Slot;

use crate::content::{Chunk, ChunkHash, ChunkSet, FileId, Geometry, Looks, PROOF_RUN, Run, runs};
use crate::storage::log::Extent;

/// All that is held.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    files: BTreeMap<u32, File>,
    /// By id and size: what is said to be of an id before the end of it was proved may be of another size.
    file_numbers: BTreeMap<(FileId, u64), u32>,
    roots: BTreeMap<u32, Root>,
    root_numbers: BTreeMap<(FileId, Kind), u32>,
    next_file: u32,
    next_root: u32,
    owner: Option<Owner>,
    scrubbed: Scrubbed,
    /// Of slots that several files have, how many do beyond the first.
    shared: HashMap<Slot, u32>,
    /// For the beginning of the hash of the first chunk of a proof's run, files that have that chunk: the first that
    /// did and the last.
    alike: HashMap<u64, [u32; 2]>,
}

/// What is kept of a content.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) id: FileId,
    pub(super) kind: Kind,
    pub(super) files: Box<[u32]>,
    /// The chunks that are held for its sake.
    pub(super) claimed: ChunkSet,
    pub(super) records: Option<Extent>,
    pub(super) looks: Option<Looks>,
}

impl Catalogue {
    /// Takes in an entry of the log, whose body lies at `extent`. One that speaks of what is not known, since what said
    /// it was damaged, says nothing.
    pub(super) fn apply(&mut self, entry: &Entry<'_>, extent: Extent) -> Freed {
        match entry {
            Entry::File { file, id, size } => self.add_file(*file, *id, *size),
            Entry::Proof { file, proof } => self.add_proof(*file, proof, extent),
            Entry::Chunks { file, first, count, slot } => {
                return self.add_chunks(*file, Stretch { first: *first, count: *count, slot: *slot }, false);
            }
            Entry::Share { file, first, count, slot } => {
                return self.add_chunks(*file, Stretch { first: *first, count: *count, slot: *slot }, true);
            }
            Entry::Lost { file, first, count } => return self.lose(*file, *first, *count),
            Entry::Root { root, id, kind, files } => self.add_root(*root, *id, *kind, files),
            Entry::Claim { root, runs } => {
                if let Some(root) = self.roots.get_mut(root) {
                    root.claimed.add_runs(runs);
                }
            }
            Entry::Gone { root, runs } => return self.let_go(*root, runs),
            Entry::Records { root, .. } => {
                if let Some(root) = self.roots.get_mut(root) {
                    root.records = Some(extent);
                }
            }
            Entry::Looks { root, looks } => {
                if let Some(root) = self.roots.get_mut(root) {
                    root.looks = Some(*looks);
                }
            }
            Entry::Owner(owner) => self.owner = Some(*owner),
            Entry::Scrubbed(scrubbed) => self.scrubbed = *scrubbed,
        }
        Freed::new()
    }

    fn add_file(&mut self, number: u32, id: FileId, size: u64) {
        self.next_file = self.next_file.max(number.saturating_add(1));
        let Some(geometry) = Geometry::of(size).filter(|_| !self.files.contains_key(&number)) else { return };
        let file = File { id, geometry, runs: Vec::new(), proofs: BTreeMap::new(), roots: Vec::new() };
        self.files.insert(number, file);
        self.file_numbers.insert((id, size), number);
    }

    fn add_proof(&mut self, number: u32, proof: &[u8], extent: Extent) {
        let first = proof.first_chunk().map(|first| u32::from_be_bytes(*first));
        let file = self.files.get_mut(&number);
        if let Some((file, first)) = file.zip(first) {
            file.proofs.insert(first, extent);
            // Behind the number of the chunk and how many hashes there are.
            if let Some(hash) = proof.get(5..).and_then(beginning) {
                let of = self.alike.entry(hash).or_insert([number; 2]);
                let first = if self.files.contains_key(&of[0]) { of[0] } else { of[1] };
                *of = [first, number];
            }
        }
    }

    /// Chunks of a file lie in slots that are its own, or that another file has.
    fn add_chunks(&mut self, number: u32, new: Stretch, is_shared: bool) -> Freed {
        let Some(file) = self.files.get_mut(&number) else { return Freed::new() };
        if new.first + new.count > file.geometry.chunks() {
            return Freed::new();
        }
        let freed = file.remove(new.first, new.count);
        file.add(new);
        for at in 0..if is_shared { new.count } else { 0 } {
            *self.shared.entry(new.slot.plus(at)).or_default() += 1;
        }
        self.release(freed)
    }

    fn add_root(&mut self, number: u32, id: FileId, kind: Kind, files: &[u32]) {
        self.next_root = self.next_root.max(number.saturating_add(1));
        if self.roots.contains_key(&number) || files.iter().any(|file| !self.files.contains_key(file)) {
            return;
        }
        let mut chunks: u32 = 0;
        for file in files {
            let Some(file) = self.files.get_mut(file) else { continue };
            file.roots.push((number, Chunk(chunks)));
            chunks = chunks.saturating_add(file.geometry.chunks());
        }
        let claimed = ChunkSet::empty(chunks);
        let root = Root { id, kind, files: files.into(), claimed, records: None, looks: None };
        self.roots.insert(number, root);
        self.root_numbers.insert((id, kind), number);
    }

    /// Chunks of a file are not there any more: nobody claims them either.
    fn lose(&mut self, number: u32, first: u32, count: u32) -> Freed {
        let Some(file) = self.files.get_mut(&number) else { return Freed::new() };
        let freed = file.remove(first, count);
        for (root, start) in &file.roots {
            let Some(root) = self.roots.get_mut(root) else { continue };
            for chunk in first..first + count {
                root.claimed.remove(start.plus(chunk));
            }
        }
        self.release(freed)
    }

    /// Of slots that a file has no more, those that nobody has.
    fn release(&mut self, freed: Freed) -> Freed {
        if self.shared.is_empty() {
            return freed;
        }
        let mut free = Freed::new();
        for slot in freed.into_iter().flat_map(|(slot, count)| (0..count).map(move |at| slot.plus(at))) {
            if let Some(others) = self.shared.get_mut(&slot) {
                *others -= 1;
                if *others == 0 {
                    self.shared.remove(&slot);
                }
                continue;
            }
            match free.last_mut() {
                Some((first, count)) if first.plus(*count) == slot => *count += 1,
                _ => free.push((slot, 1)),
            }
        }
        free
    }

    /// A content does not claim chunks any more; once it claims none, it is not kept.
    fn let_go(&mut self, number: u32, gone: &[Run]) -> Freed {
        let mut freed = Freed::new();
        let Some(root) = self.roots.get_mut(&number) else { return freed };
        let mut removed = Vec::new();
        for run in gone {
            removed.extend(run.below(root.claimed.len()).filter(|chunk| root.claimed.remove(*chunk)));
        }
        let is_empty = root.claimed.is_empty();
        for (file_number, chunks) in self.by_file(number, &removed) {
            let Some(file) = self.files.get(&file_number) else { continue };
            let unclaimed = chunks.into_iter().filter(|chunk| !self.is_claimed(file, *chunk));
            let unclaimed = runs::of(unclaimed.map(Chunk));
            if let Some(file) = self.files.get_mut(&file_number).filter(|_| !unclaimed.is_empty()) {
                freed.extend(unclaimed.iter().flat_map(|run| file.remove(run.first.0, run.count)));
            }
        }
        if is_empty {
            self.forget_root(number);
        }
        self.release(freed)
    }

    fn forget_root(&mut self, number: u32) {
        let Some(root) = self.roots.remove(&number) else { return };
        if self.root_numbers.get(&(root.id, root.kind)) == Some(&number) {
            self.root_numbers.remove(&(root.id, root.kind));
        }
        for file_number in &root.files {
            let Some(file) = self.files.get_mut(file_number) else { continue };
            file.roots.retain(|(root, _)| *root != number);
            if file.roots.is_empty() && file.runs.is_empty() {
                let key = (file.id, file.geometry.size());
                self.files.remove(file_number);
                self.file_numbers.remove(&key);
            }
        }
    }

    fn is_claimed(&self, file: &File, chunk: u32) -> bool {
        let claims = |(root, start): &(u32, Chunk)| {
            self.roots.get(root).is_some_and(|root| root.claimed.contains(start.plus(chunk)))
        };
        file.roots.iter().any(claims)
    }

    /// What the log must say before anything else, if its end or a part of it was lost: of chunks that nobody claims,
    /// of claims without chunks, and of listings without members.
    pub(super) fn amends(&self) -> Vec<Entry<'static>> {
        let mut amends = Vec::new();
        for (number, root) in &self.roots {
            let is_alone = root.kind == Kind::Listing && self.root_number(root.id, Kind::Members).is_none();
            let claimed: Vec<Chunk> = root.claimed.iter().collect();
            let mut gone = Vec::new();
            for ((file, start), chunks) in self.with_starts(*number, &claimed) {
                let held =
                    |chunk: &u32| self.files.get(&file).is_some_and(|file| file.slot(*chunk).is_some());
                gone.extend(
                    chunks.iter().filter(|chunk| is_alone || !held(chunk)).map(|chunk| start.plus(*chunk)),
                );
            }
            let is_nothing = claimed.is_empty() && !root.claimed.is_full();
            if !gone.is_empty() || is_alone || is_nothing {
                amends.push(Entry::Gone { root: *number, runs: runs::of(gone) });
            }
        }
        for (number, file) in &self.files {
            let unclaimed =
                file.held().iter().filter(|chunk| !self.is_claimed(file, chunk.0)).collect::<Vec<_>>();
            let lost = runs::of(unclaimed).into_iter();
            amends.extend(lost.map(|run| Entry::Lost {
                file: *number,
                first: run.first.0,
                count: run.count,
            }));
        }
        amends
    }

    /// Chunks of a content, ascending, as those of its files.
    pub(super) fn by_file(&self, root: u32, chunks: &[Chunk]) -> Vec<(u32, Vec<u32>)> {
        self.with_starts(root, chunks).into_iter().map(|((file, _), chunks)| (file, chunks)).collect()
    }

    /// The same, with the chunk of the content that is the first of each file.
    fn with_starts(&self, root: u32, mut chunks: &[Chunk]) -> Vec<((u32, Chunk), Vec<u32>)> {
        let (mut start, mut out) = (Chunk(0), Vec::new());
        for number in self.roots.get(&root).into_iter().flat_map(|root| &root.files) {
            let Some(file) = self.files.get(number) else { continue };
            let end = start.plus(file.geometry.chunks());
            let mine = chunks.split_off(..chunks.partition_point(|chunk| *chunk < end)).unwrap_or_default();
            if !mine.is_empty() {
                out.push(((*number, start), mine.iter().map(|chunk| chunk.since(start)).collect()));
            }
            start = end;
        }
        out
    }

    /// The contents that claim a chunk of a file.
    pub(super) fn keepers(&self, file: u32, chunk: u32) -> Vec<(FileId, Kind)> {
        let roots = self.files.get(&file).into_iter().flat_map(|file| &file.roots);
        let claiming = roots.filter_map(|(root, start)| {
            self.roots.get(root).filter(|root| root.claimed.contains(start.plus(chunk)))
        });
        claiming.map(|root| (root.id, root.kind)).collect()
    }

    /// The number of what is kept of a content.
    pub(super) fn root_number(&self, id: FileId, kind: Kind) -> Option<u32> {
        self.root_numbers.get(&(id, kind)).copied()
    }

    pub(super) fn root(&self, number: u32) -> Option<&Root> {
        self.roots.get(&number)
    }

    /// What is kept, with its number, in order of that.
    pub(super) fn roots(&self) -> impl Iterator<Item = (u32, &Root)> {
        self.roots.iter().map(|(number, root)| (*number, root))
    }

    pub(super) fn file_number(&self, id: FileId, size: u64) -> Option<u32> {
        self.file_numbers.get(&(id, size)).copied()
    }

    pub(super) fn file(&self, number: u32) -> Option<&File> {
        self.files.get(&number)
    }

    /// The files, with their numbers, in order of those.
    pub(super) fn files(&self) -> impl Iterator<Item = (u32, &File)> {
        self.files.iter().map(|(number, file)| (*number, file))
    }

    /// The file of this id of which most is held, of whatever size it is said to be.
    pub(super) fn file_by_id(&self, id: FileId) -> Option<u32> {
        let of_id = self.file_numbers.range((id, 0)..=(id, u64::MAX)).map(|(_, number)| *number);
        of_id.max_by_key(|number| self.files.get(number).map_or(0, |file| file.held().count()))
    }

    /// Another file than `number` that has chunks of one with these hashes, at the same places: the one that most runs
    /// speak for.
    pub(super) fn alike(&self, hashes: &[ChunkHash], number: Option<u32>) -> Option<u32> {
        let mut votes: BTreeMap<u32, u32> = BTreeMap::new();
        let firsts = hashes.iter().step_by(PROOF_RUN as usize).filter_map(|hash| beginning(&hash.0));
        let files = firsts.filter_map(|hash| self.alike.get(&hash)).flatten();
        let holds = |file: &u32| self.files.get(file).is_some_and(|file| !file.runs().is_empty());
        for file in files.filter(|file| Some(**file) != number && holds(file)) {
            *votes.entry(*file).or_default() += 1;
        }
        votes.into_iter().max_by_key(|(_, votes)| *votes).map(|(file, _)| file)
    }

    /// True if something is held of another file with several chunks of this size.
    pub(super) fn has_others(&self, id: FileId, geometry: Geometry) -> bool {
        let is_like = |file: &File| {
            file.geometry.chunk_size() == geometry.chunk_size() && file.geometry.chunks() > 1 && file.id != id
        };
        self.files.values().any(|file| is_like(file) && !file.runs().is_empty())
    }

    /// The files that have a slot, with the chunk in it.
    pub(super) fn owners_of(&self, slot: Slot) -> Vec<(u32, u32)> {
        let of = |run: &Stretch| {
            let at = slot.number.checked_sub(run.slot.number).filter(|at| *at < run.count);
            at.filter(|_| run.slot.class == slot.class).map(|at| run.first + at)
        };
        let files = self.files.iter();
        files
            .flat_map(|(number, file)| file.runs.iter().filter_map(of).map(|chunk| (*number, chunk)))
            .collect()
    }

    /// True if as many files have each slot as the log said. From then on it is as they say.
    pub(super) fn recount(&mut self) -> bool {
        let mut slots: Vec<(Slot, u32)> =
            self.files.values().flat_map(|file| &file.runs).map(|run| (run.slot, run.count)).collect();
        slots.sort_unstable();
        let lies_on = |pair: &[(Slot, u32)]| {
            pair[0].0.class == pair[1].0.class && pair[0].0.number + pair[0].1 > pair[1].0.number
        };
        if self.shared.is_empty() && !slots.windows(2).any(lies_on) {
            return true;
        }
        let mut owners: HashMap<Slot, u32> = HashMap::new();
        for slot in slots.into_iter().flat_map(|(slot, count)| (0..count).map(move |at| slot.plus(at))) {
            *owners.entry(slot).or_default() += 1;
        }
        owners.retain(|_, owners| {
            *owners -= 1;
            *owners > 0
        });
        let is_as_said = owners == self.shared;
        self.shared = owners;
        is_as_said
    }

    /// True if several files have the slot.
    pub(super) fn is_shared(&self, slot: Slot) -> bool {
        self.shared.contains_key(&slot)
    }

    /// The next numbers of a file and a root that nothing has.
    pub(super) fn next_numbers(&self) -> (u32, u32) {
        (self.next_file, self.next_root)
    }

    pub(super) fn owner(&self) -> Option<Owner> {
        self.owner
    }

    pub(super) fn scrubbed(&self) -> Scrubbed {
        self.scrubbed
    }

    /// About how many bytes a log takes that says just this.
    pub(super) fn live_bytes(&self) -> u64 {
        const RECORD: u64 = 5;
        let of_proofs =
            |file: &File| file.proofs.values().map(|extent| u64::from(extent.len) + RECORD).sum::<u64>();
        let of_file = |file: &File| 44 + RECORD + (17 + RECORD) * file.runs.len() as u64 + of_proofs(file);
        let of_root = |root: &Root| {
            let records = root.records.map_or(0, |extent| u64::from(extent.len) + RECORD);
            37 + 4 * root.files.len() as u64
                + 8 * u64::from(root.claimed.count()).min(64)
                + records
                + 4 * RECORD
        };
        self.files.values().map(of_file).sum::<u64>() + self.roots.values().map(of_root).sum::<u64>()
    }

    /// Proofs and records lie elsewhere: the log was written anew.
    pub(super) fn moved(&mut self, proofs: &HashMap<(u32, u32), Extent>, records: &HashMap<u32, Extent>) {
        for (number, file) in &mut self.files {
            file.proofs.retain(|first, extent| {
                proofs.get(&(*number, *first)).inspect(|moved| *extent = **moved).is_some()
            });
        }
        self.alike.retain(|_, of| of.iter().any(|file| self.files.contains_key(file)));
        for (number, root) in &mut self.roots {
            root.records = records.get(number).copied();
        }
    }
}

/// The beginning of a hash.
fn beginning(hash: &[u8]) -> Option<u64> {
    hash.first_chunk().map(|hash| u64::from_be_bytes(*hash))
}

#[cfg(test)]
mod tests;
