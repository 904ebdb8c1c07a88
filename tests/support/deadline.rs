//! How patient tests are.

use std::time::Duration;

/// How long anything may take before a test gives up: far above what a busy machine needs.
pub const DEADLINE: Duration = Duration::from_secs(30);
