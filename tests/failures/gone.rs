//! Everybody who has it is gone, or nobody ever had it, or somebody has less than they said.

use std::fs;

use crate::lab::{DONE, Lab, NOT_FOUND, UNREACHABLE, one_file, outcome};
use crate::liar::{Liar, Lie};
use crate::support::{Daemon, Proxy, Sample, Way, eventually, pattern};

const BYTES: usize = 2 << 20;

/// One seeder behind a slow link, and a `get` that has had a part of the file.
struct Lone {
    lab: Lab,
    seeder: Daemon,
    link: Proxy,
    sample: Sample,
    content: Vec<u8>,
}

impl Lone {
    #[track_caller]
    fn new() -> Lone {
        let lab = Lab::new();
        let content = pattern(BYTES, 4);
        let sample = one_file("file", content.clone());
        let (seeder, link) = lab.peer_behind_proxy(&sample, "alice", &[]);
        link.set(|faults| faults.rate = Some(1 << 20));
        lab.wait_for_seeders("file", 1);
        Lone { lab, seeder, link, sample, content }
    }

    #[track_caller]
    fn begin(&self, wait: &str) -> Daemon {
        let fetch = self.lab.fetching("file", &["--wait", wait]);
        eventually("some of it is here", || (self.link.carried(Way::Out) > 500_000).then_some(()));
        fetch
    }
}

#[test]
fn a_get_waits_for_whom_it_names_and_goes_on_when_one_returns() {
    let Lone { lab, seeder, link: _link, sample, content } = {
        let lone = Lone::new();
        let fetch = lone.begin("50s");
        lone.seeder.signal(rustix::process::Signal::KILL);
        fetch.wait_for_log(
            "nobody who has what is missing of file can be reached; waiting for alice, --wait is 50s",
        );
        // It comes back elsewhere; no proxy before it.
        let back = lone.lab.peer(&lone.sample, "alice", &["--advertise", "127.0.0.1"]);
        let status = outcome(&fetch.wait().expect(DONE));
        assert_eq!(status["waiting_for"], serde_json::json!([]));
        drop(back);
        lone
    };
    lab.expect_file("file", &content);
    drop((seeder, sample));
}

#[test]
fn a_get_gives_up_after_its_wait_and_the_next_goes_on_with_what_is_proved() {
    let lone = Lone::new();
    let fetch = lone.begin("500ms");
    lone.seeder.signal(rustix::process::Signal::KILL);
    let failed = fetch.wait().expect(UNREACHABLE);
    assert!(failed.stderr.contains("nobody who has what is missing of file could be reached"), "{failed:?}");
    assert!(failed.stderr.contains("kept for next time"), "{failed:?}");
    assert!(!lone.lab.fetched("file").exists(), "nothing has the name before all is proved");
    let _back = lone.lab.peer(&lone.sample, "alice", &[]);
    lone.lab.wait_for_seeders("file", 1);
    let status = outcome(&lone.lab.get("file", &[]).expect(DONE));
    assert!(status["bytes_resumed"].as_u64() >= Some(200_000), "{status}");
    lone.lab.expect_file("file", &lone.content);
    assert!(!lone.lab.fetched(".p2p/partial").exists(), "nothing is left behind");
}

#[test]
fn what_nobody_ever_had_is_not_found_at_once_with_near_matches() {
    let lab = Lab::new();
    let sample = one_file("holiday.jpg", pattern(10, 1));
    let _peer = lab.peer(&sample, "peer", &[]);
    lab.wait_for_seeders("holiday.jpg", 1);
    let failure = lab.get("holidays.jpg", &["--wait", "0"]).expect(NOT_FOUND).stderr;
    assert!(failure.contains("nobody shares holidays.jpg; did you mean holiday.jpg?"), "{failure}");
}

#[test]
fn a_link_to_what_everybody_has_lost_is_waited_for() {
    let lab = Lab::new();
    let content = pattern(100_000, 8);
    let link = format!("p2p:{}?name=file", blake3::hash(&content));
    lab.get(&link, &["--wait", "300ms"]).expect(UNREACHABLE);
    let fetch = lab.fetching(&link, &["--wait", "50s"]);
    fetch.wait_for_log("nobody who has file is there; waiting, --wait is 50s");
    let sample = one_file("file", content.clone());
    let _peer = lab.peer(&sample, "peer", &[]);
    fetch.wait().expect(DONE);
    lab.expect_file("file", &content);
}

/// How many chunks of the content the tracker believes a peer of this name to have.
fn believed(lab: &Lab, what: &str, name: &str) -> Option<u64> {
    let found = lab.ask(&["find", what, "--json", "--wait", "0"]);
    let line: serde_json::Value = serde_json::from_str(found.stdout.lines().next()?).ok()?;
    line["holders"].as_array()?.iter().find(|holder| holder["name"] == name)?["have"].as_u64()
}

#[test]
fn a_chunk_that_a_peer_lacks_is_refused_and_taken_elsewhere_and_hearsay_changes_nothing() {
    let lab = Lab::new();
    let content = pattern(500_000, 3);
    let sample = one_file("file", content.clone());
    let (_honest, link) = lab.peer_behind_proxy(&sample, "honest", &[]);
    link.set(|faults| faults.rate = Some(300_000));
    let liar = Liar::start(&lab, "file", content.clone(), Lie::Lacks(vec![5]));
    lab.wait_for_seeders("file", 2);
    let chunks = 8;
    assert_eq!(believed(&lab, "file", "liar"), Some(chunks));
    let status = outcome(&lab.get("file", &[]).expect(DONE));
    lab.expect_file("file", &content);
    // Who has what is what each peer says of itself.
    assert_eq!(believed(&lab, "file", "liar"), Some(chunks));
    drop(liar);
    assert_eq!(status["ledger"]["rejected"], 0, "{status}");
}

#[test]
fn a_file_that_shrinks_under_its_sharer_is_withdrawn_and_taken_elsewhere() {
    let lone = Lone::new();
    let fetch = lone.begin("30s");
    let other = one_file("copy", lone.content.clone());
    let _other = lone.lab.peer(&other, "other", &[]);
    let file = fs::File::options().write(true).open(lone.sample.path().join("file")).expect("the file");
    file.set_len(100_000).expect("a shorter file");
    fetch.wait().expect(DONE);
    lone.lab.expect_file("file", &lone.content);
    let id = blake3::hash(&lone.content).to_string();
    eventually("the tracker knows who has it still", || (lone.lab.seeders(&id) == 1).then_some(()));
    let short = blake3::hash(&lone.content[..100_000]).to_string();
    eventually("what it has become is shared", || (lone.lab.seeders(&short) == 1).then_some(()));
}
