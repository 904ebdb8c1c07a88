//! Versions: a new version of a name is had by everybody, whoever has copies of the old one; and it goes over what
//! was fetched before, never over what a user changed.

mod support;
#[path = "versions/trash.rs"]
mod trash;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use serde_json::Value;
use support::{Daemon, Output, Sample, eventually, pattern, run};
use tempfile::TempDir;

const OTHER: i32 = 1;
const USAGE: i32 = 2;
const NOT_FOUND: i32 = 3;

/// A tracker, and alice, who makes `models/`.
struct Swarm {
    tracker: Daemon,
    _alice: Daemon,
    made: Sample,
    place: TempDir,
}

impl Swarm {
    #[track_caller]
    fn new(files: &[(&str, Vec<u8>)]) -> Swarm {
        let tracker = Daemon::tracker(&[]);
        let mut made = Sample::empty();
        files.iter().for_each(|(name, content)| drop(made.add(&format!("models/{name}"), content.clone())));
        let alice = peer(&tracker, made.path(), "alice");
        let swarm =
            Swarm { tracker, _alice: alice, made, place: TempDir::new().expect("a temporary folder") };
        eventually("alice is known", || (swarm.ask(&["find", "models/"]).code() == 0).then_some(()));
        swarm
    }

    #[track_caller]
    fn ask(&self, args: &[&str]) -> Output {
        run(&[args, &["--tracker", &self.tracker.target(), "--wait", "10s"]].concat())
    }

    /// `get` into this swarm's place, or a path below it.
    #[track_caller]
    fn get(&self, what: &str, to: &str, args: &[&str]) -> Output {
        let place = self.place.path().join(to);
        self.ask(&[&["get", what, place.to_str().expect("a UTF-8 path")], args].concat())
    }

    #[track_caller]
    fn found(&self, what: &str) -> Vec<Value> {
        let output = self.ask(&["find", what, "--json"]).expect(0);
        output.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Changes what alice has and waits until the tracker knows. Gives the new id.
    #[track_caller]
    fn publish(&self, change: impl FnOnce(&Path)) -> String {
        let before = self.found("models/")[0]["id"].clone();
        let models = self.made.path().join("models");
        change(&models);
        let bytes = bytes_in(&models);
        eventually("the new version is known", || {
            let now = self.ask(&["find", "models/", "--json"]).stdout;
            let now: Value = serde_json::from_str(now.lines().next()?).ok()?;
            let whole = now["holders"].as_array()?.iter().any(|holder| holder["name"] == "alice");
            // Not while a part of it is still being looked at.
            (now["id"] != before && whole && now["size"] == bytes)
                .then(|| now["id"].as_str().unwrap_or_default().to_owned())
        })
    }

    fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.place.path().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn write(&self, path: &str, content: &str) {
        fs::write(self.place.path().join(path), content).expect("a file");
    }

    fn exists(&self, path: &str) -> bool {
        self.place.path().join(path).exists()
    }
}

/// The sizes of all files below a folder, each once however many names it has.
fn bytes_in(folder: &Path) -> u64 {
    let mut folders = vec![folder.to_owned()];
    let mut sizes = HashMap::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
            match entry.metadata().expect("what it is") {
                inner if inner.is_dir() => folders.push(entry.path()),
                file if file.is_file() => _ = sizes.insert(file.ino(), file.len()),
                _ => {}
            }
        }
    }
    sizes.values().sum()
}

#[track_caller]
fn peer(tracker: &Daemon, folder: &Path, name: &str) -> Daemon {
    Daemon::peer(folder, &["--tracker", &tracker.target(), "--name", name])
}

/// The holders of a variant that `name` is among, as it says of itself.
fn kind_of(found: &[Value], name: &str) -> Option<bool> {
    let holders = found.iter().flat_map(|variant| variant["holders"].as_array().into_iter().flatten());
    holders.filter(|holder| holder["name"] == name).find_map(|holder| holder["original"].as_bool())
}

