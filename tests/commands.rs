//! Every command against a real tracker and real peers: what they print, in words and in JSON, and how
//! they exit.

mod support;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use support::{Daemon, Output, Sample, eventually, pattern, run, run_with};
use tempfile::TempDir;

const USAGE: i32 = 2;
const OTHER: i32 = 1;
const NOT_FOUND: i32 = 3;
const INTERRUPTED: i32 = 130;

/// A tracker, a peer that shares a sample folder, and a place for what is fetched.
struct Swarm {
    tracker: Daemon,
    peer: Daemon,
    sample: Sample,
    place: TempDir,
}

impl Swarm {
    #[track_caller]
    fn of(sample: Sample) -> Swarm {
        let tracker = Daemon::tracker(&[]);
        let peer = peer(&tracker, sample.path(), "seeder");
        let swarm = Swarm { tracker, peer, sample, place: TempDir::new().expect("a temporary folder") };
        swarm.wait_for_peers(1);
        swarm
    }

    #[track_caller]
    fn wait_for_peers(&self, peers: usize) {
        eventually("the tracker knows the peers and what they have", || {
            let status = json(&self.ask(&["status", "--json"]).stdout);
            let known = status["peers"].as_array()?;
            (known.len() == peers && known.iter().all(|peer| peer["offers"] != 0)).then_some(())
        });
    }

    /// Runs a command of this swarm.
    #[track_caller]
    fn ask(&self, args: &[&str]) -> Output {
        run(&[args, &["--tracker", &self.tracker.target()]].concat())
    }

    /// `get` into this swarm's place.
    #[track_caller]
    fn get(&self, what: &str, args: &[&str]) -> Output {
        let place = self.place.path().to_str().expect("a UTF-8 path");
        self.ask(&[&["get", what, place, "--wait", "10s"], args].concat())
    }

