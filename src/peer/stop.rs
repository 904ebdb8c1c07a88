//! How the threads of a peer hear that it stops, and how it waits for them: one word for all, however each waits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

use crate::net::wake::Wake;
use crate::threads::lock;

/// Whether a peer stops.
#[derive(Debug)]
pub(super) struct Stop {
    stopping: AtomicBool,
    /// Those that wait in `poll`.
    wakes: Mutex<Vec<Weak<Wake>>>,
    /// Dropped at the stop, which those that wait on channels see.
    going_on: Mutex<Option<Sender<()>>>,
    stopped: Receiver<()>,
    /// Given to threads; ends with the last of them.
    present: Mutex<Option<Sender<()>>>,
    ended: Receiver<()>,
}

/// A thread that is waited for holds this while it lives.
#[derive(Debug)]
pub(super) struct Present {
    _alive: Option<Sender<()>>,
}

impl Stop {
    pub(super) fn new() -> Arc<Stop> {
        let (going_on, stopped) = crossbeam_channel::bounded(0);
        let (present, ended) = crossbeam_channel::bounded(0);
        Arc::new(Stop {
            stopping: AtomicBool::new(false),
            wakes: Mutex::default(),
            going_on: Mutex::new(Some(going_on)),
            stopped,
            present: Mutex::new(Some(present)),
            ended,
        })
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Whoever waits for this wake looks again when the peer stops.
    pub(super) fn wakes(&self, wake: &Arc<Wake>) {
        let mut wakes = lock(&self.wakes);
        wakes.retain(|wake| wake.strong_count() > 0);
        wakes.push(Arc::downgrade(wake));
        drop(wakes);
        if self.is_stopping() {
            wake.wake();
        }
    }

    /// Hears nothing, and ends when the peer stops.
    pub(super) fn stopped(&self) -> &Receiver<()> {
        &self.stopped
    }

    /// A thread begins that is to be waited for.
    pub(super) fn enter(&self) -> Present {
        Present { _alive: lock(&self.present).clone() }
    }

    /// Says it to all.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        drop(lock(&self.going_on).take());
        for wake in lock(&self.wakes).drain(..).filter_map(|wake| wake.upgrade()) {
            wake.wake();
        }
    }

    /// Waits for the threads that have entered, but not for longer than this: one may hang in a name, a dial or a
    /// HELLO, and nothing depends on its end. True if all have ended.
    pub(super) fn wait(&self, patience: Duration) -> bool {
        drop(lock(&self.present).take());
        self.ended.recv_timeout(patience) == Err(crossbeam_channel::RecvTimeoutError::Disconnected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_hear_of_it_however_they_wait_and_are_waited_for() {
        let stop = Stop::new();
        let wake = Arc::new(Wake::new().unwrap());
        stop.wakes(&wake);
        let (in_poll, on_channel) = (stop.clone(), stop.clone());
        let present = [stop.enter(), stop.enter()];
        let threads = present.into_iter().enumerate().map(|(number, present)| {
            let (in_poll, on_channel, wake) = (in_poll.clone(), on_channel.clone(), wake.clone());
            std::thread::spawn(move || {
                let _present = present;
                if number == 0 {
                    while !in_poll.is_stopping() {
                        wake.wait_alone(Duration::from_secs(60)).unwrap();
                    }
                } else {
                    assert!(on_channel.stopped().recv().is_err());
                }
            })
        });
        let threads: Vec<_> = threads.collect();
        assert!(!stop.is_stopping());
        stop.stop();
        assert!(stop.wait(Duration::from_secs(60)));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }

    #[test]
    fn who_hangs_is_not_waited_for_and_who_comes_late_hears_of_it() {
        let stop = Stop::new();
        let _hangs = stop.enter();
        stop.stop();
        assert!(!stop.wait(Duration::from_millis(1)));
        let wake = Arc::new(Wake::new().unwrap());
        stop.wakes(&wake);
        wake.wait_alone(Duration::from_secs(60)).unwrap();
        assert!(stop.is_stopping());
    }
}
