//! The records on disk: a checked log that begins with all of them as they were, and goes on with the commands since.
//!
//! When the commands outgrow what they began with, the log is written anew. There is one file, so nothing has to fit
//! together but what is in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};

use super::command::Command;
use super::machine::Records;
use crate::storage::log::{Batch, Damage, Log, LogError, Magic, Record};
use crate::storage::{Owned, OwnedError};
use crate::wire::DecodeError;

/// The last byte is the version.
const MAGIC: &Magic = b"p2precs1";
const FILE: &str = "records.log";
/// Kinds of records in the log beside the numbers of commands: a piece of the snapshot, and that it was the last.
const PIECE: u8 = 0x80;
const SNAPSHOT: u8 = 0x81;
/// Bytes of a piece.
const PIECE_BYTES: usize = 16 << 20;
/// Bytes of commands that are never worth writing the log anew.
const MIN_TAIL_BYTES: u64 = 4 << 20;

/// An open journal, in a folder that no other process has.
#[derive(Debug)]
pub struct Journal {
    log: Log,
    path: PathBuf,
    /// Bytes of the log from which on it is to be written anew.
    due: u64,
    _folder: Owned,
}

/// Why there is no journal to be had.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The folder cannot be had.
    #[error(transparent)]
    Folder(#[from] OwnedError),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// What is in it was not written by this program, or by a later one.
    #[error("{} has a record at byte {at} that this version does not know ({why})", .path.display())]
    Unknown {
        /// The log.
        path: PathBuf,
        /// Where the record is.
        at: u64,
        /// What is wrong with it.
        why: DecodeError,
    },
}

/// What is read of a log, one record after the other.
#[derive(Default)]
struct Reading {
    records: Records,
    /// The snapshot as far as it was read.
    pieces: BytesMut,
    /// Where the snapshot ended.
    start: u64,
    wrong: Option<(u64, DecodeError)>,
}

impl Reading {
    fn take(&mut self, record: Record<'_>) {
        if self.wrong.is_none()
            && let Err(error) = self.understand(record)
        {
            self.wrong = Some((record.extent.at, error));
        }
    }

    fn understand(&mut self, record: Record<'_>) -> Result<(), DecodeError> {
        match record.kind {
            PIECE => self.pieces.extend_from_slice(record.body),
            SNAPSHOT => {
                self.records = Records::restore(self.pieces.split().freeze())?;
                self.start = record.extent.at;
            }
            number => {
                let command = Command::decode(number, Bytes::copy_from_slice(record.body))?;
                self.records.apply(self.records.applied() + 1, &command);
            }
        }
        Ok(())
    }
}

impl Journal {
    /// True if there is one in a folder.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(FILE).exists()
    }

    /// Opens the journal in a folder, or makes one, and has the records as they were when it was last written.
    ///
    /// # Errors
    /// [`JournalError`]; what is damaged stays as it is.
    pub fn open(folder: &Path) -> Result<(Journal, Records), JournalError> {
        let folder = Owned::claim(folder)?;
        let path = folder.path().join(FILE);
        let mut reading = Reading::default();
        let log = match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Log::create(&path, MAGIC)?,
            _ => {
                let opened = Log::open(&path, MAGIC, Damage::Refuse, &mut |record| reading.take(record))?;
                if opened.torn > 0 {
                    tracing::info!("{} bytes at the end of the journal were never synced", opened.torn);
                }
                opened.log
            }
        };
        if let Some((at, why)) = reading.wrong {
            return Err(JournalError::Unknown { path, at, why });
        }
        let due = due_after(reading.start);
        Ok((Journal { log, path, due, _folder: folder }, reading.records))
    }

    /// Writes commands; they are on the disk after [`Journal::sync`].
    ///
    /// # Errors
    /// As of writing the file; nothing is written then.
    pub(in crate::tracker) fn append<'a>(
        &mut self,
        commands: impl Iterator<Item = &'a Command>,
    ) -> io::Result<()> {
        let mut batch = Batch::default();
        for command in commands {
            let (number, body) = command.encode();
            batch.push(number, &[&body]);
        }
        self.log.append(batch).map(drop)
    }

    /// Puts what was written on the disk.
    ///
    /// # Errors
    /// As of syncing the file: it is not known what is on the disk.
    pub(in crate::tracker) fn sync(&mut self) -> io::Result<()> {
        self.log.sync()
    }

    /// True if the log has grown so much that it should be written anew.
    pub(in crate::tracker) fn is_due(&self) -> bool {
        self.log.len() >= self.due
    }

    /// A log with nothing in it but these records, on the disk, and not in the place of the other yet.
    ///
    /// # Errors
    /// As of writing it. The log that there is goes on then, and is due again when it has grown further.
    pub(in crate::tracker) fn draft(&mut self, snapshot: &Bytes) -> Result<Log, LogError> {
        self.due = due_after(self.log.len());
        let failed = |error| LogError::Io(self.path.clone(), error);
        let mut log = Log::draft(&self.path, MAGIC)?;
        let mut append = |kind, body: &[u8]| {
            let mut batch = Batch::default();
            batch.push(kind, &[body]);
            log.append(batch).map_err(failed)
        };
        for piece in snapshot.chunks(PIECE_BYTES) {
            append(PIECE, piece)?;
        }
        append(SNAPSHOT, &[])?;
        log.sync().map_err(failed)?;
        Ok(log)
    }

    /// Puts a draft in the place of the log.
    ///
    /// # Errors
    /// It is not known which of the two has the name.
    pub(in crate::tracker) fn replace(&mut self, mut draft: Log) -> Result<(), LogError> {
        draft.replace(&self.path)?;
        self.due = due_after(draft.len());
        self.log = draft;
        Ok(())
    }
}

/// From which length on a log is due whose snapshot has so many bytes.
fn due_after(snapshot: u64) -> u64 {
    snapshot + MIN_TAIL_BYTES.max(2 * snapshot)
}

#[cfg(test)]
mod tests;
