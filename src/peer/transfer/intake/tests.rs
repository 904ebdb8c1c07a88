//! What becomes of chunks, whoever they come from and in whatever order.

use tempfile::TempDir;

use super::*;
use crate::content::{Geometry, Manifest, hash_chunk, proof_run};
use crate::peer::disk::{Disk, Manner, Plan};

const CHUNK: usize = 1 << 16;
const FIRST: SourceId = SourceId(0);
const SECOND: SourceId = SourceId(1);

struct Room {
    intake: Intake,
    manifest: Option<Manifest>,
    folder: TempDir,
}

/// The intake of a file of so many chunks of sevens.
fn place(chunks: usize) -> Room {
    let folder = tempfile::tempdir().unwrap();
    let geometry = Geometry::of((chunks * CHUNK) as u64).unwrap();
    let bytes = [7; CHUNK];
    let hashes = (0..chunks as u32).map(|at| hash_chunk(geometry, geometry.index(at).unwrap(), &bytes));
    let hashes: Vec<ChunkHash> = hashes.collect();
    let (manifest, id) = match *hashes.as_slice() {
        [only] => (None, FileId(only.0)),
        _ => {
            let (manifest, id) = Manifest::new(geometry, hashes).unwrap();
            (Some(manifest), id)
        }
    };
    let plan = Plan::file(id, geometry, "x").unwrap();
    let manner = Manner { force: false, noted: false, own: false, delete: false, told: false, fsync: false };
    let state = folder.path().join("state");
    let (disk, had) = Disk::open(plan, id, &state.join("x"), folder.path(), manner).unwrap();
    Room { intake: Intake::new(Arc::new(disk), had), manifest, folder }
}

impl Room {
    fn begin(&self, chunk: u32, source: SourceId, proved: bool) -> Arriving<'_> {
        let chunk = Chunk(chunk);
        let place = self.intake.landing.layout().place(chunk).unwrap();
        let none = Proof { first: 0, hashes: Vec::new(), path: Vec::new() };
        let geometry = self.intake.landing.layout().files()[0];
        let proof = self.manifest.as_ref().filter(|_| proved);
        let proof = proof.map_or(none, |manifest| manifest.prove(proof_run(geometry, place.chunk)).unwrap());
        self.intake.begin(chunk, place, proof, source)
    }

    fn file(&self) -> Option<Vec<u8>> {
        std::fs::read(self.folder.path().join("x")).ok()
    }
}

fn finish(mut arriving: Arriving<'_>, byte: u8) -> Ended {
    let data = [byte; CHUNK];
    assert!(arriving.take(&data).unwrap());
    arriving.end(&data).unwrap()
}

#[test]
fn a_file_gets_its_name_with_the_last_of_its_chunks() {
    let place = place(2);
    let first = place.begin(0, FIRST, true);
    assert!(!first.is_unproved() && !first.was_had());
    assert_eq!((first.chunk(), first.bytes()), (Chunk(0), CHUNK as u64));
    assert_eq!(finish(first, 7), Ended::Kept);
    assert_eq!(place.file(), None);
    assert_eq!(finish(place.begin(1, FIRST, false), 7), Ended::Kept, "the proof was told before");
    assert_eq!(place.file(), Some(vec![7; 2 * CHUNK]));
}

#[test]
fn a_file_of_one_chunk_needs_no_proof() {
    let place = place(1);
    assert_eq!(finish(place.begin(0, FIRST, false), 8), Ended::Wrong);
    assert_eq!(place.file(), None);
    assert_eq!(finish(place.begin(0, FIRST, false), 7), Ended::Kept);
    assert_eq!(place.file(), Some(vec![7; CHUNK]));
}

#[test]
fn what_nothing_proves_is_thrown_away() {
    let place = place(2);
    let arriving = place.begin(0, FIRST, false);
    assert!(arriving.is_unproved());
    assert_eq!(finish(arriving, 7), Ended::Unproved);
}

#[test]
fn data_is_taken_in_blocks_but_for_the_end() {
    let place = place(2);
    let mut arriving = place.begin(0, FIRST, true);
    assert_eq!(arriving.portion(CHUNK - 1), 0);
    assert_eq!(arriving.portion(CHUNK), CHUNK);
    assert_eq!(arriving.portion(3 * CHUNK), CHUNK, "no more than there is of it");
    assert!(!arriving.take(&[7; 100]).unwrap());
    assert_eq!(arriving.portion(CHUNK), CHUNK - 100);
}

#[test]
fn of_two_the_one_that_began_last_writes_and_nobody_when_it_is_kept() {
    let place = place(2);
    let mut late = place.begin(0, FIRST, true);
    let wins = place.begin(0, SECOND, true);
    assert!(!late.take(&[8; CHUNK / 2]).unwrap(), "written nowhere");
    assert_eq!(finish(wins, 7), Ended::Kept);
    let third = place.begin(0, FIRST, true);
    assert!(third.was_had());
    assert_eq!(finish(third, 8), Ended::Had);
    assert!(late.take(&[8; CHUNK / 2]).unwrap());
    assert_eq!(late.end(&[]).unwrap(), Ended::Wrong);
    assert_eq!(finish(place.begin(1, FIRST, true), 7), Ended::Kept);
    assert_eq!(place.file(), Some(vec![7; 2 * CHUNK]));
}

#[test]
fn right_bytes_of_who_was_overtaken_are_not_kept_for_they_were_not_written() {
    let place = place(2);
    let overtaken = place.begin(0, FIRST, true);
    let other = place.begin(0, SECOND, true);
    assert_eq!(finish(overtaken, 7), Ended::Had);
    assert_eq!(finish(other, 7), Ended::Kept);
}

#[test]
fn who_gives_up_or_is_wrong_makes_room_for_others_but_ends_nobody_elses_writing() {
    let place = place(2);
    drop(place.begin(0, FIRST, true));
    assert!(lock(&place.intake.writers).writing.is_empty());
    let overtaken = place.begin(0, FIRST, true);
    let other = place.begin(0, SECOND, true);
    drop(overtaken);
    assert_eq!(lock(&place.intake.writers).writing.len(), 1);
    assert_eq!(finish(other, 8), Ended::Wrong);
    assert!(lock(&place.intake.writers).writing.is_empty());
    assert_eq!(finish(place.begin(0, FIRST, true), 7), Ended::Kept);
}

#[test]
fn many_that_begin_the_same_chunk_at_once_keep_it_once() {
    let place = place(64);
    let place = &place;
    let kept = std::thread::scope(|scope| {
        let sources = (0..4).map(|source| {
            scope.spawn(move || {
                let ends = (0..64).map(|chunk| finish(place.begin(chunk, SourceId(source), true), 7));
                ends.filter(|end| *end == Ended::Kept).count()
            })
        });
        sources.collect::<Vec<_>>().into_iter().map(|source| source.join().unwrap()).sum::<usize>()
    });
    // Of those who overtake each other the last may have given up before another began: then nobody kept it.
    let left = (0..64).filter(|chunk| finish(place.begin(*chunk, FIRST, true), 7) == Ended::Kept).count();
    assert_eq!(kept + left, 64);
    assert!(lock(&place.intake.writers).writing.is_empty());
    assert_eq!(place.file(), Some(vec![7; 64 * CHUNK]));
}
