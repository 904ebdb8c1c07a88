//! What the log is to say of chunks that are on the disk. Pure.

use std::collections::btree_map::Entry as MapEntry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::catalogue::Catalogue;
use super::entry::{Entry, Kind, encode_proof};
use super::lot::{Alike, Lot, Ticket, Waiting};
use super::slot::Slot;
use crate::content::{Chunk, ChunkSet, FileId, Manifest, PROOF_RUN, Proof, proof_run, runs};
use crate::threads::lock;

/// An entry's kind and body.
pub(super) type Encoded = (u8, Vec<u8>);

/// What goes into the log.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Entries that belong into one batch, for each says of the others what is needed to believe them.
    pub(super) units: Vec<Vec<Encoded>>,
    /// The contents of which more is kept then.
    pub(super) contents: Vec<(FileId, Kind)>,
    /// Slots of chunks that somebody else brought meanwhile.
    pub(super) surplus: Vec<Slot>,
}

/// Numbers for what is new.
struct Numbers<'a> {
    catalogue: &'a Catalogue,
    files: HashMap<(FileId, u64), u32>,
    next_file: u32,
    next_root: u32,
}

/// What is to be kept of one content.
struct OfContent<'a> {
    ticket: &'a Arc<Ticket>,
    chunks: ChunkSet,
    /// Of those that are new the slot and the proof of their run.
    new: BTreeMap<Chunk, (Slot, Option<&'a Proof>)>,
    /// The files that have the same chunks as those of the content, by the place of those.
    alike: BTreeMap<usize, &'a Alike>,
}

/// What has been entered: files that several contents list are entered once.
#[derive(Default)]
struct Entered {
    chunks: HashSet<(u32, u32)>,
    proofs: HashSet<(u32, u32)>,
}

/// What is to be said of one file.
#[derive(Default)]
struct OfFile<'a> {
    /// By their first chunk.
    proofs: BTreeMap<u32, &'a Proof>,
    placed: Vec<(u32, u32, Slot)>,
    shared: Vec<(u32, u32, Slot)>,
    /// As the content numbers them.
    claimed: Vec<Chunk>,
}

/// So many new files are entered together.
const FILES_IN_A_UNIT: usize = 4096;

impl Plan {
    pub(super) fn of(catalogue: &Catalogue, waiting: &Waiting) -> Plan {
        let (next_file, next_root) = catalogue.next_numbers();
        let mut numbers = Numbers { catalogue, files: HashMap::new(), next_file, next_root };
        let (mut plan, mut entered) = (Plan::default(), Entered::default());
        for content in plan.by_content(waiting).into_values() {
            plan.add(&mut numbers, &content, &mut entered);
        }
        plan
    }

    fn add(&mut self, numbers: &mut Numbers<'_>, content: &OfContent<'_>, entered: &mut Entered) {
        let lot = &content.ticket.lot;
        let catalogue = numbers.catalogue;
        let mut new_files = Vec::new();
        let files: Vec<u32> = lot.files.iter().map(|file| numbers.file(*file, &mut new_files)).collect();
        // Others in this plan may list them too, whatever comes of this content.
        self.units.extend(new_files.chunks(FILES_IN_A_UNIT).map(<[Encoded]>::to_vec));
        let known = catalogue.root_number(lot.id, lot.kind);
        if known.and_then(|root| catalogue.root(root)).is_some_and(|root| *root.files != *files) {
            self.surplus.extend(content.new.values().map(|(slot, _)| *slot));
            return;
        }
        let root = known.unwrap_or(numbers.next_root);
        let (mut units, mut claims) = (Vec::new(), false);
        for (at, file) in files.iter().enumerate() {
            let (mut unit, claimed) = self.of_file(catalogue, content, (at, *file), entered);
            claims |= !claimed.is_empty();
            if !claimed.is_empty() {
                unit.push(Entry::Claim { root, runs: runs::of(claimed) }.encode());
            }
            units.extend(Some(unit).filter(|unit| !unit.is_empty()));
        }
        if !claims && lot.layout.chunks() > 0 {
            self.units.append(&mut units);
            return;
        }
        let mut head = Vec::new();
        if known.is_none() {
            numbers.next_root += 1;
            head.push(Entry::Root { root, id: lot.id, kind: lot.kind, files }.encode());
        }
        if !lot.records.is_empty() {
            head.push(Entry::Records { root, records: &lot.records }.encode());
        }
        if let Some(looks) = *lock(&lot.looks) {
            head.push(Entry::Looks { root, looks }.encode());
        }
        match units.first_mut() {
            Some(first) => drop(first.splice(..0, head)),
            None => units.push(head),
        }
        self.units.append(&mut units);
        self.contents.push((lot.id, lot.kind));
    }

