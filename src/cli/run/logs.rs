//! Logs and wire traces: both on standard error.

use tracing_subscriber::EnvFilter;

use crate::cli::typed::options::LogArgs;
use crate::net::trace::{self, Side};
use crate::say;

/// Sets up both, once at the start.
pub(crate) fn start(args: &LogArgs) {
    let level = if args.quiet {
        say::be_quiet();
        EnvFilter::new("error")
    } else {
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"))
    };
    tracing_subscriber::fmt()
        .with_env_filter(level)
        .with_writer(|| say::Lines)
        .log_internal_errors(false)
        .with_ansi(say::in_colour())
        .with_target(false)
        .init();
    for side in [Side::Tracker, Side::Serve, Side::Fetch] {
        trace::set(side, args.verbose.min(trace::ALL));
    }
    for (side, level) in &args.trace {
        trace::set(*side, *level);
    }
}
