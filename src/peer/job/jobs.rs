//! The jobs of a peer: those that are under way or lend what they fetched, and how the last others ended.
//!
//! Owns the list, and with it the life of every transfer: a job that leaves takes its descriptors and proofs
//! along, and only a few lines about it stay.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::{Inner, Job};
use crate::api::TransferStatus;
use crate::content::FileId;
use crate::peer::transfer::Transfer;
use crate::threads::lock;
use crate::wire::View;

/// So many fetches that have ended are still told of.
const MAX_ENDED: usize = 64;

/// The jobs of a peer.
#[derive(Debug, Default)]
pub(in crate::peer) struct Jobs {
    last: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The oldest first.
    live: Vec<Arc<Inner>>,
    /// With the number of each, in the order in which they ended.
    ended: VecDeque<(u64, TransferStatus)>,
}

impl Jobs {
    /// A number that no other job has.
    pub(super) fn number(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn enter(&self, job: &Arc<Inner>) {
        lock(&self.state).live.push(job.clone());
    }

    /// The job is over, and nothing of it is lent.
    pub(super) fn leave(&self, job: &Arc<Inner>) {
        let status = Job(job.clone()).status();
        let mut state = lock(&self.state);
        let before = state.live.len();
        state.live.retain(|other| !Arc::ptr_eq(other, job));
        if state.live.len() == before {
            return;
        }
        state.ended.push_back((job.number, status));
        if state.ended.len() > MAX_ENDED {
            state.ended.pop_front();
        }
    }

    /// A job that never began.
    pub(super) fn forget(&self, job: &Arc<Inner>) {
        lock(&self.state).live.retain(|other| !Arc::ptr_eq(other, job));
    }

    /// Those that are here, the oldest first.
    pub(in crate::peer) fn live(&self) -> Vec<Arc<Inner>> {
        lock(&self.state).live.clone()
    }

    /// How the jobs are, those that ended lately among them, the oldest first.
    pub(in crate::peer) fn statuses(&self) -> Vec<TransferStatus> {
        let mut all: Vec<(u64, TransferStatus)> = lock(&self.state).ended.iter().cloned().collect();
        let live = self.live().into_iter().map(|job| (job.number, Job(job).status()));
        all.extend(live);
        all.sort_by_key(|(number, _)| *number);
        // One may have ended between the two looks.
        all.dedup_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, status)| status).collect()
    }

    /// The transfer that can serve this.
    pub(in crate::peer) fn serving(&self, id: FileId, view: View) -> Option<Arc<Transfer>> {
        self.live().iter().find_map(|job| job.serving(id, view))
    }

    /// The transfers of contents that are not over, each with the number of its job, the oldest first.
    pub(in crate::peer) fn running(&self) -> impl DoubleEndedIterator<Item = (u64, Arc<Transfer>)> {
        let running = |job: Arc<Inner>| {
            let transfer = job.fetching().filter(|transfer| !transfer.is_over())?;
            Some((job.number, transfer))
        };
        self.live().into_iter().filter_map(running)
    }

    /// The transfers of contents that can be served, each with the number of its job.
    pub(in crate::peer) fn held(&self) -> impl Iterator<Item = (u64, Arc<Transfer>)> {
        self.live().into_iter().filter_map(|job| Some((job.number, job.fetching()?)))
    }
}
