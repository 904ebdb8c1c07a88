//! A tracker over TCP, through its library interface: sessions, registrations, leases, limits, stop.

use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Duration;

use p2p::content::{Address, Chunk, FileId, PeerId, Run};
use p2p::net::secure::{Expected, Keyring};
use p2p::net::{self, Identity, Messages, NetError, trace::Side};
use p2p::tracker::{self, Config, Tracker};
use p2p::wire::*;

/// Far more than anything here takes; only a failure waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

type Link = Messages<FromTracker, ToTracker>;

fn start(config: Config) -> Tracker {
    tracker::start(Config { listen: "127.0.0.1:0".into(), ..config }).unwrap()
}

fn try_connect(tracker: &Tracker, number: u8, role: Role) -> Result<Link, NetError> {
    let me = Identity::new(Keyring::none(), PeerId([number; 16]), format!("peer{number}"), 0);
    let stream = net::dial(&tracker.addr().to_string())?;
    let session = net::greet(stream, (&me, role), Expected::Anybody, Side::Tracker, net::HELLO_TIMEOUT)?;
    let link = Messages::new(session, Side::Tracker);
    link.set_timeout(Some(PATIENCE))?;
    Ok(link)
}

fn connect(tracker: &Tracker, number: u8) -> Link {
    try_connect(tracker, number, Role::Member).unwrap()
}

fn offer(name: &str, content: &[u8]) -> Offer {
    let size = content.len() as u64;
    let (name, id) = (Name::new(name), FileId::of(content));
    Offer { name, id, size, total: size, chunks: 1, complete: true, original: true, modified: 0 }
}

fn register(link: &mut Link, offers: Vec<Offer>) -> FromTracker {
    let message = Register { port: 4000, addresses: Addresses::default(), offers: List::new(offers) };
    link.call(&message.into()).unwrap()
}

fn locate(link: &mut Link, name: &str) -> Located {
    let message = Locate {
        name: Name::new(name),
        id: FileId::NONE,
        purpose: Purpose::Inspect,
        max: 0,
        missing: Ranges::default(),
    };
    match link.call(&message.into()).unwrap() {
        FromTracker::Located(located) => located,
        other => panic!("{other:?}"),
    }
}

fn code(answer: FromTracker) -> ErrorCode {
    match answer {
        FromTracker::Common(Common::Error(error)) => error.code,
        other => panic!("{other:?}"),
    }
}

/// Asks until the name has this many holders; each question is a step, so nothing needs to sleep.
fn until_holders(link: &mut Link, name: &str, holders: usize) {
    let deadline = std::time::Instant::now() + PATIENCE;
    let count =
        |located: Located| located.variants.iter().map(|variant| variant.holders.len()).sum::<usize>();
    while count(locate(link, name)) != holders {
        assert!(std::time::Instant::now() < deadline, "{name} never had {holders} holders");
    }
}

#[test]
fn what_is_registered_is_found_listed_and_counted() {
    let tracker = start(Config::default());
    let (mut sharer, mut tool) = (connect(&tracker, 1), connect(&tracker, 2));
    let registered = register(&mut sharer, vec![offer("notes/a.txt", b"a")]);
    assert!(matches!(registered, FromTracker::Registered(Registered { lease_ms: 30_000, .. })));
    let update = Update { added: List::new(vec![offer("notes/b.txt", b"b")]), removed: List::default() };
    assert_eq!(sharer.call(&update.into()).unwrap(), Common::Ok.into());

    let located = locate(&mut tool, "notes/b.txt");
    let holder = &located.variants[0].holders[0];
    let here = [Address::new([127, 0, 0, 1].into(), 4000).unwrap()];
    assert_eq!((&*holder.name, &*holder.addresses, holder.have), ("peer1", &here[..], 1));
    assert_eq!(&*locate(&mut tool, "notes/c.txt").near[0], "notes/a.txt");

    let list = GetList { pattern: Name::new("*.txt"), after: Name::default(), limit: 10 };
    let FromTracker::Listing(listing) = tool.call(&list.into()).unwrap() else { panic!() };
    let names: Vec<&str> = listing.entries.iter().map(|entry| &*entry.name).collect();
    assert_eq!((names, listing.more), (vec!["notes/a.txt", "notes/b.txt"], false));

    let FromTracker::Status(status) = tool.call(&GetStatus {}.into()).unwrap() else { panic!() };
    assert_eq!((status.peers, status.names, status.registrations, status.located), (1, 2, 2, 2));
    let peers = GetPeers { after: PeerId([0; 16]), limit: 10 };
    let FromTracker::Peers(peers) = tool.call(&peers.into()).unwrap() else { panic!() };
    assert_eq!((peers.peers.len(), peers.peers[0].offers, peers.more), (1, 2, false));
}

