//! Which life of a node's agent this is: the one that started last is the one that counts.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::storage;
use crate::wire::Life;

/// Where starts are counted, in the folder of the agent's state.
const FILE: &str = "starts";

/// Counts one more start, in a folder that no other process has. It is on the disk when this returns.
///
/// # Errors
/// The count can be neither read nor written, or is none.
pub(super) fn begin(state: &Path) -> io::Result<Life> {
    let file = state.join(FILE);
    let before = match fs::read_to_string(&file) {
        Ok(text) => text.trim().parse::<u64>().map_err(|_| {
            let why = format!("{} does not say how often this node was started", file.display());
            io::Error::new(io::ErrorKind::InvalidData, why)
        })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    let start = before.saturating_add(1);
    let beside = file.with_extension("new");
    let mut new = File::create(&beside)?;
    writeln!(new, "{start}")?;
    new.sync_all()?;
    fs::rename(&beside, &file)?;
    storage::sync_folder(state)?;
    Ok(Life { start, drawn: fastrand::u32(..) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_start_is_later_than_the_one_before_and_nonsense_is_not_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let starts: Vec<u64> = (0..3).map(|_| begin(folder.path()).unwrap().start).collect();
        assert_eq!(starts, [1, 2, 3]);
        fs::write(folder.path().join(FILE), "many").unwrap();
        assert!(begin(folder.path()).unwrap_err().to_string().ends_with("how often this node was started"));
    }
}
