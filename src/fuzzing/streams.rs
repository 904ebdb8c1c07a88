//! Bytes on connections: frames, messages, the handshake, and what a tracker makes of them.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio_util::codec::Decoder;

use super::Numbers;
use crate::content::{Chunk, PeerId};
use crate::tracker::directory::{Bounds, Directory};
use crate::tracker::session::{Effect, Session};
use crate::tracker::shared::Shared;
use crate::wire::{
    BetweenNodes, Bits, ChunkHead, Common, Frame, FrameCodec, FromServer, FromTracker, HEADER_BYTES, Hello,
    Label, Message, PREFACE_BYTES, Preface, Role, ToServer, ToTracker, limits,
};

pub(super) fn to_tracker(bytes: &[u8], _: &Path) {
    stream::<ToTracker>(bytes);
}

pub(super) fn from_tracker(bytes: &[u8], _: &Path) {
    stream::<FromTracker>(bytes);
}

pub(super) fn to_server(bytes: &[u8], _: &Path) {
    stream::<ToServer>(bytes);
}

pub(super) fn from_server(bytes: &[u8], _: &Path) {
    stream::<FromServer>(bytes);
    stream::<BetweenNodes>(bytes);
}

/// The frames that arrive in these pieces, and how the stream went wrong if it did.
fn frames(codec: &mut FrameCodec, pieces: &[&[u8]]) -> (Vec<Frame>, Option<String>) {
    let mut frames = Vec::new();
    let mut arrived = BytesMut::new();
    for piece in pieces {
        arrived.extend_from_slice(piece);
        loop {
            match codec.decode(&mut arrived) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error.to_string())),
            }
        }
    }
    (frames, None)
}

fn pieces(bytes: &[u8], seed: u8) -> Vec<&[u8]> {
    let mut rng = fastrand::Rng::with_seed(u64::from(seed));
    let mut rest = bytes;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let (piece, left) = rest.split_at(rng.usize(1..=rest.len().min(24)));
        pieces.push(piece);
        rest = left;
    }
    pieces
}

fn after_hello() -> FrameCodec {
    let mut codec = FrameCodec::before_hello();
    codec.hello_done();
    codec
}

/// However a stream is cut, it is the same frames; and what decodes encodes to the very bytes.
fn stream<M: Message>(bytes: &[u8]) {
    let Some((seed, bytes)) = bytes.split_first() else { return };
    let whole = frames(&mut after_hello(), &[bytes]);
    assert_eq!(frames(&mut after_hello(), &pieces(bytes, *seed)), whole);
    for frame in whole.0 {
        let Ok(message) = M::decode(frame.id, frame.body.clone()) else { continue };
        assert_eq!(encoded(frame.request, &message), encoded_frame(&frame), "{message:?}");
    }
}

fn encoded<M: Message>(request: u32, message: &M) -> BytesMut {
    let mut out = BytesMut::new();
    message.put_frame(request, &mut out);
    out
}

fn encoded_frame(frame: &Frame) -> Vec<u8> {
    let length = (frame.body.len() + HEADER_BYTES - 4) as u32;
    [&length.to_be_bytes()[..], &[frame.id], &frame.request.to_be_bytes(), &frame.body].concat()
}

/// A preface that passes is ours to the byte; before HELLO no frame above its limit is waited for.
pub(super) fn hello(bytes: &[u8], _: &Path) {
    let Some((preface, rest)) = bytes.split_first_chunk::<PREFACE_BYTES>() else { return };
    if Preface::check(*preface).is_ok() {
        assert_eq!(*preface, Preface::OURS.encode());
    }
    let (frames, trouble) = frames(&mut FrameCodec::before_hello(), &[rest]);
    let used: usize = frames.iter().map(|frame| frame.body.len() + HEADER_BYTES).sum();
    let waiting = rest.len() - used;
    assert!(trouble.is_some() || waiting < limits::MAX_HELLO_FRAME_BYTES + 4, "{waiting} bytes are kept");
    for frame in frames {
        if let Ok(message) = Common::decode(frame.id, frame.body.clone()) {
            assert_eq!(encoded(frame.request, &message), encoded_frame(&frame));
        }
    }
}

