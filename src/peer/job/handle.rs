//! One fetch, as its thread and others see it: how far it is, how it ended; it is waited for and cancelled here.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use super::error::FetchError;
use super::want::{Dest, Want};
use crate::api::{Report, TransferState, TransferStatus, Underway};
use crate::content::Rate;
use crate::peer::transfer::{End, Inlet, Transfer};
use crate::threads::lock;

/// A fetch under way or done; clones are the same fetch.
#[derive(Debug, Clone)]
pub struct Job(pub(super) Arc<Course>);

/// What a job's thread shares with those who watch it.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) number: u64,
    pub(super) want: Want,
    pub(super) dest: Dest,
    pub(super) started: Instant,
    outcome: Mutex<Option<Result<Report, FetchError>>>,
    /// Notified of the end and of a cancellation.
    changed: Condvar,
    /// The transfer that began last: that of a tree's listing, then that of the content itself.
    current: Mutex<Option<Arc<Transfer>>>,
    cancelled: AtomicBool,
    /// What it may take in.
    pub(super) inlet: Arc<Inlet>,
    /// The very same fetch is under way elsewhere, and this waits for its end.
    joined: AtomicBool,
    /// Hears nothing, and ends when the thread does.
    over: Receiver<()>,
}

impl Job {
    /// How far it is. It has ended when the job has: what came of it may have ended before, as a folder's listing does, and
    /// as the last chunk is here before the file that it is of is in its place.
    pub fn status(&self) -> TransferStatus {
        // First, so that what has ended is not said to be where it was before.
        let ended = lock(&self.0.outcome).as_ref().map(ended);
        let current = lock(&self.0.current).clone();
        let begun = current.is_some();
        let mut status = current.map_or_else(|| self.0.empty_status(), |transfer| transfer.status());
        self.0.want.name.as_str().clone_into(&mut status.name);
        status.limit = self.0.inlet.rate().map(Rate::get);
        status.state = match ended {
            Some(ended) => ended,
            None if self.0.joined.load(Ordering::Relaxed) => TransferState::Joined,
            None if !begun => TransferState::Locating,
            None if self.0.inlet.is_held() => TransferState::Paused,
            None => TransferState::Fetching,
        };
        status
    }

    /// It in a list of several.
    pub(super) fn listed(&self) -> Underway {
        let error = lock(&self.0.outcome)
            .as_ref()
            .and_then(|outcome| outcome.as_ref().err().map(ToString::to_string));
        let path = self.0.dest.path.display().to_string();
        Underway { number: self.0.number, path, error, status: self.status() }
    }

    /// What is fetched now, if it has begun: the listing of a folder, or the content itself.
    pub(in crate::peer) fn transfer(&self) -> Option<Arc<Transfer>> {
        lock(&self.0.current).clone()
    }

    /// Which it is, from the start of the peer on.
    pub(in crate::peer) fn number(&self) -> u64 {
        self.0.number
    }

    /// Waits for the end, but not past `timeout`.
    pub fn wait(&self, timeout: Duration) -> Option<Result<Report, FetchError>> {
        let outcome = lock(&self.0.outcome);
        let ended = self.0.changed.wait_timeout_while(outcome, timeout, |outcome| outcome.is_none());
        ended.unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// True until it has ended.
    pub(in crate::peer) fn is_under_way(&self) -> bool {
        lock(&self.0.outcome).is_none()
    }

    /// What is fetched.
    pub(in crate::peer) fn want(&self) -> &Want {
        &self.0.want
    }

    /// What may come of it at a time.
    pub(in crate::peer) fn inlet(&self) -> &Inlet {
        &self.0.inlet
    }

    /// Ends it; what is proved is kept for next time.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Release);
        self.0.stop_transfer();
        // Under the lock, so that who is about to wait hears of it.
        let _outcome = lock(&self.0.outcome);
        self.0.changed.notify_all();
    }

    /// Waits until its thread has nothing more to do, but not for longer than this.
    pub(in crate::peer) fn leave(&self, patience: Duration) {
        let _ = self.0.over.recv_timeout(patience);
    }
}

impl Course {
    /// Of a fetch that begins now, and what its thread is to hold for as long as it lives.
    pub(super) fn new(number: u64, want: Want, dest: Dest) -> (Arc<Course>, Sender<()>) {
        let (alive, over) = crossbeam_channel::bounded(0);
        let down = dest.down;
        let course = Course {
            number,
            want,
            dest,
            started: Instant::now(),
            outcome: Mutex::default(),
            changed: Condvar::new(),
            current: Mutex::default(),
            cancelled: AtomicBool::new(false),
            inlet: Arc::new(Inlet::new(down)),
            joined: AtomicBool::new(false),
            over,
        };
        (Arc::new(course), alive)
    }

    /// True if this is the very same fetch, and it goes on.
    pub(super) fn is(&self, want: &Want, dest: &Dest) -> bool {
        self.want == *want && self.dest.is(dest) && lock(&self.outcome).is_none()
    }

    /// The very same fetch was asked for again: it goes on, and as fast as was said then.
    pub(super) fn asked_again(&self, dest: &Dest) {
        self.inlet.hold(false);
        if dest.down.is_some() {
            self.inlet.set_rate(dest.down);
        }
    }

    /// How often trackers are asked for other sources, if it is not to be as is usual.
    pub(super) fn refresh(&self, usual: Duration) -> Duration {
        self.dest.refresh.unwrap_or(usual)
    }

    /// From now on this transfer is the job's.
    pub(super) fn begin(&self, transfer: Arc<Transfer>) {
        *lock(&self.current) = Some(transfer);
    }

    /// What was fetched, if it can be served.
    pub(super) fn fetched(&self) -> Option<Arc<Transfer>> {
        lock(&self.current).clone().filter(|transfer| transfer.is_servable())
    }

