//! What a serving peer answers: sections 5, 8.4, 8.5 and 10.3.

use std::collections::{BTreeMap, BTreeSet};

use super::check::{Check, Checked, Fault, checks, holds, same};
use super::client::{Client, Frame, frame};
use super::fields::Body;
use super::numbers::{ANY_CHUNK, code, id, refusal};
use super::proof::{Hash, Proof, chunk_hash, chunks};
use super::target::Peer;
use crate::threads;

pub(super) const CHECKS: &[Check<Peer>] = checks! {
    "5.5": every_chunk_comes_with_a_proof_and_together_they_are_the_content, a_proof_is_sent_only_if_asked_for;
    "5.4": a_manifest_comes_in_any_run_that_can_be_proved;
    "8.4": what_is_not_here_is_refused_and_the_slot_stays_free, slots_are_limited_and_can_be_used_again,
        a_slot_that_is_not_open_ends_the_connection, chunks_that_do_not_exist_end_the_connection,
        hashes_that_do_not_exist_end_the_connection, any_chunk_gives_each_chunk_at_most_once_and_then_nothing_better,
        any_chunk_leaves_out_what_the_asker_says_it_has, a_chunk_that_proves_is_served_whatever_is_said_of_it,
        a_cancelled_request_still_has_exactly_one_answer, past_the_queue_requests_are_busy_and_none_is_lost;
    "3.3": a_session_may_come_byte_by_byte, a_thousand_pipelined_requests_are_all_answered;
};

pub(super) const BYTES: u8 = 0;
pub(super) const MEMBERS: u8 = 1;
const MAX_SLOTS: u16 = 256;
const MAX_RUN: u16 = 256;
const MAX_QUEUED_CHUNKS: u32 = 4096;

pub(super) fn open(slot: u16, hash: Hash, view: u8) -> Body {
    Body::new().u16(slot).raw(&hash).u8(view)
}

pub(super) fn get_chunk(slot: u16, first: u32, count: u16, proof: bool) -> Body {
    Body::new().u16(slot).u32(first).u16(count).u8(u8::from(proof)).u8(0)
}

pub(super) fn get_manifest(slot: u16, file: u32, first: u32, count: u32) -> Body {
    Body::new().u16(slot).u32(file).u32(first).u32(count)
}

/// Size and chunks of a view that its server holds all of.
pub(super) fn read_opened(opened: &Frame) -> Checked<(u64, u32)> {
    let (view, form, bits, mode) = opened.fields(|fields| {
        let (size, chunks) = (fields.u64(), fields.u32());
        let form = fields.u8();
        let bits = if form == 2 { fields.u32() } else { 0 };
        let mode = if fields.flag() { (fields.u16(), fields.u64()).0 } else { 0 };
        ((size, chunks), form, bits, mode)
    })?;
    holds!(form == 1 || view.1 == 0 && bits == 0, "an OPENED that says that all is here, not form {form}");
    holds!(mode <= 0o777, "a mode of nine bits, not {mode:o}");
    Ok(view)
}

/// A connection on which the target's content is open as slot 0.
pub(super) fn opened(peer: &Peer) -> Checked<Client> {
    let mut client = peer.target.greet()?;
    let answer = client.call(id::OPEN, &open(0, peer.id, BYTES), id::OPENED)?;
    same!(read_opened(&answer)?, (peer.size, chunks(peer.size)), "OPENED with size and chunks");
    Ok(client)
}

/// Index, proof and data of a CHUNK.
pub(super) fn read_chunk(frame: &Frame) -> Checked<(u32, Proof, Vec<u8>)> {
    same!(id::name(frame.id), id::name(id::CHUNK), "the answer");
    frame.fields(|fields| {
        let (index, proof) = (fields.u32(), Proof::read(fields));
        let data = fields.raw(fields.rest().len());
        (index, proof, data.to_vec())
    })
}

/// What has been proved of a content's hashes: a run's proof comes only once.
#[derive(Debug, Default)]
pub(super) struct Known(BTreeMap<(Hash, u32), Hash>);

impl Known {
    /// Checks the proof, if there is one, and the data of a content's chunk.
    pub(super) fn check(&mut self, id: Hash, size: u64, chunk: u32, proof: &Proof, data: &[u8]) -> Checked {
        if !proof.is_empty() {
            holds!(proof.is_right(id, size), "a right proof with chunk {chunk}");
            let hashes = (proof.first..).zip(&proof.hashes);
            self.0.extend(hashes.map(|(number, hash)| ((id, number), *hash)));
        }
        // The hash of an only chunk is the id, and needs no proof.
        let only = (chunks(size) == 1).then_some(&id);
        let hash = only.or(self.0.get(&(id, chunk)));
        same!(Some(&chunk_hash(size, chunk, data)?), hash, "the bytes of chunk {chunk}, with the hash");
        Ok(())
    }
}

