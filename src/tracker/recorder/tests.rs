//! Tests of the recorder: what was answered is there after a restart.

use std::time::{Duration, Instant};

use super::*;
use crate::content::PublicKey;
use crate::tracker::cluster::Address;
use crate::tracker::records::samples::{copies, name, version};
use crate::tracker::records::{Outcome, Publish};
use crate::wire::ClientId;

fn publish(at: &str, content: &[u8]) -> Command {
    let (client, version) = (ClientId::random(), version(content, copies(2)));
    Command::Publish(Publish { client, seq: 1, name: name(at), version, expect: 0 })
}

fn started(folder: &std::path::Path) -> Recorder {
    let (journal, records) = Journal::open(folder).unwrap();
    Recorder::start(journal, records, false).unwrap()
}

/// Who decides, and in which term.
fn rule(recorder: &Recorder) -> (Authority, Term) {
    let records = recorder.read();
    (records.authority(), records.term())
}

#[test]
fn what_was_answered_is_there_after_a_restart_in_a_new_term_of_the_same_authority() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = started(folder.path());
    assert!(!recorder.wants_records());
    let (authority, term) = rule(&recorder);
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            let recorder = &recorder;
            scope.spawn(move || {
                for n in 0..20_u8 {
                    let outcome = recorder.submit(publish("a", &[thread, n])).unwrap().outcome;
                    let Outcome::Published { number, fresh: true } = outcome else { panic!("{outcome:?}") };
                    let id = recorder.read().version("a", number).map(|version| version.id);
                    assert_eq!(id, Some(crate::content::FileId::of(&[thread, n])), "to be read at once");
                }
            });
        }
    });
    let before = recorder.read().versions("a").to_vec();
    assert_eq!(before.len(), 160);
    recorder.stop();
    recorder.stop();
    assert_eq!(recorder.submit(publish("a", b"late")), Err(Unrecorded::Stopping));
    drop(recorder);
    let again = started(folder.path());
    assert_eq!(again.read().versions("a"), before);
    assert!(rule(&again).0 == authority && rule(&again).1 > term);
}

#[test]
fn one_that_forgets_has_an_authority_of_its_own_and_the_time_as_its_term() {
    let (one, other) = (Recorder::forgetful(), Recorder::forgetful());
    assert!(one.wants_records());
    assert_ne!(one.read().authority(), other.read().authority());
    assert!(rule(&one).1 > Term(1 << 40) && rule(&one).1 <= rule(&other).1);
    assert_eq!(one.submit(publish("a", b"1")).unwrap().changed.len(), 1);
    assert!(one.read().versions("a")[0].stamp_ms > 1 << 40, "when it was made");
}

/// The only tracker of a cluster, with its records in a folder.
fn of_one(folder: &std::path::Path) -> Result<Recorder, JoinError> {
    let first = vec![(1, Address::new("t1:9700"), PublicKey::NONE)];
    Recorder::join(folder, Founders { node: 1, first })
}

/// What comes of a command once there is a leader.
fn submitted(recorder: &Recorder, command: &Command) -> Outcome {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        match recorder.submit(command.clone()) {
            Ok(applied) => return applied.outcome,
            Err(Unrecorded::NotLeader) if Instant::now() < until => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_tracker_that_was_alone_founds_a_cluster_with_its_records_and_goes_on_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let alone = started(folder.path());
    alone.submit(publish("a", b"1")).unwrap();
    let (authority, term) = rule(&alone);
    drop(alone);
    let first =
        vec![(1, Address::new("t1:9700"), PublicKey::NONE), (2, Address::new("t2:9700"), PublicKey::NONE)];
    let refused = Recorder::join(folder.path(), Founders { node: 1, first });
    assert!(matches!(refused, Err(JoinError::NotEmpty(_))), "others have nothing of it");
    for version in [2, 3] {
        let recorder = of_one(folder.path()).unwrap();
        let outcome = submitted(&recorder, &publish("a", &[version]));
        assert_eq!(outcome, Outcome::Published { number: version.into(), fresh: true });
        recorder.several().unwrap().catch_up().unwrap();
        let view = recorder.several().unwrap().view();
        assert_eq!((view.node, view.epoch, view.leads, view.missing()), (1, 1, true, None));
        assert!(rule(&recorder).0 == authority && rule(&recorder).1 > term);
    }
    let first = vec![(2, Address::new("t2:9700"), PublicKey::NONE)];
    let other = Recorder::join(folder.path(), Founders { node: 2, first });
    assert!(matches!(other, Err(JoinError::OtherNode { is: 1, asked: 2 })));
    assert!(is_of_cluster(folder.path()));
}

#[test]
fn whoever_waits_when_it_stops_hears_that_nothing_comes() {
    const CLIENTS: usize = 16;
    let folder = tempfile::tempdir().unwrap();
    let recorder = Arc::new(started(folder.path()));
    let (end, ended) = crossbeam_channel::unbounded();
    for _ in 0..CLIENTS {
        let (recorder, end) = (recorder.clone(), end.clone());
        let client = move || {
            while recorder.submit(publish("a", b"1")).is_ok() {}
            end.send(()).unwrap();
        };
        threads::named("test").connection(client).unwrap();
    }
    while recorder.read().versions("a").is_empty() {
        std::thread::yield_now();
    }
    recorder.stop();
    for _ in 0..CLIENTS {
        ended.recv_timeout(Duration::from_secs(60)).expect("who waits is told");
    }
}
