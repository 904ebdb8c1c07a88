//! What an asker does: sections 3.2 to 3.5, 5.5, 8.5, 9.2, 10.4 and 12, seen from a scripted server before a
//! real `get`.

use super::check::{Check, Checked, checks, holds, same};
use super::command::Asker;
use super::fields::Body;
use super::numbers::{code, id, refusal};
use super::proof::Proof;
use super::stage::{Ask, Dialect, Serving, Stage};

pub(super) const CHECKS: &[Check<Asker>] = checks! {
    "15.1": an_asker_fetches_and_leaves;
    "3.6": who_speaks_later_versions_too_is_spoken_to_in_version_1;
    "3.3": what_carries_nothing_is_passed_over_before_opened_and_after;
    "3.4": an_error_that_answers_a_chunk_request_puts_it_off;
    "3.3": what_nobody_asked_for_ends_the_connection;
    "12": wrong_bytes_are_complained_of_and_reported_by_their_number;
    "5.5": a_chunk_without_the_proof_it_needs_is_wrong, only_the_proof_of_the_run_is_right;
    "10.4": a_wrong_length_or_number_ends_the_connection_and_is_reported;
    "9.2": what_was_refused_is_asked_for_again_when_have_tells_of_it, busy_is_asked_again;
    "3.5": who_leaves_or_breaks_off_in_a_chunk_is_dialled_again;
    "8.5": who_was_told_no_mode_asks_again_before_it_takes_what_was_gained;
    "3.2": a_peer_that_fetches_takes_a_server_that_dials_it;
};

/// Five chunks, the last one short.
const BYTES: usize = 300_000;
/// Nobody waits for an answer with this number.
const STRAY: u32 = 77_777;
/// Complaints, section 9.3.
const CORRUPT: u8 = 3;

/// An ERROR with this code.
fn error(code: u16) -> Body {
    Body::new().u16(code).text("scripted")
}

fn an_asker_fetches_and_leaves(asker: &Asker) -> Checked {
    let stage = Stage::new(asker, BYTES)?;
    let get = stage.get()?;
    let mut serving = stage.accept()?;
    serving.open()?;
    serving.give_all()?;
    same!((serving.wrong.as_slice(), serving.error), (&[][..], None), "chunks called wrong, and an ERROR:");
    stage.expect_content(get)
}

fn who_speaks_later_versions_too_is_spoken_to_in_version_1(asker: &Asker) -> Checked {
    let later = Dialect { versions: (1, u16::MAX), features: u64::MAX };
    let stage = Stage::speaking(asker, BYTES, later)?;
    let get = stage.get()?;
    let mut serving = stage.accept()?;
    serving.open()?;
    serving.give_all()?;
    same!(serving.error, None, "an ERROR from the asker:");
    stage.expect_content(get)
}

fn what_carries_nothing_is_passed_over_before_opened_and_after(asker: &Asker) -> Checked {
    let stage = Stage::new(asker, BYTES)?;
    let get = stage.get()?;
    let mut serving = stage.accept()?;
    let (load, open) = serving.hear_open()?;
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
    if let Some(load) = load {
        serving.send(id::ERROR, load, &error(code::LIMIT));
    }
    serving.opened(open);
    noise(&mut serving, 6);
    serving.give_all()?;
    same!(serving.error, None, "an ERROR from the asker:");
    let ponged = [5, 6].map(|ping| serving.answers.contains(&(id::PONG, ping)));
    same!(ponged, [true, true], "a PONG to each PING, before OPENED and after:");
    stage.expect_content(get)
}

fn an_error_that_answers_a_chunk_request_puts_it_off(asker: &Asker) -> Checked {
    let stage = Stage::new(asker, BYTES)?;
    let get = stage.get()?;
    let mut serving = stage.accept()?;
    serving.open()?;
    let ask = serving.request()?;
    serving.send(id::ERROR, ask.request, &error(code::LIMIT));
    let mut again = false;
    while let Some(next) = serving.next()? {
        again |= next.chunk == ask.chunk;
        serving.give(next);
    }
    holds!(again && serving.error.is_none(), "the chunk asked for again, and no ERROR");
    stage.expect_content(get)
}

fn what_nobody_asked_for_ends_the_connection(asker: &Asker) -> Checked {
    for kind in [id::CHUNK, id::REFUSED, id::MANIFEST, id::OPENED] {
        let stage = Stage::new(asker, BYTES)?;
        let get = stage.get()?;
        let mut serving = stage.accept()?;
        serving.open()?;
        match kind {
            id::CHUNK => serving.chunk(STRAY, 0, &stage.proof(0), &stage.data(0)),
            id::REFUSED => serving.refuse(STRAY, refusal::BUSY),
            id::MANIFEST => serving.send(id::MANIFEST, STRAY, &stage.proof(0).body()),
            _ => serving.opened(STRAY),
        }
        while serving.next()?.is_some() {}
        same!(serving.error, Some(code::UNEXPECTED), "after {} the ERROR", id::name(kind));
        drop(get);
    }
    Ok(())
}

fn who_was_told_no_mode_asks_again_before_it_takes_what_was_gained(asker: &Asker) -> Checked {
    let stage = Stage::new(asker, BYTES)?;
    let get = stage.get()?;
    let mut serving = stage.accept()?;
    let (_, open) = serving.hear_open()?;
    serving.opened_with(open, false, None);
    serving.have(0, 0);
    let again = serving.hear_reopen()?;
    serving.opened_with(again, false, Some((0o700, 1)));
    (1..stage.chunks()).for_each(|chunk| serving.have(0, chunk));
    serving.give_all()?;
    same!(serving.error, None, "an ERROR from the asker:");
    stage.expect_content(get)?;
    same!(stage.mode()? & 0o777, 0o700, "the mode that was told later:");
    Ok(())
}

