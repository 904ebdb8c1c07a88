//! Strangers who mean harm: many, silent, slow, greedy. What they may cost is stated here, and that honest
//! ones are served meanwhile.
//!
//! They come from another address of the loopback, as they would from another machine.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::claims::{claim, offer, offer_of};
use crate::client::{ASK, Body, Client, Hello, MEMBER, PREFACE, SERVE, code, frame, id, register};
use crate::lab::{DONE, Lab, one_file};
use crate::liar::{Liar, Lie};
use crate::support::{DEADLINE, Daemon, eventually, pattern};

/// How many come at once.
const CROWD: usize = 1000;
/// Threads that a daemon has without any connection, and room for honest ones.
const THREADS_OF_ITS_OWN: u64 = 40;
/// Strangers of one address that are let in at a time (`net::door::MAX_STRANGERS_PER_ADDRESS`).
const MAX_STRANGERS_PER_ADDRESS: u64 = 256;
/// Guests of one address at a peer with default limits (`Door::max_per_address`).
const MAX_GUESTS_OF_PEER: u64 = 128;
/// What a stranger may cost, thread and all.
const STRANGER_KIB: u64 = 32;
/// What a silent member may cost a tracker.
const MEMBER_KIB: u64 = 32;
/// What a silent asker may cost a peer.
const ASKER_KIB: u64 = 64;
/// What one connection may have waiting in a peer: unsent answers, and one frame.
const GREEDY_KIB: u64 = 10 << 10;
/// What a fetcher may have in all whose source takes no answers.
const FETCHER_KIB: u64 = 64 << 10;
/// So many who never listen, and what they may cost: 8 MiB for their address, and 256 KiB, a frame and a thread for each.
const CHOKED: usize = 24;
const CROWD_OF_GREEDY_KIB: u64 = (8 << 10) + CHOKED as u64 * (256 + 320 + ASKER_KIB);
/// How much longer an honest fetch may take beside many connections of one other address.
const MAX_SLOWDOWN: f64 = 2.5;
/// What all large messages that never end may cost a tracker: `MAX_LARGE_MESSAGES` of a frame each, in
/// buffers that double as they grow, and what the allocator keeps of those before.
const LARGE_MESSAGES_KIB: u64 = 32 * (5 << 10);
/// What allocators and buffers may vary.
const SLACK_KIB: u64 = 4 << 10;

/// Dials from 127.0.0.66.
fn dial(target: SocketAddr) -> TcpStream {
    dial_from(66, target)
}

/// Dials from the address of the loopback that ends so.
fn dial_from(last: u8, target: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let stranger = SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0));
    socket.bind(&stranger.into()).expect("an address of the loopback");
    socket.connect(&target.into()).expect("a connection");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(DEADLINE)).expect("an open socket");
    stream.set_write_timeout(Some(DEADLINE)).expect("an open socket");
    stream
}

/// Sends what the other side takes; it may have cut the connection.
fn send(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    stream.write_all(bytes).is_ok()
}

fn greeting(role: u8) -> Vec<u8> {
    [&PREFACE[..], &Hello::new(role).frame()].concat()
}

/// Dials and greets; the answer is read, so that the connection is a guest.
fn greet(target: SocketAddr, role: u8) -> Option<TcpStream> {
    greet_from(66, target, role)
}

fn greet_from(last: u8, target: SocketAddr, role: u8) -> Option<TcpStream> {
    let mut stream = dial_from(last, target);
    let mut preface = [0; 8];
    let heard = send(&mut stream, &greeting(role)) && stream.read_exact(&mut preface).is_ok();
    let mut header = [0; 9];
    (heard && stream.read_exact(&mut header).is_ok() && header[4] == id::HELLO).then_some(stream)
}

/// Fails the test unless the daemon has so many threads at most for the crowd, and never had more memory
/// than it had before and so much for the crowd.
#[track_caller]
fn limits_hold(daemon: &Daemon, before: u64, threads: u64, kib: u64) {
    // The peak, for what was given back does not count.
    let peak = daemon.proc_status("VmHWM");
    // Those that were cut a moment ago may not have ended yet.
    eventually("few threads", || {
        (daemon.proc_status("Threads") <= threads + THREADS_OF_ITS_OWN).then_some(())
    });
    assert!(peak <= before + kib + SLACK_KIB, "{peak} KiB, {before} KiB before");
}

/// A peer that shares a small file, its tracker, and what an honest `get` and `find` of it take.
struct Town {
    lab: Lab,
    peer: Daemon,
    content: Vec<u8>,
    _sample: crate::support::Sample,
}

