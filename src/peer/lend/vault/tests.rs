//! What the tests of vaults share, and tests of what is kept, given up and refused.

mod damage;
mod scrub;
mod versions;

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};

use super::*;
use crate::content::{Geometry, Manifest, Place, Proof, hash_chunk, proof_run};

const QUOTA: u64 = 64 << 20;
const OWNER: Owner = Owner { authority: [1; 16], term: [1; 16], lasting: true };

/// A file, and what proves its chunks.
struct Sample {
    bytes: Vec<u8>,
    id: FileId,
    geometry: Geometry,
    manifest: Manifest,
}

impl Sample {
    fn new(seed: u64, len: usize) -> Sample {
        let mut rng = fastrand::Rng::with_seed(seed);
        Sample::of((0..len).map(|_| rng.u8(..)).collect())
    }

    fn of(bytes: Vec<u8>) -> Sample {
        let geometry = Geometry::of(bytes.len() as u64).unwrap();
        let chunks = (0..geometry.chunks()).filter_map(|number| geometry.index(number));
        let parts = bytes.chunks(geometry.chunk_size() as usize);
        let hashes = chunks.zip(parts).map(|(chunk, data)| hash_chunk(geometry, chunk, data)).collect();
        let (manifest, id) = Manifest::new(geometry, hashes).unwrap();
        Sample { bytes, id, geometry, manifest }
    }

    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn proof(&self, place: Place) -> Option<Arc<Proof>> {
        let run = proof_run(self.geometry, place.chunk);
        (self.geometry.chunks() > 1).then(|| Arc::new(self.manifest.prove(run).unwrap()))
    }

    fn part(&self, place: Place) -> &[u8] {
        &self.bytes[place.offset as usize..(place.offset + place.len) as usize]
    }

    fn lot(&self, kind: Kind) -> Lot {
        Lot::new(self.id, kind, vec![(self.id, self.size())], Vec::new()).unwrap()
    }

    fn all(&self) -> ChunkSet {
        ChunkSet::full(self.geometry.chunks())
    }
}

/// Writes and keeps all chunks of a grant that it did not have and that are in `chunks`.
fn bring(grant: &Grant, files: &[&Sample], chunks: &ChunkSet) {
    for chunk in chunks.iter().filter(|chunk| !grant.had().contains(*chunk)) {
        let place = grant.lot().layout().place(chunk).unwrap();
        let (first, second) = files[place.file].part(place).split_at(place.len as usize / 2);
        grant.write(place, 0, first).unwrap();
        grant.write(place, first.len() as u64, second).unwrap();
        grant.keep(place, files[place.file].proof(place)).unwrap();
    }
}

/// Keeps some chunks of a file; what is kept of it then.
fn keep(vault: &Vault, sample: &Sample, kind: Kind, chunks: &ChunkSet) -> Vec<Kept> {
    let grant = vault.reserve(sample.lot(kind), chunks).unwrap();
    bring(&grant, &[sample], chunks);
    vault.commit().unwrap()
}

/// What is kept is there and right.
#[track_caller]
fn expect_right(vault: &Vault, files: &[&Sample], kept: &Kept) {
    let content = vault.serve(kept.id, kept.kind).unwrap();
    assert!(kept.chunks.iter().all(|chunk| content.have().contains(chunk)));
    for chunk in kept.chunks.iter() {
        let place = content.layout().place(chunk).unwrap();
        let sample = files[place.file];
        let located = content.locate(place).unwrap().unwrap();
        let mut bytes = vec![0; place.len as usize];
        located.file.read_exact_at(&mut bytes, located.offset).unwrap();
        assert!(bytes == sample.part(place), "chunk {chunk}");
        assert_eq!(content.proof(place), sample.proof(place).map(|proof| (*proof).clone()), "chunk {chunk}");
    }
}

/// What the disk has given to a folder.
fn room(folder: &Path) -> u64 {
    let inside = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().blocks() * 512);
    inside.sum::<u64>() + fs::metadata(folder).unwrap().blocks() * 512
}

struct Ground {
    _place: tempfile::TempDir,
    path: std::path::PathBuf,
}

impl Ground {
    fn new() -> Ground {
        Ground::at(tempfile::tempdir().unwrap())
    }

    /// In memory where that can be, for much work.
    fn in_memory() -> Ground {
        Ground::at(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap())
    }

    fn at(place: tempfile::TempDir) -> Ground {
        let path = place.path().join("vault");
        Ground { _place: place, path }
    }

