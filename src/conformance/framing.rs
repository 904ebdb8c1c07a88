//! Frames, directions, and messages damaged in every way: sections 3.3 to 4, and 7.

use super::check::{Check, Checked, checks, holds, same};
use super::client::{Client, frame};
use super::fields::Body;
use super::numbers::{MAX_FRAME_BYTES, TRACKER, code, id};
use super::target::{Peer, Target};

pub(super) const CHECKS: &[Check<Target>] = checks! {
    "2": a_body_cut_at_every_length_is_malformed, a_byte_behind_the_last_field_is_malformed;
    "3.5": a_connection_may_be_cut_at_every_byte;
    "3.4": an_error_from_this_side_closes;
    "3.3": ids_of_other_directions_and_unknown_ones_are_unexpected;
    "4": frames_outside_their_limits_are_refused_before_their_body;
    "3.3": a_thousand_pings_are_answered, request_numbers_are_the_askers_own;
    "3.5": leave_is_answered_and_ends_the_connection;
};

pub(super) const OF_TRACKERS: &[Check<Target>] = checks! {
    "2": numbers_without_a_meaning_are_malformed;
    "11": an_error_of_any_code_is_one;
    "7": texts_and_lists_above_their_limits_are_malformed_before_they_arrive;
};

pub(super) const OF_SERVERS: &[Check<Peer>] = checks! {
    "2": views_and_flags_without_a_meaning_are_malformed;
    "7": ranges_above_their_limit_are_malformed_before_they_arrive, a_peer_takes_smaller_frames_than_a_tracker;
};

/// A good body of every message that a target understands after HELLO, and that has fields.
fn messages(target: &Target) -> Vec<(u8, Body)> {
    let hash = [7; 32];
    let mut messages = vec![(id::ERROR, Body::new().u16(code::LIMIT).text("x"))];
    let offer = Body::new().text("conformance").raw(&hash).u64(5).u64(5).u32(1).u8(0);
    messages.extend(match target.theirs {
        TRACKER => vec![
            (id::REGISTER, Body::new().u16(0).list(&[]).list(std::slice::from_ref(&offer))),
            (id::UPDATE, Body::new().list(&[offer]).list(&[Body::new().text("conformance").raw(&hash)])),
            (id::TRACKER_HAVE, Body::new().raw(&hash).u8(0).ranges(&[(0, 1)])),
            (id::LOCATE, Body::new().text("conformance").raw(&[0; 32]).u8(0).u16(1).ranges(&[(0, 1)])),
            (id::LIST, Body::new().text("conformance*").text("").u16(10)),
            (id::HEARTBEAT, Body::new().u16(1).u16(2).u64(3)),
            (id::REPORT, Body::new().raw(&[9; 16]).raw(&hash).u32(0).u8(3)),
            (id::GET_PEERS, Body::new().raw(&[0; 16]).u16(1)),
        ],
        _ => vec![
            (id::OPEN, Body::new().u16(0).raw(&hash).u8(0)),
            (id::CLOSE, Body::new().u16(0)),
            (id::GET_MANIFEST, Body::new().u16(0).u32(0).u32(0).u32(1)),
            (id::GET_CHUNK, Body::new().u16(0).u32(0).u16(1).u8(1).u8(1)),
            (id::CANCEL, Body::new().u32(5)),
            (id::ASKER_HAVE, Body::new().u16(0).ranges(&[(0, 1)])),
            (id::CORRUPT, Body::new().u16(0).u32(0)),
        ],
    });
    messages
}

fn empty_messages(target: &Target) -> Vec<u8> {
    let own = if target.theirs == TRACKER { id::GET_STATUS } else { id::GET_LOAD };
    vec![id::PING, id::LEAVE, own]
}

fn sends(target: &Target, bytes: &[u8]) -> Checked<Client> {
    let mut client = target.greet()?;
    client.send(bytes);
    Ok(client)
}

fn a_body_cut_at_every_length_is_malformed(target: &Target) -> Checked {
    for (id, body) in messages(target) {
        for len in 0..body.0.len() {
            let cut = frame(id, 2, &Body::new().raw(&body.0[..len]));
            sends(target, &cut)?.ends_with(code::MALFORMED)?;
        }
    }
    Ok(())
}

fn a_byte_behind_the_last_field_is_malformed(target: &Target) -> Checked {
    for (id, body) in messages(target) {
        sends(target, &frame(id, 2, &body.u8(0)))?.ends_with(code::MALFORMED)?;
    }
    for id in empty_messages(target) {
        sends(target, &frame(id, 2, &Body::new().u8(0)))?.ends_with(code::MALFORMED)?;
    }
    Ok(())
}

fn a_connection_may_be_cut_at_every_byte(target: &Target) -> Checked {
    for (id, body) in messages(target) {
        let whole = frame(id, 2, &body);
        for len in 0..whole.len() {
            let client = sends(target, &whole[..len])?;
            client.cut();
            client.has_ended()?;
        }
    }
    target.greet()?.is_alive()?;
    Ok(())
}

fn an_error_from_this_side_closes(target: &Target) -> Checked {
    let error = frame(id::ERROR, 0, &Body::new().u16(code::LIMIT).text("enough"));
    sends(target, &error)?.has_ended()?;
    Ok(())
}

fn ids_of_other_directions_and_unknown_ones_are_unexpected(target: &Target) -> Checked {
    let own: &[u8] = match target.theirs {
        TRACKER => &[
            0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f,
            0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x2b, 0x2c, 0x2d, 0x2e, 0x2f,
            0x60, 0x61, 0x62, 0x63,
        ],
        _ => &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58],
    };
    for id in [0x00].into_iter().chain(0x07..=0xff).filter(|id| !own.contains(id)) {
        sends(target, &frame(id, 2, &Body::new()))?.ends_with(code::UNEXPECTED)?;
    }
    Ok(())
}

