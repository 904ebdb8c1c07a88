//! What a serving peer answers: sections 5, 8.4, 8.5 and 10.3.

use std::collections::{BTreeMap, BTreeSet};

use crate::client::{ANY_CHUNK, Body, Client, Fields, Frame, code, frame, id, refusal};
use crate::proof::{Hash, Proof, chunk_hash, chunks};
use crate::target::{self, Peer};

pub const BYTES: u8 = 0;
const MEMBERS: u8 = 1;
const MAX_SLOTS: u16 = 256;
const MAX_RUN: u16 = 256;
const MAX_QUEUED_CHUNKS: u32 = 4096;

pub fn open(slot: u16, hash: Hash, view: u8) -> Body {
    Body::new().u16(slot).raw(&hash).u8(view)
}

pub fn get_chunk(slot: u16, first: u32, count: u16, proof: bool) -> Body {
    Body::new().u16(slot).u32(first).u16(count).u8(u8::from(proof)).u8(0)
}

pub fn get_manifest(slot: u16, file: u32, first: u32, count: u32) -> Body {
    Body::new().u16(slot).u32(file).u32(first).u32(count)
}

/// Size and chunks of a view that its server holds all of.
pub fn read_opened(opened: &Frame) -> (u64, u32) {
    opened.fields(|fields| {
        let (size, chunks) = (fields.u64(), fields.u32());
        let form = fields.u8();
        assert!(form == 1 || chunks == 0, "the form of the bits: {form}");
        if form == 2 {
            assert_eq!(fields.u32(), 0, "no bits of no chunks");
        }
        if fields.flag() {
            assert!(fields.u16() <= 0o777, "a mode");
            fields.u64();
        }
        (size, chunks)
    })
}

/// A connection on which the target's content is open as slot 0.
pub fn opened(peer: &Peer) -> Client {
    let mut client = peer.target.greet();
    let answer = client.call(id::OPEN, &open(0, peer.id, BYTES), id::OPENED);
    assert_eq!(read_opened(&answer), (peer.size, chunks(peer.size)));
    client
}

/// Index, proof and data of a CHUNK.
fn read_chunk(frame: &Frame) -> (u32, Proof, Vec<u8>) {
    assert_eq!(frame.id, id::CHUNK, "{:02x} {:02x?}", frame.id, &frame.body[..frame.body.len().min(40)]);
    let mut fields = Fields(&frame.body);
    let (index, proof) = (fields.u32(), Proof::read(&mut fields));
    (index, proof, fields.0.to_vec())
}

/// What has been proved of a content's hashes: a run's proof comes only once.
#[derive(Debug, Default)]
struct Known(BTreeMap<(Hash, u32), Hash>);

impl Known {
    /// Checks the proof, if there is one, and the data of a content's chunk.
    #[track_caller]
    fn check(&mut self, id: Hash, size: u64, chunk: u32, proof: &Proof, data: &[u8]) {
        if !proof.is_empty() {
            assert!(proof.is_right(id, size), "the proof with chunk {chunk}");
            let hashes = (proof.first..).zip(&proof.hashes);
            self.0.extend(hashes.map(|(number, hash)| ((id, number), *hash)));
        }
        // The hash of an only chunk is the id, and needs no proof.
        let only = (chunks(size) == 1).then_some(&id);
        let hash = only.or(self.0.get(&(id, chunk)));
        assert_eq!(Some(&chunk_hash(size, chunk, data)), hash, "chunk {chunk}");
    }
}

/// Answers as they came, each with its request counted from the first.
pub type Answers = Vec<(u32, Frame)>;

/// Asks for a run of chunks.
fn ask_for(client: &mut Client, slot: u16, first: u32, count: u16, proof: bool) -> Answers {
    let number = client.take_numbers(u32::from(count));
    client.send(&frame(id::GET_CHUNK, number, &get_chunk(slot, first, count, proof)));
    answers(client, number, u32::from(count))
}

/// Asks for one chunk.
fn ask_for_one(client: &mut Client, slot: u16, chunk: u32, proof: bool) -> (u32, Proof, Vec<u8>) {
    read_chunk(&ask_for(client, slot, chunk, 1, proof)[0].1)
}

/// Exactly one answer to each of these requests.
pub fn answers(client: &mut Client, number: u32, count: u32) -> Answers {
    let mut open: BTreeSet<u32> = (0..count).collect();
    (0..count)
        .map(|_| {
            let answer = client.answer();
            let request = answer.request.wrapping_sub(number);
            assert!(open.remove(&request), "nothing is owed to request {}", answer.request);
            (request, answer)
        })
        .collect()
}

