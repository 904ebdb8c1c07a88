//! Tests of the recorder: what was answered is there after a restart.

use super::*;
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

#[test]
fn what_was_answered_is_there_after_a_restart_in_a_new_term_of_the_same_authority() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = started(folder.path());
    assert!(!recorder.wants_records());
    let (authority, term) = (recorder.read().authority(), recorder.read().term());
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
    assert!(again.read().authority() == authority && again.read().term() > term);
}

#[test]
fn one_that_forgets_has_an_authority_of_its_own_and_the_time_as_its_term() {
    let (one, other) = (Recorder::forgetful(), Recorder::forgetful());
    assert!(one.wants_records());
    assert_ne!(one.read().authority(), other.read().authority());
    assert!(one.read().term() > Term(1 << 40) && one.read().term() <= other.read().term());
    assert_eq!(one.submit(publish("a", b"1")).unwrap().changed.len(), 1);
    assert!(one.read().versions("a")[0].stamp_ms > 1 << 40, "when it was made");
}