/// Only the nine bytes of a frame that announces this length.
fn header(length: u32) -> Vec<u8> {
    Body::new().u32(length).u8(id::ERROR).u32(2).0
}

fn frames_outside_their_limits_are_refused_before_their_body(target: &Target) -> Checked {
    for length in [MAX_FRAME_BYTES as u32 + 1, u32::MAX] {
        sends(target, &header(length))?.ends_with(code::TOO_LARGE)?;
    }
    for length in 0..5 {
        sends(target, &header(length))?.ends_with(code::MALFORMED)?;
    }
    Ok(())
}

fn a_peer_takes_smaller_frames_than_a_tracker(peer: &Peer) -> Checked {
    const MAX_PEER_FRAME_BYTES: u32 = 327_680;
    let target = &peer.target;
    sends(target, &header(MAX_PEER_FRAME_BYTES + 1))?.ends_with(code::TOO_LARGE)?;
    Ok(())
}

fn a_thousand_pings_are_answered(target: &Target) -> Checked {
    let mut client = target.greet()?;
    let pings: Vec<u8> = (1..=1000).flat_map(|n| frame(id::PING, n, &Body::new())).collect();
    client.send(&pings);
    let mut numbers: Vec<u32> = (0..1000)
        .map(|_| {
            let answer = client.answer()?;
            same!((answer.id, answer.body.len()), (id::PONG, 0));
            Ok(answer.request)
        })
        .collect::<Checked<_>>()?;
    if target.theirs == TRACKER {
        holds!(numbers.is_sorted(), "a tracker answers in order");
    }
    numbers.sort_unstable();
    holds!(numbers.into_iter().eq(1..=1000));
    Ok(())
}

fn request_numbers_are_the_askers_own(target: &Target) -> Checked {
    let mut client = target.greet()?;
    for request in [1, 7, u32::MAX, 2] {
        client.send(&frame(id::PING, request, &Body::new()));
        same!(client.answer_to(request)?.id, id::PONG);
    }
    Ok(())
}

fn leave_is_answered_and_ends_the_connection(target: &Target) -> Checked {
    let mut client = target.greet()?;
    client.call(id::LEAVE, &Body::new(), id::OK)?;
    client.has_ended()?;
    Ok(())
}

fn numbers_without_a_meaning_are_malformed(target: &Target) -> Checked {
    let hash = [7; 32];
    let offer = |complete| Body::new().text("conformance").raw(&hash).u64(5).u64(5).u32(1).u8(complete);
    let cases = [
        (id::REGISTER, Body::new().u16(0).list(&[]).list(&[offer(2)])),
        (id::LOCATE, Body::new().text("x").raw(&[0; 32]).u8(2).u16(1).ranges(&[])),
        (id::REPORT, Body::new().raw(&[9; 16]).raw(&hash).u32(0).u8(0)),
    ];
    for (id, body) in cases {
        sends(target, &frame(id, 2, &body))?.ends_with(code::MALFORMED)?;
    }
    Ok(())
}

fn an_error_of_any_code_is_one(target: &Target) -> Checked {
    for code in [0, 77, u16::MAX] {
        sends(target, &frame(id::ERROR, 2, &Body::new().u16(code).text("")))?.has_ended()?;
    }
    Ok(())
}

fn views_and_flags_without_a_meaning_are_malformed(peer: &Peer) -> Checked {
    let hash = [7; 32];
    let cases = [
        (id::OPEN, Body::new().u16(0).raw(&hash).u8(2)),
        (id::GET_CHUNK, Body::new().u16(0).u32(0).u16(1).u8(0xff).u8(0)),
        (id::GET_CHUNK, Body::new().u16(0).u32(0).u16(1).u8(0).u8(3)),
    ];
    for (id, body) in cases {
        sends(&peer.target, &frame(id, 2, &body))?.ends_with(code::MALFORMED)?;
    }
    Ok(())
}

fn texts_and_lists_above_their_limits_are_malformed_before_they_arrive(target: &Target) -> Checked {
    let cases = [
        (id::LOCATE, Body::new().u16(4097)),
        (id::LIST, Body::new().text("").u16(4097)),
        (id::REGISTER, Body::new().u16(0).u32(9)),
        (id::REGISTER, Body::new().u16(0).u32(0).u32(1025)),
        (id::REGISTER, Body::new().u16(0).u32(0).u32(u32::MAX)),
        (id::UPDATE, Body::new().u32(1025)),
        (id::UPDATE, Body::new().u32(0).u32(1025)),
        (id::TRACKER_HAVE, Body::new().raw(&[7; 32]).u8(0).u32(4097)),
        (id::TRACKER_HAVE, Body::new().raw(&[7; 32]).u8(2).u32(0)),
        (id::LOCATE, Body::new().text("x").raw(&[0; 32]).u8(0).u16(1).u32(4097)),
        (id::ERROR, Body::new().u16(1).u16(1025)),
        (id::LIST, Body::new().u16(2).raw(&[0xff, 0xfe]).text("").u16(1)),
    ];
    for (id, body) in cases {
        sends(target, &frame(id, 2, &body))?.ends_with(code::MALFORMED)?;
    }
    Ok(())
}

fn ranges_above_their_limit_are_malformed_before_they_arrive(peer: &Peer) -> Checked {
    let have = Body::new().u16(0).u32(4097);
    sends(&peer.target, &frame(id::ASKER_HAVE, 0, &have))?.ends_with(code::MALFORMED)?;
    Ok(())
}
