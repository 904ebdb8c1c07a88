//! What an asker does: sections 3.2 to 3.5, 5.5, 8.5, 9.2, 10.4 and 12, seen from a scripted server before a
//! real `get`.

use crate::client::{Body, code, id, refusal};
use crate::proof::Proof;
use crate::stage::{Ask, Serving, Stage};

/// Five chunks, the last one short.
const BYTES: usize = 300_000;
/// Nobody waits for an answer with this number.
const STRAY: u32 = 77_777;
/// Complaints, section 9.3.
const CORRUPT: u8 = 3;
/// The exit code of a fetch that got only wrong bytes.
const INTEGRITY: i32 = 5;

/// An ERROR with this code.
fn error(code: u16) -> Body {
    Body::new().u16(code).text("scripted")
}

#[test]
fn an_asker_fetches_and_leaves() {
    let stage = Stage::new(BYTES);
    let get = stage.get();
    let mut serving = stage.accept();
    serving.open();
    serving.give_all();
    assert_eq!((serving.wrong.as_slice(), serving.error), (&[][..], None));
    stage.expect_content(get);
}

#[test]
fn what_carries_nothing_is_passed_over_before_opened_and_after() {
    let stage = Stage::new(BYTES);
    let get = stage.get();
    let mut serving = stage.accept();
    let (load, open) = serving.hear_open();
    let noise = |serving: &mut Serving<'_>, ping: u32| {
        serving.send(id::PING, ping, &Body::new());
        serving.send(id::OK, STRAY, &Body::new());
        serving.send(id::PONG, STRAY, &Body::new());
        serving.send(id::LOAD, STRAY, &Body::new().u16(0).u16(0).u32(0).u64(0));
        serving.send(id::ERROR, STRAY, &error(code::LIMIT));
        serving.have(9, 0);
    };
    noise(&mut serving, 5);
    // The asker goes on without knowing the load.
    serving.send(id::ERROR, load.expect("it asks before OPEN"), &error(code::LIMIT));
    serving.opened(open);
    noise(&mut serving, 6);
    serving.give_all();
    assert_eq!(serving.error, None);
    assert!(serving.answers.contains(&(id::PONG, 5)) && serving.answers.contains(&(id::PONG, 6)));
    stage.expect_content(get);
}

#[test]
fn an_error_that_answers_a_chunk_request_puts_it_off() {
    let stage = Stage::new(BYTES);
    let get = stage.get();
    let mut serving = stage.accept();
    serving.open();
    let ask = serving.next().expect("a request");
    serving.send(id::ERROR, ask.request, &error(code::LIMIT));
    let mut again = false;
    while let Some(next) = serving.next() {
        again |= next.chunk == ask.chunk;
        serving.give(next);
    }
    assert!(again && serving.error.is_none());
    stage.expect_content(get);
}

#[test]
fn what_nobody_asked_for_ends_the_connection() {
    for kind in [id::CHUNK, id::REFUSED, id::MANIFEST, id::OPENED] {
        let stage = Stage::new(BYTES);
        let get = stage.get();
        let mut serving = stage.accept();
        serving.open();
        match kind {
            id::CHUNK => serving.chunk(STRAY, 0, &stage.proof(0), &stage.data(0)),
            id::REFUSED => serving.refuse(STRAY, refusal::BUSY),
            id::MANIFEST => serving.send(id::MANIFEST, STRAY, &stage.proof(0).body()),
            _ => serving.opened(STRAY),
        }
        while serving.next().is_some() {}
        assert_eq!(serving.error, Some(code::UNEXPECTED), "{kind:02x}");
        drop(get);
    }
}

