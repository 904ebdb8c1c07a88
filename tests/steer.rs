//! The fetches of a running peer, ended, paused, gone on with and limited by commands; the file is large enough that at its
//! first rate it would not be here before the test's time is over.

mod support;

use std::fs;

use rustix::process::Signal;
use serde_json::Value;
use support::{Daemon, Output, Sample, eventually, pattern, run};
use tempfile::TempDir;

const DONE: i32 = 0;
const USAGE: i32 = 2;
const NOT_FOUND: i32 = 3;
const UNREACHABLE: i32 = 4;
const INTERRUPTED: i32 = 130;
/// One chunk a second or so.
const SLOW: &str = "60KB/s";

/// A tracker, who has a file, and a running peer that is to fetch it.
struct Swarm {
    tracker: Daemon,
    _seeder: Daemon,
    _fetcher: Daemon,
    _shared: Sample,
    place: TempDir,
    content: Vec<u8>,
}

impl Swarm {
    fn new() -> Swarm {
        let (tracker, content) = (Daemon::tracker(&[]), pattern(12 << 20, 3));
        let at = tracker.target();
        let mut shared = Sample::empty();
        shared.add("big.iso", content.clone());
        let seeder = Daemon::peer(shared.path(), &["--tracker", &at, "--name", "seeder"]);
        let place = TempDir::new().expect("a temporary folder");
        let fetcher = Daemon::peer(place.path(), &["--tracker", &at, "--name", "fetcher"]);
        Swarm { tracker, _seeder: seeder, _fetcher: fetcher, _shared: shared, place, content }
    }

    fn place(&self) -> &str {
        self.place.path().to_str().expect("a UTF-8 path")
    }

    /// A `get` that the running peer carries out.
    fn get(&self, args: &[&str]) -> Daemon {
        let get = ["get", "big.iso", self.place(), "--wait", "60s", "--tracker", &self.tracker.target()];
        Daemon::launch(&[&get[..], args].concat())
    }

    /// A command for the running peer.
    fn tell(&self, args: &[&str]) -> Output {
        run(&[args, &["--peer", self.place()]].concat())
    }

    /// The only fetch that a command for the running peer tells of.
    #[track_caller]
    fn steer(&self, args: &[&str]) -> Value {
        json(&self.tell(&[args, &["--json"]].concat()).expect(DONE).stdout)
    }

    /// The fetches of the running peer.
    fn transfers(&self) -> Vec<Value> {
        let status = json(&run(&["status", self.place(), "--json"]).expect(DONE).stdout);
        status["transfers"].as_array().expect("a list").clone()
    }

    fn done(&self) -> u64 {
        self.transfers().last().map_or(0, |transfer| transfer["bytes_done"].as_u64().expect("a number"))
    }

    /// Waits until more than so much is here.
    fn grows(&self, from: u64) -> u64 {
        eventually("it goes on", || Some(self.done()).filter(|done| *done > from))
    }

    #[track_caller]
    fn is_here(&self) {
        assert!(fs::read(self.place.path().join("big.iso")).expect("the file") == self.content);
    }
}

