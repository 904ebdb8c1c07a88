//! What each message is answered with, and what else is to be done: all of it, each time.

mod members;
mod nodes;
mod stores;

use std::net::IpAddr;
use std::time::Duration;

use super::party::CHANGES;
use super::*;
use crate::content::{Address, Chunk, PeerId};
use crate::tracker::delays::Delays;
use crate::tracker::directory::{Bounds, Directory, Look, Sender};
use crate::wire::{
    Call, Complaint, Duty, GetDuties, GetList, GetPeers, GetStatus, HaveChunks, Heartbeat, Label, Locate,
    Name, Offer, Ranges, Register, Registered, Report, Role, Term, Update, View, limits,
};

const LEASE: Duration = Duration::from_secs(30);
const ID: FileId = FileId([1; 32]);

struct Scene {
    shared: Shared,
    now: Instant,
}

impl Scene {
    fn new() -> Scene {
        let now = Instant::now();
        Scene { shared: Shared::new(Directory::new(LEASE, Bounds::default(), 1, now)), now }
    }

    fn answer(&self, session: &mut Session, message: impl Into<ToTracker>) -> Reply {
        let mut reply = session.answer(&self.shared, message.into(), self.now);
        while reply.effect == Some(Effect::GoOn) {
            assert_eq!((&reply.answer, reply.close), (&None, false));
            reply = session.go_on(&self.shared, self.now);
        }
        reply
    }

    /// A session that has registered a content under a name.
    fn registered(&self, connection: u64, name: &str) -> Session {
        let mut session = session(connection, connection as u8);
        let reply = self.answer(&mut session, register(&[offer(name)]));
        let epoch = self.shared.lock().epoch();
        assert_eq!(reply, Registered { lease_ms: 30_000, epoch }.into());
        session
    }

    fn registrations(&self) -> u64 {
        self.shared.lock().status(self.now).registrations
    }
}

impl From<Registered> for Reply {
    fn from(registered: Registered) -> Reply {
        Reply { effect: Some(Effect::Keep), ..FromTracker::from(registered).into() }
    }
}

fn session(connection: u64, peer: u8) -> Session {
    let hello = Hello {
        min_version: limits::MIN_VERSION,
        max_version: limits::MAX_VERSION,
        features: 0,
        role: Role::Member,
        peer: PeerId([peer; 16]),
        listen_port: 1,
        name: Label::new("somebody"),
        software: Label::default(),
    };
    Session::new(connection, IpAddr::from([10, 0, 0, peer]).into(), &hello)
}

fn offer(name: &str) -> Offer {
    let size = 3 << 16;
    let name = Name::new(name);
    Offer { name, id: ID, size, total: size, chunks: 3, complete: true, original: true, modified: 0 }
}

fn address(ip: [u8; 4]) -> Address {
    Address::new(ip.into(), 7).unwrap()
}

fn register(offers: &[Offer]) -> Register {
    Register { port: 7, addresses: List::default(), offers: List::new(offers.to_vec()) }
}

fn locate(name: &str, purpose: Purpose) -> Locate {
    Locate { name: Name::new(name), id: FileId::NONE, purpose, max: 0, missing: Ranges::default() }
}

fn ok() -> Reply {
    FromTracker::from(Common::Ok).into()
}

