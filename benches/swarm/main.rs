//! `cargo bench --bench swarm`: one seeder and N fetchers on shaped links, against the fluid bound T*.
//!
//! T* = max(F/u_seed, F/d_min, N·F/(u_seed + Σ u_i)), with the raw rate of the links; η = T*/T_last,
//! where T_last is when the last of the fetchers has everything. Packet headers alone keep η below
//! 1448/1514 = 0.956. Every contender gets fresh links of the same kind, one measurement at a time.
//! Needs root and iproute2; without them it says so and does nothing.

#[path = "../support/mod.rs"]
mod support;

mod announce;
mod contender;
mod lab;
mod link_rate;
mod race;
mod report;
mod scenario;
mod timeline;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Parser;

use contender::Contender;
use report::Results;
use scenario::Scenario;
use support::machine::Machine;
use support::{files, interrupt, stats};

/// What most scenarios of the published table move.
const PLAIN_BYTES: u64 = 64 << 20;

/// Measures how soon everybody has it, on links shaped with tc between network namespaces.
#[derive(Parser)]
struct Arguments {
    /// How many fetchers; several numbers are measured one after another.
    #[arg(long, value_delimiter = ',', default_value = "16")]
    fetchers: Vec<usize>,
    /// What is moved; several sizes are measured one after another.
    #[arg(long, alias = "size", value_delimiter = ',', default_value = "64MiB", value_parser = stats::parse_bytes)]
    sizes: Vec<u64>,
    /// Rate of every link each way, as tc writes it: 100mbit, 1gbit.
    #[arg(long, default_value = "100mbit", value_parser = parse_rate)]
    rate: u64,
    /// Half of the fetchers upload at a quarter of the rate.
    #[arg(long)]
    slow_half: bool,
    /// Fetchers join one by one over T*.
    #[arg(long)]
    join: bool,
    /// Kill this share of the fetchers after half of T*: 30%.
    #[arg(long, default_value = "0%", value_parser = parse_share)]
    kill_fetchers: f64,
    /// Kill the seeder when it has sent so many copies: 1.1.
    #[arg(long)]
    kill_seeder_after: Option<f64>,
    /// Move a folder instead of a file: 2000x32KiB.
    #[arg(long, value_parser = parse_folder)]
    folder: Option<(u64, u64)>,
    /// The scenarios of the published table, instead of those described by the other options. Other
    /// programs are measured once, in the plain ones of 64 MiB.
    #[arg(long)]
    suite: bool,
    /// Measurements of each scenario.
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// Also aria2 and libtorrent, where installed.
    #[arg(long)]
    compare: bool,
    /// Only these programs.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Contender>,
    /// Let no interface hand over more than one packet at a time (needs ethtool, costs CPU).
    #[arg(long)]
    no_offload: bool,
    /// Show how busy the links were, from the start to the end.
    #[arg(long)]
    timeline: bool,
    /// Where the files lie; a disk would be measured too, so this is a tmpfs.
    #[arg(long, default_value = "/dev/shm")]
    folder_for_files: PathBuf,
    /// Update docs/BENCHMARKS.md and its plot.
    #[arg(long)]
    write: bool,
    /// Passed by `cargo bench`; `cargo test --all-targets`, which starts this program too, does not.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !arguments.bench {
        eprintln!("swarm: nothing measured: start it as `cargo bench --bench swarm`");
        return ExitCode::SUCCESS;
    }
    if let Some(obstacle) = lab::obstacle() {
        eprintln!("swarm: nothing measured: {obstacle}");
        return ExitCode::SUCCESS;
    }
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("swarm: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    interrupt::install()?;
    if arguments.no_offload && support::process::find("ethtool").is_none() {
        bail!("--no-offload needs the program ethtool: install the package of that name");
    }
    let mut results = Results { machine: Machine::read(), outcomes: Vec::new(), missing: Vec::new() };
    let present = contenders(arguments, &mut results.missing);
    for scenario in scenarios(arguments) {
        let scratch = files::scratch(&arguments.folder_for_files)?;
        let payload = make_payload(&scenario, scratch.path())?;
        for run in 0..arguments.runs {
            for contender in &present {
                interrupt::check()?;
                let other = *contender != Contender::P2p;
                if arguments.suite
                    && other
                    && (run > 0 || !scenario.is_plain() || scenario.size > PLAIN_BYTES)
                {
                    continue;
                }
                match race::run(*contender, &scenario, &payload, !arguments.no_offload, arguments.timeline) {
                    Ok(outcome) => {
                        eprintln!("{}", outcome.line());
                        results.outcomes.push(outcome);
                    }
                    Err(error) => note(&mut results, *contender, &scenario, &error),
                }
            }
        }
    }
    println!("{}", results.markdown());
    println!("saved {}", support::document::save("swarm", &results)?.display());
    interrupt::check()?;
    if arguments.write {
        results.write()?;
    }
    Ok(())
}

