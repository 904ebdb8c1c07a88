//! A peer: shares a folder, serves chunks, fetches files.
//!
//! [`start`] wires the parts together and starts their threads: one that accepts connections, one for each
//! connection, one for each tracker, one for each fetch.

mod accept;
mod addresses;
mod called;
mod callers;
mod config;
mod control;
mod dialling;
pub(crate) mod disk;
mod duties;
mod got;
mod hint;
mod holdings;
mod home;
mod job;
pub mod lend;
mod made;
mod mischief;
mod news;
mod node;
mod ops;
mod page;
mod questions;
mod reading;
mod registrations;
mod serve;
pub mod share;
mod stamp;
mod start;
mod state_folder;
mod stop;
mod trackers;
mod transfer;

pub use config::{Config, Lending, Limits, MAX_CONNECTIONS, PeerError, control_folders, state_of};
pub use disk::DiskError;
pub use got::Got;
pub use job::{Dest, FetchError, Job, Want};
pub use mischief::{FaultPlan, Latencies, LatencyError};
pub use news::News;
pub use ops::Hand;
pub use reading::{Member, ReadError, Reading};
pub use start::{Peer, start};
