//! Where tokens and users are kept: one file, for its owner's eyes alone, written anew beside the old one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::accounts::{Accounts, Kept};
use super::answer::Problem;
use super::site::Site;

/// The file, in the folder of the peer's state or the tracker's records.
pub(super) const FILE: &str = "page.json";
/// More than all that fits into it.
const MAX_BYTES: u64 = 1 << 20;

/// What is kept there, nothing if there is no file.
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

/// Writes what is to be kept, if there is a place for it.
pub(super) fn write(site: &Site, accounts: &Accounts) -> Result<(), Problem> {
    let Some(path) = &site.keeps else { return Ok(()) };
    put(path, accounts.kept()).map_err(|error| {
        Problem::internal(format!(
            "what was changed holds until this process ends, for it cannot be kept: {error}"
        ))
    })
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
