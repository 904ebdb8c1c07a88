//! Misbehaviour and slowness on purpose, for tests and experiments.

mod faults;
mod latency;

pub use faults::FaultPlan;
pub(super) use faults::{Fate, Faults};
pub(super) use latency::Line;
pub use latency::{Latencies, LatencyError};
