//! A server over real sockets: its end with connections in every state, and threads that cannot be had.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::*;
use crate::content::{FileId, PeerId, PublicKey};
use crate::net::secure::{self, Expected, Keyring, Psk, Purpose, Secret};
use crate::net::tests::{hello, pair};
use crate::net::{self, Messages, NetError, trace::Side};
use crate::threads;
use crate::tracker::cluster::Node;
use crate::tracker::config::MAX_CONNECTIONS;
use crate::tracker::directory::{Bounds, Directory, Look, Sender};
use crate::tracker::recorder::Founders;
use crate::tracker::session::{Effect, Reply};
use crate::tracker::{self, Closed, Tracker};
use crate::wire::{
    self, BetweenNodes, Common, ErrorCode, FromTracker, GetList, GetStatus, List, Message, Name, Offer,
    Preface, RawHeader, Register, Role, ToTracker, Update,
};

const LONG: Duration = Duration::from_secs(3600);
/// More than any machine has.
const NO_ROOM: usize = usize::MAX / 4;

type Link = Messages<FromTracker, ToTracker>;

fn server() -> (Server, SocketAddr) {
    let config = Config { listen: "127.0.0.1:0".to_owned(), lease: LONG, idle: LONG, ..Config::default() };
    let listener = net::listen(&config.listen).unwrap();
    let addr = listener.local_addr().unwrap();
    let shared = Shared::new(Directory::new(LONG, Bounds::default(), 1, Instant::now()));
    let guests = Guests::new(MAX_CONNECTIONS, config.lease);
    (Server::start(&config, identity(), shared, (listener, guests)).unwrap(), addr)
}

fn identity() -> Identity {
    Identity { name: "test".to_owned(), ..Identity::tool(Keyring::none()) }
}

fn connect(addr: SocketAddr) -> Link {
    let stream = net::dial(&addr.to_string()).unwrap();
    let session =
        net::greet(stream, (&identity(), Role::Member), Expected::Anybody, Side::Tracker, net::HELLO_TIMEOUT)
            .unwrap();
    Messages::new(session, Side::Tracker)
}

fn last_word(link: &mut Link) -> ErrorCode {
    loop {
        match link.receive().unwrap() {
            (0, FromTracker::Common(Common::Error(error))) => return error.code,
            other => drop(other),
        }
    }
}

/// Asks and does not listen, until the server can write no more and so does not read either.
fn choke(link: &mut Link) {
    let mut questions = bytes::BytesMut::new();
    (0..500).for_each(|_| ToTracker::from(GetStatus {}).put_frame(1, &mut questions));
    let mut socket = link.socket();
    socket.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    while socket.write_all(&questions).is_ok() {}
}

#[test]
fn a_stop_ends_every_thread_whatever_its_connection_is_doing() {
    let (server, addr) = server();
    let mut idle = connect(addr);
    assert_eq!(idle.call(&Common::Ping.into()).unwrap(), Common::Pong.into());
    let mut choked = connect(addr);
    choke(&mut choked);
    let mute = TcpStream::connect(addr).unwrap();
    let mut half_a_hello = TcpStream::connect(addr).unwrap();
    half_a_hello.write_all(&Preface::OURS.encode()[..3]).unwrap();
    let half_a_message = connect(addr);
    let mut header = bytes::BytesMut::new();
    RawHeader { body_bytes: 100_000, id: 0x10, request: 1 }.put(&mut header);
    half_a_message.socket().write_all(&[&header[..], &[0; 50_000]].concat()).unwrap();
    let looked_at = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let of = Sender { connection: 9, peer: PeerId([9; 16]) };
    server.service.looks.order(Look { of, addr: looked_at.local_addr().unwrap() });
    let _looking = looked_at.accept().unwrap();
    let (waited, waits) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            server.wait();
            waited.send(()).unwrap();
        });
        server.stop();
    });
    waits.try_recv().unwrap();
    assert_eq!(last_word(&mut idle), ErrorCode::Stopping);
    assert_eq!(Arc::strong_count(&server.service), 1, "no thread is left");
    assert!(lock(&server.threads).is_empty());
    assert!(TcpStream::connect(addr).is_err(), "nobody listens");
    server.stop();
    drop((mute, half_a_hello));
}

#[test]
fn threads_of_connections_that_have_ended_are_joined_while_others_come() {
    let (server, addr) = server();
    let leave = |mut link: Link| assert_eq!(link.call(&Common::Leave.into()).unwrap(), Common::Ok.into());
    (0..20).for_each(|_| leave(connect(addr)));
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        server.crew.join_ended();
        if server.crew.running() == 0 {
            break;
        }
        assert!(Instant::now() < deadline, "{} threads are never joined", server.crew.running());
        std::thread::yield_now();
    }
    server.stop();
}

