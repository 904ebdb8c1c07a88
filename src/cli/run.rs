//! What does its work in this process: trackers and peers until they are stopped, and what hashes or fetches for a
//! command.

pub(crate) mod create;
mod demo;
pub(crate) mod engine;
mod enter;
pub(crate) mod hook;
pub(crate) mod logs;
mod news;
#[cfg(feature = "web")]
mod page;
mod parity;
pub(crate) mod peer;
mod scan;
pub(crate) mod scratch;
pub(crate) mod share;
mod sharer;
pub(crate) mod signals;
pub(crate) mod tracker;
pub(crate) mod up;
pub(crate) mod upload;
