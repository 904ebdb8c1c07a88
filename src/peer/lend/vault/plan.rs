//! What the log is to say of chunks that are on the disk. Pure.

use std::collections::btree_map::Entry as MapEntry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::catalogue::{Catalogue, proof_start};
use super::entry::{Entry, Kind, encode_proof};
use super::lot::{Lot, Ticket, Waiting};
use super::slot::Slot;
use crate::content::{ChunkSet, FileId, Proof, runs};
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
    /// Of those that are new, by their number: the slot and the proof of their run.
    new: BTreeMap<u32, (Slot, Option<&'a Proof>)>,
}

/// What has been entered: files that several contents list are entered once.
#[derive(Default)]
struct Entered {
    chunks: HashSet<(u32, u32)>,
    proofs: HashSet<(u32, u32)>,
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
        let known = catalogue.root_number(lot.id, lot.kind);
        if known.and_then(|root| catalogue.root(root)).is_some_and(|root| *root.files != *files) {
            self.surplus.extend(content.new.values().map(|(slot, _)| *slot));
            return;
        }
        let root = known.unwrap_or(numbers.next_root);
        let mut units = Vec::new();
        for (at, file) in files.iter().enumerate() {
            let (mut unit, claimed) = self.of_file(catalogue, content, (at, *file), entered);
            if !claimed.is_empty() {
                unit.push(Entry::Claim { root, runs: runs::of(claimed) }.encode());
                units.push(unit);
            }
        }
        if units.is_empty() && lot.layout.chunks() > 0 {
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
        self.units.extend(new_files.chunks(FILES_IN_A_UNIT).map(<[Encoded]>::to_vec));
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
    ) -> (Vec<Encoded>, Vec<u32>) {
        let (mut unit, mut claimed, mut placed) = (Vec::new(), Vec::new(), Vec::<(u32, u32, Slot)>::new());
        let of_file = content.ticket.lot.layout.chunks_of(at);
        let start = of_file.start;
        let known = catalogue.file(file);
        for number in of_file.filter(|number| content.chunks.contains(*number)) {
            let chunk = number - start;
            let is_held = entered.chunks.contains(&(file, chunk))
                || known.is_some_and(|file| file.slot(chunk).is_some());
            match content.new.get(&number) {
                Some((slot, _)) if is_held => self.surplus.push(*slot),
                Some((slot, proof)) => {
                    let run = proof_start(chunk);
                    let is_new = known.is_none_or(|file| file.proof(run).is_none());
                    if let Some(proof) = proof.filter(|_| is_new && entered.proofs.insert((file, run))) {
                        unit.push(Entry::Proof { file, proof: &encode_proof(proof) }.encode());
                    }
                    entered.chunks.insert((file, chunk));
                    place(&mut placed, chunk, *slot);
                }
                // It was held when it was asked for, and is not any more.
                None if !is_held => continue,
                None => {}
            }
            claimed.push(number);
        }
        let chunks =
            placed.into_iter().map(|(first, count, slot)| Entry::Chunks { file, first, count, slot });
        unit.extend(chunks.map(|entry| entry.encode()));
        (unit, claimed)
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
    let new = || OfContent { ticket, chunks: ChunkSet::empty(layout.chunks()), new: BTreeMap::new() };
    let content = contents.entry((*kind, *id)).or_insert_with(new);
    let is_same = Arc::ptr_eq(content.ticket, ticket) || content.ticket.lot.files == *files;
    is_same.then_some(content)
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