/// Answers as they came, each with its request counted from the first.
pub(super) type Answers = Vec<(u32, Frame)>;

/// Asks for a run of chunks.
fn ask_for(client: &mut Client, slot: u16, first: u32, count: u16, proof: bool) -> Checked<Answers> {
    let number = client.take_numbers(u32::from(count));
    client.send(&frame(id::GET_CHUNK, number, &get_chunk(slot, first, count, proof)));
    answers(client, number, u32::from(count))
}

/// Asks for one chunk.
pub(super) fn ask_for_one(
    client: &mut Client,
    slot: u16,
    chunk: u32,
    proof: bool,
) -> Checked<(u32, Proof, Vec<u8>)> {
    let answers = ask_for(client, slot, chunk, 1, proof)?;
    read_chunk(answer_of(&answers, 0)?)
}

/// Exactly one answer to each of these requests.
pub(super) fn answers(client: &mut Client, number: u32, count: u32) -> Checked<Answers> {
    let mut open: BTreeSet<u32> = (0..count).collect();
    (0..count)
        .map(|_| {
            let answer = client.answer()?;
            let request = answer.request.wrapping_sub(number);
            holds!(open.remove(&request), "nothing is owed to request {}", answer.request);
            Ok((request, answer))
        })
        .collect()
}

/// The answer to one of them.
pub(super) fn answer_of(answers: &Answers, request: u32) -> Checked<&Frame> {
    let found = answers.iter().find(|(number, _)| *number == request);
    found
        .map(|(_, answer)| answer)
        .ok_or_else(|| Fault::new(format!("an answer to request {request}"), "none"))
}

/// Why those of them that were refused were.
pub(super) fn reasons(answers: &Answers) -> Checked<BTreeSet<u8>> {
    answers
        .iter()
        .filter(|(_, answer)| answer.id == id::REFUSED)
        .map(|(_, answer)| answer.refusal())
        .collect()
}

fn every_chunk_comes_with_a_proof_and_together_they_are_the_content(peer: &Peer) -> Checked {
    let mut client = opened(peer)?;
    let mut known = Known::default();
    let mut content = BTreeMap::new();
    for first in (0..chunks(peer.size)).step_by(usize::from(MAX_RUN)) {
        let count = (chunks(peer.size) - first).min(u32::from(MAX_RUN)) as u16;
        for (request, answer) in ask_for(&mut client, 0, first, count, true)? {
            let (index, proof, data) = read_chunk(&answer)?;
            same!(index, first + request);
            known.check(peer.id, peer.size, index, &proof, &data)?;
            content.insert(index, data);
        }
    }
    let content: Vec<u8> = content.into_values().flatten().collect();
    same!(*blake3::hash(&content).as_bytes(), peer.id);
    Ok(())
}

fn a_proof_is_sent_only_if_asked_for(peer: &Peer) -> Checked {
    let mut client = opened(peer)?;
    let (_, proof, data) = ask_for_one(&mut client, 0, 1, false)?;
    holds!(proof.is_empty());
    let again = ask_for_one(&mut client, 0, 1, true)?.1;
    holds!(again.is_right(peer.id, peer.size), "the first that was asked for");
    let manifest =
        client.call(id::GET_MANIFEST, &get_manifest(0, 0, 1, 1), id::MANIFEST)?.fields(Proof::read)?;
    holds!(manifest.is_right(peer.id, peer.size));
    same!(chunk_hash(peer.size, 1, &data)?, manifest.hash_of(1)?);
    Ok(())
}

fn a_manifest_comes_in_any_run_that_can_be_proved(peer: &Peer) -> Checked {
    let mut client = opened(peer)?;
    let total = chunks(peer.size).min(8);
    let mut provable = 0;
    for first in 0..total {
        for count in 1..=total - first {
            let span = count.next_power_of_two();
            let reaches_end = first + count == chunks(peer.size);
            let answer = client.ask(id::GET_MANIFEST, &get_manifest(0, 0, first, count))?;
            if first % span == 0 && (count == span || reaches_end) {
                same!(answer.id, id::MANIFEST, "{first}+{count}");
                let proof = answer.fields(Proof::read)?;
                same!((proof.first, proof.hashes.len() as u32), (first, count));
                holds!(proof.is_right(peer.id, peer.size), "{first}+{count}");
                provable += 1;
            } else {
                same!(answer.refusal()?, refusal::NOT_YET, "{first}+{count}");
            }
        }
    }
    holds!(provable > total);
    Ok(())
}

