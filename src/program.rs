//! The whole program: what is said when a part of it panics, and its exit code if all of it did.

use std::panic::{self, PanicHookInfo};
use std::process::ExitCode;
use std::thread;

use crate::say;
use crate::threads;

/// Runs a whole program: every panic in it is told in one sentence, and one of this thread is exit code 1.
pub fn program(run: impl FnOnce() -> ExitCode) -> ExitCode {
    panic::set_hook(Box::new(tell));
    threads::caught(run).unwrap_or(ExitCode::from(threads::FAILED))
}

fn tell(panic: &PanicHookInfo<'_>) {
    let thread = thread::current();
    let place = panic.location().map_or_else(|| "unknown place".to_owned(), ToString::to_string);
    let words: String =
        threads::words(panic.payload()).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    say::line(&format!(
        "p2p: internal error in thread {} at {place}: {words}; {}",
        thread.name().unwrap_or("without a name"),
        threads::consequence(),
    ));
    let trace = std::backtrace::Backtrace::capture();
    if trace.status() == std::backtrace::BacktraceStatus::Captured {
        say::line(&trace.to_string());
    }
}
