//! Rates that people set: nothing comes faster, nor twice, however many sources there are.

mod support;

use serde_json::Value;
use support::{Daemon, Sample, eventually, pattern, run};
use tempfile::TempDir;

/// How much of what comes may come twice: one part in so many.
const DUPLICATES: u64 = 50;
/// No more comes than was said, but for a moment's worth.
const TOO_FAST: f64 = 1.05;
/// Nor less, as far as a busy machine allows.
const TOO_SLOW: f64 = 0.7;

/// Peers that share the same file, and their tracker.
struct Swarm {
    tracker: Daemon,
    _peers: Vec<(Daemon, Sample)>,
    content: Vec<u8>,
}

impl Swarm {
    fn of(sources: usize, bytes: usize) -> Swarm {
        let (tracker, content) = (Daemon::tracker(&[]), pattern(bytes, 3));
        let at = tracker.target();
        let peer = |number: usize| {
            let mut folder = Sample::empty();
            folder.add("file", content.clone());
            let name = format!("source {number}");
            (Daemon::peer(folder.path(), &["--tracker", &at, "--name", &name]), folder)
        };
        let peers = (0..sources).map(peer).collect();
        eventually("all are registered", || {
            let found = run(&["find", "file", "--tracker", &at, "--json"]);
            found.stdout.contains(&format!("\"seeders\":{sources}")).then_some(())
        });
        Swarm { tracker, _peers: peers, content }
    }

    /// Fetches the file at a rate, in MB a second; what `get` says of the transfer.
    fn get(&self, rate: usize) -> Value {
        let dest = TempDir::new().expect("a temporary folder");
        let rate = format!("{rate}MB/s");
        let place = dest.path().to_str().expect("a UTF-8 path");
        let got =
            run(&["get", "file", place, "--down", &rate, "--json", "--tracker", &self.tracker.target()]);
        assert!(
            std::fs::read(dest.path().join("file")).expect("the file") == self.content,
            "the file differs"
        );
        let last: Value =
            serde_json::from_str(got.expect(0).stdout.lines().last().expect("a line")).expect("JSON");
        last["done"][0]["status"].clone()
    }
}

/// What came twice in parts of what was wanted, and the rate in parts of what was said.
fn measure(sources: usize, rate: usize, bytes: usize) -> (f64, f64) {
    let status = Swarm::of(sources, bytes).get(rate);
    let figure = |of: &Value| of.as_f64().expect("a number");
    let ledger = &status["ledger"];
    let twice = figure(&ledger["duplicate"]) / figure(&ledger["useful"]);
    let came = figure(&ledger["duplicate"]) + figure(&ledger["useful"]);
    let kept = came / figure(&status["seconds"]) / (rate * 1_000_000) as f64;
    let connected =
        status["sources"].as_array().expect("sources").iter().filter(|of| of["bytes"] != 0).count();
    println!(
        "{sources} sources ({connected} gave), {rate} MB/s: {twice:.4} came twice, {kept:.3} of the rate"
    );
    (twice, kept)
}

#[track_caller]
fn holds(sources: usize, rate: usize, bytes: usize) {
    let (twice, kept) = measure(sources, rate, bytes);
    assert!(twice <= 1.0 / DUPLICATES as f64, "{twice} came twice");
    assert!((TOO_SLOW..TOO_FAST).contains(&kept), "{kept} of the rate");
}

#[test]
fn a_limit_is_kept_with_two_sources_and_nothing_comes_twice() {
    holds(2, 5, 15_000_000);
}

#[test]
fn a_limit_is_kept_with_four_sources_and_nothing_comes_twice() {
    holds(4, 5, 15_000_000);
}

#[test]
#[ignore = "measures: cargo test --release --test rates -- --ignored --nocapture --test-threads 1"]
fn limits_are_kept_at_all_rates() {
    for rate in [5, 50, 500] {
        for sources in [2, 4] {
            measure(sources, rate, rate * 3_000_000);
        }
    }
}
