//! The same properties for every message: one list of samples feeds them all.
//!
//! The lists are chains over exhaustive matches, so that a new message does not compile before it
//! has a sample.

use std::iter::successors;

use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;
use tokio_util::codec::Decoder;

use super::limits::*;
use super::*;
use crate::content::{ChunkHash, ChunkSet, FileId, Host, Looks, PeerId, Proof};

/// A message whose kinds can be walked through.
trait Sampled: Message + Clone + PartialEq {
    const TABLE: &[(u8, &'static str)];
    /// A sample of the kind that follows the kind of `after`; the first without one.
    fn next(after: Option<&Self>) -> Option<Self>;
    /// More samples, of kinds that have several forms.
    fn more() -> Vec<Self>;
}

fn samples<M: Sampled>() -> Vec<M> {
    successors(M::next(None), |last| M::next(Some(last))).chain(M::more()).collect()
}

fn id(byte: u8) -> FileId {
    FileId([byte; 32])
}

fn hash(byte: u8) -> ChunkHash {
    ChunkHash([byte; 32])
}

fn ranges() -> Ranges {
    List::new(vec![(0, 3), (9, 1)])
}

fn offer(name: &str) -> Offer {
    Offer {
        name: Text::new(name),
        id: id(1),
        size: 200_000,
        total: 200_000,
        chunks: 4,
        complete: true,
        original: true,
        modified: 1_700_000_000,
    }
}

fn proof() -> Proof {
    Proof { first: 16, hashes: vec![hash(1), hash(2), hash(3)], path: vec![hash(4), hash(5)] }
}

fn holder() -> Holder {
    Holder {
        peer: PeerId([2; 16]),
        name: Text::new("anna"),
        host: Host::new("2001:db8::1").unwrap(),
        port: 9701,
        have: 4,
        uploads: 1,
        downloads: 0,
        original: true,
    }
}

fn variant() -> Variant {
    Variant {
        name: Text::new("fotos/"),
        id: id(1),
        size: 96,
        total: 1 << 40,
        chunks: 9,
        seeders: 1,
        leechers: 2,
        original: false,
        agreed: true,
        modified: 1_700_000_000,
        holders: List::new(vec![holder(), holder()]),
    }
}

fn entry() -> Entry {
    Entry { name: Text::new("ä b\n"), id: id(3), size: 1, total: 1, seeders: 1, leechers: 0 }
}

fn peer_info() -> PeerInfo {
    PeerInfo {
        peer: PeerId([2; 16]),
        name: Text::new("anna"),
        host: Host::new("10.0.0.1").unwrap(),
        port: 9701,
        offers: 12,
        uploads: 1,
        downloads: 0,
        silent_ms: 1500,
    }
}

fn hello() -> Hello {
    Hello {
        min_version: 1,
        max_version: 1,
        features: 1 << 63,
        role: Role::Member,
        peer: PeerId([2; 16]),
        listen_port: 9701,
        name: Text::new("anna"),
        software: Text::new("p2p/0.1.0"),
    }
}

impl Sampled for Common {
    const TABLE: &[(u8, &'static str)] = Common::TABLE;

    fn next(after: Option<&Common>) -> Option<Common> {
        Some(match after {
            None => hello().into(),
            Some(Common::Hello(_)) => {
                Common::Error(Error { code: ErrorCode::BadName, detail: Text::new("no such name") })
            }
            Some(Common::Error(_)) => Common::Ping,
            Some(Common::Ping) => Common::Pong,
            Some(Common::Pong) => Common::Leave,
            Some(Common::Leave) => Common::Ok,
            Some(Common::Ok) => return None,
        })
    }

    fn more() -> Vec<Common> {
        let error = |code: &ErrorCode| Common::Error(Error { code: *code, detail: Text::default() });
        let role = |role: &Role| Common::Hello(Hello { role: *role, ..hello() });
        ErrorCode::ALL.iter().map(error).chain(Role::ALL.iter().map(role)).collect()
    }
}

impl Sampled for ToTracker {
    const TABLE: &[(u8, &'static str)] = ToTracker::TABLE;

    fn next(after: Option<&ToTracker>) -> Option<ToTracker> {
        Some(match after {
            None => Common::Ping.into(),
            Some(ToTracker::Common(_)) => Register {
                host: Host::new("peer.example").unwrap(),
                port: 9701,
                offers: List::new(vec![offer("a"), offer("b/")]),
            }
            .into(),
            Some(ToTracker::Register(_)) => Update {
                added: List::new(vec![offer("c")]),
                removed: List::new(vec![(Text::new("a"), id(1))]),
            }
            .into(),
            Some(ToTracker::Update(_)) => {
                HaveChunks { id: id(1), view: View::Members, gained: ranges() }.into()
            }
            Some(ToTracker::HaveChunks(_)) => Locate {
                name: Text::new("a"),
                id: FileId::NONE,
                purpose: Purpose::Fetch,
                max: 16,
                missing: ranges(),
            }
            .into(),
            Some(ToTracker::Locate(_)) => {
                GetList { pattern: Text::new("*.iso"), after: Text::new("b"), limit: 100 }.into()
            }
            Some(ToTracker::GetList(_)) => Heartbeat { uploads: 3, downloads: 1, space: 1 << 40 }.into(),
            Some(ToTracker::Heartbeat(_)) => {
                Report { peer: PeerId([2; 16]), id: id(1), chunk: 7, complaint: Complaint::Corrupt }.into()
            }
            Some(ToTracker::Report(_)) => GetStatus {}.into(),
            Some(ToTracker::GetStatus(_)) => GetPeers { after: PeerId([0; 16]), limit: 10 }.into(),
            Some(ToTracker::GetPeers(_)) => return None,
        })
    }

    fn more() -> Vec<ToTracker> {
        vec![
            Register { host: Host::default(), port: 0, offers: List::default() }.into(),
            Update { added: List::default(), removed: List::default() }.into(),
        ]
    }
}

impl Sampled for FromTracker {
    const TABLE: &[(u8, &'static str)] = FromTracker::TABLE;

    fn next(after: Option<&FromTracker>) -> Option<FromTracker> {
        Some(match after {
            None => Common::Ok.into(),
            Some(FromTracker::Common(_)) => Registered { lease_ms: 30_000, epoch: 7 }.into(),
            Some(FromTracker::Registered(_)) => {
                Located { variants: List::new(vec![variant(), variant()]), near: List::default() }.into()
            }
            Some(FromTracker::Located(_)) => {
                Listing { entries: List::new(vec![entry(), entry()]), more: true }.into()
            }
            Some(FromTracker::Listing(_)) => {
                Status { uptime_ms: 1, epoch: 7, peers: 2, names: 3, registrations: 4, located: 5 }.into()
            }
            Some(FromTracker::Status(_)) => Peers { peers: List::new(vec![peer_info()]), more: false }.into(),
            Some(FromTracker::Peers(_)) => Keep { id: id(1), chunks: ranges() }.into(),
            Some(FromTracker::Keep(_)) => Drop { id: id(1) }.into(),
            Some(FromTracker::Drop(_)) => return None,
        })
    }

    fn more() -> Vec<FromTracker> {
        vec![Located { variants: List::default(), near: List::new(vec![Text::new("nearly")]) }.into()]
    }
}

impl Sampled for ToServer {
    const TABLE: &[(u8, &'static str)] = ToServer::TABLE;

    fn next(after: Option<&ToServer>) -> Option<ToServer> {
        Some(match after {
            None => Common::Leave.into(),
            Some(ToServer::Common(_)) => Open { slot: 1, id: id(1), view: View::Members }.into(),
            Some(ToServer::Open(_)) => Close { slot: 1 }.into(),
            Some(ToServer::Close(_)) => GetManifest { slot: 1, file: 2, first: 16, count: 16 }.into(),
            Some(ToServer::GetManifest(_)) => {
                GetChunk { slot: 1, first: ANY_CHUNK, count: 256, proof: true, behind: true }.into()
            }
            Some(ToServer::GetChunk(_)) => Cancel { target: 5 }.into(),
            Some(ToServer::Cancel(_)) => GetLoad {}.into(),
            Some(ToServer::GetLoad(_)) => AskerHas { slot: 1, gained: ranges() }.into(),
            Some(ToServer::AskerHas(_)) => Corrupt { slot: 1, chunk: 17 }.into(),
            Some(ToServer::Corrupt(_)) => return None,
        })
    }

    fn more() -> Vec<ToServer> {
        View::ALL.iter().map(|view| Open { slot: u16::MAX, id: id(0), view: *view }.into()).collect()
    }
}

impl Sampled for FromServer {
    const TABLE: &[(u8, &'static str)] = FromServer::TABLE;

    fn next(after: Option<&FromServer>) -> Option<FromServer> {
        Some(match after {
            None => Common::Pong.into(),
            Some(FromServer::Common(_)) => {
                let looks = Some(Looks { mode: 0o755, mtime_ns: -1 });
                Opened { size: 200_000, chunks: 4, have: Bits::All, looks }.into()
            }
            Some(FromServer::Opened(_)) => Manifest { proof: proof() }.into(),
            Some(FromServer::Manifest(_)) => ChunkHead { index: 17, proof: proof() }.into(),
            Some(FromServer::ChunkHead(_)) => Refused { reason: Refusal::Gone }.into(),
            Some(FromServer::Refused(_)) => Load { uploads: 1, downloads: 2, queued: 3, rate: 4 }.into(),
            Some(FromServer::Load(_)) => ServerHas { slot: 1, gained: ranges() }.into(),
            Some(FromServer::ServerHas(_)) => return None,
        })
    }

    fn more() -> Vec<FromServer> {
        let bits = [Bits::None, Bits::Map(Bytes::from_static(&[0b1010_0000])), Bits::Map(Bytes::new())];
        let opened = bits.into_iter().map(|have| Opened { size: 1, chunks: 3, have, looks: None }.into());
        let refused = Refusal::ALL.iter().map(|reason| Refused { reason: *reason }.into());
        let bare = ChunkHead { index: 0, proof: Proof::default() }.into();
        opened.chain(refused).chain([bare]).collect()
    }
}

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
        .chain([frames::<FromServer>()])
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

/// A body that is only a length or count, with none of what it announces: the limit must be what
/// is complained about, so it was looked at before anything else.
fn over_limit<M: Message>(id: u8, head: &[&[u8]], limit_of_got: (usize, usize)) {
    let (limit, got) = limit_of_got;
    match M::decode(id, head.concat().into()) {
        Err(DecodeError::OverLimit { limit: l, got: g, .. }) => {
            assert_eq!((l, g), (limit, got), "0x{id:02x}")
        }
        other => panic!("0x{id:02x}: {other:?}"),
    }
}

fn text_above(limit: usize) -> ([u8; 2], (usize, usize)) {
    ((limit as u16 + 1).to_be_bytes(), (limit, limit + 1))
}

#[test]
fn texts_above_their_limit_are_refused_before_they_are_read() {
    let (name, both) = text_above(MAX_NAME_BYTES);
    over_limit::<ToTracker>(0x13, &[&name], both);
    over_limit::<ToTracker>(0x14, &[&name], both);
    over_limit::<ToTracker>(0x14, &[&[0, 0], &name], both);
    over_limit::<ToTracker>(0x10, &[&[0, 0], &[0; 2], &[0, 0, 0, 1], &name], both);
    let (label, both) = text_above(MAX_LABEL_BYTES);
    over_limit::<ToTracker>(0x10, &[&label], both);
    over_limit::<Common>(0x01, &[&[0; 12], &[1], &[0; 18], &label], both);
    let (detail, both) = text_above(MAX_DETAIL_BYTES);
    over_limit::<Common>(0x02, &[&[0, 1], &detail], both);
}

/// [`over_limit`] for a count of list items behind `head`.
fn list_over_limit<M: Message>(id: u8, head: &[u8], limit: usize) {
    let count = (limit as u32 + 1).to_be_bytes();
    over_limit::<M>(id, &[head, &count], (limit, limit + 1));
}

#[test]
fn lists_above_their_limit_are_refused_before_they_are_read() {
    list_over_limit::<ToTracker>(0x10, &[0; 4], MAX_OFFERS);
    list_over_limit::<ToTracker>(0x11, &[], MAX_OFFERS);
    list_over_limit::<ToTracker>(0x11, &[0; 4], MAX_OFFERS);
    list_over_limit::<ToTracker>(0x12, &[0; 33], MAX_RANGES);
    list_over_limit::<ToServer>(0x56, &[0; 2], MAX_RANGES);
    list_over_limit::<FromServer>(0x75, &[0; 2], MAX_RANGES);
    list_over_limit::<FromTracker>(0x31, &[], MAX_VARIANTS);
    list_over_limit::<FromTracker>(0x31, &[0; 4], MAX_NEAR);
    list_over_limit::<FromTracker>(0x32, &[], MAX_ENTRIES);
    list_over_limit::<FromTracker>(0x34, &[], MAX_PEERS);
    let before_holders = [&[0, 0, 0, 1][..], &[0; 2 + 32 + 8 + 8 + 4 + 4 + 4 + 1 + 1 + 8]].concat();
    list_over_limit::<FromTracker>(0x31, &before_holders, MAX_HOLDERS);
    let before_bitmap = [&[0; 12][..], &[2]].concat();
    list_over_limit::<FromServer>(0x70, &before_bitmap, MAX_CHUNKS as usize / 8);
}

#[test]
fn proofs_above_their_limits_are_refused_before_they_are_read() {
    let run = (MAX_PROOF_RUN as u16 + 1).to_be_bytes();
    over_limit::<FromServer>(0x71, &[&[0; 4], &run, &[0]], (MAX_PROOF_RUN, MAX_PROOF_RUN + 1));
    let path = [MAX_PROOF_PATH as u8 + 1];
    over_limit::<FromServer>(0x71, &[&[0; 4], &[0; 2], &path], (MAX_PROOF_PATH, MAX_PROOF_PATH + 1));
    let head = [&[0; 8][..], &run, &path].concat();
    assert!(matches!(ChunkHead::peek(&head), Err(DecodeError::OverLimit { .. })));
}

#[test]
fn numbers_without_a_meaning_are_refused() {
    fn bad<M: Message + PartialEq>(id: u8, body: &[&[u8]], what: &'static str, got: u64) {
        assert_eq!(M::decode(id, body.concat().into()), Err(DecodeError::BadValue { what, got }));
    }
    bad::<ToServer>(0x53, &[&[0, 1], &[0; 4], &[0, 1], &[2], &[0]], "a flag", 2);
    bad::<ToServer>(0x50, &[&[0, 1], &[0; 32], &[9]], "View", 9);
    bad::<FromServer>(0x73, &[&[0]], "Refusal", 0);
    bad::<FromServer>(0x70, &[&[0; 12], &[3]], "a bitmap's form", 3);
    let set_id = [1, 0o4755_u16.to_be_bytes()[0], 0o4755_u16.to_be_bytes()[1]];
    bad::<FromServer>(0x70, &[&[0; 12], &[1], &set_id, &[0; 8]], "a mode", 0o4755);
    bad::<FromServer>(0x70, &[&[0; 12], &[1], &[2]], "a flag", 2);
    bad::<Common>(0x02, &[&[0, 99, 0, 0]], "ErrorCode", 99);
}

#[test]
fn a_text_is_utf8() {
    let body = Bytes::from_static(&[0, 1, 0, 2, 0xc3, 0x28]);
    assert_eq!(Common::decode(0x02, body), Err(DecodeError::NotUtf8));
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
        let head = ChunkHead { index: 17, proof };
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
    some.insert(8);
    let map = Bits::Map(Bytes::from_static(&[0, 0x80]));
    for (set, bits) in [(none, Bits::None), (all, Bits::All), (some, map)] {
        assert_eq!(Bits::from(&set), bits);
        assert_eq!(bits.to_set(9), Some(set));
    }
    assert_eq!(Bits::Map(Bytes::from_static(&[0, 0x80])).to_set(8), None);
}
