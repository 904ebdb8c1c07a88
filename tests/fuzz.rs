//! A short run of every fuzz target: its seeds, its corpus in `fuzz/corpus`, and changes of both, from a
//! seed. `fuzz/run` is the long one, guided by coverage.
//!
//! `P2P_FUZZ_RUNS=50` makes fifty times as many changes, `P2P_FUZZ_SEED=3` other ones.

#[path = "fuzz/mutate.rs"]
mod mutate;
#[path = "fuzz/seeds.rs"]
mod seeds;

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

use p2p::fuzzing::{TARGETS, Target, target};
use tempfile::TempDir;

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files.iter().filter_map(|file| fs::read(file).ok()).collect()
}

/// A folder in memory, if there is one: the targets that write would wait for the disk otherwise.
fn scratch() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).expect("a temporary folder")
}

fn run(target: Target, input: &[u8], scratch: &Path) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.run)(input, scratch))) {
        eprintln!("target {} fails on {} bytes: {}", target.name, input.len(), input.escape_ascii());
        resume_unwind(panic);
    }
}

#[track_caller]
fn short_run(name: &str, changes: u64) {
    let target = target(name).expect("a target");
    let scratch = scratch();
    let inputs = [seeds::of(name), corpus(name)].concat();
    assert!(!inputs.is_empty(), "{name} has seeds");
    inputs.iter().for_each(|input| run(target, input, scratch.path()));
    let mut rng = fastrand::Rng::with_seed(variable("P2P_FUZZ_SEED", 1));
    for _ in 0..changes * variable("P2P_FUZZ_RUNS", 1) {
        run(target, &mutate::mutated(&inputs, &mut rng), scratch.path());
    }
}

macro_rules! short_runs {
    ($($test:ident $name:literal $changes:literal,)*) => {
        $(#[test] fn $test() { short_run($name, $changes); })*

        #[test]
        fn every_target_has_a_short_run() {
            let run: BTreeSet<&str> = [$($name),*].into();
            let all: BTreeSet<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(run, all);
        }
    };
}

short_runs! {
    to_tracker "to-tracker" 10_000,
    from_tracker "from-tracker" 10_000,
    to_server "to-server" 10_000,
    from_server "from-server" 10_000,
    hello "hello" 20_000,
    chunk_head "chunk-head" 20_000,
    bitmap "bitmap" 300,
    session "session" 4_000,
    handshake "handshake" 100,
    opener "opener" 4_000,
    name "name" 20_000,
    link "link" 20_000,
    descriptor "descriptor" 4_000,
    config "config" 200,
    join_link "join-link" 10_000,
    swarm_file "swarm-file" 4_000,
    latencies "latencies" 1_000,
    tree "tree" 10_000,
    proof "proof" 4_000,
    place "place" 2_000,
    journal "journal" 2_000,
    index "index" 60,
    got "got" 2_000,
}
