//! Uploads, with real processes: what was stored is had without its uploader, without any one of the stores, and after the
//! tracker came back empty.

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;
use support::{Daemon, Output, Port, Sample, eventually, pattern, run};
use tempfile::TempDir;

const OTHER: i32 = 1;
const NOT_FOUND: i32 = 3;
const UNREACHABLE: i32 = 4;

/// A tracker and stores.
struct Cluster {
    port: Port,
    tracker: Option<Daemon>,
    stores: Vec<Option<Daemon>>,
    folders: Vec<TempDir>,
    place: TempDir,
}

impl Cluster {
    #[track_caller]
    fn new(stores: usize) -> Cluster {
        Cluster::with(stores, &[])
    }

    #[track_caller]
    fn with(stores: usize, options: &[&str]) -> Cluster {
        let (port, place) = (Port::reserve(), TempDir::new().expect("a temporary folder"));
        let mut cluster = Cluster { port, tracker: None, stores: Vec::new(), folders: Vec::new(), place };
        cluster.track(options);
        (0..stores).for_each(|_| cluster.add());
        cluster
    }

    #[track_caller]
    fn add(&mut self) {
        self.folders.push(TempDir::new().expect("a temporary folder"));
        self.stores.push(None);
        self.start(self.stores.len() - 1);
    }

    #[track_caller]
    fn start(&mut self, number: usize) {
        self.start_with(number, &[]);
    }

    #[track_caller]
    fn start_with(&mut self, number: usize, more: &[&str]) {
        let (name, tracker) = (format!("store{number}"), self.port.target());
        let options = ["--tracker", &tracker, "--name", &name, "--store", "60MB"];
        self.stores[number] = Some(Daemon::peer(self.folders[number].path(), &[&options, more].concat()));
    }

    #[track_caller]
    fn kill(&mut self, number: usize) {
        self.stores[number].take().expect("it runs").kill();
    }

    /// The tracker ends, if one runs, and another one begins, with these options.
    #[track_caller]
    fn track(&mut self, options: &[&str]) {
        if let Some(tracker) = self.tracker.take() {
            tracker.kill();
        }
        self.tracker = Some(Daemon::tracker(&[&["--listen", &self.port.target()], options].concat()));
    }

    #[track_caller]
    fn ask(&self, args: &[&str]) -> Output {
        run(&[args, &["--tracker", &self.port.target(), "--wait", "60s"]].concat())
    }

    /// The last line of an upload.
    #[track_caller]
    fn upload(&self, path: &Path, more: &[&str]) -> Value {
        // Stores say that they lend when they are known, which is a moment later than that they are there.
        let args = [&["upload", path.to_str().expect("UTF-8"), "--json"], more].concat();
        let said = eventually("there are stores", || {
            Some(self.ask(&args)).filter(|said| said.code() != UNREACHABLE)
        });
        let said = said.expect(0).stdout;
        let last: Value = serde_json::from_str(said.lines().last().expect("a line")).expect("JSON");
        last["done"].clone()
    }

    /// Downloads something to a new place, and says where that is.
    #[track_caller]
    fn download(&self, what: &str, to: &str) -> std::path::PathBuf {
        let target = self.place.path().join(to);
        self.ask(&["download", what, target.to_str().expect("UTF-8")]).expect(0);
        target
    }
}