    fn open(&self) -> Vault {
        Vault::open(&self.path, QUOTA).unwrap()
    }
}

#[test]
fn what_was_committed_is_there_after_a_new_start() {
    let ground = Ground::new();
    let (large, small, empty) = (Sample::new(1, 40 << 16 | 77), Sample::new(2, 900), Sample::of(vec![]));
    let some = ChunkSet::of(41, &[0, 1, 17, 40]);
    let vault = ground.open();
    assert_eq!(vault.held(), []);
    let kept = [
        keep(&vault, &large, Kind::Bytes, &some),
        keep(&vault, &small, Kind::Bytes, &small.all()),
        keep(&vault, &empty, Kind::Bytes, &empty.all()),
    ]
    .concat();
    assert_eq!(kept[0], Kept { id: large.id, kind: Kind::Bytes, chunks: some.clone() });
    assert_eq!(kept.len(), 3);
    assert_eq!(vault.commit().unwrap(), [], "nothing is new");
    let used = vault.space().used;
    drop(vault);
    let vault = ground.open();
    assert_eq!(vault.held(), kept);
    assert_eq!(vault.space().used, used);
    for (sample, kept) in [&large, &small, &empty].into_iter().zip(&kept) {
        expect_right(&vault, &[sample], kept);
    }
    let more = keep(&vault, &large, Kind::Bytes, &ChunkSet::of(41, &[1, 2]));
    assert_eq!(more[0].chunks, ChunkSet::of(41, &[0, 1, 2, 17, 40]));
    expect_right(&vault, &[&large], &more[0]);
    assert!(vault.serve(FileId::of(b"other"), Kind::Bytes).is_none());
}

#[test]
fn what_was_not_committed_takes_no_room() {
    let ground = Ground::new();
    let sample = Sample::new(1, 20 << 16);
    let vault = ground.open();
    let before = vault.space();
    let grant = vault.reserve(sample.lot(Kind::Bytes), &sample.all()).unwrap();
    assert!(vault.space().used >= before.used + (20 << 16));
    let first = grant.lot().layout().place(Chunk(0)).unwrap();
    grant.write(first, 0, b"half").unwrap();
    assert!(grant.locate(first).unwrap().is_none(), "it is not proved");
    drop(grant);
    assert_eq!(vault.space(), before);
    // Kept, and then killed.
    let grant = vault.reserve(sample.lot(Kind::Bytes), &sample.all()).unwrap();
    bring(&grant, &[&sample], &sample.all());
    assert!(grant.locate(first).unwrap().is_some());
    assert_eq!(vault.of(sample.id, Kind::Bytes), None);
    drop((grant, vault));
    let vault = ground.open();
    assert_eq!((vault.held(), vault.space()), (vec![], before));
    assert!(room(&ground.path) <= before.used);
}

#[test]
fn what_was_broken_off_takes_no_room_whoever_still_reads_from_it() {
    let ground = Ground::new();
    let sample = Sample::new(1, 20 << 16);
    let vault = ground.open();
    let grant = vault.reserve(sample.lot(Kind::Bytes), &sample.all()).unwrap();
    let some = ChunkSet::of(20, &[0, 1, 7]);
    bring(&grant, &[&sample], &some);
    let reading = grant.locate(grant.lot().layout().place(Chunk(1)).unwrap()).unwrap().unwrap();
    grant.end();
    let kept = vault.commit().unwrap();
    assert_eq!(kept[0].chunks, some);
    expect_right(&vault, &[&sample], &kept[0]);
    let first = grant.lot().layout().place(Chunk(2)).unwrap();
    assert!(matches!(grant.write(first, 0, b"late"), Err(VaultError::Contradiction)));
    assert!(matches!(grant.keep(first, sample.proof(first)), Err(VaultError::Contradiction)));
    let space = vault.space();
    assert!(room(&ground.path) <= space.used);
    drop((reading, grant, vault));
    assert_eq!(ground.open().space(), space, "what is kept, and nothing else");
}

