//! Trackers that come back: what they know of who has what is not all for a moment, and clients are not told that it is.

use std::time::{Duration, Instant};

use p2p::content::PeerId;
use p2p::net::secure::{Expected, Keyring};
use p2p::net::{self, Identity, Messages, trace::Side};
use p2p::wire::{FromTracker, GetStatus, Role, Status, ToTracker};
use rustix::process::Signal;
use tempfile::TempDir;

use super::trackers::Trackers;
use crate::support::{Daemon, Output, Sample, command, eventually, pattern};

const NOT_FOUND: i32 = 3;
const UNREACHABLE: i32 = 4;
/// What who has asked a tracker that has just come back is told.
const YOUNG: &str = "may not have heard of all peers yet";
/// Within so long all peers are known again to trackers that were all killed.
const WHOLE_AGAIN: Duration = Duration::from_secs(5);
/// Peers of that, and files of each.
const PEERS: usize = 12;
const FILES: usize = 100;

/// A command of somebody who remembers what he was told, and does not wait.
fn ask(home: &TempDir, args: &[&str], tracker: &str) -> Output {
    let wait = if args[0] == "load" { &[][..] } else { &["--wait", "0"] };
    let args = [args, wait, &["--tracker", tracker]].concat();
    let output = command(&args, home.path()).output().expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Output { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// How the tracker at this address is; nothing if it is not there.
fn status(address: &str) -> Option<Status> {
    let me = Identity::new(Keyring::none(), PeerId::random(), "asks".into(), 0);
    let stream = net::dial(address).ok()?;
    let session =
        net::greet(stream, (&me, Role::Member), Expected::Anybody, Side::Tracker, net::HELLO_TIMEOUT);
    let mut link = Messages::<FromTracker, ToTracker>::new(session.ok()?, Side::Tracker);
    match link.call(&GetStatus {}.into()).ok()? {
        FromTracker::Status(status) => Some(status),
        other => panic!("{other:?}"),
    }
}

/// What each peer shares.
fn files() -> Sample {
    let mut sample = Sample::empty();
    for number in 0..FILES {
        sample.add(&format!("file{number}"), pattern(100, number as u8));
    }
    sample
}

#[test]
fn what_a_tracker_that_has_just_come_back_does_not_find_may_be_there() {
    let home = TempDir::new().expect("a temporary folder");
    let mut trackers = Trackers::start(1);
    let at = trackers.address(0);
    ask(&home, &["find", "nothing"], &at).expect(NOT_FOUND);
    assert!(!ask(&home, &["ls"], &at).expect(0).stderr.contains(YOUNG), "nobody can come back");
    let questions: [(&[&str], i32); 5] = [
        (&["find", "nothing"], UNREACHABLE),
        (&["find", "*.iso"], UNREACHABLE),
        (&["find", "id:0123456789"], UNREACHABLE),
        (&["load", "nobody"], UNREACHABLE),
        (&["ls"], 0),
    ];
    for (question, code) in questions {
        // Again, should it take longer to ask than the tracker gives its peers.
        eventually("it is said that there may be more", || {
            trackers.kill(0);
            trackers.bring_back(0);
            let output = ask(&home, question, &at);
            (output.code() == code && output.stderr.contains(YOUNG)).then_some(())
        });
    }
    eventually("they have had their time", || {
        (ask(&home, &["find", "nothing"], &at).code() == NOT_FOUND).then_some(())
    });
}

#[test]
fn in_place_of_one_that_has_just_come_back_another_of_its_cluster_is_asked() {
    let home = TempDir::new().expect("a temporary folder");
    let mut trackers = Trackers::start(3);
    trackers.all_agree();
    let all: Vec<String> = (0..3).map(|which| trackers.address(which)).collect();
    let mut sample = Sample::empty();
    sample.add("file", pattern(1000, 1));
    let peer = Daemon::peer(sample.path(), &["--tracker", &all.join(",")]);
    let has = |at: &str| ask(&home, &["find", "file"], at).code() == 0;
    eventually("another has it where one has just come back", || {
        peer.signal(Signal::CONT);
        eventually("all know the peer", || all.iter().all(|at| has(at)).then_some(()));
        peer.signal(Signal::STOP);
        trackers.kill(1);
        trackers.bring_back(1);
        let listed = ask(&home, &["ls"], &all[1]);
        let found = has(&all[1]);
        let still = status(&all[1]).is_some_and(|status| status.settling_ms > 0);
        let told = listed.stdout.contains("file") && !listed.stderr.contains(YOUNG);
        (found && told && still).then_some(())
    });
    peer.signal(Signal::CONT);
}

#[test]
fn trackers_that_were_all_killed_know_all_peers_again_within_five_seconds() {
    let mut trackers = Trackers::start(3);
    trackers.all_agree();
    let all: Vec<String> = (0..3).map(|which| trackers.address(which)).collect();
    let samples: Vec<Sample> = (0..PEERS).map(|_| files()).collect();
    let known = all.join(",");
    let _peers: Vec<Daemon> =
        samples.iter().map(|sample| Daemon::peer(sample.path(), &["--tracker", &known])).collect();
    let whole = |at: &String| {
        status(at).is_some_and(|status| (status.peers as usize, status.names as usize) == (PEERS, FILES))
    };
    let all_whole = || eventually("all peers are known", || all.iter().all(whole).then_some(()));
    all_whole();
    (0..3).for_each(|which| trackers.kill(which));
    (0..3).for_each(|which| trackers.bring_back(which));
    let begun = Instant::now();
    all_whole();
    let took = begun.elapsed();
    eprintln!("three trackers knew {PEERS} peers with {FILES} files each after {took:?}");
    assert!(took <= WHOLE_AGAIN, "{took:?}");
}
