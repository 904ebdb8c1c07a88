//! What other threads say to the one that looks: paths, and that there is something to do.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::net::wake::Wake;
use crate::threads::lock;

/// Paths that other threads want looked at, and a way to wake the thread that looks.
pub(super) struct Mailbox {
    paths: Mutex<Vec<Arc<str>>>,
    wake: Wake,
}

impl Mailbox {
    pub(super) fn new() -> io::Result<Mailbox> {
        Ok(Mailbox { paths: Mutex::default(), wake: Wake::new()? })
    }

    /// Has paths looked at soon, as if they had changed.
    pub(super) fn post(&self, paths: impl IntoIterator<Item = Arc<str>>) {
        lock(&self.paths).extend(paths);
        self.wake();
    }

    /// Has the other thread see whether there is something to do.
    pub(super) fn wake(&self) {
        self.wake.wake();
    }

    pub(super) fn take(&self) -> Vec<Arc<str>> {
        std::mem::take(&mut lock(&self.paths))
    }

    /// Waits until woken, until `events` can be read, or until the time is over; it may be over sooner.
    pub(super) fn wait(&self, events: Option<BorrowedFd<'_>>, timeout: Option<Duration>) {
        let timeout = timeout.unwrap_or(Duration::MAX);
        // What cannot be waited for is looked at again.
        let _ = match events {
            Some(events) => self.wake.wait_with(&events, timeout).map(drop),
            None => self.wake.wait_alone(timeout),
        };
    }
}
