//! What a catalogue says of entries in any order, against a slow twin that remembers each chunk by itself.

use std::collections::BTreeSet;

use super::super::slot::Class;
use super::*;

/// Chunks of each file.
const CHUNKS: u32 = 4;
const FILES: u32 = 5;
const ROOTS: u32 = 4;
const NOWHERE: Extent = Extent { at: 0, len: 0 };

/// The slow twin.
#[derive(Debug, Default)]
struct Twin {
    files: BTreeSet<u32>,
    /// Where each chunk of a file lies.
    at: BTreeMap<(u32, u32), Slot>,
    /// The files of each content, and the chunks of it that are claimed.
    roots: BTreeMap<u32, (Vec<u32>, BTreeSet<u32>)>,
}

impl Twin {
    fn apply(&mut self, entry: &Entry<'_>) {
        match entry {
            Entry::File { file, .. } => drop(self.files.insert(*file)),
            Entry::Chunks { file, first, count, slot } | Entry::Share { file, first, count, slot } => {
                for at in 0..if self.files.contains(file) { *count } else { 0 } {
                    self.at.insert((*file, first + at), slot.plus(at));
                }
            }
            Entry::Lost { file, first, count } => {
                (*first..first + count).for_each(|chunk| self.lose(*file, chunk))
            }
            Entry::Root { root, files, .. } => {
                if files.iter().all(|file| self.files.contains(file)) {
                    self.roots.entry(*root).or_insert_with(|| (files.clone(), BTreeSet::new()));
                }
            }
            Entry::Claim { root, runs } => {
                if let Some((files, claimed)) = self.roots.get_mut(root) {
                    let len = files.len() as u32 * CHUNKS;
                    claimed.extend(runs.iter().flat_map(|run| run.below(len)).map(|chunk| chunk.0));
                }
            }
            Entry::Gone { root, runs } => self.let_go(*root, runs),
            other => panic!("{other:?}"),
        }
    }

    fn lose(&mut self, file: u32, chunk: u32) {
        self.at.remove(&(file, chunk));
        for (files, claimed) in self.roots.values_mut() {
            for (place, _) in (0..).zip(&*files).filter(|(_, listed)| **listed == file) {
                claimed.remove(&(place * CHUNKS + chunk));
            }
        }
    }

    fn let_go(&mut self, root: u32, runs: &[Run]) {
        let Some((files, claimed)) = self.roots.get_mut(&root) else { return };
        let chunks = runs.iter().flat_map(|run| run.below(u32::MAX)).map(|chunk| chunk.0);
        let gone: Vec<u32> = chunks.filter(|chunk| claimed.remove(chunk)).collect();
        let (files, is_over) = (files.clone(), claimed.is_empty());
        for chunk in gone {
            let (file, chunk) = (files[(chunk / CHUNKS) as usize], chunk % CHUNKS);
            if !self.is_claimed(file, chunk) {
                self.at.remove(&(file, chunk));
            }
        }
        if is_over {
            self.roots.remove(&root);
            for file in files {
                let is_listed = self.roots.values().any(|(files, _)| files.contains(&file));
                if !is_listed && !self.at.keys().any(|(of, _)| *of == file) {
                    self.files.remove(&file);
                }
            }
        }
    }

    fn is_claimed(&self, file: u32, chunk: u32) -> bool {
        self.roots.values().any(|(files, claimed)| {
            let mut listed = (0..).zip(files).filter(|(_, listed)| **listed == file);
            listed.any(|(place, _)| claimed.contains(&(place * CHUNKS + chunk)))
        })
    }

    /// Slots in which something lies.
    fn slots(&self) -> BTreeSet<Slot> {
        self.at.values().copied().collect()
    }

    /// Any entry, of what is known or not; chunks come into slots that nothing was in.
    fn any_entry(&self, rng: &mut fastrand::Rng, next_slot: &mut u32) -> Entry<'static> {
        let (file, root, first) = (rng.u32(..FILES), rng.u32(..ROOTS), rng.u32(..CHUNKS));
        let count = rng.u32(1..=CHUNKS - first);
        let runs = vec![Run::new(Chunk(rng.u32(..3 * CHUNKS)), rng.u32(1..6))];
        match rng.u32(..8) {
            0 => file_entry(file),
            1 | 2 => {
                let slot = slot(*next_slot);
                *next_slot += count;
                Entry::Chunks { file, first, count, slot }
            }
            3 => {
                let others: Vec<_> = self.at.iter().filter(|((other, _), _)| *other != file).collect();
                match rng.choice(others) {
                    Some(((_, first), slot)) => Entry::Share { file, first: *first, count: 1, slot: *slot },
                    None => file_entry(file),
                }
            }
            4 => Entry::Lost { file, first, count },
            5 => {
                let files = (0..rng.u32(1..4)).map(|_| rng.u32(..FILES)).collect();
                Entry::Root { root, id: FileId([100 + root as u8; 32]), kind: Kind::Members, files }
            }
            6 => Entry::Claim { root, runs },
            _ => Entry::Gone { root, runs },
        }
    }
}

fn slot(number: u32) -> Slot {
    Slot { class: Class::of(1 << 16), number }
}

fn file_entry(file: u32) -> Entry<'static> {
    Entry::File { file, id: FileId([file as u8 + 1; 32]), size: u64::from(CHUNKS) << 16 }
}

