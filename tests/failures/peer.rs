//! A peer dies or hangs in the middle, and comes back.

use std::fs::{self, FileTimes};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::lab::{DONE, Lab, one_file, outcome};
use crate::support::{Daemon, Proxy, Sample, Way, eventually, pattern};

/// Far below a lease (30 s), and below the 5 s after which a hung source is given up.
const SOON: Duration = Duration::from_secs(4);
/// What a link carries a second in these tests: slow enough to break things in the middle.
const RATE: u64 = 6 << 20;
const BYTES: usize = 6 << 20;

/// Two peers with the same file, each behind a slow link.
struct Pair {
    lab: Lab,
    first: Daemon,
    links: [Proxy; 2],
    content: Vec<u8>,
    sample: Sample,
    _other: (Daemon, Sample),
}

impl Pair {
    #[track_caller]
    fn new(tracker: &[&str]) -> Pair {
        let lab = Lab::with_tracker(tracker);
        let content = pattern(BYTES, 4);
        let (sample, other) = (one_file("file", content.clone()), one_file("file", content.clone()));
        let (first, first_link) = lab.peer_behind_proxy(&sample, "first", &[]);
        let (second, second_link) = lab.peer_behind_proxy(&other, "second", &[]);
        let links = [first_link, second_link];
        links.iter().for_each(|link| link.set(|faults| faults.rate = Some(RATE)));
        lab.wait_for_seeders("file", 2);
        Pair { lab, first, links, content, sample, _other: (second, other) }
    }

    /// Starts a `get`; returns when both links carry some of it.
    #[track_caller]
    fn begin(&self) -> Daemon {
        let fetch = self.lab.fetching("file", &[]);
        eventually("both have begun", || {
            self.links.iter().all(|link| link.carried(Way::Out) > 300_000).then_some(())
        });
        fetch
    }

    /// The `get` finishes, about as soon as one link carries the rest.
    #[track_caller]
    fn expect_soon(&self, fetch: Daemon) {
        let start = Instant::now();
        let status = outcome(&fetch.wait().expect(DONE));
        let took = start.elapsed();
        self.lab.expect_file("file", &self.content);
        assert!(took < SOON, "the rest took {took:?}\n{status}");
        let useful = status["ledger"]["useful"].as_u64().expect("bytes");
        let twice = status["ledger"]["duplicate"].as_u64().expect("bytes");
        assert!(twice <= useful / 10, "{twice} bytes came twice");
    }
}

#[test]
fn a_peer_that_is_killed_is_replaced_and_forgotten_at_once() {
    let pair = Pair::new(&[]);
    let fetch = pair.begin();
    pair.first.signal(Signal::KILL);
    let start = Instant::now();
    pair.lab.wait_for_seeders("file", 1);
    assert!(start.elapsed() < SOON, "the tracker forgets it with its connection, not after its lease");
    pair.expect_soon(fetch);
}

#[test]
fn a_peer_that_hangs_is_replaced_and_forgotten_after_its_lease() {
    let pair = Pair::new(&["--lease", "2s"]);
    let fetch = pair.begin();
    pair.first.signal(Signal::STOP);
    let start = Instant::now();
    pair.expect_soon(fetch);
    // The get is over, and has left; what remains is the other one.
    pair.lab.wait_for_seeders("file", 1);
    assert!(start.elapsed() >= Duration::from_secs(1), "a lease is kept");
    pair.first.signal(Signal::CONT);
    pair.lab.wait_for_seeders("file", 2);
}

#[test]
fn a_peer_that_was_killed_is_whole_again_without_hashing() {
    const BYTES: usize = 64 << 20;
    let lab = Lab::new();
    let sample = one_file("file", pattern(BYTES, 6));
    let peer = lab.peer(&sample, "peer", &[]);
    lab.wait_for_seeders("file", 1);
    peer.kill();
    lab.wait_for_seeders("file", 0);
    let peer = lab.peer(&sample, "peer", &[]);
    lab.wait_for_seeders("file", 1);
    let read = peer.proc_io("rchar");
    assert!(read < BYTES as u64 / 2, "{read} bytes were read to offer what is remembered");
    drop(sample);
}

#[test]
fn what_was_changed_while_nobody_watched_is_not_taken_for_what_it_was() {
    let lab = Lab::new();
    let sample = one_file("file", pattern(300_000, 6));
    let peer = lab.peer(&sample, "peer", &[]);
    lab.wait_for_seeders("file", 1);
    peer.kill();
    let path = sample.path().join("file");
    let modified = fs::metadata(&path).and_then(|metadata| metadata.modified()).expect("a time");
    let file = fs::File::options().write(true).open(&path).expect("the file");
    std::os::unix::fs::FileExt::write_all_at(&file, b"changed", 0).expect("a change");
    file.set_times(FileTimes::new().set_modified(modified)).expect("the old time");
    drop(file);
    let _peer = lab.peer(&sample, "peer", &[]);
    let id = blake3::hash(&pattern(300_000, 6)).to_string();
    let output = lab.get(&id, &["--wait", "1s"]);
    assert_ne!(output.code(), DONE, "{}", output.stdout);
    assert!(!lab.fetched("file").exists());
    eventually("it is offered as what it is now", || (lab.seeders(&id) == 0).then_some(()));
    lab.wait_for_seeders("file", 1);
    drop(sample);
}

#[test]
fn a_hung_peer_alone_is_waited_for() {
    let pair = Pair::new(&[]);
    pair.links[1].set(|faults| faults.refuse = true);
    // Who cannot be dialled is called, and would dial; nobody listens there.
    let fetch = pair.lab.fetching("file", &["--wait", "30s", "--advertise", "127.0.0.1:1"]);
    eventually("it has begun", || (pair.links[0].carried(Way::Out) > 300_000).then_some(()));
    pair.first.signal(Signal::STOP);
    fetch.wait_for_log("waiting for first, --wait is 30s");
    pair.first.signal(Signal::CONT);
    fetch.wait().expect(DONE);
    pair.lab.expect_file("file", &pair.content);
    drop(pair.sample);
}
