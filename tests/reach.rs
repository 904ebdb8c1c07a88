//! Reaching each other: peers with addresses that lead nowhere, peers that cannot be dialled, networks that have
//! nothing in common.
//!
//! `cargo test --test reach -- --ignored` makes network namespaces and removes them again, and needs root for that.

mod namespaces;
mod support;

use std::path::Path;

use namespaces::{Host, obstacle};
use support::{Daemon, Sample, eventually, pattern, run};
use tempfile::TempDir;

const DONE: i32 = 0;
const UNREACHABLE: i32 = 4;
/// Where nobody listens.
const NOWHERE: &str = "127.0.0.1:1";

fn sample() -> Sample {
    let mut sample = Sample::empty();
    sample.add("file", pattern(3 << 20, 1));
    sample.add("folder/a", pattern(200_000, 2));
    sample.add("folder/b/c", pattern(10, 3));
    sample
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

#[track_caller]
fn is_copied(sample: &Sample, name: &str, place: &Path) {
    let read = |folder: &Path| std::fs::read(folder.join(name)).expect("a file");
    assert!(read(place) == read(sample.path()));
}

/// Waits until the tracker knows a peer that has this.
fn is_offered(what: &str, tracker: &str) {
    eventually("it is offered", || (run(&["find", what, "--tracker", tracker]).code() == DONE).then_some(()));
}

#[test]
fn a_peer_that_cannot_be_dialled_dials_who_wants_what_it_has() {
    let (sample, place) = (sample(), TempDir::new().expect("a temporary folder"));
    let tracker = Daemon::tracker(&[]);
    let at = tracker.target();
    let _peer = Daemon::peer(sample.path(), &["--tracker", &at, "--advertise", NOWHERE]);
    is_offered("file", &at);
    for what in ["file", "folder/"] {
        run(&["get", what, text(place.path()), "--tracker", &at]).expect(DONE);
    }
    is_copied(&sample, "file", place.path());
    sample.expect_copy("folder/", &place.path().join("folder"));
}

#[test]
fn an_address_that_leads_nowhere_is_one_of_several() {
    let (sample, place) = (sample(), TempDir::new().expect("a temporary folder"));
    let tracker = Daemon::tracker(&[]);
    let at = tracker.target();
    let everywhere = ["--listen", "[::]:0", "--tracker", &at, "--advertise", NOWHERE];
    let _peer = Daemon::peer(sample.path(), &everywhere);
    is_offered("file", &at);
    let found = run(&["find", "file", "--tracker", &at, "--json"]).expect(DONE).stdout;
    assert!(found.contains(NOWHERE) && found.contains("\"addresses\":["), "{found}");
    run(&["get", "file", text(place.path()), "--tracker", &at]).expect(DONE);
    is_copied(&sample, "file", place.path());
}

#[test]
fn what_was_dialled_in_vain_is_said() {
    let (sample, place) = (sample(), TempDir::new().expect("a temporary folder"));
    let tracker = Daemon::tracker(&[]);
    let at = tracker.target();
    let peer = Daemon::peer(sample.path(), &["--tracker", &at, "--advertise", NOWHERE]);
    is_offered("file", &at);
    peer.signal(rustix::process::Signal::STOP); // it cannot be called
    let get = ["get", "file", text(place.path()), "--tracker", &at, "--wait", "3s"];
    let failed = run(&get).expect(UNREACHABLE);
    assert!(failed.stderr.contains(&format!("{NOWHERE}: Connection refused")), "{}", failed.stderr);
    peer.signal(rustix::process::Signal::CONT);
}

/// What each of the three shares, and where it fetches.
struct Town {
    host: Host,
    sample: Sample,
    peer: Daemon,
    tracker: &'static str,
}

impl Town {
    fn new(host: Host, name: &str, tracker: &'static str, seed: u8) -> Town {
        let mut sample = Sample::empty();
        sample.add(name, pattern(300_000, seed));
        let folder = sample.path().to_owned();
        let named = name.to_owned();
        let peer = host.inside(move || {
            Daemon::start(&["peer", text(&folder), "--open", "--tracker", tracker, "--name", &named])
        });
        Town { host, sample, peer, tracker }
    }

    /// Has its peer fetch what another shares.
    fn gets(&self, name: &'static str, from: &Sample) {
        let (into, tracker) = (self.sample.path().to_owned(), self.tracker);
        let get = move || run(&["get", name, text(&into), "--open", "--tracker", tracker, "--wait", "60s"]);
        self.host.inside(get).expect(DONE);
        is_copied(from, name, self.sample.path());
    }
}

#[test]
#[ignore = "makes network namespaces, which needs root: cargo test --test reach -- --ignored"]
fn three_networks_that_differ_get_from_each_other_in_the_clear() {
    if let Some(obstacle) = obstacle() {
        eprintln!("skipped: {obstacle}");
        return;
    }
    let lab = namespaces::Lab::new();
    let both = lab.host("t", &["10.79.0.1/24", "fd79::1/64"]);
    let _tracker = both.inside(|| Daemon::start(&["tracker", "--open"]));
    let four = Town::new(lab.host("four", &["10.79.0.4/24"]), "of-four", "10.79.0.1", 4);
    let six = Town::new(lab.host("six", &["fd79::6/64"]), "of-six", "[fd79::1]", 6);
    let dual = Town::new(lab.host("dual", &["10.79.0.7/24", "fd79::7/64"]), "of-dual", "10.79.0.1", 7);
    dual.host.refuses_dials_at(dual.peer.addr().port());
    eventually("all are registered", || {
        let status = both.inside(|| run(&["status", "--tracker", "127.0.0.1", "--json"]));
        (status.stdout.matches("\"silent_ms\"").count() == 3).then_some(())
    });
    // Nobody dials the dual one, and it dials both; what is of one kind of network alone goes by way of it.
    dual.gets("of-four", &four.sample);
    dual.gets("of-six", &six.sample);
    four.gets("of-dual", &dual.sample);
    six.gets("of-dual", &dual.sample);
    four.gets("of-six", &six.sample);
    six.gets("of-four", &four.sample);
}

#[test]
fn several_trackers_are_one_directory_and_a_dead_one_costs_a_moment() {
    let (one, other) = (Daemon::tracker(&[]), Daemon::tracker(&[]));
    let share = |name: &str, seed: u8, tracker: &Daemon| {
        let mut sample = Sample::empty();
        sample.add(name, pattern(1000, seed));
        sample.add("both", pattern(1000, 9));
        sample.add("differs", pattern(1000, seed));
        let peer = Daemon::peer(sample.path(), &["--tracker", &tracker.target(), "--name", name]);
        is_offered(name, &tracker.target());
        (sample, peer)
    };
    let (first, second) = (share("first", 1, &one), share("second", 2, &other));
    // Nobody answers at the one, and the name of the other is nobody's.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mute = silent.local_addr().expect("its address").to_string();
    let trackers: Vec<String> =
        [mute, "nobody.invalid:9700".to_owned(), one.target(), other.target()].to_vec();
    let asked: Vec<&str> = trackers.iter().flat_map(|tracker| ["--tracker", tracker]).collect();
    let began = std::time::Instant::now();
    let listed = run(&[&["ls", "--json"], &asked[..]].concat()).expect(DONE).stdout;
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
    let times = |name: &str| listed.matches(&format!("\"name\":\"{name}\"")).count();
    assert_eq!((times("first"), times("second"), times("both"), times("differs")), (1, 1, 1, 2), "{listed}");
    let found = run(&[&["find", "both", "--json"], &asked[..]].concat()).expect(DONE).stdout;
    assert!(found.contains("\"seeders\":2"), "{found}");
    for name in ["first", "second"] {
        let loaded = run(&[&["load", name], &asked[..]].concat()).expect(DONE).stdout;
        assert!(loaded.starts_with(name), "{loaded}");
    }
    let place = TempDir::new().expect("a temporary folder");
    for (sample, name) in [(&first.0, "first"), (&second.0, "second")] {
        run(&[&["get", name, text(place.path())], &asked[..]].concat()).expect(DONE);
        is_copied(sample, name, place.path());
    }
    let unclear = run(&[&["get", "differs", text(place.path())], &asked[..]].concat());
    assert_ne!(unclear.code(), DONE, "{}", unclear.stdout);
}
