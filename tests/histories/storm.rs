//! Clients publish, remove and list while trackers are killed, hang, are stopped and come back: from a seed, with real
//! processes. What the clients heard could have been said by one tracker that never fails, and nothing acknowledged is
//! missing.
//!
//! With machines of their own (network namespaces, which need root) they are cut off from each other, too, in one direction or both.
//!
//! `P2P_CHAOS_SEED` chooses the storm, `P2P_CHAOS_SECONDS` how long it goes on; `cargo test --test histories -- --ignored
//! --nocapture` goes on for an hour from new seeds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::clients::Clients;
use super::trackers::{Ground, Trackers};
use crate::namespaces::{Lab, obstacle};
use crate::support::eventually;

/// How long a storm goes on among other tests.
const AMONG_OTHERS: Duration = Duration::from_secs(20);
/// How long one with cuts does by its own command.
const APART: Duration = Duration::from_secs(120);
/// How long all do by their own command.
const ALONE: Duration = Duration::from_secs(3600);
/// Names, of which each has a history of its own.
const NAMES: usize = 10;
/// Clients at a time.
const CLIENTS: usize = 4;
/// Commands that get an answer between two troubles, beside those that were under way.
const BETWEEN: usize = 8;

/// Ends the clients, also where the test fails.
pub(crate) struct Over<'a>(pub(crate) &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A storm over these trackers.
fn rage(mut trackers: Trackers, seed: u64, time: Duration) {
    let count = trackers.count();
    eprintln!("P2P_CHAOS_SEED={seed}, {count} trackers");
    let mut rng = Rng::with_seed(seed);
    trackers.all_agree();
    let clients = Clients::new((0..count).map(|which| trackers.address(which)).collect(), NAMES);
    thread::scope(|scope| {
        let _over = Over(&clients.over);
        for _ in 0..CLIENTS {
            let (clients, seed) = (&clients, rng.u64(..));
            scope.spawn(move || clients.run(seed));
        }
        let begun = Instant::now();
        while begun.elapsed() < time {
            some_are_answered(&clients);
            trouble(&mut trackers, &mut rng, &clients);
        }
    });
    trackers.all_agree();
    (0..count).for_each(|which| clients.read_all(which));
    (0..count).for_each(|which| trackers.kill(which));
    (0..count).for_each(|which| trackers.bring_back(which));
    clients.read_all(rng.usize(..count));
    let (asked, answered) = clients.history.counts();
    eprintln!("{asked} commands, {answered} answered");
    clients.history.check();
}

/// One tracker fails, commands are answered meanwhile if it is one of several, and it is back.
fn trouble(trackers: &mut Trackers, rng: &mut Rng, clients: &Clients) {
    // The one that leads, more often than not.
    let victim = if rng.u8(..10) < 6 { trackers.leader() } else { rng.usize(..trackers.count()) };
    match rng.u8(..if trackers.are_apart() { 8 } else { 4 }) {
        0 => trackers.stop(victim),
        1 => trackers.freeze(victim),
        2 | 3 => trackers.kill(victim),
        _ => cut(trackers, rng, victim),
    }
    if trackers.count() > 1 {
        some_are_answered(clients);
    }
    trackers.mend();
    trackers.bring_back(victim);
}

/// A minority with the victim in it is cut off from the others, and they from it, or not.
fn cut(trackers: &mut Trackers, rng: &mut Rng, victim: usize) {
    let count = trackers.count();
    let few = rng.usize(1..=(count - 1) / 2);
    let apart: Vec<usize> = (0..few).map(|next| (victim + next) % count).collect();
    let (there, back) = match rng.u8(..4) {
        0 => (true, false),
        1 => (false, true),
        _ => (true, true),
    };
    for inner in &apart {
        for outer in (0..count).filter(|outer| !apart.contains(outer)) {
            if there {
                trackers.cut(*inner, outer);
            }
            if back {
                trackers.cut(outer, *inner);
            }
        }
    }
}

/// Waits until commands have been answered that began now.
#[track_caller]
fn some_are_answered(clients: &Clients) {
    let (_, before) = clients.history.counts();
    let enough = before + CLIENTS + BETWEEN;
    eventually("commands are answered", || (clients.history.counts().1 >= enough).then_some(()));
}

/// What a variable of the environment says.
pub(crate) fn told<T: std::str::FromStr>(variable: &str) -> Option<T> {
    std::env::var(variable).ok()?.parse().ok()
}

fn among_others(count: usize) {
    let time = told("P2P_CHAOS_SECONDS").map_or(AMONG_OTHERS, Duration::from_secs);
    rage(Trackers::start(count), told("P2P_CHAOS_SEED").unwrap_or(1), time);
}

#[test]
fn one_tracker_that_dies_and_comes_back_says_what_one_that_never_fails_could() {
    among_others(1);
}

#[test]
fn three_trackers_of_which_each_may_die_say_what_one_that_never_fails_could() {
    among_others(3);
}

#[test]
#[ignore = "goes on for an hour"]
fn three_and_five_trackers_do_in_many_storms() {
    let time = told("P2P_CHAOS_SECONDS").map_or(ALONE, Duration::from_secs);
    let begun = Instant::now();
    while begun.elapsed() < time {
        rage(Trackers::start(3), fastrand::u64(..), AMONG_OTHERS);
        rage(Trackers::start(5), fastrand::u64(..), AMONG_OTHERS);
    }
}

#[test]
#[ignore = "makes network namespaces, as root"]
fn five_trackers_that_are_cut_off_from_each_other_say_what_one_that_never_fails_could() {
    if let Some(obstacle) = obstacle() {
        return eprintln!("SKIPPED: {obstacle}");
    }
    let time = told("P2P_CHAOS_SECONDS").map_or(APART, Duration::from_secs);
    let seed = told("P2P_CHAOS_SEED").unwrap_or_else(|| fastrand::u64(..));
    let lab = Lab::new();
    let host = |number: usize| {
        let address = format!("10.9.0.{number}");
        Ground::Host(lab.host(&format!("t{number}"), &[&format!("{address}/24")]), address)
    };
    let grounds = (1..=5).map(host).collect();
    // The clients' processes come from here.
    let clients = lab.host("clients", &["10.9.0.100/24"]);
    clients.inside(move || rage(Trackers::start_on(grounds), seed, time));
}
