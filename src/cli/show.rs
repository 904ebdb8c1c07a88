//! What people and programs read: words for numbers, tables, JSON, the one way to standard output.

pub(crate) mod output;
pub(crate) mod table;
pub(crate) mod words;
