//! What of all that is shared is meant: levels of `ls`, short ids, several WHATs and patterns, parts of folders.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{Daemon, Output, Sample, pattern, run};
use tempfile::TempDir;

/// A peer that shares a few files and folders, its tracker, and a place to fetch to.
struct Shop {
    sample: Sample,
    tracker: Daemon,
    _peer: Daemon,
    place: TempDir,
}

impl Shop {
    fn open() -> Shop {
        let mut sample = Sample::empty();
        for (name, len) in [
            ("a.iso", 300_000),
            ("notes.txt", 6),
            ("photos/2024/beach.jpg", 70_000),
            ("photos/2024/hills.jpg", 5),
            ("photos/cover.jpg", 9),
            ("photos/read me.txt", 3),
        ] {
            sample.add(name, pattern(len, len as u8));
        }
        let tracker = Daemon::tracker(&[]);
        let peer = Daemon::peer(sample.path(), &["--tracker", &tracker.target(), "--name", "seeder"]);
        Shop { sample, tracker, _peer: peer, place: TempDir::new().expect("a temporary folder") }
    }

    #[track_caller]
    fn ask(&self, args: &[&str]) -> Output {
        run(&[args, &["--tracker", &self.tracker.target()]].concat())
    }

    /// The names that `ls` shows.
    #[track_caller]
    fn names(&self, args: &[&str]) -> Vec<String> {
        let lines = self.ask(&[&["ls", "--json"], args].concat()).expect(0).stdout;
        let name = |line: &str| {
            serde_json::from_str::<Value>(line).expect("JSON")["name"].as_str().map(str::to_owned)
        };
        lines.lines().filter_map(name).collect()
    }

    /// `get` into this shop's place.
    #[track_caller]
    fn get(&self, whats: &[&str], options: &[&str]) -> Output {
        let place = format!("{}/", self.place.path().display());
        self.ask(&[&["get"], whats, &[&*place, "--wait", "10s"], options].concat())
    }

    fn at(&self, path: &str) -> PathBuf {
        self.place.path().join(path)
    }

    #[track_caller]
    fn expect(&self, path: &str, name: &str) {
        let files = self.sample.files();
        let content = &files.iter().find(|(shared, _)| shared == name).expect("a shared file").1;
        assert!(fs::read(self.at(path)).expect("a fetched file") == *content, "{path}");
    }

    fn id(&self, name: &str) -> String {
        let files = self.sample.files();
        let content = &files.iter().find(|(shared, _)| shared == name).expect("a shared file").1;
        blake3::hash(content).to_string()
    }
}

/// Everything below a folder but what p2p keeps there.
fn below(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(at).expect("a folder").flatten().filter(|entry| entry.file_name() != ".p2p")
        {
            let path = entry.path();
            match path.is_dir() {
                true => open.push(path),
                false => all.push(path.strip_prefix(folder).expect("below").display().to_string()),
            }
        }
    }
    all.sort();
    all
}

#[test]
fn ls_shows_a_level_and_everything_if_asked() {
    let shop = Shop::open();
    assert_eq!(shop.names(&[]), ["a.iso", "notes.txt", "photos/"]);
    let in_photos = ["photos/", "photos/2024/", "photos/cover.jpg", "photos/read me.txt"];
    assert_eq!(shop.names(&["photos/"]), in_photos);
    assert_eq!(shop.names(&["photos/", "-r"]).len(), 6);
    assert_eq!(shop.names(&["-r"]).len(), 8);
    assert_eq!(shop.names(&["*.jpg"]).len(), 3, "at any depth");
    let words = shop.ask(&["ls"]).expect(0);
    assert!(words.stdout.contains(&shop.id("a.iso")[..12]) && !words.stdout.contains(&shop.id("a.iso")));
    assert!(words.stderr.contains("p2p ls -r"), "{}", words.stderr);
    assert_eq!(shop.ask(&["ls", "-r"]).stderr, "");
}

#[test]
fn the_first_digits_of_an_id_are_enough() {
    let shop = Shop::open();
    let id = shop.id("notes.txt");
    for short in [&id[..12], &id[..8], &format!("id:{}", &id[..20])] {
        let found = shop.ask(&["find", short, "--json"]).expect(0).stdout;
        assert!(found.contains(&id), "{short}: {found}");
    }
    shop.get(&[&id[..12]], &[]).expect(0);
    shop.expect("notes.txt", "notes.txt");
    let nobody = shop.ask(&["find", "id:0000000000"]).expect(3).stderr;
    assert_eq!(nobody, "p2p: nobody shares anything whose id begins with 0000000000\n");
    shop.ask(&["find", "0123456789abcdef", "--wait", "0"]).expect(3);
}

#[test]
fn a_name_that_looks_like_the_beginning_of_an_id_is_that_name() {
    let mut sample = Sample::empty();
    let id = blake3::hash(b"one").to_string();
    sample.add("one", b"one".to_vec());
    sample.add(&id[..10], b"two".to_vec());
    let tracker = Daemon::tracker(&[]);
    let _peer = Daemon::peer(sample.path(), &["--tracker", &tracker.target()]);
    let find = |what: &str| run(&["find", what, "--json", "--tracker", &tracker.target()]).expect(0).stdout;
    assert!(find(&id[..10]).contains(&blake3::hash(b"two").to_string()));
    assert!(find(&format!("id:{}", &id[..10])).contains(&id));
}

