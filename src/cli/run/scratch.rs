//! A folder for what is needed only for a moment.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::mem;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tempfile::TempDir;

use crate::cli::failure::{Failure, reason};
use crate::threads::lock;

/// Those that there are, for who ends this process where it stands.
static MADE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A folder that nobody else can look into, and that goes away with the value.
#[derive(Debug)]
pub(crate) struct Scratch(TempDir);

impl Scratch {
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        lock(&MADE).remove(self.path());
    }
}

/// Makes one.
pub(crate) fn folder() -> Result<Scratch, Failure> {
    let mut all = lock(&MADE);
    let made = tempfile::Builder::new().prefix("p2p-").permissions(Permissions::from_mode(0o700)).tempdir();
    let made = made
        .map_err(|error| Failure::other(format!("cannot make a folder for a moment: {}", reason(&error))))?;
    all.insert(made.path().to_owned());
    Ok(Scratch(made))
}

/// Removes all that there are: this process ends, and none of its values will be dropped.
pub(crate) fn clear() {
    for path in mem::take(&mut *lock(&MADE)) {
        // Somebody may still write into it, and nobody could be told.
        let _ = fs::remove_dir_all(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_nobody_else_looks_into_goes_away_with_its_value() {
        let made = folder().unwrap();
        let path = made.path().to_owned();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(path.join("a"), "b").unwrap();
        assert_ne!(folder().unwrap().path(), path);
        drop(made);
        assert!(!path.exists() && !lock(&MADE).contains(&path));
    }
}