fn what_is_not_here_is_refused_and_the_slot_stays_free(peer: &Peer) -> Checked {
    let mut client = peer.target.greet()?;
    let unknown = std::array::from_fn(|_| fastrand::u8(..));
    for view in [BYTES, MEMBERS] {
        same!(client.ask(id::OPEN, &open(0, unknown, view))?.refusal()?, refusal::NOT_HERE);
    }
    same!(client.ask(id::OPEN, &open(0, peer.id, MEMBERS))?.refusal()?, refusal::NOT_HERE);
    client.call(id::OPEN, &open(0, peer.id, BYTES), id::OPENED)?;
    Ok(())
}

fn slots_are_limited_and_can_be_used_again(peer: &Peer) -> Checked {
    let mut client = opened(peer)?;
    same!(client.ask(id::OPEN, &open(0, peer.id, BYTES))?.error()?, code::LIMIT);
    for slot in 1..MAX_SLOTS {
        // Slot numbers are the asker's choice: spread them over all of the range.
        client.call(id::OPEN, &open(slot * 255, peer.id, BYTES), id::OPENED)?;
    }
    same!(client.ask(id::OPEN, &open(7, peer.id, BYTES))?.error()?, code::LIMIT);
    client.call(id::CLOSE, &Body::new().u16(255), id::OK)?;
    client.call(id::OPEN, &open(7, peer.id, BYTES), id::OPENED)?;
    ask_for_one(&mut client, 7, 0, true)?;
    Ok(())
}

fn a_slot_that_is_not_open_ends_the_connection(peer: &Peer) -> Checked {
    for (id, body) in [
        (id::CLOSE, Body::new().u16(1)),
        (id::GET_CHUNK, get_chunk(1, 0, 1, false)),
        (id::GET_MANIFEST, get_manifest(1, 0, 0, 1)),
    ] {
        let mut client = opened(peer)?;
        client.request(id, &body);
        client.ends_with(code::UNEXPECTED)?;
        let mut closed = opened(peer)?;
        closed.call(id::CLOSE, &Body::new().u16(0), id::OK)?;
        closed.request(id, &Body::new().u16(0).raw(&body.0[2..]));
        closed.ends_with(code::UNEXPECTED)?;
    }
    Ok(())
}

fn chunks_that_do_not_exist_end_the_connection(peer: &Peer) -> Checked {
    let end = chunks(peer.size);
    for (first, count) in
        [(end, 1), (end - 1, 2), (0, 0), (ANY_CHUNK, 0), (ANY_CHUNK - 1, 1), (0, MAX_RUN + 1)]
    {
        let mut client = opened(peer)?;
        client.request(id::GET_CHUNK, &get_chunk(0, first, count, false));
        client.ends_with(code::UNEXPECTED)?;
    }
    let mut client = opened(peer)?;
    client.request(id::GET_CHUNK, &get_chunk(0, ANY_CHUNK, MAX_RUN + 1, false));
    client.ends_with(code::UNEXPECTED)?;
    let mut client = opened(peer)?;
    client.send(&frame(id::GET_CHUNK, u32::MAX, &get_chunk(0, 0, 2, false)));
    client.ends_with(code::UNEXPECTED)?;
    Ok(())
}

fn hashes_that_do_not_exist_end_the_connection(peer: &Peer) -> Checked {
    let end = chunks(peer.size);
    for (file, first, count) in [(1, 0, 1), (u32::MAX, 0, 1), (0, end, 1), (0, u32::MAX, 2), (0, 0, 4097)] {
        let mut client = opened(peer)?;
        client.request(id::GET_MANIFEST, &get_manifest(0, file, first, count));
        client.ends_with(code::UNEXPECTED)?;
    }
    Ok(())
}

fn any_chunk_gives_each_chunk_at_most_once_and_then_nothing_better(peer: &Peer) -> Checked {
    let mut client = opened(peer)?;
    let (mut seen, mut known, mut refused) = (BTreeSet::new(), Known::default(), 0);
    for _ in 0..chunks(peer.size).div_ceil(u32::from(MAX_RUN)) + 1 {
        for (_, answer) in ask_for(&mut client, 0, ANY_CHUNK, MAX_RUN, true)? {
            if answer.id == id::REFUSED {
                same!(answer.refusal()?, refusal::NOTHING_BETTER);
                refused += 1;
                continue;
            }
            let (index, proof, data) = read_chunk(&answer)?;
            holds!(seen.insert(index), "chunk {index} twice");
            known.check(peer.id, peer.size, index, &proof, &data)?;
        }
    }
    holds!(refused > 0);
    Ok(())
}

