//! A file to hash, and what came of it. Pure values.

use std::io;
use std::sync::Arc;

use super::record::{Found, Record};
use crate::content::ChunkHash;

/// A file to hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) path: Arc<str>,
    pub(super) found: Found,
}

/// What came of a job.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The file's record, and its chunk hashes if it has more than one chunk.
    Hashed(Record, Vec<ChunkHash>),
    /// The file changed meanwhile.
    Unstable,
    /// It could not be read.
    Failed(io::Error),
    /// The caller wants no more.
    Stopped,
}
