//! The list of proved chunks of an unfinished transfer.
//!
//! Layout: magic, the content's id, then records of chunk number (`u32`, big-endian) and chunk hash. A
//! record is appended in one write; a torn or foreign tail is ignored, and every record is checked
//! against the bytes on disk before it is believed.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use crate::content::{ChunkHash, FileId};

const MAGIC: &[u8; 8] = b"p2pjrnl1";
const HEADER_BYTES: usize = MAGIC.len() + FileId::BYTES;
const RECORD_BYTES: usize = 4 + ChunkHash::BYTES;

/// An open journal.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
}

impl Journal {
    /// Opens the journal at `path`, and reads what it says. One of another content or version, or a
    /// damaged one, is begun anew.
    pub(super) fn open(path: &Path, id: FileId) -> io::Result<(Journal, Vec<(u32, ChunkHash)>)> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let records = parse(&bytes, id);
        let whole = records.as_ref().map_or(0, |records| HEADER_BYTES + records.len() * RECORD_BYTES);
        if whole != bytes.len() || whole == 0 {
            file.set_len(whole as u64)?;
        }
        if whole == 0 {
            file.write_all(&[MAGIC.as_slice(), &id.0].concat())?;
        }
        Ok((Journal { file }, records.unwrap_or_default()))
    }

    /// Adds a chunk whose bytes were written.
    pub(super) fn append(&self, chunk: u32, hash: ChunkHash) -> io::Result<()> {
        let mut record = [0; RECORD_BYTES];
        let (number, value) = record.split_at_mut(4);
        number.copy_from_slice(&chunk.to_be_bytes());
        value.copy_from_slice(&hash.0);
        (&self.file).write_all(&record)
    }
}

/// The records of a journal of `id`; `None` if it is not one.
fn parse(bytes: &[u8], id: FileId) -> Option<Vec<(u32, ChunkHash)>> {
    let records = bytes.strip_prefix(MAGIC)?.strip_prefix(&id.0)?;
    let record = |record: &[u8]| {
        let (number, hash) = record.split_first_chunk::<4>()?;
        Some((u32::from_be_bytes(*number), ChunkHash(hash.try_into().ok()?)))
    };
    records.chunks_exact(RECORD_BYTES).map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_read_back_and_a_torn_tail_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let id = FileId::of(b"x");
        let (journal, records) = Journal::open(&path, id).unwrap();
        assert_eq!(records, []);
        journal.append(7, ChunkHash([1; 32])).unwrap();
        journal.append(8, ChunkHash([2; 32])).unwrap();
        let length = std::fs::metadata(&path).unwrap().len();
        File::options().write(true).open(&path).unwrap().set_len(length - 1).unwrap();
        let (journal, records) = Journal::open(&path, id).unwrap();
        assert_eq!(records, [(7, ChunkHash([1; 32]))]);
        journal.append(9, ChunkHash([3; 32])).unwrap();
        let (_, records) = Journal::open(&path, id).unwrap();
        assert_eq!(records, [(7, ChunkHash([1; 32])), (9, ChunkHash([3; 32]))]);
        let (_, records) = Journal::open(&path, FileId::of(b"y")).unwrap();
        assert_eq!(records, [], "another content's journal is begun anew");
    }
}
