//! Files and folders that are kept as shards of a code, with real processes: any `m` stores may be lost, and what they had is made again.

mod namespaces;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Daemon, Output, Port, Sample, eventually, pattern, run};
use tempfile::TempDir;

const USAGE: i32 = 2;
const UNREACHABLE: i32 = 4;

/// What a store of most tests lends.
const ROOM: &[&str] = &["--store", "60MB"];

/// A tracker and stores.
struct Cluster {
    port: Port,
    _tracker: Daemon,
    stores: Vec<Option<Daemon>>,
    folders: Vec<TempDir>,
    place: TempDir,
    /// What each store is told beside its tracker and name.
    lends: &'static [&'static str],
}

impl Cluster {
    #[track_caller]
    fn new(stores: usize, options: &[&str]) -> Cluster {
        Cluster::of(stores, options, ROOM)
    }

    #[track_caller]
    fn of(stores: usize, options: &[&str], lends: &'static [&'static str]) -> Cluster {
        let (port, place) = (Port::reserve(), TempDir::new().expect("a temporary folder"));
        let tracker = Daemon::tracker(&[&["--listen", &port.target()], options].concat());
        let mut cluster =
            Cluster { port, _tracker: tracker, stores: Vec::new(), folders: Vec::new(), place, lends };
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
        let (name, tracker) = (format!("store{number}"), self.port.target());
        let options = [&["--tracker", &tracker, "--name", &name], self.lends].concat();
        self.stores[number] = Some(Daemon::peer(self.folders[number].path(), &options));
    }

    #[track_caller]
    fn kill(&mut self, number: usize) {
        self.stores[number].take().expect("it runs").kill();
    }

    #[track_caller]
    fn ask(&self, args: &[&str]) -> Output {
        run(&[args, &["--tracker", &self.port.target(), "--wait", "60s"]].concat())
    }

    /// The last line of an upload.
    #[track_caller]
    fn upload(&self, path: &Path, code: &str) -> Value {
        let args = ["upload", path.to_str().expect("UTF-8"), "--code", code, "--json"];
        let said = eventually("there are stores", || {
            Some(self.ask(&args)).filter(|said| said.code() != UNREACHABLE)
        });
        let said = said.expect(0).stdout;
        let last: Value = serde_json::from_str(said.lines().last().expect("a line")).expect("JSON");
        last["done"].clone()
    }

    #[track_caller]
    fn download(&self, what: &str, to: &str) -> PathBuf {
        let target = self.place.path().join(to);
        self.ask(&["download", what, target.to_str().expect("UTF-8")]).expect(0);
        target
    }

    /// What was uploaded as a film, downloaded while two stores are away, which then come back.
    #[track_caller]
    fn goes_without(&mut self, (one, other): (usize, usize), bytes: &[u8]) {
        self.kill(one);
        self.kill(other);
        let got = self.download("film", &format!("without{one}{other}"));
        assert!(fs::read(got).expect("a file") == bytes, "without {one} and {other}");
        self.come_back((one, other));
    }

    #[track_caller]
    fn come_back(&mut self, (one, other): (usize, usize)) {
        self.start(one);
        self.start(other);
        eventually("both are back", || (self.survives() == Some(2)).then_some(()));
    }

    /// How long it takes to download what was uploaded as a film, once it was: memory that was free for long is slow in some
    /// virtual machines.
    #[track_caller]
    fn time_of_film(&self) -> Duration {
        fs::remove_file(self.download("film", "timed")).expect("it is there");
        let begun = Instant::now();
        let got = self.download("film", "timed");
        let time = begun.elapsed();
        fs::remove_file(got).expect("it is there");
        time
    }

    /// How many chunks each store keeps.
    #[track_caller]
    fn chunks(&self) -> BTreeMap<String, u64> {
        let said = self.ask(&["stores", "--json"]).expect(0).stdout;
        let stores = said.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let kept = |store: Value| Some((store["name"].as_str()?.to_owned(), store["chunks"].as_u64()?));
        stores.filter_map(kept).collect()
    }

    /// How many bytes of chunks each of the stores that run has sent.
    #[track_caller]
    fn sent(&self) -> BTreeMap<String, u64> {
        let run = self.stores.iter().enumerate().filter(|(_, store)| store.is_some());
        let sent = |number: usize| {
            let folder = self.folders[number].path().to_str().expect("UTF-8");
            let said = support::run(&["status", folder, "--json"]).expect(0).stdout;
            serde_json::from_str::<Value>(&said).expect("JSON")["sent"].as_u64().expect("a number")
        };
        run.map(|(number, _)| (format!("store{number}"), sent(number))).collect()
    }

    /// How many stores may be lost, as the tracker says.
    fn survives(&self) -> Option<u64> {
        let said = self.ask(&["health", "--json"]);
        let health: Value = serde_json::from_str(said.stdout.lines().last()?).ok()?;
        health["survives"].as_u64()
    }
}

