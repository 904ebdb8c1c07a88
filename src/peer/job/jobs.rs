//! The jobs of a peer: those that are under way or lend what they fetched, and how the last others ended.
//!
//! Owns the list; of a job that has left only a few lines stay.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crossbeam_channel::Sender;

use super::handle::{Course, Job};
use super::want::{Dest, Want};
use crate::api::{TransferStatus, Underway};
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
    /// In the order in which they ended, with what was sought by them.
    ended: VecDeque<(Underway, Want, Dest)>,
}

impl State {
    fn forget(&mut self, job: &Arc<Course>) -> bool {
        let before = self.live.len();
        self.live.retain(|other| !Arc::ptr_eq(other, job));
        self.live.len() < before
    }
}

impl Jobs {
    /// The job that fetches this. The very same fetch is one, however often it is asked for: only with what is new
    /// comes what its thread is to hold.
    pub(super) fn enter(&self, want: Want, dest: Dest) -> (Arc<Course>, Option<Sender<()>>) {
        let mut state = lock(&self.0);
        if let Some(same) = state.live.iter().find(|job| job.is(&want, &dest)) {
            same.asked_again(&dest);
            return (same.clone(), None);
        }
        state.last += 1;
        let (job, alive) = Course::new(state.last, want, dest);
        state.live.push(job.clone());
        (job, Some(alive))
    }

    /// The job is over, and nothing of it is lent.
    pub(super) fn leave(&self, job: &Arc<Course>) {
        let last = (Job(job.clone()).listed(), job.want.clone(), job.dest.clone());
        let mut state = lock(&self.0);
        if state.forget(job) {
            state.ended.push_back(last);
            if state.ended.len() > MAX_ENDED {
                state.ended.pop_front();
            }
        }
    }

    /// A job that never began; true if it was here.
    pub(super) fn forget(&self, job: &Arc<Course>) -> bool {
        lock(&self.0).forget(job)
    }

    /// Those that are here, the oldest first.
    pub(in crate::peer) fn live(&self) -> Vec<Job> {
        lock(&self.0).live.iter().cloned().map(Job).collect()
    }

    /// The jobs, those that ended lately among them, the oldest first.
    pub(in crate::peer) fn listed(&self) -> Vec<Underway> {
        let (mut all, live) = {
            let state = lock(&self.0);
            let ended: Vec<Underway> = state.ended.iter().map(|(ended, ..)| ended.clone()).collect();
            (ended, state.live.clone())
        };
        all.extend(live.into_iter().map(|job| Job(job).listed()));
        all.sort_by_key(|job| job.number);
        all
    }

    /// What one of this number was to fetch, and where to.
    pub(in crate::peer) fn sought(&self, number: u64) -> Option<(Want, Dest)> {
        let state = lock(&self.0);
        let live = state.live.iter().map(|job| (job.number, &job.want, &job.dest));
        let ended = state.ended.iter().map(|(ended, want, dest)| (ended.number, want, dest));
        let (_, want, dest) = live.chain(ended).find(|(of, ..)| *of == number)?;
        Some((want.clone(), dest.clone()))
    }

    /// How they are.
    pub(in crate::peer) fn statuses(&self) -> Vec<TransferStatus> {
        self.listed().into_iter().map(|job| job.status).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::error::FetchError;
    use super::super::want;
    use super::*;
    use crate::api::TransferState;
    use crate::content::{FileId, Rate};

    fn sought(number: u8) -> (Want, Dest) {
        let (want, dest) = want::sought("f", "d");
        (Want { id: FileId([number; 32]), ..want }, dest)
    }

    fn enter(jobs: &Jobs, number: u8) -> (Arc<Course>, bool) {
        let (want, dest) = sought(number);
        let (job, alive) = jobs.enter(want, dest);
        (job, alive.is_some())
    }

    fn ids(jobs: &Jobs) -> Vec<String> {
        jobs.statuses().into_iter().map(|status| status.id[..2].to_owned()).collect()
    }

    #[test]
    fn the_very_same_fetch_is_one_until_it_has_ended() {
        let jobs = Jobs::default();
        let (first, new) = enter(&jobs, 1);
        assert!(new);
        let (same, new) = enter(&jobs, 1);
        assert!(!new && Arc::ptr_eq(&first, &same));
        first.inlet.hold(true);
        let (want, dest) = sought(1);
        let (_, alive) = jobs.enter(want, Dest { down: Rate::new(7), ..dest });
        assert!(alive.is_none() && !first.inlet.is_held());
        assert_eq!(first.inlet.rate(), Rate::new(7), "it goes on, at the rate that was said last");
        let (other, new) = enter(&jobs, 2);
        assert!(new && other.number == first.number + 1);
        first.end(Err(FetchError::Interrupted));
        let (again, new) = enter(&jobs, 1);
        assert!(new && !Arc::ptr_eq(&first, &again));
        assert_eq!(jobs.live().len(), 3);
    }

    #[test]
    fn of_those_that_have_left_the_last_few_are_told_of() {
        let jobs = Jobs::default();
        let (stays, _) = enter(&jobs, 200);
        for number in 0..=MAX_ENDED as u8 {
            let (job, _) = enter(&jobs, number);
            job.end(Err(FetchError::NotFound("f".into())));
            jobs.leave(&job);
            jobs.leave(&job);
        }
        let told = ids(&jobs);
        assert_eq!((told.len(), &*told[0], &*told[1], &*told[MAX_ENDED]), (MAX_ENDED + 1, "c8", "01", "40"));
        let states: Vec<_> = jobs.statuses().into_iter().map(|status| status.state).collect();
        assert_eq!((states[0], states[1]), (TransferState::Locating, TransferState::Failed));
        assert!(jobs.forget(&stays) && !jobs.forget(&stays));
        assert_eq!((ids(&jobs).len(), jobs.live().len()), (MAX_ENDED, 0));
        assert_eq!(jobs.sought(jobs.listed()[0].number), Some(sought(1)), "and can be asked for again");
        assert_eq!(jobs.sought(1), None);
    }

    #[test]
    fn the_first_word_about_the_end_counts_and_who_waits_hears_it() {
        let (want, dest) = sought(1);
        let (course, alive) = Course::new(1, want, dest);
        let job = Job(course.clone());
        assert!(job.wait(Duration::ZERO).is_none());
        let waiting = std::thread::spawn(move || job.wait(Duration::from_secs(60)));
        course.end(Err(FetchError::NotFound("f".into())));
        course.end(Err(FetchError::Interrupted));
        assert!(matches!(waiting.join().unwrap(), Some(Err(FetchError::NotFound(_)))));
        drop(alive);
        Job(course).leave(Duration::from_secs(60));
    }

    #[test]
    fn a_cancelled_job_pauses_no_more() {
        let (want, dest) = sought(1);
        let (course, _alive) = Course::new(1, want, dest);
        assert!(course.pause(Duration::ZERO));
        let pausing = course.clone();
        let pausing = std::thread::spawn(move || pausing.pause(Duration::from_secs(600)));
        Job(course.clone()).cancel();
        assert!(!pausing.join().unwrap() && !course.pause(Duration::from_secs(600)));
        course.set_joined(true);
        assert_eq!(Job(course).status().state, TransferState::Joined);
    }
}
