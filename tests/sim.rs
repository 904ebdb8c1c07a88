//! Swarms in virtual time: what must hold for every seed. A failure prints the seed; `P2P_SEED=n` runs
//! that one alone, `P2P_SEEDS=n` the first n.

use std::time::Duration;

use p2p::sim::{Breach, Fate, Fetcher, Link, Manner, Outcome, Scenario};

const MIB: u64 = 1 << 20;

/// The seeds to try: `P2P_SEED` alone, or the first few.
fn seeds(count: u64) -> Vec<u64> {
    let set = |name| std::env::var(name).ok().map(|value| value.parse().expect("a number"));
    match set("P2P_SEED") {
        Some(seed) => vec![seed],
        None => (1..=set("P2P_SEEDS").unwrap_or(count)).collect(),
    }
}

fn run(scenario: &Scenario) -> Outcome {
    let outcome = scenario.run().unwrap_or_else(|breach| panic!("{breach}"));
    let staying = |fetcher: &&Fetcher| fetcher.ends.is_none() && fetcher.manner == Manner::Honest;
    let staying = scenario.fetchers.iter().filter(staying).count();
    assert_eq!(outcome.times.len(), staying, "seed {}: chunks were lost to everyone", scenario.seed);
    outcome
}

/// Links of all kinds, and a swarm in which anything happens to anyone but the seeder.
fn chaos(seed: u64) -> Scenario {
    let mut rng = fastrand::Rng::with_seed(seed);
    let count = rng.usize(3..16);
    let mut scenario = Scenario::even(count, MIB * rng.u64(1..6), Link::mbit(100.0), seed);
    scenario.delay = Duration::from_micros(rng.u64(50..20_000));
    scenario.degree = rng.usize(2..9);
    scenario.max_askers = rng.usize(4..16);
    for fetcher in &mut scenario.fetchers {
        let mut mbit = || 125e3 * (10.0 + 190.0 * rng.f64());
        fetcher.link = Link { up: mbit(), down: mbit() };
        fetcher.joins = Duration::from_millis(rng.u64(..2000));
        let at = fetcher.joins + Duration::from_millis(rng.u64(..1500));
        match rng.u8(..12) {
            0 | 1 => fetcher.ends = Some((at, Fate::Killed)),
            2 => fetcher.ends = Some((at, Fate::Vanishes)),
            3 => fetcher.manner = Manner::Corrupts(0.5),
            4 => fetcher.manner = Manner::Boasts,
            5 => fetcher.manner = Manner::Silent,
            _ => {}
        }
    }
    scenario
}

#[test]
fn everyone_who_stays_has_everything_whatever_happens_to_others() {
    for seed in seeds(30) {
        run(&chaos(seed));
    }
}

#[test]
fn a_swarm_takes_hardly_longer_than_the_bound() {
    for seed in seeds(3) {
        let outcome = run(&Scenario::even(16, 12 * MIB, Link::mbit(100.0), seed));
        assert!(outcome.eta() >= 0.7, "seed {seed}: η is {:.3}", outcome.eta());
        assert!(outcome.seeder_copies <= 1.2, "seed {seed}: {:.3} copies", outcome.seeder_copies);
        assert!(outcome.waste() <= 0.02, "seed {seed}: {:.4} wasted", outcome.waste());
    }
}

#[test]
fn who_lies_or_is_silent_costs_the_others_little() {
    for seed in seeds(1) {
        let mut scenario = Scenario::even(16, 64 * MIB, Link::mbit(100.0), seed);
        let manners = [Manner::Corrupts(0.3), Manner::Boasts, Manner::Silent, Manner::Corrupts(0.3)];
        scenario.fetchers.iter_mut().step_by(4).zip(manners).for_each(|(fetcher, manner)| {
            fetcher.manner = manner;
        });
        let outcome = run(&scenario);
        assert!(outcome.eta() >= 0.8, "seed {seed}: η is {:.3}", outcome.eta());
    }
}

#[test]
fn a_seeder_may_go_when_a_little_more_than_one_copy_has_left_it() {
    for seed in seeds(5) {
        let scenario = Scenario::even(8, 8 * MIB, Link::mbit(100.0), seed);
        run(&Scenario { seeder_killed_after: Some(1.3), ..scenario });
    }
}

#[test]
fn who_comes_late_finds_those_who_are_there() {
    for seed in seeds(3) {
        let mut scenario = Scenario::even(24, 6 * MIB, Link::mbit(100.0), seed);
        scenario.degree = 6;
        let pause = scenario.bound() / 24;
        scenario.fetchers.iter_mut().zip(0..).for_each(|(fetcher, nth)| fetcher.joins = pause * nth);
        let outcome = run(&scenario);
        assert!(outcome.eta_each() >= 0.4, "seed {seed}: η is {:.3}", outcome.eta_each());
    }
}

#[test]
fn a_seed_gives_the_same_run_again() {
    let digest = |seed| run(&chaos(seed)).digest;
    assert_eq!(digest(3), digest(3));
    assert_ne!(digest(3), digest(4));
}

#[test]
fn a_breach_tells_its_seed() {
    let mut scenario = Scenario::even(2, MIB, Link::mbit(100.0), 77);
    scenario.deadline = Duration::from_millis(50);
    let breach = scenario.run().unwrap_err();
    assert!(matches!(breach, Breach::Unfinished { seed: 77, unfinished: 2, .. }));
    assert!(breach.to_string().contains("seed 77"));
}