impl Town {
    fn new() -> Town {
        let lab = Lab::new();
        let content = pattern(300_000, 5);
        let sample = one_file("file", content.clone());
        let peer = lab.peer(&sample, "honest", &[]);
        lab.wait_for_seeders("file", 1);
        let town = Town { lab, peer, content, _sample: sample };
        town.honest(); // what is allocated once is not the crowd's
        town
    }

    /// An honest `get`, which asks tracker and peer: how long it took.
    #[track_caller]
    fn honest(&self) -> Duration {
        let start = Instant::now();
        self.lab.get("file", &["--wait", "10s"]).expect(DONE);
        let took = start.elapsed();
        self.lab.expect_file("file", &self.content);
        std::fs::remove_file(self.lab.fetched("file")).expect("the file goes");
        took
    }

    fn median(&self) -> Duration {
        let mut times: Vec<Duration> = (0..9).map(|_| self.honest()).collect();
        times.sort_unstable();
        times[times.len() / 2]
    }
}

#[test]
fn a_thousand_strangers_who_say_nothing_cost_a_tracker_and_a_peer_little() {
    let town = Town::new();
    for daemon in [&town.lab.tracker, &town.peer] {
        let before = daemon.proc_status("VmRSS");
        let crowd: Vec<TcpStream> = (0..CROWD).map(|_| dial(daemon.addr())).collect();
        town.honest();
        limits_hold(daemon, before, MAX_STRANGERS_PER_ADDRESS, MAX_STRANGERS_PER_ADDRESS * STRANGER_KIB);
        drop(crowd);
    }
}

#[test]
fn a_thousand_slow_greetings_cost_a_tracker_and_a_peer_little() {
    let town = Town::new();
    for (daemon, role) in [(&town.lab.tracker, MEMBER), (&town.peer, ASK)] {
        let before = daemon.proc_status("VmRSS");
        let greeting = greeting(role);
        let mut crowd: Vec<TcpStream> = (0..CROWD).map(|_| dial(daemon.addr())).collect();
        for byte in greeting[..20].chunks(1) {
            crowd.iter_mut().for_each(|stream| {
                send(stream, byte);
            });
        }
        town.honest();
        limits_hold(daemon, before, MAX_STRANGERS_PER_ADDRESS, MAX_STRANGERS_PER_ADDRESS * STRANGER_KIB);
    }
}

#[test]
fn a_thousand_silent_members_cost_a_tracker_little_each() {
    let town = Town::new();
    let before = town.lab.tracker.proc_status("VmRSS");
    let crowd: Vec<_> = (0..CROWD).filter_map(|_| greet(town.lab.tracker.addr(), MEMBER)).collect();
    assert_eq!(crowd.len(), CROWD, "a tracker has room for so many");
    town.honest();
    limits_hold(&town.lab.tracker, before, CROWD as u64, CROWD as u64 * MEMBER_KIB);
}

#[test]
fn a_thousand_silent_askers_are_let_in_to_a_share_of_the_places() {
    let town = Town::new();
    let before = town.peer.proc_status("VmRSS");
    let crowd: Vec<_> = (0..CROWD).filter_map(|_| greet(town.peer.addr(), ASK)).collect();
    assert!(crowd.len() as u64 >= MAX_GUESTS_OF_PEER, "{}", crowd.len());
    town.honest();
    let threads = MAX_GUESTS_OF_PEER + MAX_STRANGERS_PER_ADDRESS;
    limits_hold(&town.peer, before, threads, threads * ASKER_KIB);
}

#[test]
fn strangers_of_a_few_addresses_who_take_all_places_of_a_peer_make_room_for_others() {
    let town = Town::new();
    let mut crowd = Vec::new();
    for last in 61..=64 {
        let those = (0..MAX_GUESTS_OF_PEER).filter_map(|_| greet_from(last, town.peer.addr(), ASK));
        crowd.extend(those);
    }
    assert_eq!(crowd.len() as u64, 4 * MAX_GUESTS_OF_PEER, "all places");
    let ping = frame(id::PING, 7, &Body::new());
    crowd.iter_mut().for_each(|stream| assert!(send(stream, &ping)));
    town.honest();
}

#[test]
fn who_asks_a_fetcher_for_ever_and_never_listens_is_given_up() {
    let lab = Lab::new();
    let _liar = Liar::start(&lab, "file", pattern(3_000_000, 5), Lie::Pings);
    let fetching = lab.fetching("file", &["--wait", "60s"]);
    fetching.wait_for_log("it is not asked any more");
    let peak = fetching.proc_status("VmHWM");
    assert!(peak < FETCHER_KIB, "{peak} KiB");
    fetching.kill();
}