/// Answers every request with `wrong` until the asker goes; it complains of each.
#[track_caller]
fn all_are_wrong(wrong: impl Fn(&Stage, &mut Serving<'_>, Ask)) {
    let stage = Stage::new(BYTES);
    let get = stage.get();
    let mut serving = stage.accept();
    serving.open();
    let mut sent = Vec::new();
    while let Some(ask) = serving.next() {
        wrong(&stage, &mut serving, ask);
        sent.push(ask.chunk);
    }
    assert_eq!(serving.error, None);
    assert!(serving.wrong.len() >= 3 && sent.starts_with(&serving.wrong), "{:?}", serving.wrong);
    let (id, chunk, complaint) = stage.report();
    assert_eq!((id, complaint), (stage.id, CORRUPT));
    assert!(serving.wrong[2..].contains(&chunk), "{chunk} of {:?}", serving.wrong);
    let output = get.wait().expect(INTEGRITY);
    assert!(output.stderr.contains("wrong bytes"), "{}", output.stderr);
}

#[test]
fn wrong_bytes_are_complained_of_and_reported_by_their_number() {
    all_are_wrong(|stage, serving, ask| {
        let mut data = stage.data(ask.chunk);
        data[17] ^= 1;
        serving.chunk(ask.request, ask.chunk, &stage.proof(ask.chunk), &data);
    });
}

#[test]
fn a_chunk_without_the_proof_it_needs_is_wrong() {
    all_are_wrong(|stage, serving, ask| {
        serving.chunk(ask.request, ask.chunk, &Proof::default(), &stage.data(ask.chunk));
    });
}

#[test]
fn only_the_proof_of_the_run_is_right() {
    type Spoil = fn(&Stage, u32) -> Proof;
    let wrong: [Spoil; 5] = [
        // Sound, but of another run.
        |stage, chunk| stage.manifest.prove(chunk, 1),
        |stage, chunk| {
            let mut proof = stage.proof(chunk);
            proof.hashes[0][0] ^= 1;
            proof
        },
        |stage, chunk| {
            let mut proof = stage.proof(chunk);
            proof.path.push([0; 32]);
            proof
        },
        |stage, chunk| {
            let mut proof = stage.proof(chunk);
            proof.hashes.pop();
            proof
        },
        |stage, chunk| Proof { first: 16, ..stage.proof(chunk) },
    ];
    for spoil in wrong {
        all_are_wrong(|stage, serving, ask| {
            serving.chunk(ask.request, ask.chunk, &spoil(stage, ask.chunk), &stage.data(ask.chunk));
        });
    }
}

#[test]
fn a_wrong_length_or_number_ends_the_connection_and_is_reported() {
    for wrong_number in [false, true] {
        let stage = Stage::new(BYTES);
        let get = stage.get();
        let mut serving = stage.accept();
        serving.open();
        let ask = serving.next().expect("a request");
        let (proof, data) = (stage.proof(ask.chunk), stage.data(ask.chunk));
        match wrong_number {
            true => serving.chunk(ask.request, (ask.chunk + 1) % stage.chunks(), &proof, &data),
            false => serving.chunk(ask.request, ask.chunk, &proof, &data[1..]),
        }
        while serving.next().is_some() {}
        assert_eq!(serving.error, Some(code::UNEXPECTED));
        assert_eq!(stage.report(), (stage.id, ask.chunk, CORRUPT));
        get.wait().expect(INTEGRITY);
    }
}

#[test]
fn what_was_refused_is_asked_for_again_when_have_tells_of_it() {
    for reason in [refusal::NOT_YET, refusal::GONE] {
        let stage = Stage::new(BYTES);
        let get = stage.get();
        let mut serving = stage.accept();
        serving.open();
        let ask = serving.next().expect("a request");
        serving.refuse(ask.request, reason);
        serving.have(0, ask.chunk);
        serving.give_all();
        assert_eq!(serving.error, None);
        stage.expect_content(get);
    }
}

#[test]
fn busy_is_asked_again() {
    let stage = Stage::new(BYTES);
    let get = stage.get();
    let mut serving = stage.accept();
    serving.open();
    let ask = serving.next().expect("a request");
    serving.refuse(ask.request, refusal::BUSY);
    serving.give_all();
    stage.expect_content(get);
}

#[test]
fn who_leaves_or_breaks_off_in_a_chunk_is_dialled_again() {
    for breaks_off in [false, true] {
        let stage = Stage::new(BYTES);
        let get = stage.get();
        let mut serving = stage.accept();
        serving.open();
        let ask = serving.next().expect("a request");
        if breaks_off {
            let body = Body::new().u32(ask.chunk).raw(&stage.proof(ask.chunk).body().0);
            let whole = crate::client::frame(id::CHUNK, ask.request, &body.raw(&stage.data(ask.chunk)));
            serving.client.send(&whole[..whole.len() / 2]);
        } else {
            serving.send(id::LEAVE, 0, &Body::new());
        }
        drop(serving);
        let mut again = stage.accept();
        again.open();
        again.give_all();
        assert_eq!((again.wrong.as_slice(), again.error), (&[][..], None));
        stage.expect_content(get);
    }
}

#[test]
fn a_peer_that_fetches_takes_a_server_that_dials_it() {
    let stage = Stage::new(BYTES);
    let get = stage.get();
    let mut dialled = stage.accept();
    dialled.open();
    let ask = dialled.next().expect("a request");
    // This one never answers; the other, which cannot be dialled, has all.
    let mut dialling = stage.dial(dialled.listen_port);
    dialling.open();
    dialled.refuse(ask.request, refusal::NOT_HERE);
    drop(dialled);
    dialling.give_all();
    assert_eq!(dialling.error, None);
    stage.expect_content(get);
}
