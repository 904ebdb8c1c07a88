//! What the benchmark programs share: processes, the machine, statistics, tables, plots, the document.
//!
//! Nothing here knows what is measured.
#![allow(dead_code, reason = "every benchmark is a crate of its own and uses only a part of this module")]

pub(crate) mod document;
pub(crate) mod files;
pub(crate) mod interrupt;
pub(crate) mod machine;
pub(crate) mod p2p;
pub(crate) mod plot;
pub(crate) mod process;
pub(crate) mod stats;
pub(crate) mod table;
