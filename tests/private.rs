//! What of a folder is shared: nothing hidden, no keys and no home folder unless it is said; not what patterns leave out.

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value;
use support::{Daemon, Sample, eventually, run, run_with};
use tempfile::TempDir;

fn sample(names: &[&str]) -> Sample {
    let mut sample = Sample::empty();
    names.iter().for_each(|name| drop(sample.add(name, name.as_bytes().to_vec())));
    sample
}

/// The names of the files that a peer of this folder shares.
#[track_caller]
fn shared(folder: &Path, args: &[&str]) -> (Vec<String>, Daemon) {
    let tracker = Daemon::tracker(&[]);
    let peer = Daemon::peer(folder, &[&["--tracker", &tracker.target()], args].concat());
    let lines = run(&["ls", "-r", "--json", "--tracker", &tracker.target()]).expect(0).stdout;
    let name =
        |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["name"].as_str().map(str::to_owned);
    (lines.lines().filter_map(name).filter(|name| !name.ends_with('/')).collect(), peer)
}

#[test]
fn what_is_hidden_or_a_key_is_shared_only_if_that_is_said() {
    let names = [".env", "a", "d/.git/config", "d/b", "id_ed25519", "tls/server.pem"];
    let sample = sample(&names);
    let (all, _peer) = shared(sample.path(), &["--all"]);
    assert_eq!(all, names);
    drop(_peer);
    let (some, peer) = shared(sample.path(), &[]);
    assert_eq!(some, ["a", "d/b"]);
    peer.wait_for_log(
        "not shared, for being hidden or named like a key: .env, d/.git, id_ed25519, tls/server.pem; --all",
    );
    // What comes later is not shared either.
    fs::write(sample.path().join(".later"), "x").expect("a file");
    fs::write(sample.path().join("later"), "x").expect("a file");
    eventually("it is noticed", || {
        let status = run(&["status", sample.path().to_str()?, "--json"]).stdout;
        (serde_json::from_str::<Value>(&status).ok()?["files"] == 3).then_some(())
    });
}

#[test]
fn patterns_say_what_else_is_not() {
    let sample = sample(&["a", "a.tmp", "build/x", "docs/build", "docs/a.tmp", "keep.tmp", ".env", "raw/b"]);
    fs::write(sample.path().join(".p2pignore"), "# made anew\n*.tmp\nbuild/\n!keep.tmp\n!.env\n")
        .expect("a file");
    let (names, _peer) = shared(sample.path(), &["--exclude", "/raw/"]);
    assert_eq!(names, [".env", "a", "docs/build", "keep.tmp"]);
}

#[test]
fn a_link_shows_nothing_that_is_not_shared() {
    let sample = sample(&[".secret/password", "a"]);
    symlink(".secret", sample.path().join("open")).expect("a link");
    symlink(".secret/password", sample.path().join("word")).expect("a link");
    let (names, peer) = shared(sample.path(), &[]);
    assert_eq!(names, ["a"]);
    peer.wait_for_log("2 things are left out");
}

#[test]
fn a_home_folder_is_not_shared_by_a_slip() {
    let home = TempDir::new().expect("a temporary folder");
    fs::create_dir(home.path().join("photos")).expect("a folder");
    let folder = home.path().to_str().expect("UTF-8");
    for command in [&["peer", folder][..], &["peer", "/"], &["share", folder], &["create", folder]] {
        let failure = run_with(command, |command| {
            command.env("HOME", home.path());
        });
        let failure = failure.expect(2).stderr;
        assert!(failure.contains("is your home folder, or has it in it"), "{failure}");
    }
    let photos = home.path().join("photos");
    let args = ["peer", photos.to_str().expect("UTF-8"), "--listen", "127.0.0.1:0"];
    let peer = Daemon::start_with(&args, |command| {
        command.env("HOME", home.path());
    });
    peer.stop().expect(0);
}

#[test]
fn what_was_fetched_is_shared_on_whatever_it_is_called() {
    let alice = sample(&["t/.hidden/x", "t/a", "t/my.key"]);
    let tracker = Daemon::tracker(&[]);
    let target = tracker.target();
    let _alice = Daemon::peer(alice.path(), &["--tracker", &target, "--all", "--name", "alice"]);
    let bob = TempDir::new().expect("a temporary folder");
    let _bob = Daemon::peer(bob.path(), &["--tracker", &target, "--name", "bob"]);
    let place = bob.path().to_str().expect("UTF-8");
    run(&["get", "t/", place, "--tracker", &target]).expect(0);
    let holders = || {
        let found = run(&["find", "t/", "--json", "--tracker", &target]).expect(0).stdout;
        let found: Value = serde_json::from_str(found.lines().next()?).ok()?;
        Some((found["holders"].as_array()?.len(), found["seeders"].as_u64()?))
    };
    fs::write(bob.path().join("mine"), "x").expect("a file");
    eventually("the share has looked, and bob still has the whole folder", || {
        let status = run(&["status", place, "--json"]).stdout;
        let files = serde_json::from_str::<Value>(&status).ok()?["files"].as_u64()?;
        (files == 4 && holders()? == (2, 2)).then_some(())
    });
}

#[test]
fn links_without_end_are_named_and_not_followed() {
    let folder = TempDir::new().expect("a temporary folder");
    for level in 0..24 {
        let at = folder.path().join(format!("{level:02}"));
        fs::create_dir(&at).expect("a folder");
        for link in ["a", "b"] {
            symlink(format!("../{:02}", level + 1), at.join(link)).expect("a link");
        }
    }
    fs::create_dir(folder.path().join("24")).expect("a folder");
    fs::write(folder.path().join("24/end"), "x").expect("a file");
    let tracker = Daemon::tracker(&[]);
    let peer = Daemon::peer(folder.path(), &["--tracker", &tracker.target()]);
    peer.wait_for_log("links lead from folder to folder without end");
    let place = TempDir::new().expect("a temporary folder");
    let to = place.path().to_str().expect("UTF-8");
    run(&["get", "23/", to, "--tracker", &tracker.target()]).expect(0);
    // The link leads out of this folder, and is what it leads to.
    assert_eq!(fs::read(place.path().join("23/a/end")).expect("a file"), b"x");
}
