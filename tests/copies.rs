//! What a copy of a folder keeps, what is said of what it lacks, and what a listing may not do.

mod support;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use support::{Daemon, Output, Sample, eventually, run};
use tempfile::TempDir;

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn get(tracker: &Daemon, what: &str, dest: &Path, more: &[&str]) -> Output {
    let target = tracker.target();
    run(&[&["get", what, text(dest), "--tracker", &target, "--wait", "20s"], more].concat())
}

/// All below a folder: kind, mode, time, target of links, content, and which other path is the same file.
fn listing(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut names: BTreeMap<(u64, u64), PathBuf> = BTreeMap::new();
    let mut out = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<_> =
            fs::read_dir(&folder).expect("a folder").map(|entry| entry.unwrap().path()).collect();
        // Not what the program notes there for itself.
        entries.retain(|path| *path != root.join(".p2p"));
        entries.sort();
        for path in entries {
            let metadata = fs::symlink_metadata(&path).expect("an entry");
            let below = path.strip_prefix(root).expect("below").to_owned();
            let said = if metadata.is_symlink() {
                format!("-> {}", fs::read_link(&path).expect("a link").display())
            } else {
                let times = (metadata.mtime(), metadata.mtime_nsec());
                let content = if metadata.is_file() { fs::read(&path).expect("a file") } else { Vec::new() };
                let same = (metadata.is_file() && metadata.nlink() > 1)
                    .then(|| names.entry((metadata.dev(), metadata.ino())).or_insert(below.clone()).clone());
                let hash = blake3::hash(&content).to_hex();
                format!("{:o} {times:?} {} {hash} {same:?}", metadata.mode(), metadata.nlink())
            };
            if metadata.is_dir() {
                folders.push(path);
            }
            out.insert(below, said);
        }
    }
    // The number of names of a folder depends on the file system.
    out
}

#[track_caller]
fn expect_same(a: &Path, b: &Path) {
    let (a, b) = (listing(a), listing(b));
    for (path, said) in &a {
        assert_eq!(Some(said), b.get(path), "{}", path.display());
    }
    assert_eq!(
        a.len(),
        b.len(),
        "nothing else is there: {:?}",
        b.keys().filter(|path| !a.contains_key(*path))
    );
}

/// Folders with modes and times of their own, files too, links of each kind.
fn furnished() -> Sample {
    let mut sample = Sample::empty();
    for (name, content) in
        [("t/a", "same"), ("t/d/b", "same"), ("t/lib/x", "x"), ("t/deep/e/f", ""), ("out", "o")]
    {
        sample.add(name, content.into());
    }
    sample.add("t/large", support::pattern(200_000, 1));
    let at = |path: &str| sample.path().join(path);
    fs::create_dir(at("t/empty")).unwrap();
    fs::hard_link(at("t/large"), at("t/d/large too")).unwrap();
    fs::hard_link(at("t/a"), at("t/zz")).unwrap();
    for (target, link) in [
        ("lib", "t/lib64"),
        ("../lib/x", "t/d/up"),
        ("up", "t/d/link to a link"),
        ("nowhere", "t/dangling"),
        (".", "t/d/self"),
        ("./../a", "t/d/odd way"),
    ] {
        symlink(target, at(link)).unwrap();
    }
    for (path, mode) in [
        ("t/a", 0o4755), // the set-id bit goes
        ("t/d/b", 0o600),
        ("t/large", 0o640),
        ("t/deep/e/f", 0o444),
        ("t/empty", 0o1700), // the sticky bit goes
        ("t/deep/e", 0o555),
        ("t/d", 0o750),
        ("t", 0o710),
    ] {
        fs::set_permissions(at(path), Permissions::from_mode(mode)).unwrap();
    }
    for (number, path) in
        ["t/a", "t/large", "t/d", "t/deep/e/f", "t/deep/e", "t/deep", "t/lib"].iter().enumerate()
    {
        let time = UNIX_EPOCH + Duration::new(1_000_000_000 + number as u64, 123_456_789);
        fs::File::open(at(path)).unwrap().set_modified(time).unwrap();
    }
    sample
}