    fn fetched(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// The lines of `ls --json`.
    #[track_caller]
    fn listing(&self, pattern: &str) -> Vec<Value> {
        self.ask(&["ls", pattern, "--json"]).expect(0).stdout.lines().map(json).collect()
    }

    #[track_caller]
    fn id(&self, name: &str) -> String {
        let lines = self.listing(name);
        let line = lines.iter().find(|line| line["name"] == name).expect("the name is listed");
        line["id"].as_str().expect("an id").to_owned()
    }
}

#[track_caller]
fn peer(tracker: &Daemon, folder: &Path, name: &str) -> Daemon {
    Daemon::peer(folder, &["--tracker", &tracker.target(), "--name", name])
}

#[track_caller]
fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

fn one_file(name: &str, content: Vec<u8>) -> Sample {
    let mut sample = Sample::empty();
    sample.add(name, content);
    sample
}

#[test]
fn ready_lines_say_where_and_what() {
    let swarm = Swarm::of(one_file("a", pattern(2048, 1)));
    assert_eq!(swarm.tracker.line(), format!("tracker listening on {}", swarm.tracker.target()));
    let line = format!("peer seeder listening on {}, sharing 1 file (2.0 KiB)", swarm.peer.target());
    assert_eq!(swarm.peer.line(), line);
    swarm.peer.stop().expect(0);
    swarm.tracker.stop().expect(0);
}

#[test]
fn a_peer_that_says_it_is_ready_is_known_to_its_tracker() {
    let sample = one_file("a", pattern(10, 1));
    let tracker = Daemon::tracker(&[]);
    for number in 1..=3 {
        let _peer = peer(&tracker, sample.path(), &format!("peer {number}"));
        let listed = run(&["ls", "--json", "--tracker", &tracker.target()]).expect(0).stdout;
        assert_eq!(json(listed.trim_end())["name"], "a", "{listed}");
        // The next one is another peer's: the state of this one goes with it.
        fs::remove_dir_all(sample.path().join(".p2p")).expect("a state folder");
    }
}

#[test]
fn ls_lists_in_words_and_json() {
    let swarm = Swarm::of(Sample::awkward());
    let content = &swarm.sample.files()[1].1;
    let lines = swarm.listing("one byte");
    let expected = serde_json::json!({
        "name": "one byte", "id": blake3::hash(content).to_string(), "size": 1, "seeders": 1, "leechers": 0,
        "version": null,
    });
    assert_eq!(lines, [expected]);
    let words = swarm.ask(&["ls", "tree/*"]).expect(0).stdout;
    assert!(!words.contains("VERSION"), "nothing is published: {words}");
    assert!(words.starts_with("NAME "), "{words}");
    assert!(words.contains("tree/b c/\"quoted\"\\n "), "{words}");
    assert!(swarm.listing("*").iter().any(|line| line["name"] == "tree/"));
    assert_eq!(swarm.listing("nothing like it"), [] as [Value; 0]);
}

#[test]
fn what_is_published_under_a_name_is_what_get_and_ls_mean_by_it() {
    let (link, nobody) = (format!("p2p:{}?name=x&size=1", "ab".repeat(32)), ["--tracker", "127.0.0.1:9"]);
    let refused = run(&[&["publish", &link, "--as", "a@2"][..], &nobody].concat()).expect(USAGE).stderr;
    assert!(refused.contains("version 2 of `a`"), "{refused}");
    let refused = run(&[&["invite", "--for", "0"][..], &nobody].concat()).expect(USAGE).stderr;
    assert!(refused.contains("at least"), "{refused}");
    let swarm = Swarm::of(Sample::awkward());
    let published = |args: &[&str]| {
        let output = swarm.ask(&[&["publish"], args, &["--json"]].concat()).expect(0);
        let line = json(&output.stdout);
        (line["name"].clone(), line["version"].clone(), line["fresh"].clone())
    };
    let is = |name: &str, version: u32, fresh: bool| -> (Value, Value, Value) {
        (name.into(), version.into(), fresh.into())
    };
    assert_eq!(published(&["one byte", "--as", "single/"]), is("single", 1, true), "a file is no folder");
    assert_eq!(published(&["tree/", "--as", "new"]), is("new/", 1, true));
    assert_eq!(published(&["tree", "--as", "new/"]), is("new/", 1, false));
    assert_eq!(published(&["name:one byte", "--as", "one byte"]), is("one byte", 1, true));
    let lines = swarm.listing("one byte");
    assert_eq!(
        (lines.len(), &lines[0]["version"], &lines[0]["seeders"]),
        (1, &Value::from(1), &Value::from(1))
    );
    swarm.get("new", &[]).expect(0);
    assert!(swarm.place.path().join("new").is_dir());
    swarm.ask(&["publish", "nobody has it", "--as", "x", "--wait", "0"]).expect(NOT_FOUND);
    let link = format!("p2p:{}?name=gone&size=4", blake3::hash(b"gone"));
    swarm.ask(&["publish", &link, "--as", "single", "--expect", "7"]).expect(OTHER);
    assert_eq!(published(&[&link, "--as", "single"]), is("single", 2, true), "nobody has to be there");
}

#[test]
fn what_was_published_outlives_a_tracker_that_is_killed() {
    let folder = TempDir::new().expect("a temporary folder");
    let data = folder.path().to_str().expect("a UTF-8 path");
    let publish = |tracker: &Daemon, content: u8| {
        let link = format!("p2p:{}?name=a&size=1", blake3::hash(&[content]));
        run(&["publish", &link, "--as", "a", "--tracker", &tracker.target(), "--json"]).expect(0).stdout
    };
    for version in 1..=3_u8 {
        let tracker = Daemon::tracker(&["--data", data]);
        assert_eq!(json(&publish(&tracker, version))["version"], version);
        if version == 1 {
            let second = run(&["tracker", "--listen", "127.0.0.1:0", "--data", data]).expect(OTHER);
            assert!(second.stderr.contains("in use by another process"), "{}", second.stderr);
        }
        tracker.kill();
    }
}

#[test]
fn find_tells_who_has_it() {
    let swarm = Swarm::of(one_file("big.bin", pattern(300_000, 1)));
    let found = json(&swarm.ask(&["find", "big.bin", "--json"]).expect(0).stdout);
    let holder = &found["holders"][0];
    assert_eq!((&found["chunks"], &found["seeders"]), (&5.into(), &1.into()));
    assert_eq!(holder["name"], "seeder");
    assert_eq!(holder["address"], swarm.peer.target());
    assert_eq!(holder["have"], 5);
    let words = swarm.ask(&["find", &swarm.id("big.bin")]).expect(0).stdout;
    assert!(words.contains("big.bin  293.0 KiB  1 seeder, 0 leechers"), "{words}");
    assert!(words.contains("100%"), "{words}");
}

#[test]
fn what_nobody_has_is_not_found_with_a_hint() {
    let swarm = Swarm::of(one_file("holiday.jpg", pattern(10, 1)));
    let failure = swarm.ask(&["find", "holidays.jpg", "--wait", "0"]).expect(NOT_FOUND).stderr;
    assert!(failure.contains("nobody shares holidays.jpg; did you mean holiday.jpg?"), "{failure}");
    let id = blake3::hash(b"of nothing here").to_string();
    let failure = swarm.ask(&["get", &id, "--wait", "0"]).expect(NOT_FOUND).stderr;
    assert!(failure.contains("`p2p ls` lists what there is"), "{failure}");
}

#[test]
fn load_asks_by_name_and_by_address() {
    let swarm = Swarm::of(one_file("a", pattern(10, 1)));
    let by_name = json(&swarm.ask(&["load", "seeder", "--json"]).expect(0).stdout);
    assert_eq!((&by_name["name"], &by_name["uploads"]), (&"seeder".into(), &0.into()));
    let words = run(&["load", &swarm.peer.target()]).expect(0).stdout;
    assert!(words.contains("0 uploads, 0 downloads, 0 requests waiting, answered in"), "{words}");
    let failure = swarm.ask(&["load", "nobody"]).expect(NOT_FOUND).stderr;
    assert!(failure.contains("knows no peer called nobody"), "{failure}");
}

#[test]
fn status_asks_all_trackers_at_once_and_tells_what_those_say_that_answer() {
    let swarm = Swarm::of(one_file("a", pattern(10, 1)));
    let silent: Vec<TcpListener> =
        (0..3).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
    let address = |listener: &TcpListener| listener.local_addr().expect("an address").to_string();
    let mut trackers: Vec<String> = silent.iter().map(address).collect();
    trackers.insert(1, swarm.tracker.target());
    let began = Instant::now();
    let status = run(&["status", "--json", "--tracker", &trackers.join(",")]).expect(0);
    assert!(began.elapsed() < Duration::from_secs(14), "one after the other: {:?}", began.elapsed());
    let told = json(&status.stdout);
    assert_eq!((&told["tracker"], &told["peers"][0]["name"]), (&(*trackers[1]).into(), &"seeder".into()));
    for silent in &silent {
        assert!(status.stderr.contains(&address(silent)), "{}", status.stderr);
    }
}

#[test]
fn status_of_a_folder_asks_its_peer() {
    let swarm = Swarm::of(one_file("a", pattern(10, 1)));
    let folder = swarm.sample.path().to_str().expect("a UTF-8 path");
    let words = run(&["status", folder]).expect(0).stdout;
    assert!(
        words.starts_with(&format!("peer seeder listening on {}, sharing 1 file", swarm.peer.target())),
        "{words}"
    );
    let status = json(&run(&["status", folder, "--json"]).expect(0).stdout);
    assert_eq!(status["name"], "seeder");
}

#[test]
fn a_file_is_fetched_by_name_id_link_and_descriptor() {
    let content = pattern(200_000, 3);
    let swarm = Swarm::of(one_file("docs/big.bin", content.clone()));
    let output = swarm.get("docs/big.bin", &[]).expect(0);
    let summary = output.stdout;
    assert!(summary.starts_with("got docs/big.bin, 195.3 KiB from 1 peer in "), "{summary}");
    let arrived = swarm.fetched("big.bin");
    assert!(summary.ends_with(&format!("/s), verified: {}\n", arrived.display())), "{summary}");
    assert!(fs::read(&arrived).expect("the file") == content);
    let again = swarm.get(&swarm.id("docs/big.bin"), &[]).expect(0).stdout;
    assert!(again.contains("all of it already here"), "{again}");

    let descriptor = swarm.fetched("big.p2p");
    let descriptor = descriptor.to_str().expect("a UTF-8 path");
    let created =
        swarm.ask(&["create", arrived.to_str().expect("UTF-8"), "-o", descriptor, "--json"]).expect(0);
    assert_eq!(created.stderr, "", "it is shared");
    let created = json(&created.stdout);
    assert_eq!(created["id"], blake3::hash(&content).to_string());
    let own = swarm.fetched("own");
    fs::write(&own, "nobody else has it").expect("a file");
    let unshared =
        swarm.ask(&["create", own.to_str().expect("UTF-8"), "-o", &format!("{descriptor}2.p2p")]).expect(0);
    let words = format!(
        "nobody shares it yet, and until somebody does the link leads nowhere: `p2p share {}` does\n",
        own.display()
    );
    assert_eq!(unshared.stderr, words);
    for what in [descriptor, created["link"].as_str().expect("a link")] {
        fs::remove_file(&arrived).expect("the file goes");
        let place = swarm.place.path().to_str().expect("a UTF-8 path");
        // The tracker is named in the link itself.
        run(&["get", what, place, "--wait", "10s"]).expect(0);
        assert!(fs::read(&arrived).expect("the file") == content);
    }
}

#[test]
fn a_folder_is_fetched_with_all_that_is_in_it() {
    let swarm = Swarm::of(Sample::awkward());
    let summary = swarm.get("tree", &[]).expect(0).stdout;
    assert!(summary.starts_with("got tree/, "), "{summary}");
    swarm.sample.expect_copy("tree/", &swarm.fetched("tree"));
    assert!(swarm.fetched("tree/nothing").is_dir());
    assert!(!swarm.fetched("tree/.p2p/partial").exists(), "nothing unfinished is left behind");
    let (ours, theirs) = (swarm.sample.path().join("tree/run.sh"), swarm.fetched("tree/run.sh"));
    let (ours, theirs) = (fs::metadata(ours).expect("ours"), fs::metadata(theirs).expect("theirs"));
    assert_eq!(ours.permissions(), theirs.permissions());
    assert_eq!(ours.modified().expect("a time"), theirs.modified().expect("a time"));
}

#[test]
fn a_different_file_is_not_overwritten_without_force() {
    let content = pattern(70_000, 3);
    let swarm = Swarm::of(one_file("a", content.clone()));
    fs::write(swarm.fetched("a"), "mine").expect("my own file");
    let failure = swarm.get("a", &[]).expect(OTHER).stderr;
    assert!(failure.contains("--force"), "{failure}");
    assert_eq!(fs::read(swarm.fetched("a")).expect("my own file"), b"mine");
    swarm.get("a", &["--force"]).expect(0);
    assert!(fs::read(swarm.fetched("a")).expect("the file") == content);

    let args = ["get", "a", "-", "--tracker", &swarm.tracker.target(), "--down", "1KB/s"];
    let slow = Daemon::launch(&args);
    slow.wait_for_log("left, 1 peer");
    slow.signal(Signal::INT);
    let stopped = slow.wait().expect(INTERRUPTED);
    assert!(stopped.stderr.contains("is kept only with --temp"), "{}", stopped.stderr);
}

#[test]
fn two_contents_under_one_name_are_not_chosen_between() {
    let swarm = Swarm::of(one_file("a", pattern(10, 1)));
    let other = one_file("a", pattern(10, 2));
    let _second = peer(&swarm.tracker, other.path(), "other");
    swarm.wait_for_peers(2);
    let failure = swarm.get("a", &[]).expect(USAGE).stderr;
    assert!(
        failure.contains("several contents are called a; choose with --from HOLDER or --newest"),
        "{failure}"
    );
    assert!(failure.contains("seeder") && failure.contains("other"), "{failure}");
    let id = blake3::hash(&pattern(10, 2)).to_string();
    swarm.get(&id, &[]).expect(0);
    assert_eq!(fs::read(swarm.fetched("a")).expect("the file"), pattern(10, 2));
}

#[test]
fn folders_under_one_name_become_one_unless_they_contradict() {
    let mut mine = Sample::empty();
    mine.add("photos/a", pattern(10, 1));
    mine.add("photos/b", pattern(10, 2));
    let swarm = Swarm::of(mine);
    let mut theirs = Sample::empty();
    theirs.add("photos/b", pattern(10, 2));
    theirs.add("photos/c", pattern(10, 3));
    let second = peer(&swarm.tracker, theirs.path(), "second");
    swarm.wait_for_peers(2);
    swarm.get("photos/", &[]).expect(USAGE);
    swarm.get("photos/", &["--union"]).expect(0);
    for (name, seed) in [("a", 1), ("b", 2), ("c", 3)] {
        assert_eq!(fs::read(swarm.fetched("photos").join(name)).expect(name), pattern(10, seed));
    }
    second.stop();
    theirs.add("photos/b", pattern(10, 9));
    let _second = peer(&swarm.tracker, theirs.path(), "second");
    swarm.wait_for_peers(2);
    let failure = swarm.get("photos/", &["--union"]).expect(USAGE).stderr;
    assert!(failure.contains("several folders are called photos/, and they differ at:\n  b\n"), "{failure}");
}

#[test]
fn a_running_peer_does_the_work_for_its_folder() {
    let content = pattern(200_000, 3);
    let swarm = Swarm::of(one_file("a", content.clone()));
    let mine = Sample::empty();
    let _daemon = peer(&swarm.tracker, mine.path(), "mine");
    let folder = mine.path().to_str().expect("a UTF-8 path");
    swarm.ask(&["get", "a", folder]).expect(0);
    assert!(fs::read(mine.path().join("a")).expect("the file") == content);
    eventually("the peer shares what it fetched", || {
        let found = json(&swarm.ask(&["find", "a", "--json"]).expect(0).stdout);
        (found["seeders"] == 2).then_some(())
    });
}

#[test]
fn share_prints_the_line_for_the_other_side() {
    let sample = Sample::awkward();
    let folder = sample.path().join("tree");
    let folder = folder.to_str().expect("a UTF-8 path");
    let listen = ["--tracker-listen", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--advertise", "127.0.0.1"];
    let share = Daemon::start(&[&["share", folder][..], &listen].concat());
    share.wait_for_stdout("p2p get 'p2p:");
    let said = share.stdout();
    let link = said.split('\'').nth(1).expect("a link in quotes").to_owned();
    let place = TempDir::new().expect("a temporary folder");
    run(&["get", &link, place.path().to_str().expect("a UTF-8 path"), "--wait", "10s"]).expect(0);
    sample.expect_copy("tree/", &place.path().join("tree"));
    share.stop().expect(0);
}

#[test]
fn get_in_json_ends_with_done_or_error() {
    let swarm = Swarm::of(one_file("a", pattern(200_000, 3)));
    let output = swarm.get("a", &["--json"]).expect(0).stdout;
    let last = json(output.lines().last().expect("a line"));
    assert!(last["done"].is_array(), "{last}");
    let output = swarm.ask(&["get", "nope", "--json", "--wait", "0"]).expect(NOT_FOUND).stdout;
    assert_eq!(json(&output)["error"]["code"], 3);
}

#[test]
fn an_interrupted_get_keeps_what_it_has() {
    let content = pattern(4 << 20, 3);
    let swarm = Swarm::of(one_file("a", content.clone()));
    let place = swarm.place.path().to_str().expect("a UTF-8 path").to_owned();
    let tracker = swarm.tracker.target();
    let args = ["get", "a", &place, "--tracker", &tracker, "--down", "1MB/s", "--json"];
    let slow = Daemon::underway(&args, "\"progress\"");
    slow.signal(Signal::INT);
    let stopped = slow.wait().expect(INTERRUPTED);
    assert!(stopped.stderr.contains("what arrived is kept"), "{}", stopped.stderr);
    assert!(!swarm.fetched("a").exists());
    let done = swarm.get("a", &[]).expect(0).stdout;
    assert!(done.contains("of it already here"), "{done}");
    assert!(fs::read(swarm.fetched("a")).expect("the file") == content);
}

#[test]
fn a_reader_that_has_seen_enough_is_told_nothing_more() {
    let swarm = Swarm::of(Sample::awkward());
    let tracker = swarm.tracker.target();
    // A pipe whose reading end is closed before anything is written.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = run_with(&["ls", "--tracker", &tracker], |command| {
        command.stdout(writer);
    });
    assert_eq!(output.expect(OTHER).stderr, "");
}

