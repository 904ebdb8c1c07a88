//! A bulk connection against a plain socket: what it reads, what it sends and when it wakes.

use std::io::{Read, Write};

use super::*;
use crate::content::{Chunk, Rate, Run};
use crate::net::tests::greeted;
use crate::wire::{
    AskerHas, Cancel, ChunkHead, FromServer, GetLoad, List, Load, ServerHas, ToServer, limits,
};

const LONG: Duration = Duration::from_secs(3600);

/// The serving side, and the plain socket that asks.
fn serving() -> (Bulk<FromServer>, TcpStream) {
    with_rest(Side::Serve, &[])
}

fn with_rest<S: Message + From<Common>>(side: Side, rest: &[u8]) -> (Bulk<S>, TcpStream) {
    let (session, far) = greeted(rest);
    let (bulk, theirs) = Bulk::new(session, side, Arc::new(Wake::new().unwrap())).unwrap();
    assert_eq!(&*theirs.name, "far");
    (bulk, far)
}

fn frame(request: u32, message: impl Into<ToServer>) -> BytesMut {
    let mut out = BytesMut::new();
    message.into().put_frame(request, &mut out);
    out
}

/// Waits for bytes and reads them.
fn fill(bulk: &mut Bulk<FromServer>) -> Filled {
    assert!(bulk.wait(true, false, Some(Instant::now() + LONG)).unwrap());
    bulk.fill().unwrap()
}

/// The next message, if it is there.
fn next(bulk: &mut Bulk<FromServer>) -> Option<(u32, ToServer)> {
    let header = bulk.header(None, 0).unwrap()?;
    Some((header.request, bulk.message(header).unwrap()?))
}

/// So many ranges that the small buffer does not hold them.
fn many() -> AskerHas {
    let ranges: Vec<Run> = (0..limits::MAX_RANGES as u32).map(|at| Run::new(Chunk(2 * at), 1)).collect();
    AskerHas { slot: 1, gained: List::new(ranges) }
}

#[test]
fn what_came_behind_hello_is_read_first_and_messages_may_come_in_pieces() {
    let stream = [frame(1, GetLoad {}), frame(2, many()), frame(3, Cancel { target: 1 })].concat();
    let (mut bulk, mut far) = with_rest::<FromServer>(Side::Serve, &stream[..3]);
    assert_eq!(bulk.arrived(), &stream[..3]);
    assert_eq!(next(&mut bulk), None);
    let mut got = Vec::new();
    for piece in stream[3..].chunks(1000) {
        far.write_all(piece).unwrap();
        fill(&mut bulk);
        got.extend(std::iter::from_fn(|| next(&mut bulk)));
    }
    while got.len() < 3 {
        fill(&mut bulk);
        got.extend(std::iter::from_fn(|| next(&mut bulk)));
    }
    assert_eq!(got, [(1, GetLoad {}.into()), (2, many().into()), (3, Cancel { target: 1 }.into())]);
    assert!(bulk.arrived().is_empty());
}

#[test]
fn a_read_says_whether_more_may_be_there() {
    let (mut bulk, mut far) = serving();
    assert_eq!(bulk.fill().unwrap(), Filled::Nothing);
    let before = bulk.moved();
    far.write_all(&[7; 10]).unwrap();
    assert_eq!(fill(&mut bulk), Filled::Drained);
    assert!(bulk.moved() > before);
    assert_eq!(bulk.arrived(), [7; 10]);
    bulk.consume(4);
    assert_eq!(bulk.arrived(), [7; 6]);
    far.write_all(&vec![7; 2 * READ_BUFFER_BYTES]).unwrap();
    while fill(&mut bulk) != Filled::ToTheBrim {}
    while bulk.arrived().len() < READ_BUFFER_BYTES {
        fill(&mut bulk);
    }
    assert_eq!(bulk.fill().unwrap(), Filled::Nothing, "there is no room");
    bulk.consume(READ_BUFFER_BYTES);
    drop(far);
    let end = loop {
        match bulk.fill() {
            Ok(_) => bulk.consume(bulk.arrived().len()),
            Err(error) => break error,
        }
    };
    assert!(matches!(end, NetError::Closed));
}

#[test]
fn the_buffer_of_a_server_grows_with_what_has_come_and_is_small_again_behind_it() {
    let (mut bulk, mut far) = serving();
    let long = frame(1, many());
    for (sent, most) in [(1, 0), (SMALL_BUFFER_BYTES, SMALL_BUFFER_BYTES), (long.len() / 2, long.len())] {
        let (mut bulk, mut far) = serving();
        far.write_all(&long[..sent]).unwrap();
        while bulk.arrived().len() < sent {
            fill(&mut bulk);
        }
        bulk.fill().unwrap();
        assert!(bulk.grown_bytes() <= most, "{} for {sent}", bulk.grown_bytes());
    }
    far.write_all(&long).unwrap();
    let got = loop {
        fill(&mut bulk);
        if let Some(got) = next(&mut bulk) {
            break got;
        }
        assert!(bulk.grown_bytes() <= 2 * bulk.arrived().len());
    };
    assert_eq!((got, bulk.grown_bytes()), ((1, many().into()), 0));
}

