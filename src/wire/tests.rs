//! The same properties for every message: one list of samples feeds them all.

mod limits;
mod samples;

use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;
use tokio_util::codec::Decoder;

use super::limits::{MAX_FRAME_BYTES, MAX_HELLO_FRAME_BYTES};
use super::*;
use crate::content::{Chunk, ChunkSet, Proof};
use samples::{Sampled, proof, samples};

fn frame_of<M: Message>(request: u32, message: &M) -> Vec<u8> {
    let mut out = BytesMut::new();
    message.put_frame(request, &mut out);
    out.to_vec()
}

fn open_codec() -> FrameCodec {
    let mut codec = FrameCodec::before_hello();
    codec.hello_done();
    codec
}

fn every_kind_has_a_sample<M: Sampled>() {
    let all: Vec<M> = samples();
    for (id, label) in M::TABLE {
        let found = all.iter().find(|message| message.id() == *id);
        assert_eq!(found.map(Message::label), Some(*label), "0x{id:02x}");
    }
}

fn round_trip_and_stated_length<M: Sampled>() {
    for message in samples::<M>() {
        let mut bytes = BytesMut::from(&[0xee; 3][..]); // what stands before a frame stays as it is
        message.put_frame(77, &mut bytes);
        assert_eq!(bytes.split_to(3).as_ref(), [0xee; 3]);
        let header = RawHeader::peek(&bytes).unwrap().unwrap();
        assert_eq!(header.body_bytes + HEADER_BYTES, bytes.len(), "{message:?}");
        assert_eq!((header.id, header.request), (message.id(), 77));
        let frame = open_codec().decode(&mut bytes).unwrap().unwrap();
        assert!(bytes.is_empty());
        assert_eq!(M::decode(frame.id, frame.body), Ok(message));
    }
}

fn proper_prefixes_need_more<M: Sampled>() {
    for message in samples::<M>() {
        let bytes = frame_of(1, &message);
        for len in 0..bytes.len() {
            let mut prefix = BytesMut::from(&bytes[..len]);
            assert!(matches!(open_codec().decode(&mut prefix), Ok(None)), "{len} bytes of {message:?}");
            assert_eq!(prefix.len(), len, "nothing is taken off");
        }
        let body = Bytes::from(bytes).slice(HEADER_BYTES..);
        for len in 0..body.len() {
            let cut = M::decode(message.id(), body.slice(..len));
            assert_eq!(cut, Err(DecodeError::Truncated), "{len} bytes of the body of {message:?}");
        }
        let long = [&body[..], &[0]].concat();
        assert_eq!(M::decode(message.id(), long.into()), Err(DecodeError::Trailing(1)), "{message:?}");
    }
}

fn ids_of_other_directions_are_unknown<M: Sampled>() {
    let known = |id: u8| M::TABLE.iter().chain(Common::TABLE).any(|(known, _)| *known == id);
    for id in (0..=u8::MAX).filter(|id| !known(*id)) {
        assert_eq!(M::decode(id, Bytes::new()), Err(DecodeError::UnknownMessage(id)));
    }
}

/// Bytes that decode are exactly the bytes of what they decode to: there is one encoding.
fn decodes_only_what_it_encodes<M: Sampled>(id: u8, body: &[u8]) {
    if let Ok(message) = M::decode(id, Bytes::copy_from_slice(body)) {
        assert_eq!(&frame_of(0, &message)[HEADER_BYTES..], body, "{message:?}");
    }
    if id == ChunkHead::ID {
        let _ = ChunkHead::peek(body);
    }
}

/// All messages of a direction in one stream, cut into pieces of these lengths in turn.
fn any_split_gives_the_same_messages<M: Sampled>(pieces: &[usize]) {
    let all: Vec<M> = samples();
    let stream: Vec<u8> = all.iter().zip(1..).flat_map(|(message, n)| frame_of(n, message)).collect();
    let (mut codec, mut buffer, mut got) = (open_codec(), BytesMut::new(), Vec::new());
    let (mut rest, mut lengths) = (&stream[..], pieces.iter().cycle());
    while let Some(length) = lengths.next().filter(|_| !rest.is_empty()) {
        let (piece, after) = rest.split_at((*length).min(rest.len()));
        buffer.extend_from_slice(piece);
        rest = after;
        while let Some(frame) = codec.decode(&mut buffer).unwrap() {
            assert_eq!(frame.request as usize, got.len() + 1);
            got.push(M::decode(frame.id, frame.body).unwrap());
        }
    }
    assert_eq!(got, all);
    assert!(buffer.is_empty());
}

/// Runs a property for each direction.
macro_rules! all_directions {
    ($property:ident($($argument:expr),*)) => {
        $property::<Common>($($argument),*);
        $property::<ToTracker>($($argument),*);
        $property::<FromTracker>($($argument),*);
        $property::<ToServer>($($argument),*);
        $property::<FromServer>($($argument),*);
        $property::<BetweenNodes>($($argument),*);
    };
}

#[test]
fn every_kind_of_message_has_a_sample() {
    all_directions!(every_kind_has_a_sample());
}

#[test]
fn messages_read_back_and_state_their_length() {
    all_directions!(round_trip_and_stated_length());
}

#[test]
fn a_proper_prefix_is_never_a_message() {
    all_directions!(proper_prefixes_need_more());
}

#[test]
fn a_message_of_another_direction_is_unknown() {
    all_directions!(ids_of_other_directions_are_unknown());
}

