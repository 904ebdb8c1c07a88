//! Peers that misbehave on purpose (`--fault`) beside honest ones: the fetch ends right, whatever they do.
//!
//! The honest peer has a limited rate, so that the other one is asked for sure.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Daemon, Output, Sample, eventually, pattern, run};
use tempfile::TempDir;

/// Chunks of 64 KiB in the file.
const CHUNKS: u64 = 32;

/// A tracker, an honest peer and one with faults, which have the same file.
struct Swarm {
    tracker: Daemon,
    _honest: Daemon,
    bad: Daemon,
    _good_folder: Sample,
    bad_folder: Sample,
    dest: TempDir,
    content: Vec<u8>,
}

impl Swarm {
    fn with(fault: &str) -> Swarm {
        let content = pattern(CHUNKS as usize * (64 << 10), 7);
        let (mut good_folder, mut bad_folder) = (Sample::empty(), Sample::empty());
        good_folder.add("file", content.clone());
        bad_folder.add("file", content.clone());
        let tracker = Daemon::tracker(&["--trace", "tracker"]);
        let at = tracker.target();
        let shared = ["--tracker", &at, "--name"];
        let good = [&shared[..], &["good", "--up", "2MB/s"]].concat();
        let honest = Daemon::peer(good_folder.path(), &good);
        let bad = Daemon::peer(bad_folder.path(), &[&shared[..], &["bad", "--fault", fault]].concat());
        let dest = TempDir::new().unwrap();
        let swarm =
            Swarm { tracker, _honest: honest, bad, _good_folder: good_folder, bad_folder, dest, content };
        eventually("both are registered", || {
            let found = run(&["find", "file", "--tracker", &at, "--json"]);
            found.stdout.contains("\"seeders\":2").then_some(())
        });
        swarm
    }

    /// Fetches the file, compares it, and returns what `get` said of the transfer.
    fn get(&self) -> (Output, Value) {
        let dest = self.dest.path().to_str().unwrap();
        let got = run(&["get", "file", dest, "--tracker", &self.tracker.target(), "--json"]).expect(0);
        assert!(std::fs::read(self.dest.path().join("file")).unwrap() == self.content, "the file differs");
        let status = report(&got);
        (got, status)
    }
}

/// Does something, and counts the time it took, without that in which this process was stopped.
fn timed<T>(what: impl FnOnce() -> T) -> (T, Duration) {
    const TICK: Duration = Duration::from_millis(20);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let clock = scope.spawn(|| {
            let mut awake = Duration::ZERO;
            while !done.load(Ordering::Relaxed) {
                let start = Instant::now();
                thread::sleep(TICK);
                awake += start.elapsed().min(TICK * 10);
            }
            awake
        });
        let outcome = what();
        done.store(true, Ordering::Relaxed);
        (outcome, clock.join().unwrap())
    })
}

/// The transfer in the last line of `get --json`.
fn report(got: &Output) -> Value {
    let last: Value = serde_json::from_str(got.stdout.lines().last().unwrap()).unwrap();
    last["done"][0]["status"].clone()
}

/// The sum of a figure over all connections to the peer of this name.
fn sum(status: &Value, name: &str, key: &str) -> u64 {
    let sources = status["sources"].as_array().unwrap();
    let of_name = sources.iter().filter(|source| source["name"] == name);
    of_name.map(|source| source[key].as_u64().unwrap()).sum()
}

#[test]
fn who_sends_wrong_bytes_is_charged_banned_and_reported() {
    let swarm = Swarm::with("corrupt=1");
    let (got, status) = swarm.get();
    assert!(sum(&status, "bad", "corrupt") >= 3, "{status}");
    assert_eq!((sum(&status, "bad", "chunks"), sum(&status, "good", "corrupt")), (0, 0), "{status}");
    assert!(status["ledger"]["rejected"].as_u64().unwrap() >= 3 << 16, "{status}");
    assert!(got.stderr.contains("sent wrong bytes; it is not asked any more"), "{}", got.stderr);
    swarm.tracker.wait_for_log("REPORT");
    let bad = swarm.bad_folder.path().to_str().unwrap();
    swarm.bad.wait_for_log("warning: this peer misbehaves on purpose: corrupt=1, seed 1");
    let told = run(&["status", bad]).expect(0);
    assert!(told.stdout.contains("it misbehaves on purpose: corrupt=1, seed 1"), "{}", told.stdout);
    let told = run(&["status", bad, "--json"]).expect(0);
    assert!(told.stdout.contains("\"faults\":\"corrupt=1, seed 1\""), "{}", told.stdout);
}

#[test]
fn a_few_wrong_bytes_cost_no_more_than_their_chunks() {
    let swarm = Swarm::with("corrupt=0.05");
    let (_, status) = swarm.get();
    let corrupt = sum(&status, "bad", "corrupt");
    assert_eq!(status["ledger"]["rejected"].as_u64().unwrap(), corrupt << 16, "{status}");
}