#[test]
fn a_frame_outside_its_limits_is_refused_by_its_length() {
    let length = |bytes: usize, id: &[u8]| [&(bytes as u32).to_be_bytes(), id].concat();
    let refused = |bytes: &[u8], big: Option<u8>, big_bytes: usize| {
        with_rest::<ToServer>(Side::Fetch, bytes).0.header(big, big_bytes)
    };
    let chunk = Some(ChunkHead::ID);
    let large = MAX_PEER_FRAME_BYTES + 1;
    for (bytes, big, limit) in [
        (length(large, &[]), None, MAX_PEER_FRAME_BYTES),
        (length(large, &[0x70]), chunk, MAX_PEER_FRAME_BYTES),
        (length(large + 9, &[ChunkHead::ID]), chunk, large + 8),
        (length(large + 9, &[]), chunk, large + 8),
    ] {
        match refused(&bytes, big, large + 8) {
            Err(NetError::Frame(FrameError::TooLarge { limit: stated, .. })) => assert_eq!(stated, limit),
            other => panic!("{other:?}"),
        }
    }
    for bytes in [length(large, &[ChunkHead::ID]), length(large, &[]), length(5, &[]), vec![0; 3]] {
        assert_eq!(refused(&bytes, chunk, large + 8).unwrap(), None, "the rest may come");
    }
    let small = refused(&length(4, &[]), None, 0);
    assert!(matches!(small, Err(NetError::Frame(FrameError::TooSmall(4)))));
}

#[test]
fn what_is_queued_while_data_is_sent_comes_behind_it() {
    let (mut bulk, mut far) = serving();
    let load = |queued| Load { uploads: 1, downloads: 2, queued, rate: Rate::new(4) };
    bulk.queue(1, load(1));
    ChunkHead { index: Chunk(0), proof: crate::content::Proof::default() }.put_frame(2, 4, bulk.unsent());
    bulk.data_follows();
    bulk.queue(3, load(3));
    bulk.queue(0, ServerHas { slot: 1, gained: List::default() });
    let waiting = bulk.unsent_bytes();
    assert!(bulk.flush(true).unwrap(), "all but what is behind the data");
    assert!(bulk.unsent_bytes() < waiting && bulk.unsent_bytes() > 0);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"..data..").unwrap();
    let mut offset = 2;
    let mut left = 4;
    while left > 0 {
        left -= bulk.send_file(&file, &mut offset, left).unwrap().unwrap_or(0);
    }
    assert_eq!(offset, 6);
    bulk.data_left();
    assert!(bulk.flush(false).unwrap());
    assert_eq!(bulk.unsent_bytes(), 0);
    drop(bulk);
    let mut expected = BytesMut::new();
    FromServer::from(load(1)).put_frame(1, &mut expected);
    ChunkHead { index: Chunk(0), proof: crate::content::Proof::default() }.put_frame(2, 4, &mut expected);
    expected.extend_from_slice(b"data");
    FromServer::from(load(3)).put_frame(3, &mut expected);
    FromServer::from(ServerHas { slot: 1, gained: List::default() }).put_frame(0, &mut expected);
    let mut got = Vec::new();
    far.read_to_end(&mut got).unwrap();
    assert_eq!(got, expected);
}

#[test]
fn it_waits_for_bytes_room_a_call_or_a_moment() {
    let (mut bulk, mut far) = serving();
    let moment = || Some(Instant::now() + Duration::from_millis(20));
    assert!(!bulk.wait(true, false, moment()).unwrap(), "nothing happens");
    let wake = bulk.wake.clone();
    wake.wake();
    assert!(!bulk.wait(true, false, None).unwrap(), "it was called");
    assert!(!bulk.wait(false, true, None).unwrap(), "there is room");
    assert!(bulk.room && bulk.has_room().unwrap());
    far.write_all(b"x").unwrap();
    assert!(bulk.wait(true, true, None).unwrap());
    assert!(!bulk.wait(false, false, moment()).unwrap(), "nobody asked for bytes");
    while bulk.flush(false).unwrap() {
        bulk.unsent().extend_from_slice(&[0; 1 << 20]);
    }
    assert!(!bulk.has_room().unwrap(), "the other side does not read");
}

#[test]
fn the_other_side_hears_why_it_ends() {
    let (bulk, mut far) = serving();
    bulk.end(&NetError::Unexpected("PONG"));
    let mut got = Vec::new();
    far.read_to_end(&mut got).unwrap();
    let header = RawHeader::peek(&got).unwrap().unwrap();
    let message = FromServer::decode(header.id, Bytes::copy_from_slice(&got[HEADER_BYTES..])).unwrap();
    let FromServer::Common(Common::Error(problem)) = message else { panic!("{message:?}") };
    assert_eq!((header.request, &*problem.detail), (0, "unexpected PONG"));
    let (bulk, mut far) = serving();
    bulk.end(&NetError::Closed);
    assert_eq!(far.read(&mut [0; 8]).unwrap(), 0, "nobody is told that it is gone");
}