#[test]
fn several_things_go_into_one_folder() {
    let shop = Shop::open();
    let said = shop.get(&["photos/*.jpg", "photos/2024/", "notes.txt", "notes.txt"], &[]).expect(0).stdout;
    assert_eq!(said.lines().filter(|line| line.starts_with("got ")).count(), 3, "{said}");
    assert_eq!(below(shop.place.path()), ["2024/beach.jpg", "2024/hills.jpg", "cover.jpg", "notes.txt"]);
    shop.expect("2024/beach.jpg", "photos/2024/beach.jpg");
    let json = shop.get(&["photos/*.jpg", "a.iso"], &["--json"]).expect(0).stdout;
    let last: Value = serde_json::from_str(json.lines().last().expect("a line")).expect("JSON");
    assert_eq!(last["done"].as_array().map(Vec::len), Some(2));
}

#[test]
fn before_anything_is_fetched_all_of_it_is_found_and_has_a_place() {
    let shop = Shop::open();
    let failure = shop.get(&["notes.txt", "nothing"], &[]).expect(3).stderr;
    assert!(failure.contains("nobody shares nothing"), "{failure}");
    let failure = shop.get(&["*.doc"], &[]).expect(3).stderr;
    assert!(failure.contains("nobody shares anything that matches *.doc"), "{failure}");
    let failure = shop.get(&["a.iso", &shop.id("a.iso")], &["--as", "x"]).expect(2).stderr;
    assert!(failure.contains("would both be"), "{failure}");
    let nowhere = shop.at("nowhere");
    let nowhere = nowhere.to_str().expect("a UTF-8 path");
    let failure = shop.ask(&["get", "a.iso", "notes.txt", nowhere]).expect(2).stderr;
    assert!(failure.contains("is no folder, and 2 contents are to go there"), "{failure}");
    assert!(below(shop.place.path()).is_empty());
}

#[test]
fn a_part_of_a_folder_is_what_is_left_of_it() {
    let shop = Shop::open();
    let would =
        shop.get(&["photos/"], &["--include", "*.jpg", "--exclude", "/cover*", "-n"]).expect(0).stdout;
    let lines: Vec<&str> = would.lines().collect();
    assert_eq!(lines.len(), 2, "{would}");
    assert!(lines[1].starts_with("would get photos/2024/hills.jpg, 5 B: "), "{would}");
    assert!(below(shop.place.path()).is_empty());
    let said = shop.get(&["photos/"], &["--include", "*.jpg", "--exclude", "/cover*"]).expect(0);
    assert!(said.stdout.starts_with("got photos/, 68.4 KiB from 1 peer"), "{}", said.stdout);
    assert_eq!(below(shop.place.path()), ["photos/2024/beach.jpg", "photos/2024/hills.jpg"]);
    shop.expect("photos/2024/beach.jpg", "photos/2024/beach.jpg");
    let failure = shop.get(&["photos/"], &["--include", "*.doc"]).expect(3).stderr;
    assert!(failure.contains("nothing in photos/"), "{failure}");
    // Another part goes to the same place, in one transfer, and then the rest.
    let json =
        shop.get(&["photos/"], &["--include", "/cover*", "--include", "*.txt", "--json"]).expect(0).stdout;
    let done = &serde_json::from_str::<Value>(json.lines().last().expect("a line")).expect("JSON")["done"];
    assert_eq!((done.as_array().map(Vec::len), &done[0]["status"]["bytes_total"]), (Some(1), &12.into()));
    assert_eq!(done[0]["left_alone"].as_array().map(Vec::len), Some(0), "of the other part nothing is said");
    shop.get(&["photos/"], &[]).expect(0);
    assert_eq!(below(shop.place.path()).len(), 4);
}

#[test]
fn a_part_goes_by_the_running_peer_too() {
    let shop = Shop::open();
    let _peer = Daemon::peer(shop.place.path(), &["--tracker", &shop.tracker.target()]);
    shop.get(&["photos/"], &["--exclude", "*.txt"]).expect(0);
    assert_eq!(below(shop.place.path()).len(), 3);
    shop.expect("photos/cover.jpg", "photos/cover.jpg");
}

#[test]
fn what_would_be_fetched_is_said_and_not_done() {
    let shop = Shop::open();
    let would = shop.get(&["a.iso", "photos/"], &["--dry-run"]).expect(0).stdout;
    let iso = format!("would get a.iso, 293.0 KiB: {}", shop.at("a.iso").display());
    assert_eq!(would.lines().next(), Some(&*iso));
    let json = shop.get(&["a.iso"], &["--dry-run", "--json"]).expect(0).stdout;
    let plan: Value = serde_json::from_str(json.trim_end()).expect("JSON");
    assert_eq!((&plan["would"]["name"], &plan["would"]["size"]), (&"a.iso".into(), &300_000.into()));
    assert!(below(shop.place.path()).is_empty());
}

#[test]
fn a_file_goes_to_standard_output() {
    let shop = Shop::open();
    let output = shop.ask(&["get", "photos/read me.txt", "-"]).expect(0);
    assert_eq!(output.stdout.as_bytes(), pattern(3, 3));
    assert!(output.stderr.starts_with("got photos/read me.txt, 3 B"), "{}", output.stderr);
    assert_eq!(shop.ask(&["get", "notes.txt", "-", "-q"]).expect(0).stderr, "");
    let failure = shop.ask(&["get", "photos/", "-"]).expect(2).stderr;
    assert!(failure.contains("standard output takes a file"), "{failure}");
    shop.ask(&["get", "notes.txt", "-", "--json"]).expect(2);
}