#[test]
fn what_was_uploaded_survives_its_uploader_any_one_store_and_a_tracker_that_forgot() {
    let mut cluster = Cluster::new(3);
    let mut made = Sample::awkward();
    let film = made.add("film", pattern(9_000_000, 1));
    let folder = made.path().to_owned();
    let first = cluster.upload(&film, &[]);
    assert_eq!(
        (&first["name"], &first["version"], &first["fresh"]),
        (&"film".into(), &1.into(), &true.into())
    );
    // Much less than two copies: one goes from store to store.
    let sent = first["sent"].as_u64().expect("a number");
    assert!((9_000_000..13_500_000).contains(&sent), "{sent} bytes were sent");
    let whole = cluster.upload(&folder, &["--as", "all"]);
    assert_eq!((&whole["name"], &whole["version"]), (&"all/".into(), &1.into()));
    let again = cluster.upload(&film, &[]);
    assert_eq!((&again["version"], &again["fresh"], &again["sent"]), (&1.into(), &false.into(), &0.into()));

    for number in 0..3 {
        cluster.kill(number);
        let got = cluster.download("film", &format!("film{number}"));
        assert!(fs::read(got).expect("a file") == pattern(9_000_000, 1));
        let got = cluster.download("all", &format!("all{number}"));
        made.expect_copy("", &got);
        cluster.start(number);
    }
    cluster.track(&[]);
    let got = eventually("stores told of what they keep", || {
        let target = cluster.place.path().join("after");
        let said = cluster.ask(&["download", "film", target.to_str().expect("UTF-8")]);
        (said.code() == 0).then_some(target)
    });
    assert!(fs::read(got).expect("a file") == pattern(9_000_000, 1));
}

#[test]
fn a_name_has_versions_and_a_folder_parts() {
    let cluster = Cluster::new(2);
    let mut made = Sample::empty();
    let one = made.add("d/in/one", pattern(300_000, 1));
    made.add("d/in/two", pattern(70_000, 2));
    made.add("d/three", pattern(5, 3));
    let folder = made.path().join("d");
    assert_eq!(cluster.upload(&folder, &[])["version"], 1);
    fs::write(&one, pattern(300_000, 9)).expect("a file");
    assert_eq!(cluster.upload(&folder, &[])["version"], 2);
    let read = |path: std::path::PathBuf| fs::read(path).expect("a file");
    assert!(read(cluster.download("d", "new").join("in/one")) == pattern(300_000, 9));
    assert!(read(cluster.download("d@1", "old").join("in/one")) == pattern(300_000, 1));
    assert!(read(cluster.download("d@1/in/one", "one")) == pattern(300_000, 1));
    let part = cluster.download("d/in", "part");
    assert!(read(part.join("two")) == pattern(70_000, 2) && !part.join("three").exists());
    for what in ["d@3", "d/in/none", "nothing"] {
        let target = cluster.place.path().join("none");
        cluster.ask(&["download", what, target.to_str().expect("UTF-8")]).expect(NOT_FOUND);
        assert!(!target.exists(), "{what}");
    }
}

#[test]
fn what_cannot_be_stored_is_said_before_a_byte_moves() {
    let cluster = Cluster::new(1);
    let mut made = Sample::empty();
    let small = made.add("small", pattern(1000, 1));
    let large = made.add("large", pattern(70_000_000, 2));
    let said = cluster.upload(&small, &["--copies", "1"]);
    assert_eq!(said["copies"], 1);
    let at = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let few = cluster.ask(&["upload", &at(&small), "--as", "twice"]).expect(UNREACHABLE).stderr;
    assert!(few.lines().count() == 1 && few.contains("store"), "{few}");
    let full = cluster.ask(&["upload", &at(&large), "--copies", "1"]).expect(OTHER).stderr;
    assert!(full.lines().count() == 1, "{full}");
}

/// Bytes that the disk has given to the slabs of each store.
fn slabs(cluster: &Cluster) -> Vec<u64> {
    let of = |folder: &TempDir| {
        let inside = fs::read_dir(folder.path().join(".p2p/vault")).expect("a vault").flatten();
        let slab = inside.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "slab"));
        slab.map(|entry| entry.metadata().expect("a slab").blocks() * 512).sum()
    };
    cluster.folders.iter().map(of).collect()
}

