//! SIGINT, SIGTERM and SIGHUP.
//!
//! A command that has nothing to keep exits at once. One that has says so with [`Stop::graceful`], is
//! told of the first signal, and is cut off by the second.

use std::fs;
use std::io;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::api::Exit;
use crate::cli::failure::Failure;
use crate::cli::run::scratch;
use crate::node::Service;
use crate::threads;

/// Room for the thread that waits for signals.
const STACK_BYTES: usize = 64 << 10;

/// Whether this process has been asked to stop.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    graceful: AtomicBool,
    asked: Mutex<bool>,
    told: Condvar,
}

impl Stop {
    /// Catches the signals from now on, but for SIGHUP where `nohup` says that it means nothing.
    pub(crate) fn install() -> Result<Stop, Failure> {
        let failed = |error: io::Error| Failure::other(format!("cannot catch signals: {error}"));
        let hangup = (!is_ignored(SIGHUP)).then_some(SIGHUP);
        let mut signals = Signals::new([SIGINT, SIGTERM].into_iter().chain(hangup)).map_err(failed)?;
        let stop = Stop::default();
        let shared = stop.shared.clone();
        let watch = move || {
            for _ in signals.forever() {
                shared.signal();
            }
        };
        threads::named("signals").stack(STACK_BYTES).essential(watch).map_err(failed)?;
        Ok(stop)
    }

    /// This process as a service, which stops when the agent is gone whose role it is.
    pub(crate) fn service(&self) -> Result<Service, Failure> {
        let shared = self.shared.clone();
        Ok(Service::begin(move || shared.signal())?)
    }

    /// From now on there is something to finish after a signal.
    pub(crate) fn graceful(&self) {
        self.shared.graceful.store(true, Ordering::Relaxed);
    }

    /// True once a signal has come.
    pub(crate) fn asked(&self) -> bool {
        *threads::lock(&self.shared.asked)
    }

    /// Waits for a signal, at most until `deadline`; true if it came.
    pub(crate) fn wait_until(&self, deadline: Option<Instant>) -> bool {
        let mut asked = threads::lock(&self.shared.asked);
        while !*asked {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                break;
            }
            // A wait without a deadline wakes up now and then, for the lack of a longer duration.
            let left = left.unwrap_or(Duration::from_secs(3600));
            let woken = self.shared.told.wait_timeout(asked, left);
            asked = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        *asked
    }
}

/// True if whoever started this process had the signal ignored.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

impl Shared {
    fn signal(&self) {
        threads::may_panic("signals");
        let mut asked = threads::lock(&self.asked);
        if *asked || !self.graceful.load(Ordering::Relaxed) {
            scratch::clear();
            process::exit(Exit::Interrupted as i32);
        }
        *asked = true;
        self.told.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_is_told_to_who_has_something_to_finish() {
        let stop = Stop::default();
        assert!(!stop.asked() && !stop.wait_until(Some(Instant::now())));
        stop.graceful();
        stop.shared.signal();
        assert!(stop.asked() && stop.wait_until(None) && stop.clone().asked());
    }
}