/// The code of an ERROR that keeps the connection and does nothing else.
#[track_caller]
fn code(reply: Reply) -> ErrorCode {
    match reply {
        Reply { answer: Some(FromTracker::Common(Common::Error(error))), close: false, effect: None } => {
            error.code
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_needs_a_registration_is_refused_without_one_and_changes_nothing() {
    let scene = Scene::new();
    let mut session = session(1, 1);
    let update = Update { added: List::new(vec![offer("f")]), removed: List::default() };
    let have = HaveChunks { id: ID, view: View::Bytes, gained: List::default() };
    let report =
        Report { peer: PeerId([2; 16]), complaint: Complaint::Dead, id: FileId::NONE, chunk: Chunk(0) };
    let heartbeat = Heartbeat { uploads: 0, downloads: 0, space: 0 };
    let refused = [
        scene.answer(&mut session, update),
        scene.answer(&mut session, have),
        scene.answer(&mut session, report),
        scene.answer(&mut session, heartbeat),
    ];
    assert_eq!(refused.map(code), [ErrorCode::NotRegistered; 4]);
    assert_eq!(scene.registrations(), 0);
}

#[test]
fn who_has_registered_says_what_it_has_and_is_answered_ok() {
    let scene = Scene::new();
    let mut session = scene.registered(1, "f");
    let update = Update { added: List::new(vec![offer("g")]), removed: List::default() };
    assert_eq!(scene.answer(&mut session, update), ok());
    let have = HaveChunks { id: ID, view: View::Bytes, gained: List::default() };
    assert_eq!(scene.answer(&mut session, have), ok());
    let heartbeat = Heartbeat { uploads: 3, downloads: 0, space: 0 };
    assert_eq!(scene.answer(&mut session, heartbeat), ok());
    assert_eq!(scene.registrations(), 2);
    let peers = scene.answer(&mut session, GetPeers { after: PeerId([0; 16]), limit: 9 });
    let Some(FromTracker::Peers(peers)) = peers.answer else { panic!() };
    let info = &peers.peers[0];
    assert_eq!((&*info.name, &*info.addresses, info.uploads), ("somebody", &[address([10, 0, 0, 1])][..], 3));
}

#[test]
fn a_register_with_something_wrong_leaves_no_registration() {
    let scene = Scene::new();
    let mut session = scene.registered(1, "f");
    assert_eq!(code(scene.answer(&mut session, register(&[offer("../f")]))), ErrorCode::BadName);
    let lie = Offer { chunks: 4, ..offer("f") };
    assert_eq!(code(scene.answer(&mut session, register(&[lie]))), ErrorCode::Malformed);
    assert_eq!(scene.registrations(), 0);
    let heartbeat = Heartbeat { uploads: 0, downloads: 0, space: 0 };
    assert_eq!(code(scene.answer(&mut session, heartbeat)), ErrorCode::NotRegistered);
}

#[test]
fn addresses_that_a_peer_names_are_told_to_others_and_its_own_address_is_dialled_back() {
    let scene = Scene::new();
    let mut named = session(1, 1);
    let addresses = List::new(vec![address([192, 0, 2, 1])]);
    let reply = scene.answer(&mut named, Register { addresses, ..register(&[offer("f")]) });
    assert!(matches!(reply.answer, Some(FromTracker::Registered(_))));
    let mut other = scene.registered(2, "g");
    let report =
        Report { peer: PeerId([1; 16]), complaint: Complaint::Dead, id: FileId::NONE, chunk: Chunk(0) };
    let of = Sender { connection: 1, peer: PeerId([1; 16]) };
    let look = Look { of, addr: ([10, 0, 0, 1], 7).into() };
    assert_eq!(scene.answer(&mut other, report), Reply { effect: Some(Effect::Look(look)), ..ok() });
    let located = scene.answer(&mut other, locate("f", Purpose::Inspect));
    let Some(FromTracker::Located(located)) = located.answer else { panic!() };
    let told = &located.variants[0].holders[0].addresses;
    assert_eq!(**told, [address([10, 0, 0, 1]), address([192, 0, 2, 1])], "near ones first");
}

/// The peer's question for duties, and the connection that asks, which is not that of its registration.
fn asks(scene: &Scene, connection: u64, peer: u8) -> (Session, Reply) {
    let mut asking = session(connection, peer);
    let question = GetDuties { term: Term(0), wait_ms: 7_000 };
    let reply = scene.answer(&mut asking, question);
    (asking, reply)
}

/// Who is to be dialled, according to an answer.
fn called(reply: Reply) -> Vec<Duty> {
    let Some(FromTracker::Duties(told)) = reply.answer else { panic!("{reply:?}") };
    told.duties.into_vec()
}

#[test]
fn a_peer_that_others_cannot_dial_is_woken_and_told_whom_to_dial() {
    let scene = Scene::new();
    let _called = scene.registered(1, "f");
    let until = scene.now + Duration::from_secs(7);
    let waits = || Reply { answer: None, close: false, effect: Some(Effect::Wait(until)) };
    let (mut asking, reply) = asks(&scene, 9, 1);
    assert_eq!(reply, waits());
    let mut caller = scene.registered(2, "g");
    let report = Report { peer: PeerId([1; 16]), complaint: Complaint::Dead, id: ID, chunk: Chunk(0) };
    let _ = scene.answer(&mut caller, report);
    assert_eq!(scene.shared.take_wakes(), [9]);
    let addresses = List::new(vec![address([10, 0, 0, 2])]);
    let call = Call { id: ID, peer: PeerId([2; 16]), addresses };
    assert_eq!(called(asking.go_on(&scene.shared, scene.now)), [call.into()]);
    let (mut asking, reply) = asks(&scene, 9, 1);
    assert_eq!(reply, waits(), "that was told");
    assert_eq!(called(asking.go_on(&scene.shared, until)), []);
}

#[test]
fn who_has_no_address_is_called_for_who_wants_to_fetch() {
    let scene = Scene::new();
    let mut hidden = session(1, 1);
    let registered = scene.answer(&mut hidden, Register { port: 0, ..register(&[offer("f")]) });
    assert!(matches!(registered.answer, Some(FromTracker::Registered(_))));
    let (mut asking, _) = asks(&scene, 9, 1);
    let by_id = || Locate { name: Name::default(), id: ID, ..locate("", Purpose::Fetch) };
    let mut stranger = session(3, 3);
    let _ = scene.answer(&mut stranger, by_id());
    assert!(scene.shared.take_wakes().is_empty(), "it is not registered: it could not be dialled");
    let mut caller = scene.registered(2, "g");
    let _ = scene.answer(&mut caller, by_id());
    assert_eq!(scene.shared.take_wakes(), [9]);
    assert_eq!(called(asking.go_on(&scene.shared, scene.now)).len(), 1);
}

#[test]
fn a_second_connection_of_a_peer_is_refused_and_the_first_is_asked_whether_it_lives() {
    let scene = Scene::new();
    let mut first = scene.registered(1, "f");
    let mut second = session(2, 1);
    let reply = scene.answer(&mut second, register(&[offer("g")]));
    assert_eq!(reply.effect, Some(Effect::Ping(1)));
    assert_eq!(code(Reply { effect: None, ..reply }), ErrorCode::InUse);
    second.end(&scene.shared, scene.now);
    // Its PONG is a sign of life: it is owed nothing, and keeps what it has.
    let nothing = Reply { answer: None, close: false, effect: None };
    assert_eq!(scene.answer(&mut first, Common::Pong), nothing);
    assert_eq!(scene.registrations(), 1);
    first.end(&scene.shared, scene.now);
    assert_eq!(scene.registrations(), 0);
}

#[test]
fn every_message_is_a_sign_of_life() {
    let messages: [fn() -> ToTracker; 8] = [
        || Common::Ping.into(),
        || Common::Pong.into(),
        || GetStatus {}.into(),
        || GetPeers { after: PeerId([0; 16]), limit: 1 }.into(),
        || GetList { pattern: Name::default(), after: Name::default(), limit: 1 }.into(),
        || locate("f", Purpose::Fetch).into(),
        || Heartbeat { uploads: 0, downloads: 0, space: 0 }.into(),
        || {
            Report { peer: PeerId([9; 16]), complaint: Complaint::Dead, id: FileId::NONE, chunk: Chunk(0) }
                .into()
        },
    ];
    for message in messages {
        let mut scene = Scene::new();
        let mut session = scene.registered(1, "f");
        scene.now += LEASE / 2;
        let message = message();
        let label = format!("{message:?}");
        let _ = scene.answer(&mut session, message);
        let expired = |after: Duration| {
            let expired = scene.shared.lock().expire(scene.now + after);
            expired.into_iter().map(|(peer, _)| peer).collect::<Vec<_>>()
        };
        assert_eq!(expired(LEASE / 2), [], "{label}");
        assert_eq!(expired(LEASE), [PeerId([1; 16])]);
    }
}

#[test]
fn how_a_connection_ends() {
    let scene = Scene::new();
    let mut session = scene.registered(1, "f");
    let pong = Reply { answer: Some(Common::Pong.into()), close: false, effect: None };
    assert_eq!(scene.answer(&mut session, Common::Ping), pong);
    let error = Common::error(ErrorCode::Unexpected, "");
    let closed = Reply { answer: None, close: true, effect: None };
    assert_eq!(scene.answer(&mut session, error), closed, "nothing is owed to it");
    let out_of_place = scene.answer(&mut session, Common::Ok);
    assert!(out_of_place.close);
    assert_eq!(code(Reply { close: false, ..out_of_place }), ErrorCode::Unexpected);
    assert_eq!(scene.registrations(), 1);
    let left = Reply { answer: Some(Common::Ok.into()), close: true, effect: None };
    assert_eq!(scene.answer(&mut session, Common::Leave), left);
    assert_eq!(scene.registrations(), 0, "and cleared away");
}

#[test]
fn near_names_are_told_to_who_looks_at_a_name_that_is_not_there() {
    let scene = Scene::new();
    let mut session = scene.registered(1, "report.pdf");
    let mut near = |question: Locate| match scene.answer(&mut session, question).answer {
        Some(FromTracker::Located(located)) => (located.variants.len(), located.near.len()),
        other => panic!("{other:?}"),
    };
    assert_eq!(near(locate("reprot.pdf", Purpose::Inspect)), (0, 1));
    assert_eq!(near(locate("reprot.pdf", Purpose::Fetch)), (0, 0));
    assert_eq!(near(locate("report.pdf", Purpose::Inspect)), (1, 0));
    let by_id = Locate { id: FileId([2; 32]), ..locate("report.pdf", Purpose::Inspect) };
    assert_eq!(near(by_id), (0, 0), "an id is like no other");
    let by_id = Locate { id: ID, ..locate("", Purpose::Inspect) };
    assert_eq!(near(by_id), (1, 0));
    for bad in ["", "../x"] {
        assert_eq!(code(scene.answer(&mut session, locate(bad, Purpose::Fetch))), ErrorCode::BadName);
    }
}

#[test]
fn an_update_of_many_names_is_made_whole_or_not_at_all() {
    let scene = Scene::new();
    let mut session = scene.registered(1, "f");
    let mut offers: Vec<Offer> = (0..CHANGES * 2 + 1).map(|nth| offer(&format!("d/{nth}"))).collect();
    let removed = vec![(Name::new("f"), ID)];
    let update =
        |offers: &[Offer]| Update { added: List::new(offers.to_vec()), removed: List::new(removed.clone()) };
    assert_eq!(scene.answer(&mut session, update(&offers)), ok());
    assert_eq!(scene.registrations(), CHANGES as u64 * 2 + 1);
    offers.push(offer("../x"));
    offers[0].name = Name::new("new");
    assert_eq!(code(scene.answer(&mut session, update(&offers))), ErrorCode::BadName);
    assert_eq!(scene.registrations(), CHANGES as u64 * 2 + 1);
}

#[test]
fn a_listing_of_many_names_is_gathered_by_steps_and_forgotten_when_nobody_waits() {
    let scene = Scene::new();
    let mut session = scene.registered(1, "f");
    for some in 0..5 {
        let offers = (0..1000).map(|nth| offer(&format!("d/{some}{nth:03}"))).collect();
        let update = Update { added: List::new(offers), removed: List::default() };
        assert_eq!(scene.answer(&mut session, update), ok());
    }
    let list = || GetList { pattern: Name::new("*x"), after: Name::default(), limit: 9 };
    let long = session.answer(&scene.shared, list().into(), scene.now);
    assert_eq!(long, Reply { answer: None, close: false, effect: Some(Effect::GoOn) });
    assert_eq!(scene.answer(&mut session, Common::Ping), FromTracker::from(Common::Pong).into());
    assert!(matches!(scene.answer(&mut session, list()).answer, Some(FromTracker::Listing(_))));
    let nothing = session.go_on(&scene.shared, scene.now);
    assert_eq!(nothing, Reply { answer: None, close: false, effect: None });
}

#[test]
fn a_listing_is_gathered_to_its_end() {
    let scene = Scene::new();
    let mut session = scene.registered(1, "f");
    let offers: Vec<Offer> = (0..5000).map(|number| offer(&format!("d/{number:04}"))).collect();
    for some in offers.chunks(500) {
        let update = Update { added: List::new(some.to_vec()), removed: List::default() };
        assert_eq!(scene.answer(&mut session, update), ok());
    }
    let list = GetList { pattern: Name::new("d/*9"), after: Name::new("d/4979"), limit: 9 };
    let Some(FromTracker::Listing(listing)) = scene.answer(&mut session, list).answer else { panic!() };
    let names: Vec<&str> = listing.entries.iter().map(|entry| &*entry.name).collect();
    assert_eq!((names, listing.more), (vec!["d/4989", "d/4999"], false));
}

fn publish(name: &str) -> wire::Publish {
    let version = wire::Version {
        number: 0,
        id: ID,
        size: 1,
        total: 1,
        chunks: 1,
        policy: wire::Policy::NONE,
        stamp_ms: 0,
        publisher: Label::default(),
    };
    wire::Publish { client: wire::ClientId::random(), seq: 1, name: Name::new(name), version, expect: 0 }
}

#[test]
fn records_without_a_disk_change_when_stores_have_had_time_to_say_what_they_remember() {
    let now = Instant::now();
    let settled = now + Duration::from_secs(5);
    let directory = Directory::new(LEASE, Bounds::default(), 1, now);
    let recorder = crate::tracker::recorder::Recorder::forgetful();
    let scene =
        Scene { shared: Shared::with_records(directory, (recorder, Some(settled)), Delays::default()), now };
    let wait = Reply { answer: None, close: false, effect: Some(Effect::Wait(settled)) };
    let mut client = session(1, 1);
    assert_eq!(scene.answer(&mut client, publish("a")), wait);
    assert_eq!(client.go_on(&scene.shared, settled - Duration::from_millis(1)), wait);
    // Meanwhile a store remembers the first version.
    let mut store = scene.registered(2, "store");
    let remembered = wire::Version { number: 1, id: FileId([2; 32]), ..publish("a").version };
    let list = List::new(vec![wire::Published { name: Name::new("a"), version: remembered }]);
    assert_eq!(scene.answer(&mut store, wire::Records { published: list, last: true }), Common::Ok.into());
    let stored = |number, fresh| Reply::from(FromTracker::from(wire::Stored { number, fresh }));
    assert_eq!(client.go_on(&scene.shared, settled), stored(2, true));
    let later = client.answer(&scene.shared, publish("a").into(), settled);
    assert_eq!(later, stored(2, false), "no more waiting");
}

#[test]
fn only_who_is_registered_says_what_it_remembers() {
    let scene = Scene::new();
    let reply = scene.answer(&mut session(1, 1), wire::Records { published: List::default(), last: true });
    assert_eq!(reply, denied(&Denial::NotRegistered).into());
}