/// A head is read only when all of it is there, and then to its end and no further.
pub(super) fn chunk_head(bytes: &[u8], _: &Path) {
    let Ok(Some((head, len))) = ChunkHead::peek(bytes) else { return };
    assert!(len <= bytes.len() && len <= ChunkHead::MAX_BYTES);
    assert_eq!(ChunkHead::peek(&bytes[..len - 1]).ok(), Some(None), "before its end it is not there");
    let mut out = BytesMut::new();
    head.put_frame(9, bytes.len() - len, &mut out);
    assert_eq!(out[HEADER_BYTES..], bytes[..len]);
}

/// A bitmap that is taken has one bit for each chunk, and is sent on as it came.
pub(super) fn bitmap(bytes: &[u8], _: &Path) {
    let mut numbers = Numbers(bytes);
    let chunks = numbers.u32() % limits::MAX_CHUNKS;
    let bits = Bits::Map(Bytes::copy_from_slice(numbers.0));
    let Some(set) = bits.to_set(chunks) else { return };
    assert_eq!(set.len(), chunks);
    assert_eq!(set.iter().filter(|chunk| *chunk < Chunk(chunks)).count(), set.count() as usize);
    assert_eq!(Bits::from(&set).to_set(chunks), Some(set));
}

/// Three connections of two peers say whatever they like to a tracker with little room: each request
/// gets its answer, within the limits of a frame.
pub(super) fn session(bytes: &[u8], _: &Path) {
    let start = Instant::now();
    let mut now = start;
    let bounds = Bounds {
        registrations: 40,
        bytes: 1 << 20,
        bitmap_bytes_per_peer: 600,
        bitmap_bytes: 1000,
        ..Bounds::default()
    };
    let shared = Shared::new(Directory::new(Duration::from_secs(30), bounds, 7, start));
    let mut sessions: Vec<Session> = (0..3).map(member).collect();
    for frame in frames(&mut after_hello(), &[bytes]).0 {
        let Ok(message) = ToTracker::decode(frame.id, frame.body) else { continue };
        let which = frame.request as usize % sessions.len();
        now += Duration::from_secs(u64::from(frame.request >> 8 & 0x1f));
        let owed = !matches!(message, ToTracker::Common(Common::Error(_)));
        let mut reply = sessions[which].answer(&shared, message, now);
        while let Some(Effect::GoOn | Effect::Wait(_)) = reply.effect {
            if let Some(Effect::Wait(until)) = reply.effect {
                now = now.max(until);
            }
            reply = sessions[which].go_on(&shared, now);
        }
        assert_eq!(reply.answer.is_some(), owed);
        if let Some(answer) = reply.answer {
            let frame = encoded(1, &answer);
            assert!(frame.len() <= limits::MAX_FRAME_BYTES + 4, "an answer of {} bytes", frame.len());
        }
        if reply.close {
            sessions[which].end(&shared, now);
            sessions[which] = member(which as u64 + 3 * u64::from(frame.request));
        }
    }
    sessions.iter().for_each(|session| session.end(&shared, now));
    let status = shared.lock().status(now);
    assert_eq!((status.peers, status.names, status.registrations), (0, 0, 0), "nothing is left behind");
}

fn member(connection: u64) -> Session {
    let hello = Hello {
        min_version: limits::MIN_VERSION,
        max_version: limits::MAX_VERSION,
        features: 0,
        role: Role::Member,
        peer: PeerId([(connection % 3 / 2) as u8; 16]),
        listen_port: 1,
        name: Label::new("fuzz"),
        software: Label::default(),
    };
    Session::new(connection, IpAddr::V4(Ipv4Addr::LOCALHOST).into(), &hello)
}
