//! Notices, and how slots and connections end: sections 3.3, 3.5, 8.4 and 10.3.

use super::check::{Check, Checked, Fault, checks, holds, same};
use super::client::{Client, frame};
use super::fields::Body;
use super::numbers::{ANY_CHUNK, code, id, refusal};
use super::peer::{BYTES, answer_of, answers, get_chunk, get_manifest, open, opened, reasons};
use super::target::Peer;

pub(super) const CHECKS: &[Check<Peer>] = checks! {
    "8.4": notices_about_nothing_are_passed_over, closing_a_slot_answers_what_still_waits;
    "3.5": leave_answers_what_still_waits_and_ends;
    "8.4": load_is_told_without_a_slot;
    "3.5": leave_as_a_notice_has_no_answer;
    "8.4": a_notice_beyond_an_empty_view_is_passed_over;
    "7": who_tells_more_than_twice_what_there_is_is_closed;
    "8.4": what_is_not_wanted_is_not_chosen, want_is_of_the_chunks_that_there_are;
    "3.3": what_asks_needs_a_number;
    "3.4": an_error_ends_the_connection_without_an_answer;
};

fn notices_about_nothing_are_passed_over(peer: &Peer) -> Checked {
    let mut client = opened(peer)?;
    client.send(&frame(id::ASKER_HAVE, 0, &Body::new().u16(9).ranges(&[(0, 1)])));
    client.send(&frame(id::ASKER_HAVE, 0, &Body::new().u16(0).ranges(&[(u32::MAX, u32::MAX), (0, 0)])));
    client.send(&frame(id::WANT, 0, &Body::new().u16(9).u8(1)));
    client.send(&frame(id::CANCEL, 0, &Body::new().u32(12345)));
    client.send(&frame(id::CORRUPT, 0, &Body::new().u16(9).u32(0)));
    client.send(&frame(id::CORRUPT, 0, &Body::new().u16(0).u32(u32::MAX)));
    client.is_alive()?;
    Ok(())
}

fn closing_a_slot_answers_what_still_waits(peer: &Peer) -> Checked {
    let mut client = opened(peer)?;
    const COUNT: u32 = 100;
    let number = client.take_numbers(COUNT + 1);
    let mut bytes = frame(id::GET_CHUNK, number, &get_chunk(0, ANY_CHUNK, COUNT as u16, false));
    bytes.extend(frame(id::CLOSE, number + COUNT, &Body::new().u16(0)));
    client.send(&bytes);
    let all = answers(&mut client, number, COUNT + 1)?;
    same!(answer_of(&all, COUNT)?.id, id::OK);
    holds!(reasons(&all)?.is_subset(&[refusal::CANCELLED, refusal::NOTHING_BETTER].into()));
    Ok(())
}

fn leave_answers_what_still_waits_and_ends(peer: &Peer) -> Checked {
    let mut client = opened(peer)?;
    const COUNT: u32 = 50;
    let number = client.take_numbers(COUNT + 1);
    let mut bytes = frame(id::GET_CHUNK, number, &get_chunk(0, ANY_CHUNK, COUNT as u16, false));
    bytes.extend(frame(id::LEAVE, number + COUNT, &Body::new()));
    client.send(&bytes);
    let all = answers(&mut client, number, COUNT + 1)?;
    same!(all.last().map(|(request, last)| (*request, last.id)), Some((COUNT, id::OK)), "OK comes last");
    client.has_ended()?;
    Ok(())
}

fn load_is_told_without_a_slot(peer: &Peer) -> Checked {
    let load = peer.target.greet()?.call(id::GET_LOAD, &Body::new(), id::LOAD)?;
    load.fields(|fields| (fields.u16(), fields.u16(), fields.u32(), fields.u64()))?;
    Ok(())
}

fn leave_as_a_notice_has_no_answer(peer: &Peer) -> Checked {
    let mut client = opened(peer)?;
    client.send(&frame(id::LEAVE, 0, &Body::new()));
    client.has_ended()?;
    Ok(())
}

/// The id of nothing, section 12.
const NOTHING: &str = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";

fn a_notice_beyond_an_empty_view_is_passed_over(peer: &Peer) -> Checked {
    let mut client = peer.target.greet()?;
    let nothing = *blake3::hash(b"").as_bytes();
    same!(blake3::Hash::from(nothing).to_hex().as_str(), NOTHING);
    if client.ask(id::OPEN, &open(0, nothing, BYTES))?.id != id::OPENED {
        return Err(Fault::Skipped("it shares no empty file"));
    }
    client.send(&frame(id::ASKER_HAVE, 0, &Body::new().u16(0).ranges(&[(0, 1)])));
    client.send(&frame(id::CORRUPT, 0, &Body::new().u16(0).u32(0)));
    client.is_alive()?;
    Ok(())
}

fn who_tells_more_than_twice_what_there_is_is_closed(peer: &Peer) -> Checked {
    let mut client = opened(peer)?;
    let all = Body::new().u16(0).ranges(&[(0, u32::MAX)]);
    (0..2).for_each(|_| client.send(&frame(id::ASKER_HAVE, 0, &all)));
    client.is_alive()?;
    client.send(&frame(id::ASKER_HAVE, 0, &all));
    client.ends_with(code::UNEXPECTED)?;
    Ok(())
}

fn what_is_not_wanted_is_not_chosen(peer: &Peer) -> Checked {
    let mut client = opened(peer)?;
    client.send(&frame(id::WANT, 0, &Body::new().u16(0).u8(0)));
    let number = client.take_numbers(1);
    client.send(&frame(id::GET_CHUNK, number, &get_chunk(0, ANY_CHUNK, 1, false)));
    let refused = reasons(&answers(&mut client, number, 1)?)?;
    same!(refused, [refusal::NOTHING_BETTER].into(), "REFUSED, and nothing wanted: the reasons");
    let number = client.take_numbers(1);
    client.send(&frame(id::GET_CHUNK, number, &get_chunk(0, 1, 1, false)));
    let given = answer_of(&answers(&mut client, number, 1)?, 0)?.id;
    same!(id::name(given), id::name(id::CHUNK), "what is asked for by number, as");
    client.send(&frame(id::WANT, 0, &Body::new().u16(0).u8(1)));
    client.ends_with(code::UNEXPECTED)
}

fn want_is_of_the_chunks_that_there_are(peer: &Peer) -> Checked {
    let mut client = opened(peer)?;
    client.send(&frame(id::WANT, 0, &Body::new().u16(0).u8(2).u32(0)));
    client.ends_with(code::UNEXPECTED)
}

fn what_asks_needs_a_number(peer: &Peer) -> Checked {
    let asks: [(u8, Body); 6] = [
        (id::OPEN, open(1, peer.id, BYTES)),
        (id::CLOSE, Body::new().u16(0)),
        (id::GET_MANIFEST, get_manifest(0, 0, 0, 1)),
        (id::GET_CHUNK, get_chunk(0, 0, 1, false)),
        (id::GET_LOAD, Body::new()),
        (id::PING, Body::new()),
    ];
    for (kind, body) in asks {
        let mut client = opened(peer)?;
        client.send(&frame(kind, 0, &body));
        client.ends_with(code::UNEXPECTED)?;
    }
    Ok(())
}

fn an_error_ends_the_connection_without_an_answer(peer: &Peer) -> Checked {
    for number in [0, 9] {
        let mut client: Client = opened(peer)?;
        client.send(&frame(id::ERROR, number, &Body::new().u16(code::LIMIT).text("no more")));
        client.has_ended()?;
    }
    Ok(())
}