#[test]
fn any_two_of_six_stores_may_be_lost() {
    let mut cluster = Cluster::new(6, &[]);
    let mut made = Sample::empty();
    // Several groups, the last of them not full, and a chunk that is not, either.
    let bytes = pattern((70 << 16) + 12_345, 1);
    let film = made.add("film", bytes.clone());
    let done = cluster.upload(&film, "4+2");
    assert_eq!((&done["code"], &done["version"]), (&"4+2".into(), &1.into()));
    assert_eq!(cluster.survives(), Some(2));
    for two in [(0, 1), (2, 5), (3, 4)] {
        cluster.goes_without(two, &bytes);
    }
    let again = cluster.upload(&film, "4+2");
    assert_eq!((&again["version"], &again["fresh"]), (&1.into(), &false.into()));
}

#[test]
fn stores_may_be_lost_while_it_is_read() {
    let mut cluster = Cluster::of(6, &[], &["--store", "60MB", "--up", "400KB/s"]);
    let mut made = Sample::empty();
    let bytes = pattern((90 << 16) + 5, 7);
    let film = made.add("film", bytes.clone());
    cluster.upload(&film, "4+2");
    let before: u64 = cluster.sent().values().sum();
    let target = cluster.place.path().join("got");
    let to = target.to_str().expect("UTF-8");
    let download =
        Daemon::launch(&["download", "film", to, "--tracker", &cluster.port.target(), "--wait", "60s"]);
    eventually("some of it has come", || (cluster.sent().values().sum::<u64>() > before).then_some(()));
    cluster.kill(1);
    cluster.kill(4);
    download.wait().expect(0);
    assert!(fs::read(target).expect("a file") == bytes);
}

/// On a link of 1 Gbit/s, within one machine that is not there: `cargo test --release --test codes -- --ignored --nocapture nearly_as_fast`, as
/// root. Where nothing is waited for but the processor, it is slower by what is decoded: docs/BENCHMARKS.md.
#[test]
#[ignore = "minutes, gigabytes, and a network namespace, which needs root: by command, in release"]
fn without_two_of_six_stores_it_is_read_nearly_as_fast() {
    if let Some(obstacle) = namespaces::obstacle() {
        eprintln!("skipped: {obstacle}");
        return;
    }
    let lab = namespaces::Lab::new();
    let machine = lab.host("one", &["10.80.0.1/24"]);
    machine.slow_loopback(1000);
    let (with_all, without) = machine.inside(times_with_all_and_without_two);
    let ratio = with_all.as_secs_f64() / without.as_secs_f64();
    println!("{with_all:.2?} with all six stores, {without:.2?} without two: {ratio:.2} of the rate");
    assert!(ratio >= 0.8, "{ratio:.2}");
}

/// How long a film of 1 GiB takes, in the median.
fn times_with_all_and_without_two() -> (Duration, Duration) {
    const ROUNDS: usize = 2;
    let mut cluster = Cluster::of(6, &[], &["--store", "2GiB"]);
    let mut made = Sample::empty();
    let film = made.add("film", pattern(1 << 30, 8));
    cluster.upload(&film, "4+2");
    let (mut with_all, mut without) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for two in [(0, 1), (2, 5), (3, 4)] {
            with_all.push(cluster.time_of_film());
            cluster.kill(two.0);
            cluster.kill(two.1);
            eventually("both are gone", || (cluster.survives() == Some(0)).then_some(()));
            without.push(cluster.time_of_film());
            cluster.come_back(two);
        }
    }
    let median = |mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    (median(with_all), median(without))
}

#[test]
fn what_is_read_needs_no_store_that_has_some_of_the_data_itself() {
    let mut cluster = Cluster::new(4, &[]);
    let mut made = Sample::empty();
    // One group: two stores have the data, two the parity, and nobody else knows the hashes of either.
    let bytes = pattern((3 << 16) + 5, 4);
    let film = made.add("film", bytes.clone());
    cluster.upload(&film, "2+2");
    for one in 0..4 {
        for other in one + 1..4 {
            cluster.goes_without((one, other), &bytes);
        }
    }
}

