//! Commands that answer a question and change nothing.

pub(crate) mod completions;
pub(crate) mod conformance;
pub(crate) mod find;
pub(crate) mod list;
pub(crate) mod load;
pub(crate) mod status;
pub(crate) mod why;