#[test]
fn a_running_peer_is_asked_and_of_a_new_version_only_what_changed_moves() {
    const CHUNK: usize = 64 << 10;
    let cluster = Cluster::new(3);
    let mut made = Sample::empty();
    let mut bytes = pattern(600 * CHUNK, 1);
    let film = made.add("in/film", bytes.clone());
    let few = (bytes.len() * 15 / 1000) as u64;
    let alice = ["--tracker", &cluster.port.target(), "--name", "alice"];
    let _alice = Daemon::peer(made.path(), &alice);
    let first = cluster.upload(&film, &[]);
    assert_eq!(first["version"], 1);
    let versions = cluster.ask(&["versions", "film", "--json"]).expect(0).stdout;
    assert!(versions.contains(r#""publisher":"alice""#), "{versions}");
    let sent = first["sent"].as_u64().expect("a number");
    assert!(sent <= bytes.len() as u64 / 100 * 105, "{sent} bytes were sent");
    let target = cluster.download("film", "film");
    // The same under another name.
    let again = cluster.upload(&film, &["--as", "movie"]);
    assert!(again["sent"].as_u64().expect("a number") < 65_536, "{again}");

    let before = slabs(&cluster);
    for chunk in [3, 99, 200, 399, 512, 599] {
        bytes[chunk * CHUNK + 5] ^= 1;
    }
    fs::write(&film, &bytes).expect("a file");
    let second = cluster.upload(&film, &[]);
    assert_eq!(second["version"], 2);
    assert!(second["sent"].as_u64().expect("a number") <= few, "{second}");
    for (before, after) in before.iter().zip(slabs(&cluster)) {
        assert!(after - before <= few, "{before} and then {after}");
    }
    let said = cluster.ask(&["download", "film", target.to_str().expect("UTF-8"), "--json"]).expect(0).stdout;
    assert!(fs::read(&target).expect("a file") == bytes);
    let done: Value = serde_json::from_str(said.lines().last().expect("a line")).expect("JSON");
    let sources = done["done"][0]["status"]["sources"].as_array().expect("sources").clone();
    let received: u64 = sources.iter().filter_map(|source| source["bytes"].as_u64()).sum();
    assert!(received > 0 && received <= few, "{received} bytes were received of {few}");
}

#[test]
fn a_tracker_that_lost_its_disk_has_names_and_versions_back_from_stores() {
    let disks = TempDir::new().expect("a temporary folder");
    let disk = |name: &str| disks.path().join(name).to_str().expect("UTF-8").to_owned();
    let (old, empty, new) = (disk("old"), disk("empty"), disk("new"));
    let mut cluster = Cluster::with(3, &["--data", &old]);
    let mut made = Sample::empty();
    let film = made.add("film", pattern(3_000_000, 1));
    assert_eq!(cluster.upload(&film, &[])["version"], 1);
    fs::write(&film, pattern(3_000_000, 2)).expect("a file");
    assert_eq!(cluster.upload(&film, &[])["version"], 2);
    made.add("d/in/one", pattern(300_000, 3));
    let folder = made.path().join("d");
    assert_eq!(cluster.upload(&folder, &[])["version"], 1);

    // One that does not say that it recovers is another tracker.
    cluster.track(&["--data", &empty]);
    cluster.stores[0].as_ref().expect("it runs").wait_for_log("serves another tracker");
    cluster.ask(&["versions", "film"]).expect(NOT_FOUND);

    cluster.track(&["--data", &new, "--recover"]);
    let read = |path: std::path::PathBuf| fs::read(path).expect("a file");
    let numbers = |cluster: &Cluster| {
        let said = cluster.ask(&["versions", "film", "--json"]).stdout;
        let lines = said.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.map(|line| line["version"].as_u64().expect("a number")).collect::<Vec<_>>()
    };
    eventually("stores told what they remember", || (numbers(&cluster) == [2, 1]).then_some(()));
    let check = |cluster: &Cluster, to: &str| {
        assert!(read(cluster.download("film", &format!("film{to}"))) == pattern(3_000_000, 2));
        assert!(read(cluster.download("film@1", &format!("first{to}"))) == pattern(3_000_000, 1));
        assert!(read(cluster.download("d", &format!("d{to}")).join("in/one")) == pattern(300_000, 3));
    };
    check(&cluster, "");
    // From then on it is a tracker like any other: what came back is on its disk.
    cluster.track(&["--data", &new]);
    assert_eq!(numbers(&cluster), [2, 1]);
    check(&cluster, "-again");
    fs::write(&film, pattern(3_000_000, 4)).expect("a file");
    assert_eq!(cluster.upload(&film, &[])["version"], 3);
}

#[test]
fn what_rots_on_a_stores_disk_is_found_and_never_served() {
    const CHUNK: u64 = 64 << 10;
    let mut cluster = Cluster::new(2);
    let mut made = Sample::empty();
    let film = made.add("film", pattern(80 * CHUNK as usize, 1));
    cluster.upload(&film, &[]);
    cluster.kill(0);
    let slab = cluster.folders[0].path().join(".p2p/vault/64k.slab");
    let slab = fs::File::options().read(true).write(true).open(slab).expect("a slab");
    for number in 0..20 {
        let (mut byte, at) = ([0], number * 4 * CHUNK + number * 997 % CHUNK);
        slab.read_exact_at(&mut byte, at).expect("a slot");
        slab.write_all_at(&[byte[0] ^ 1], at).expect("a slot");
    }
    cluster.start_with(0, &["--scrub", "2s"]);
    eventually("all of it is found", || {
        let log = cluster.stores[0].as_ref().expect("it runs").log();
        (log.matches("has rotted on the disk").count() == 20).then_some(())
    });
    let whole = |cluster: &Cluster, to: &str| {
        assert!(fs::read(cluster.download("film", to)).expect("a file") == pattern(80 * CHUNK as usize, 1));
    };
    whole(&cluster, "both");
    cluster.kill(0);
    whole(&cluster, "other");
}

impl Cluster {
    /// What `p2p health --json` says.
    #[track_caller]
    fn health(&self) -> Value {
        let said = self.ask(&["health", "--json"]).stdout;
        serde_json::from_str(said.trim()).expect("JSON")
    }

    /// What `p2p stores --json` says.
    #[track_caller]
    fn listed(&self) -> Vec<Value> {
        let said = self.ask(&["stores", "--json"]).expect(0).stdout;
        said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Chunks that all stores together hold.
    #[track_caller]
    fn chunks(&self) -> u64 {
        self.listed().iter().map(|store| store["chunks"].as_u64().expect("a number")).sum()
    }

    #[track_caller]
    fn becomes_whole(&self, away: usize) {
        eventually("all is as safe as promised", || {
            let health = self.health();
            let gone = health["away"].as_array().expect("a list").len();
            (health["survives"] == 1 && health["repairing"] == 0 && gone == away).then_some(())
        });
    }
}

#[test]
fn a_dead_store_is_replaced_and_then_a_second_may_die() {
    let mut cluster = Cluster::with(4, &["--repair-after", "1s", "--grace", "2s"]);
    let film = cluster.place.path().join("film");
    fs::write(&film, pattern(9_000_000, 2)).expect("a file");
    cluster.upload(&film, &[]);
    let kept = cluster.chunks();
    for dead in [0, 1] {
        cluster.kill(dead);
        cluster.becomes_whole(dead + 1);
    }
    let got = cluster.download("film", "got");
    assert!(fs::read(got).expect("a file") == pattern(9_000_000, 2));
    // They come back, and what is too much goes.
    cluster.start(0);
    cluster.start(1);
    cluster.becomes_whole(0);
    eventually("there are two copies again", || (cluster.chunks() == kept).then_some(()));
    cluster.becomes_whole(0);
}

#[test]
fn a_store_leaves_when_others_have_what_it_holds_and_is_forgotten() {
    let mut cluster = Cluster::with(3, &["--repair-after", "1s", "--grace", "2s"]);
    let film = cluster.place.path().join("film");
    fs::write(&film, pattern(9_000_000, 3)).expect("a file");
    cluster.upload(&film, &[]);
    cluster.ask(&["stores", "forget", "store0"]).expect(OTHER);
    cluster.ask(&["stores", "leave", "store0"]).expect(0);
    let has_left = |store: &Value| store["name"] == "store0" && store["state"] == "left";
    eventually("it has left", || cluster.listed().iter().any(has_left).then_some(()));
    cluster.kill(0);
    cluster.becomes_whole(1);
    cluster.ask(&["stores", "forget", "store0"]).expect(0);
    cluster.becomes_whole(0);
    cluster.ask(&["stores", "leave", "nobody"]).expect(NOT_FOUND);
    let got = cluster.download("film", "got");
    assert!(fs::read(got).expect("a file") == pattern(9_000_000, 3));
}

/// Writes a program, so to speak.
fn runnable(at: &Path, bytes: Vec<u8>) {
    fs::write(at, bytes).expect("a file");
    fs::set_permissions(at, Permissions::from_mode(0o755)).expect("its mode");
}

fn runs(at: &Path) -> bool {
    fs::metadata(at).expect("a file").mode() & 0o111 != 0
}

#[test]
fn a_file_keeps_its_mode_when_all_stores_that_had_it_from_its_uploader_are_gone() {
    let mut cluster = Cluster::with(3, &["--repair-after", "1s", "--grace", "2s"]);
    // Several runs, of which each store has a part.
    let tool = cluster.place.path().join("tool");
    runnable(&tool, pattern(40 << 16, 4));
    cluster.upload(&tool, &[]);
    for dead in 0..3 {
        cluster.add();
        cluster.kill(dead);
        cluster.becomes_whole(dead + 1);
    }
    let got = cluster.download("tool", "got");
    assert!(runs(&got) && fs::read(got).expect("a file") == pattern(40 << 16, 4));
}

#[test]
fn a_file_of_a_folder_that_is_uploaded_by_itself_too_keeps_its_mode() {
    let cluster = Cluster::new(3);
    let folder = cluster.place.path().join("tools");
    fs::create_dir(&folder).expect("a folder");
    let sizes = [1000, 5 << 16];
    for size in sizes {
        runnable(&folder.join(size.to_string()), pattern(size, 5));
    }
    cluster.upload(&folder, &[]);
    for size in sizes {
        let name = size.to_string();
        cluster.upload(&folder.join(&name), &[]);
        let got = cluster.download(&name, &format!("got{size}"));
        assert!(runs(&got) && fs::read(got).expect("a file") == pattern(size, 5));
    }
}

#[test]
fn small_contents_are_whole_again_too_with_their_modes() {
    const COUNT: usize = 30;
    let mut cluster = Cluster::with(3, &["--repair-after", "1s", "--grace", "2s"]);
    let mut made = Sample::empty();
    let of = |number: usize| pattern(1 + number * 1900, number as u8);
    for number in 0..COUNT {
        let path = made.add(&format!("small{number}"), of(number));
        let mode = if number.is_multiple_of(2) { 0o755 } else { 0o644 };
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("its mode");
        cluster.upload(&path, &[]);
    }
    cluster.kill(0);
    cluster.becomes_whole(1);
    // With one of the two that are left, it has all.
    cluster.kill(1);
    for number in 0..COUNT {
        let got = cluster.download(&format!("small{number}"), &format!("got{number}"));
        let runs = fs::metadata(&got).expect("a file").mode() & 0o111 != 0;
        assert_eq!(
            (fs::read(got).expect("a file"), runs),
            (of(number), number.is_multiple_of(2)),
            "{number}"
        );
    }
}

#[test]
fn an_upload_does_not_wait_for_a_store_that_hangs() {
    // Nobody is forgotten while this test goes on because he is silent.
    let cluster = Cluster::with(3, &["--lease", "600s"]);
    let file = cluster.place.path().join("film");
    fs::write(&file, pattern(500_000, 3)).expect("a file");
    cluster.upload(&file, &[]);
    let holder = cluster.listed().into_iter().find(|store| store["contents"] == 1).expect("a holder");
    let number: usize =
        holder["name"].as_str().and_then(|name| name.strip_prefix("store")?.parse().ok()).unwrap();
    let hangs = cluster.stores[number].as_ref().expect("it runs");
    hangs.signal(Signal::STOP);
    // It has most of the new version, too: it is asked what that is, and does not say.
    fs::write(&file, [pattern(500_000, 3), vec![1]].concat()).expect("a file");
    assert_eq!(cluster.upload(&file, &[])["copies"], 2);
    let states: Vec<Value> = cluster.listed().into_iter().map(|store| store["state"].clone()).collect();
    assert_eq!(states, ["lending"; 3], "its registration has not ended");
    hangs.signal(Signal::CONT);
}
