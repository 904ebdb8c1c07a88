//! `p2p doctor`: whether this machine, a folder on it and the trackers are fit for use, and what narrows a fetch: one line for
//! each thing that was looked at, with what to do.

mod check;
mod folder;
mod others;
mod running;

use std::time::Instant;

use rustix::process::{Resource, getrlimit};

use crate::api::Exit;
use crate::cli::failure::Failure;
use crate::cli::show::output;
use crate::cli::show::words::rate;
use crate::cli::typed::nodes::DoctorArgs;
use crate::content::FileId;
use check::{Check, Verdict};
use running::Paces;

/// What is hashed to see how fast this machine is.
const SAMPLE_BYTES: usize = 8 << 20;
/// Slower than this, a fast network is waiting for the hash.
const SLOW_HASH: f64 = 100e6;
/// Fewer open files than this are a dozen connections.
const FEW_FILES: u64 = 1024;

/// `p2p doctor [FOLDER]`
pub(crate) fn doctor(args: &DoctorArgs) -> Result<(), Failure> {
    let mut failed = false;
    let mut tell = |checks: Vec<Check>| -> Result<(), Failure> {
        for check in checks {
            failed |= check.verdict == Verdict::Fail;
            output::answer(args.json, &check, || check.line())?;
        }
        Ok(())
    };
    tell(vec![version(), files()])?;
    let (trackers, seen) = others::trackers(&args.trackers.trackers);
    tell(trackers)?;
    tell(vec![others::clock(&seen)])?;
    tell(others::versions(&seen).into_iter().collect())?;
    let mut paces = Paces::default();
    if !args.quick {
        let (hash, pace) = hash();
        paces.hash = Some(pace);
        tell(vec![hash])?;
    }
    if let Some(folder) = &args.folder {
        let (checks, pace) = folder::of_folder(folder, args.quick);
        paces.disk = pace;
        tell(checks)?;
        tell(running::of_peer(folder, &args.trackers.trackers, paces))?;
    }
    if failed { Err(Failure::quiet(Exit::Other)) } else { Ok(()) }
}

fn version() -> Check {
    Check::ok("version", format!("p2p {}", env!("CARGO_PKG_VERSION")))
}

fn files() -> Check {
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let remedy = "raise the limit (ulimit -Hn, LimitNOFILE= of a service): each connection takes up to three";
    Check::unless(most < FEW_FILES, "open files", format!("{most} at once"), remedy)
}

fn hash() -> (Check, f64) {
    let sample = vec![7; SAMPLE_BYTES];
    let start = Instant::now();
    let _ = FileId::of(&sample);
    let took = start.elapsed();
    let fast = SAMPLE_BYTES as f64 / took.as_secs_f64().max(1e-6);
    let says = format!("{} on one core", rate(SAMPLE_BYTES as u64, took));
    let remedy = "every byte is hashed: this machine is slow, or busy, or this is a build for tests";
    (Check::unless(fast < SLOW_HASH, "hash", says, remedy), fast)
}
