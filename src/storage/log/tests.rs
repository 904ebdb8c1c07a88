//! Tests of logs: cut, damaged, replaced.

use super::*;

const MAGIC: &Magic = b"p2ptest1";

/// Kind and body of a record.
type Written = (u8, Vec<u8>);

/// A folder that goes when this does, in memory where it can be, and the path of a log in it.
fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = folder.path().join("log");
    (folder, path)
}

fn batch(records: &[Written]) -> Batch {
    let mut batch = Batch::default();
    for (kind, body) in records {
        batch.push(*kind, &[body]);
    }
    batch
}

/// Records of all sizes around a sector's, in batches.
fn batches() -> Vec<Vec<Written>> {
    let lengths: [&[usize]; 6] = [&[0], &[1, 2, 3], &[475], &[474, 0], &[476, 700], &[5000]];
    let record = |(at, len): (usize, &usize)| (at as u8 + 1, vec![*len as u8 | 1; *len]);
    lengths.iter().map(|lengths| lengths.iter().enumerate().map(record).collect()).collect()
}

/// A log of those batches, each synced, and where each ends; the first is the head.
fn written(path: &Path) -> Vec<u64> {
    let mut log = Log::create(path, MAGIC).unwrap();
    let mut ends = vec![log.len()];
    for records in batches() {
        assert_eq!(log.append(batch(&records)).unwrap(), *ends.last().unwrap());
        log.sync().unwrap();
        ends.push(log.len());
    }
    ends
}

/// What is read of a log, its records one after the other.
fn read(path: &Path, damage: Damage) -> Result<(Opened, Vec<Written>), LogError> {
    let mut records = Vec::new();
    let mut extents = Vec::new();
    let opened = Log::open(path, MAGIC, damage, &mut |record| {
        records.push((record.kind, record.body.to_vec()));
        extents.push(record.extent);
    })?;
    for (extent, (_, body)) in extents.iter().zip(&records) {
        assert_eq!(extent.read(opened.log.file()).unwrap(), *body);
    }
    Ok((opened, records))
}

fn first(batches_read: usize) -> Vec<Written> {
    batches().into_iter().take(batches_read).flatten().collect()
}

fn change(path: &Path, at: u64, with: &[u8]) {
    File::options().write(true).open(path).unwrap().write_all_at(with, at).unwrap();
}

#[test]
fn what_was_appended_is_read_again_in_order() {
    let (_folder, path) = place();
    let ends = written(&path);
    let (opened, records) = read(&path, Damage::Refuse).unwrap();
    assert_eq!(records, first(6));
    assert_eq!((opened.torn, opened.damaged.len(), opened.log.len()), (0, 0, ends[6]));
    let mut log = opened.log;
    let more = batch(&[(9, b"more".to_vec())]);
    assert_eq!(more.bytes(), SECTOR);
    let mut with_place = Batch::default();
    let extent = with_place.push(9, &[b"mo", b"re"]).in_batch(log.len());
    log.append(with_place).unwrap();
    assert_eq!(extent.read(log.file()).unwrap(), b"more", "before it is synced");
    log.append(Batch::default()).unwrap();
    log.append(more).unwrap();
    assert_eq!(log.len(), ends[6] + 2 * SECTOR);
    drop(log);
    let (opened, records) = read(&path, Damage::Refuse).unwrap();
    assert_eq!(
        (opened.torn, records.len()),
        (0, first(6).len() + 2),
        "a kill loses nothing that was appended"
    );
    assert!(!opened.log.is_empty());
}

#[test]
fn cut_at_any_byte_it_has_the_batches_before() {
    let (_folder, path) = place();
    let ends = written(&path);
    let whole = fs::read(&path).unwrap();
    for len in 0..whole.len() as u64 {
        fs::write(&path, &whole[..len as usize]).unwrap();
        let read = read(&path, Damage::Refuse);
        if len < 40 {
            assert!(matches!(read, Err(LogError::Damaged { at: 0, .. } | LogError::Other(..))), "{len}");
            assert_eq!(fs::read(&path).unwrap(), whole[..len as usize], "it was not changed");
            continue;
        }
        let (opened, records) = read.unwrap();
        // What pads a batch may be missing; the next one is written where it belongs.
        let whole_batches = ends[1..].iter().filter(|end| is_whole(&whole, **end, len, &ends)).count();
        assert_eq!(records, first(whole_batches), "{len}");
        let mut log = opened.log;
        log.append(batch(&[(7, b"seven".to_vec())])).unwrap();
        log.sync().unwrap();
        drop(log);
        let (_, again) = self::read(&path, Damage::Refuse).unwrap();
        assert_eq!(again, [first(whole_batches), vec![(7, b"seven".to_vec())]].concat(), "{len}");
    }
}

/// True if all but zeros of the batch that ends at `end` is among the first `len` bytes.
fn is_whole(log: &[u8], end: u64, len: u64, ends: &[u64]) -> bool {
    let start = ends[ends.iter().position(|other| *other == end).unwrap() - 1] as usize;
    let records = (&log[start + 4..]).get_u32() as usize;
    len >= (start + RECORDS_AT + records) as u64
}