#[test]
fn an_error_about_a_request_keeps_the_connection() {
    let tracker = start(Config::default());
    let mut link = connect(&tracker, 1);
    let heartbeat = Heartbeat { uploads: 0, downloads: 0, space: 0 };
    assert_eq!(code(link.call(&heartbeat.clone().into()).unwrap()), ErrorCode::NotRegistered);
    assert_eq!(code(register(&mut link, vec![offer("../escape", b"x")])), ErrorCode::BadName);
    assert_eq!(code(link.call(&heartbeat.clone().into()).unwrap()), ErrorCode::NotRegistered);
    register(&mut link, vec![offer("f", b"x")]);
    assert_eq!(link.call(&heartbeat.into()).unwrap(), Common::Ok.into());
    let have = HaveChunks {
        id: FileId::of(b"x"),
        view: View::Bytes,
        gained: List::new(vec![Run::new(Chunk(0), 2)]),
    };
    assert_eq!(code(link.call(&have.into()).unwrap()), ErrorCode::Malformed);
    assert_eq!(link.call(&Common::Ping.into()).unwrap(), Common::Pong.into());
    assert_eq!(code(link.call(&Common::Ok.into()).unwrap()), ErrorCode::Unexpected);
    assert!(matches!(link.receive(), Err(NetError::Closed)), "a message out of place does not");
}

#[test]
fn a_broken_connection_takes_its_registration_with_it() {
    let tracker = start(Config::default());
    let (mut one, mut other, mut tool) = (connect(&tracker, 1), connect(&tracker, 2), connect(&tracker, 3));
    register(&mut one, vec![offer("f", b"x")]);
    register(&mut other, vec![offer("f", b"x")]);
    assert_eq!(locate(&mut tool, "f").variants[0].seeders, 2);
    drop(one);
    until_holders(&mut tool, "f", 1);
    assert_eq!(other.call(&Common::Leave.into()).unwrap(), Common::Ok.into());
    assert!(matches!(other.receive(), Err(NetError::Closed)));
    until_holders(&mut tool, "f", 0);
}

#[test]
fn a_newer_connection_takes_over_from_one_that_is_silent() {
    let tracker = start(Config::default());
    let (mut old, mut new, mut tool) = (connect(&tracker, 1), connect(&tracker, 1), connect(&tracker, 2));
    register(&mut old, vec![offer("old", b"x")]);
    assert_eq!(code(register(&mut new, vec![offer("new", b"x")])), ErrorCode::InUse);
    assert_eq!(locate(&mut tool, "old").variants[0].seeders, 1);
    let deadline = std::time::Instant::now() + PATIENCE;
    while !matches!(register(&mut new, vec![offer("new", b"x")]), FromTracker::Registered(_)) {
        assert!(std::time::Instant::now() < deadline, "it is never taken over");
        std::thread::sleep(Duration::from_millis(20));
    }
    let heartbeat = Heartbeat { uploads: 0, downloads: 0, space: 0 };
    assert_eq!(code(old.call(&heartbeat.into()).unwrap()), ErrorCode::NotRegistered);
    assert_eq!(old.call(&Common::Leave.into()).unwrap(), Common::Ok.into());
    assert!(matches!(old.receive(), Err(NetError::Closed)), "its thread has seen the end");
    until_holders(&mut tool, "old", 0);
    until_holders(&mut tool, "new", 1);
}

#[test]
fn a_silent_peer_loses_its_lease_but_not_its_connection() {
    let tracker = start(Config { lease: Duration::from_millis(50), ..Config::default() });
    let (mut silent, mut tool) = (connect(&tracker, 1), connect(&tracker, 2));
    register(&mut silent, vec![offer("f", b"x")]);
    until_holders(&mut tool, "f", 0);
    let heartbeat = Heartbeat { uploads: 0, downloads: 0, space: 0 };
    assert_eq!(code(silent.call(&heartbeat.into()).unwrap()), ErrorCode::NotRegistered);
    assert!(matches!(register(&mut silent, vec![offer("f", b"x")]), FromTracker::Registered(_)));
}

#[test]
fn an_idle_connection_is_told_and_closed() {
    let tracker = start(Config { idle: Duration::from_millis(20), ..Config::default() });
    let mut link = connect(&tracker, 1);
    let (request, last_word) = link.receive().unwrap();
    assert_eq!((request, code(last_word)), (0, ErrorCode::TimedOut));
    assert!(matches!(link.receive(), Err(NetError::Closed)));
}

