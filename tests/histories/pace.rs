//! How long clients wait when the tracker that leads is killed. Measured by command, in release:
//!
//! `cargo test --release --test histories -- --ignored --nocapture dead_leader`; `P2P_CLUSTER_KILLS` says how often.

use std::fs;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::clients::Clients;
use super::storm::{Over, told};
use super::trackers::Trackers;
use crate::support::{Daemon, command, eventually};

/// How often a leader is killed.
const KILLS: usize = 30;
/// Clients that change the records all the time.
const CLIENTS: usize = 8;
/// Writes go on so soon after a leader was killed, in 99 of 100 cases.
const WRITES_AGAIN: Duration = Duration::from_secs(2);
/// Lookups take no longer, in 99 of 100 cases, whoever is dead: they need no agreement.
const LOOKUP: Duration = Duration::from_millis(200);

#[test]
#[ignore = "measures; meant for a release build on a machine that has time"]
fn writes_go_on_soon_after_a_dead_leader_and_lookups_do_not_wait() {
    let kills = told("P2P_CLUSTER_KILLS").unwrap_or(KILLS);
    let mut trackers = Trackers::start(3);
    trackers.all_agree();
    let folder = TempDir::new().expect("a temporary folder");
    fs::write(folder.path().join("shared"), "something").expect("a file");
    let _peer = Daemon::peer(folder.path(), &["--tracker", &trackers.address(0)]);
    let addresses: Vec<String> = (0..3).map(|which| trackers.address(which)).collect();
    for address in &addresses {
        eventually("every tracker knows the peer", || finds(&folder, address).then_some(()));
    }
    let clients = Clients::new(addresses.clone(), CLIENTS);
    let (mut again, mut lookups) = (Vec::new(), Vec::new());
    thread::scope(|scope| {
        let _over = Over(&clients.over);
        for seed in 0..CLIENTS as u64 {
            let clients = &clients;
            scope.spawn(move || clients.run(seed));
        }
        let (over, folder) = (&clients.over, &folder);
        let looking = scope.spawn(move || {
            let mut all = Vec::new();
            for address in addresses.iter().cycle() {
                let begun = Instant::now();
                // One that has come back this moment has not heard of everybody yet, and says so as fast.
                if finds(folder, address) {
                    all.push(begun.elapsed());
                }
                if over.load(Ordering::Relaxed) {
                    return all;
                }
            }
            all
        });
        for _ in 0..kills {
            let leader = trackers.leader();
            let killed = clients.history.now();
            trackers.kill(leader);
            let since = || clients.history.write_acknowledged_since(killed);
            again.push(Duration::from_nanos(eventually("a write is acknowledged", since) - killed));
            trackers.bring_back(leader);
            trackers.all_agree();
        }
        clients.over.store(true, Ordering::Relaxed);
        lookups = looking.join().expect("lookups");
    });
    clients.history.check();
    let again = told_of("writes again", again);
    let lookup = told_of("lookup", lookups);
    assert!(again <= WRITES_AGAIN, "{again:?}");
    assert!(lookup <= LOOKUP, "{lookup:?}");
}

/// Says how long it took; the 99th percentile.
fn told_of(what: &str, mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    let at = |part: usize| all[(all.len() * part).div_ceil(100).max(1) - 1];
    eprintln!("{what}: p50 {:?}, p99 {:?}, most {:?}, of {}", at(50), at(99), at(100), all.len());
    at(99)
}

/// Whether what the peer shares is found.
fn finds(home: &TempDir, address: &str) -> bool {
    let args = ["find", "shared", "--json", "--wait", "0", "--tracker", address];
    command(&args, home.path()).output().expect("the binary runs").status.success()
}