#[test]
fn damage_is_refused_and_named_or_skipped() {
    let (_folder, path) = place();
    let ends = written(&path);
    let whole = fs::read(&path).unwrap();
    let zeros = vec![0; SECTOR as usize];
    for sector in 1..whole.len() as u64 / SECTOR {
        fs::write(&path, &whole).unwrap();
        change(&path, sector * SECTOR, &zeros);
        let hit = ends.partition_point(|end| *end <= sector * SECTOR);
        let was_zero = whole[(sector * SECTOR) as usize..][..SECTOR as usize] == zeros;
        if was_zero {
            continue;
        }
        match read(&path, Damage::Refuse) {
            Err(LogError::Damaged { at, .. }) => assert_eq!(at, ends[hit - 1], "sector {sector}"),
            Ok((opened, records)) => {
                assert_eq!((hit, records, opened.torn > 0), (6, first(5), true), "sector {sector}");
                continue;
            }
            Err(error) => panic!("sector {sector}: {error}"),
        }
        let (opened, records) = read(&path, Damage::Skip).unwrap();
        let skipped = opened.damaged.iter().map(|bytes| (bytes.start, bytes.end));
        assert!(skipped.eq([(ends[hit - 1], ends[hit])]), "sector {sector}: {:?}", opened.damaged);
        let others =
            batches().into_iter().enumerate().filter(|(at, _)| at + 1 != hit).map(|(_, batch)| batch);
        assert_eq!(records, others.flatten().collect::<Vec<_>>(), "sector {sector}");
        assert_eq!(opened.log.len(), ends[6]);
    }
}

#[test]
fn bits_that_flip_are_never_believed() {
    let (_folder, path) = place();
    let ends = written(&path);
    let whole = fs::read(&path).unwrap();
    let mut rng = fastrand::Rng::with_seed(1);
    for _ in 0..2000 {
        let bit = rng.usize(..whole.len() * 8);
        let mut changed = whole.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &changed).unwrap();
        match read(&path, Damage::Refuse) {
            // What pads a batch says nothing.
            Ok((opened, records)) if opened.torn == 0 => assert_eq!(records, first(6), "bit {bit}"),
            Ok((_, records)) => assert_eq!(records, first(5), "bit {bit}"),
            Err(LogError::Damaged { at, .. }) => {
                assert!(at <= bit as u64 / 8 && (at == 0 || ends.contains(&at)), "bit {bit}: {at}");
            }
            Err(LogError::Other(..)) => assert!(bit / 8 < 8, "bit {bit}"),
            Err(error) => panic!("bit {bit}: {error}"),
        }
    }
}

#[test]
fn of_two_batches_that_were_not_synced_the_second_alone_is_no_damage() {
    let (_folder, path) = place();
    let ends = written(&path);
    let mut log = read(&path, Damage::Refuse).unwrap().0.log;
    for number in 1..=2 {
        log.append(batch(&[(number, vec![number; 100])])).unwrap();
    }
    drop(log);
    change(&path, ends[6], &[0; 32]);
    let (opened, records) = read(&path, Damage::Refuse).unwrap();
    assert_eq!((opened.torn, records), (2 * SECTOR, first(6)));
}

/// A disk writes the sectors that it was not told to sync in whichever order it likes.
#[test]
fn after_a_power_cut_all_that_was_synced_is_read_and_of_the_rest_a_beginning() {
    let (_folder, path) = place();
    let ends = written(&path);
    let mut log = read(&path, Damage::Refuse).unwrap().0.log;
    let rest: Vec<Written> = [(1, 700), (2, 10), (3, 1100)].map(|(kind, len)| (kind, vec![kind; len])).into();
    for record in &rest {
        log.append(batch(std::slice::from_ref(record))).unwrap();
    }
    drop(log);
    let whole = fs::read(&path).unwrap();
    let sectors = whole[ends[6] as usize..].len() / SECTOR as usize;
    assert_eq!(sectors, 6);
    for written in 0..1_u32 << sectors {
        let mut left = whole.clone();
        for sector in (0..sectors).filter(|sector| written >> sector & 1 == 0) {
            left[ends[6] as usize + sector * SECTOR as usize..][..SECTOR as usize].fill(0);
        }
        fs::write(&path, &left).unwrap();
        let (opened, records) = read(&path, Damage::Refuse).unwrap();
        let (synced, others) = records.split_at(first(6).len());
        assert!(synced == first(6) && rest.starts_with(others), "{written:06b}");
        assert_eq!(others.len() == rest.len(), written + 1 == 1 << sectors, "{written:06b}");
        // Nor does anything of it come back behind what is written next.
        let mut log = opened.log;
        log.append(batch(&[(7, b"seven".to_vec())])).unwrap();
        log.sync().unwrap();
        drop(log);
        let (opened, again) = read(&path, Damage::Refuse).unwrap();
        assert_eq!(again, [records, vec![(7, b"seven".to_vec())]].concat(), "{written:06b}");
        assert_eq!(opened.torn, 0, "{written:06b}");
    }
}

