//! Why something could not be put on the disk.

use std::io;

use super::place;

/// Most things in the way that are named.
const MAX_NAMED: usize = 20;

/// Why something could not be put on the disk.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// A different file is there already.
    #[error("{0} exists and is different")]
    Exists(String),
    /// A symbolic link, or something else that is not a folder, stands where a folder should be.
    #[error("{0} is not a folder, or is a symbolic link")]
    NotAFolder(String),
    /// Several of these things.
    #[error("{0}")]
    Several(String),
    /// The disk has no room.
    #[error(
        "no room left on the disk for {0}; what has arrived is kept: make room, and the same command goes on"
    )]
    Full(String),
    /// The disk has less room than all of it needs.
    #[error("no room for this on the disk of {0}: {1}; make room, or choose another place")]
    NoRoom(String, String),
    /// What has the name is neither a file nor a link.
    #[error("{0} is {1}; only files and links are ever replaced")]
    InTheWay(String, &'static str),
    /// A folder of an older version has the name.
    #[error("{0} is a folder of an older version; `--delete` moves it to the trash")]
    OlderFolder(String),
    /// What is there may not be written.
    #[error("{0} cannot be written: {1}; choose another place")]
    Forbidden(String, &'static str),
    /// No content of its size has its id.
    #[error("{0} is said to have a size that its id cannot have")]
    Impossible(String),
    /// The merged hashes are not the file's id: memory or disk failed.
    #[error("{0} is not what its id says, although every chunk was proved: memory or disk is failing")]
    Integrity(String),
    /// The system refused.
    #[error("{path}: {error}")]
    Io {
        /// On what.
        path: String,
        /// What it said.
        error: io::Error,
    },
}

impl DiskError {
    /// The one that tells most: all that is in the way, or what is worse.
    pub(super) fn of_all(errors: Vec<DiskError>) -> Option<DiskError> {
        let (mut different, mut no_folders, mut older, mut others) = (vec![], vec![], vec![], vec![]);
        for error in errors {
            match error {
                DiskError::Exists(path) => different.push(path),
                DiskError::NotAFolder(path) => no_folders.push(path),
                DiskError::OlderFolder(path) => older.push(path),
                DiskError::InTheWay(path, what) => others.push((path, what)),
                worse => return Some(worse),
            }
        }
        others.sort();
        let named = |paths: Vec<String>, error: fn(String) -> DiskError| {
            (!paths.is_empty()).then(|| error(listed(paths)))
        };
        let mut all: Vec<DiskError> = named(different, DiskError::Exists)
            .into_iter()
            .chain(named(no_folders, DiskError::NotAFolder))
            .chain(named(older, DiskError::OlderFolder))
            .chain(others.into_iter().take(MAX_NAMED).map(|(path, what)| DiskError::InTheWay(path, what)))
            .collect();
        match all.len() {
            0 | 1 => all.pop(),
            _ => {
                let all: Vec<String> = all.iter().map(DiskError::to_string).collect();
                Some(DiskError::Several(all.join("; ")))
            }
        }
    }

    /// True if it says that something stands where something else should be.
    pub(super) fn is_in_the_way(&self) -> bool {
        matches!(
            self,
            DiskError::Exists(_)
                | DiskError::InTheWay(..)
                | DiskError::NotAFolder(_)
                | DiskError::OlderFolder(_)
        )
    }

    /// What an error of the system at `path` means.
    pub(in crate::peer) fn at(path: &str) -> impl Fn(io::Error) -> DiskError + '_ {
        move |error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskError::Full(path.to_owned()),
            io::ErrorKind::AlreadyExists => DiskError::Exists(path.to_owned()),
            io::ErrorKind::ReadOnlyFilesystem => {
                DiskError::Forbidden(path.to_owned(), "its file system is read-only")
            }
            io::ErrorKind::PermissionDenied => {
                DiskError::Forbidden(path.to_owned(), "this user has no right to")
            }
            io::ErrorKind::Unsupported => {
                DiskError::Forbidden(path.to_owned(), "its file system lets nobody do that")
            }
            io::ErrorKind::FileTooLarge => {
                DiskError::Forbidden(path.to_owned(), "files of this size are not allowed there")
            }
            _ => DiskError::Io { path: path.to_owned(), error },
        }
    }
}

/// The first of these paths, and how many more there are.
fn listed(mut paths: Vec<String>) -> String {
    paths.sort();
    let more = paths.len().saturating_sub(MAX_NAMED);
    paths.truncate(MAX_NAMED);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    paths.join(", ") + &rest
}

/// What an error on the way to a folder means.
pub(in crate::peer) fn folder_error(folder: &str, error: io::Error) -> DiskError {
    match place::is_link_or_no_folder(&error) || error.kind() == io::ErrorKind::AlreadyExists {
        true => DiskError::NotAFolder(folder.to_owned()),
        false => DiskError::at(folder)(error),
    }
}
