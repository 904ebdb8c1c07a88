use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};

use super::*;
use crate::content::{Geometry, Manifest, Place, Proof, hash_chunk, proof_run};

const QUOTA: u64 = 64 << 20;
const OWNER: Owner = Owner { authority: [1; 16], term: [1; 16] };

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

fn set(len: u32, chunks: &[u32]) -> ChunkSet {
    let mut set = ChunkSet::empty(len);
    chunks.iter().for_each(|chunk| assert!(set.insert(*chunk)));
    set
}

#[test]
fn what_was_committed_is_there_after_a_new_start() {
    let ground = Ground::new();
    let (large, small, empty) = (Sample::new(1, 40 << 16 | 77), Sample::new(2, 900), Sample::of(vec![]));
    let some = set(41, &[0, 1, 17, 40]);
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
    let more = keep(&vault, &large, Kind::Bytes, &set(41, &[1, 2]));
    assert_eq!(more[0].chunks, set(41, &[0, 1, 2, 17, 40]));
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
    let first = grant.lot().layout().place(0).unwrap();
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
fn a_tree_is_kept_with_its_listing_and_goes_with_it() {
    let ground = Ground::new();
    let vault = ground.open();
    let listing = Sample::new(9, 500);
    let files = [Sample::new(1, 3 << 16), Sample::of(vec![]), Sample::new(2, 10), Sample::new(3, 200_000)];
    let members = files.iter().map(|file| (file.id, file.size())).collect::<Vec<_>>();
    let lot = || Lot::new(listing.id, Kind::Members, members.clone(), b"v1".to_vec()).unwrap();
    let wanted = set(8, &[0, 2, 3, 7]);
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
    let left = vault.delete(OWNER, listing.id, Kind::Members, &set(8, &[0, 7])).unwrap();
    assert_eq!(left.chunks, set(8, &[2, 3]));
    expect_right(&vault, &files, &left);
    let left = vault.delete(OWNER, listing.id, Kind::Members, &set(8, &[2, 3])).unwrap();
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
    keep(&vault, &file, Kind::Bytes, &set(5, &[0, 1, 2]));
    let used = vault.space().used;
    let listing = Sample::new(9, 500);
    keep(&vault, &listing, Kind::Listing, &listing.all());
    let lot = Lot::new(listing.id, Kind::Members, vec![(file.id, file.size())], vec![]).unwrap();
    let grant = vault.reserve(lot, &file.all()).unwrap();
    assert_eq!(*grant.had(), set(5, &[0, 1, 2]));
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
    vault.delete(OWNER, listing.id, Kind::Members, &set(5, &[0, 1, 2, 3])).unwrap();
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
    bring(&grants[1], &[&file], &set(5, &[0, 1]));
    let kept = vault.commit().unwrap();
    bring(&grants[2], &[&file], &set(5, &[4]));
    assert_eq!(vault.commit().unwrap(), kept);
    for grant in &grants {
        let located = grant.locate(grant.lot().layout().place(4).unwrap()).unwrap().unwrap();
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
    let term = |authority, term| Owner { authority: [authority; 16], term: [term; 16] };
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
    let place = content.layout().place(0).unwrap();
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
    let (most, more) = (set(40, &(0..36).collect::<Vec<_>>()), file.all());
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
    let grant = vault.reserve(file.lot(Kind::Bytes), &set(3, &[1])).unwrap();
    let place = |chunk| grant.lot().layout().place(chunk).unwrap();
    assert!(grant.write(place(0), 0, b"x").is_err() && grant.keep(place(0), None).is_err());
    assert!(grant.keep(place(1), None).is_err(), "without its proof");
    let wrong_size = lot(vec![(file.id, 2 << 16)]).unwrap();
    keep(&vault, &file, Kind::Bytes, &set(3, &[1]));
    assert!(matches!(vault.reserve(wrong_size, &ChunkSet::full(2)), Err(VaultError::Contradiction)));
}

#[test]
fn a_chunk_that_is_not_what_it_was_is_not_kept_any_more() {
    let ground = Ground::new();
    let vault = ground.open();
    let file = Sample::new(1, 3 << 16);
    keep(&vault, &file, Kind::Bytes, &file.all());
    assert_eq!(vault.check(file.id, Kind::Bytes, 1).unwrap(), []);
    assert_eq!(vault.check(file.id, Kind::Bytes, 7).unwrap(), []);
    assert_eq!(vault.check(FileId::of(b"x"), Kind::Bytes, 0).unwrap(), []);
    let slab = fs::File::options().write(true).open(ground.path.join("64k.slab")).unwrap();
    slab.write_all_at(b"x", (1 << 16) + 5).unwrap();
    let left = vault.check(file.id, Kind::Bytes, 1).unwrap();
    assert_eq!(left, [Kept { id: file.id, kind: Kind::Bytes, chunks: set(3, &[0, 2]) }]);
    expect_right(&vault, &[&file], &left[0]);
    let again = keep(&vault, &file, Kind::Bytes, &file.all());
    expect_right(&vault, &[&file], &again[0]);
    assert_eq!(
        vault.shared.slabs.charge(),
        4 * slot::Class::of(1 << 16).charge(),
        "its slot is not used again"
    );
    drop(vault);
    let vault = ground.open();
    expect_right(&vault, &[&file], &again[0]);
    assert_eq!(vault.shared.slabs.charge(), 3 * slot::Class::of(1 << 16).charge());
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

/// Three files in a vault, of which the log says something in batches of their own.
fn three(ground: &Ground) -> [Sample; 3] {
    let samples = [Sample::new(1, 20 << 16), Sample::new(2, 900), Sample::new(3, 3 << 16)];
    let vault = ground.open();
    for sample in &samples {
        keep(&vault, sample, Kind::Bytes, &sample.all());
    }
    samples
}

/// What is kept in the vault of [`three`] now is right; how many chunks it is of each.
#[track_caller]
fn look(ground: &Ground, samples: &[Sample; 3]) -> [u32; 3] {
    let vault = ground.open();
    for kept in vault.held() {
        let sample = samples.iter().find(|sample| sample.id == kept.id).unwrap();
        expect_right(&vault, &[sample], &kept);
    }
    let count = |sample: &Sample| vault.of(sample.id, Kind::Bytes).map_or(0, |kept| kept.chunks.count());
    let counts = std::array::from_fn(|at| count(&samples[at]));
    drop(vault);
    let again = ground.open();
    for (sample, count) in samples.iter().zip(counts) {
        assert_eq!(again.of(sample.id, Kind::Bytes).map_or(0, |kept| kept.chunks.count()), count);
    }
    counts
}

#[test]
fn of_a_damaged_log_what_is_whole_is_kept() {
    for (batch, left) in [[0, 1, 3], [20, 0, 3], [20, 1, 0]].into_iter().enumerate() {
        let ground = Ground::new();
        let samples = three(&ground);
        let log = ground.path.join("log");
        let mut bytes = fs::read(&log).unwrap();
        let is_batch = |at: &usize| bytes[*at..].starts_with(b"batc");
        let start = (512..bytes.len()).step_by(512).filter(is_batch).nth(batch).unwrap();
        bytes[start + 40] ^= 1;
        fs::write(&log, bytes).unwrap();
        assert_eq!(look(&ground, &samples), left);
    }
}

#[test]
fn slots_that_are_gone_or_changed_under_a_damaged_log_are_not_believed() {
    let ground = Ground::new();
    let samples = three(&ground);
    let slab = ground.path.join("64k.slab");
    fs::File::options().write(true).open(&slab).unwrap().set_len((21 << 16) + 100).unwrap();
    assert_eq!(look(&ground, &samples), [20, 1, 1]);
    fs::remove_file(&slab).unwrap();
    assert_eq!(look(&ground, &samples), [0, 1, 0]);
}

#[test]
fn what_is_no_vault_is_refused_in_a_sentence_and_left_as_it_is() {
    let ground = Ground::new();
    drop(three(&ground));
    let said = || Vault::open(&ground.path, QUOTA).unwrap_err().to_string();
    let at = ground.path.display().to_string();
    let log = ground.path.join("log");
    let whole = fs::read(&log).unwrap();
    fs::remove_file(&log).unwrap();
    assert_eq!(
        said(),
        format!("{at} has chunks and no log to tell what they are; move it away to lend again")
    );
    let away = format!("move {at} away to lend again, and what was kept there comes from other stores");
    fs::write(&log, whole[..300].repeat(2)).unwrap();
    assert_eq!(Vault::open(&ground.path, QUOTA).unwrap().held(), [], "an end that is no batch is cut off");
    fs::write(&log, [&whole[..20], &[7; 600]].concat()).unwrap();
    assert_eq!(said(), format!("{at}/log is damaged at byte 0; {away}"));
    crate::storage::log::Log::create(&log, b"p2pvalt9").unwrap();
    assert_eq!(said(), format!("{at}/log is of another version; {away}"));
    fs::write(&log, &whole).unwrap();
    let open = ground.open();
    assert_eq!(said(), format!("{at} is in use by another process"));
    drop(open);
    fs::remove_file(ground.path.join("lock")).unwrap();
    fs::create_dir(ground.path.join("lock")).unwrap();
    assert!(
        said().starts_with(&format!("{at} cannot be used: ")) && !said().contains("os error"),
        "{}",
        said()
    );
}

/// A version of a file that differs in some chunks.
fn changed(sample: &Sample, chunks: &[usize]) -> Sample {
    let mut bytes = sample.bytes.clone();
    chunks.iter().for_each(|chunk| bytes[(chunk << 16) + 9] ^= 1);
    Sample::of(bytes)
}

/// Its lot, with all its hashes.
fn known(sample: &Sample) -> Lot {
    let mut lot = sample.lot(Kind::Bytes);
    lot.know(0, sample.manifest.hashes().to_vec()).unwrap();
    lot
}

#[test]
fn what_a_version_has_in_common_with_another_takes_no_room_twice() {
    let ground = Ground::new();
    let vault = ground.open();
    vault.hear(OWNER).unwrap();
    let one = Sample::new(1, (100 << 16) + 5);
    let two = changed(&one, &[0, 40, 99]);
    let three = changed(&two, &[40, 50]);
    let most = set(101, &(0..90).chain([100]).collect::<Vec<_>>());
    keep(&vault, &one, Kind::Bytes, &most);
    let slots = |chunks: u64| chunks * slot::Class::of(1 << 16).charge() + slot::Class::of(5).charge();
    assert_eq!(vault.shared.slabs.charge(), slots(90));
    let bring_known = |sample: &Sample, had: u32| {
        let grant = vault.reserve(known(sample), &sample.all()).unwrap();
        assert_eq!(grant.had().count(), had);
        bring(&grant, &[sample], &sample.all());
        let kept = vault.commit().unwrap();
        assert!(kept.len() == 1 && kept[0].chunks.is_full());
        expect_right(&vault, &[sample], &kept[0]);
        kept[0].clone()
    };
    let of_two = bring_known(&two, 91 - 2);
    assert_eq!(vault.shared.slabs.charge(), slots(90 + 12));
    let of_three = bring_known(&three, 99);
    assert_eq!(vault.shared.slabs.charge(), slots(90 + 12 + 2));
    // All hashes are known, whatever is asked for.
    let content = vault.serve(two.id, Kind::Bytes).unwrap();
    assert_eq!(content.manifest_run(0, 0..101), two.manifest.prove(0..101).ok());
    assert_eq!(content.manifest_run(0, 64..80), two.manifest.prove(64..80).ok());
    assert_eq!(
        vault.serve(one.id, Kind::Bytes).unwrap().manifest_run(0, 96..101),
        one.manifest.prove(96..101).ok()
    );
    assert_eq!(content.manifest_run(0, 3..101), None);
    drop(content);
    // Each goes without the others.
    vault.delete(OWNER, one.id, Kind::Bytes, &one.all()).unwrap();
    expect_right(&vault, &[&two], &of_two);
    vault.delete(OWNER, two.id, Kind::Bytes, &set(101, &[1, 2, 40])).unwrap();
    expect_right(&vault, &[&three], &of_three);
    drop(vault);
    let vault = ground.open();
    expect_right(&vault, &[&three], &of_three);
    lock(&vault.writer).tidy(&vault.shared, true);
    vault.delete(OWNER, two.id, Kind::Bytes, &two.all()).unwrap();
    expect_right(&vault, &[&three], &of_three);
    assert_eq!(vault.shared.slabs.charge(), slots(100));
    drop(vault);
    let vault = ground.open();
    expect_right(&vault, &[&three], &of_three);
    assert_eq!(vault.shared.slabs.charge(), slots(100));
    vault.delete(OWNER, three.id, Kind::Bytes, &three.all()).unwrap();
    assert_eq!(vault.shared.slabs.charge(), 0);
}

#[test]
fn what_is_held_already_is_kept_for_another_content_without_being_brought() {
    let ground = Ground::new();
    let vault = ground.open();
    let one = Sample::new(1, 20 << 16);
    let two = changed(&one, &[3]);
    keep(&vault, &one, Kind::Bytes, &set(20, &[1, 2, 3, 4]));
    let used = vault.shared.slabs.charge();
    assert_eq!(vault.keep_held(known(&two)).unwrap(), set(20, &[1, 2, 4]));
    let kept = vault.commit().unwrap();
    assert_eq!(kept, [Kept { id: two.id, kind: Kind::Bytes, chunks: set(20, &[1, 2, 4]) }]);
    assert_eq!(vault.shared.slabs.charge(), used);
    // A slot that went bad is nobody's.
    let slab = fs::File::options().write(true).open(ground.path.join("64k.slab")).unwrap();
    slab.write_all_at(b"x", 5).unwrap();
    let left = vault.check(two.id, Kind::Bytes, 1).unwrap();
    let left: std::collections::HashMap<_, _> = left.into_iter().map(|kept| (kept.id, kept.chunks)).collect();
    assert_eq!(left, [(one.id, set(20, &[2, 3, 4])), (two.id, set(20, &[2, 4]))].into());
    assert!(vault.keep_held(known(&Sample::new(5, 20 << 16))).unwrap().is_empty());
    assert!(vault.commit().unwrap().is_empty());
    let mut lot = two.lot(Kind::Bytes);
    assert!(lot.know(0, one.manifest.hashes().to_vec()).is_err() && lot.know(1, vec![]).is_err());
}

#[test]
fn under_a_damaged_log_what_versions_have_in_common_is_still_right() {
    let ground = Ground::new();
    let (one, two) = (Sample::new(1, 20 << 16), changed(&Sample::new(1, 20 << 16), &[3]));
    let vault = ground.open();
    keep(&vault, &one, Kind::Bytes, &one.all());
    let grant = vault.reserve(known(&two), &two.all()).unwrap();
    bring(&grant, &[&two], &two.all());
    vault.commit().unwrap();
    drop((grant, vault));
    let log = ground.path.join("log");
    let mut bytes = fs::read(&log).unwrap();
    bytes[512 + 40] ^= 1;
    fs::write(&log, bytes).unwrap();
    let vault = ground.open();
    let held = vault.held();
    assert_eq!(held, [Kept { id: two.id, kind: Kind::Bytes, chunks: two.all() }]);
    expect_right(&vault, &[&two], &held[0]);
    vault.hear(OWNER).unwrap();
    vault.delete(OWNER, two.id, Kind::Bytes, &two.all()).unwrap();
    assert_eq!(vault.shared.slabs.charge(), 0);
}
