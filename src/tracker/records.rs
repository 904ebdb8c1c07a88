//! The hard state: what would be lost with the tracker. Names that are published, their versions, and what stores
//! promise of them.
//!
//! `machine` is all of it, `command` what can be asked of it, `clients` what makes a command that comes twice
//! harmless, `snapshot` all of it as bytes, `journal` what is on disk, `recorder` the way to change it.

mod clients;
mod command;
mod journal;
mod machine;
mod recorder;
#[cfg(test)]
mod samples;
mod snapshot;

pub use command::{Command, Import, Outcome, Publish, Refused, Remove, Start};
pub use journal::{Journal, JournalError};
pub use machine::{Applied, Content, Promise, Records};
pub use recorder::{Recorder, Unrecorded};
