//! SIGINT and SIGTERM as a flag that the loops of a benchmark look at.
//!
//! A benchmark that is interrupted returns an error through the ordinary path, so that every
//! destructor (children, namespaces, scratch folders) runs. A second signal ends it at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Starts listening for SIGINT and SIGTERM.
pub(crate) fn install() -> Result<()> {
    let flag = FLAG.get_or_init(Arc::default);
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(flag))?;
        signal_hook::flag::register(signal, Arc::clone(flag))?;
    }
    Ok(())
}

/// An error once a signal has arrived.
pub(crate) fn check() -> Result<()> {
    if FLAG.get().is_some_and(|flag| flag.load(Ordering::Relaxed)) {
        bail!("interrupted");
    }
    Ok(())
}

/// Looks every `tick` until it is `done`; false if it is not within `limit`. An error once a signal has arrived. For what
/// tells nobody that it is done: other processes, and the kernel's write-back.
pub(crate) fn poll(limit: Duration, tick: Duration, mut done: impl FnMut() -> Result<bool>) -> Result<bool> {
    let deadline = Instant::now() + limit;
    while !done()? {
        check()?;
        if Instant::now() > deadline {
            return Ok(false);
        }
        thread::sleep(tick); // there is no event to wait for, and a signal must be seen too
    }
    Ok(true)
}
