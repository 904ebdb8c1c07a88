//! What becomes of a content once it was fetched: it belongs to the share of the peer that fetched it, or to
//! nobody; it is offered only as long as it is what was fetched; and nothing of the fetch stays behind.

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::{Daemon, Sample, eventually, pattern, run};
use tempfile::TempDir;

/// A tracker, a seeder, and a peer into whose folder is fetched.
struct Swarm {
    tracker: Daemon,
    seeder: Daemon,
    peer: Daemon,
    place: TempDir,
    _sample: Sample,
}

impl Swarm {
    #[track_caller]
    fn of(sample: Sample) -> Swarm {
        let tracker = Daemon::tracker(&[]);
        let place = TempDir::new().expect("a temporary folder");
        let seeder = Daemon::peer(sample.path(), &["--tracker", &tracker.target(), "--name", "seeder"]);
        let peer = Daemon::peer(place.path(), &["--tracker", &tracker.target(), "--name", "peer"]);
        let swarm = Swarm { tracker, seeder, peer, place, _sample: sample };
        swarm.wait_for("both are registered", || swarm.ask(&["status"]).contains("2 peers"));
        swarm
    }

    #[track_caller]
    fn wait_for(&self, what: &str, is: impl Fn() -> bool) {
        eventually(what, || is().then_some(()));
    }

