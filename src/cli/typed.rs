//! What can be typed and configured, and what it means; nothing is asked or done here.

pub(crate) mod address;
pub(crate) mod args;
pub(crate) mod cluster;
pub(crate) mod examples;
pub(crate) mod fault;
pub(crate) mod nodes;
pub(crate) mod options;
#[cfg(feature = "web")]
pub(crate) mod page;
pub(crate) mod published;
pub(crate) mod settings;
pub(crate) mod sought;
pub(crate) mod steering;
pub(crate) mod swarm;
pub(crate) mod swarm_file;
pub(crate) mod values;
pub(crate) mod what;