#[test]
fn a_tree_is_kept_with_its_listing_and_goes_with_it() {
    let ground = Ground::new();
    let vault = ground.open();
    let listing = Sample::new(9, 500);
    let files = [Sample::new(1, 3 << 16), Sample::of(vec![]), Sample::new(2, 10), Sample::new(3, 200_000)];
    let members = files.iter().map(|file| (file.id, file.size())).collect::<Vec<_>>();
    let lot = || Lot::new(listing.id, Kind::Members, members.clone(), b"v1".to_vec()).unwrap();
    let wanted = ChunkSet::of(8, &[0, 2, 3, 7]);
    assert!(matches!(vault.reserve(lot(), &wanted), Err(VaultError::NoListing)));
    assert_eq!(keep(&vault, &listing, Kind::Listing, &listing.all()), [], "it is not reported");
    let files: Vec<&Sample> = files.iter().collect();
    let grant = vault.reserve(lot(), &wanted).unwrap();
    bring(&grant, &files, &wanted);
    let kept = vault.commit().unwrap();
    assert_eq!(kept, [Kept { id: listing.id, kind: Kind::Members, chunks: wanted }]);
    drop((grant, vault));
    let vault = ground.open();
    assert_eq!(vault.held(), kept);
    assert_eq!(vault.records(listing.id, Kind::Members).unwrap(), b"v1");
    expect_right(&vault, &files, &kept[0]);
    let served = vault.serve(listing.id, Kind::Bytes).unwrap();
    assert!(served.have().is_full());
    vault.hear(OWNER).unwrap();
    let left = vault.delete(OWNER, listing.id, Kind::Members, &ChunkSet::of(8, &[0, 7])).unwrap();
    assert_eq!(left.chunks, ChunkSet::of(8, &[2, 3]));
    expect_right(&vault, &files, &left);
    let left = vault.delete(OWNER, listing.id, Kind::Members, &ChunkSet::of(8, &[2, 3])).unwrap();
    assert!(left.chunks.is_empty() && vault.held().is_empty());
    assert!(vault.serve(listing.id, Kind::Bytes).is_none(), "the listing went too");
    assert_eq!(vault.shared.slabs.charge(), 0);
}

#[test]
fn a_listing_that_nobody_wants_goes_at_the_next_start() {
    let ground = Ground::new();
    let listing = Sample::new(9, 500);
    keep(&ground.open(), &listing, Kind::Listing, &listing.all());
    for _ in 0..2 {
        let vault = ground.open();
        assert!(vault.serve(listing.id, Kind::Bytes).is_none());
        assert_eq!(vault.shared.slabs.charge(), 0);
    }
}

#[test]
fn a_file_that_two_contents_list_is_there_once_and_until_both_are_gone() {
    let ground = Ground::new();
    let vault = ground.open();
    vault.hear(OWNER).unwrap();
    let file = Sample::new(1, 5 << 16);
    keep(&vault, &file, Kind::Bytes, &ChunkSet::of(5, &[0, 1, 2]));
    let used = vault.space().used;
    let listing = Sample::new(9, 500);
    keep(&vault, &listing, Kind::Listing, &listing.all());
    let lot = Lot::new(listing.id, Kind::Members, vec![(file.id, file.size())], vec![]).unwrap();
    let grant = vault.reserve(lot, &file.all()).unwrap();
    assert_eq!(*grant.had(), ChunkSet::of(5, &[0, 1, 2]));
    bring(&grant, &[&file], &file.all());
    let kept = vault.commit().unwrap();
    assert!(kept[0].chunks.is_full() && kept.len() == 1);
    assert!(vault.space().used < used + (2 << 16) + (100 << 10));
    drop(grant);
    let left = vault.delete(OWNER, file.id, Kind::Bytes, &file.all()).unwrap();
    assert!(left.chunks.is_empty());
    expect_right(&vault, &[&file], &kept[0]);
    assert!(vault.serve(file.id, Kind::Bytes).unwrap().have().is_full(), "it is served for whatever sake");
    drop(vault);
    let vault = ground.open();
    expect_right(&vault, &[&file], &kept[0]);
    vault.delete(OWNER, listing.id, Kind::Members, &ChunkSet::of(5, &[0, 1, 2, 3])).unwrap();
    assert_eq!(
        vault.shared.slabs.charge(),
        slot::Class::of(1 << 16).charge() + slot::Class::of(500).charge()
    );
}

#[test]
fn two_who_bring_the_same_take_no_room_twice() {
    let ground = Ground::new();
    let vault = ground.open();
    let file = Sample::new(1, 5 << 16);
    let grants: Vec<Grant> =
        (0..3).map(|_| vault.reserve(file.lot(Kind::Bytes), &file.all()).unwrap()).collect();
    bring(&grants[0], &[&file], &file.all());
    bring(&grants[1], &[&file], &ChunkSet::of(5, &[0, 1]));
    let kept = vault.commit().unwrap();
    bring(&grants[2], &[&file], &ChunkSet::of(5, &[4]));
    assert_eq!(vault.commit().unwrap(), kept);
    for grant in &grants {
        let located = grant.locate(grant.lot().layout().place(Chunk(4)).unwrap()).unwrap().unwrap();
        let mut byte = [0];
        located.file.read_exact_at(&mut byte, located.offset).unwrap();
        assert_eq!(byte[0], file.bytes[4 << 16]);
    }
    drop(grants);
    assert_eq!(vault.shared.slabs.charge(), 5 * slot::Class::of(1 << 16).charge());
    expect_right(&vault, &[&file], &kept[0]);
}