#[test]
fn a_stream_may_be_split_at_every_byte() {
    all_directions!(any_split_gives_the_same_messages(&[1]));
}

/// The frames of every sample of every direction.
fn all_frames() -> Vec<Vec<u8>> {
    fn frames<M: Sampled>() -> Vec<Vec<u8>> {
        samples::<M>().iter().map(|message| frame_of(9, message)).collect()
    }
    [frames::<Common>(), frames::<ToTracker>(), frames::<FromTracker>(), frames::<ToServer>()]
        .into_iter()
        .chain([frames::<FromServer>(), frames::<BetweenNodes>()])
        .flatten()
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_stream_may_be_split_anywhere(pieces in proptest::collection::vec(1_usize..200, 1..20)) {
        all_directions!(any_split_gives_the_same_messages(&pieces));
    }

    #[test]
    fn random_bodies_never_panic(id: u8, body in proptest::collection::vec(any::<u8>(), 0..300)) {
        all_directions!(decodes_only_what_it_encodes(id, &body));
    }

    #[test]
    fn damaged_messages_never_panic(
        pick: prop::sample::Index,
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 0..4),
        cut: prop::sample::Index,
        truncate: bool,
    ) {
        let frames = all_frames();
        let frame = &frames[pick.index(frames.len())];
        let (id, mut body) = (frame[4], frame[HEADER_BYTES..].to_vec());
        for (at, bit) in flips.iter().filter(|_| frame.len() > HEADER_BYTES) {
            let at = at.index(body.len());
            body[at] ^= 1 << bit;
        }
        if truncate {
            body.truncate(cut.index(body.len() + 1));
        }
        all_directions!(decodes_only_what_it_encodes(id, &body));
    }

    #[test]
    fn random_streams_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut buffer = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = open_codec().decode(&mut buffer) {}
        prop_assert!(buffer.len() <= bytes.len());
    }
}

#[test]
fn frames_outside_their_limits_are_refused_by_their_length_alone() {
    let refused = |mut codec: FrameCodec, length: usize| {
        let mut bytes = BytesMut::new();
        bytes.put_u32(length as u32);
        codec.decode(&mut bytes)
    };
    for length in 0..HEADER_BYTES - 4 {
        let small = refused(open_codec(), length);
        assert!(matches!(small, Err(FrameError::TooSmall(got)) if got == length));
    }
    for (codec, limit) in
        [(FrameCodec::before_hello(), MAX_HELLO_FRAME_BYTES), (open_codec(), MAX_FRAME_BYTES)]
    {
        let large = refused(codec, limit + 1);
        assert!(
            matches!(large, Err(FrameError::TooLarge { got, limit: l }) if (got, l) == (limit + 1, limit))
        );
    }
    assert!(matches!(refused(FrameCodec::before_hello(), MAX_HELLO_FRAME_BYTES), Ok(None)));
    assert!(matches!(refused(open_codec(), MAX_FRAME_BYTES), Ok(None)));
}

#[test]
fn a_chunk_head_stands_before_the_data_and_needs_no_more_than_itself() {
    for proof in [Proof::default(), proof()] {
        let head = ChunkHead { index: Chunk(17), proof };
        let mut frame = BytesMut::new();
        head.put_frame(5, 3, &mut frame);
        let length = frame.len();
        frame.extend_from_slice(b"abc");
        let header = RawHeader::peek(&frame).unwrap().unwrap();
        assert_eq!((header.id, header.request), (ChunkHead::ID, 5));
        assert_eq!(header.body_bytes + HEADER_BYTES, frame.len());
        let body = &frame[HEADER_BYTES..];
        let head_bytes = length - HEADER_BYTES;
        for len in 0..head_bytes {
            assert_eq!(ChunkHead::peek(&body[..len]), Ok(None));
        }
        assert_eq!(ChunkHead::peek(body), Ok(Some((head, head_bytes))));
    }
}

#[test]
fn only_our_preface_is_ours() {
    let ours = Preface::OURS.encode();
    assert_eq!(Preface::check(ours), Ok(()));
    for at in 0..PREFACE_BYTES {
        let mut other = ours;
        other[at] ^= 0x10;
        let expected = match at {
            0..4 => PrefaceError::Magic,
            4..6 => PrefaceError::Version(u16::from_be_bytes([other[4], other[5]])),
            _ => PrefaceError::Mode(0x10),
        };
        assert_eq!(Preface::check(other), Err(expected));
    }
}

#[test]
fn texts_and_lists_are_cut_to_what_fits() {
    let text: Label = Text::new("ü".repeat(200));
    assert_eq!(text.len(), 254, "cut at a character");
    let list: List<u8, 3> = List::new(vec![1, 2, 3, 4]);
    assert_eq!(&*list, [1, 2, 3]);
}

#[test]
fn a_bitmap_stands_for_a_set_of_so_many_chunks() {
    let (none, all, mut some) = (ChunkSet::empty(9), ChunkSet::full(9), ChunkSet::empty(9));
    some.insert(Chunk(8));
    let map = Bits::Map(Bytes::from_static(&[0, 0x80]));
    for (set, bits) in [(none, Bits::None), (all, Bits::All), (some, map)] {
        assert_eq!(Bits::from(&set), bits);
        assert_eq!(bits.to_set(9), Some(set));
    }
    assert_eq!(Bits::Map(Bytes::from_static(&[0, 0x80])).to_set(8), None);
}
