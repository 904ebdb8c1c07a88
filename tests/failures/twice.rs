//! The same asked for twice, asked for and not finished, finished by somebody else.

use std::fs;
use std::path::{Path, PathBuf};

use crate::lab::{DONE, INTEGRITY, Lab, OTHER, one_file};
use crate::support::{Daemon, Output, Sample, eventually, pattern};

const BYTES: usize = 6 << 20;
/// Received at most this much a second, so that two are under way together.
const RATE: &str = "6MB/s";
/// So little that others have the time to come and look.
const SLOW: &str = "1MB/s";

/// A file and a folder of one, and who shares them.
struct Shared {
    lab: Lab,
    sample: Sample,
    _seeder: Daemon,
}

impl Shared {
    fn new() -> Shared {
        let lab = Lab::new();
        let sample = sample();
        let seeder = lab.peer(&sample, "seeder", &[]);
        lab.wait_for_seeders("file", 1);
        Shared { lab, sample, _seeder: seeder }
    }

    fn dest(&self, name: &str) -> PathBuf {
        self.lab.place.path().join(name)
    }

    /// A `get`, on its way.
    fn get(&self, what: &str, dest: &Path, more: &[&str]) -> Daemon {
        let tracker = self.lab.tracker.target();
        let dest = dest.to_str().expect("a UTF-8 path");
        let common = ["get", what, dest, "--json", "--listen", "127.0.0.1:0", "--tracker", &tracker];
        Daemon::launch(&[&common[..], more].concat())
    }
}

fn sample() -> Sample {
    let mut sample = one_file("file", pattern(BYTES, 9));
    sample.add("tree/a", pattern(BYTES, 8));
    sample.add("tree/b/small", pattern(100, 7));
    sample
}

/// Waits until chunks of something are journalled below `place`.
fn wait_for_chunks(place: &Path) -> PathBuf {
    eventually("some chunks are journalled", || {
        let inside = fs::read_dir(place.join(".p2p/partial")).ok()?;
        let mut journals = inside.filter_map(|entry| Some(entry.ok()?.path().join("journal")));
        journals.find(|journal| fs::metadata(journal).is_ok_and(|metadata| metadata.len() > 200))
    })
}

fn useful(output: &Output) -> u64 {
    let last = output.stdout.lines().last().expect("an outcome");
    let report: serde_json::Value = serde_json::from_str(last).expect("JSON");
    report["done"][0]["status"]["ledger"]["useful"].as_u64().expect("a number")
}

/// What is left of unfinished fetches below `place`.
fn left(place: &Path) -> bool {
    place.join(".p2p/partial").exists()
}

#[test]
fn the_same_get_twice_is_one_fetch() {
    let shared = Shared::new();
    for (what, dest) in [("file", "got"), ("tree/", "folder")] {
        let dest = shared.dest(dest);
        let first = shared.get(what, &dest, &["--down", RATE]);
        let place = if what == "file" { shared.lab.place.path() } else { &dest };
        wait_for_chunks(place);
        // Named so that it is the same place and not a folder in it.
        let second = shared.get(what, &dest, &["--down", RATE]);
        let (first, second) = (first.wait().expect(DONE), second.wait().expect(DONE));
        let bytes = if what == "file" { BYTES } else { BYTES + 100 } as u64;
        assert_eq!((useful(&first), useful(&second)), (bytes, 0), "each byte came once");
        match what {
            "file" => assert!(fs::read(&dest).expect("the file") == pattern(BYTES, 9)),
            _ => shared.sample.expect_copy(what, &dest),
        }
        assert!(!left(place));
    }
}

#[test]
fn who_waits_for_another_goes_on_when_that_one_dies() {
    let shared = Shared::new();
    let dest = shared.dest("got");
    let first = shared.get("file", &dest, &["--down", SLOW]);
    wait_for_chunks(shared.lab.place.path());
    let second = shared.get("file", &dest, &[]);
    second.wait_for_stdout("\"joined\"");
    first.kill();
    let second = second.wait().expect(DONE);
    let useful = useful(&second);
    assert!(useful > 0 && useful < BYTES as u64, "it took up what was there: {useful}");
    assert!(fs::read(&dest).expect("the file") == pattern(BYTES, 9));
    assert!(!left(shared.lab.place.path()));
}

#[test]
fn the_same_content_to_two_places_is_two_fetches() {
    let shared = Shared::new();
    let gets: Vec<_> =
        ["a", "b", "c"].map(|name| shared.get("file", &shared.dest(name), &["--down", RATE])).into();
    for (get, name) in gets.into_iter().zip(["a", "b", "c"]) {
        get.wait().expect(DONE);
        assert!(fs::read(shared.dest(name)).expect("the file") == pattern(BYTES, 9), "{name}");
    }
    assert!(!left(shared.lab.place.path()));
}