/// The answer to one of them.
pub fn answer_of(answers: &Answers, request: u32) -> &Frame {
    let found = answers.iter().find(|(number, _)| *number == request);
    &found.expect("every request has an answer").1
}

/// Why those of them that were refused were.
pub fn reasons(answers: &Answers) -> BTreeSet<u8> {
    answers
        .iter()
        .filter(|(_, answer)| answer.id == id::REFUSED)
        .map(|(_, answer)| answer.refusal())
        .collect()
}

#[test]
fn every_chunk_comes_with_a_proof_and_together_they_are_the_content() {
    let peer = target::peer();
    let mut client = opened(&peer);
    let mut known = Known::default();
    let mut content = BTreeMap::new();
    for first in (0..chunks(peer.size)).step_by(usize::from(MAX_RUN)) {
        let count = (chunks(peer.size) - first).min(u32::from(MAX_RUN)) as u16;
        for (request, answer) in ask_for(&mut client, 0, first, count, true) {
            let (index, proof, data) = read_chunk(&answer);
            assert_eq!(index, first + request);
            known.check(peer.id, peer.size, index, &proof, &data);
            content.insert(index, data);
        }
    }
    let content: Vec<u8> = content.into_values().flatten().collect();
    assert_eq!(*blake3::hash(&content).as_bytes(), peer.id);
}

#[test]
fn a_proof_is_sent_only_if_asked_for() {
    let peer = target::peer();
    let mut client = opened(&peer);
    let (_, proof, data) = ask_for_one(&mut client, 0, 1, false);
    assert!(proof.is_empty());
    let again = ask_for_one(&mut client, 0, 1, true).1;
    assert!(again.is_right(peer.id, peer.size), "the first that was asked for");
    let manifest = client.call(id::GET_MANIFEST, &get_manifest(0, 0, 1, 1), id::MANIFEST).fields(Proof::read);
    assert!(manifest.is_right(peer.id, peer.size));
    assert_eq!(chunk_hash(peer.size, 1, &data), manifest.hash_of(1));
}

#[test]
fn a_manifest_comes_in_any_run_that_can_be_proved() {
    let peer = target::peer();
    let mut client = opened(&peer);
    let total = chunks(peer.size).min(8);
    let mut provable = 0;
    for first in 0..total {
        for count in 1..=total - first {
            let span = count.next_power_of_two();
            let reaches_end = first + count == chunks(peer.size);
            let answer = client.ask(id::GET_MANIFEST, &get_manifest(0, 0, first, count));
            if first % span == 0 && (count == span || reaches_end) {
                assert_eq!(answer.id, id::MANIFEST, "{first}+{count}");
                let proof = answer.fields(Proof::read);
                assert_eq!((proof.first, proof.hashes.len() as u32), (first, count));
                assert!(proof.is_right(peer.id, peer.size), "{first}+{count}");
                provable += 1;
            } else {
                assert_eq!(answer.refusal(), refusal::NOT_YET, "{first}+{count}");
            }
        }
    }
    assert!(provable > total);
}

#[test]
fn what_is_not_here_is_refused_and_the_slot_stays_free() {
    let peer = target::peer();
    let mut client = peer.target.greet();
    let unknown = std::array::from_fn(|_| fastrand::u8(..));
    for view in [BYTES, MEMBERS] {
        assert_eq!(client.ask(id::OPEN, &open(0, unknown, view)).refusal(), refusal::NOT_HERE);
    }
    assert_eq!(client.ask(id::OPEN, &open(0, peer.id, MEMBERS)).refusal(), refusal::NOT_HERE);
    client.call(id::OPEN, &open(0, peer.id, BYTES), id::OPENED);
}

#[test]
fn slots_are_limited_and_can_be_used_again() {
    let peer = target::peer();
    let mut client = opened(&peer);
    assert_eq!(client.ask(id::OPEN, &open(0, peer.id, BYTES)).error(), code::LIMIT);
    for slot in 1..MAX_SLOTS {
        // Slot numbers are the asker's choice: spread them over all of the range.
        client.call(id::OPEN, &open(slot * 255, peer.id, BYTES), id::OPENED);
    }
    assert_eq!(client.ask(id::OPEN, &open(7, peer.id, BYTES)).error(), code::LIMIT);
    client.call(id::CLOSE, &Body::new().u16(255), id::OK);
    client.call(id::OPEN, &open(7, peer.id, BYTES), id::OPENED);
    ask_for_one(&mut client, 7, 0, true);
}