#[track_caller]
fn json(text: &str) -> Value {
    serde_json::from_str(text.trim_end()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_fetch_is_paused_and_goes_on() {
    let swarm = Swarm::new();
    let get = swarm.get(&["--down", SLOW]);
    swarm.grows(0);
    let paused = swarm.steer(&["pause", "big.iso"]);
    assert_eq!((&paused["state"], &paused["limit"]), (&"paused".into(), &60_000.into()), "{paused}");
    // What was asked for still comes, and nothing more: after that much the rate would have let in more.
    let mut done = swarm.done();
    let mut same = 0;
    eventually("it stands still", || {
        let before = std::mem::replace(&mut done, swarm.done());
        same = if before == done { same + 1 } else { 0 };
        (same >= 20).then_some(())
    });
    assert_eq!(swarm.transfers()[0]["state"], "paused");
    get.wait_for_log("big.iso is paused; `p2p resume` has it go on");
    let id = paused["id"].as_str().expect("an id");
    assert_eq!(swarm.steer(&["resume", &id[..8]])["state"], "fetching");
    swarm.grows(done);
    let words = swarm.tell(&["limit", "big.iso", "--down", "none"]).expect(DONE).stdout;
    assert!(words.starts_with("big.iso: fetching, ") && !words.contains("at most"), "{words}");
    get.wait().expect(DONE);
    swarm.is_here();
}

#[test]
fn a_fetch_that_is_cancelled_keeps_what_is_proved_for_the_next() {
    let swarm = Swarm::new();
    let get = swarm.get(&["--down", SLOW]);
    swarm.grows(1);
    let cancelled = swarm.steer(&["cancel", "big.iso"]);
    assert_eq!(cancelled["state"], "cancelled", "{cancelled}");
    get.wait().expect(INTERRUPTED);
    assert!(!swarm.place.path().join("big.iso").exists());
    swarm.get(&[]).wait().expect(DONE);
    let last = swarm.transfers().pop().expect("the second");
    assert_ne!(last["bytes_resumed"], 0, "{last}");
    swarm.is_here();
}

#[test]
fn who_asks_again_hears_of_the_same_fetch_which_goes_on_as_fast_as_was_said_then() {
    let swarm = Swarm::new();
    let first = swarm.get(&["--down", SLOW]);
    swarm.grows(0);
    swarm.steer(&["pause", "--all"]);
    first.signal(Signal::INT);
    first.wait().expect(INTERRUPTED);
    let again = swarm.get(&["--down", "100MB/s", "--json"]).wait().expect(DONE);
    assert!(again.stdout.lines().last().expect("a line").contains("\"done\""), "{}", again.stdout);
    assert_eq!(swarm.transfers().len(), 1, "it was one fetch all the time");
    swarm.is_here();
}

#[test]
fn a_running_peer_is_limited_and_says_so() {
    let swarm = Swarm::new();
    let told = swarm.steer(&["limit", "--down", SLOW, "--up", "2MB/s"]);
    assert_eq!((&told["down"], &told["up"]), (&60_000.into(), &2_000_000.into()), "{told}");
    let get = swarm.get(&[]);
    swarm.grows(0);
    let words = run(&["status", swarm.place()]).expect(DONE).stdout;
    assert!(
        words.contains("it receives at most 58.6 KiB/s") && words.contains("it sends at most"),
        "{words}"
    );
    assert!(swarm.done() < 4 << 20, "at this rate it takes minutes");
    let words = swarm.tell(&["limit", "--down", "none"]).expect(DONE).stdout;
    assert_eq!(words, "peer fetcher receives without a limit and sends at most 1.9 MiB/s\n");
    get.wait().expect(DONE);
    swarm.is_here();
}

#[test]
fn what_cannot_be_done_is_said() {
    let swarm = Swarm::new();
    let refused = swarm.tell(&["pause", "nothing"]).expect(NOT_FOUND).stderr;
    assert!(refused.contains("fetching nothing that is called nothing"), "{refused}");
    let refused = swarm.tell(&["cancel", "--all"]).expect(NOT_FOUND).stderr;
    assert!(refused.contains("this peer is fetching nothing"), "{refused}");
    let elsewhere = TempDir::new().expect("a temporary folder");
    let folder = elsewhere.path().to_str().expect("a UTF-8 path");
    let refused = run(&["resume", "--all", "--peer", folder]).expect(UNREACHABLE).stderr;
    assert!(refused.contains("no peer is sharing"), "{refused}");
    swarm.tell(&["cancel"]).expect(USAGE);
    swarm.tell(&["cancel", "a", "--all"]).expect(USAGE);
    swarm.tell(&["limit", "big.iso"]).expect(USAGE);
    swarm.tell(&["limit", "big.iso", "--up", "1MB/s"]).expect(USAGE);
    swarm.tell(&["limit", "--down", "0"]).expect(USAGE);
}
