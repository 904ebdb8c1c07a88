//! The lanes: threads that hash what the look found. One is for small files and one for large ones, so that a large
//! file does not hold up the small, and one for those that are most likely what they were.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::core::Core;
use super::hash::{Report, hash_all};
use super::job::Job;
use super::state::ToDo;
use crate::threads;

/// Files above this are hashed in a lane of their own.
const LARGE_BYTES: u64 = 64 << 20;
/// How long hashed files may wait for others before they are offered.
const OFFER_EVERY: Duration = Duration::from_millis(200);

/// The lanes, as who looks sees them. They end when this is dropped; what they have not hashed by then they leave.
#[derive(Debug)]
pub(super) struct Lanes {
    small: Sender<Vec<Job>>,
    large: Sender<Vec<Job>>,
    again: Sender<Vec<Job>>,
}

impl Lanes {
    /// Starts the lanes' threads, which join `started` one by one.
    pub(super) fn start(core: &Arc<Core>, started: &mut Vec<JoinHandle<()>>) -> io::Result<Lanes> {
        let mut start = |name| {
            let (jobs, to_hash) = unbounded();
            let core = core.clone();
            started.push(threads::named(name).essential(move || hash_lane(&core, &to_hash))?);
            io::Result::Ok(jobs)
        };
        Ok(Lanes { small: start("hash-small")?, large: start("hash-large")?, again: start("hash-again")? })
    }

    /// Hands on what is to be hashed.
    pub(super) fn hash(&self, todo: ToDo) {
        let (large, small): (Vec<Job>, Vec<Job>) =
            todo.jobs.into_iter().partition(|job| job.found.stamp.size > LARGE_BYTES);
        for (jobs, lane) in [(small, &self.small), (large, &self.large), (todo.again, &self.again)] {
            if !jobs.is_empty() {
                let _ = lane.send(jobs); // the lanes live as long as this
            }
        }
    }
}

fn hash_lane(core: &Core, jobs: &Receiver<Vec<Job>>) {
    while let Ok(mut batch) = jobs.recv() {
        batch.extend(jobs.try_iter().flatten());
        threads::may_panic("hash-lane");
        let mut done = Vec::new();
        let mut offered = Instant::now();
        hash_all(&core.walker.root, batch, core.threads, core.stopping(), |report| {
            if let Report::Done(job, outcome) = report {
                done.push((job, outcome));
            }
            if offered.elapsed() >= OFFER_EVERY {
                let done = std::mem::take(&mut done);
                core.step(|state| ((), state.settle(done, Instant::now())));
                offered = Instant::now();
            }
        });
        core.step(|state| ((), state.settle(done, Instant::now())));
    }
}
