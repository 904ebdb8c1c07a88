//! `cargo bench --bench selection`: how long a fetch takes against the number of peers that have the file,
//! for four ways to choose one of them, and for an oracle that knows what each would take.
//!
//! Real processes on this machine: sixteen peers, each with a latency towards the fetcher drawn from a
//! seed and imposed by `--latency-file`, a limited rate, and some others that keep fetching from it. The
//! file is one chunk, so that everything depends on whom it is asked of.

#[path = "../support/mod.rs"]
mod support;

mod lab;
mod report;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use lab::Lab;
use report::Results;
use support::interrupt;
use support::machine::Machine;

/// Compares ways to choose a source.
#[derive(Parser)]
struct Arguments {
    /// Draws of latencies and loads.
    #[arg(long, default_value_t = 6)]
    seeds: u64,
    /// Fetches by each policy from each number of holders, for each draw.
    #[arg(long, default_value_t = 2)]
    rounds: usize,
    /// Update docs/SELECTION.md and its plot.
    #[arg(long)]
    write: bool,
    /// Passed by `cargo bench`; `cargo test --all-targets`, which starts this program too, does not.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Numbers of holders; the last is the number of peers.
const HOLDERS: [usize; 5] = [1, 2, 4, 8, 16];
/// What is compared. The oracle's file is only where it takes the least.
const POLICIES: [&str; 5] = ["random", "latency", "load", "both", ORACLE];
const ORACLE: &str = "oracle";

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !arguments.bench {
        eprintln!("selection: nothing measured: start it as `cargo bench --bench selection`");
        return ExitCode::SUCCESS;
    }
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("selection: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Number of holders, policy and seconds of each fetch of one draw.
fn measure(seed: u64, rounds: usize) -> Result<Vec<(usize, &'static str, f64)>> {
    let lab = Lab::start(seed)?;
    let (mut turn, mut fetches) = (POLICIES.to_vec(), Vec::new());
    turn.rotate_left(seed as usize % POLICIES.len());
    for _ in 0..rounds {
        turn.rotate_left(1);
        for holders in HOLDERS {
            for policy in &turn {
                fetches.push((holders, *policy, lab.fetch(policy, holders)?));
            }
        }
    }
    Ok(fetches)
}

/// [`measure`], again if it fails: on a machine that stands still for minutes, leases end.
fn measure_patiently(seed: u64, rounds: usize) -> Result<Vec<(usize, &'static str, f64)>> {
    const ATTEMPTS: usize = 6;
    for _ in 1..ATTEMPTS {
        match measure(seed, rounds) {
            Ok(fetches) => return Ok(fetches),
            Err(error) => eprintln!("seed {seed} once more: {error:#}"),
        }
        interrupt::check()?;
    }
    measure(seed, rounds)
}

fn run(arguments: &Arguments) -> Result<()> {
    interrupt::install()?;
    let mut results = Results::new(Machine::read());
    for seed in 1..=arguments.seeds {
        for (holders, policy, seconds) in measure_patiently(seed, arguments.rounds)? {
            results.add(seed, holders, policy, seconds);
        }
        eprintln!("seed {seed}: {}", results.line(seed));
    }
    println!("{}", results.markdown());
    println!("saved {}", support::document::save("selection", &results)?.display());
    if arguments.write {
        results.write()?;
    }
    Ok(())
}
