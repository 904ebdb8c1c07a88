//! Why a fetch failed.

use crate::api::Exit;
use crate::content::{FileId, TreeError};
use crate::peer::disk::DiskError;

/// Why a fetch failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FetchError {
    /// No tracker knows the content.
    #[error("no tracker knows {0}")]
    NotFound(String),
    /// The tree has nothing of what is wanted of it.
    #[error("nothing in {0} is what --include and --exclude leave of it")]
    NothingOf(String),
    /// No tracker, or no peer that has what is missing, could be reached in time.
    #[error("{0}")]
    NobodyReached(String),
    /// Nobody has it any more: where it came from, its name is another content now.
    #[error(
        "{name} changed at its source while it was fetched: it is now {now_is} (this was {id}); the same command fetches the new version"
    )]
    Changed {
        /// The name.
        name: String,
        /// What was fetched.
        id: FileId,
        /// What the name stands for now.
        now_is: FileId,
    },
    /// What arrived cannot be what was asked for.
    #[error("{0}")]
    Integrity(String),
    /// A different file is in the way.
    #[error("{0} exists and is different (`--force` replaces it)")]
    Exists(String),
    /// The listing of a tree has a name that would leave the destination, or is damaged.
    #[error("the listing is refused: {0}")]
    BadTree(#[from] TreeError),
    /// The disk, or something on it, is in the way.
    #[error("{0}")]
    Disk(String),
    /// It was cancelled; what is proved is kept for next time.
    #[error("interrupted; what has arrived is kept for next time")]
    Interrupted,
    /// This program has a fault.
    #[error("the fetch ended by an internal error ({0}); what has arrived is kept for next time")]
    Internal(String),
}

impl FetchError {
    /// How a tool exits that fails with this.
    pub fn exit(&self) -> Exit {
        match self {
            FetchError::NotFound(_) | FetchError::NothingOf(_) => Exit::NotFound,
            FetchError::NobodyReached(_) | FetchError::Changed { .. } => Exit::Unreachable,
            FetchError::Integrity(_) | FetchError::BadTree(_) => Exit::Integrity,
            FetchError::Exists(_) | FetchError::Disk(_) | FetchError::Internal(_) => Exit::Other,
            FetchError::Interrupted => Exit::Interrupted,
        }
    }

    /// True if what was to be the listing of a folder is none: it is a file, if anything.
    pub fn is_no_folder(&self) -> bool {
        matches!(self, FetchError::BadTree(TreeError::Magic))
    }
}

impl From<&DiskError> for FetchError {
    fn from(error: &DiskError) -> FetchError {
        match error {
            DiskError::Exists(path) => FetchError::Exists(path.clone()),
            DiskError::Integrity(_) | DiskError::Impossible(_) => FetchError::Integrity(error.to_string()),
            other => FetchError::Disk(other.to_string()),
        }
    }
}

impl From<DiskError> for FetchError {
    fn from(error: DiskError) -> FetchError {
        FetchError::from(&error)
    }
}

/// Why a transfer ended without what was wanted.
pub(super) enum Halt {
    /// The content has another size than this transfer took for it.
    Superseded,
    Failed(FetchError),
}

impl<E: Into<FetchError>> From<E> for Halt {
    fn from(error: E) -> Halt {
        Halt::Failed(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_see_by_the_exit_code_what_can_be_done() {
        let text = String::new;
        let changed = FetchError::Changed { name: text(), id: FileId([1; 32]), now_is: FileId([2; 32]) };
        for (error, exit) in [
            (FetchError::NotFound(text()), 3),
            (FetchError::NothingOf(text()), 3),
            (FetchError::NobodyReached(text()), 4),
            (changed, 4),
            (FetchError::Integrity(text()), 5),
            (FetchError::BadTree(TreeError::Magic), 5),
            (FetchError::Exists(text()), 1),
            (FetchError::Disk(text()), 1),
            (FetchError::Internal(text()), 1),
            (FetchError::Interrupted, 130),
        ] {
            assert_eq!(error.exit() as u8, exit, "{error:?}");
            assert_eq!(error.is_no_folder(), matches!(error, FetchError::BadTree(TreeError::Magic)));
        }
    }

    #[test]
    fn of_what_the_disk_says_only_what_the_bytes_are_is_their_fault() {
        let name = || "a.bin".to_owned();
        let said = |error: DiskError| (FetchError::from(&error).exit(), FetchError::from(error).to_string());
        let exists = "a.bin exists and is different (`--force` replaces it)".to_owned();
        assert_eq!(said(DiskError::Exists(name())), (Exit::Other, exists));
        for wrong in [DiskError::Integrity(name()), DiskError::Impossible(name())] {
            let words = wrong.to_string();
            assert_eq!(said(wrong), (Exit::Integrity, words));
        }
        let full = DiskError::Full(name());
        let words = full.to_string();
        assert_eq!(said(full), (Exit::Other, words));
    }
}
