//! Whom a command asks: trackers, all at once, and the running peer of a folder.

pub(crate) mod asking;
pub(crate) mod client;
pub(crate) mod daemon;
pub(crate) mod known;
pub(crate) mod locate;
pub(crate) mod named;
pub(crate) mod short;
pub(crate) mod swarm;
pub(crate) mod tracker;
pub(crate) mod young;
