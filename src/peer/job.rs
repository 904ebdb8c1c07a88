//! One fetch, as others see it: what is wanted, how far it is, how it ended.

mod after;
mod contest;
mod driver;
mod error;
mod here;
mod jobs;
mod landing;
mod patience;
mod running;
mod succession;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::disk::Spared;
use super::transfer::{End, Transfer};
use super::{Inner as Peer, lock};
use crate::api::{LedgerView, Report, TransferState, TransferStatus, Trashed};
use crate::content::{FileId, LeftOut, SafeName};
use crate::threads;
use crate::wire::View;
pub use error::FetchError;
pub(super) use jobs::Jobs;
use patience::Patience;
use running::Running;

/// What to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// The content.
    pub id: FileId,
    /// Its name; a tree's ends with `/`.
    pub name: SafeName,
    /// Bytes of all its files, if that was said along with the id: what has another size is not it.
    pub size: Option<u64>,
}

/// Where to put it, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dest {
    /// The file or folder to make.
    pub path: PathBuf,
    /// Different files that are in the way are replaced.
    pub force: bool,
    /// What was fetched there before, and nobody changed since, is replaced.
    pub own: bool,
    /// What an older version put there, and nobody changed since, goes to the trash if this one lacks it.
    pub delete: bool,
    /// How long to wait while no tracker or source can be reached; none: for ever.
    pub wait: Option<Duration>,
    /// How much of that has been waited already.
    pub waited: Duration,
}

impl Dest {
    /// True if both are the same, whenever they were thought of.
    fn is(&self, other: &Dest) -> bool {
        let Dest { path, force, own, delete, wait, waited: _ } = self;
        let theirs = (&other.path, &other.force, &other.own, &other.delete, &other.wait);
        (path, force, own, delete, wait) == theirs
    }
}

impl Report {
    fn new(
        status: TransferStatus,
        path: String,
        left_out: &LeftOut,
        (left_alone, trashed): (Spared, Option<Trashed>),
    ) -> Report {
        Report {
            status,
            path,
            partial: left_out.sentence(),
            left_out: left_out.named().to_vec(),
            left_out_more: left_out.more(),
            left_alone: left_alone.paths,
            left_older: left_alone.older,
            trashed,
        }
    }
}

/// A fetch under way or done; clones are the same fetch.
#[derive(Debug, Clone)]
pub struct Job(Arc<Inner>);

#[derive(Debug)]
enum Stage {
    Locating,
    Fetching,
    Ended(Box<Result<Report, FetchError>>),
}

#[derive(Debug)]
pub(super) struct Inner {
    number: u64,
    want: Want,
    dest: Dest,
    patience: Mutex<Patience>,
    started: Instant,
    stage: Mutex<Stage>,
    changed: Condvar,
    /// The listing of a tree, then the content itself.
    transfers: Mutex<Vec<Arc<Transfer>>>,
    cancelled: AtomicBool,
    /// The very same fetch is under way elsewhere, and this waits for its end.
    joined: AtomicBool,
    /// Hears nothing, and ends when the thread does.
    over: Receiver<()>,
}

impl From<Arc<Inner>> for Job {
    fn from(inner: Arc<Inner>) -> Job {
        Job(inner)
    }
}

impl Job {
    pub(super) fn start(peer: &Arc<Peer>, want: Want, dest: Dest) -> io::Result<Job> {
        // The very same fetch is one, however often it is asked for.
        let same = |job: &Arc<Inner>| job.want == want && job.dest.is(&dest) && !job.has_ended();
        if let Some(same) = peer.jobs.live().into_iter().find(same) {
            return Ok(Job(same));
        }
        let (alive, over) = crossbeam_channel::bounded::<()>(0);
        let inner = Arc::new(Inner {
            number: peer.jobs.number(),
            want,
            patience: Mutex::new(Patience::new(dest.wait, dest.waited, Instant::now())),
            dest,
            started: Instant::now(),
            stage: Mutex::new(Stage::Locating),
            changed: Condvar::new(),
            transfers: Mutex::new(Vec::new()),
            cancelled: AtomicBool::new(false),
            joined: AtomicBool::new(false),
            over,
        });
        peer.jobs.enter(&inner);
        let running = Arc::new(Running { peer: peer.clone(), job: inner.clone() });
        let failing = running.clone();
        let failed = move |why: &str| {
            let _alive = alive;
            failing.end(Err(FetchError::Internal(why.to_owned())));
        };
        let started = threads::named("fetch").job(move || running.run(), failed);
        if let Err(error) = started {
            peer.jobs.forget(&inner);
            return Err(error);
        }
        Ok(Job(inner))
    }

