//! A folder for what is needed only for a moment.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use crate::cli::failure::{Failure, reason};

/// Makes a folder that nobody else can look into, and that goes away with the value.
pub(crate) fn folder() -> Result<TempDir, Failure> {
    let made = tempfile::Builder::new().prefix("p2p-").permissions(Permissions::from_mode(0o700)).tempdir();
    made.map_err(|error| Failure::other(format!("cannot make a folder for a moment: {}", reason(&error))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_nobody_else_looks_into_goes_away_with_its_value() {
        let made = folder().unwrap();
        let path = made.path().to_owned();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        std::fs::write(path.join("a"), "b").unwrap();
        assert_ne!(folder().unwrap().path(), path);
        drop(made);
        assert!(!path.exists());
    }
}
