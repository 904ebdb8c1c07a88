//! What is kept on disk and must be right when it is read again: checked logs, and folders that one process has.

mod hole;
pub mod log;
mod owned;
mod said;
pub mod witness;

pub(crate) use hole::punch;
pub(crate) use owned::open_plain;
pub use owned::{Owned, OwnedError, sync_folder};
pub(crate) use said::said;