#[test]
fn a_slot_that_is_not_open_ends_the_connection() {
    let peer = target::peer();
    for (id, body) in [
        (id::CLOSE, Body::new().u16(1)),
        (id::GET_CHUNK, get_chunk(1, 0, 1, false)),
        (id::GET_MANIFEST, get_manifest(1, 0, 0, 1)),
    ] {
        let mut client = opened(&peer);
        client.request(id, &body);
        client.ends_with(code::UNEXPECTED);
        let mut closed = opened(&peer);
        closed.call(id::CLOSE, &Body::new().u16(0), id::OK);
        closed.request(id, &Body::new().u16(0).raw(&body.0[2..]));
        closed.ends_with(code::UNEXPECTED);
    }
}

#[test]
fn chunks_that_do_not_exist_end_the_connection() {
    let peer = target::peer();
    let end = chunks(peer.size);
    for (first, count) in
        [(end, 1), (end - 1, 2), (0, 0), (ANY_CHUNK, 0), (ANY_CHUNK - 1, 1), (0, MAX_RUN + 1)]
    {
        let mut client = opened(&peer);
        client.request(id::GET_CHUNK, &get_chunk(0, first, count, false));
        client.ends_with(code::UNEXPECTED);
    }
    let mut client = opened(&peer);
    client.request(id::GET_CHUNK, &get_chunk(0, ANY_CHUNK, MAX_RUN + 1, false));
    client.ends_with(code::UNEXPECTED);
    let mut client = opened(&peer);
    client.send(&frame(id::GET_CHUNK, u32::MAX, &get_chunk(0, 0, 2, false)));
    client.ends_with(code::UNEXPECTED);
}

#[test]
fn hashes_that_do_not_exist_end_the_connection() {
    let peer = target::peer();
    let end = chunks(peer.size);
    for (file, first, count) in [(1, 0, 1), (u32::MAX, 0, 1), (0, end, 1), (0, u32::MAX, 2), (0, 0, 4097)] {
        let mut client = opened(&peer);
        client.request(id::GET_MANIFEST, &get_manifest(0, file, first, count));
        client.ends_with(code::UNEXPECTED);
    }
}

#[test]
fn any_chunk_gives_each_chunk_at_most_once_and_then_nothing_better() {
    let peer = target::peer();
    let mut client = opened(&peer);
    let (mut seen, mut known, mut refused) = (BTreeSet::new(), Known::default(), 0);
    for _ in 0..chunks(peer.size).div_ceil(u32::from(MAX_RUN)) + 1 {
        for (_, answer) in ask_for(&mut client, 0, ANY_CHUNK, MAX_RUN, true) {
            if answer.id == id::REFUSED {
                assert_eq!(answer.refusal(), refusal::NOTHING_BETTER);
                refused += 1;
                continue;
            }
            let (index, proof, data) = read_chunk(&answer);
            assert!(seen.insert(index), "chunk {index} twice");
            known.check(peer.id, peer.size, index, &proof, &data);
        }
    }
    assert!(refused > 0);
}

#[test]
fn any_chunk_leaves_out_what_the_asker_says_it_has() {
    let peer = target::peer();
    let mut client = opened(&peer);
    let last = chunks(peer.size) - 1;
    client.send(&frame(id::ASKER_HAVE, 0, &Body::new().u16(0).ranges(&[(0, last), (last + 1, 5)])));
    for (_, answer) in ask_for(&mut client, 0, ANY_CHUNK, 4, false) {
        match answer.id {
            id::REFUSED => assert_eq!(answer.refusal(), refusal::NOTHING_BETTER),
            _ => assert_eq!(read_chunk(&answer).0, last),
        }
    }
}

#[test]
fn a_chunk_that_proves_is_served_whatever_is_said_of_it() {
    let peer = target::peer();
    let mut client = opened(&peer);
    for _ in 0..3 {
        client.send(&frame(id::CORRUPT, 0, &Body::new().u16(0).u32(0)));
    }
    client.call(id::GET_CHUNK, &Body::new().u16(0).u32(0).u16(1).u8(0).u8(0), id::CHUNK);
}

#[test]
fn a_cancelled_request_still_has_exactly_one_answer() {
    let peer = target::peer();
    let mut client = opened(&peer);
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
    let all = answers(&mut client, number, COUNT);
    assert!(reasons(&all).is_subset(&[refusal::CANCELLED].into()));
    client.is_alive();
}

#[test]
fn past_the_queue_requests_are_busy_and_none_is_lost() {
    let peer = target::peer();
    let mut client = opened(&peer);
    let last = chunks(peer.size) - 1;
    let count = 2 * MAX_QUEUED_CHUNKS;
    let number = client.take_numbers(count);
    let bytes: Vec<u8> =
        (0..count).flat_map(|at| frame(id::GET_CHUNK, number + at, &get_chunk(0, last, 1, false))).collect();
    // As long as nothing is read, the server can send only what the sockets' buffers take.
    let all = std::thread::scope(|scope| {
        let mut sender = client.second();
        scope.spawn(move || sender.send(&bytes));
        answers(&mut client, number, count)
    });
    assert!(reasons(&all).is_subset(&[refusal::BUSY].into()));
    let chunks = all.iter().filter(|(_, answer)| answer.id == id::CHUNK).count();
    assert!(chunks >= MAX_QUEUED_CHUNKS as usize);
}