#[test]
fn what_a_running_peer_cannot_go_by_is_refused_and_not_ignored() {
    let swarm = Swarm::of(one_file("a", pattern(4 << 20, 3)));
    let place = swarm.place.path();
    let _peer = peer(&swarm.tracker, place, "fetcher");
    let refused = swarm.get("a", &["--up", "1MB/s", "--seed-for", "5s"]).expect(USAGE).stderr;
    let words = "fetches it by its own options, so --up, --seed-for would not hold";
    assert!(refused.contains(words), "{refused}");
    assert!(!swarm.fetched("a").exists());
    // A default of the configuration is for fetches of its own.
    let home = TempDir::new().expect("a temporary folder");
    fs::create_dir(home.path().join("p2p")).expect("a folder");
    fs::write(home.path().join("p2p/config.toml"), "down = \"1B/s\"").expect("the configuration");
    let (tracker, place) = (swarm.tracker.target(), place.to_str().expect("a UTF-8 path"));
    run_with(&["get", "a", place, "--tracker", &tracker], |command| {
        command.env("XDG_CONFIG_HOME", home.path());
    })
    .expect(0);
    assert!(fs::read(swarm.fetched("a")).expect("the file") == pattern(4 << 20, 3));
}

#[test]
fn quiet_is_quiet() {
    let swarm = Swarm::of(one_file("a", pattern(100_000, 3)));
    let said = swarm.get("a", &["-q"]).expect(0);
    assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("", ""));
    assert!(fs::read(swarm.fetched("a")).expect("the file") == pattern(100_000, 3));
    assert!(swarm.get("a", &["-q", "--json"]).expect(0).stdout.contains("\"done\""));
    let said = swarm.ask(&["get", "-q", "nope", "--wait", "0"]).expect(NOT_FOUND);
    assert_eq!((said.stdout.as_str(), said.stderr.lines().count()), ("", 1), "{}", said.stderr);
    let said = run(&["get", "-q", "a", "--tracker", "127.0.0.1:1", "--wait", "300ms"]).expect(4);
    assert_eq!((said.stdout.as_str(), said.stderr.lines().count()), ("", 1), "{}", said.stderr);
}
