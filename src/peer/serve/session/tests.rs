//! What is answered to which message, without a socket.

use std::fs;
use std::ops::ControlFlow;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::content::{FileId, Run};
use crate::net::tests::hello;
use crate::net::wake::Wake;
use crate::peer::mischief::Mischief;
use crate::peer::serve::{Shared, Uploads};
use crate::peer::share::{self, Share};
use crate::swarm::neighbours::Outcome;
use crate::wire::{AskerHas, Bits, Cancel, Close, GetLoad, Urgency, View};

/// Bytes of a chunk of a small file.
const CHUNK: usize = 64 << 10;
/// Three long chunks and a short one.
const SIZE: usize = 3 * CHUNK + 100;

/// A peer that shares one file.
struct Home {
    folder: TempDir,
    share: Arc<Share>,
    id: FileId,
    bytes: Vec<u8>,
    uploads: Arc<Uploads>,
    /// Complaints that are still looked into.
    heard: AtomicU32,
}

impl Home {
    fn new() -> Home {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..SIZE).map(|at| (at / 1000) as u8).collect();
        fs::write(folder.path().join("file"), &bytes).unwrap();
        let config = share::Config {
            folder: folder.path().to_owned(),
            prefix: None,
            state: folder.path().join(".p2p"),
            selection: Default::default(),
            watch: false,
            threads: 1,
        };
        let share = Share::open(config, &mut |_| ControlFlow::Continue(())).unwrap();
        let id = share.offers()[0].id;
        let heard = AtomicU32::new(0);
        Home { folder, share, id, bytes, uploads: Arc::new(Uploads::new(None)), heard }
    }

    fn session(&self, lies: bool) -> Session<'_> {
        let wake = Arc::new(Wake::new().unwrap());
        let ip = IpAddr::from([127, 0, 0, 1]);
        let asker = Asker::join(&self.uploads, PeerId([7; 16]), ip, wake.clone());
        Session::new(self, PeerId([7; 16]), ip, None, asker, Arc::new(Follower::new(wake)), lies)
    }

    /// A session in which the file is open as slot 5.
    fn open(&self) -> Session<'_> {
        let mut session = self.session(false);
        let answers = session.take(1, Open { slot: 5, id: self.id, view: View::Bytes }.into()).unwrap();
        assert!(matches!(answers[..], [(1, FromServer::Opened(_))]));
        session
    }
}

impl Host for Home {
    fn find(&self, id: FileId, view: View) -> Option<Held> {
        Shared::find(&self.share, id, view).map(Held::Shared)
    }
    fn met(&self, _: FileId, _: View, _: PeerId, _: String) {}
    fn join(&self, _: &Arc<Wake>) {}
    fn uploads(&self) -> &Arc<Uploads> {
        &self.uploads
    }
    fn downloads(&self) -> u16 {
        3
    }
    fn finished(&self, _: Content, _: &str, _: IpAddr) {}
    fn hears(&self, _: IpAddr) -> bool {
        self.heard.fetch_add(1, Relaxed) == 0
    }
    fn mischief(&self, _: &str, _: u32) -> Mischief<(u32, ToServer)> {
        Mischief::new(None, Duration::ZERO, 0)
    }
}

fn get(first: u32, count: u16) -> ToServer {
    GetChunk {
        slot: 5,
        first: Chunk(first),
        count,
        proof: false,
        urgency: if first == 0 { Urgency::Behind } else { Urgency::Normal },
    }
    .into()
}

fn request(number: u32, chunk: Chunk) -> Request {
    Request { number, slot: 5, chunk, proof: false, urgency: Urgency::Normal }
}

fn refusals(of: &[(u32, Refusal)]) -> Vec<Answer> {
    of.iter().map(|(request, reason)| refuse(*request, *reason)).collect()
}

/// What breaks the rules ends the connection.
fn is_violation(answers: Result<Vec<Answer>, NetError>) -> bool {
    matches!(answers, Err(NetError::Unexpected(_)))
}

#[test]
fn a_content_is_opened_once_in_each_slot_if_it_is_here() {
    let home = Home::new();
    let mut session = home.session(false);
    let open = |slot, id| ToServer::from(Open { slot, id, view: View::Bytes });
    let answers = session.take(9, open(5, home.id)).unwrap();
    let [(9, FromServer::Opened(opened))] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!((opened.size, opened.chunks), (SIZE as u64, 4));
    assert_eq!(opened.have, (&ChunkSet::full(4)).into());
    let nobody = FileId([9; 32]);
    assert_eq!(session.take(2, open(6, nobody)).unwrap(), refusals(&[(2, Refusal::NotHere)]));
    let again = session.take(3, open(5, home.id)).unwrap();
    assert!(
        matches!(&again[..], [(3, FromServer::Common(Common::Error(error)))] if error.code == ErrorCode::Limit)
    );
    for slot in 6..5 + MAX_SLOTS as u16 {
        assert!(matches!(session.take(4, open(slot, home.id)).unwrap()[..], [(4, FromServer::Opened(_))]));
    }
    let full = session.take(5, open(900, home.id)).unwrap();
    assert!(matches!(full[..], [(5, FromServer::Common(Common::Error(_)))]));
}

