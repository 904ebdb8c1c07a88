//! Misbehaviour and slowness on purpose, for tests and experiments.

mod faults;
mod latency;
mod serving;

pub(super) use faults::Fate;
pub use faults::FaultPlan;
pub use latency::{Latencies, LatencyError};
pub(super) use serving::Mischief;