#[test]
fn cut_connections_are_made_again() {
    let swarm = Swarm::with("drop=0.2");
    let (_, status) = swarm.get();
    assert_eq!(sum(&status, "bad", "corrupt"), 0, "half a chunk is not a wrong one: {status}");
    assert!(sum(&status, "good", "chunks") > 0, "{status}");
}

#[test]
fn who_refuses_is_left_alone() {
    let swarm = Swarm::with("refuse=1");
    let (_, status) = swarm.get();
    assert_eq!(sum(&status, "good", "chunks"), CHUNKS, "{status}");
}

#[test]
fn who_lies_about_what_it_has_is_not_believed() {
    let swarm = Swarm::with("lie");
    let (_, status) = swarm.get();
    assert_eq!(sum(&status, "good", "chunks"), CHUNKS, "{status}");
}

#[test]
fn what_a_stalled_peer_owes_comes_from_others() {
    let swarm = Swarm::with("stall=1");
    let ((_, status), took) = timed(|| swarm.get());
    assert_eq!(sum(&status, "good", "chunks"), CHUNKS, "{status}");
    assert!(took < Duration::from_secs(15), "{took:?}: {status}");
}

#[test]
fn a_delay_is_a_longer_round_trip_and_no_lower_rate() {
    let mut folder = Sample::empty();
    let content = pattern(16 << 20, 3);
    folder.add("file", content.clone());
    let tracker = Daemon::tracker(&[]);
    let args = ["--tracker", &tracker.target(), "--name", "slow", "--fault", "delay=500ms"];
    let peer = Daemon::peer(folder.path(), &args);
    let load = run(&["load", &peer.target(), "--json"]).expect(0);
    let load: Value = serde_json::from_str(&load.stdout).unwrap();
    assert!(load["latency_us"].as_u64().unwrap() >= 500_000, "{load}");
    let dest = TempDir::new().unwrap();
    let path = dest.path().to_str().unwrap();
    let link = ["get", "file", path, "--tracker", &tracker.target(), "--json"];
    let (got, took) = timed(|| run(&link));
    let status = report(&got.expect(0));
    assert!(std::fs::read(dest.path().join("file")).unwrap() == content);
    for source in status["sources"].as_array().unwrap() {
        assert!(source["round_trip_ms"].as_f64().unwrap() >= 500.0, "{status}");
    }
    // With what is first asked for in flight all the time it would take 32 s.
    assert!(took < Duration::from_secs(16), "{took:?}: {status}");
}

#[test]
fn latencies_are_those_of_the_pair() {
    let mut folders = [Sample::empty(), Sample::empty()];
    folders.iter_mut().for_each(|folder| _ = folder.add("file", pattern(4 << 20, 3)));
    let place = TempDir::new().unwrap();
    let file = place.path().join("latencies.toml");
    std::fs::write(&file, "pairs = [[\"far\", \"me\", 400], [\"me\", \"near\", 100]]").unwrap();
    let tracker = Daemon::tracker(&[]);
    let at = tracker.target();
    let shared = ["--tracker", &at, "--latency-file", file.to_str().unwrap(), "--name"];
    let start = |name, folder: &Sample| {
        Daemon::peer(folder.path(), &[&shared[..], &[name, "--up", "1MB/s"]].concat())
    };
    let _peers = [start("far", &folders[0]), start("near", &folders[1])];
    eventually("both are registered", || {
        let found = run(&["find", "file", "--tracker", &at, "--json"]);
        found.stdout.contains("\"seeders\":2").then_some(())
    });
    let dest = place.path().to_str().unwrap();
    let status = report(&run(&["get", "file", dest, "--tracker", &at, "--name", "me", "--json"]).expect(0));
    for (name, least, most) in [("far", 400.0, 4000.0), ("near", 100.0, 400.0)] {
        let sources = status["sources"].as_array().unwrap();
        let source = sources.iter().find(|source| source["name"] == name).unwrap();
        let round_trip = source["round_trip_ms"].as_f64().unwrap();
        assert!((least..most).contains(&round_trip), "{status}");
    }
}

#[test]
fn mistakes_in_what_is_asked_for_are_bad_usage() {
    let folder = Sample::empty();
    let path = folder.path().to_str().unwrap();
    let said = run(&["peer", path, "--fault", "rot=1"]).expect(2);
    assert!(said.stderr.contains("the faults are corrupt=P"), "{}", said.stderr);
    let file = folder.path().join("latencies.toml");
    std::fs::write(&file, "default = 10\npairs = [[\"a\", \"b\", 6000]]").unwrap();
    let said = run(&["peer", path, "--latency-file", file.to_str().unwrap()]).expect(2);
    assert!(said.stderr.contains("6000 ms between a and b: a latency is 0 to 5000 ms"), "{}", said.stderr);
    let said = run(&["peer", path, "--latency-file", "/nowhere"]).expect(2);
    assert!(said.stderr.contains("cannot read it"), "{}", said.stderr);
}
