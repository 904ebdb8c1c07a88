//! The tracker dies and comes back empty.

use std::fs;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use p2p::net::secure::Keyring;
use p2p::peer::{self, Peer};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::client::{Body, Client, Hello, MEMBER, id};
use crate::lab::{DONE, Lab, NOT_FOUND, UNREACHABLE, json, one_file};
use crate::support::{Cut, Daemon, Port, Way, eventually, pattern, run};

/// How soon the directory is whole again after the tracker's return.
const WHOLE_AGAIN: Duration = Duration::from_secs(5);
const INTERRUPTED: i32 = 130;

/// A tracker on a port that stays its own while it is away.
fn tracker_on(port: &Port) -> Daemon {
    Daemon::tracker(&["--listen", &port.target()])
}

/// Registered peers, and registrations, as the tracker at `target` says; none if it is not there.
fn registered(target: &str) -> (u32, u64) {
    let (mut client, _) = Client::greet(target, &Hello::new(MEMBER)).unwrap();
    let status = client.call(id::GET_STATUS, &Body::new(), id::STATUS).unwrap();
    status
        .fields(|fields| {
            let (_uptime, _epoch, peers, _names) = (fields.u64(), fields.u64(), fields.u32(), fields.u32());
            let registrations = fields.u64();
            let (_located, _settling, _clock) = (fields.u64(), fields.u32(), fields.u64());
            (peers, registrations)
        })
        .unwrap()
}

/// A peer of this process, which shares `files` tiny files of its own.
fn small_peer(root: &TempDir, number: usize, files: usize, tracker: &str) -> Peer {
    let folder = root.path().join(format!("peer{number}"));
    fs::create_dir(&folder).expect("the peer's folder");
    for file in 0..files {
        fs::write(folder.join(format!("{number}-{file}")), format!("{file} of {number}")).expect("a file");
    }
    let config = peer::Config {
        folder: Some(folder),
        prefix: false,
        selection: Default::default(),
        state: None,
        trackers: vec![tracker.to_owned()],
        listen: "127.0.0.1:0".to_owned(),
        name: format!("peer{number}"),
        keyring: Keyring::none(),
        advertise: None,
        watch: false,
        limits: peer::Limits::default(),
        lending: None,
        faults: None,
        latencies: peer::Latencies::default(),
    };
    peer::start(config, &mut |_| ControlFlow::Continue(())).expect("a peer")
}

#[test]
fn a_tracker_that_comes_back_empty_is_whole_again_within_five_seconds() {
    comes_back(40, 50);
}

#[test]
#[ignore = "heavy: cargo test --test failures -- --ignored --nocapture two_hundred_peers"]
fn a_tracker_of_two_hundred_peers_is_whole_again_within_five_seconds() {
    comes_back(200, 100);
}

#[track_caller]
fn comes_back(count: usize, files: usize) {
    let port = Port::reserve();
    let tracker = tracker_on(&port);
    let root = TempDir::new().expect("a temporary folder");
    let (root, target) = (&root, &port.target());
    let peers: Vec<Peer> = std::thread::scope(|scope| {
        let start = |lane: usize| {
            (lane..count).step_by(4).map(|number| small_peer(root, number, files, target)).collect()
        };
        let lanes: Vec<_> = (0..4).map(|lane| scope.spawn(move || -> Vec<Peer> { start(lane) })).collect();
        lanes.into_iter().flat_map(|lane| lane.join().expect("peers")).collect()
    });
    let all = (count as u32, (count * files) as u64);
    eventually("everybody has registered", || (registered(&port.target()) == all).then_some(()));
    tracker.kill();
    eventually("everybody has noticed", || {
        peers.iter().all(|peer| peer.trackers().iter().all(|(_, connected)| !connected)).then_some(())
    });
    let _tracker = tracker_on(&port);
    let back = Instant::now();
    eventually("everybody has registered again", || (registered(&port.target()) == all).then_some(()));
    let took = back.elapsed();
    println!("{} registrations of {count} peers were back {took:?} after the tracker", all.1);
    assert!(took <= WHOLE_AGAIN, "{took:?}");
    std::thread::scope(|scope| peers.into_iter().for_each(|peer| drop(scope.spawn(|| peer.stop()))));
}

