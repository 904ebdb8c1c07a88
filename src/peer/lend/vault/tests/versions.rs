//! Files that have chunks in common.

use super::*;

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
    let most = ChunkSet::of(101, &(0..90).chain([100]).collect::<Vec<_>>());
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
    vault.delete(OWNER, two.id, Kind::Bytes, &ChunkSet::of(101, &[1, 2, 40])).unwrap();
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
fn a_version_that_comes_in_parts_has_all_in_common_that_it_can() {
    let ground = Ground::new();
    let vault = ground.open();
    vault.hear(OWNER).unwrap();
    let one = Sample::new(1, 64 << 16);
    let two = changed(&one, &[5, 40]);
    let three = changed(&two, &[6]);
    keep(&vault, &one, Kind::Bytes, &one.all());
    let part = |sample: &Sample, part: u32| {
        let chunks = ChunkSet::of(64, &(part * 16..part * 16 + 16).collect::<Vec<_>>());
        let grant = vault.reserve(known(sample), &chunks).unwrap();
        bring(&grant, &[sample], &chunks);
        vault.commit().unwrap();
    };
    (0..4).for_each(|number| part(&two, number));
    let slots = |chunks: u64| chunks * slot::Class::of(1 << 16).charge();
    assert_eq!(vault.shared.slabs.charge(), slots(66));
    vault.delete(OWNER, one.id, Kind::Bytes, &one.all()).unwrap();
    assert_eq!(vault.shared.slabs.charge(), slots(64));
    (0..4).for_each(|number| part(&three, number));
    assert_eq!(vault.shared.slabs.charge(), slots(65));
    vault.held().iter().for_each(|kept| {
        let sample = if kept.id == two.id { &two } else { &three };
        assert!(kept.chunks.is_full());
        expect_right(&vault, &[sample], kept);
    });
}

#[test]
fn what_is_held_already_is_kept_for_another_content_without_being_brought() {
    let ground = Ground::new();
    let vault = ground.open();
    let one = Sample::new(1, 20 << 16);
    let two = changed(&one, &[3]);
    keep(&vault, &one, Kind::Bytes, &ChunkSet::of(20, &[1, 2, 3, 4]));
    let used = vault.shared.slabs.charge();
    assert_eq!(*vault.reserve(known(&two), &two.all()).unwrap().had(), ChunkSet::of(20, &[1, 2, 4]));
    let kept = vault.commit().unwrap();
    assert_eq!(kept, [Kept { id: two.id, kind: Kind::Bytes, chunks: ChunkSet::of(20, &[1, 2, 4]) }]);
    assert_eq!(vault.shared.slabs.charge(), used);
    // A slot that went bad is nobody's.
    let slab = fs::File::options().write(true).open(ground.path.join("64k.slab")).unwrap();
    slab.write_all_at(b"x", 5).unwrap();
    let left = vault.check(two.id, Kind::Bytes, Chunk(1)).unwrap();
    let left: std::collections::HashMap<_, _> = left.into_iter().map(|kept| (kept.id, kept.chunks)).collect();
    assert_eq!(left, [(one.id, ChunkSet::of(20, &[2, 3, 4])), (two.id, ChunkSet::of(20, &[2, 4]))].into());
    let other = Sample::new(5, 20 << 16);
    assert!(vault.reserve(known(&other), &other.all()).unwrap().had().is_empty());
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

#[test]
fn of_members_all_hashes_stay_known_though_nothing_is_kept_of_some() {
    let ground = Ground::new();
    let vault = ground.open();
    let (listing, files) = (Sample::new(9, 500), [Sample::new(1, 20 << 16), Sample::new(2, 40 << 16)]);
    keep(&vault, &listing, Kind::Listing, &listing.all());
    let members = files.iter().map(|file| (file.id, file.size())).collect();
    let mut lot = Lot::new(listing.id, Kind::Members, members, vec![]).unwrap();
    for (at, file) in files.iter().enumerate() {
        lot.know(at, file.manifest.hashes().to_vec()).unwrap();
    }
    let wanted = ChunkSet::of(60, &[3]);
    let grant = vault.reserve(lot, &wanted).unwrap();
    bring(&grant, &files.iter().collect::<Vec<_>>(), &wanted);
    assert_eq!(vault.commit().unwrap().len(), 1);
    drop((grant, vault));
    let vault = ground.open();
    let served = vault.serve(listing.id, Kind::Members).unwrap();
    for (at, file) in files.iter().enumerate() {
        let all = 0..file.geometry.chunks();
        assert_eq!(served.manifest_run(at, all.clone()), file.manifest.prove(all).ok());
    }
}
