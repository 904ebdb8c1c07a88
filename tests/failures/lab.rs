//! A small swarm whose parts can be broken one by one.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Daemon, Output, Proxy, Sample, eventually, run};

pub const DONE: i32 = 0;
pub const OTHER: i32 = 1;
pub const NOT_FOUND: i32 = 3;
pub const UNREACHABLE: i32 = 4;
pub const INTEGRITY: i32 = 5;
pub const NO_QUORUM: i32 = 7;

/// A tracker, and a place for what is fetched.
pub struct Lab {
    pub tracker: Daemon,
    pub place: TempDir,
}

impl Lab {
    #[track_caller]
    pub fn new() -> Lab {
        Lab::with_tracker(&[])
    }

    #[track_caller]
    pub fn with_tracker(args: &[&str]) -> Lab {
        Lab { tracker: Daemon::tracker(args), place: TempDir::new().expect("a temporary folder") }
    }

    /// A peer that shares `sample`.
    #[track_caller]
    pub fn peer(&self, sample: &Sample, name: &str, args: &[&str]) -> Daemon {
        let common = ["--tracker", &self.tracker.target(), "--name", name];
        Daemon::peer(sample.path(), &[&common, args].concat())
    }

    /// A peer that others reach through a proxy only.
    #[track_caller]
    pub fn peer_behind_proxy(&self, sample: &Sample, name: &str, args: &[&str]) -> (Daemon, Proxy) {
        let (proxy, later) = Proxy::later();
        let peer = self.peer(sample, name, &[&["--advertise", &proxy.target()], args].concat());
        later.set(peer.addr());
        (peer, proxy)
    }

    /// Waits until the tracker knows so many peers that have all of `what`.
    #[track_caller]
    pub fn wait_for_seeders(&self, what: &str, seeders: u64) {
        let title = format!("{seeders} seeders of {what}");
        eventually(&title, || (self.seeders(what) == seeders).then_some(()));
    }

    /// How many peers have all of `what`, according to the tracker.
    #[track_caller]
    pub fn seeders(&self, what: &str) -> u64 {
        let found = self.ask(&["find", what, "--json", "--wait", "0"]);
        found.stdout.lines().map(json).filter_map(|line| line["seeders"].as_u64()).sum()
    }

    /// The id of what has this name, if it is known by now.
    #[track_caller]
    pub fn id_of(&self, what: &str) -> Option<String> {
        let found = self.ask(&["find", what, "--json"]);
        Some(json(found.stdout.lines().next()?)["id"].as_str()?.to_owned())
    }

    /// Runs a command of this swarm.
    #[track_caller]
    pub fn ask(&self, args: &[&str]) -> Output {
        run(&[args, &["--tracker", &self.tracker.target()]].concat())
    }

    /// The place, as an argument.
    pub fn dest(&self) -> &str {
        self.place.path().to_str().expect("a UTF-8 path")
    }

    /// `get --json` into this swarm's place.
    #[track_caller]
    pub fn get(&self, what: &str, args: &[&str]) -> Output {
        self.ask(&[&["get", what, self.dest(), "--json", "--listen", "127.0.0.1:0"], args].concat())
    }

    /// `get --json` into this swarm's place, under way.
    #[track_caller]
    pub fn fetching(&self, what: &str, args: &[&str]) -> Daemon {
        let tracker = self.tracker.target();
        let common = ["get", what, self.dest(), "--json", "--listen", "127.0.0.1:0", "--tracker", &tracker];
        Daemon::launch(&[&common, args].concat())
    }

    pub fn fetched(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Fails the test unless `name` was fetched and is `content`.
    #[track_caller]
    pub fn expect_file(&self, name: &str, content: &[u8]) {
        let copy = fs::read(self.fetched(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(copy == content, "{name} differs");
    }
}

#[track_caller]
pub fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// The status of the one transfer that a finished `get --json` did.
#[track_caller]
pub fn outcome(output: &Output) -> Value {
    let last = json(output.stdout.lines().last().expect("a line"));
    last["done"][0]["status"].clone()
}

/// A folder with one file.
pub fn one_file(name: &str, content: Vec<u8>) -> Sample {
    let mut sample = Sample::empty();
    sample.add(name, content);
    sample
}