#[test]
fn connections_beyond_the_limit_are_told() {
    let tracker = start(Config { max_connections: Some(1), ..Config::default() });
    let mut first = connect(&tracker, 1);
    // Once it is answered it counts: the tracker's HELLO is here a moment before.
    assert_eq!(first.call(&Common::Ping.into()).unwrap(), Common::Pong.into());
    let refused = try_connect(&tracker, 2, Role::Member).unwrap_err();
    assert!(matches!(refused, NetError::Refused { code: ErrorCode::Limit, .. }), "{refused:?}");
    assert_eq!(first.call(&Common::Ping.into()).unwrap(), Common::Pong.into());
}

#[test]
fn only_members_are_welcome() {
    let tracker = start(Config::default());
    let refused = try_connect(&tracker, 1, Role::Ask).unwrap_err();
    assert!(matches!(refused, NetError::Refused { code: ErrorCode::Unexpected, .. }), "{refused:?}");
}

#[test]
fn a_stopping_tracker_says_so_and_ends_all_threads() {
    let tracker = start(Config::default());
    let mut link = connect(&tracker, 1);
    register(&mut link, vec![offer("f", b"x")]);
    // One that never says a word must not hold the tracker up.
    let mute = TcpStream::connect(tracker.addr()).unwrap();
    let (stopped, waited) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            tracker.wait();
            stopped.send(()).unwrap();
        });
        tracker.stop();
    });
    assert_eq!(waited.try_recv(), Ok(()));
    let (request, last_word) = link.receive().unwrap();
    assert_eq!((request, code(last_word)), (0, ErrorCode::Stopping));
    assert!(TcpStream::connect(tracker.addr()).is_err(), "nobody listens any more");
    drop(mute);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let tracker = start(Config::default());
    let mut link = connect(&tracker, 1);
    for request in 1..=1000 {
        link.queue(request, &Common::Ping.into());
    }
    link.flush().unwrap();
    for request in 1..=1000 {
        assert_eq!(link.receive().unwrap(), (request, Common::Pong.into()));
    }
}

#[test]
fn a_busy_port_is_an_error_that_says_where() {
    let tracker = start(Config::default());
    let listen = tracker.addr().to_string();
    let error = tracker::start(Config { listen: listen.clone(), ..Config::default() }).unwrap_err();
    assert!(error.to_string().contains(&listen));
}

fn publish(link: &mut Link, name: &str, content: &[u8]) -> FromTracker {
    let size = content.len() as u64;
    let version = Version {
        number: 0,
        id: FileId::of(content),
        size,
        total: size,
        chunks: 1,
        policy: Policy::NONE,
        stamp_ms: 0,
        publisher: Label::new("anna"),
    };
    let (client, name) = (ClientId::random(), Name::new(name));
    link.call(&Publish { client, seq: 1, name, version, expect: 0 }.into()).unwrap()
}

#[test]
fn what_is_published_is_there_again_with_the_folder_and_gone_without() {
    let folder = tempfile::tempdir().unwrap();
    let kept = || Config { data: Some(folder.path().to_owned()), ..Config::default() };
    let tracker = start(kept());
    let mut link = connect(&tracker, 1);
    for (number, content) in [(1, b"x"), (2, b"y")] {
        assert_eq!(publish(&mut link, "a", content), Stored { number, fresh: true }.into());
    }
    let second = tracker::start(kept()).unwrap_err();
    assert!(second.to_string().contains("in use by another process"), "{second}");
    tracker.stop();
    let again = start(kept());
    let resolve = |tracker: &Tracker| {
        let question = Resolve { name: Name::new("a"), number: 0 };
        match connect(tracker, 2).call(&question.into()).unwrap() {
            FromTracker::Resolved(resolved) => resolved.versions.into_vec(),
            other => panic!("{other:?}"),
        }
    };
    let found: Vec<(u32, FileId)> =
        resolve(&again).iter().map(|version| (version.number, version.id)).collect();
    assert_eq!(found, [(2, FileId::of(b"y"))]);
    assert!(resolve(&start(Config::default())).is_empty());
}

#[test]
fn a_damaged_journal_is_left_as_it_is_and_the_tracker_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let kept = || Config { data: Some(folder.path().to_owned()), ..Config::default() };
    let tracker = start(kept());
    let mut link = connect(&tracker, 1);
    for content in [b"x", b"y", b"z"] {
        publish(&mut link, "a", content);
    }
    drop((link, tracker));
    let path = folder.path().join("records.log");
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() / 512 / 2 * 512 + 100;
    bytes[at] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let error = tracker::start(kept()).unwrap_err().to_string();
    assert!(error.contains("records.log is damaged at byte"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}
