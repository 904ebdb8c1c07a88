//! `cargo bench --bench sim`: how close swarms of many sizes come to the fluid bound, in virtual time.
//!
//! `cargo bench --bench sim -- NAME…` runs only the rows whose names contain one of these words;
//! `P2P_SEED` sets the seed of all rows, `--curve` also prints how much was kept in each twentieth of T*.

use std::time::{Duration, Instant};

use p2p::sim::{Fate, Link, Manner, Outcome, Scenario};

const MIB: u64 = 1 << 20;

fn rows(seed: u64) -> Vec<(String, Scenario)> {
    let link = Link::mbit(100.0);
    let mut rows: Vec<(String, Scenario)> = [1, 4, 8, 16, 32, 100]
        .map(|count| (format!("N={count} 64MiB"), Scenario::even(count, 64 * MIB, link, seed)))
        .into();
    rows.extend(
        [1, 4, 8, 16, 32, 100, 1000]
            .map(|count| (format!("N={count} 256MiB"), Scenario::even(count, 256 * MIB, link, seed))),
    );
    rows.extend(
        [16, 100].map(|count| (format!("slow-half N={count}"), slow_half(count, 64 * MIB, link, seed))),
    );
    rows.extend([16, 100].map(|count| (format!("joins N={count}"), joins(count, 64 * MIB, link, seed))));
    rows.extend([16, 100].map(|count| (format!("killed N={count}"), killed(count, 64 * MIB, link, seed))));
    rows.extend([8, 100].map(|count| {
        let scenario = Scenario::even(count, 64 * MIB, link, seed);
        (format!("seeder-killed N={count}"), Scenario { seeder_killed_after: Some(1.1), ..scenario })
    }));
    rows.extend([16].map(|count| (format!("liars N={count}"), liars(count, 64 * MIB, link, seed))));
    rows.push(("N=10000 64MiB".to_owned(), Scenario::even(10_000, 64 * MIB, link, seed)));
    rows
}

/// Every second one has a quarter of the upload rate.
fn slow_half(count: usize, size: u64, link: Link, seed: u64) -> Scenario {
    let mut scenario = Scenario::even(count, size, link, seed);
    let slow = Link { up: link.up / 4.0, ..link };
    scenario.fetchers.iter_mut().step_by(2).for_each(|fetcher| fetcher.link = slow);
    scenario
}

/// They come one by one over T*.
fn joins(count: usize, size: u64, link: Link, seed: u64) -> Scenario {
    let mut scenario = Scenario::even(count, size, link, seed);
    let pause = scenario.bound() / count as u32;
    scenario.fetchers.iter_mut().zip(0..).for_each(|(fetcher, number)| fetcher.joins += pause * number);
    scenario
}

/// 30 % are killed half way.
fn killed(count: usize, size: u64, link: Link, seed: u64) -> Scenario {
    let mut scenario = Scenario::even(count, size, link, seed);
    let half = scenario.bound() / 2;
    let doomed = count * 3 / 10;
    scenario.fetchers[..doomed].iter_mut().for_each(|fetcher| fetcher.ends = Some((half, Fate::Killed)));
    scenario
}

/// A quarter lies in one way or another.
fn liars(count: usize, size: u64, link: Link, seed: u64) -> Scenario {
    let mut scenario = Scenario::even(count, size, link, seed);
    let manners = [Manner::Corrupts(0.3), Manner::Boasts, Manner::Silent];
    scenario
        .fetchers
        .iter_mut()
        .step_by(4)
        .zip(manners.iter().cycle())
        .for_each(|(fetcher, manner)| fetcher.manner = *manner);
    scenario
}

fn line(name: &str, outcome: &Outcome, took: Duration) {
    let mut times: Vec<f64> = outcome.times.iter().map(Duration::as_secs_f64).collect();
    times.sort_by(f64::total_cmp);
    let mean = times.iter().sum::<f64>() / times.len().max(1) as f64;
    println!(
        "{name:<22} {:>7.2} {:>7.2} {mean:>7.2} {:>7.2} {:>6.3} {:>6.3} {:>7.3} {:>6.2}% {:>6.2}% {:>6.2}% {:>5.1}% {:>5.1}% {:>6} {:>8.1} {:>7.1}",
        outcome.bound.as_secs_f64(),
        times.first().copied().unwrap_or(f64::NAN),
        outcome.last.as_secs_f64(),
        outcome.eta(),
        outcome.eta_each(),
        outcome.seeder_copies,
        100.0 * outcome.duplicate as f64 / outcome.useful as f64,
        100.0 * outcome.rejected as f64 / outcome.useful as f64,
        100.0 * outcome.overhead as f64 / outcome.useful as f64,
        100.0 * outcome.idle,
        100.0 * outcome.seeder_idle,
        outcome.most_askers,
        outcome.happenings as f64 / 1e6,
        took.as_secs_f64(),
    );
}

fn main() {
    let seed = std::env::var("P2P_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&String> = args.iter().filter(|arg| !arg.starts_with("--")).collect();
    let curve = args.iter().any(|arg| arg == "--curve");
    println!("seed {seed}; links of 100 Mbit/s, headers included: η can be 0.956 at most");
    println!(
        "{:<22} {:>7} {:>7} {:>7} {:>7} {:>6} {:>6} {:>7} {:>7} {:>7} {:>7} {:>6} {:>6} {:>6} {:>8} {:>7}",
        "",
        "T*",
        "first",
        "mean",
        "last",
        "η",
        "η each",
        "copies",
        "twice",
        "wrong",
        "other",
        "idle",
        "s.idle",
        "askers",
        "Mevents",
        "wall s"
    );
    for (name, scenario) in rows(seed) {
        if !words.is_empty() && !words.iter().any(|word| name.contains(word.as_str())) {
            continue;
        }
        let start = Instant::now();
        match scenario.run() {
            Ok(outcome) => {
                line(&name, &outcome, start.elapsed());
                if curve {
                    let parts: Vec<String> = outcome.curve.iter().map(|part| format!("{part:.2}")).collect();
                    println!("    {}", parts.join(" "));
                }
            }
            Err(breach) => println!("{name:<22} {breach}"),
        }
    }
}
