//! A day in short: gets, peers that come and go, trackers that start again, strangers throughout. Memory and descriptors
//! of who lives all the while stay flat, and nothing is lost.
//!
//! `cargo test --test soak -- --ignored --nocapture` is all of it: 20,000 gets, 2,000 registrations and 200 restarts of the
//! tracker. `P2P_SOAK=5` is five thousandths.

mod support;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use p2p::conformance::{self, ASK, Body, Client, Hello, MEMBER, PREFACE, id};
use support::{Daemon, Port, Sample, eventually, pattern, run};
use tempfile::TempDir;

/// Of a whole day.
const GETS: usize = 20_000;
const REGISTRATIONS: usize = 2_000;
const RESTARTS: usize = 200;
/// So much more memory, in KiB, may be held at the end than after the first rounds: what an allocator keeps.
const MORE_KIB: u64 = 24 << 10;
/// So many more descriptors: connections that are just ending.
const MORE_DESCRIPTORS: usize = 16;
/// Rounds until all is warm.
const WARM: usize = 2;

/// How much of the day this is, in thousandths.
fn thousandths() -> usize {
    std::env::var("P2P_SOAK").ok().and_then(|text| text.parse().ok()).unwrap_or(1000)
}

/// What a process holds: memory in KiB, open descriptors.
fn held(process: &Daemon) -> (u64, usize) {
    let open = std::fs::read_dir(format!("/proc/{}/fd", process.pid())).expect("a process").count();
    (process.proc_status("VmRSS"), open)
}

/// Strangers: one that says nothing, one that says nonsense, one that goes in the middle of HELLO, one that asks and
/// does not read.
fn strangers(at: SocketAddr, role: u8) {
    for bytes in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", &PREFACE, &[0xff; 64]] {
        if let Ok(mut stream) = TcpStream::connect(at) {
            let _ = stream.write_all(bytes);
        }
    }
    if let Ok((mut client, _)) = Client::greet(&at.to_string(), &Hello::new(role)) {
        let pings: Vec<u8> = (1..200).flat_map(|n| conformance::frame(id::PING, n, &Body::new())).collect();
        client.send(&pings);
    }
}

/// A peer that registers one name and goes, politely or not.
fn come_and_go(tracker: &str, number: usize) {
    let hello = Hello::new(MEMBER);
    let (mut client, _) = Client::greet(tracker, &hello).expect("a tracker");
    let hash: [u8; 32] = std::array::from_fn(|_| fastrand::u8(..));
    let offer = conformance::offer(&format!("soak/{number}"), hash, true);
    let register = conformance::register(1, &[offer]);
    client.call(id::REGISTER, &register, id::REGISTERED).expect("a registration");
    if number.is_multiple_of(2) {
        client.call(id::LEAVE, &Body::new(), id::OK).expect("a goodbye");
    }
}

#[test]
#[ignore = "a day in short: minutes to hours"]
fn a_day_in_short() {
    let part = |of: usize| (of * thousandths()).div_ceil(1000);
    let (gets, registrations, restarts) = (part(GETS), part(REGISTRATIONS), part(RESTARTS));
    let rounds = restarts.max(1);
    let mut sample = Sample::empty();
    for (name, len) in [("a", 300_000), ("b/c", 70_000), ("b/d", 5), ("e", 0)] {
        sample.add(name, pattern(len, len as u8));
    }
    let port = Port::reserve();
    let listen = port.target();
    let tracker_at = |port: &Port| Daemon::tracker(&["--listen", &port.target()]);
    let mut tracker = tracker_at(&port);
    let peer = Daemon::peer(sample.path(), &["--tracker", &listen, "--name", "seeder"]);
    let start = Instant::now();
    let mut warm = None;
    for round in 0..rounds {
        let share = |of: usize| of * (round + 1) / rounds - of * round / rounds;
        for number in 0..share(gets) {
            let place = TempDir::new().expect("a folder");
            let what = ["a", "b/", "e"][number % 3];
            let to = place.path().to_str().expect("UTF-8");
            run(&["get", what, to, "--tracker", &listen, "--wait", "30s", "-q"]).expect(0);
            match what {
                "b/" => sample.expect_copy("b/", &place.path().join("b")),
                file => assert!(place.path().join(file).exists(), "{file}"),
            }
        }
        (0..share(registrations)).for_each(|number| come_and_go(&listen, number));
        strangers(peer.addr(), ASK);
        strangers(tracker.addr(), MEMBER);
        let trackers = held(&tracker);
        drop(tracker.stop());
        tracker = tracker_at(&port);
        eventually("the peer is back at its tracker", || {
            let found = run(&["find", "a", "--tracker", &listen, "--wait", "0", "--json"]).stdout;
            found.contains("seeder").then_some(())
        });
        let now = held(&peer);
        eprintln!(
            "round {} of {rounds}, {:?}: peer {now:?}, tracker {trackers:?}",
            round + 1,
            start.elapsed()
        );
        if round + 1 == WARM.min(rounds) {
            warm = Some((now, trackers));
        }
        let Some((peers, of_tracker)) = warm else { continue };
        for ((memory, open), (before, before_open)) in [(now, peers), (trackers, of_tracker)] {
            assert!(memory <= before + MORE_KIB, "memory grows: {before} KiB, {memory} KiB");
            assert!(open <= before_open + MORE_DESCRIPTORS, "descriptors stay open: {before_open}, {open}");
        }
    }
    let status = run(&["status", "--json", "--tracker", &listen]).expect(0).stdout;
    assert!(status.contains("\"name\":\"seeder\""), "{status}");
    peer.stop().expect(0);
}
