//! The jobs of a peer: those that are under way or lend what they fetched, and how the last others ended.
//!
//! Owns the list; of a job that has left only a few lines stay.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crossbeam_channel::Sender;

use super::handle::{Course, Job};
use super::want::{Dest, Want};
use crate::api::TransferStatus;
use crate::threads::lock;

/// So many fetches that have ended are still told of.
const MAX_ENDED: usize = 64;

/// The jobs of a peer.
#[derive(Debug, Default)]
pub(in crate::peer) struct Jobs(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: u64,
    /// The oldest first.
    live: Vec<Arc<Course>>,
    /// With the number of each, in the order in which they ended.
    ended: VecDeque<(u64, TransferStatus)>,
}

impl Jobs {
    /// The job that fetches this. The very same fetch is one, however often it is asked for: only with what is new
    /// comes what its thread is to hold.
    pub(super) fn enter(&self, want: Want, dest: Dest) -> (Arc<Course>, Option<Sender<()>>) {
        let mut state = lock(&self.0);
        if let Some(same) = state.live.iter().find(|job| job.is(&want, &dest)) {
            return (same.clone(), None);
        }
        state.last += 1;
        let (job, alive) = Course::new(state.last, want, dest);
        state.live.push(job.clone());
        (job, Some(alive))
    }

    /// The job is over, and nothing of it is lent.
    pub(super) fn leave(&self, job: &Arc<Course>) {
        let status = Job(job.clone()).status();
        if self.forget(job) {
            let ended = &mut lock(&self.0).ended;
            ended.push_back((job.number, status));
            if ended.len() > MAX_ENDED {
                ended.pop_front();
            }
        }
    }

    /// A job that never began, or is told of otherwise; true if it was here.
    pub(super) fn forget(&self, job: &Arc<Course>) -> bool {
        let live = &mut lock(&self.0).live;
        let before = live.len();
        live.retain(|other| !Arc::ptr_eq(other, job));
        live.len() < before
    }

    /// Those that are here, the oldest first.
    pub(in crate::peer) fn live(&self) -> Vec<Job> {
        lock(&self.0).live.iter().cloned().map(Job).collect()
    }

    /// How the jobs are, those that ended lately among them, the oldest first.
    pub(in crate::peer) fn statuses(&self) -> Vec<TransferStatus> {
        let (mut all, live) = {
            let state = lock(&self.0);
            (Vec::from(state.ended.clone()), state.live.clone())
        };
        all.extend(live.into_iter().map(|job| (job.number, Job(job).status())));
        all.sort_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, status)| status).collect()
    }
}
