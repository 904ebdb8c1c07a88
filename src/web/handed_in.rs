//! Descriptors that people hand in: what is listed of one.

use serde::Serialize;

/// A descriptor that somebody handed in.
#[derive(Debug, Clone, Serialize)]
pub(super) struct HandedIn {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) size: Option<u64>,
    pub(super) by: String,
    /// Milliseconds since 1970.
    pub(super) at: u64,
    pub(super) link: String,
}
