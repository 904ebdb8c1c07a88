//! Logs and slabs that are not what they were.

use super::*;

#[test]
fn a_chunk_that_is_not_what_it_was_is_not_kept_any_more() {
    let ground = Ground::new();
    let vault = ground.open();
    let file = Sample::new(1, 3 << 16);
    keep(&vault, &file, Kind::Bytes, &file.all());
    assert_eq!(vault.check(file.id, Kind::Bytes, Chunk(1)).unwrap(), []);
    assert_eq!(vault.check(file.id, Kind::Bytes, Chunk(7)).unwrap(), []);
    assert_eq!(vault.check(FileId::of(b"x"), Kind::Bytes, Chunk(0)).unwrap(), []);
    let slab = fs::File::options().write(true).open(ground.path.join("64k.slab")).unwrap();
    slab.write_all_at(b"x", (1 << 16) + 5).unwrap();
    let left = vault.check(file.id, Kind::Bytes, Chunk(1)).unwrap();
    assert_eq!(left, [Kept { id: file.id, kind: Kind::Bytes, chunks: ChunkSet::of(3, &[0, 2]) }]);
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
fn a_listing_goes_with_the_last_of_its_members() {
    let ground = Ground::new();
    let (listing, file) = (Sample::new(1, 900), Sample::new(2, 3 << 16));
    let vault = ground.open();
    keep(&vault, &listing, Kind::Listing, &listing.all());
    let lot = Lot::new(listing.id, Kind::Members, vec![(file.id, file.size())], vec![]).unwrap();
    let grant = vault.reserve(lot, &file.all()).unwrap();
    bring(&grant, &[&file], &file.all());
    assert_eq!(vault.commit().unwrap().len(), 1);
    drop((grant, vault));
    fs::remove_file(ground.path.join("64k.slab")).unwrap();
    let vault = ground.open();
    assert_eq!(vault.held(), []);
    assert_eq!(vault.shared.slabs.charge(), 0, "its slot is free at once, and not after another start");
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