#[test]
fn a_session_may_come_byte_by_byte() {
    let peer = target::peer();
    let mut client = peer.target.greet();
    client.trickle(&frame(id::OPEN, 2, &open(3, peer.id, BYTES)));
    assert_eq!(client.answer_to(2).id, id::OPENED);
    client.trickle(&frame(id::GET_MANIFEST, 3, &get_manifest(3, 0, 0, 1)));
    assert_eq!(client.answer_to(3).id, id::MANIFEST);
    client.trickle(&frame(id::GET_CHUNK, 4, &get_chunk(3, 0, 1, true)));
    assert_eq!(client.answer_to(4).id, id::CHUNK);
    client.trickle(&frame(id::CLOSE, 5, &Body::new().u16(3)));
    assert_eq!(client.answer_to(5).id, id::OK);
}

#[test]
fn a_thousand_pipelined_requests_are_all_answered() {
    let peer = target::peer();
    let mut client = opened(&peer);
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
    let all = answers(&mut client, number, 1000);
    for (request, answer) in all {
        assert_eq!(answer.id, requests[request as usize].2);
    }
}

/// Size and id of the members of a listing, section 5.6.
fn members(listing: &[u8]) -> Vec<(u64, Hash)> {
    let mut fields = Fields(listing);
    assert_eq!(fields.raw(8), b"p2ptree2");
    assert!(fields.u16() <= 0o777);
    let mut members: Vec<(u64, Hash)> = Vec::new();
    let mut folders = vec![String::new()];
    let mut last = String::new();
    while !fields.0.is_empty() {
        let kind = fields.u8();
        if kind == 4 {
            break; // what was left out
        }
        let path = fields.text().to_owned();
        assert!(path > last, "in order: {last:?} {path:?}");
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        assert!(folders.iter().any(|listed| listed == folder), "{folder:?} is listed before {path:?}");
        match kind {
            0 => {
                assert!(fields.u16() <= 0o777);
                let _mtime = fields.u64();
                let member = (fields.u64(), fields.hash());
                if !members.contains(&member) {
                    members.push(member);
                }
            }
            1 => {
                assert!(fields.u16() <= 0o777);
                let _mtime = fields.u64();
                folders.push(path.clone());
            }
            2 => assert!(!fields.text().starts_with('/')),
            3 => assert!(fields.text() < path.as_str()),
            kind => panic!("kind {kind}"),
        }
        last = path;
    }
    members
}

#[test]
fn a_tree_is_fetched_and_then_its_members_as_one() {
    let peer = target::peer();
    let Some(tree) = peer.tree else { return };
    let mut client = peer.target.greet();
    let answer = client.call(id::OPEN, &open(0, tree, BYTES), id::OPENED);
    let (size, count) = read_opened(&answer);
    let mut known = Known::default();
    let fetched = (0..count).flat_map(|number| {
        let (index, proof, data) = ask_for_one(&mut client, 0, number, true);
        known.check(tree, size, index, &proof, &data);
        data
    });
    let listing: Vec<u8> = fetched.collect();
    assert_eq!(*blake3::hash(&listing).as_bytes(), tree);
    fetch_members(&mut client, tree, &members(&listing));
}

fn fetch_members(client: &mut Client, tree: Hash, members: &[(u64, Hash)]) {
    let answer = client.call(id::OPEN, &open(1, tree, MEMBERS), id::OPENED);
    let total = members.iter().map(|(size, _)| size).sum();
    let places: Vec<(usize, u32)> =
        (0..).zip(members).flat_map(|(at, (size, _))| (0..chunks(*size)).map(move |n| (at, n))).collect();
    assert_eq!(read_opened(&answer), (total, places.len() as u32));
    let mut known = Known::default();
    for (index, (member, chunk)) in (0..).zip(places) {
        let (size, hash) = members[member];
        let (told, proof, data) = ask_for_one(client, 1, index, true);
        assert_eq!(told, index);
        known.check(hash, size, chunk, &proof, &data);
        let get = get_manifest(1, member as u32, chunk, 1);
        let manifest = client.call(id::GET_MANIFEST, &get, id::MANIFEST).fields(Proof::read);
        assert!(manifest.is_right(hash, size), "manifest of member {member}");
    }
}
