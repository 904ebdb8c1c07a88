//! A tracker's threads: those of connections are joined when they have ended.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::threads::{Thread, lock};

/// Threads, each under a number of its own.
#[derive(Debug, Default)]
pub(super) struct Crew(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    running: BTreeMap<u64, JoinHandle<()>>,
    /// Those that have come to their end, or are a moment before it.
    ended: Vec<u64>,
}

/// Notes the end of a thread, however that comes.
struct Ending {
    crew: Arc<Crew>,
    number: u64,
}

impl Drop for Ending {
    fn drop(&mut self) {
        lock(&self.crew.0).ended.push(self.number);
    }
}

impl Crew {
    /// Starts a thread of a connection.
    ///
    /// # Errors
    /// The system has no room for it; what it was to do is dropped.
    pub(super) fn start(
        self: &Arc<Self>,
        thread: Thread,
        number: u64,
        run: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let ending = Ending { crew: Arc::clone(self), number };
        let started = thread.connection(move || {
            run();
            drop(ending);
        });
        let mut state = lock(&self.0);
        let started = started.map(|thread| drop(state.running.insert(number, thread)));
        if started.is_err() {
            state.ended.retain(|ended| *ended != number);
        }
        drop(state);
        self.join_ended();
        started
    }

    /// Joins those that have ended; a thread that is joined has given back its stack.
    pub(super) fn join_ended(&self) {
        let mut state = lock(&self.0);
        let State { running, ended } = &mut *state;
        let mut gone = Vec::new();
        // One that ended before it was noted is joined the next time.
        ended.retain(|number| running.remove(number).map(|thread| gone.push(thread)).is_none());
        drop(state);
        gone.into_iter().for_each(join);
    }

    /// Joins all; called when nobody starts any more.
    pub(super) fn join_all(&self) {
        let running = std::mem::take(&mut lock(&self.0).running);
        running.into_values().for_each(join);
    }

    /// How many have not been joined.
    #[cfg(test)]
    pub(super) fn running(&self) -> usize {
        lock(&self.0).running.len()
    }
}

/// What it did when it failed was told where that is decided.
pub(super) fn join(thread: JoinHandle<()>) {
    let _ = thread.join();
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::threads;

    /// More than any machine has.
    const NO_ROOM: usize = usize::MAX / 4;

    fn counts(crew: &Crew) -> (usize, usize) {
        let state = lock(&crew.0);
        (state.running.len(), state.ended.len())
    }

    #[test]
    fn who_has_ended_is_joined_and_the_others_at_the_end() {
        let crew = Arc::new(Crew::default());
        let (end, ends) = mpsc::channel::<()>();
        let waits = move || _ = ends.recv();
        crew.start(threads::named("test"), 1, waits).unwrap();
        crew.start(threads::named("test"), 2, || panic!("as it was told to")).unwrap();
        while lock(&crew.0).ended.is_empty() && counts(&crew).0 == 2 {
            std::thread::yield_now();
        }
        crew.join_ended();
        assert_eq!(counts(&crew), (1, 0));
        drop(end);
        crew.join_all();
        assert_eq!(counts(&crew).0, 0);
    }

    #[test]
    fn a_thread_that_cannot_be_started_leaves_nothing_behind() {
        let crew = Arc::new(Crew::default());
        let (kept, dropped) = mpsc::channel::<()>();
        let error = crew.start(threads::named("test").stack(NO_ROOM), 1, move || drop(kept));
        assert!(error.is_err());
        assert_eq!(counts(&crew), (0, 0));
        assert!(dropped.recv().is_err(), "what it was to do is dropped");
    }
}