fn any_chunk_leaves_out_what_the_asker_says_it_has(peer: &Peer) -> Checked {
    let mut client = opened(peer)?;
    let last = chunks(peer.size) - 1;
    client.send(&frame(id::ASKER_HAVE, 0, &Body::new().u16(0).ranges(&[(0, last), (last + 1, 5)])));
    for (_, answer) in ask_for(&mut client, 0, ANY_CHUNK, 4, false)? {
        match answer.id {
            id::REFUSED => same!(answer.refusal()?, refusal::NOTHING_BETTER),
            _ => same!(read_chunk(&answer)?.0, last),
        }
    }
    Ok(())
}

fn a_chunk_that_proves_is_served_whatever_is_said_of_it(peer: &Peer) -> Checked {
    let mut client = opened(peer)?;
    for _ in 0..3 {
        client.send(&frame(id::CORRUPT, 0, &Body::new().u16(0).u32(0)));
    }
    client.call(id::GET_CHUNK, &Body::new().u16(0).u32(0).u16(1).u8(0).u8(0), id::CHUNK)?;
    Ok(())
}

fn a_cancelled_request_still_has_exactly_one_answer(peer: &Peer) -> Checked {
    let mut client = opened(peer)?;
    const COUNT: u32 = 200;
    let number = client.take_numbers(COUNT);
    let mut bytes = Vec::new();
    for at in 0..COUNT {
        bytes.extend(frame(id::GET_CHUNK, number + at, &get_chunk(0, at % chunks(peer.size), 1, false)));
    }
    for at in 0..COUNT {
        bytes.extend(frame(id::CANCEL, 0, &Body::new().u32(number + at)));
    }
    client.send(&bytes);
    let all = answers(&mut client, number, COUNT)?;
    holds!(reasons(&all)?.is_subset(&[refusal::CANCELLED].into()));
    client.is_alive()?;
    Ok(())
}

fn past_the_queue_requests_are_busy_and_none_is_lost(peer: &Peer) -> Checked {
    let mut client = opened(peer)?;
    let last = chunks(peer.size) - 1;
    let count = 2 * MAX_QUEUED_CHUNKS;
    let number = client.take_numbers(count);
    let bytes: Vec<u8> =
        (0..count).flat_map(|at| frame(id::GET_CHUNK, number + at, &get_chunk(0, last, 1, false))).collect();
    // As long as nothing is read, the server can send only what the sockets' buffers take.
    let mut sender = client.second()?;
    let all = std::thread::scope(|scope| {
        let sending = threads::named("sender").helper(scope, move || sender.send(&bytes));
        holds!(sending.is_some(), "room for a thread");
        answers(&mut client, number, count)
    })?;
    holds!(reasons(&all)?.is_subset(&[refusal::BUSY].into()));
    let chunks = all.iter().filter(|(_, answer)| answer.id == id::CHUNK).count();
    holds!(chunks >= MAX_QUEUED_CHUNKS as usize);
    Ok(())
}

fn a_session_may_come_byte_by_byte(peer: &Peer) -> Checked {
    let mut client = peer.target.greet()?;
    client.trickle(&frame(id::OPEN, 2, &open(3, peer.id, BYTES)));
    same!(client.answer_to(2)?.id, id::OPENED);
    client.trickle(&frame(id::GET_MANIFEST, 3, &get_manifest(3, 0, 0, 1)));
    same!(client.answer_to(3)?.id, id::MANIFEST);
    client.trickle(&frame(id::GET_CHUNK, 4, &get_chunk(3, 0, 1, true)));
    same!(client.answer_to(4)?.id, id::CHUNK);
    client.trickle(&frame(id::CLOSE, 5, &Body::new().u16(3)));
    same!(client.answer_to(5)?.id, id::OK);
    Ok(())
}

fn a_thousand_pipelined_requests_are_all_answered(peer: &Peer) -> Checked {
    let mut client = opened(peer)?;
    let last = chunks(peer.size) - 1;
    let kinds: [(u8, Body, u8); 5] = [
        (id::GET_CHUNK, get_chunk(0, last, 1, true), id::CHUNK),
        (id::GET_MANIFEST, get_manifest(0, 0, 0, 1), id::MANIFEST),
        (id::OPEN, open(1, [7; 32], BYTES), id::REFUSED),
        (id::GET_LOAD, Body::new(), id::LOAD),
        (id::PING, Body::new(), id::PONG),
    ];
    let number = client.take_numbers(1000);
    let requests: Vec<&(u8, Body, u8)> = kinds.iter().cycle().take(1000).collect();
    let bytes: Vec<u8> =
        requests.iter().zip(number..).flat_map(|((id, body, _), at)| frame(*id, at, body)).collect();
    client.send(&bytes);
    let all = answers(&mut client, number, 1000)?;
    for (request, answer) in all {
        same!(answer.id, requests[request as usize].2);
    }
    Ok(())
}
