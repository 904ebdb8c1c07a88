//! What other threads say to the one that looks: paths, and that there is something to do.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use crate::threads::lock;

/// Paths that other threads want looked at, and a way to wake the thread that looks.
pub(super) struct Mailbox {
    paths: Mutex<Vec<Arc<str>>>,
    event: OwnedFd,
}

impl Mailbox {
    pub(super) fn new() -> io::Result<Mailbox> {
        let event = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Mailbox { paths: Mutex::default(), event })
    }

    /// Has paths looked at soon, as if they had changed.
    pub(super) fn post(&self, paths: impl IntoIterator<Item = Arc<str>>) {
        lock(&self.paths).extend(paths);
        self.wake();
    }

    /// Has the other thread see whether there is something to do.
    pub(super) fn wake(&self) {
        // It can only fail when the counter is full, and then the thread is awake anyway.
        let _ = rustix::io::write(&self.event, &1_u64.to_ne_bytes());
    }

    pub(super) fn take(&self) -> Vec<Arc<str>> {
        std::mem::take(&mut lock(&self.paths))
    }

    /// Waits until woken, until `events` can be read, or until the time is over.
    pub(super) fn wait(&self, events: Option<BorrowedFd<'_>>, timeout: Option<Duration>) {
        let mut ready = vec![PollFd::new(&self.event, PollFlags::IN)];
        ready.extend(events.map(|events| PollFd::from_borrowed_fd(events, PollFlags::IN)));
        // Rounded up, so that a deadline has passed when the wait is over.
        let timeout = timeout.map(|timeout| timeout + Duration::from_millis(1));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        // An interrupted wait is a short one.
        let _ = poll(&mut ready, timeout.as_ref());
        let _ = rustix::io::read(&self.event, &mut [0; 8]);
    }
}