#[test]
fn a_flood_of_connections_that_come_and_go_costs_nothing_that_stays() {
    let town = Town::new();
    for daemon in [&town.lab.tracker, &town.peer] {
        let before = daemon.proc_status("VmRSS");
        let target = daemon.addr();
        let flood = thread::spawn(move || (0..CROWD).for_each(|_| drop(dial(target))));
        town.honest();
        flood.join().expect("the flood has passed");
        town.honest();
        limits_hold(daemon, before, MAX_STRANGERS_PER_ADDRESS, MAX_STRANGERS_PER_ADDRESS * STRANGER_KIB);
        eventually("the threads have gone", || {
            (daemon.proc_status("Threads") <= THREADS_OF_ITS_OWN).then_some(())
        });
    }
}

#[test]
fn registrations_that_never_end_have_bounded_room() {
    let town = Town::new();
    let before = town.lab.tracker.proc_status("VmRSS");
    // The head of a REGISTER of a megabyte, and all of it but the last byte.
    let length: u32 = 1 << 20;
    let mut start = Body::new().u32(length).u8(id::REGISTER).u32(1).u16(0).u32(0).u32(1024).0;
    start.resize(length as usize + 3, b'a');
    let mut crowd: Vec<_> = (0..300).filter_map(|_| greet(town.lab.tracker.addr(), MEMBER)).collect();
    crowd.iter_mut().for_each(|stream| {
        send(stream, &start);
    });
    town.honest();
    let kib = LARGE_MESSAGES_KIB + crowd.len() as u64 * MEMBER_KIB;
    limits_hold(&town.lab.tracker, before, crowd.len() as u64, kib);
}

/// The answer to a message after HELLO is an ERROR that closes, or the end of the connection.
#[track_caller]
fn is_refused(target: &str, role: u8, bytes: &[u8], code: u16) {
    let (mut client, _) = Client::greet(target, &Hello::new(role)).unwrap();
    client.send(bytes);
    client.ends_with(code).unwrap();
}

#[test]
fn absurd_sizes_and_lengths_are_refused_before_they_cost_anything() {
    let town = Town::new();
    let (tracker, peer) = (town.lab.tracker.target(), town.peer.target());
    let before = (town.lab.tracker.proc_status("VmRSS"), town.peer.proc_status("VmRSS"));
    let giant = |id: u8| Body::new().u32(u32::MAX).u8(id).u32(1).0;
    is_refused(&tracker, MEMBER, &giant(id::REGISTER), code::TOO_LARGE);
    is_refused(&peer, ASK, &giant(id::OPEN), code::TOO_LARGE);
    // A list that says it has four thousand million entries, in a frame of a few bytes.
    let long = Body::new().u16(0).u32(0).u32(u32::MAX);
    is_refused(&tracker, MEMBER, &frame(id::REGISTER, 2, &long), code::MALFORMED);
    let ranges = Body::new().u16(0).u32(u32::MAX);
    is_refused(&peer, ASK, &frame(id::ASKER_HAVE, 0, &ranges), code::MALFORMED);
    // A file of all the bytes there can be, in all the chunks there can be.
    let (mut client, _) = Client::greet(&tracker, &Hello::new(MEMBER)).unwrap();
    let offer = offer_of("file", [7; 32], (u64::MAX, u64::MAX, u32::MAX));
    assert_eq!(client.ask(id::REGISTER, &register(1, &[offer])).unwrap().error().unwrap(), code::MALFORMED);
    client.is_alive().unwrap();
    limits_hold(&town.lab.tracker, before.0, 0, 0);
    limits_hold(&town.peer, before.1, 0, 0);
    town.honest();
}

#[test]
fn replies_nobody_asked_for_end_the_connection() {
    let town = Town::new();
    let (tracker, peer) = (town.lab.tracker.target(), town.peer.target());
    is_refused(&tracker, MEMBER, &frame(id::LOCATED, 9, &Body::new().u32(0).u32(0)), code::UNEXPECTED);
    is_refused(&peer, ASK, &frame(id::REFUSED, 9, &Body::new().u8(1)), code::UNEXPECTED);
    // Offering to serve what nobody fetches.
    let (client, theirs) = Client::greet(&peer, &Hello::new(SERVE)).unwrap();
    assert_eq!(theirs.role, ASK);
    client.has_ended().unwrap();
    town.honest();
}

