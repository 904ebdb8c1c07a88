//! Tests of the messages about published names.

use super::*;
use crate::content::FileId;
use crate::tracker::recorder::Recorder;
use crate::wire::{ClientId, Label, Name, Policy};

fn version(content: &[u8]) -> Version {
    let size = content.len() as u64;
    Version {
        number: 0,
        id: FileId::of(content),
        size,
        total: size,
        chunks: 1,
        policy: Policy::NONE,
        stamp_ms: 0,
        publisher: Label::new("x".repeat(limits::MAX_LABEL_BYTES)),
    }
}

fn message(name: &str, version: Version) -> wire::Publish {
    wire::Publish { client: ClientId::random(), seq: 1, name: Name::new(name), version, expect: 0 }
}

/// Records in which these are published, in this order.
fn records(all: &[(&str, &[u8])]) -> Recorder {
    let recorder = Recorder::forgetful();
    for (name, content) in all {
        let command = publish(message(name, version(content))).unwrap();
        assert!(matches!(recorded(recorder.submit(command)), FromTracker::Stored(stored) if stored.fresh));
    }
    recorder
}

fn code<T: std::fmt::Debug>(answer: Result<T, Common>) -> ErrorCode {
    match answer {
        Err(Common::Error(problem)) => problem.code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_name_is_what_was_published_last_under_it_and_nothing_else() {
    let recorder = records(&[("a/", b"tree"), ("a/b", b"1"), ("a/b", b"2")]);
    let resolve = |name: &str, number| match resolve(
        &recorder.read(),
        &wire::Resolve { name: Name::new(name), number },
    )? {
        FromTracker::Resolved(resolved) => Ok(resolved.versions.first().map(|version| version.number)),
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(
        (resolve("a/b", 0), resolve("a/b", 1), resolve("a/b", 3)),
        (Ok(Some(2)), Ok(Some(1)), Ok(None))
    );
    assert_eq!((resolve("a/", 0), resolve("a", 0), resolve("a/c", 0)), (Ok(Some(1)), Ok(None), Ok(None)));
    assert_eq!(code(resolve("../a", 0)), ErrorCode::BadName);
}

#[test]
fn versions_come_page_by_page_the_latest_first_each_page_within_a_frame() {
    let recorder = Recorder::forgetful();
    for n in 0..3000_u32 {
        recorder.submit(publish(message("a", version(&n.to_be_bytes()))).unwrap()).unwrap();
    }
    for limit in [1000, 2000, 7, 0] {
        let (mut before, mut numbers) = (0, Vec::new());
        loop {
            let message = wire::GetVersions { name: Name::new("a"), before, limit };
            let answer = versions(&recorder.read(), &message).unwrap();
            let mut frame = bytes::BytesMut::new();
            wire::Message::put_frame(&answer, 1, &mut frame);
            assert!(frame.len() < limits::MAX_FRAME_BYTES);
            let FromTracker::Versions(page) = answer else { panic!() };
            assert!(page.versions.len() <= usize::from(limit.max(1)));
            numbers.extend(page.versions.iter().map(|version| version.number));
            before = *numbers.last().unwrap();
            if !page.more {
                break;
            }
        }
        assert!(numbers.into_iter().eq((1..=3000).rev()), "by {limit}");
    }
    let none = wire::GetVersions { name: Name::new("b"), before: 0, limit: 1 };
    let empty = wire::Versions { versions: List::default(), more: false };
    assert_eq!(versions(&recorder.read(), &none), Ok(empty.into()));
}

#[test]
fn what_cannot_be_is_not_published() {
    let bad = |name: &str, version: Version| code(publish(message(name, version)));
    assert_eq!(bad("a//b", version(b"x")), ErrorCode::BadName);
    assert_eq!(bad("a", Version { chunks: 2, ..version(b"x") }), ErrorCode::Malformed);
    assert_eq!(bad("a", Version { id: FileId::NONE, ..version(b"x") }), ErrorCode::Malformed);
    let promised = Version { policy: Policy::copies(2).unwrap(), ..version(b"x") };
    assert_eq!(bad("a", promised), ErrorCode::Malformed);
}

#[test]
fn why_nothing_changed_has_a_code() {
    let recorder = records(&[("a", b"1"), ("a", b"2")]);
    let answer = |command| match recorded(recorder.submit(command)) {
        FromTracker::Common(Common::Error(problem)) => problem.code,
        other => panic!("{other:?}"),
    };
    let expecting = wire::Publish { expect: 1, ..message("a", version(b"3")) };
    assert_eq!(answer(publish(expecting).unwrap()), ErrorCode::Conflict);
    let gone = |name: &str, number| {
        let client = ClientId::random();
        remove(&wire::Remove { client, seq: 1, name: Name::new(name), number }).unwrap()
    };
    assert_eq!((answer(gone("b", 0)), answer(gone("a", 3))), (ErrorCode::NotFound, ErrorCode::NotFound));
    assert_eq!(recorded(recorder.submit(gone("a", 0))), wire::Removed { count: 2 }.into());
    assert_eq!(wire::Message::label(&recorded(Err(Unrecorded::Journal("full".to_owned())))), "ERROR");
}