#[test]
fn however_it_is_fetched_what_is_lost_of_it_is_decoded() {
    let mut cluster = Cluster::new(3, &[]);
    let mut made = Sample::empty();
    let bytes = pattern((20 << 16) + 9, 5);
    let film = made.add("film", bytes.clone());
    let done = cluster.upload(&film, "2+1");
    cluster.kill(0);
    let id = done["id"].as_str().expect("an id");
    let link = format!("p2p:{id}?name=film&size={}", bytes.len());
    // The last of them by a running peer, for its folder.
    let folder = cluster.place.path().join("folder");
    fs::create_dir(&folder).expect("a folder");
    let _peer = Daemon::peer(&folder, &["--tracker", &cluster.port.target()]);
    for (what, to) in [("film", "named"), (id, "by-id"), (&link, "linked"), ("film", "folder/film")] {
        let target = cluster.place.path().join(to);
        cluster.ask(&["get", what, target.to_str().expect("UTF-8")]).expect(0);
        assert!(fs::read(target).expect("a file") == bytes, "{to}");
    }
}

#[test]
fn what_dead_stores_had_is_made_again_and_others_may_die() {
    let mut cluster = Cluster::new(4, &["--repair-after", "1s"]);
    let mut made = Sample::empty();
    let bytes = pattern((40 << 16) + 77, 2);
    let film = made.add("film", bytes.clone());
    cluster.upload(&film, "2+1");
    assert_eq!(cluster.survives(), Some(1));
    cluster.kill(1);
    eventually("it is whole again", || (cluster.survives() == Some(1)).then_some(()));
    cluster.kill(2);
    let got = cluster.download("film", "film");
    assert!(fs::read(got).expect("a file") == bytes);
}

#[test]
fn who_makes_a_lost_shard_again_reads_as_many_as_suffice() {
    const CHUNK: u64 = 64 << 10;
    let mut cluster = Cluster::new(4, &["--repair-after", "1s"]);
    let mut made = Sample::empty();
    let film = made.add("film", pattern(200 * CHUNK as usize, 6));
    cluster.upload(&film, "2+1");
    let kept = cluster.chunks();
    let (lost, before) = (kept["store1"] * CHUNK, cluster.sent());
    cluster.kill(1);
    eventually("it is whole again", || (cluster.survives() == Some(1)).then_some(()));
    let sent: u64 = cluster.sent().iter().filter_map(|(name, sent)| Some(sent - before.get(name)?)).sum();
    let most = 2 * lost + lost / 10;
    assert!(lost > 0 && sent <= most, "{sent} bytes were read to make {lost} again");
}

#[test]
fn what_is_small_is_kept_as_copies_and_a_code_needs_stores() {
    let cluster = Cluster::new(3, &[]);
    let mut made = Sample::empty();
    let small = made.add("d/small", pattern(1000, 1));
    let done = cluster.upload(&small, "2+1");
    assert_eq!((&done["copies"], done.get("code")), (&2.into(), None));
    let folder = made.path().join("d");
    let said = cluster.ask(&["upload", folder.to_str().expect("UTF-8"), "--code", "2+1"]).expect(0);
    assert!(
        said.stderr.contains("d/ is kept as 2 copies: it is too small for a code 2+1"),
        "{}",
        said.stderr
    );
    (0..20).for_each(|at| drop(made.add(&format!("d/{at}"), pattern(1000, at))));
    let said = cluster.ask(&["upload", folder.to_str().expect("UTF-8"), "--code", "2+1"]).expect(0);
    assert!(said.stderr.contains("its files are so small that"), "{}", said.stderr);
    let large = made.add("large", pattern(4 << 16, 3));
    let at = large.to_str().expect("UTF-8");
    let said = cluster.ask(&["upload", at, "--code", "4+2"]).expect(UNREACHABLE).stderr;
    assert!(said.contains("a code of 4 + 2 needs 6 stores"), "{said}");
    let said = cluster.ask(&["upload", at, "--code", "1+1"]).expect(USAGE).stderr;
    assert!(said.contains("a code is K+M"), "{said}");
}