#[test]
fn a_running_peer_and_a_process_of_its_own_do_not_disturb_each_other() {
    let shared = Shared::new();
    let folder = shared.lab.place.path().join("peer");
    fs::create_dir(&folder).expect("a folder");
    let dest = folder.join("got");
    let alone = shared.get("file", &dest, &["--down", RATE]);
    wait_for_chunks(&folder);
    let peer = Daemon::peer(&folder, &["--tracker", &shared.lab.tracker.target(), "--down", RATE]);
    let handed = [0; 2].map(|_| shared.get("file", &dest, &[]));
    let alone = alone.wait().expect(DONE);
    let handed = handed.map(|get| get.wait().expect(DONE));
    assert_eq!(useful(&alone) + useful(&handed[0]), BYTES as u64);
    assert_eq!(useful(&handed[0]), useful(&handed[1]), "two commands, one fetch");
    assert!(fs::read(&dest).expect("the file") == pattern(BYTES, 9));
    assert!(fs::read_dir(folder.join(".p2p/partial")).is_err(), "nothing unfinished");
    drop(peer);
}

#[test]
fn one_sources_wrong_bytes_reach_no_other_fetch() {
    let shared = Shared::new();
    let other = Lab::new();
    let copy = sample();
    let liar = other.peer(&copy, "liar", &["--fault", "corrupt=1.0"]);
    other.wait_for_seeders("file", 1);
    let place = shared.lab.place.path();
    let good = shared.get("file", &place.join("good"), &["--down", SLOW]);
    let mut wrong = Vec::new();
    for round in 0..4 {
        let name = place.join(format!("wrong {round}"));
        let name = name.to_str().expect("a UTF-8 path");
        let tracker = other.tracker.target();
        let args = ["get", "file", name, "--wait", "1s", "--listen", "127.0.0.1:0", "--tracker", &tracker];
        wrong.push(Daemon::launch(&args));
    }
    good.wait().expect(DONE);
    assert!(fs::read(place.join("good")).expect("the file") == pattern(BYTES, 9));
    for wrong in wrong {
        wrong.wait().expect(INTEGRITY);
    }
    assert!(!left(place), "a fetch of which nothing is right leaves nothing");
    drop(liar);
}

#[test]
fn what_fails_leaves_nothing_but_what_a_resume_will_use() {
    let shared = Shared::new();
    let place = shared.lab.place.path();
    // Refused.
    fs::write(place.join("got"), "mine").expect("a file");
    shared.get("file", &place.join("got"), &[]).wait().expect(OTHER);
    fs::create_dir(place.join("folder")).expect("a folder");
    fs::create_dir(place.join("folder/tree")).expect("a folder");
    fs::write(place.join("folder/tree/a"), "mine").expect("a file");
    shared.get("tree/", &place.join("folder"), &[]).wait().expect(OTHER);
    assert!(!left(place) && !left(&place.join("folder")) && !left(&place.join("folder/tree")));
    // Nobody there: nothing came, so that nothing is made.
    let liar = Lab::new();
    let copy = sample();
    let peer = liar.peer(&copy, "liar", &["--fault", "corrupt=1.0"]);
    liar.wait_for_seeders("tree/", 1);
    for (what, dest) in [("tree/", place.join("new")), ("file", place.join("deep/er/"))] {
        let dest = format!("{}{}", dest.display(), if what == "file" { "/" } else { "" });
        let tracker = liar.tracker.target();
        let args = ["get", what, &dest, "--wait", "1s", "--listen", "127.0.0.1:0", "--tracker", &tracker];
        Daemon::launch(&args).wait().expect(INTEGRITY);
    }
    assert!(!place.join("new").exists() && !place.join("deep").exists());
    drop(peer);
}

#[test]
fn what_nobody_goes_on_with_goes_after_a_while() {
    let shared = Shared::new();
    let place = shared.lab.place.path();
    let first = shared.get("file", &place.join("got"), &["--down", RATE]);
    let journal = wait_for_chunks(place);
    first.kill();
    let again = |what: &str, to: &str, keep: &str| {
        shared.get(what, &place.join(to), &["--keep-partial", keep]).wait().expect(DONE);
    };
    again("tree/a", "other", "1h");
    assert!(journal.exists(), "it is young");
    again("tree/b/small", "another", "0s");
    assert!(!journal.exists() && !left(place));
}
