//! Preface, HELLO and the version rule: section 3.

use super::check::{Check, Checked, checks, holds, same};
use super::client::{Client, Hello, frame};
use super::fields::Body;
use super::numbers::{ASK, MAX_HELLO_FRAME_BYTES, MEMBER, PREFACE, SERVE, TRACKER, code, id};
use super::target::{Peer, Target};

pub(super) const CHECKS: &[Check<Target>] = checks! {
    "3.2": a_good_hello_is_answered_with_the_fitting_role, a_hello_may_come_byte_by_byte;
    "3.1": a_foreign_preface_gets_a_preface_and_an_error;
    "3.6": who_speaks_later_versions_too_is_answered_in_version_1;
    "3.2": versions_without_overlap_are_refused_and_others_accepted,
        an_unknown_role_is_malformed, who_says_to_be_the_other_side_is_told_so;
    "10.1": anything_before_hello_is_unexpected, an_error_before_hello_closes;
    "3.3": a_second_hello_is_unexpected;
    "2": a_hello_cut_at_every_length_is_malformed;
    "3.2": a_handshake_cut_at_every_byte_ends_without_a_word;
    "7": frames_before_hello_are_small, texts_in_hello_have_limits_and_are_utf8;
    "3.2": requests_may_follow_hello_at_once, silence_is_ended_after_the_handshakes_time;
    "8.1": errors_have_words;
};

pub(super) const OF_TRACKERS: &[Check<Target>] = checks! {
    "3.2": a_tracker_speaks_to_members_only;
};

pub(super) const OF_SERVERS: &[Check<Peer>] = checks! {
    "3.2": a_peer_serves_those_who_ask_and_asks_those_who_serve;
};

/// What is left of a connection that begins with these bytes.
fn begins_with(target: &Target, bytes: &[&[u8]]) -> Checked<Client> {
    let mut client = target.dial()?;
    client.send(&bytes.concat());
    Ok(client)
}

fn a_good_hello_is_answered_with_the_fitting_role(target: &Target) -> Checked {
    let (mut client, theirs) = target.dial()?.shake(&Hello::new(target.role))?;
    same!(theirs.role, target.theirs);
    client.is_alive()?;
    Ok(())
}

fn a_hello_may_come_byte_by_byte(target: &Target) -> Checked {
    let mut client = target.dial()?;
    client.trickle(&PREFACE);
    client.trickle(&Hello::new(target.role).frame());
    same!(client.hear_hello()?.role, target.theirs);
    client.is_alive()?;
    Ok(())
}