#[test]
fn requests_wait_in_order_until_they_are_cancelled_or_their_slot_is_closed() {
    let home = Home::new();
    let mut session = home.open();
    assert_eq!(session.wish(), None);
    assert_eq!(session.next_bytes(), None);
    assert!(!session.note_requests(false));
    assert_eq!(session.take(10, get(0, 4)).unwrap(), []);
    assert_eq!(session.wish(), Some(Wish { choice: None, urgency: Urgency::Behind }));
    assert_eq!(session.take(20, get(ANY_CHUNK.0, 2)).unwrap(), []);
    assert!(!session.note_requests(false), "now it has some");
    assert_eq!(session.take(0, Cancel { target: 11 }.into()).unwrap(), refusals(&[(11, Refusal::Cancelled)]));
    assert_eq!(session.take(0, Cancel { target: 11 }.into()).unwrap(), [], "once");
    let next: Vec<(u32, Chunk)> = (0..3)
        .filter_map(|_| session.next_request())
        .map(|request| (request.number, request.chunk))
        .collect();
    assert_eq!(next, [(10, Chunk(0)), (12, Chunk(2)), (13, Chunk(3))]);
    assert_eq!(session.wish(), Some(Wish { choice: Some(5), urgency: Urgency::Normal }));
    assert_eq!(session.next_bytes(), Some(SIZE / 4), "whichever");
    let mut closed = refusals(&[(20, Refusal::Cancelled), (21, Refusal::Cancelled)]);
    closed.push((30, Common::Ok.into()));
    assert_eq!(session.take(30, Close { slot: 5 }.into()).unwrap(), closed);
    assert!(!session.note_requests(true), "a chunk is still being sent");
    assert!(session.note_requests(false), "that was the last");
    assert!(!session.note_requests(false));
    assert!(is_violation(session.take(31, Close { slot: 5 }.into())));
}

#[test]
fn who_asks_for_too_much_is_refused_and_for_what_is_not_there_is_cut_off() {
    let home = Home::new();
    let mut session = home.open();
    assert!(is_violation(session.take(1, get(4, 1))));
    assert!(is_violation(session.take(1, get(2, 3))));
    assert!(is_violation(session.take(1, get(u32::MAX - 1, 3))));
    assert!(is_violation(session.take(1, get(0, 0))));
    assert!(is_violation(session.take(1, get(ANY_CHUNK.0, MAX_RUN + 1))));
    assert!(is_violation(session.take(u32::MAX, get(0, 1))));
    assert!(is_violation(session.take(
        1,
        GetChunk { slot: 6, first: Chunk(0), count: 1, proof: false, urgency: Urgency::Normal }.into()
    )));
    assert_eq!(session.take(1, get(3, 1)).unwrap(), []);
    let mut request = 2;
    while session.queue.len() < MAX_QUEUED_CHUNKS - 1 {
        let count = (MAX_QUEUED_CHUNKS - 1 - session.queue.len()).min(usize::from(MAX_RUN)) as u16;
        assert_eq!(session.take(request, get(ANY_CHUNK.0, count)).unwrap(), []);
        request += u32::from(count);
    }
    let busy = refusals(&[(request + 1, Refusal::Busy), (request + 2, Refusal::Busy)]);
    assert_eq!(session.take(request, get(0, 3)).unwrap(), busy);
    assert_eq!(session.queue.len(), MAX_QUEUED_CHUNKS);
}

#[test]
fn hashes_are_given_of_what_is_whole() {
    let home = Home::new();
    let mut session = home.open();
    let manifest = |slot, file, first, count| ToServer::from(GetManifest { slot, file, first, count });
    let answers = session.take(8, manifest(5, 0, 0, 4)).unwrap();
    let [(8, FromServer::Manifest(told))] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!((told.proof.first, told.proof.hashes.len()), (0, 4));
    assert_eq!(
        session.take(8, manifest(5, 0, 1, 2)).unwrap(),
        refusals(&[(8, Refusal::NotYet)]),
        "not a run"
    );
    assert!(is_violation(session.take(8, manifest(6, 0, 0, 4))));
    assert!(is_violation(session.take(8, manifest(5, 1, 0, 4))));
    assert!(is_violation(session.take(8, manifest(5, 0, 4, 1))));
    assert!(is_violation(session.take(8, manifest(5, 0, 0, MAX_PROOF_RUN as u32 + 1))));
}