    #[track_caller]
    fn ask(&self, args: &[&str]) -> String {
        run(&[args, &["--tracker", &self.tracker.target()]].concat()).stdout
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Has the peer fetch into its folder.
    #[track_caller]
    fn get(&self, what: &str, dest: &str) {
        let dest = self.path(dest);
        run(&["get", what, dest.to_str().expect("UTF-8"), "--tracker", &self.tracker.target()]).expect(0);
    }

    /// The names of those who have all of a content, as the tracker sees it.
    #[track_caller]
    fn seeders(&self, id: &str) -> Vec<String> {
        let found = self.ask(&["find", id, "--json", "--wait", "0"]);
        let lines = found.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut names = Vec::new();
        for line in lines {
            let holders = line["holders"].as_array().cloned().unwrap_or_default();
            let whole = holders.iter().filter(|holder| holder["have"] == line["chunks"]);
            names.extend(whole.filter_map(|holder| holder["name"].as_str().map(str::to_owned)));
        }
        names.sort();
        names.dedup();
        names
    }
}

fn one_file(name: &str, content: Vec<u8>) -> Sample {
    let mut sample = Sample::empty();
    sample.add(name, content);
    sample
}

fn id_of(content: &[u8]) -> String {
    blake3::hash(content).to_string()
}

/// Asks a running peer by its local socket to fetch, and waits for the end.
#[track_caller]
fn fetch(folder: &Path, id: &str, name: &str, dest: &Path) {
    let mut socket = UnixStream::connect(folder.join(".p2p/control.sock")).expect("the peer listens");
    let get = json!({ "get": { "id": id, "name": name, "dest": dest, "force": false, "wait_ms": 30_000 } });
    writeln!(socket, "{get}").expect("the peer reads");
    let last = BufReader::new(socket).lines().map_while(Result::ok).last().expect("an answer");
    assert!(last.contains("\"done\""), "{last}");
}

fn descriptors(daemon: &Daemon) -> u64 {
    fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("a process").count() as u64
}

/// Has one peer fetch so many files, and fails unless it is afterwards as it was.
#[track_caller]
fn many_gets(gets: usize, growth_kib: u64) {
    const WARM_UP: usize = 60;
    let content = |number: usize| {
        pattern(if number.is_multiple_of(5) { 70_000 } else { 500 }, 0)
            .into_iter()
            .chain(number.to_be_bytes())
            .collect::<Vec<u8>>()
    };
    let mut sample = Sample::empty();
    (0..gets).for_each(|number| drop(sample.add(&format!("{number}"), content(number))));
    let swarm = Swarm::of(sample);
    let state = || {
        swarm.wait_for("connections are closed", || swarm.peer.proc_status("Threads") < 16);
        (descriptors(&swarm.peer), swarm.peer.proc_status("Threads"), swarm.peer.proc_status("VmRSS"))
    };
    let get = |number: usize| {
        let name = number.to_string();
        fetch(swarm.place.path(), &id_of(&content(number)), &name, &swarm.path(&name));
    };
    (0..WARM_UP).for_each(get);
    let before = state();
    (WARM_UP..gets).for_each(get);
    let after = state();
    eprintln!("{gets} gets: descriptors, threads, KiB before {before:?}, after {after:?}");
    assert!(after.0 <= before.0 + 8, "descriptors: {before:?}, {after:?}");
    assert!(after.1 <= before.1 + 4, "threads: {before:?}, {after:?}");
    assert!(after.2 <= before.2 + growth_kib, "memory: {before:?}, {after:?}");
    assert!(!swarm.path(".p2p/partial").exists() && !swarm.path(".p2p/trees").exists());
    let last = content(gets - 1);
    swarm.wait_for("what was fetched is shared", || swarm.seeders(&id_of(&last)) == ["peer", "seeder"]);
}

#[test]
fn many_gets_into_one_peer_leave_nothing_behind() {
    many_gets(400, 12 << 10);
}

/// `cargo test --release --test fetched -- --ignored --nocapture ten_thousand`
#[test]
#[ignore = "takes minutes"]
fn ten_thousand_gets_into_one_peer_leave_nothing_behind() {
    many_gets(10_000, 48 << 10);
}

#[test]
fn a_fetched_file_that_changes_is_not_offered_as_it_was() {
    let content = pattern(300_000, 3);
    let swarm = Swarm::of(one_file("file", content.clone()));
    swarm.get("file", "file");
    let id = id_of(&content);
    swarm.wait_for("the peer has it", || swarm.seeders(&id) == ["peer", "seeder"]);
    let changed = pattern(300_000, 4);
    fs::write(swarm.path("file"), &changed).expect("my own file");
    swarm.wait_for("the peer has it no more", || swarm.seeders(&id) == ["seeder"]);
    swarm.wait_for("the peer has another", || swarm.seeders(&id_of(&changed)) == ["peer"]);
    // Nor does it tell of it when it registers anew.
    let address = swarm.tracker.target();
    let Swarm { tracker, seeder, peer, place, _sample } = swarm;
    tracker.kill();
    let tracker = Daemon::tracker(&["--listen", &address]);
    let swarm = Swarm { tracker, seeder, peer, place, _sample };
    swarm.wait_for("all is registered anew", || swarm.seeders(&id_of(&changed)) == ["peer"]);
    swarm.wait_for("all is registered anew", || swarm.seeders(&id) == ["seeder"]);
    let other = TempDir::new().expect("a temporary folder");
    let dest = other.path().to_str().expect("UTF-8");
    let got = run(&["get", &id, dest, "--json", "--tracker", &address]).expect(0);
    assert!(!got.stderr.contains("wrong bytes"), "{got:?}");
    drop(swarm.seeder);
}

#[test]
fn a_fetched_folder_belongs_to_the_share_all_the_while() {
    let mut sample = one_file("tree/a", pattern(70_000, 1));
    sample.add("tree/more/deep/file", pattern(300_000, 9));
    fs::create_dir(sample.path().join("tree/nothing")).expect("an empty folder");
    let swarm = Swarm::of(sample);
    let ids = || {
        let listed = swarm.ask(&["ls", "tree/", "--json"]);
        let lines = listed.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let ids = lines.filter(|line| line["name"] == "tree/");
        ids.filter_map(|line| line["id"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    swarm.wait_for("the folder is listed", || !ids().is_empty());
    let id = ids().remove(0);
    swarm.get("tree/", "tree");
    // Each look at the tracker shows it whole: by the fetch at first, by the share from some time on.
    for _ in 0..40 {
        assert_eq!(swarm.seeders(&id), ["peer", "seeder"]);
        assert_eq!(ids(), [&*id], "never a part of it");
    }
    swarm.wait_for("the listing of the fetch is gone", || !swarm.path(".p2p/trees").exists());
    assert_eq!(swarm.seeders(&id), ["peer", "seeder"]);
}

#[test]
fn what_get_seeds_is_offered_only_while_it_is_what_was_fetched() {
    let content = pattern(200_000, 5);
    let swarm = Swarm::of(one_file("file", content.clone()));
    let id = id_of(&content);
    let other = TempDir::new().expect("a temporary folder");
    let seed = |name: &str| {
        let dest = other.path().join(name);
        let tracker = swarm.tracker.target();
        let dest = dest.to_str().expect("UTF-8");
        let args = ["get", "file", dest, "--seed", "--name", name, "--listen", "127.0.0.1:0"];
        Daemon::underway(&[&args[..], &["--tracker", &tracker]].concat(), "verified")
    };
    let (_changed, _deleted, _kept) = (seed("changed"), seed("deleted"), seed("kept"));
    let all = ["changed", "deleted", "kept", "seeder"];
    swarm.wait_for("all seed it", || swarm.seeders(&id) == all);
    fs::write(other.path().join("changed"), pattern(200_000, 6)).expect("my own file");
    fs::remove_file(other.path().join("deleted")).expect("my own file");
    swarm.wait_for("two do not any more", || swarm.seeders(&id) == ["kept", "seeder"]);
}

#[test]
fn a_get_that_fails_takes_nothing_from_the_share() {
    let content = pattern(100_000, 7);
    let swarm = Swarm::of(one_file("file", content.clone()));
    swarm.get("file", "file");
    let id = id_of(&content);
    swarm.wait_for("the peer has it", || swarm.seeders(&id) == ["peer", "seeder"]);
    // The same name and content again, which fails: a folder is in the way.
    fs::create_dir_all(swarm.path("sub/file/x")).expect("a folder");
    let mut socket = UnixStream::connect(swarm.path(".p2p/control.sock")).expect("the peer listens");
    let get = json!({ "get": {
        "id": id, "name": "file", "dest": swarm.path("sub/file"), "force": false, "wait_ms": 1000 } });
    writeln!(socket, "{get}").expect("the peer reads");
    let last = BufReader::new(socket).lines().map_while(Result::ok).last().expect("an answer");
    assert!(last.contains("\"error\""), "{last}");
    for _ in 0..10 {
        assert_eq!(swarm.seeders(&id), ["peer", "seeder"]);
    }
}

/// Has the peer fetch into its folder, and tells how that went.
#[track_caller]
fn got(swarm: &Swarm, what: &str, dest: &str) -> Value {
    let dest = swarm.path(dest);
    let dest = dest.to_str().expect("UTF-8");
    let got = run(&["get", what, dest, "--json", "--tracker", &swarm.tracker.target()]).expect(0);
    let last: Value = serde_json::from_str(got.stdout.lines().last().expect("a line")).expect("JSON");
    last["done"][0]["status"].clone()
}

#[test]
fn what_is_here_already_is_copied_and_nobody_is_asked() {
    let content = pattern(900_000, 2);
    let mut sample = one_file("tree/large", content.clone());
    sample.add("tree/small", pattern(70, 3));
    sample.add("tree/empty", Vec::new());
    fs::create_dir(sample.path().join("tree/nothing")).expect("an empty folder");
    let swarm = Swarm::of(sample);
    swarm.get("tree/", "tree");
    let tree = swarm.ask(&["find", "tree/", "--json"]);
    let tree: Value = serde_json::from_str(tree.lines().next().expect("a line")).expect("JSON");
    let tree = tree["id"].as_str().expect("an id").to_owned();
    swarm.wait_for("the peer shares it", || swarm.seeders(&tree) == ["peer", "seeder"]);

    // By name, with others about: nobody is asked.
    let status = got(&swarm, "tree/large", "by-name");
    assert_eq!(status["sources"], json!([]), "{status}");
    assert!(fs::read(swarm.path("by-name")).expect("the copy") == content);

    // By id, with nobody about.
    let Swarm { tracker, seeder, peer, place, _sample } = swarm;
    let address = tracker.target();
    tracker.kill();
    seeder.kill();
    let get = |what: &str, dest: &str| {
        let dest = place.path().join(dest);
        run(&["get", what, dest.to_str().expect("UTF-8"), "--tracker", &address, "--wait", "0"]).expect(0);
        dest
    };
    assert!(fs::read(get(&id_of(&content), "by-id")).expect("the copy") == content);
    let copy = get(&tree, "again");
    assert!(fs::read(copy.join("large")).expect("the copy") == content);
    assert!(fs::read(copy.join("small")).expect("the copy") == pattern(70, 3));
    assert!(copy.join("nothing").is_dir() && copy.join("empty").is_file());
    assert!(!place.path().join(".p2p/partial").exists());
    drop(peer);
}

#[test]
fn of_a_new_version_only_what_is_new_is_fetched() {
    let mut sample = one_file("tree/same", pattern(900_000, 2));
    sample.add("tree/other", pattern(200_000, 3));
    let swarm = Swarm::of(sample);
    swarm.get("tree/same", "mine");
    swarm
        .wait_for("the peer shares it", || swarm.seeders(&id_of(&pattern(900_000, 2))) == ["peer", "seeder"]);
    let status = got(&swarm, "tree/", "tree");
    assert_eq!(status["bytes_resumed"], 900_000, "{status}");
    assert_eq!(status["ledger"]["useful"], 200_000, "{status}");
    assert!(fs::read(swarm.path("tree/same")).expect("the copy") == pattern(900_000, 2));
    assert!(fs::read(swarm.path("tree/other")).expect("the other") == pattern(200_000, 3));
}

/// Bytes that a process has read, from files and sockets.
fn read_by(daemon: &Daemon) -> u64 {
    let io = fs::read_to_string(format!("/proc/{}/io", daemon.pid())).expect("a process");
    let read = io.lines().find_map(|line| line.strip_prefix("rchar: ")).expect("what it has read");
    read.parse().expect("a number")
}

#[test]
fn what_is_there_already_is_read_once() {
    const BYTES: usize = 16 << 20;
    let content = pattern(BYTES, 9);
    let swarm = Swarm::of(one_file("file", content.clone()));
    let other = TempDir::new().expect("a temporary folder");
    let dest = other.path().join("file");
    fs::write(&dest, content).expect("the file");
    let dest = dest.to_str().expect("UTF-8");
    let args = ["get", "file", dest, "--seed", "--listen", "127.0.0.1:0", "--tracker"];
    let tracker = swarm.tracker.target();
    let getting = Daemon::underway(&[&args[..], &[&tracker]].concat(), "all of it already here");
    let read = read_by(&getting);
    assert!(read >= BYTES as u64 && read < 3 * BYTES as u64 / 2, "{read} bytes were read");
}