fn a_foreign_preface_gets_a_preface_and_an_error(target: &Target) -> Checked {
    for (at, value, code) in [
        (0, b'P', code::BAD_MAGIC),
        (3, b'!', code::BAD_MAGIC),
        (4, 1, code::UNSUPPORTED_VERSION),
        (5, 0, code::UNSUPPORTED_VERSION),
        (5, 2, code::UNSUPPORTED_VERSION),
        (6, 1, code::UNSUPPORTED_MODE),
        (7, 1, code::UNSUPPORTED_MODE),
    ] {
        let mut preface = PREFACE;
        preface[at] = value;
        begins_with(target, &[&preface])?.turned_away(code)?;
    }
    begins_with(target, &[b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"])?.turned_away(code::BAD_MAGIC)?;
    Ok(())
}

fn versions_without_overlap_are_refused_and_others_accepted(target: &Target) -> Checked {
    for versions in [(0, 0), (2, 2), (2, u16::MAX), (5, 1), (u16::MAX, 0)] {
        let hello = Hello { versions, ..Hello::new(target.role) };
        begins_with(target, &[&PREFACE, &hello.frame()])?.turned_away(code::UNSUPPORTED_VERSION)?;
    }
    for versions in [(0, 1), (1, 1), (1, 9), (0, u16::MAX)] {
        target.greet_as(&Hello { versions, ..Hello::new(target.role) })?.is_alive()?;
    }
    Ok(())
}

fn who_speaks_later_versions_too_is_answered_in_version_1(target: &Target) -> Checked {
    target
        .greet_as(&Hello { versions: (1, u16::MAX), features: u64::MAX, ..Hello::new(target.role) })?
        .is_alive()?;
    Ok(())
}

fn a_tracker_speaks_to_members_only(target: &Target) -> Checked {
    for role in [ASK, SERVE, TRACKER] {
        begins_with(target, &[&PREFACE, &Hello::new(role).frame()])?.turned_away(code::UNEXPECTED)?;
    }
    Ok(())
}

fn a_peer_serves_those_who_ask_and_asks_those_who_serve(peer: &Peer) -> Checked {
    let target = &peer.target;
    for role in [MEMBER, TRACKER] {
        begins_with(target, &[&PREFACE, &Hello::new(role).frame()])?.turned_away(code::UNEXPECTED)?;
    }
    let (_, theirs) = target.dial()?.shake(&Hello::new(SERVE))?;
    same!(theirs.role, ASK);
    Ok(())
}

fn an_unknown_role_is_malformed(target: &Target) -> Checked {
    for role in [0, 6, u8::MAX] {
        begins_with(target, &[&PREFACE, &Hello::new(role).frame()])?.turned_away(code::MALFORMED)?;
    }
    Ok(())
}

fn who_says_to_be_the_other_side_is_told_so(target: &Target) -> Checked {
    let (_, theirs) = target.dial()?.shake(&Hello::new(target.role))?;
    let mirror = Hello { peer: theirs.peer, ..Hello::new(target.role) };
    begins_with(target, &[&PREFACE, &mirror.frame()])?.turned_away(code::MYSELF)?;
    Ok(())
}

fn anything_before_hello_is_unexpected(target: &Target) -> Checked {
    for id in [id::PING, id::PONG, id::LEAVE, id::OK, id::GET_STATUS, id::GET_LOAD, 0x00, 0xff] {
        let first = frame(id, 1, &Body::new());
        begins_with(target, &[&PREFACE, &first])?.turned_away(code::UNEXPECTED)?;
    }
    Ok(())
}

fn an_error_before_hello_closes(target: &Target) -> Checked {
    let error = frame(id::ERROR, 1, &Body::new().u16(code::MYSELF).text("never mind"));
    begins_with(target, &[&PREFACE, &error])?.has_ended()?;
    Ok(())
}

fn a_second_hello_is_unexpected(target: &Target) -> Checked {
    let mut client = target.greet()?;
    client.send(&Hello::new(target.role).frame());
    client.ends_with(code::UNEXPECTED)?;
    Ok(())
}

fn a_hello_cut_at_every_length_is_malformed(target: &Target) -> Checked {
    let body = Hello::new(target.role).body().0;
    for len in 0..body.len() {
        let cut = frame(id::HELLO, 1, &Body::new().raw(&body[..len]));
        begins_with(target, &[&PREFACE, &cut])?.turned_away(code::MALFORMED)?;
    }
    let long = frame(id::HELLO, 1, &Body(body).u8(0));
    begins_with(target, &[&PREFACE, &long])?.turned_away(code::MALFORMED)?;
    Ok(())
}

fn a_handshake_cut_at_every_byte_ends_without_a_word(target: &Target) -> Checked {
    let whole = [&PREFACE[..], &Hello::new(target.role).frame()].concat();
    for len in 0..whole.len() {
        let client = begins_with(target, &[&whole[..len]])?;
        client.cut();
        client.has_ended()?;
    }
    target.greet()?.is_alive()?;
    Ok(())
}

fn frames_before_hello_are_small(target: &Target) -> Checked {
    for length in [MAX_HELLO_FRAME_BYTES as u32 + 1, 1 << 20, u32::MAX] {
        begins_with(target, &[&PREFACE, &length.to_be_bytes()])?.turned_away(code::TOO_LARGE)?;
    }
    for length in 0..5_u32 {
        begins_with(target, &[&PREFACE, &length.to_be_bytes()])?.turned_away(code::MALFORMED)?;
    }
    let padding = MAX_HELLO_FRAME_BYTES - 5 - Hello::new(target.role).body().0.len();
    let largest = Hello::new(target.role).body().raw(&vec![0; padding]);
    let largest = frame(id::HELLO, 1, &largest);
    begins_with(target, &[&PREFACE, &largest])?.turned_away(code::MALFORMED)?;
    Ok(())
}

fn texts_in_hello_have_limits_and_are_utf8(target: &Target) -> Checked {
    let head = Hello::new(target.role).body().0[..31].to_vec();
    let hello = |name: &[u8]| {
        let body = Body(head.clone()).u16(name.len() as u16).raw(name).text("x");
        frame(id::HELLO, 1, &body)
    };
    begins_with(target, &[&PREFACE, &hello(&[b'x'; 255])])?.hear_hello()?;
    begins_with(target, &[&PREFACE, &hello(&[b'x'; 256])])?.turned_away(code::MALFORMED)?;
    begins_with(target, &[&PREFACE, &hello(&[0xff, 0xfe])])?.turned_away(code::MALFORMED)?;
    Ok(())
}

fn requests_may_follow_hello_at_once(target: &Target) -> Checked {
    let ping = frame(id::PING, 7, &Body::new());
    let mut client = begins_with(target, &[&PREFACE, &Hello::new(target.role).frame(), &ping])?;
    client.hear_hello()?;
    same!(client.answer_to(7)?.id, id::PONG);
    Ok(())
}

fn silence_is_ended_after_the_handshakes_time(target: &Target) -> Checked {
    // The one check that has to wait: for all of them at once.
    let hello = Hello::new(target.role).frame();
    let half = [&PREFACE[..], &hello[..hello.len() / 2]].concat();
    let cases =
        [begins_with(target, &[])?, begins_with(target, &[&PREFACE])?, begins_with(target, &[&half])?];
    cases.into_iter().try_for_each(|client| client.turned_away(code::TIMED_OUT))
}

fn errors_have_words(target: &Target) -> Checked {
    let mut client = begins_with(target, &[b"12345678"])?;
    client.hear_preface()?;
    let error = client.read()?;
    let words = error.fields(|fields| (fields.u16(), fields.text().len()))?.1;
    holds!(words > 0, "an ERROR with words");
    Ok(())
}