/// A folder of files of every size, and what is in it.
fn photos() -> (Sample, BTreeMap<&'static str, Vec<u8>>) {
    const CHUNK: usize = 64 << 10;
    let sizes = [
        ("2024/large", 70 * CHUNK + 5),
        ("2024/other", 33 * CHUNK),
        ("few", 5 * CHUNK),
        ("note", 10),
        ("z", 0),
    ];
    let files: BTreeMap<_, _> =
        (1..).zip(sizes).map(|(seed, (name, size))| (name, pattern(size, seed))).collect();
    let mut made = Sample::empty();
    files.iter().for_each(|(name, bytes)| drop(made.add(&format!("photos/{name}"), bytes.clone())));
    (made, files)
}

#[track_caller]
fn is_photos(got: &Path, files: &BTreeMap<&'static str, Vec<u8>>) {
    for (name, bytes) in files {
        assert!(fs::read(got.join(name)).expect("a file") == *bytes, "{name}");
    }
}

#[test]
fn a_folder_is_coded_and_any_two_of_six_stores_may_be_lost() {
    let mut cluster = Cluster::new(6, &[]);
    let (made, files) = photos();
    let done = cluster.upload(&made.path().join("photos"), "4+2");
    assert_eq!((&done["code"], &done["copies"]), (&"4+2".into(), &1.into()));
    let chunks: u64 = cluster.chunks().values().sum();
    assert!(chunks < 110 * 2, "{chunks} chunks, half of them parity, and not three copies");
    for (at, two) in [(0, 1), (2, 5), (3, 4)].into_iter().enumerate() {
        cluster.kill(two.0);
        cluster.kill(two.1);
        is_photos(&cluster.download("photos/", &format!("got{at}")), &files);
        cluster.come_back(two);
    }
}

#[test]
fn of_a_member_no_more_is_decoded_than_it_needs() {
    const CHUNK: u64 = 64 << 10;
    let mut cluster = Cluster::new(6, &[]);
    let (made, files) = photos();
    cluster.upload(&made.path().join("photos"), "4+2");
    cluster.kill(0);
    cluster.kill(3);
    for (member, most) in [("few", 5), ("note", 1), ("2024/large", 71)] {
        let before: u64 = cluster.sent().values().sum();
        let got = cluster.download(&format!("photos/{member}"), &member.replace('/', "-"));
        assert!(fs::read(got).expect("a file") == files[member], "{member}");
        let sent = cluster.sent().values().sum::<u64>() - before;
        assert!(sent <= (4 * most + 1) * CHUNK, "{sent} bytes were read for {most} chunks of {member}");
    }
}

#[test]
fn what_a_dead_store_had_of_a_folder_is_made_again() {
    const CHUNK: u64 = 64 << 10;
    let mut cluster = Cluster::new(4, &["--repair-after", "1s"]);
    let (made, files) = photos();
    cluster.upload(&made.path().join("photos"), "2+1");
    let kept = cluster.chunks();
    let (lost, before) = (kept["store1"] * CHUNK, cluster.sent());
    cluster.kill(1);
    eventually("it is whole again", || (cluster.survives() == Some(1)).then_some(()));
    let sent: u64 = cluster.sent().iter().filter_map(|(name, sent)| Some(sent - before.get(name)?)).sum();
    assert!(lost > 0 && sent <= 2 * lost + lost / 10, "{sent} bytes were read to make {lost} again");
    cluster.kill(2);
    is_photos(&cluster.download("photos/", "got"), &files);
}

#[test]
fn of_a_new_version_of_a_folder_what_changed_is_stored_and_both_may_be_read_without_a_store() {
    let mut cluster = Cluster::new(3, &[]);
    let (mut made, mut files) = photos();
    let before = files.clone();
    cluster.upload(&made.path().join("photos"), "2+1");
    files.insert("few", pattern(6 << 16, 99));
    made.add("photos/few", files["few"].clone());
    let done = cluster.upload(&made.path().join("photos"), "2+1");
    assert_eq!((&done["version"], &done["code"]), (&2.into(), &"2+1".into()));
    for store in 0..3 {
        cluster.kill(store);
        is_photos(&cluster.download("photos/", &format!("new{store}")), &files);
        is_photos(&cluster.download("photos/@1", &format!("old{store}")), &before);
        cluster.start(store);
        eventually("it is back", || (cluster.survives() == Some(1)).then_some(()));
    }
}
