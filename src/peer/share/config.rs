//! What is to be shared, how far the first look at it has come, and what may be in the way.

use std::io;
use std::path::PathBuf;

use super::selection::Selection;
use crate::content::NameError;

/// What to share and how.
#[derive(Debug, Clone)]
pub struct Config {
    /// A folder, or a single file, which is then shared alone.
    pub folder: PathBuf,
    /// Stands before every path in its name and ends with `/`; the folder itself is then a tree of
    /// this name. Without it the folder is no tree, and names are paths below it.
    pub prefix: Option<String>,
    /// The state folder, made if need be; never shared.
    pub state: PathBuf,
    /// What of a folder is shared; a single file is, whatever it is called.
    pub selection: Selection,
    /// True to follow changes while sharing.
    pub watch: bool,
    /// Threads that walk and hash; 0 for one on each core.
    pub threads: usize,
}

/// Why something cannot be shared.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// It does not exist or cannot be read.
    #[error("cannot share {}: {source}", path.display())]
    Folder {
        /// What was to be shared.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is neither a file nor a folder, or its name cannot be told to others.
    #[error("cannot share {}: {reason}", path.display())]
    Unsuitable {
        /// What was to be shared.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The prefix is not a name.
    #[error("{prefix:?} cannot stand before names: {source}")]
    Prefix {
        /// The prefix.
        prefix: String,
        /// What is wrong with it.
        source: NameError,
    },
    /// Another process shares the same folder.
    #[error("another p2p peer is sharing this folder ({})", path.display())]
    Busy {
        /// What was to be shared.
        path: PathBuf,
    },
    /// The system has no thread or event descriptor left.
    #[error("cannot share: {0}")]
    System(#[from] io::Error),
    /// The caller wanted no more while files were hashed. What was hashed is remembered.
    #[error("stopped before everything was hashed")]
    Stopped,
}

/// How far the first look has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Files to hash.
    pub files: u64,
    /// Files hashed.
    pub files_done: u64,
    /// Bytes to hash.
    pub bytes: u64,
    /// Bytes hashed.
    pub bytes_done: u64,
}