/// Answers every request with `wrong` until the asker goes; it complains of each.
fn all_are_wrong(asker: &Asker, wrong: impl Fn(&Stage<'_>, &mut Serving<'_>, Ask)) -> Checked {
    let stage = Stage::new(asker, BYTES)?;
    let get = stage.get_in_vain()?;
    let mut serving = stage.accept()?;
    serving.open()?;
    let mut sent = Vec::new();
    while let Some(ask) = serving.next()? {
        wrong(&stage, &mut serving, ask);
        sent.push(ask.chunk);
    }
    same!(serving.error, None, "an ERROR from the asker:");
    let wrong = &serving.wrong;
    holds!(
        wrong.len() >= 3 && sent.starts_with(wrong),
        "CORRUPT for each of the chunks {sent:?}, not for {wrong:?}"
    );
    let (id, chunk, complaint) = stage.report()?;
    same!((id, complaint), (stage.id, CORRUPT), "REPORT of content and complaint");
    holds!(wrong[2..].contains(&chunk), "a REPORT of the last wrong chunk, not of {chunk}");
    get.fails()
}

fn wrong_bytes_are_complained_of_and_reported_by_their_number(asker: &Asker) -> Checked {
    all_are_wrong(asker, |stage, serving, ask| {
        let mut data = stage.data(ask.chunk);
        data[17] ^= 1;
        serving.chunk(ask.request, ask.chunk, &stage.proof(ask.chunk), &data);
    })
}

fn a_chunk_without_the_proof_it_needs_is_wrong(asker: &Asker) -> Checked {
    all_are_wrong(asker, |stage, serving, ask| {
        serving.chunk(ask.request, ask.chunk, &Proof::default(), &stage.data(ask.chunk));
    })
}

fn only_the_proof_of_the_run_is_right(asker: &Asker) -> Checked {
    type Spoil = fn(&Stage<'_>, u32) -> Proof;
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
        all_are_wrong(asker, |stage, serving, ask| {
            serving.chunk(ask.request, ask.chunk, &spoil(stage, ask.chunk), &stage.data(ask.chunk));
        })?;
    }
    Ok(())
}

fn a_wrong_length_or_number_ends_the_connection_and_is_reported(asker: &Asker) -> Checked {
    for wrong_number in [false, true] {
        let stage = Stage::new(asker, BYTES)?;
        let get = stage.get_in_vain()?;
        let mut serving = stage.accept()?;
        serving.open()?;
        let ask = serving.request()?;
        let (proof, data) = (stage.proof(ask.chunk), stage.data(ask.chunk));
        match wrong_number {
            true => serving.chunk(ask.request, (ask.chunk + 1) % stage.chunks(), &proof, &data),
            false => serving.chunk(ask.request, ask.chunk, &proof, &data[1..]),
        }
        while serving.next()?.is_some() {}
        same!(serving.error, Some(code::UNEXPECTED), "the ERROR");
        same!(stage.report()?, (stage.id, ask.chunk, CORRUPT), "REPORT of content, chunk and complaint");
        get.fails()?;
    }
    Ok(())
}

fn what_was_refused_is_asked_for_again_when_have_tells_of_it(asker: &Asker) -> Checked {
    for reason in [refusal::NOT_YET, refusal::GONE] {
        let stage = Stage::new(asker, BYTES)?;
        let get = stage.get()?;
        let mut serving = stage.accept()?;
        serving.open()?;
        let ask = serving.request()?;
        serving.refuse(ask.request, reason);
        serving.have(0, ask.chunk);
        serving.give_all()?;
        same!(serving.error, None, "an ERROR from the asker:");
        stage.expect_content(get)?;
    }
    Ok(())
}

fn busy_is_asked_again(asker: &Asker) -> Checked {
    let stage = Stage::new(asker, BYTES)?;
    let get = stage.get()?;
    let mut serving = stage.accept()?;
    serving.open()?;
    let ask = serving.request()?;
    serving.refuse(ask.request, refusal::BUSY);
    serving.give_all()?;
    stage.expect_content(get)
}

fn who_leaves_or_breaks_off_in_a_chunk_is_dialled_again(asker: &Asker) -> Checked {
    for breaks_off in [false, true] {
        let stage = Stage::new(asker, BYTES)?;
        let get = stage.get()?;
        let mut serving = stage.accept()?;
        serving.open()?;
        let ask = serving.request()?;
        if breaks_off {
            let body = Body::new().u32(ask.chunk).raw(&stage.proof(ask.chunk).body().0);
            let whole = super::client::frame(id::CHUNK, ask.request, &body.raw(&stage.data(ask.chunk)));
            serving.client.send(&whole[..whole.len() / 2]);
        } else {
            serving.send(id::LEAVE, 0, &Body::new());
        }
        drop(serving);
        let mut again = stage.accept()?;
        again.open()?;
        again.give_all()?;
        same!((again.wrong.as_slice(), again.error), (&[][..], None), "chunks called wrong, and an ERROR:");
        stage.expect_content(get)?;
    }
    Ok(())
}

fn a_peer_that_fetches_takes_a_server_that_dials_it(asker: &Asker) -> Checked {
    let stage = Stage::new(asker, BYTES)?;
    let get = stage.get()?;
    let mut dialled = stage.accept()?;
    dialled.open()?;
    let ask = dialled.request()?;
    // This one never answers; the other, which cannot be dialled, has all.
    let mut dialling = stage.dial(dialled.listen_port)?;
    dialling.open()?;
    dialled.refuse(ask.request, refusal::NOT_HERE);
    drop(dialled);
    dialling.give_all()?;
    same!(dialling.error, None, "an ERROR from the asker:");
    stage.expect_content(get)
}
