//! The list of proved chunks of an unfinished transfer.
//!
//! Layout: magic, the content's id, then records of chunk number (`u32`, big-endian), chunk hash, and the
//! first bytes of a hash of both and the id. A record is appended in one write. Whatever was lost, torn or
//! changed is passed over, and every record is checked against the bytes on disk before it is believed.
//! The record's own check is there for what the bytes on disk cannot tell: a number that was changed into
//! that of another file's chunk, which is still a hole, when the right chunk is zeros too.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use crate::content::{Chunk, ChunkHash, FileId};
use crate::peer::state_folder::open_log;

const MAGIC: &[u8; 8] = b"p2pjrnl2";
/// What every version's magic begins with.
const KIND_BYTES: usize = 7;
const HEADER_BYTES: usize = MAGIC.len() + FileId::BYTES;
const CHECK_BYTES: usize = 4;
const RECORD_BYTES: usize = 4 + ChunkHash::BYTES + CHECK_BYTES;

/// An open journal.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    id: FileId,
}

/// What the bytes of a journal say.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    records: Vec<(Chunk, ChunkHash)>,
    /// Why not everything in it is used.
    fault: Option<&'static str>,
}

impl Journal {
    /// Opens the journal at `path`, and reads what it says. What is damaged costs a warning and the
    /// chunks it was about; one of another content or version, or something else that lies there, is
    /// begun anew.
    pub(super) fn open(path: &Path, id: FileId) -> io::Result<(Journal, Vec<(Chunk, ChunkHash)>)> {
        let mut file = open_log(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let Said { records, fault } = read(&bytes, id);
        if let Some(fault) = fault {
            tracing::warn!(path = %path.display(), "the journal of an unfinished transfer {fault}; what it does not tell is fetched again");
        }
        let journal = Journal { file, id };
        // Written anew, so that damage is told once and what is appended begins where a record should.
        if fault.is_some() || bytes.is_empty() {
            journal.rewrite(&records)?;
        }
        Ok((journal, records))
    }

    fn rewrite(&self, records: &[(Chunk, ChunkHash)]) -> io::Result<()> {
        self.file.set_len(0)?;
        let records = records.iter().flat_map(|(chunk, hash)| encode(self.id, *chunk, *hash));
        (&self.file).write_all(&MAGIC.iter().copied().chain(self.id.0).chain(records).collect::<Vec<u8>>())
    }

    /// Adds a chunk whose bytes were written.
    pub(super) fn append(&self, chunk: Chunk, hash: ChunkHash) -> io::Result<()> {
        (&self.file).write_all(&encode(self.id, chunk, hash))
    }
}

/// True if the journal at `path`, of whatever content, has records.
pub(super) fn has_records(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.len() > HEADER_BYTES as u64)
}

fn encode(id: FileId, chunk: Chunk, hash: ChunkHash) -> [u8; RECORD_BYTES] {
    let mut record = [0; RECORD_BYTES];
    let (plain, check) = record.split_at_mut(RECORD_BYTES - CHECK_BYTES);
    plain[..4].copy_from_slice(&chunk.0.to_be_bytes());
    plain[4..].copy_from_slice(&hash.0);
    check.copy_from_slice(&check_of(id, plain));
    record
}

fn check_of(id: FileId, plain: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&id.0).update(plain);
    let mut check = [0; CHECK_BYTES];
    hasher.finalize_xof().fill(&mut check);
    check
}

/// What a journal of `id` says, as far as it can be used.
fn read(bytes: &[u8], id: FileId) -> Said {
    if bytes.is_empty() {
        return Said::default();
    }
    let Some(records) = bytes.strip_prefix(MAGIC).and_then(|rest| rest.strip_prefix(&id.0)) else {
        let version = bytes.len() >= HEADER_BYTES && bytes.starts_with(&MAGIC[..KIND_BYTES]);
        let fault = if version { "is of another version" } else { "is damaged" };
        return Said { records: Vec::new(), fault: Some(fault) };
    };
    let (whole, torn) = records.as_chunks::<RECORD_BYTES>();
    let records: Vec<_> = whole.iter().filter_map(|record| decode(record, id)).collect();
    let damaged = !torn.is_empty() || records.len() < whole.len();
    Said { records, fault: damaged.then_some("is damaged") }
}