    /// How far it is.
    pub fn status(&self) -> TransferStatus {
        let fetching = lock(&self.0.transfers).last().cloned();
        let mut status = fetching.map_or_else(|| self.0.empty_status(), |transfer| transfer.status());
        self.0.want.name.as_str().clone_into(&mut status.name);
        status
    }

    /// Waits for the end, but not past `timeout`.
    pub fn wait(&self, timeout: Duration) -> Option<Result<Report, FetchError>> {
        let stage = lock(&self.0.stage);
        let (stage, _) = self
            .0
            .changed
            .wait_timeout_while(stage, timeout, |stage| !matches!(stage, Stage::Ended(_)))
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        match &*stage {
            Stage::Ended(outcome) => Some(Result::clone(outcome)),
            _ => None,
        }
    }

    /// Ends it; what is proved is kept for next time.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Release);
        for transfer in lock(&self.0.transfers).iter() {
            transfer.finish(End::Cancelled);
        }
        // Under the lock, so that who is about to wait hears of it.
        let _stage = lock(&self.0.stage);
        self.0.changed.notify_all();
    }

    /// Waits until its thread has nothing more to do, but not for longer than this.
    pub(super) fn leave(&self, patience: Duration) {
        let _ = self.0.over.recv_timeout(patience);
    }
}

impl Inner {
    /// The transfer of the content itself, unless it failed.
    pub(super) fn fetching(&self) -> Option<Arc<Transfer>> {
        let transfer = lock(&self.transfers).last().cloned()?;
        let main = (transfer.view == View::Members) == self.want.name.is_tree();
        (main && transfer.is_servable()).then_some(transfer)
    }

    /// The transfer that can serve this.
    pub(super) fn serving(&self, id: FileId, view: View) -> Option<Arc<Transfer>> {
        let transfers = lock(&self.transfers);
        transfers
            .iter()
            .find(|transfer| transfer.id == id && transfer.view == view && transfer.is_servable())
            .cloned()
    }

    fn has_ended(&self) -> bool {
        matches!(*lock(&self.stage), Stage::Ended(_))
    }

    /// Waits for so long, or until it is cancelled.
    fn pause(&self, pause: Duration) {
        let stage = lock(&self.stage);
        let goes_on = |_: &mut Stage| !self.is_cancelled();
        drop(self.changed.wait_timeout_while(stage, pause, goes_on));
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    fn empty_status(&self) -> TransferStatus {
        let state = if self.joined.load(Ordering::Relaxed) {
            TransferState::Joined
        } else if self.has_ended() {
            TransferState::Failed
        } else {
            TransferState::Locating
        };
        TransferStatus {
            id: self.want.id.to_string(),
            name: String::new(),
            state,
            bytes_total: 0,
            bytes_done: 0,
            bytes_resumed: 0,
            files_total: 0,
            files_done: 0,
            seconds: self.started.elapsed().as_secs_f64(),
            rate: 0.0,
            sources: Vec::new(),
            ledger: LedgerView::default(),
            waiting_for: Vec::new(),
        }
    }

    fn set_stage(&self, stage: Stage) {
        *lock(&self.stage) = stage;
        self.changed.notify_all();
    }

    /// How it ended; the first word about that counts.
    fn end(&self, outcome: Result<Report, FetchError>) {
        let mut stage = lock(&self.stage);
        if !matches!(*stage, Stage::Ended(_)) {
            *stage = Stage::Ended(Box::new(outcome));
        }
        self.changed.notify_all();
    }
}