#[test]
fn who_fetched_the_old_version_is_in_nobodys_way() {
    let (old, new) = (pattern(200_000, 1), pattern(210_000, 2));
    let swarm = Swarm::new(&[("m", old.clone()), ("sub/same", pattern(10, 3))]);
    let first = swarm.found("models/")[0]["id"].as_str().expect("an id").to_owned();
    let folder = TempDir::new().expect("a temporary folder");
    let bob = peer(&swarm.tracker, folder.path(), "bob");
    swarm.ask(&["get", "models/", folder.path().to_str().expect("UTF-8")]).expect(0);
    eventually("bob has copies", || {
        let kinds = ["models/", "models/m", "models/sub/"].map(|name| kind_of(&swarm.found(name), "bob"));
        (kinds == [Some(false); 3]).then_some(())
    });
    let second = swarm.publish(|models| fs::write(models.join("m"), &new).expect("a new version"));
    let found = swarm.found("models/");
    assert_eq!((found.len(), found[0]["id"].as_str()), (1, Some(&*second)));
    swarm.get("models/", "m", &[]).expect(0);
    assert!(swarm.read("m/m") == new);
    swarm.get(&first, "old", &[]).expect(0);
    assert!(swarm.read("old/m") == old, "the old one is still had by its id");

    // What is a copy stays one when the peer starts again.
    bob.stop().expect(0);
    let _bob = peer(&swarm.tracker, folder.path(), "bob");
    eventually("bob is back", || (kind_of(&swarm.found(&first), "bob") == Some(false)).then_some(()));
    assert_eq!(swarm.found("models/").len(), 1);

    // Until its user changes it: then it is a version of his own.
    fs::write(folder.path().join("models/m"), "bob's").expect("a file");
    eventually("there are two originals", || (swarm.found("models/").len() == 2).then_some(()));
    assert!(swarm.found("models/").iter().all(|variant| variant["original"] == true));
    swarm.get("models/", "m2", &[]).expect(USAGE);
}

#[test]
fn a_newer_version_goes_over_the_older_and_over_nothing_else() {
    let swarm = Swarm::new(&[("a", pattern(200_000, 1)), ("b", pattern(10, 2)), ("gone", pattern(10, 3))]);
    swarm.get("models/", "m", &[]).expect(0);
    swarm.get("models/", "m", &[]).expect(0);
    assert!(!swarm.exists("m/models"), "the same words mean the same place");
    swarm.write("m/mine", "mine");
    let newer = |models: &Path| {
        fs::write(models.join("a"), pattern(200_000, 9)).expect("a newer file");
        fs::remove_file(models.join("gone")).expect("the file goes");
    };
    swarm.publish(newer);
    let said = swarm.get("models/", "m", &[]).expect(0).stdout;
    assert!(said.contains("left alone: 2 files that this version does not have (gone, mine)"), "{said}");
    assert!(swarm.read("m/a") == pattern(200_000, 9));
    assert_eq!(swarm.read("m/mine"), b"mine");

    swarm.write("m/a", "changed");
    swarm.write("m/b", "changed, too");
    swarm.publish(|models| fs::write(models.join("a"), "the third").expect("a newer file"));
    let failure = swarm.get("models/", "m", &[]).expect(OTHER).stderr;
    assert!(failure.contains("a, b exists and is different"), "{failure}");
    assert_eq!((swarm.read("m/a"), swarm.read("m/b")), (b"changed".to_vec(), b"changed, too".to_vec()));
    swarm.get("models/", "m", &["--force"]).expect(0);
    assert_eq!(swarm.read("m/a"), b"the third");
}