#[test]
fn the_load_is_that_of_others() {
    let home = Home::new();
    let (mut session, other) = (home.open(), home.open());
    session.take(1, get(0, 2)).unwrap();
    let now = Instant::now();
    assert!(other.asker().turn(Wish { choice: None, urgency: Urgency::Normal }, now));
    assert!(session.asker().turn(Wish { choice: None, urgency: Urgency::Normal }, now));
    let load = Load { uploads: 1, downloads: 3, queued: 2, rate: None };
    assert_eq!(session.take(7, GetLoad {}.into()).unwrap(), answer(7, load));
}

#[test]
fn what_is_said_on_any_connection_is_answered() {
    let home = Home::new();
    let mut session = home.open();
    assert_eq!(session.take(4, Common::Ping.into()).unwrap(), answer(4, Common::Pong));
    assert_eq!(session.take(4, Common::Ok.into()).unwrap(), []);
    assert_eq!(session.take(4, Common::Pong.into()).unwrap(), []);
    session.take(5, get(1, 1)).unwrap();
    assert!(!session.is_left());
    let mut answers = refusals(&[(5, Refusal::Cancelled)]);
    answers.extend(answer(6, Common::Ok));
    assert_eq!(session.take(6, Common::Leave.into()).unwrap(), answers);
    assert_eq!(session.take(0, Common::Leave.into()).unwrap(), [], "a notice has no answer");
    assert!(session.is_left());
    let ended = session.take(0, Common::error(ErrorCode::Limit, "no").into());
    assert!(matches!(ended, Err(NetError::Refused { code: ErrorCode::Limit, .. })));
    assert!(is_violation(session.take(0, Common::Hello(hello()).into())));
}

#[test]
fn a_long_chunk_follows_from_its_file_and_a_short_one_goes_along() {
    let home = Home::new();
    let mut session = home.open();
    let mut unsent = BytesMut::new();
    let begun = session.begin(request(1, Chunk(2)), Fate::Sound, &mut unsent).unwrap();
    let part = begun.part.unwrap();
    assert_eq!((begun.chunk, begun.bytes), (Chunk(2), CHUNK));
    assert_eq!((part.offset, part.left, part.slot), (2 * CHUNK as u64, CHUNK, 5));
    let head = unsent.len();
    let begun = session.begin(request(2, Chunk(3)), Fate::Sound, &mut unsent).unwrap();
    assert!(begun.part.is_none() && begun.bytes == 100);
    assert_eq!(unsent.len(), 2 * head + 100, "the head of one, all of the other");
    assert!(unsent.ends_with(&home.bytes[3 * CHUNK..]));
    // What is to be spoilt is copied.
    let mut spoilt = BytesMut::new();
    assert!(session.begin(request(3, Chunk(0)), Fate::Corrupt, &mut spoilt).unwrap().part.is_none());
    let (bytes, sound) = (&spoilt[head..], &home.bytes[..CHUNK]);
    assert_eq!(bytes.iter().zip(sound).filter(|(one, other)| one != other).count(), 1);
    let mut cut = BytesMut::new();
    session.begin(request(4, Chunk(0)), Fate::Cut, &mut cut).unwrap();
    assert_eq!(cut.len(), head + CHUNK / 2);
}

#[test]
fn whichever_is_given_once_and_a_proof_travels_once() {
    let home = Home::new();
    let (mut session, mut other) = (home.open(), home.open());
    let mut unsent = BytesMut::new();
    let has = AskerHas { slot: 5, gained: List::new(vec![Run::new(Chunk(0), 1)]) };
    assert_eq!(other.take(0, has.into()).unwrap(), []);
    let any = Request { proof: true, ..request(1, ANY_CHUNK) };
    assert_eq!(session.begin(any, Fate::Sound, &mut unsent).unwrap().chunk, Chunk(1));
    let proved = unsent.split().len();
    assert_eq!(session.begin(any, Fate::Sound, &mut unsent).unwrap().chunk, Chunk(2));
    assert!(unsent.len() < proved, "the proof was there already");
    assert_eq!(other.begin(any, Fate::Sound, &mut unsent).unwrap().chunk, Chunk(3));
    assert_eq!(other.begin(any, Fate::Sound, &mut unsent).unwrap_err(), Refusal::NothingBetter);
    assert_eq!(other.begin(request(1, Chunk(4)), Fate::Sound, &mut unsent).unwrap_err(), Refusal::NotHere);
    assert_eq!(home.uploads.sent.load(Relaxed), (2 * CHUNK + 100) as u64);
    let again = AskerHas { slot: 5, gained: List::new(vec![Run::new(Chunk(0), 4)]) };
    let told = (0..=MAX_TOLD).map(|_| other.take(0, again.clone().into())).position(is_violation);
    assert!(told.is_some(), "nobody gains a content so often");
    assert_eq!(
        session.take(0, AskerHas { slot: 9, gained: List::new(vec![Run::new(Chunk(0), 4)]) }.into()).unwrap(),
        []
    );
}

