//! What a swarm's members decide: whom to ask for what, whom to dial, whose turn it is, who has hung.
//!
//! Everything here is pure: events and `now` go in, effects or answers come out; no socket, file, thread,
//! clock or unseeded chance. Peers wrap it in threads and locks, the simulator in neither.

pub(crate) mod backlog;
pub(crate) mod backoff;
pub(crate) mod claims;
pub(crate) mod desk;
pub(crate) mod dials;
pub(crate) mod errands;
pub(crate) mod neighbours;
pub(crate) mod patience;
pub(crate) mod round;
pub mod scheduler;
mod seed;
pub(crate) mod shards;
mod shunned;
pub(crate) mod silence;
pub(crate) mod telling;
pub(crate) mod throttle;
pub(crate) mod turns;
pub(crate) mod uplink;