#[test]
fn a_transfer_under_way_goes_on_without_the_tracker_even_over_broken_connections() {
    let lab = Lab::new();
    let content = pattern(4 << 20, 1);
    let sample = one_file("file", content.clone());
    let (_seeder, proxy) = lab.peer_behind_proxy(&sample, "seeder", &[]);
    lab.wait_for_seeders("file", 1);
    proxy.set(|faults| faults.rate = Some(2 << 20));
    let fetch = lab.fetching("file", &["--wait", "10s"]);
    eventually("it has begun", || (proxy.carried(Way::Out) > 300_000).then_some(()));
    lab.tracker.signal(Signal::KILL);
    let at = proxy.carried(Way::Out);
    eventually("it goes on", || (proxy.carried(Way::Out) > at + 500_000).then_some(()));
    // Whom to dial again is remembered, too.
    assert!(proxy.cut_all(Cut::Reset) > 0);
    fetch.wait().expect(DONE);
    lab.expect_file("file", &content);
}

#[test]
fn who_asks_while_the_tracker_is_away_is_told_waits_and_goes_on() {
    let port = Port::reserve();
    let target = port.target();
    let content = pattern(100_000, 2);
    let sample = one_file("file", content.clone());
    let peer = Daemon::peer(sample.path(), &["--tracker", &target]);
    let lab = Lab::new(); // for its place only
    let asks: Vec<Daemon> = [
        &["get", "file", lab.dest(), "--listen", "127.0.0.1:0"][..],
        &["find", "file"],
        &["ls", "file", "--wait", "30s"],
    ]
    .iter()
    .map(|args| Daemon::launch(&[args, &["--tracker", &target][..]].concat()))
    .collect();
    for ask in &asks {
        ask.wait_for_log("(connection refused); waiting, --wait is 30s");
    }
    let _tracker = tracker_on(&port);
    for ask in asks {
        ask.wait().expect(DONE);
    }
    lab.expect_file("file", &content);
    peer.stop().expect(DONE);
}

#[test]
fn waiting_ends_when_it_was_said_to() {
    let port = Port::reserve();
    let target = port.target();
    for command in ["get", "find", "ls"] {
        let at_once = run(&[command, "file", "--tracker", &target, "--wait", "0"]).expect(UNREACHABLE);
        assert!(!at_once.stderr.contains("waiting"), "{}", at_once.stderr);
        let start = Instant::now();
        run(&[command, "file", "--tracker", &target, "--wait", "700ms"]).expect(UNREACHABLE);
        assert!(start.elapsed() >= Duration::from_millis(700), "{command}: {:?}", start.elapsed());
    }
    let patient = Daemon::launch(&["get", "file", "--tracker", &target, "--wait", "forever"]);
    patient.wait_for_log("waiting, --wait is forever");
    patient.signal(Signal::INT);
    patient.wait().expect(INTERRUPTED);
}

#[test]
fn a_tracker_that_has_just_come_back_is_given_time_to_hear_of_it() {
    let port = Port::reserve();
    let _tracker = tracker_on(&port);
    let lab = Lab::new(); // for its place only
    let args = ["get", "file", lab.dest(), "--listen", "127.0.0.1:0", "--tracker", &port.target()];
    let early = Daemon::launch(&args);
    early.wait_for_log("the tracker has just started and knows nobody who has file");
    let content = pattern(100_000, 3);
    let sample = one_file("file", content.clone());
    let _peer = Daemon::peer(sample.path(), &["--tracker", &port.target()]);
    early.wait().expect(DONE);
    lab.expect_file("file", &content);
}

#[test]
fn a_tracker_that_hangs_is_given_up_and_asked_again() {
    let lab = Lab::new();
    let sample = one_file("file", pattern(1000, 3));
    let _peer = lab.peer(&sample, "peer", &[]);
    lab.wait_for_seeders("file", 1);
    lab.tracker.signal(Signal::STOP);
    let tracker = lab.tracker.target();
    let ask = Daemon::launch(&["find", "file", "--json", "--tracker", &tracker]);
    ask.wait_for_log("(no answer came in time); waiting, --wait is 30s");
    lab.tracker.signal(Signal::CONT);
    let found = json(&ask.wait().expect(DONE).stdout);
    assert_eq!(found["seeders"], 1);
    lab.ask(&["find", "nothing", "--wait", "0"]).expect(NOT_FOUND);
}
