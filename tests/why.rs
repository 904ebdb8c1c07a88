//! `p2p why`: each source of a transfer, what it would cost, and why it was asked or not.

mod support;

use serde_json::Value;
use support::{Daemon, Sample, eventually, pattern, run};
use tempfile::TempDir;

#[test]
fn tells_of_each_source_why_it_was_used_or_not() {
    let mut folders = [Sample::empty(), Sample::empty(), Sample::empty()];
    folders.iter_mut().for_each(|folder| _ = folder.add("file", pattern(64 << 10, 3)));
    let place = TempDir::new().unwrap();
    let latencies = place.path().join("latencies.toml");
    std::fs::write(&latencies, "pairs = [[\"far\", \"me\", 900], [\"me\", \"near\", 200]]").unwrap();
    let tracker = Daemon::tracker(&[]);
    let at = tracker.target();
    let shared = ["--tracker", &at, "--latency-file", latencies.to_str().unwrap(), "--name"];
    let start = |name, folder: &Sample, more: &[&str]| {
        Daemon::peer(folder.path(), &[&shared[..], &[name], more].concat())
    };
    let _peers = [
        start("far", &folders[0], &[]),
        start("near", &folders[1], &["--up", "300KB/s"]),
        start("liar", &folders[2], &["--fault", "lie"]),
    ];
    let mine = TempDir::new().unwrap();
    let _me = Daemon::peer(mine.path(), &[&shared[..], &["me"]].concat());
    eventually("all are registered", || {
        let found = run(&["find", "file", "--tracker", &at, "--json"]);
        found.stdout.contains("\"seeders\":3").then_some(())
    });
    let folder = mine.path().to_str().unwrap();
    let early = run(&["why", folder]).expect(3);
    assert!(early.stderr.contains("has not fetched anything"), "{}", early.stderr);
    run(&["get", "file", folder, "--tracker", &at]).expect(0);
    let told: Value = serde_json::from_str(&run(&["why", folder, "--json"]).expect(0).stdout).unwrap();
    assert_eq!((&told["name"], &told["state"]), (&"file".into(), &"done".into()));
    let source = |name: &str| {
        let sources = told["sources"].as_array().unwrap();
        sources.iter().find(|source| source["name"] == name).cloned().unwrap_or_default()
    };
    assert_eq!((&source("near")["reason"], &source("near")["chunks"]), (&"delivered".into(), &1.into()));
    assert_eq!(source("near")["uploads"], 0, "{told}");
    assert_eq!(source("liar")["reason"], "nothing-wanted", "{told}");
    // The far one may not even have answered before all was over.
    assert!(["slower", "null"].contains(&source("far")["reason"].as_str().unwrap_or("null")), "{told}");
    let words = run(&["why", folder]).expect(0).stdout;
    let near = words.lines().find(|line| line.starts_with("near")).unwrap();
    assert!(near.ends_with("has delivered what it was asked for"), "{words}");
    let missing = run(&["why", &"0".repeat(64)]);
    assert!([3, 4].contains(&missing.code()), "{}", missing.stderr);
    assert!(words.starts_with("file: done\nSOURCE"), "{words}");
}

#[test]
fn a_running_transfer_tells_too_and_banned_ones_stay_listed() {
    let mut folders = [Sample::empty(), Sample::empty()];
    folders.iter_mut().for_each(|folder| _ = folder.add("file", pattern(64 << 16, 3)));
    let tracker = Daemon::tracker(&[]);
    let at = tracker.target();
    let shared = ["--tracker", &at, "--name"];
    let good = [&shared[..], &["good", "--up", "100KB/s"]].concat();
    let bad = [&shared[..], &["bad", "--fault", "corrupt=1"]].concat();
    let _peers = [Daemon::peer(folders[0].path(), &good), Daemon::peer(folders[1].path(), &bad)];
    let mine = TempDir::new().unwrap();
    let _me = Daemon::peer(mine.path(), &[&shared[..], &["me"]].concat());
    eventually("both are registered", || {
        let found = run(&["find", "file", "--tracker", &at, "--json"]);
        found.stdout.contains("\"seeders\":2").then_some(())
    });
    let folder = mine.path().to_str().unwrap();
    let _get = Daemon::underway(&["get", "file", folder, "--tracker", &at, "--json"], "progress");
    let words = eventually("the bad one is banned", || {
        let words = run(&["why", folder]).expect(0).stdout;
        words.contains("banned: ").then_some(words)
    });
    assert!(words.starts_with("file: fetching\nSOURCE"), "{words}");
    // A machine that stands still for a while makes it silent for that while.
    eventually("the good one is the cheapest", || {
        let words = run(&["why", folder]).expect(0).stdout;
        words.lines().any(|line| line.starts_with("good") && line.ends_with("cheapest")).then_some(())
    });
}