#[test]
fn only_the_highest_term_of_the_one_authority_deletes() {
    let ground = Ground::new();
    let vault = ground.open();
    let file = Sample::new(1, 100);
    keep(&vault, &file, Kind::Bytes, &file.all());
    let term = |authority, term| Owner { authority: [authority; 16], term: [term; 16], lasting: true };
    let delete_by = |vault: &Vault, by| vault.delete(by, file.id, Kind::Bytes, &file.all());
    assert!(matches!(delete_by(&vault, OWNER), Err(VaultError::Foreign)), "it serves nobody yet");
    vault.hear(term(1, 5)).unwrap();
    assert!(matches!(vault.hear(term(2, 9)), Err(VaultError::Foreign)));
    assert!(matches!(vault.hear(term(1, 4)), Err(VaultError::Stale)));
    vault.hear(term(1, 5)).unwrap();
    vault.hear(term(1, 7)).unwrap();
    drop(vault);
    let vault = ground.open();
    assert_eq!(vault.owner(), Some(term(1, 7)));
    assert!(matches!(delete_by(&vault, term(1, 5)), Err(VaultError::Stale)));
    assert!(matches!(delete_by(&vault, term(1, 8)), Err(VaultError::Stale)), "it was not heard");
    assert!(matches!(delete_by(&vault, term(2, 7)), Err(VaultError::Foreign)));
    assert_eq!(vault.held().len(), 1);
    vault.adopt(term(2, 1)).unwrap();
    delete_by(&vault, term(2, 1)).unwrap();
    assert!(vault.held().is_empty());
    drop(vault);
    assert_eq!(ground.open().owner(), Some(term(2, 1)));
}

#[test]
fn what_is_sent_just_now_is_deleted_afterwards() {
    let ground = Ground::new();
    let vault = ground.open();
    vault.hear(OWNER).unwrap();
    let (file, other) = (Sample::new(1, 100), Sample::new(2, 100));
    keep(&vault, &file, Kind::Bytes, &file.all());
    let content = vault.serve(file.id, Kind::Bytes).unwrap();
    let place = content.layout().place(Chunk(0)).unwrap();
    let located = content.locate(place).unwrap().unwrap();
    vault.delete(OWNER, file.id, Kind::Bytes, &file.all()).unwrap();
    assert!(content.locate(place).unwrap().is_none() && content.have().is_empty());
    keep(&vault, &other, Kind::Bytes, &other.all());
    let mut bytes = vec![0; 100];
    located.file.read_exact_at(&mut bytes, located.offset).unwrap();
    assert_eq!(bytes, file.bytes);
    drop(located);
    assert_eq!(vault.shared.slabs.charge(), slot::Class::of(100).charge());
}

#[test]
fn no_more_is_taken_than_is_lent() {
    let ground = Ground::new();
    let vault = Vault::open(&ground.path, LEAST_QUOTA_BYTES).unwrap();
    let file = Sample::new(1, 40 << 16);
    let room = vault.space().room();
    assert!(room > 2 << 20 && room < 3 << 20);
    let (most, more) = (ChunkSet::of(40, &(0..36).collect::<Vec<_>>()), file.all());
    assert!(matches!(vault.reserve(file.lot(Kind::Bytes), &more), Ok(_) | Err(VaultError::NoSpace { .. })));
    let grant = vault.reserve(file.lot(Kind::Bytes), &most).unwrap();
    let second = Sample::new(2, 10 << 16);
    let refused = vault.reserve(second.lot(Kind::Bytes), &second.all()).unwrap_err();
    assert!(refused.is_no_space(), "{refused}");
    assert!(vault.space().used <= LEAST_QUOTA_BYTES);
    drop(grant);
    assert_eq!(vault.space().room(), room);
    assert!(matches!(
        Vault::open(&ground.path.join("x"), LEAST_QUOTA_BYTES - 1),
        Err(VaultError::TooSmall(_))
    ));
}