#[test]
fn whichever_is_of_what_is_wanted() {
    let home = Home::new();
    let (mut session, mut other) = (home.open(), home.open());
    let mut unsent = BytesMut::new();
    let mut wanted = ChunkSet::empty(4);
    assert!(wanted.insert(Chunk(1)) && wanted.insert(Chunk(3)));
    let want = Want { slot: 5, chunks: (&wanted).into() };
    assert_eq!(session.take(0, Want { slot: 9, chunks: Bits::None }.into()).unwrap(), []);
    assert_eq!(session.take(0, want.clone().into()).unwrap(), []);
    let any = request(1, ANY_CHUNK);
    let mut choose = |session: &mut Session| Ok(session.begin(any, Fate::Sound, &mut unsent)?.chunk);
    let chosen = [choose(&mut session), choose(&mut session), choose(&mut session)];
    assert_eq!(chosen, [Ok(Chunk(1)), Ok(Chunk(3)), Err(Refusal::NothingBetter)]);
    assert_eq!(
        [choose(&mut other), choose(&mut other)],
        [Ok(Chunk(0)), Ok(Chunk(2))],
        "the rest is still to be given"
    );
    assert!(is_violation(session.take(0, want.into())), "once");
    let beyond = Want { slot: 5, chunks: (&ChunkSet::empty(9)).into() };
    assert_eq!(other.take(0, beyond.into()).unwrap(), [], "none of nine is none");
    let mut third = home.open();
    let mut beyond = ChunkSet::empty(9);
    assert!(beyond.insert(Chunk(0)));
    assert!(is_violation(third.take(0, Want { slot: 5, chunks: (&beyond).into() }.into())));
}

#[test]
fn what_is_gone_is_refused_and_told_of_when_it_is_back() {
    let home = Home::new();
    let mut session = home.open();
    let (path, aside) = (home.folder.path().join("file"), home.folder.path().join(".p2p/aside"));
    fs::rename(&path, &aside).unwrap();
    let mut unsent = BytesMut::new();
    assert_eq!(session.begin(request(1, Chunk(1)), Fate::Sound, &mut unsent).unwrap_err(), Refusal::Gone);
    assert!(unsent.is_empty());
    let next = session.next_restating().unwrap();
    assert_eq!(session.restate(next), [], "it is still gone");
    fs::rename(&aside, &path).unwrap();
    let next = session.next_restating().unwrap();
    assert_eq!(session.restate(next - Duration::from_millis(1)), [], "not yet");
    let back = ServerHas { slot: 5, gained: List::new(vec![Run::new(Chunk(1), 1)]) };
    assert_eq!(session.restate(next), answer(0, back));
    assert_eq!(session.next_restating(), None);
    assert_eq!(session.due_gains(next), []);
}

#[test]
fn complaints_are_looked_into_as_often_as_the_peer_hears_them() {
    let home = Home::new();
    let mut session = home.open();
    let complain =
        |session: &mut Session, slot, chunk| session.take(0, Corrupt { slot, chunk }.into()).unwrap();
    assert_eq!(complain(&mut session, 6, Chunk(0)), []);
    assert_eq!(complain(&mut session, 5, Chunk(4)), []);
    assert_eq!(home.heard.load(Relaxed), 0, "of what is not open nobody can complain");
    assert_eq!(complain(&mut session, 5, Chunk(0)), []);
    assert_eq!(complain(&mut session, 5, Chunk(0)), []);
    assert_eq!(home.heard.load(Relaxed), 2);
}

#[test]
fn who_fails_us_at_the_same_content_is_served_when_nobody_else_is_to_be() {
    let home = Home::new();
    let mut session = home.session(false);
    let transfer = Arc::new(crate::peer::transfer::of_one_byte(home.folder.path()));
    session.slots.insert(5, Slot::new(Held::Fetching(transfer.clone()), (transfer.id, View::Bytes)));
    assert_eq!(session.take(10, get(0, 1)).unwrap(), []);
    let urgency = |session: &Session<'_>| session.wish().map(|wish| wish.urgency);
    assert_eq!(urgency(&session), Some(Urgency::Behind), "as it asks");
    transfer.neighbours(|neighbours| {
        let now = Instant::now();
        neighbours.suggest(PeerId([7; 16]), "127.0.0.1:1".to_owned());
        assert!(!neighbours.dial(now).is_empty());
        neighbours.ended(PeerId([7; 16]), Outcome::Banned, now);
    });
    assert_eq!(urgency(&session), Some(Urgency::Background));
}
