//! Where tokens and users are kept: of a peer in one file, for its owner's eyes alone, written anew beside the old one; of a
//! tracker in its records, beside the members.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::accounts::{Accounts, Kept};
use super::answer::Problem;
use super::site::{House, Site};
use crate::threads::lock;
use crate::tracker::Inside;

/// The place.
#[derive(Debug)]
pub(super) enum Keep {
    /// Nowhere: they go with the process.
    Memory,
    File(PathBuf),
    Records(Inside),
}

/// The file, in the folder of the peer's state or the tracker's records.
pub(super) const FILE: &str = "page.json";
/// More than all that fits into it.
const MAX_BYTES: u64 = 1 << 20;

impl Keep {
    /// Of a page, which has this folder for what it keeps.
    pub(super) fn new(house: &House, folder: Option<&Path>) -> Keep {
        match (house, folder) {
            (House::Tracker(tracker), _) => Keep::Records(tracker.clone()),
            (House::Peer(_), Some(folder)) => Keep::File(folder.join(FILE)),
            (House::Peer(_), None) => Keep::Memory,
        }
    }

    /// What is kept there.
    ///
    /// # Errors
    /// It cannot be read, or is not what was written: nobody's rights are guessed.
    pub(super) fn read(&self) -> Result<Kept, (PathBuf, io::Error)> {
        match self {
            Keep::Memory => Ok(Kept::default()),
            Keep::File(path) => read(path).map_err(|error| (path.clone(), error)),
            Keep::Records(tracker) => Ok(Kept::of_records(&tracker.pages())),
        }
    }
}

/// What is kept in a file, nothing if there is none.
///
/// # Errors
/// It cannot be read, or is not what was written: nobody's rights are guessed.
pub(super) fn read(path: &Path) -> io::Result<Kept> {
    let mut text = String::new();
    match File::open(path) {
        Ok(file) => file.take(MAX_BYTES).read_to_string(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kept::default()),
        Err(error) => return Err(error),
    };
    serde_json::from_str(&text).map_err(io::Error::from)
}

/// Writes what was changed.
pub(super) fn write(site: &Site, accounts: &mut Accounts) -> Result<(), Problem> {
    let written = match &site.keeps {
        Keep::Memory => Ok(()),
        Keep::File(path) => put(path, accounts.kept()).map_err(|error| error.to_string()),
        Keep::Records(tracker) => {
            accounts.changes().into_iter().try_for_each(|command| tracker.record(command))
        }
    };
    accounts.is_written();
    written.map_err(|error| {
        Problem::internal(format!(
            "what was changed holds until this process ends, for it cannot be kept: {error}"
        ))
    })
}

/// Takes in what others have changed in the records.
pub(super) fn refresh(site: &Site) {
    if let Keep::Records(tracker) = &site.keeps {
        let mut accounts = lock(&site.accounts);
        accounts.renew(Kept::of_records(&tracker.pages()));
    }
}

fn put(path: &Path, kept: &Kept) -> io::Result<()> {
    let new = path.with_extension("new");
    let _ = fs::remove_file(&new); // left by a process that was killed
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(&serde_json::to_vec(kept)?)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::accounts::{Role, Secret};

    #[test]
    fn what_is_kept_is_read_again_and_what_is_damaged_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        assert_eq!(read(&path).unwrap(), Kept::default());
        let mut accounts = Accounts::default();
        assert!(accounts.add_token(Secret::of("t"), ("ci", Role::Reader), 9, 0));
        put(&path, accounts.kept()).unwrap();
        put(&path, accounts.kept()).unwrap();
        assert_eq!(&read(&path).unwrap(), accounts.kept());
        assert!(!fs::read_to_string(&path).unwrap().contains("\"t\""));
        fs::write(&path, "{").unwrap();
        assert!(read(&path).is_err());
    }
}