/// Both take in an entry, and then are of one mind.
#[track_caller]
fn apply(catalogue: &mut Catalogue, twin: &mut Twin, entry: &Entry<'_>) {
    let before = twin.slots();
    let freed = catalogue.apply(entry, NOWHERE);
    twin.apply(entry);
    let mut freed: Vec<Slot> =
        freed.iter().flat_map(|(slot, count)| (0..*count).map(|at| slot.plus(at))).collect();
    freed.sort_unstable();
    let gone: Vec<Slot> = before.difference(&twin.slots()).copied().collect();
    assert_eq!(freed, gone, "{entry:?} of {twin:?}");
    for file in 0..FILES {
        let known = catalogue.file(file);
        assert_eq!(known.is_some(), twin.files.contains(&file), "{entry:?}");
        for chunk in 0..CHUNKS {
            let slot = known.and_then(|known| known.slot(chunk));
            assert_eq!(slot.as_ref(), twin.at.get(&(file, chunk)), "{entry:?}");
            let keepers = catalogue.keepers(file, chunk);
            assert_eq!(!keepers.is_empty(), known.is_some() && twin.is_claimed(file, chunk), "{entry:?}");
        }
    }
    for root in 0..ROOTS {
        let claimed = catalogue.root(root).map(|root| root.claimed.iter().map(|chunk| chunk.0).collect());
        assert_eq!(claimed.as_ref(), twin.roots.get(&root).map(|(_, claimed)| claimed), "{entry:?}");
    }
    for slot in twin.slots() {
        let has: Vec<(u32, u32)> =
            twin.at.iter().filter(|(_, at)| **at == slot).map(|(chunk, _)| *chunk).collect();
        assert_eq!(catalogue.owners_of(slot), has, "{entry:?}");
        assert_eq!(catalogue.is_shared(slot), has.len() > 1, "{entry:?}");
    }
}

#[test]
fn a_slot_is_free_when_no_chunk_of_any_file_lies_in_it_and_not_before() {
    let mut rng = fastrand::Rng::with_seed(7);
    for _ in 0..100 {
        let (mut catalogue, mut twin, mut next_slot) = (Catalogue::default(), Twin::default(), 0);
        for _ in 0..80 {
            let entry = twin.any_entry(&mut rng, &mut next_slot);
            apply(&mut catalogue, &mut twin, &entry);
        }
        assert!(catalogue.recount(), "as many files have each slot as was said");
        // Whatever was lost of its log, with the amends it keeps what it has and has what it keeps.
        for entry in catalogue.amends() {
            apply(&mut catalogue, &mut twin, &entry);
        }
        assert_eq!(catalogue.amends(), []);
        assert!(twin.at.keys().all(|(file, chunk)| twin.is_claimed(*file, *chunk)));
        for (files, claimed) in twin.roots.values() {
            assert!(!claimed.is_empty());
            let of = |chunk: &u32| (files[(chunk / CHUNKS) as usize], chunk % CHUNKS);
            assert!(claimed.iter().all(|chunk| twin.at.contains_key(&of(chunk))));
        }
    }
}

#[test]
fn what_is_not_known_is_not_spoken_of_and_no_number_is_given_twice() {
    let mut catalogue = Catalogue::default();
    let (id, kind) = (FileId([9; 32]), Kind::Members);
    let run = || vec![Run::new(Chunk(0), 1)];
    for entry in [
        Entry::Chunks { file: 3, first: 0, count: 1, slot: slot(0) },
        Entry::Lost { file: 3, first: 0, count: 1 },
        Entry::Root { root: 6, id, kind, files: vec![3] },
        Entry::Claim { root: 6, runs: run() },
        Entry::Gone { root: 6, runs: run() },
        Entry::Records { root: 6, records: b"r" },
        Entry::Proof { file: 3, proof: &[0; 37] },
    ] {
        assert_eq!(catalogue.apply(&entry, NOWHERE), []);
        assert_eq!((catalogue.files().count(), catalogue.roots().count()), (0, 0), "{entry:?}");
    }
    assert_eq!(catalogue.next_numbers(), (0, 7), "that of a content that could not be is used, too");
    catalogue.apply(&file_entry(3), NOWHERE);
    assert_eq!(catalogue.next_numbers(), (4, 7));
    let beyond = Entry::Chunks { file: 3, first: CHUNKS - 1, count: 2, slot: slot(0) };
    assert_eq!(catalogue.apply(&beyond, NOWHERE), []);
    assert!(catalogue.file(3).unwrap().runs().is_empty(), "it has no such chunk");
    let other = Entry::File { file: 3, id, size: 1 };
    catalogue.apply(&other, NOWHERE);
    assert_eq!(catalogue.file_number(id, 1), None, "its number is another's");
}

#[test]
fn of_several_sizes_of_an_id_the_file_counts_of_which_most_is_held() {
    let mut catalogue = Catalogue::default();
    let id = FileId([1; 32]);
    for (file, size) in [(0, 3 << 16), (1, 4 << 16), (2, 5 << 16)] {
        catalogue.apply(&Entry::File { file, id, size }, NOWHERE);
    }
    catalogue.apply(&Entry::Chunks { file: 0, first: 0, count: 1, slot: slot(0) }, NOWHERE);
    catalogue.apply(&Entry::Chunks { file: 1, first: 1, count: 2, slot: slot(1) }, NOWHERE);
    assert_eq!(catalogue.file_by_id(id), Some(1));
    assert_eq!(catalogue.file_by_id(FileId([2; 32])), None);
    assert_eq!(
        [3, 4, 5, 6].map(|chunks| catalogue.file_number(id, chunks << 16)),
        [Some(0), Some(1), Some(2), None]
    );
    let geometry = |size| Geometry::of(size).unwrap();
    assert!(!catalogue.has_others(id, geometry(4 << 16)), "it is that file itself");
    assert!(catalogue.has_others(FileId([2; 32]), geometry(4 << 16)));
    assert!(!catalogue.has_others(FileId([2; 32]), geometry(1 << 40)), "chunks of another size");
}