#[test]
fn a_connection_whose_thread_cannot_be_started_is_closed_and_the_next_is_served() {
    let (server, addr) = server();
    let (refusals, refusing) = Refusals::start(|| false).unwrap();
    let mut acceptor = Acceptor::new(Arc::clone(&server.service), Arc::clone(&server.crew), refusals);
    acceptor.member = || threads::named("tracker-member").stack(NO_ROOM);
    let (mut theirs, ours, from) = pair();
    assert!(acceptor.admit(ours, from).is_err());
    assert_eq!(theirs.read(&mut [0]).unwrap(), 0, "closed without a word");
    assert!(server.service.guests.is_empty());
    drop(acceptor);
    refusing.join().unwrap();
    assert_eq!(connect(addr).call(&Common::Ping.into()).unwrap(), Common::Pong.into());
    server.stop();
}

/// What a server makes of a request that waits until `until`, asked by a connection of this number, and how often it
/// looked; `meanwhile` has the other side, once the bell hangs, and is gone unless it gives it back.
fn waits(
    server: &Server,
    until: Instant,
    meanwhile: impl FnOnce(Link) -> Option<Link> + Send,
) -> (Result<Reply, NetError>, usize) {
    let (theirs, ours, addr) = pair();
    let session = |stream| net::Session::plain(stream, addr, hello(), bytes::BytesMut::new());
    let mut link = Messages::<ToTracker, FromTracker>::new(session(ours), Side::Tracker);
    let (looked, looks) = mpsc::channel();
    let mut times = 0;
    let later = || Reply { answer: None, close: false, effect: Some(Effect::Wait(until)) };
    let outcome = std::thread::scope(|scope| {
        let theirs = scope.spawn(move || {
            looks.recv().unwrap();
            meanwhile(Messages::new(session(theirs), Side::Tracker))
        });
        link.queue(1, &Common::Ok.into());
        let outcome = server.service.in_the_end(&mut link, 7, later(), |now| {
            times += 1;
            let _ = looked.send(());
            if now < until && times == 1 { later() } else { Common::Pong.into() }
        });
        drop(theirs.join().unwrap());
        outcome
    });
    (outcome, times)
}

#[test]
fn an_answer_that_waits_is_made_when_somebody_rings_or_its_time_is_over() {
    let (server, _) = server();
    let far = Instant::now() + LONG;
    let (answer, looked) = waits(&server, far, |mut theirs| {
        assert_eq!(theirs.receive().unwrap().1, Common::Ok.into(), "what was answered before does not wait");
        server.service.bells.ring(&[7]);
        Some(theirs)
    });
    assert_eq!((answer.unwrap(), looked), (Common::Pong.into(), 2));
    let soon = Instant::now() + Duration::from_millis(50);
    let (answer, _) = waits(&server, soon, Some);
    assert_eq!(answer.unwrap(), Common::Pong.into());
    assert!(Instant::now() >= soon);
    server.stop();
}

#[test]
fn nobody_waits_for_an_answer_to_who_is_gone() {
    let (server, _) = server();
    let (answer, _) = waits(&server, Instant::now() + LONG, |_| None);
    assert!(matches!(answer, Err(NetError::Closed)));
    server.stop();
}

#[test]
fn pings_are_numbered_and_none_is_a_notice() {
    let (server, _) = server();
    let numbers: Vec<u32> = (0..2).map(|_| server.service.next_ping()).collect();
    server.service.pings.store(u32::MAX - 1, std::sync::atomic::Ordering::Relaxed);
    let last: Vec<u32> = (0..3).map(|_| server.service.next_ping()).collect();
    assert_eq!((numbers, last), (vec![1, 2], vec![u32::MAX, 1, 1]));
    server.stop();
}

