//! Commands that answer a question, or tell a running peer something.

pub(crate) mod cluster;
pub(crate) mod completions;
pub(crate) mod conformance;
pub(crate) mod doctor;
pub(crate) mod find;
pub(crate) mod join;
pub(crate) mod list;
pub(crate) mod load;
pub(crate) mod members;
pub(crate) mod node;
pub(crate) mod nodes;
#[cfg(feature = "web")]
pub(crate) mod page;
pub(crate) mod publish;
pub(crate) mod remove;
pub(crate) mod status;
pub(crate) mod steer;
pub(crate) mod stores;
pub(crate) mod versions;
pub(crate) mod why;
