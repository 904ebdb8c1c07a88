//! Tests of the journal: cut, damaged and written by others.

use std::os::unix::fs::FileExt;

use fastrand::Rng;

use super::*;
use crate::tracker::records::samples::any_command;
use crate::wire::ClientId;

/// A folder that goes when this does, in memory where it can be.
fn place() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A history written a few commands at a time, and for each place where the log ended what the records were there.
fn written(folder: &Path, seed: u64) -> Vec<(u64, Records)> {
    let mut rng = Rng::with_seed(seed);
    let clients: Vec<ClientId> = (0..4).map(|_| ClientId::random()).collect();
    let (mut journal, mut records) = Journal::open(folder).unwrap();
    let mut states = vec![(journal.log.len(), records.clone())];
    for step in 0..12 {
        let commands: Vec<Command> = (0..rng.usize(1..4)).map(|_| any_command(&mut rng, &clients)).collect();
        journal.append(commands.iter()).unwrap();
        journal.sync().unwrap();
        for command in &commands {
            records.apply(records.applied() + 1, command);
        }
        if step == 4 {
            let draft = journal.draft(&records.snapshot()).unwrap();
            journal.replace(draft).unwrap();
            states.clear();
        }
        states.push((journal.log.len(), records.clone()));
    }
    states
}

#[test]
fn a_journal_has_the_records_as_they_were_when_it_was_last_written() {
    for seed in 0..20 {
        let folder = place();
        let states = written(folder.path(), seed);
        for _ in 0..2 {
            let (journal, records) = Journal::open(folder.path()).unwrap();
            let (end, last) = states.last().unwrap();
            assert_eq!((journal.log.len(), &records), (*end, last), "seed {seed}");
        }
    }
}

#[test]
fn cut_anywhere_it_has_what_was_whole_before() {
    let folder = place();
    let states = written(folder.path(), 1);
    let path = folder.path().join(FILE);
    let whole = fs::read(&path).unwrap();
    let snapshot = states[0].0;
    for len in (snapshot..=whole.len() as u64).step_by(13) {
        fs::write(&path, &whole[..len as usize]).unwrap();
        let (_, records) = Journal::open(folder.path()).unwrap();
        let behind = states.partition_point(|(end, _)| *end <= len);
        // Of what comes next only the zeros behind it may be missing.
        let next = states.get(behind).is_some_and(|(_, state)| *state == records);
        assert!(next || records == states[behind - 1].1, "cut at {len}");
    }
}

#[test]
fn damage_is_refused_and_named_unless_it_is_in_what_was_written_last() {
    let folder = place();
    let states = written(folder.path(), 2);
    let path = folder.path().join(FILE);
    let whole = fs::read(&path).unwrap();
    let [.., (synced, earlier), (_, last)] = states.as_slice() else { panic!("{states:?}") };
    let mut refused = 0;
    for at in (0..whole.len()).step_by(101) {
        fs::write(&path, &whole).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.write_all_at(&[whole[at] ^ 0x10], at as u64).unwrap();
        match Journal::open(folder.path()) {
            Ok((_, records)) if records == *last => {}
            Ok((_, records)) => assert!(at as u64 >= *synced && records == *earlier, "bit of {at}"),
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
            }
        }
    }
    assert!(refused > 0);
}

#[test]
fn one_process_has_a_journal_and_what_a_later_version_wrote_is_refused() {
    let folder = place();
    let (mut journal, _) = Journal::open(folder.path()).unwrap();
    let busy = Journal::open(folder.path()).unwrap_err();
    assert!(matches!(busy, JournalError::Folder(OwnedError::Busy(_))), "{busy}");
    let mut batch = Batch::default();
    batch.push(0x40, &[b"of later"]);
    journal.log.append(batch).unwrap();
    journal.sync().unwrap();
    drop(journal);
    let unknown = Journal::open(folder.path()).unwrap_err();
    let why = DecodeError::UnknownMessage(0x40);
    assert!(matches!(unknown, JournalError::Unknown { why: w, .. } if w == why), "{unknown}");
}

#[test]
fn it_is_due_when_the_commands_have_outgrown_what_it_began_with() {
    let folder = place();
    let (mut journal, mut records) = Journal::open(folder.path()).unwrap();
    let command = any_command(&mut Rng::with_seed(3), &[ClientId::random()]);
    let mut grow = |journal: &mut Journal| {
        let many: Vec<Command> = vec![command.clone(); 1000];
        while !journal.is_due() {
            journal.append(many.iter()).unwrap();
            many.iter().for_each(|command| drop(records.apply(records.applied() + 1, command)));
        }
        records.snapshot()
    };
    let snapshot = grow(&mut journal);
    assert!(journal.log.len() >= MIN_TAIL_BYTES);
    let draft = journal.draft(&snapshot).unwrap();
    assert!(!journal.is_due(), "a draft that comes to nothing is not made again at once");
    journal.replace(draft).unwrap();
    assert!(!journal.is_due() && journal.log.len() < MIN_TAIL_BYTES);
    grow(&mut journal);
    assert!(journal.log.len() >= MIN_TAIL_BYTES);
}