    /// What is to be said of one file of a content, and the chunks of the content that are claimed by it.
    fn of_file(
        &mut self,
        catalogue: &Catalogue,
        content: &OfContent<'_>,
        (at, file): (usize, u32),
        entered: &mut Entered,
    ) -> (Vec<Encoded>, Vec<Chunk>) {
        let mut said = OfFile::default();
        let lot = &content.ticket.lot;
        let of_file = lot.layout.chunks_of(at).zip(0..);
        let known = catalogue.file(file);
        let alike = content.alike.get(&at);
        for (of_content, chunk) in of_file.filter(|(of_content, _)| content.chunks.contains(*of_content)) {
            let is_held = entered.chunks.contains(&(file, chunk))
                || known.is_some_and(|file| file.slot(chunk).is_some());
            let same = || {
                let alike = alike.filter(|alike| alike.chunks.contains(Chunk(chunk)))?;
                catalogue.file(alike.file)?.slot(chunk)
            };
            match content.new.get(&of_content) {
                Some((slot, _)) if is_held => self.surplus.push(*slot),
                Some((slot, proof)) => {
                    said.proofs.extend(proof.map(|proof| (proof.first, proof)));
                    place(&mut said.placed, chunk, *slot);
                    entered.chunks.insert((file, chunk));
                }
                None if is_held => {}
                None => match same() {
                    Some(slot) => {
                        place(&mut said.shared, chunk, slot);
                        entered.chunks.insert((file, chunk));
                    }
                    // It was held when it was asked for, and is not any more.
                    None => continue,
                },
            }
            said.claimed.push(of_content);
        }
        let mut unit = Vec::new();
        let is_new = |first: u32| known.is_none_or(|file| file.proof(first).is_none());
        let mut prove = |proof: &Proof| {
            if is_new(proof.first) && entered.proofs.insert((file, proof.first)) {
                unit.push(Entry::Proof { file, proof: &encode_proof(proof) }.encode());
            }
        };
        said.proofs.values().for_each(|proof| prove(proof));
        // Also of a file of which nothing is claimed: who keeps a part of a code knows all hashes.
        if let Some(manifest) = lot.manifests.get(&at) {
            proofs_of(manifest).for_each(|proof| prove(&proof));
        }
        unit.extend(
            said.placed
                .into_iter()
                .map(|(first, count, slot)| Entry::Chunks { file, first, count, slot }.encode()),
        );
        unit.extend(
            said.shared
                .into_iter()
                .map(|(first, count, slot)| Entry::Share { file, first, count, slot }.encode()),
        );
        (unit, said.claimed)
    }

    /// What waits, by what it is to be kept for.
    fn by_content<'a>(&mut self, waiting: &'a Waiting) -> BTreeMap<(Kind, FileId), OfContent<'a>> {
        let mut contents = BTreeMap::new();
        for written in &waiting.written {
            let new = of(&mut contents, &written.ticket).and_then(|content| {
                content.chunks.insert(written.chunk);
                Some(content.new.entry(written.chunk)).filter(|entry| matches!(entry, MapEntry::Vacant(_)))
            });
            match new {
                Some(entry) => drop(entry.or_insert((written.slot, written.proof.as_deref()))),
                None => self.surplus.push(written.slot),
            }
        }
        for adopted in &waiting.adopted {
            if let Some(content) = of(&mut contents, &adopted.ticket) {
                content.chunks.add_runs(&adopted.chunks.runs());
                content.alike.extend(adopted.alike.iter().map(|(at, alike)| (*at, alike)));
            }
        }
        contents
    }
}

/// Where to gather what is to be kept of a content; nowhere if it is said to consist of other files than before.
fn of<'m, 'a>(
    contents: &'m mut BTreeMap<(Kind, FileId), OfContent<'a>>,
    ticket: &'a Arc<Ticket>,
) -> Option<&'m mut OfContent<'a>> {
    let Lot { id, kind, layout, files, .. } = &ticket.lot;
    let new = || OfContent {
        ticket,
        chunks: ChunkSet::empty(layout.chunks()),
        new: BTreeMap::new(),
        alike: BTreeMap::new(),
    };
    let content = contents.entry((*kind, *id)).or_insert_with(new);
    let is_same = Arc::ptr_eq(content.ticket, ticket) || content.ticket.lot.files == *files;
    is_same.then_some(content)
}

/// The proofs of all runs of a file's chunks.
fn proofs_of(manifest: &Manifest) -> impl Iterator<Item = Proof> + '_ {
    let geometry = manifest.geometry();
    let firsts = (0..geometry.chunks()).step_by(PROOF_RUN as usize).filter(move |_| geometry.chunks() > 1);
    firsts.filter_map(move |first| manifest.prove(proof_run(geometry, geometry.index(first)?)).ok())
}

/// Adds a chunk to runs of chunks in a row that lie in slots in a row.
fn place(placed: &mut Vec<(u32, u32, Slot)>, chunk: u32, slot: Slot) {
    match placed.last_mut() {
        Some((first, count, start)) if *first + *count == chunk && start.plus(*count) == slot => *count += 1,
        _ => placed.push((chunk, 1, slot)),
    }
}

impl Numbers<'_> {
    /// The number of a file; it is entered if it is new.
    fn file(&mut self, (id, size): (FileId, u64), head: &mut Vec<Encoded>) -> u32 {
        let known = self.catalogue.file_number(id, size).or_else(|| self.files.get(&(id, size)).copied());
        known.unwrap_or_else(|| {
            let file = self.next_file;
            self.next_file += 1;
            self.files.insert((id, size), file);
            head.push(Entry::File { file, id, size }.encode());
            file
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::slot::Class;
    use super::*;

    #[test]
    fn chunks_in_a_row_are_one_run_if_their_slots_are_and_have_one_size() {
        let (class, other) = (Class::of(1 << 16), Class::of(1));
        let chunks =
            [(0, class, 5), (1, class, 6), (2, class, 8), (4, class, 9), (5, other, 10), (6, other, 11)];
        let mut placed = Vec::new();
        for (chunk, class, number) in chunks {
            place(&mut placed, chunk, Slot { class, number });
        }
        let runs: Vec<(u32, u32, u32)> =
            placed.iter().map(|(first, count, slot)| (*first, *count, slot.number)).collect();
        assert_eq!(runs, [(0, 2, 5), (2, 1, 8), (4, 1, 9), (5, 2, 10)]);
    }
}