    /// Ends the transfer under way, if there is one.
    pub(super) fn stop_transfer(&self) {
        if let Some(transfer) = &*lock(&self.current) {
            transfer.finish(End::Cancelled);
        }
    }

    /// Waits for so long, or until it is cancelled; true if it goes on.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let outcome = lock(&self.outcome);
        drop(self.changed.wait_timeout_while(outcome, pause, |_| !self.is_cancelled()));
        !self.is_cancelled()
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Whether this waits for the end of the very same fetch elsewhere.
    pub(super) fn set_joined(&self, joined: bool) {
        self.joined.store(joined, Ordering::Relaxed);
    }

    /// How it ended; the first word about that counts.
    pub(super) fn end(&self, outcome: Result<Report, FetchError>) {
        lock(&self.outcome).get_or_insert(outcome);
        self.changed.notify_all();
    }

    /// How a job is that has no transfer.
    fn empty_status(&self) -> TransferStatus {
        let seconds = self.started.elapsed().as_secs_f64();
        TransferStatus { seconds, ..TransferStatus::empty(self.want.id.to_string(), TransferState::Locating) }
    }
}

/// How it ended, in a word.
fn ended(outcome: &Result<Report, FetchError>) -> TransferState {
    match outcome {
        Ok(_) => TransferState::Done,
        Err(FetchError::Interrupted) => TransferState::Cancelled,
        Err(_) => TransferState::Failed,
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::peer::job::want::sought;
    use crate::peer::transfer::of_one_byte;

    const LONG: Duration = Duration::from_secs(60);

    fn job() -> (Job, Arc<Course>, Sender<()>) {
        let (want, dest) = sought("a", "a");
        let (course, alive) = Course::new(7, want, dest);
        (Job(course.clone()), course, alive)
    }

    #[test]
    fn the_first_word_about_the_end_counts_and_wakes_who_waits() {
        let (job, course, _alive) = job();
        assert!(job.is_under_way() && job.wait(Duration::ZERO).is_none());
        thread::scope(|scope| {
            let waiting = scope.spawn(|| job.wait(LONG));
            course.end(Err(FetchError::Interrupted));
            assert!(matches!(waiting.join().unwrap(), Some(Err(FetchError::Interrupted))));
        });
        course.end(Err(FetchError::Internal("late".to_owned())));
        assert!(matches!(job.wait(Duration::ZERO), Some(Err(FetchError::Interrupted))));
        assert!(!job.is_under_way());
        assert_eq!(job.status().state, TransferState::Cancelled);
        let listed = job.listed();
        assert_eq!((listed.number, listed.path.as_str()), (7, "a"));
        assert_eq!(listed.error, Some(FetchError::Interrupted.to_string()));
    }

    #[test]
    fn who_pauses_goes_on_in_time_and_hears_at_once_that_it_is_cancelled() {
        let (job, course, _alive) = job();
        assert!(course.pause(Duration::from_millis(1)));
        thread::scope(|scope| {
            let pausing = scope.spawn(|| {
                let started = Instant::now();
                (course.pause(LONG), started.elapsed() < LONG)
            });
            job.cancel();
            assert_eq!(pausing.join().unwrap(), (false, true));
        });
        assert!(course.is_cancelled() && job.is_under_way(), "its thread is to end it");
    }

    #[test]
    fn the_same_fetch_is_one_that_goes_on_and_its_rate_changes_only_if_one_is_said() {
        let (job, course, _alive) = job();
        let (want, dest) = sought("a", "a");
        assert!(course.is(&want, &dest));
        assert!(!course.is(&want, &Dest { force: true, ..dest.clone() }));
        assert!(!course.is(&Want { size: Some(1), ..want.clone() }, &dest));
        course.inlet.hold(true);
        let slow = Rate::new(5);
        course.asked_again(&Dest { down: slow, ..dest.clone() });
        assert!(!job.inlet().is_held());
        course.asked_again(&dest);
        assert_eq!((job.inlet().rate(), job.status().limit), (slow, slow.map(Rate::get)));
        course.end(Err(FetchError::Interrupted));
        assert!(!course.is(&want, &dest), "it is over: the next is another");
    }

    #[test]
    fn what_came_of_it_ends_before_it_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let (job, course, _alive) = job();
        let transfer = Arc::new(of_one_byte(folder.path()));
        course.begin(transfer.clone());
        assert_eq!(job.status().state, TransferState::Fetching);
        job.inlet().hold(true);
        assert_eq!(job.status().state, TransferState::Paused);
        job.inlet().hold(false);
        transfer.finish(End::Done);
        let seen = transfer.status();
        assert_eq!((seen.state, job.status().state), (TransferState::Done, TransferState::Fetching));
        let path = String::new();
        let (partial, left_out, left_alone) = (String::new(), Vec::new(), Vec::new());
        let (left_out_more, left_older, trashed) = (0, 0, None);
        course.end(Ok(Report {
            status: seen,
            path,
            partial,
            left_out,
            left_out_more,
            left_alone,
            left_older,
            trashed,
        }));
        assert_eq!(job.status().state, TransferState::Done);
    }

    #[test]
    fn without_a_transfer_it_is_looked_for_or_waits_for_the_same_elsewhere() {
        let (job, course, alive) = job();
        for (joined, state) in [
            (false, TransferState::Locating),
            (true, TransferState::Joined),
            (false, TransferState::Locating),
        ] {
            course.set_joined(joined);
            assert_eq!(job.status().state, state);
        }
        assert_eq!(course.refresh(LONG), LONG);
        drop(alive);
        let started = Instant::now();
        job.leave(LONG);
        assert!(started.elapsed() < LONG, "its thread has ended");
    }
}