#[test]
fn what_cannot_be_is_refused() {
    let ground = Ground::new();
    let vault = ground.open();
    let (file, other) = (Sample::new(1, 3 << 16), Sample::new(2, 100));
    let lot = |files| Lot::new(file.id, Kind::Bytes, files, vec![]);
    assert!(lot(vec![]).is_err() && lot(vec![(other.id, 100)]).is_err());
    assert!(lot(vec![(file.id, u64::MAX)]).is_err() && lot(vec![(file.id, 0)]).is_err());
    assert!(vault.reserve(file.lot(Kind::Bytes), &ChunkSet::full(4)).is_err(), "of another size");
    let grant = vault.reserve(file.lot(Kind::Bytes), &ChunkSet::of(3, &[1])).unwrap();
    let place = |chunk| grant.lot().layout().place(chunk).unwrap();
    assert!(grant.write(place(Chunk(0)), 0, b"x").is_err() && grant.keep(place(Chunk(0)), None).is_err());
    assert!(grant.keep(place(Chunk(1)), None).is_err(), "without its proof");
    let wrong_size = lot(vec![(file.id, 2 << 16)]).unwrap();
    keep(&vault, &file, Kind::Bytes, &ChunkSet::of(3, &[1]));
    assert!(matches!(vault.reserve(wrong_size, &ChunkSet::full(2)), Err(VaultError::Contradiction)));
}

#[test]
fn a_log_of_what_is_gone_is_written_anew() {
    let ground = Ground::in_memory();
    let vault = ground.open();
    vault.hear(OWNER).unwrap();
    let stays = Sample::new(1, 40 << 16);
    let lot = Lot::new(stays.id, Kind::Bytes, vec![(stays.id, stays.size())], b"records".to_vec()).unwrap();
    let grant = vault.reserve(lot, &stays.all()).unwrap();
    bring(&grant, &[&stays], &stays.all());
    vault.commit().unwrap();
    drop(grant);
    let goes = Sample::new(2, 100);
    let mut longest = 0;
    for _ in 0..1500 {
        keep(&vault, &goes, Kind::Bytes, &goes.all());
        vault.delete(OWNER, goes.id, Kind::Bytes, &goes.all()).unwrap();
        longest = longest.max(fs::metadata(ground.path.join("log")).unwrap().len());
    }
    assert!(longest > 1 << 20 && longest < 1_200_000, "{longest}");
    let held = vault.held();
    expect_right(&vault, &[&stays], &held[0]);
    assert_eq!(
        (vault.owner(), vault.records(stays.id, Kind::Bytes)),
        (Some(OWNER), Some(b"records".to_vec()))
    );
    drop(vault);
    let vault = ground.open();
    assert_eq!(vault.held(), held);
    expect_right(&vault, &[&stays], &held[0]);
    assert_eq!(
        (vault.owner(), vault.records(stays.id, Kind::Bytes)),
        (Some(OWNER), Some(b"records".to_vec()))
    );
}

#[test]
fn of_a_content_that_comes_to_nothing_others_have_no_harm() {
    let ground = Ground::new();
    let vault = ground.open();
    vault.hear(OWNER).unwrap();
    let (file, new) = (Sample::new(1, 100), Sample::new(2, 3 << 16));
    let mut listings = [Sample::new(3, 10), Sample::new(4, 10)];
    listings.sort_by_key(|listing| listing.id);
    listings.iter().for_each(|listing| assert_eq!(keep(&vault, listing, Kind::Listing, &listing.all()), []));
    keep(&vault, &file, Kind::Bytes, &file.all());
    let members = |listing: &Sample, files: &[&Sample]| {
        let files = files.iter().map(|file| (file.id, file.size())).collect();
        Lot::new(listing.id, Kind::Members, files, vec![]).unwrap()
    };
    // What it has of its members is deleted before it is in the log; its other member is known by then.
    let first = vault.reserve(members(&listings[0], &[&file, &new]), &ChunkSet::of(4, &[0])).unwrap();
    assert_eq!(first.had().count(), 1);
    vault.delete(OWNER, file.id, Kind::Bytes, &file.all()).unwrap();
    let second = vault.reserve(members(&listings[1], &[&new]), &new.all()).unwrap();
    bring(&second, &[&new], &new.all());
    let kept = vault.commit().unwrap();
    assert_eq!(kept, [Kept { id: listings[1].id, kind: Kind::Members, chunks: new.all() }]);
    expect_right(&vault, &[&new], &kept[0]);
    drop((first, second, vault));
    let vault = ground.open();
    assert_eq!(vault.held(), kept);
    expect_right(&vault, &[&new], &kept[0]);
}
