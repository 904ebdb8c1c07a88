//! `cargo bench --bench sim`: how close swarms of many sizes come to the fluid bound, in virtual time.
//!
//! `-- --help` tells how to run a part of it.

#[path = "support/mod.rs"]
mod support;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use p2p::sim::{Fate, Link, Manner, Outcome, Scenario};
use support::document;
use support::plot::{self, Series};
use support::table::Table;

const MIB: u64 = 1 << 20;

/// How close swarms of many sizes come to the fluid bound, in virtual time.
#[derive(Parser)]
struct Arguments {
    /// Only the rows whose names have all the words of one of these: "N=100 64MiB" slow-half.
    rows: Vec<String>,
    /// The seed of all rows.
    #[arg(long, env = "P2P_SEED", default_value_t = 1)]
    seed: u64,
    /// Also print how much was kept in each twentieth of T*.
    #[arg(long)]
    curve: bool,
    /// Put table and plot into docs/BENCHMARKS.md.
    #[arg(long)]
    write: bool,
    /// Passed by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    fn names(&self, row: &str) -> bool {
        let has = |word| row.split(' ').any(|of_row| of_row == word);
        self.rows.is_empty() || self.rows.iter().any(|asked| asked.split(' ').all(has))
    }
}

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
    rows.push(("N=10000 16MiB".to_owned(), Scenario::even(10_000, 16 * MIB, link, seed)));
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

const COLUMNS: [&str; 15] = [
    "virtual time; links of 100 Mbit/s",
    "T* s",
    "T_first",
    "T_mean",
    "T_last",
    "η",
    "η each",
    "copies",
    "duplicate %",
    "rejected %",
    "protocol %",
    "uplinks idle %",
    "seeder idle %",
    "events, millions",
    "took s",
];

fn cells(name: &str, outcome: &Outcome, took: Duration) -> [String; 15] {
    let mut times: Vec<f64> = outcome.times.iter().map(Duration::as_secs_f64).collect();
    times.sort_by(f64::total_cmp);
    let mean = times.iter().sum::<f64>() / times.len().max(1) as f64;
    let percent = |bytes: u64| format!("{:.2}", 100.0 * bytes as f64 / outcome.useful as f64);
    [
        name.to_owned(),
        format!("{:.2}", outcome.bound.as_secs_f64()),
        format!("{:.2}", times.first().copied().unwrap_or(f64::NAN)),
        format!("{mean:.2}"),
        format!("{:.2}", outcome.last.as_secs_f64()),
        format!("{:.3}", outcome.eta()),
        format!("{:.3}", outcome.eta_each()),
        format!("{:.2}", outcome.seeder_copies),
        percent(outcome.duplicate),
        percent(outcome.rejected),
        percent(outcome.overhead),
        format!("{:.1}", 100.0 * outcome.idle),
        format!("{:.1}", 100.0 * outcome.seeder_idle),
        format!("{:.1}", outcome.happenings as f64 / 1e6),
        format!("{:.1}", took.as_secs_f64()),
    ]
}

/// The plain rows as points of one line for each size.
fn note(series: &mut Vec<Series>, name: &str, outcome: &Outcome) {
    let Some((count, size)) = name.strip_prefix("N=").and_then(|rest| rest.split_once(' ')) else { return };
    let Ok(count) = count.parse() else { return };
    let point = (count, outcome.eta());
    match series.iter_mut().find(|line| line.label == size) {
        Some(line) => line.points.push(point),
        None => series.push(Series { label: size.to_owned(), points: vec![point] }),
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seed = arguments.seed;
    let mut table = Table::new(COLUMNS);
    let mut series = Vec::new();
    for (name, scenario) in rows(seed) {
        if !arguments.names(&name) {
            continue;
        }
        let start = Instant::now();
        match scenario.run() {
            Ok(outcome) => {
                eprintln!("{name}: eta {:.3} after {:.1} s", outcome.eta(), start.elapsed().as_secs_f64());
                if arguments.curve {
                    let parts: Vec<String> = outcome.curve.iter().map(|part| format!("{part:.2}")).collect();
                    eprintln!("    {}", parts.join(" "));
                }
                note(&mut series, &name, &outcome);
                table.row(cells(&name, &outcome, start.elapsed()));
            }
            Err(breach) => {
                eprintln!("{name}: {breach}");
                return ExitCode::FAILURE;
            }
        }
    }
    let text = format!("Seed {seed}. Headers are counted: η can be 0.956 at most.\n\n{}", table.markdown());
    println!("{text}");
    if !arguments.write {
        return ExitCode::SUCCESS;
    }
    let title = "Simulated: η of N fetchers (higher is better, 0.956 at most)";
    let written = plot::lines(title, "fetchers", "η", &series)
        .and_then(|plot| document::write_plot("sim", &plot))
        .and_then(|()| document::write_section("sim", &format!("{text}\n![η in the simulator](sim.svg)")));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sim: {error:#}");
            ExitCode::FAILURE
        }
    }
}
