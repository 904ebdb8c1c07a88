//! SIGINT and SIGTERM as a flag that the loops of a benchmark look at.
//!
//! A benchmark that is interrupted returns an error through the ordinary path, so that every
//! destructor (children, namespaces, scratch folders) runs. A second signal ends it at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

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