#[test]
fn what_an_older_version_has_in_place_is_not_fetched_again() {
    // 64 KiB each: ten chunks, three, and one.
    const CHUNK: usize = 64 << 10;
    let (long, middle) = (pattern(10 * CHUNK - 7, 1), pattern(3 * CHUNK, 2));
    let swarm = Swarm::new(&[("long", long.clone()), ("middle", middle.clone()), ("short", pattern(9, 3))]);
    let fetched = |place: &str, args: &[&str]| {
        let said = swarm.get("models/", place, &[args, &["--json"]].concat()).expect(0).stdout;
        let last: Value = serde_json::from_str(said.lines().last().expect("a line")).expect("JSON");
        last["done"][0]["status"]["ledger"]["useful"].as_u64().expect("a number")
    };
    assert_eq!(fetched("m", &[]), (13 * CHUNK + 2) as u64);
    let mut newer = long.clone();
    newer[5 * CHUNK] ^= 1;
    newer.extend_from_slice(b"and more at the end");
    let mut shorter = middle;
    shorter.truncate(2 * CHUNK + 1);
    swarm.publish(|models| {
        fs::write(models.join("long"), &newer).expect("a newer file");
        fs::write(models.join("middle"), &shorter).expect("a shorter file");
    });
    // The chunk that differs and the last one; of the shorter file all is there.
    let differs = (CHUNK + (newer.len() - 9 * CHUNK)) as u64;
    assert_eq!(fetched("m", &[]), differs);
    assert!(swarm.read("m/long") == newer && swarm.read("m/middle") == shorter);

    // What its user changed is no worse as a beginning, once it is to be replaced.
    let mut changed = newer.clone();
    changed[3 * CHUNK + 5] ^= 1;
    fs::write(swarm.place.path().join("m/long"), &changed).expect("a changed file");
    assert_eq!(fetched("m", &["--force"]), CHUNK as u64);
    assert!(swarm.read("m/long") == newer);
}

#[test]
fn links_of_an_older_version_give_way_and_those_of_its_user_do_not() {
    let swarm = Swarm::new(&[("one", pattern(10, 1)), ("two", pattern(20, 2)), ("swap", pattern(30, 3))]);
    swarm.publish(|models| {
        symlink("one", models.join("latest")).expect("a link");
        symlink("one", models.join("becomes-a-file")).expect("a link");
        fs::hard_link(models.join("one"), models.join("also-one")).expect("a link");
        // What is known by its bytes is waited for.
        fs::write(models.join("two"), pattern(21, 2)).expect("a file");
    });
    swarm.get("models/", "m", &[]).expect(0);
    swarm.get("models/", "changed", &[]).expect(0);
    let changed = swarm.place.path().join("changed/latest");
    fs::remove_file(&changed).expect("a link");
    symlink("swap", &changed).expect("a link");
    swarm.write("changed/two", "what its user wrote");

    swarm.publish(|models| {
        fs::remove_file(models.join("latest")).expect("a link");
        symlink("two", models.join("latest")).expect("a link");
        fs::remove_file(models.join("becomes-a-file")).expect("a link");
        fs::write(models.join("becomes-a-file"), b"a file").expect("a file");
        fs::remove_file(models.join("swap")).expect("a file");
        symlink("two", models.join("swap")).expect("a link");
        fs::write(models.join("one"), pattern(11, 1)).expect("a file of two names");
        fs::write(models.join("two"), pattern(22, 2)).expect("a file");
    });
    swarm.get("models/", "m", &[]).expect(0);
    let target = |path: &str| fs::read_link(swarm.place.path().join(path)).expect("a link");
    assert_eq!((target("m/latest"), target("m/swap")), ("two".into(), "two".into()));
    assert_eq!(swarm.read("m/becomes-a-file"), b"a file");
    assert_eq!((swarm.read("m/one"), swarm.read("m/also-one")), (pattern(11, 1), pattern(11, 1)));
    let inode = |path: &str| fs::metadata(swarm.place.path().join(path)).expect("a file").ino();
    assert_eq!(inode("m/one"), inode("m/also-one"));
    swarm.get("models/", "m", &[]).expect(0);

    let refused = swarm.get("models/", "changed", &[]).expect(OTHER);
    assert!(refused.stderr.contains("latest, two exists and is different"), "{refused:?}");
    assert_eq!(target("changed/latest"), Path::new("swap"));
}