#[test]
fn what_is_taken_back_is_not_read_again_behind_something_shorter() {
    let (_folder, path) = place();
    written(&path);
    let mut log = read(&path, Damage::Refuse).unwrap().0.log;
    let end = log.len();
    for _ in 0..2 {
        log.append(batch(&[(8, vec![8; 3000])])).unwrap();
    }
    log.cut(end).unwrap();
    assert_eq!((log.len(), fs::metadata(&path).unwrap().len()), (end, end));
    assert_eq!(log.append(batch(&[(9, b"nine".to_vec())])).unwrap(), end);
    log.sync().unwrap();
    drop(log);
    let (opened, records) = read(&path, Damage::Refuse).unwrap();
    assert_eq!((opened.torn, records), (0, [first(6), vec![(9, b"nine".to_vec())]].concat()));
}

#[test]
fn room_that_is_taken_ahead_is_no_part_of_the_log() {
    use std::os::unix::fs::MetadataExt;
    let (_folder, path) = place();
    let ends = written(&path);
    let log = read(&path, Damage::Refuse).unwrap().0.log;
    let before = fs::metadata(&path).unwrap().blocks();
    if log.reserve(1 << 20) {
        assert!(fs::metadata(&path).unwrap().blocks() >= before + (1 << 20) / 512);
    }
    drop(log);
    assert_eq!(fs::metadata(&path).unwrap().len(), ends[6]);
    let (opened, records) = read(&path, Damage::Refuse).unwrap();
    assert_eq!((opened.torn, records), (0, first(6)));
}

#[test]
fn bytes_from_elsewhere_are_no_batch() {
    let (_folder, path) = place();
    let ends = written(&path);
    // The same log's first batch again, behind its end; and the first of another log.
    let own = fs::read(&path).unwrap();
    let first_batch = &own[ends[0] as usize..ends[1] as usize];
    change(&path, ends[6], first_batch);
    assert_eq!(read(&path, Damage::Skip).unwrap().0.torn, SECTOR);
    let other = path.with_file_name("other");
    written(&other);
    change(&path, ends[0], &fs::read(&other).unwrap()[ends[0] as usize..ends[1] as usize]);
    assert!(matches!(read(&path, Damage::Refuse), Err(LogError::Damaged { at, .. }) if at == ends[0]));
}

#[test]
fn a_log_takes_the_place_of_another_when_it_is_whole() {
    let (_folder, path) = place();
    written(&path);
    let mut draft = Log::draft(&path, MAGIC).unwrap();
    draft.append(batch(&[(1, b"one".to_vec())])).unwrap();
    assert_eq!(read(&path, Damage::Refuse).unwrap().1, first(6), "not yet");
    // A draft that a kill left is begun anew.
    let mut draft = Log::draft(&path, MAGIC).unwrap();
    draft.append(batch(&[(2, b"two".to_vec())])).unwrap();
    draft.replace(&path).unwrap();
    draft.append(batch(&[(3, vec![])])).unwrap();
    drop(draft);
    assert_eq!(read(&path, Damage::Refuse).unwrap().1, [(2, b"two".to_vec()), (3, vec![])]);
    assert!(!path.with_added_extension(NEW).exists());
}

#[test]
fn what_is_no_log_of_this_kind_is_refused_in_a_sentence() {
    let (folder, path) = place();
    let said = |path: &Path| read(path, Damage::Skip).unwrap_err().to_string();
    let at = path.display().to_string();
    assert!(said(&path).starts_with(&at) && !path.exists(), "it is not made: {}", said(&path));
    Log::create(&path, b"p2ptest2").unwrap();
    assert_eq!(said(&path), format!("{at} is of another version"));
    Log::create(&path, b"p2pothr1").unwrap();
    assert_eq!(said(&path), format!("{at} is another kind of file"));
    fs::write(&path, "what somebody wrote, long enough for a head and more").unwrap();
    assert_eq!(said(&path), format!("{at} is another kind of file"));
    fs::write(&path, [0; 600]).unwrap();
    assert_eq!(said(&path), format!("{at} is damaged at byte 0"));
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(matches!(read(&link, Damage::Skip), Err(LogError::Io(..))), "a link is not followed");
}

#[test]
fn what_is_too_much_for_a_batch_is_an_error() {
    let (_folder, path) = place();
    let mut log = Log::create(&path, MAGIC).unwrap();
    let mut most = Batch::default();
    most.push(1, &[&vec![1; MAX_BATCH_BYTES - RECORD_HEAD_BYTES]]);
    let mut more = most.clone();
    more.push(2, &[]);
    assert!(log.append(more).is_err() && log.is_empty());
    log.append(most).unwrap();
    drop(log);
    let (_, records) = read(&path, Damage::Refuse).unwrap();
    assert_eq!(records[0].1.len(), MAX_BATCH_BYTES - RECORD_HEAD_BYTES);
}