fn note(results: &mut Results, contender: Contender, scenario: &Scenario, error: &anyhow::Error) {
    let words = format!("{}, {}, N = {}: {error:#}", contender.name(), scenario.label(), scenario.fetchers);
    eprintln!("{words}");
    results.missing.push(words);
}

fn contenders(arguments: &Arguments, missing: &mut Vec<String>) -> Vec<Contender> {
    let mut wanted = arguments.only.clone();
    if wanted.is_empty() {
        wanted.push(Contender::P2p);
        if arguments.compare {
            wanted.extend([Contender::Aria2, Contender::Libtorrent, Contender::Superseed]);
        }
    }
    wanted.retain(|contender| {
        let reason = contender.missing();
        missing.extend(reason.map(|reason| format!("{}: {reason}", contender.name())));
        reason.is_none()
    });
    wanted
}

fn scenarios(arguments: &Arguments) -> Vec<Scenario> {
    if arguments.suite {
        return suite();
    }
    let (files, sizes) = match arguments.folder {
        Some((count, size)) => (count, vec![count * size]),
        None => (0, arguments.sizes.clone()),
    };
    let mut scenarios = Vec::new();
    for size in sizes {
        for fetchers in &arguments.fetchers {
            scenarios.push(Scenario {
                fetchers: *fetchers,
                size,
                files,
                rate: arguments.rate,
                slow_half: arguments.slow_half,
                join: arguments.join,
                kill_fetchers: arguments.kill_fetchers,
                kill_seeder_after: arguments.kill_seeder_after,
            });
        }
    }
    scenarios
}

/// The table in docs/BENCHMARKS.md.
fn suite() -> Vec<Scenario> {
    let plain = |fetchers| Scenario {
        fetchers,
        size: PLAIN_BYTES,
        files: 0,
        rate: 100_000_000,
        slow_half: false,
        join: false,
        kill_fetchers: 0.0,
        kill_seeder_after: None,
    };
    let mut all: Vec<Scenario> = [1, 2, 4, 8, 16].map(plain).to_vec();
    all.extend([
        // 32 links of 100 Mbit/s both ways are more than two cores can forward.
        Scenario { rate: 40_000_000, ..plain(32) },
        Scenario { size: 256 << 20, ..plain(16) },
        Scenario { slow_half: true, ..plain(16) },
        Scenario { join: true, ..plain(16) },
        Scenario { kill_fetchers: 0.3, ..plain(16) },
        Scenario { kill_seeder_after: Some(1.02), ..plain(8) },
        Scenario { files: 2000, size: 2000 * (32 << 10), ..plain(16) },
    ]);
    all
}

/// One file or one folder, alone in a folder of its own that can be shared.
fn make_payload(scenario: &Scenario, scratch: &Path) -> Result<PathBuf> {
    let shared = scratch.join("shared");
    std::fs::create_dir_all(&shared)?;
    if scenario.files == 0 {
        let file = shared.join("payload.bin");
        files::make_file(&file, scenario.size, 1)?;
        return Ok(file);
    }
    let folder = shared.join("payload");
    files::make_folder(&folder, scenario.files, scenario.size / scenario.files, 1)?;
    Ok(folder)
}

fn parse_rate(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "kbit" => 1_000u64,
        "mbit" => 1_000_000,
        "gbit" => 1_000_000_000,
        _ => return Err(format!("{text}: write it as 100mbit or 1gbit")),
    };
    let count: u64 = digits.parse().map_err(|_| format!("{text}: not a rate"))?;
    Ok(count * unit)
}

fn parse_share(text: &str) -> Result<f64, String> {
    let percent: f64 = text.trim_end_matches('%').parse().map_err(|_| format!("{text}: not a percentage"))?;
    if (0.0..=100.0).contains(&percent) {
        Ok(percent / 100.0)
    } else {
        Err(format!("{text}: not within 0 and 100 %"))
    }
}

fn parse_folder(text: &str) -> Result<(u64, u64), String> {
    let (count, size) = text.split_once('x').ok_or(format!("{text}: write it as 2000x32KiB"))?;
    Ok((count.parse().map_err(|_| format!("{text}: not a number of files"))?, stats::parse_bytes(size)?))
}
