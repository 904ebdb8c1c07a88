//! Why a vault does not do what it is asked to.

use std::io;
use std::path::PathBuf;

use bytesize::ByteSize;

use super::quota::LEAST_QUOTA_BYTES;
use crate::storage::log::LogError;
use crate::storage::{OwnedError, said};

/// Why a vault does not do what it is asked to.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The folder cannot be had.
    #[error(transparent)]
    Folder(#[from] OwnedError),
    /// The log cannot be used; nothing was changed.
    #[error("{error}; move {} away to lend again, and what was kept there comes from other stores", .vault.display())]
    Log {
        /// What is wrong with it.
        #[source]
        error: LogError,
        /// The vault.
        vault: PathBuf,
    },
    /// There are slabs and no log.
    #[error("{} has chunks and no log to tell what they are; move it away to lend again", .0.display())]
    NoLog(PathBuf),
    /// Too little is lent.
    #[error("a store lends at least {}, and not {}", ByteSize(LEAST_QUOTA_BYTES), ByteSize(*.0))]
    TooSmall(u64),
    /// The quota has no room for what it is asked to keep.
    #[error("{} are needed and {} are left of what is lent", ByteSize(*needed), ByteSize(*room))]
    NoSpace {
        /// For the chunks, and what the log says of them.
        needed: u64,
        /// What is left.
        room: u64,
    },
    /// The disk has less than is lent.
    #[error("the disk is full: {}", .0.display())]
    Full(PathBuf),
    /// The disk failed, is read-only, or is not there any more.
    #[error("{} cannot be used: {}", .0.display(), said(.1))]
    Io(PathBuf, #[source] io::Error),
    /// What is on the disk is not known since a sync failed.
    #[error("{} cannot be relied on since its disk failed; start again to lend from it", .0.display())]
    Failed(PathBuf),
    /// Somebody else decides what is kept here.
    #[error("this store serves other trackers")]
    Foreign,
    /// Who asks was replaced.
    #[error("a later term of the trackers was heard")]
    Stale,
    /// The members of a listing that is not here.
    #[error("the listing is not here")]
    NoListing,
    /// What it is said to consist of is not what was said before, or cannot be.
    #[error("that is not what this content consists of")]
    Contradiction,
}

impl VaultError {
    /// An error of the disk under `path`.
    pub(super) fn disk(path: PathBuf, error: io::Error) -> VaultError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => VaultError::Full(path),
            _ => VaultError::Io(path, error),
        }
    }

    /// True if there is no room, of what is lent or on the disk.
    pub fn is_no_space(&self) -> bool {
        matches!(self, VaultError::NoSpace { .. } | VaultError::Full(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_no_broken_one() {
        let of = |kind: io::ErrorKind| VaultError::disk(PathBuf::from("v"), kind.into());
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            assert!(matches!(of(kind), VaultError::Full(_)) && of(kind).is_no_space(), "{kind:?}");
        }
        for kind in [io::ErrorKind::ReadOnlyFilesystem, io::ErrorKind::PermissionDenied, io::ErrorKind::Other]
        {
            assert!(matches!(of(kind), VaultError::Io(..)) && !of(kind).is_no_space(), "{kind:?}");
        }
        assert!(VaultError::NoSpace { needed: 2, room: 1 }.is_no_space());
        assert!(!VaultError::Failed(PathBuf::from("v")).is_no_space(), "it is not tried again");
    }
}
