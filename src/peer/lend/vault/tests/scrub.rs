//! Disks that rot.

use std::collections::BTreeSet;

use super::*;

#[test]
fn twenty_flipped_bytes_are_all_found_and_each_slot_is_read_once_in_a_round() {
    let ground = Ground::new();
    let vault = ground.open();
    let files = [Sample::new(1, 60 << 16), Sample::new(2, 900), Sample::new(3, (30 << 16) + 70)];
    for file in &files {
        keep(&vault, file, Kind::Bytes, &file.all());
    }
    let (mut rng, mut flipped) = (fastrand::Rng::with_seed(9), BTreeSet::new());
    while flipped.len() < 20 {
        let at = rng.usize(..files.len());
        let chunk = Chunk(rng.u32(..files[at].geometry.chunks()));
        if !flipped.insert((at, chunk)) {
            continue;
        }
        let content = vault.serve(files[at].id, Kind::Bytes).unwrap();
        let place = content.layout().place(chunk).unwrap();
        let located = content.locate(place).unwrap().unwrap();
        let (mut byte, offset) = ([0], located.offset + rng.u64(..place.len));
        located.file.read_exact_at(&mut byte, offset).unwrap();
        located.file.write_all_at(&[byte[0] ^ (1 << rng.u8(..8))], offset).unwrap();
    }
    const SLOTS: u64 = 60 + 1 + 31;
    let (mut at, mut read) = (Scrubbed::begin(7), 0);
    loop {
        let (suspects, left) = vault.next_to_scrub(at, 7);
        assert_eq!(left, SLOTS - read);
        assert_eq!(suspects.len() as u64, left.min(7));
        if suspects.is_empty() {
            break;
        }
        for suspect in &suspects {
            vault.read_again(suspect).unwrap();
            (at, read) = (at.past(suspect), read + 1);
        }
    }
    for (number, file) in files.iter().enumerate() {
        let mut left = file.all();
        let lost = flipped.iter().filter(|(at, _)| *at == number);
        lost.for_each(|(_, chunk)| assert!(left.remove(*chunk)));
        let kept = vault.of(file.id, Kind::Bytes).map(|kept| kept.chunks);
        assert_eq!(kept.unwrap_or_else(|| ChunkSet::empty(left.len())), left);
        expect_right(&vault, &[file], &Kept { id: file.id, kind: Kind::Bytes, chunks: left });
    }
    vault.note_scrubbed(at).unwrap();
    drop(vault);
    let vault = ground.open();
    assert_eq!(vault.scrubbed(), at, "a round goes on after a new start");
    assert_eq!(vault.next_to_scrub(at, 7).1, 0);
    let (all, left) = vault.next_to_scrub(Scrubbed::begin(8), 1000);
    assert_eq!((all.len() as u64, left), (SLOTS - 20, SLOTS - 20));
    assert!(all.iter().all(|suspect| vault.read_again(suspect).unwrap().is_empty()));
}

#[test]
fn what_several_versions_have_in_common_is_read_once_and_lost_to_all() {
    let ground = Ground::new();
    let vault = ground.open();
    let first = Sample::new(1, 20 << 16);
    let mut bytes = first.bytes.clone();
    bytes[3 << 16] ^= 1;
    let second = Sample::of(bytes);
    keep(&vault, &first, Kind::Bytes, &first.all());
    let mut lot = second.lot(Kind::Bytes);
    lot.know(0, second.manifest.hashes().to_vec()).unwrap();
    let grant = vault.reserve(lot, &second.all()).unwrap();
    bring(&grant, &[&second], &second.all());
    vault.commit().unwrap();
    let (suspects, left) = vault.next_to_scrub(Scrubbed::begin(1), 100);
    assert_eq!(suspects.len(), 21);
    assert!(left >= 21, "at least so many: those of several files may count for each");
    let slab = fs::File::options().write(true).open(ground.path.join("64k.slab")).unwrap();
    slab.write_all_at(b"xyz", 5 << 16).unwrap();
    let lost: Vec<Kept> = suspects.iter().flat_map(|suspect| vault.read_again(suspect).unwrap()).collect();
    let ids: BTreeSet<FileId> = lost.iter().map(|kept| kept.id).collect();
    assert_eq!(ids, [first.id, second.id].into());
    assert!(lost.iter().all(|kept| kept.chunks.count() == 19 && !kept.chunks.contains(Chunk(5))));
}