fn decode(record: &[u8; RECORD_BYTES], id: FileId) -> Option<(Chunk, ChunkHash)> {
    let (plain, check) = record.split_last_chunk::<CHECK_BYTES>()?;
    let (number, hash) = plain.split_first_chunk::<4>()?;
    (*check == check_of(id, plain))
        .then_some((Chunk(u32::from_be_bytes(*number)), ChunkHash(hash.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDS: [(Chunk, ChunkHash); 3] =
        [(Chunk(7), ChunkHash([1; 32])), (Chunk(8), ChunkHash([2; 32])), (Chunk(9), ChunkHash([3; 32]))];

    fn id() -> FileId {
        FileId::of(b"x")
    }

    /// A journal of [`RECORDS`], changed, and what it says when it is opened.
    fn after(change: impl FnOnce(&mut Vec<u8>)) -> Vec<(Chunk, ChunkHash)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (journal, records) = Journal::open(&path, id()).unwrap();
        assert_eq!(records, []);
        RECORDS.iter().for_each(|(chunk, hash)| journal.append(*chunk, *hash).unwrap());
        let mut bytes = std::fs::read(&path).unwrap();
        change(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        let (journal, found) = Journal::open(&path, id()).unwrap();
        journal.append(Chunk(10), ChunkHash([4; 32])).unwrap();
        let (_, again) = Journal::open(&path, id()).unwrap();
        assert_eq!(again, [found.clone(), vec![(Chunk(10), ChunkHash([4; 32]))]].concat());
        assert_eq!(read(&std::fs::read(&path).unwrap(), id()).fault, None, "damage is told once");
        found
    }

    #[test]
    fn what_is_whole_is_found_whatever_happened_to_the_rest() {
        assert_eq!(after(|_| {}), RECORDS);
        assert_eq!(after(|bytes| bytes.truncate(bytes.len() - 1)), RECORDS[..2]);
        assert_eq!(after(|bytes| bytes[HEADER_BYTES + 2] ^= 1), RECORDS[1..], "a number changed");
        assert_eq!(after(|bytes| bytes[HEADER_BYTES + RECORD_BYTES..][..RECORD_BYTES].fill(0)).len(), 2);
        assert_eq!(after(|bytes| bytes.extend([0; 3 * RECORD_BYTES])), RECORDS, "a hole at the end");
    }

    #[test]
    fn what_is_no_journal_of_this_is_begun_anew() {
        assert_eq!(after(|bytes| bytes.clear()), []);
        assert_eq!(after(|bytes| bytes.truncate(20)), []);
        assert_eq!(after(|bytes| bytes[7] = b'1'), [], "another version");
        assert_eq!(after(|bytes| bytes[9] ^= 1), [], "another content");
        assert_eq!(after(|bytes| *bytes = b"something else".to_vec()), []);
    }

    #[test]
    fn what_has_another_name_is_not_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("journal"), folder.path().join("other"));
        drop(Journal::open(&path, id()).unwrap());
        std::fs::hard_link(&path, &other).unwrap();
        let before = std::fs::read(&other).unwrap();
        let (journal, _) = Journal::open(&path, id()).unwrap();
        journal.append(RECORDS[0].0, RECORDS[0].1).unwrap();
        assert_eq!(std::fs::read(&other).unwrap(), before);
        assert_eq!(Journal::open(&path, id()).unwrap().1, RECORDS[..1]);
    }

    #[test]
    fn what_is_no_file_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let other = folder.path().join("other");
        std::fs::write(&other, "precious").unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        drop(Journal::open(&path, id()).unwrap());
        assert_eq!(std::fs::read(&other).unwrap(), b"precious");
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        drop(Journal::open(&path, id()).unwrap());
        assert!(path.is_file() && folder.path().join("journal.damaged2").is_dir());
    }
}
