//! Where a peer lives: a folder that is copied with its state is another peer, one that is moved is the same.

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::{Daemon, Sample, eventually, pattern, run};
use tempfile::TempDir;

/// The ids of the peers that the tracker knows, by name.
#[track_caller]
fn peers(tracker: &Daemon) -> Vec<(String, String)> {
    let status = run(&["status", "--json", "--tracker", &tracker.target()]).expect(0).stdout;
    let status: Value = serde_json::from_str(&status).expect("JSON");
    let text = |peer: &Value, key: &str| peer[key].as_str().expect("a text").to_owned();
    let peers = status["peers"].as_array().expect("a list");
    let mut peers: Vec<_> = peers.iter().map(|peer| (text(peer, "name"), text(peer, "peer"))).collect();
    peers.sort();
    peers
}

#[track_caller]
fn wait_for_peers(tracker: &Daemon, names: &[&str]) -> Vec<String> {
    eventually("so many peers", || {
        let peers = peers(tracker);
        let same = peers.iter().map(|(name, _)| name).eq(names);
        same.then(|| peers.into_iter().map(|(_, id)| id).collect())
    })
}

#[track_caller]
fn peer(tracker: &Daemon, folder: &Path, name: &str) -> Daemon {
    Daemon::peer(folder, &["--tracker", &tracker.target(), "--name", name])
}

#[test]
fn a_copied_folder_is_another_peer_and_a_moved_one_the_same() {
    let tracker = Daemon::tracker(&[]);
    let mut sample = Sample::empty();
    sample.add("file", pattern(200_000, 1));
    let elsewhere = TempDir::new().expect("a temporary folder");
    let (copy, moved) = (elsewhere.path().join("copy"), elsewhere.path().join("moved"));

    let first = peer(&tracker, sample.path(), "first");
    let id = wait_for_peers(&tracker, &["first"]).remove(0);
    let copied = Command::new("cp").args(["-a"]).arg(sample.path()).arg(&copy).status().expect("cp");
    assert!(copied.success());
    let second = peer(&tracker, &copy, "second");
    second.wait_for_log("was copied from another folder's; this peer gets an id of its own");
    let both = wait_for_peers(&tracker, &["first", "second"]);
    assert_eq!(both[0], id);
    assert_ne!(both[1], id);
    assert!(!first.log().contains("copied"), "{}", first.log());

    // Both go on sharing; the copy has looked at its own files.
    let found = run(&["find", "file", "--json", "--tracker", &tracker.target()]).expect(0).stdout;
    let found: Value = serde_json::from_str(found.lines().next().expect("a line")).expect("JSON");
    assert_eq!(found["seeders"], 2, "{found}");
    first.stop().expect(0);
    second.stop().expect(0);

    fs::rename(&copy, &moved).expect("on one file system");
    let third = peer(&tracker, &moved, "third");
    assert_eq!(wait_for_peers(&tracker, &["third"]), [both[1].clone()]);
    assert!(!third.log().contains("copied"), "{}", third.log());
}