#[test]
fn nothing_more_is_done_for_who_asked_for_much_and_is_gone() {
    let (server, addr) = server();
    let mut peer = connect(addr);
    let register = Register { port: 7, addresses: List::default(), offers: List::default() };
    peer.call(&register.into()).unwrap();
    for some in 0..20_u32 {
        let offer = |nth: u32| {
            let number = some * 100 + nth;
            let (name, id) = (Name::new(format!("{number}/{}", "y".repeat(200))), FileId(number_id(number)));
            Offer { name, id, size: 5, total: 5, chunks: 1, complete: true, original: true, modified: 0 }
        };
        let offers: Vec<Offer> = (0..100).map(offer).collect();
        let update = Update { added: List::new(offers), removed: List::default() };
        assert!(matches!(peer.call(&update.into()).unwrap(), FromTracker::Common(Common::Ok)));
    }
    // Much more than a minute of work: each in many steps, for all of them from one network together.
    let pattern = Name::new(format!("*{}*Q", "?y".repeat(1900)));
    for _ in 0..200 {
        let mut asker = connect(addr);
        let list = GetList { pattern: pattern.clone(), after: Name::default(), limit: 1 };
        asker.request(&list.into()).unwrap();
    }
    let until = Instant::now() + Duration::from_secs(20);
    while server.crew.running() > 1 && Instant::now() < until {
        server.crew.join_ended();
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(server.crew.running(), 1, "the peer's alone");
    server.stop();
}

/// A tracker of a closed swarm, alone in its cluster, with other places in which there may be trackers.
fn closed_tracker(folder: &std::path::Path, listen: &str, others: &[(Node, SocketAddr)]) -> Tracker {
    let identity = secure::Identity::load_or_make(folder).unwrap();
    let (key, listener) = (identity.public(), net::listen(listen).unwrap());
    let listen = listener.local_addr().unwrap().to_string();
    drop(listener);
    let first = others.iter().map(|(node, at)| (*node, at.to_string(), PublicKey::NONE));
    let first = first.chain([(2, listen.clone(), key)]);
    let first = first.map(|(node, at, key)| (node, wire::Text::new(at), key)).collect();
    let (swarm, hosts, admin) = ("s".to_owned(), vec!["127.0.0.1".to_owned()], PublicKey([9; 32]));
    tracker::start(Config {
        listen,
        data: Some(folder.to_owned()),
        cluster: Some(Founders { node: 2, first }),
        closed: Some(Closed { identity, swarm, admin: (admin, "anna".to_owned()), hosts }),
        ..Config::default()
    })
    .unwrap()
}

/// Whether a tracker that dials this listener takes who answers there, with the key of the swarm and one of its own, for a tracker.
fn is_taken(listener: &std::net::TcpListener, own: secure::Identity, secret: &Secret) -> bool {
    let keyring = Keyring::new(own, Psk::of_swarm(secret), Purpose::Member);
    let me = Identity { name: "a member".to_owned(), ..Identity::tool(keyring) };
    let (stream, _) = net::accept(listener).unwrap();
    let session = net::welcome(stream, &me, Side::Tracker, |_| Some(Role::Node)).unwrap();
    let mut line = Messages::<BetweenNodes, BetweenNodes>::new(session, Side::Tracker);
    matches!(line.receive(), Ok((_, BetweenNodes::LinkNodes(_))))
}

#[test]
fn who_listens_where_a_tracker_may_be_and_is_none_gets_nothing_of_a_closed_swarm() {
    let folder = tempfile::TempDir::new().unwrap();
    let founded = closed_tracker(folder.path(), "127.0.0.1:0", &[]);
    let secret = Secret::from(*founded.swarm().unwrap().epoch.secret.expose());
    founded.stop();
    drop(founded);
    let listener = net::listen("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let dials = closed_tracker(folder.path(), "127.0.0.1:0", &[(1, at)]);
    assert!(!is_taken(&listener, secure::Identity::random().unwrap(), &secret));
    dials.stop();
}

#[test]
fn who_has_joined_to_be_a_tracker_takes_nothing_from_who_is_none_of_those_it_was_told_of() {
    let folder = tempfile::TempDir::new().unwrap();
    let secret = Secret::random().unwrap();
    let listener = net::listen("127.0.0.1:0").unwrap();
    let (at, told) = (listener.local_addr().unwrap().to_string(), folder.path().join("told"));
    std::fs::create_dir(&told).unwrap();
    let keyring = Keyring::new(secure::Identity::random().unwrap(), Psk::of_swarm(&secret), Purpose::Member);
    keyring.pin("tracker.example:9700", secure::Identity::load_or_make(&told).unwrap().public());
    let first = [(1, at), (2, "127.0.0.1:1".to_owned())];
    let first = first.map(|(node, at)| (node, wire::Text::new(at), PublicKey::NONE)).to_vec();
    let dials = tracker::start(Config {
        listen: "127.0.0.1:0".to_owned(),
        data: Some(folder.path().to_owned()),
        cluster: Some(Founders { node: 2, first }),
        keyring,
        ..Config::default()
    })
    .unwrap();
    assert!(
        !is_taken(&listener, secure::Identity::random().unwrap(), &secret),
        "it is a member, and no tracker"
    );
    assert!(is_taken(&listener, secure::Identity::load_or_make(&told).unwrap(), &secret));
    dials.stop();
}

fn number_id(number: u32) -> [u8; 32] {
    let mut id = [1; 32];
    id[..4].copy_from_slice(&number.to_be_bytes());
    id
}
