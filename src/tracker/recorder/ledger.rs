//! What a tracker of a cluster has on its disk: one log, which begins with the snapshot of the epoch and goes on with what the
//! engine keeps. The next epoch is a new log, in the place of the old one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::storage::log::{Batch, Damage, Log, Magic};
use crate::storage::{Owned, said};
use crate::tracker::cluster::{Entry, Found, Rules, What, Write};
use crate::tracker::records::{Command, Journal, JournalError, Records};

/// The last byte is the version.
const MAGIC: &Magic = b"p2pclus1";
const FILE: &str = "cluster.log";

/// The log of a tracker of a cluster, in a folder that no other process has.
#[derive(Debug)]
pub(super) struct Ledger {
    log: Log,
    path: PathBuf,
    _folder: Owned,
}

/// Why a step's writes are not on the disk.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// Nothing of them is, and they can be written again when there is room.
    NotYet(String),
    /// It is not known what is.
    Unknown(String),
}

/// What there is in a folder.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) ledger: Ledger,
    pub(super) found: Found,
    /// The records of a tracker that was alone, if there are any and it has not been one of several.
    pub(super) before: Option<Bytes>,
}

/// True if a folder has the log of a tracker of a cluster.
pub(super) fn is_in(folder: &Path) -> bool {
    folder.join(FILE).exists()
}

/// True if the records in a folder are those of a closed swarm, as far as can be seen before there is a leader.
pub(super) fn is_closed(folder: &Path) -> Result<bool, JournalError> {
    let found = Ledger::open(folder)?.found;
    let begun = found.begun.map(|(_, snapshot)| Records::restore(snapshot).unwrap_or_default());
    let founds = |entry: &Entry| matches!(entry.what(), Ok(What::Command(Command::Found(_))));
    Ok(begun.is_some_and(|records| records.roster().is_closed()) || found.kept.log.iter().any(founds))
}

impl Ledger {
    /// Opens the log in a folder, or makes one.
    pub(super) fn open(folder: &Path) -> Result<Opened, JournalError> {
        let alone = match Journal::is_in(folder) {
            true => Some(Journal::open(folder)?.1.snapshot()),
            false => None,
        };
        let folder = Owned::claim(folder)?;
        let path = folder.path().join(FILE);
        let (mut found, mut wrong) = (Found::default(), None);
        let log = match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Log::create(&path, MAGIC)?,
            _ => {
                let opened = Log::open(&path, MAGIC, Damage::Refuse, &mut |record| {
                    let taken =
                        found.take((record.kind, Bytes::copy_from_slice(record.body)), Rules::default());
                    if let Err(why) = taken {
                        wrong.get_or_insert((record.extent.at, why));
                    }
                })?;
                if opened.torn > 0 {
                    tracing::info!("{} bytes at the end of the log were never synced", opened.torn);
                }
                opened.log
            }
        };
        if let Some((at, why)) = wrong {
            return Err(JournalError::Unknown { path, at, why });
        }
        let before = alone.filter(|_| found.begun.is_none());
        Ok(Opened { ledger: Ledger { log, path, _folder: folder }, found, before })
    }

    /// Puts on the disk what one step wants written.
    ///
    /// # Errors
    /// [`Unwritten`]: where writing fails, the log is as it was; where syncing does, that is not known.
    pub(super) fn write(&mut self, writes: &[Write]) -> Result<(), Unwritten> {
        if writes.is_empty() {
            return Ok(());
        }
        if writes.iter().any(|write| matches!(write, Write::Begin(..))) {
            return self.begin(writes);
        }
        let mut batch = Batch::default();
        for (kind, body) in writes.iter().flat_map(Write::records) {
            batch.push(kind, &[&body]);
        }
        self.log.append(batch).map_err(|error| not_yet(&error))?;
        match writes.iter().any(Write::must_last) {
            true => self.log.sync().map_err(|error| Unwritten::Unknown(said(&error))),
            false => Ok(()),
        }
    }

    /// An epoch begins, in a log of its own. Nobody sees it before it is whole, so its records need not be one batch.
    fn begin(&mut self, writes: &[Write]) -> Result<(), Unwritten> {
        let draft = Log::draft(&self.path, MAGIC);
        let mut draft = draft.map_err(|error| Unwritten::NotYet(error.to_string()))?;
        for (kind, body) in writes.iter().flat_map(Write::records) {
            let mut batch = Batch::default();
            batch.push(kind, &[&body]);
            draft.append(batch).map_err(|error| not_yet(&error))?;
        }
        draft.replace(&self.path).map_err(|error| Unwritten::Unknown(error.to_string()))?;
        self.log = draft;
        Ok(())
    }
}

/// What it means that a batch could not be appended: one that is too large never can be.
fn not_yet(error: &io::Error) -> Unwritten {
    match error.kind() {
        io::ErrorKind::InvalidInput => Unwritten::Unknown(said(error)),
        _ => Unwritten::NotYet(said(error)),
    }
}
