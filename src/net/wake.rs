//! How a thread that waits for something is woken by others.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

use crate::descriptors::patiently;

/// Wakes one thread. Cheap when it is awake already.
#[derive(Debug)]
pub(crate) struct Wake {
    event: OwnedFd,
    pending: AtomicBool,
}

impl Wake {
    pub(crate) fn new() -> io::Result<Wake> {
        let event = patiently(|| eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC))?;
        Ok(Wake { event, pending: AtomicBool::new(false) })
    }

    pub(crate) fn wake(&self) {
        if !self.pending.swap(true, Ordering::SeqCst) {
            // It can only fail when the counter is full, and then the thread is awake anyway.
            let _ = rustix::io::write(&self.event, &1_u64.to_ne_bytes());
        }
    }

    /// Called by the woken thread before it looks for what there is to do, with what it found of [`Wake::poll`]. Another
    /// thread may have begun to wake it, and not have got as far as the event: that one is for the next wait, else the
    /// event would stay, and no wait wait.
    pub(super) fn awake(&self, found: PollFlags) {
        if !found.is_empty() {
            let _ = rustix::io::read(&self.event, &mut [0; 8]);
            self.pending.store(false, Ordering::SeqCst);
        }
    }

    /// What to wait for beside other things; whoever waits calls [`Wake::awake`] afterwards.
    pub(super) fn poll(&self) -> PollFd<'_> {
        PollFd::new(&self.event, PollFlags::IN)
    }

    /// Waits until woken or until something else has to read; true if it has.
    pub(crate) fn wait_with(&self, socket: &impl AsFd, timeout: Duration) -> io::Result<bool> {
        let mut ready = [PollFd::new(socket, PollFlags::IN), self.poll()];
        wait_for(&mut ready, timeout)?;
        self.awake(ready[1].revents());
        Ok(!ready[0].revents().is_empty())
    }

    /// Waits until woken, or until the other side of a connection sends no more. What it still sends may lie there.
    pub(crate) fn wait_unless_cut(&self, socket: &impl AsFd, timeout: Duration) -> io::Result<()> {
        let mut ready = [PollFd::new(socket, PollFlags::RDHUP), self.poll()];
        wait_for(&mut ready, timeout)?;
        self.awake(ready[1].revents());
        Ok(())
    }

    /// Waits until woken, or until a socket has to read or room to write, whichever is asked for.
    #[cfg(feature = "web")]
    pub(crate) fn wait_for(
        &self,
        socket: &impl AsFd,
        (read, write): (bool, bool),
        timeout: Duration,
    ) -> io::Result<()> {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, read);
        flags.set(PollFlags::OUT, write);
        let mut ready = [PollFd::new(socket, flags), self.poll()];
        wait_for(&mut ready, timeout)?;
        self.awake(ready[1].revents());
        Ok(())
    }

    /// Waits until woken.
    pub(crate) fn wait_alone(&self, timeout: Duration) -> io::Result<()> {
        let mut ready = [self.poll()];
        wait_for(&mut ready, timeout)?;
        self.awake(ready[0].revents());
        Ok(())
    }
}

/// Waits until one of these is ready or the time is over; it may be over sooner.
pub(super) fn wait_for(ready: &mut [PollFd<'_>], timeout: Duration) -> io::Result<()> {
    let timeout =
        Timespec { tv_sec: timeout.as_secs().min(86_400) as i64, tv_nsec: i64::from(timeout.subsec_nanos()) };
    match poll(ready, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Instant;

    use super::*;
    use crate::net::tests::pair;

    const LONG: Duration = Duration::from_secs(3600);
    const SHORT: Duration = Duration::from_millis(20);

    #[test]
    fn woken_before_or_during_the_wait_once() {
        let wake = Wake::new().unwrap();
        wake.wake();
        wake.wake();
        wake.wait_alone(LONG).unwrap();
        let begun = Instant::now();
        wake.wait_alone(SHORT).unwrap();
        assert!(begun.elapsed() >= SHORT, "two calls before it looks are one");
        std::thread::scope(|scope| {
            scope.spawn(|| wake.wake());
            wake.wait_alone(LONG).unwrap();
        });
    }

    #[test]
    fn one_that_is_being_woken_when_it_stops_waiting_is_woken_once_and_then_waits() {
        let wake = Wake::new().unwrap();
        wake.pending.store(true, Ordering::SeqCst); // as far as the other thread has got
        wake.wait_alone(Duration::ZERO).unwrap();
        rustix::io::write(&wake.event, &1_u64.to_ne_bytes()).unwrap();
        wake.wait_alone(LONG).unwrap();
        let begun = Instant::now();
        wake.wait_alone(SHORT).unwrap();
        assert!(begun.elapsed() >= SHORT, "nothing is left of it");
        wake.wake();
        wake.wait_alone(LONG).unwrap();
    }

    #[test]
    fn a_socket_ends_the_wait_too() {
        let (mut near, far, _) = pair();
        let wake = Wake::new().unwrap();
        assert!(!wake.wait_with(&far, SHORT).unwrap());
        wake.wake();
        assert!(!wake.wait_with(&far, LONG).unwrap(), "it was a call");
        near.write_all(b"x").unwrap();
        assert!(wake.wait_with(&far, LONG).unwrap());
    }
}
