//! Clients publish, remove and list while trackers are killed, hang, are stopped and come back: from a seed, with real
//! processes. What the clients heard could have been said by one tracker that never fails, and nothing acknowledged is
//! missing.
//!
//! `P2P_CHAOS_SEED` chooses the storm, `P2P_CHAOS_SECONDS` how long it goes on; `cargo test --test histories -- --ignored
//! --nocapture` goes on for an hour from new seeds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::clients::Clients;
use super::trackers::Trackers;
use crate::support::eventually;

/// How long a storm goes on among other tests.
const AMONG_OTHERS: Duration = Duration::from_secs(20);
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

/// A storm over so many trackers.
fn rage(count: usize, seed: u64, time: Duration) {
    eprintln!("P2P_CHAOS_SEED={seed}, {count} trackers");
    let mut rng = Rng::with_seed(seed);
    let mut trackers = Trackers::start(count);
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
    match rng.u8(..4) {
        0 => trackers.stop(victim),
        1 => trackers.freeze(victim),
        _ => trackers.kill(victim),
    }
    if trackers.count() > 1 {
        some_are_answered(clients);
    }
    trackers.bring_back(victim);
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
    rage(count, told("P2P_CHAOS_SEED").unwrap_or(1), time);
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
        rage(3, fastrand::u64(..), AMONG_OTHERS);
        rage(5, fastrand::u64(..), AMONG_OTHERS);
    }
}