#[test]
fn a_folder_arrives_as_it_is() {
    let sample = furnished();
    let tracker = Daemon::tracker(&[]);
    let peer = Daemon::peer(sample.path(), &["--tracker", &tracker.target()]);
    let dest = TempDir::new().unwrap();
    get(&tracker, "t/", &dest.path().join("t"), &[]).expect(0);
    let copy = dest.path().join("t");
    assert_eq!(fs::metadata(&copy).unwrap().mode() & 0o7777, 0o710, "of the folder itself");
    // What no copy has.
    fs::set_permissions(sample.path().join("t/a"), Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(sample.path().join("t/empty"), Permissions::from_mode(0o700)).unwrap();
    expect_same(&sample.path().join("t"), &copy);

    // The same again changes nothing; what was spoilt is mended.
    get(&tracker, "t/", dest.path(), &[]).expect(0);
    fs::set_permissions(copy.join("d/b"), Permissions::from_mode(0o666)).unwrap();
    fs::remove_file(copy.join("lib64")).unwrap();
    fs::remove_file(copy.join("zz")).unwrap();
    fs::copy(copy.join("a"), copy.join("zz")).unwrap();
    get(&tracker, "t/", dest.path(), &[]).expect(0);
    expect_same(&sample.path().join("t"), &copy);
    assert_eq!(peer.log().matches("left out").count(), 0, "{}", peer.log());

    // A copy is the same content: its holder and the first one are one swarm.
    let second = Daemon::peer(dest.path(), &["--tracker", &tracker.target()]);
    eventually("one swarm", || {
        let found = run(&["find", "t/", "--tracker", &tracker.target(), "--json"]).expect(0).stdout;
        let found: Vec<serde_json::Value> =
            found.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        (found.len() == 1 && found[0]["seeders"] == 2).then_some(())
    });
    drop(second);
}

#[test]
fn a_link_that_leads_out_of_what_is_asked_for_is_what_it_leads_to() {
    let sample = furnished();
    symlink("../lib", sample.path().join("t/d/lib")).unwrap();
    let tracker = Daemon::tracker(&[]);
    let _peer = Daemon::peer(sample.path(), &["--tracker", &tracker.target()]);
    let dest = TempDir::new().unwrap();
    get(&tracker, "t/d/", dest.path(), &[]).expect(0);
    let copy = dest.path().join("d");
    assert!(fs::symlink_metadata(copy.join("lib")).unwrap().is_dir());
    assert_eq!(fs::read(copy.join("lib/x")).unwrap(), b"x");
    assert!(fs::symlink_metadata(copy.join("up")).unwrap().is_file());
    assert_eq!(fs::read_link(copy.join("link to a link")).unwrap(), Path::new("up"));
    // A file can be asked for by a link's name.
    get(&tracker, "t/d/up", dest.path(), &[]).expect(0);
    assert_eq!(fs::read(dest.path().join("up")).unwrap(), b"x");
}

#[test]
fn a_link_is_judged_by_what_itself_says() {
    let mut sample = Sample::empty();
    sample.add("venv/pyvenv.cfg", b"home = /usr/bin".to_vec());
    sample.add("venv/lib/site.py", b"site".to_vec());
    let at = |path: &str| sample.path().join("venv").join(path);
    fs::create_dir(at("bin")).unwrap();
    let stay = [
        ("python3", "bin/python"),
        ("python", "bin/python3.12"),
        ("bin/python", "run"),
        ("loop2", "loop1"),
        ("loop1", "loop2"),
        ("self", "self"),
        ("lib", "lib64"),
        ("lib64/site.py", "site.py"),
        ("no-access", "to-no-access"),
        ("pyvenv.cfg/x", "below a file"),
    ];
    let go = [
        // Of these, one is there on most machines and one is on none.
        ("/bin/sh", "bin/python3"),
        ("/nowhere/python", "no-access"),
        ("/etc", "etc"),
        ("etc/hostname", "through a link that leads out"),
        ("../venv/bin/../../..", "up"),
    ];
    for (target, link) in stay.iter().chain(&go) {
        symlink(target, at(link)).unwrap();
    }
    let tracker = Daemon::tracker(&[]);
    let _peer = Daemon::peer(sample.path(), &["--tracker", &tracker.target()]);
    let dest = TempDir::new().unwrap();
    let got = get(&tracker, "venv/", dest.path(), &["--allow-partial", "--json"]).expect(0);
    let last: serde_json::Value = serde_json::from_str(got.stdout.lines().last().unwrap()).unwrap();
    let mut items: Vec<_> = last["done"][0]["left_out"].as_array().unwrap().iter().collect();
    items.sort_by_key(|item| item["path"].as_str().map(str::to_owned));
    let mut paths = go.map(|(_, link)| link);
    paths.sort_unstable();
    assert_eq!(items.iter().map(|item| item["path"].as_str().unwrap()).collect::<Vec<_>>(), paths);
    assert!(items.iter().all(|item| item["reason"] == "outside"), "{items:?}");

    let copy = dest.path().join("venv");
    for (target, link) in stay {
        assert_eq!(fs::read_link(copy.join(link)).ok().as_deref(), Some(Path::new(target)), "{link}");
    }
    assert!(go.iter().all(|(_, link)| fs::symlink_metadata(copy.join(link)).is_err()));
    // By its name nothing is to be had but what lies inside.
    get(&tracker, "venv/site.py", dest.path(), &[]).expect(0);
    assert_eq!(fs::read(dest.path().join("site.py")).unwrap(), b"site");
    run(&["find", "venv/bin/python", "--tracker", &tracker.target(), "--wait", "0"]).expect(3);
}

#[test]
fn what_is_left_out_is_said_by_both_sides() {
    let mut sample = Sample::empty();
    sample.add("t/a", b"a".to_vec());
    let at = |path: &str| sample.path().join(path);
    mknodat(CWD, at("t/pipe"), FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
    let _socket = UnixListener::bind(at("t/socket")).unwrap();
    symlink("/etc/hostname", at("t/outside")).unwrap();
    symlink("/etc/hostname/", at("t/outside too")).unwrap();
    symlink(OsStr::from_bytes(b"bad\xff"), at("t/to bad")).unwrap();
    fs::write(at("t").join(OsStr::from_bytes(b"bad\xff")), "bad").unwrap();
    let tracker = Daemon::tracker(&[]);
    let peer = Daemon::peer(sample.path(), &["--tracker", &tracker.target()]);
    peer.wait_for_log("6 things are left out: t/bad\\xff has a name or target that cannot be told, ");
    assert_eq!(peer.log().lines().count(), 1, "{}", peer.log());

    let dest = TempDir::new().unwrap();
    let got = get(&tracker, "t/", dest.path(), &[]).expect(6);
    assert!(got.stdout.contains("got t/"), "{}", got.stdout);
    assert!(got.stderr.contains("t/ is not whole at its source; 6 things are left out: bad\\xff has a name"));
    assert_eq!(fs::read(dest.path().join("t/a")).unwrap(), b"a");
    assert_eq!(listing(&dest.path().join("t")).len(), 1);

    let got = get(&tracker, "t/", dest.path(), &["--allow-partial"]).expect(0);
    assert!(got.stderr.contains("6 things are left out"));
    let got = get(&tracker, "t/", dest.path(), &["--json"]).expect(6);
    let last: serde_json::Value = serde_json::from_str(got.stdout.lines().last().unwrap()).unwrap();
    let items = last["done"][0]["left_out"].as_array().unwrap().clone();
    let reasons: Vec<_> =
        items.iter().map(|item| (item["path"].as_str().unwrap(), item["reason"].as_str().unwrap())).collect();
    let expected = [
        ("bad\\xff", "name"),
        ("outside", "outside"),
        ("outside too", "outside"),
        ("pipe", "special"),
        ("socket", "special"),
        ("to bad", "name"),
    ];
    assert_eq!(reasons, expected);
}

/// Writes to a file every few milliseconds until it is dropped.
struct Writer(Option<std::thread::JoinHandle<()>>, Arc<AtomicBool>);

impl Writer {
    fn of(
        open: &fs::OpenOptions,
        path: &Path,
        write: impl Fn(&mut fs::File, u64) + Send + 'static,
    ) -> Writer {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let mut file = open.open(path).expect("a file to write to");
        let run = move || {
            for round in (0..).take_while(|_| !stopped.load(Ordering::Relaxed)) {
                write(&mut file, round);
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        Writer(Some(std::thread::spawn(run)), stop)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.1.store(true, Ordering::Relaxed);
        self.0.take().expect("a thread").join().expect("a writer");
    }
}

#[test]
fn a_file_that_only_grows_is_fetched_as_far_as_it_was_read() {
    let mut sample = Sample::empty();
    sample.add("t/a", b"a".to_vec());
    let path = sample.add("t/log", support::pattern(200_000, 7));
    let tracker = Daemon::tracker(&[]);
    let peer = Daemon::peer(sample.path(), &["--tracker", &tracker.target()]);
    let log = Writer::of(fs::OpenOptions::new().append(true), &path, |file, _| {
        file.write_all(b"one more line\n").expect("a line");
    });
    let dest = TempDir::new().unwrap();
    eventually("it has grown", || (fs::metadata(&path).unwrap().len() > 201_000).then_some(()));
    for number in 0..3 {
        let dest = dest.path().join(number.to_string());
        eventually("it is fetched", || settled(get(&tracker, "t/", &dest, &[])));
        let (copy, all) = (fs::read(dest.join("log")).unwrap(), fs::read(&path).unwrap());
        assert!(copy.len() >= 200_000 && all.starts_with(&copy), "{} bytes", copy.len());
    }
    drop(log);
    // At rest, it is shared as it is.
    let all = fs::read(&path).unwrap();
    eventually("all of it is shared", || {
        let dest = dest.path().join("all");
        let _ = fs::remove_dir_all(&dest);
        settled(get(&tracker, "t/", &dest, &[]))?;
        (fs::read(dest.join("log")).unwrap() == all).then_some(())
    });
    // Who has fetched it is told; that a file grows is no trouble to anybody.
    let log = peer.log();
    let said: Vec<_> = log.lines().filter(|line| !line.contains(" has all of t/")).collect();
    assert!(said.is_empty(), "{said:?}");
}

/// True of a fetch that came to its end. One that met the folder just as its sharer read the file again is told
/// that it has changed, or is not there, and the same command is to be given again.
fn settled(out: Output) -> Option<()> {
    const NOT_FOUND: i32 = 3;
    const CHANGED: i32 = 4;
    match out.code() {
        NOT_FOUND | CHANGED => None,
        _ => {
            out.expect(0);
            Some(())
        }
    }
}

#[test]
fn a_file_that_grew_and_changed_is_never_served_as_what_it_was() {
    let mut sample = Sample::empty();
    let path = sample.add("big", support::pattern(300_000, 7));
    let tracker = Daemon::tracker(&[]);
    let _peer = Daemon::peer(sample.path(), &["--tracker", &tracker.target()]);
    // In place and longer: nothing but the bytes tells that it is no log.
    let other = support::pattern(400_000, 9);
    fs::OpenOptions::new().write(true).open(&path).unwrap().write_all(&other).unwrap();
    let dest = TempDir::new().unwrap();
    let copy = dest.path().join("big");
    let out = eventually("the new one is shared", || {
        let got = get(&tracker, "big", &copy, &["--json", "--force"]);
        (fs::read(&copy).ok()? == other).then_some(got)
    });
    assert!(!out.stdout.contains("\"corrupt\":1"), "{}", out.stdout);
}

#[test]
#[ignore = "half a minute; cargo test --test copies -- --ignored never_rests"]
fn a_file_that_never_rests_is_named_by_both_sides_and_nothing_else_is_kept_back() {
    let mut sample = Sample::empty();
    sample.add("t/a", b"a".to_vec());
    let path = sample.add("t/table", support::pattern(3_000_000, 7));
    let writer = Writer::of(fs::OpenOptions::new().write(true), &path, |file, round| {
        let place = round * 7_919 % 3_000_000;
        file.write_all_at(&round.to_le_bytes(), place).expect("other bytes");
    });
    let tracker = Daemon::tracker(&[]);
    let peer = Daemon::peer(sample.path(), &["--tracker", &tracker.target()]);
    peer.wait_for_log("left out: t/table is still changing");
    let dest = TempDir::new().unwrap();
    let dest = dest.path().join("t");
    let out = get(&tracker, "t/", &dest, &[]).expect(6);
    assert!(out.stderr.contains("left out: table is still changing"), "{}", out.stderr);
    assert_eq!(fs::read(dest.join("a")).unwrap(), b"a");
    drop(writer);
    eventually("at rest, it is shared", || {
        let got = get(&tracker, "t/", &dest, &[]);
        (got.code() == 0).then(|| assert_eq!(fs::read(dest.join("table")).unwrap(), fs::read(&path).unwrap()))
    });
    assert_eq!(peer.log().matches("still changing").count(), 1, "{}", peer.log());
}

/// Mode and time of a file.
fn looks(path: &Path) -> (u32, i64, i64) {
    let metadata = fs::metadata(path).expect("a file");
    (metadata.mode() & 0o7777, metadata.mtime(), metadata.mtime_nsec())
}

#[test]
fn a_single_file_keeps_its_mode_and_time_from_copy_to_copy() {
    const TIME: (i64, i64) = (1_000_000_000, 123_456_789);
    /// Name, bytes, mode at the source, mode of a copy.
    const FILES: [(&str, usize, u32, u32); 4] = [
        ("script", 10, 0o755, 0o755),
        ("private", 200_000, 0o600, 0o600),
        ("set-id", 70_000, 0o6755, 0o755),
        ("open", 1, 0o666, 0o666),
    ];
    let mut sample = Sample::empty();
    for (name, size, mode, _) in FILES {
        let path = sample.add(name, support::pattern(size, 3));
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let time = UNIX_EPOCH + Duration::new(TIME.0 as u64, TIME.1 as u32);
        fs::File::open(&path).unwrap().set_modified(time).unwrap();
    }
    let tracker = Daemon::tracker(&[]);
    let common = ["--tracker", &tracker.target()];
    let first = Daemon::peer(sample.path(), &common);
    let (middle, last) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let second = Daemon::peer(middle.path(), &common);
    for (name, _, _, mode) in FILES {
        get(&tracker, name, middle.path(), &[]).expect(0);
        assert_eq!(looks(&middle.path().join(name)), (mode, TIME.0, TIME.1), "{name}");
        // What is in the folder already is copied there as it is.
        let again = format!("{name} again");
        get(&tracker, name, &middle.path().join(&again), &[]).expect(0);
        assert_eq!(looks(&middle.path().join(&again)), (mode, TIME.0, TIME.1), "{again}");
    }
    first.stop();
    for (name, _, _, mode) in FILES {
        get(&tracker, name, last.path(), &[]).expect(0);
        assert_eq!(looks(&last.path().join(name)), (mode, TIME.0, TIME.1), "{name}");
        // What is there and right stays as its user has it.
        fs::set_permissions(last.path().join(name), Permissions::from_mode(0o640)).unwrap();
        get(&tracker, name, last.path(), &[]).expect(0);
        assert_eq!(looks(&last.path().join(name)), (0o640, TIME.0, TIME.1), "{name}");
    }
    second.stop();
}

/// Anybody can call any bytes a folder.
#[track_caller]
fn expect_refused(listing: &[u8], why: &str) {
    let mut sample = Sample::empty();
    sample.add("listing", listing.to_vec());
    let tracker = Daemon::tracker(&[]);
    let _peer = Daemon::peer(sample.path(), &["--tracker", &tracker.target()]);
    let dest = TempDir::new().unwrap();
    let link = format!("p2p:{}?name=t/", blake3::hash(listing).to_hex());
    let got = get(&tracker, &link, dest.path(), &[]).expect(5);
    assert!(got.stderr.contains(why), "{}", got.stderr);
    let made = fs::read_dir(dest.path()).unwrap().flatten();
    let made: Vec<_> = made.flat_map(|entry| fs::read_dir(entry.path()).unwrap().flatten()).collect();
    assert!(made.iter().all(|entry| entry.file_name() == ".p2p"), "{made:?}");
}

fn put(out: &mut Vec<u8>, kind: u8, path: &str, rest: &[u8]) {
    out.push(kind);
    out.extend((path.len() as u16).to_be_bytes());
    out.extend(path.as_bytes());
    out.extend(rest);
}

const FOLDER: [u8; 10] = [1, 0o355, 0, 0, 0, 0, 0, 0, 0, 0];

#[test]
fn a_small_listing_makes_no_mountain_of_folders() {
    let mut listing = b"p2ptree2\x01\xed".to_vec();
    for number in 0..100 {
        put(&mut listing, 1, &format!("{number:03}/{}", ["a"; 2040].join("/")), &FOLDER);
    }
    assert!(listing.len() < 420_000);
    expect_refused(&listing, "the listing is refused");
}

#[test]
fn no_link_in_a_listing_leads_out() {
    for target in ["../x", "/etc/passwd", "a/../../x", ""] {
        let mut listing = b"p2ptree2\x01\xed".to_vec();
        let target = [&(target.len() as u16).to_be_bytes(), target.as_bytes()].concat();
        put(&mut listing, 2, "link", &target);
        expect_refused(&listing, "leads out of the folder");
    }
}
