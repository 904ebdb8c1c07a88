//! What a cluster with many versions on record costs: how soon it is there again, its disk, its memory. Measured by command, in
//! release:
//!
//! `cargo test --release --test histories -- --ignored --nocapture many_versions`; `P2P_CLUSTER_VERSIONS` says how many.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use p2p::content::{FileId, PeerId};
use p2p::net::secure::{Expected, Keyring};
use p2p::net::{self, Identity, Messages, trace::Side};
use p2p::wire::{
    ClientId, FromTracker, Label, Name, Policy, Publish, Remove, Resolve, Role, ToTracker, Version,
};

use super::storm::told;
use super::trackers::Trackers;
use crate::support::eventually;

/// Versions on record, and of each name.
const VERSIONS: u64 = 100_000;
const OF_A_NAME: u64 = 100;
/// Clients that make them.
const CLIENTS: u64 = 50;
/// All of them answer so soon after they were started.
const READY: Duration = Duration::from_secs(2);
/// Most bytes of disk and memory that a version costs, and what a tracker costs without any: the log of an epoch, and what allocators keep.
const DISK_EACH: u64 = 600;
const MEMORY_EACH: u64 = 3000;
const DISK: u64 = 36 << 20;
const MEMORY: u64 = 200 << 20;

type Link = Messages<FromTracker, ToTracker>;

fn link(address: &str) -> Option<Link> {
    let me = Identity::new(Keyring::none(), PeerId::random(), "asks".into(), 0);
    let stream = net::dial(address).ok()?;
    let session =
        net::greet(stream, (&me, Role::Member), Expected::Anybody, Side::Tracker, net::HELLO_TIMEOUT);
    Some(Messages::new(session.ok()?, Side::Tracker))
}

fn name_of(version: u64) -> Name {
    Name::new(format!("a name as people give them {}", version / OF_A_NAME))
}

/// Publishes what is not published yet, one after the other.
fn publish(address: &str, next: &AtomicU64, all: u64) {
    let mut link = link(address).expect("the tracker");
    let client = ClientId::random();
    for seq in 1.. {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= all {
            return;
        }
        let version = Version {
            number: 0,
            id: FileId::of(&number.to_be_bytes()),
            size: 8,
            total: 8,
            chunks: 1,
            policy: Policy::NONE,
            stamp_ms: 0,
            publisher: Label::new("somebody"),
        };
        let question = Publish { client, seq, name: name_of(number), version, expect: 0 };
        match link.call(&question.into()).expect("an answer") {
            FromTracker::Stored(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Bytes on the disk of all that is in a folder.
fn disk(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    entries.map(|entry| entry.metadata().map_or(0, |data| data.len())).sum()
}

/// What each tracker costs: its disk, its memory.
fn cost(trackers: &Trackers) -> (u64, u64) {
    let of = |which| {
        let memory = trackers.process(which).expect("it is up").proc_status("VmRSS") << 10;
        (disk(&trackers.data(which)), memory)
    };
    let costs: Vec<(u64, u64)> = (0..trackers.count()).map(of).collect();
    let most = |part: fn(&(u64, u64)) -> u64| costs.iter().map(part).max().unwrap_or(0);
    (most(|cost| cost.0), most(|cost| cost.1))
}

/// For how long each had a processor: what it needs whoever else needs one.
fn worked(trackers: &Trackers) -> Vec<Duration> {
    let of = |which| {
        let pid = trackers.process(which).expect("it is up").pid();
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("a process").flatten();
        let texts = tasks.filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok());
        let times = texts.filter_map(|text| text.split(' ').next()?.parse::<u64>().ok());
        Duration::from_nanos(times.sum())
    };
    (0..trackers.count()).map(of).collect()
}

#[test]
#[ignore = "measures; meant for a release build on a machine that has time"]
fn many_versions_are_there_again_at_once_and_cost_what_they_are() {
    let all = told("P2P_CLUSTER_VERSIONS").unwrap_or(VERSIONS);
    let mut trackers = Trackers::start(3);
    trackers.all_agree();
    let addresses: Vec<String> = (0..3).map(|which| trackers.address(which)).collect();
    let (begun, next) = (Instant::now(), AtomicU64::new(0));
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (address, next) = (&addresses[client as usize % 3], &next);
            scope.spawn(move || publish(address, next, all));
        }
    });
    eprintln!("{all} versions on record after {:?}", begun.elapsed());
    let (bytes, memory) = cost(&trackers);
    eprintln!("with {all}: {bytes} B of disk, {memory} B of memory");
    assert!(bytes <= DISK + all * DISK_EACH && memory <= MEMORY + all * MEMORY_EACH);
    (0..3).for_each(|which| trackers.kill(which));
    let begun = Instant::now();
    (0..3).for_each(|which| {
        trackers.bring_back(which);
        eprintln!("tracker {which} listens after {:?}", begun.elapsed());
    });
    for address in &addresses {
        let question = ToTracker::from(Resolve { name: name_of(all - 1), number: 0 });
        eventually("it answers", || match link(address)?.call(&question).ok()? {
            FromTracker::Resolved(resolved) => (resolved.versions.len() == 1).then_some(()),
            _ => None,
        });
        eprintln!("{address} answers after {:?}", begun.elapsed());
    }
    let ready = begun.elapsed();
    eprintln!(
        "killed and started, all three answer after {ready:?}; each has worked {:?}",
        worked(&trackers)
    );
    let (bytes_with, memory) = cost(&trackers);
    eprintln!("then: {bytes_with} B of disk, {memory} B of memory");
    let (mut link, client) = (link(&addresses[0]).expect("the tracker"), ClientId::random());
    for (seq, version) in (1..).zip((0..all).step_by(OF_A_NAME as usize)) {
        let question = Remove { client, seq, name: name_of(version), number: 0 };
        let answer = link.call(&question.into()).expect("an answer");
        assert!(matches!(answer, FromTracker::Removed(_)), "{answer:?}");
    }
    // It begins when a quarter is left, and what goes after that is less than is worth another.
    let small = || Some(cost(&trackers).0).filter(|bytes| *bytes < bytes_with / 3);
    let bytes = eventually("the next epoch begins without them", small);
    eprintln!("without any: {bytes} B of disk");
    assert!(ready <= READY, "{ready:?}");
}