/// Writes until the other side takes no more for a while, or the connection ends; bytes written.
fn stuff(stream: &mut TcpStream, bytes: &[u8], most: usize) -> usize {
    stream.set_write_timeout(Some(Duration::from_millis(300))).expect("an open socket");
    let mut written = 0;
    while written < most {
        match stream.write(bytes) {
            Ok(some) => written += some,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    written
}

#[test]
fn who_asks_and_never_listens_is_not_asked_on() {
    let town = Town::new();
    let before = town.peer.proc_status("VmRSS");
    let mut greedy = greet(town.peer.addr(), ASK).expect("a place");
    let hash = *blake3::hash(&town.content).as_bytes();
    assert!(send(&mut greedy, &frame(id::OPEN, 2, &Body::new().u16(0).raw(&hash).u8(0))));
    // Each question is 23 bytes, its answer 180: 64 MiB of questions would be half a gigabyte of answers.
    let question = frame(id::GET_MANIFEST, 3, &Body::new().u16(0).u32(0).u32(0).u32(5));
    let questions = question.repeat(2000);
    let most = 64 << 20;
    let written = stuff(&mut greedy, &questions, most);
    assert!(written < most, "all of it was taken");
    town.honest();
    limits_hold(&town.peer, before, MAX_STRANGERS_PER_ADDRESS, GREEDY_KIB);
}

#[test]
fn many_of_one_address_who_never_listen_cost_little_more_than_one() {
    let town = Town::new();
    let before = town.peer.proc_status("VmRSS");
    let hash = *blake3::hash(&town.content).as_bytes();
    let question = frame(id::GET_MANIFEST, 3, &Body::new().u16(0).u32(0).u32(0).u32(5));
    let questions = question.repeat(2000);
    let crowd: Vec<TcpStream> = (0..CHOKED)
        .map(|_| {
            let mut greedy = greet(town.peer.addr(), ASK).expect("a place");
            assert!(send(&mut greedy, &frame(id::OPEN, 2, &Body::new().u16(0).raw(&hash).u8(0))));
            stuff(&mut greedy, &questions, 64 << 20);
            greedy
        })
        .collect();
    town.honest();
    limits_hold(&town.peer, before, MAX_STRANGERS_PER_ADDRESS, CROWD_OF_GREEDY_KIB);
    drop(crowd);
}

/// Asks for all chunks of the content again and again, and reads what comes.
fn devour(mut stream: TcpStream, hash: [u8; 32], chunks: u16) {
    let open = frame(id::OPEN, 2, &Body::new().u16(0).raw(&hash).u8(0));
    // Behind others, as it says.
    let ask = Body::new().u16(0).u32(0).u16(chunks).u8(0).u8(1);
    let asks: Vec<u8> = (1..20).flat_map(|nth| frame(id::GET_CHUNK, nth << 16, &ask)).collect();
    let mut sink = vec![0; 1 << 16];
    if send(&mut stream, &open) && send(&mut stream, &asks) {
        while stream.read(&mut sink).is_ok_and(|some| some > 0) {}
    }
}

#[test]
fn many_connections_of_one_address_slow_an_honest_fetch_by_a_bounded_factor() {
    let lab = Lab::new();
    let content = pattern(8 << 20, 5);
    let hash = *blake3::hash(&content).as_bytes();
    let sample = one_file("file", content.clone());
    // So that the file takes two seconds.
    let peer = lab.peer(&sample, "honest", &["--up", "4MB/s"]);
    lab.wait_for_seeders("file", 1);
    let fetch = || {
        let start = Instant::now();
        lab.get("file", &["--wait", "60s"]).expect(DONE);
        let took = start.elapsed();
        lab.expect_file("file", &content);
        std::fs::remove_file(lab.fetched("file")).expect("the file goes");
        took
    };
    let alone = fetch();
    let crowd: Vec<TcpStream> = (0..20).filter_map(|_| greet(peer.addr(), ASK)).collect();
    let handles: Vec<TcpStream> = crowd.iter().filter_map(|stream| stream.try_clone().ok()).collect();
    let eating: Vec<_> =
        crowd.into_iter().map(|stream| thread::spawn(move || devour(stream, hash, 128))).collect();
    let beside = fetch();
    println!("alone {alone:?}, beside {} connections of another address {beside:?}", eating.len());
    handles.iter().for_each(|stream| drop(stream.shutdown(std::net::Shutdown::Both)));
    eating.into_iter().for_each(|eater| eater.join().expect("it ends"));
    assert!(beside < alone.mul_f64(MAX_SLOWDOWN), "{beside:?}, alone {alone:?}");
}

#[test]
fn what_is_no_peer_is_dialled_once_whoever_names_it() {
    let lab = Lab::new();
    let content = pattern(300_000, 5);
    let hash = *blake3::hash(&content).as_bytes();
    let victim = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = victim.local_addr().expect("its address").port();
    let dials = Arc::new(AtomicUsize::new(0));
    let counted = dials.clone();
    thread::spawn(move || {
        for mut stream in victim.incoming().flatten() {
            counted.fetch_add(1, Ordering::Relaxed);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
            // Reads to the end, so that what it said is not lost with a reset.
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    let sybils: Vec<Client> =
        (0..100).map(|_| claim(&lab, offer("file", hash, content.len() as u64), port)).collect();
    lab.get("file", &["--wait", "3s"]);
    // Two connections, if it seemed to be the only holder.
    let dialled = dials.load(Ordering::Relaxed);
    assert!((1..=2).contains(&dialled), "{dialled} dials for {} names", sybils.len());
}

/// True if who dialled is called so, as its HELLO says.
fn is_called(stream: &mut TcpStream, name: &str) -> bool {
    let mut head = [0; PREFACE.len() + size_of::<u32>()];
    let hello = stream.read_exact(&mut head).and_then(|()| {
        let (_, len) = head.split_at(PREFACE.len());
        let mut hello = vec![0; u32::from_be_bytes(len.try_into().expect("four bytes")) as usize];
        stream.read_exact(&mut hello).map(|()| hello)
    });
    hello.is_ok_and(|hello| hello.windows(name.len()).any(|part| part == name.as_bytes()))
}

#[test]
fn many_ports_of_one_host_are_dialled_no_more_often_than_one_host_may_be() {
    const WAIT: u64 = 4;
    const NAME: &str = "who fetches";
    // `AT_ONCE` and `A_SECOND` in `swarm/dials.rs`; and a second for the beginning and the end.
    const MOST: usize = 32 + 8 * (WAIT as usize + 1);
    let lab = Lab::new();
    let content = pattern(300_000, 5);
    let hash = *blake3::hash(&content).as_bytes();
    let dials = Arc::new(AtomicUsize::new(0));
    let sybils: Vec<Client> = (0..64)
        .map(|_| {
            let victim = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let port = victim.local_addr().expect("its address").port();
            let counted = dials.clone();
            thread::spawn(move || {
                // Each is closed without a word. The tracker looks, too, whether who is called dead is so.
                for mut stream in victim.incoming().flatten() {
                    counted.fetch_add(usize::from(is_called(&mut stream, NAME)), Ordering::Relaxed);
                }
            });
            claim(&lab, offer("file", hash, content.len() as u64), port)
        })
        .collect();
    lab.get("file", &["--wait", &format!("{WAIT}s"), "--name", NAME]);
    let dialled = dials.load(Ordering::Relaxed);
    println!("{dialled} dials for {} ports", sybils.len());
    assert!((16..=MOST).contains(&dialled), "{dialled} dials for {} ports", sybils.len());
}

#[test]
fn who_tells_the_same_for_ever_is_closed() {
    let town = Town::new();
    let (mut client, _) = Client::greet(&town.peer.target(), &Hello::new(ASK)).unwrap();
    let hash = *blake3::hash(&town.content).as_bytes();
    client.call(id::OPEN, &Body::new().u16(0).raw(&hash).u8(0), id::OPENED).unwrap();
    let all = frame(id::ASKER_HAVE, 0, &Body::new().u16(0).ranges(&[(0, u32::MAX)]));
    client.send(&all.repeat(2));
    client.is_alive().unwrap();
    client.send(&all);
    client.ends_with(code::UNEXPECTED).unwrap();
}

#[test]
#[ignore = "measures: cargo test --release --test failures -- --ignored --nocapture honest_latency"]
fn honest_latency_among_a_thousand_strangers_at_most_doubles() {
    let town = Town::new();
    let alone = town.median();
    for daemon in [&town.lab.tracker, &town.peer] {
        let crowd: Vec<TcpStream> = (0..CROWD).map(|_| dial(daemon.addr())).collect();
        let among = town.median();
        println!("{}: alone {alone:?}, among {CROWD} silent strangers {among:?}", daemon.line());
        assert!(among <= alone * 2, "{among:?} is more than twice {alone:?}");
        drop(crowd);
        let role = if daemon.pid() == town.peer.pid() { ASK } else { MEMBER };
        let crowd: Vec<_> = (0..CROWD).filter_map(|_| greet(daemon.addr(), role)).collect();
        let among = town.median();
        println!("{}: among {} silent guests {among:?}", daemon.line(), crowd.len());
        assert!(among <= alone * 2, "{among:?} is more than twice {alone:?}");
    }
}
