//! What stores are to keep, as it was asked for on the page of the peer that shares it: how far each is, and the threads that see to it
//! whether anybody looks or not.

use std::sync::Mutex;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use serde::Serialize;

use super::answer::Problem;
use crate::threads::lock;

/// What is asked for at a time.
const MAX_UNDER_WAY: usize = 16;
/// What is over and told of, the oldest of which goes first.
const MAX_OVER: usize = 100;

/// A content that is to be kept.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Upload {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) copies: u8,
    /// Chunks that are safe, each counted once for every copy, and those that are to be.
    pub(super) covered: u32,
    pub(super) needed: u32,
    /// As which version it is on record, once it is.
    pub(super) version: Option<u32>,
    /// Why nothing comes of it, if so.
    pub(super) problem: Option<String>,
}

impl Upload {
    fn is_over(&self) -> bool {
        self.version.is_some() || self.problem.is_some()
    }
}

/// All that was asked for.
#[derive(Debug)]
pub(super) struct Storing {
    uploads: Mutex<Vec<Upload>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// While it is there threads go on.
    going_on: Mutex<Option<Sender<()>>>,
    ended: Receiver<()>,
}

impl Default for Storing {
    fn default() -> Storing {
        let (going_on, ended) = crossbeam_channel::bounded(0);
        let going_on = Mutex::new(Some(going_on));
        Storing { uploads: Mutex::default(), threads: Mutex::default(), going_on, ended }
    }
}

impl Storing {
    /// Ends all threads. What stores have by then they keep for an hour, for who asks again.
    pub(super) fn stop(&self) {
        drop(lock(&self.going_on).take());
        for thread in std::mem::take(&mut *lock(&self.threads)) {
            let _ = thread.join();
        }
    }

    /// All, as they are now.
    pub(super) fn uploads(&self) -> Vec<Upload> {
        lock(&self.uploads).clone()
    }

    /// Waits for so long, or until all threads are to end; true if they go on.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        self.ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout)
    }

    /// A thread that sees to one of them.
    pub(super) fn has(&self, thread: JoinHandle<()>) {
        let mut threads = lock(&self.threads);
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
    }

    /// One has come further.
    pub(super) fn set(&self, id: &str, change: impl FnOnce(&mut Upload)) {
        if let Some(upload) = lock(&self.uploads).iter_mut().find(|upload| upload.id == id) {
            change(upload);
        }
    }

    /// Takes one in, in the place of the same that is over.
    ///
    /// # Errors
    /// It is under way, or too many are.
    pub(super) fn begin(&self, upload: Upload) -> Result<(), Problem> {
        let mut uploads = lock(&self.uploads);
        if uploads.iter().any(|other| other.id == upload.id && !other.is_over()) {
            return Err(Problem::conflict("stores are being asked to keep it already"));
        }
        if uploads.iter().filter(|other| !other.is_over()).count() >= MAX_UNDER_WAY {
            return Err(Problem::conflict("stores are being asked to keep too much; wait for some of it"));
        }
        uploads.retain(|other| other.id != upload.id);
        if uploads.len() >= MAX_OVER
            && let Some(oldest) = uploads.iter().position(Upload::is_over)
        {
            uploads.remove(oldest);
        }
        uploads.push(upload);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(number: usize, version: Option<u32>) -> Upload {
        let (covered, needed, problem) = (0, 0, None);
        Upload { name: "a".into(), id: number.to_string(), copies: 2, covered, needed, version, problem }
    }

    #[test]
    fn what_is_under_way_is_asked_for_once_and_bounded_and_what_is_over_makes_room() {
        let storing = Storing::default();
        for number in 0..MAX_UNDER_WAY {
            storing.begin(upload(number, None)).unwrap();
        }
        assert!(storing.begin(upload(MAX_UNDER_WAY, None)).is_err(), "too many");
        storing.set("0", |upload| upload.version = Some(1));
        assert!(storing.begin(upload(1, None)).is_err(), "it is under way");
        storing.begin(upload(0, None)).unwrap();
        for number in 1..MAX_UNDER_WAY {
            storing.set(&number.to_string(), |upload| upload.problem = Some("no".into()));
        }
        for number in 100..300 {
            storing.begin(upload(number, None)).unwrap();
            storing.set(&number.to_string(), |upload| upload.version = Some(1));
        }
        assert_eq!(lock(&storing.uploads).len(), MAX_OVER);
        assert!(lock(&storing.uploads).iter().any(|upload| upload.id == "0"), "what is under way stays");
    }
}