#[test]
fn what_turned_into_a_folder_gives_way_unless_its_user_changed_it() {
    let swarm =
        Swarm::new(&[("f", pattern(10, 1)), ("g", pattern(20, 2)), ("x", pattern(30, 3)), ("y/z", vec![7])]);
    swarm.publish(|models| {
        symlink("y", models.join("link")).expect("a link");
        fs::write(models.join("g"), pattern(21, 2)).expect("a file");
    });
    for place in ["m", "changed", "killed"] {
        swarm.get("models/", place, &[]).expect(0);
    }
    swarm.write("changed/f", "what its user wrote");
    swarm.write("changed/g", "this, too");
    swarm.publish(|models| {
        for turned in ["f", "g", "link"] {
            fs::remove_file(models.join(turned)).expect("it goes");
            fs::create_dir_all(models.join(turned).join("d")).expect("a folder");
            fs::write(models.join(turned).join("d/in"), turned).expect("a file");
            fs::write(models.join(turned).join("empty"), "").expect("a file");
        }
        symlink("empty", models.join("f/link")).expect("a link");
        fs::set_permissions(models.join("x"), fs::Permissions::from_mode(0o600)).expect("a mode");
    });
    let mode = |path: &str| {
        fs::metadata(swarm.place.path().join(path)).expect("a file").permissions().mode() & 0o777
    };
    let before = (mode("changed/x"), all_in(&swarm.place.path().join("changed")));
    for args in [&[][..], &["--force"]] {
        let refused = swarm.get("models/", "changed", args).expect(OTHER).stderr;
        assert!(refused.contains("f, g is not a folder, or is a symbolic link"), "{refused}");
    }
    assert_eq!((mode("changed/x"), all_in(&swarm.place.path().join("changed"))), before, "nothing changed");
    assert_eq!(swarm.read("changed/f"), b"what its user wrote");

    let whole = |place: &str| {
        for turned in ["f", "g", "link"] {
            assert_eq!(swarm.read(&format!("{place}/{turned}/d/in")), turned.as_bytes());
        }
        assert_eq!((mode(&format!("{place}/x")), swarm.exists(&format!("{place}/f/link"))), (0o600, true));
        assert_eq!(swarm.read(&format!("{place}/y/z")), [7], "nothing goes through a link");
        assert!(!swarm.exists(&format!("{place}/y/d")));
        let record = fs::read_to_string(swarm.place.path().join(place).join(".p2p/got")).expect("a record");
        assert!(!record.contains(r#""path":"f","#) && !record.contains(r#""path":"link","#), "{record}");
    };
    swarm.get("models/", "m", &[]).expect(0);
    whole("m");
    swarm.get("models/", "m", &["--delete"]).expect(0);
    whole("m");
    assert!(trash_of(&swarm.place.path().join("m")).is_empty());

    // As after a kill when some of it had given way.
    fs::remove_file(swarm.place.path().join("killed/f")).expect("the file goes");
    fs::create_dir(swarm.place.path().join("killed/f")).expect("a folder");
    swarm.get("models/", "killed", &[]).expect(0);
    whole("killed");
}

#[test]
fn a_folder_that_turned_into_a_file_goes_to_the_trash_if_asked_and_if_all_in_it_is_old() {
    let swarm = Swarm::new(&[("d/e/in", pattern(10, 1)), ("l/in", pattern(20, 2)), ("x", pattern(30, 3))]);
    let place = swarm.place.path().to_owned();
    for place in ["m", "changed", "added", "killed"] {
        swarm.get("models/", place, &[]).expect(0);
    }
    swarm.write("changed/d/e/in", "what its user wrote");
    swarm.write("added/l/mine", "mine");
    swarm.publish(|models| {
        for turned in ["d", "l"] {
            fs::remove_dir_all(models.join(turned)).expect("the folder goes");
        }
        fs::write(models.join("d"), pattern(200_000, 4)).expect("a file");
        symlink("x", models.join("l")).expect("a link");
        fs::set_permissions(models.join("x"), fs::Permissions::from_mode(0o600)).expect("a mode");
    });
    let refused = |to: &str, args: &[&str], why: &str| {
        let mode = || fs::metadata(place.join(to).join("x")).expect("a file").permissions().mode();
        let before = (mode(), all_in(&place.join(to)));
        let said = swarm.get("models/", to, args).expect(OTHER).stderr;
        assert!(said.contains(why), "{said}");
        assert_eq!((mode(), all_in(&place.join(to))), before, "nothing changed");
    };
    let hint = "d, l is a folder of an older version; `--delete` moves it to the trash";
    refused("m", &[], hint);
    refused("m", &["--force"], hint);
    refused("changed", &["--delete"], "d is a folder; only files and links are ever replaced");
    refused("added", &["--delete", "--force"], "l is a folder; only files and links are ever replaced");

    // As after a kill when some of it had gone.
    fs::remove_dir_all(place.join("killed/d/e")).expect("the folder goes");
    for (to, trash) in [("m", &["d/", "d/e/", "d/e/in", "l/", "l/in"][..]), ("killed", &["l/", "l/in"])] {
        let said = swarm.get("models/", to, &["--delete"]).expect(0).stdout;
        assert!(said.contains("trash"), "{said}");
        assert_eq!(trash_of(&place.join(to)), trash);
        assert_eq!(all_in(&place.join(to)), ["d", "l", "x"]);
        assert!(swarm.read(&format!("{to}/d")) == pattern(200_000, 4));
        assert_eq!(swarm.read(&format!("{to}/l")), pattern(30, 3));
        swarm.get("models/", to, &["--delete"]).expect(0);
        let record = fs::read_to_string(place.join(to).join(".p2p/got")).expect("a record");
        assert!(
            !record.contains("d/e") && !record.contains("l/in") && !record.contains("folder"),
            "{record}"
        );
    }
}

#[test]
fn a_newer_file_goes_over_the_older_unless_it_was_changed() {
    let swarm = Swarm::new(&[("a", pattern(200_000, 1))]);
    let change = |content: Vec<u8>| {
        swarm.publish(move |models| fs::write(models.join("a"), content).expect("a newer file"));
        eventually("the file is known", || (swarm.found("models/a").len() == 1).then_some(()));
    };
    swarm.get("models/a", "", &[]).expect(0);
    change(pattern(90_000, 2));
    swarm.get("models/a", "", &[]).expect(0);
    assert!(swarm.read("a") == pattern(90_000, 2));
    let link = format!("p2p:{}?name=a", blake3::hash(b"third"));
    swarm.write("a", "mine");
    change(b"third".to_vec());
    swarm.get("models/a", "", &[]).expect(OTHER);
    assert_eq!(swarm.read("a"), b"mine");
    fs::remove_file(swarm.place.path().join("a")).expect("the file goes");
    swarm.get("models/a", "", &[]).expect(0);
    change(b"fourth".to_vec());
    swarm.get("models/a", "", &[]).expect(0);
    fs::write(swarm.made.path().join("models/b"), "third").expect("a file");
    eventually("its old content is had again", || (swarm.ask(&["find", &link]).code() == 0).then_some(()));
    swarm.get(&link, "", &[]).expect(OTHER);
    assert_eq!(swarm.read("a"), b"fourth", "what a link calls so does not take its place");
}

#[test]
fn what_its_user_put_there_stays_an_original_when_it_is_fetched() {
    let content = pattern(200_000, 1);
    let swarm = Swarm::new(&[("a", content.clone()), ("b", pattern(10, 2))]);
    fs::create_dir(swarm.place.path().join("models")).expect("a folder");
    fs::write(swarm.place.path().join("models/a"), content).expect("bob's own file");
    swarm.get("models/", "", &[]).expect(0);
    let _bob = peer(&swarm.tracker, swarm.place.path(), "bob");
    eventually("bob has one original and one copy", || {
        let kinds = ["models/a", "models/b"].map(|name| kind_of(&swarm.found(name), "bob"));
        (kinds == [Some(true), Some(false)]).then_some(())
    });
}

/// Everything below a folder but its `.p2p`, sorted.
fn all_in(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, within: &str, all: &mut Vec<String>) {
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
            let name = entry.file_name().into_string().expect("UTF-8");
            let is_folder = entry.file_type().expect("a type").is_dir();
            if name != ".p2p" {
                all.push(format!("{within}{name}{}", if is_folder { "/" } else { "" }));
                if is_folder {
                    walk(&entry.path(), &format!("{within}{name}/"), all);
                }
            }
        }
    }
    let mut all = Vec::new();
    walk(folder, "", &mut all);
    all.sort();
    all
}

/// What went to the trash of a folder, in all its runs.
fn trash_of(folder: &Path) -> Vec<String> {
    let runs = fs::read_dir(folder.join(".p2p/trash")).into_iter().flatten();
    runs.flat_map(|run| all_in(&run.expect("a run").path())).collect()
}
