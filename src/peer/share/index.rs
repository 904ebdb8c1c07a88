//! The index: a file that remembers what was hashed, so that a restart does not hash again.
//!
//! Only a cache: losing it costs time and nothing else, so damage is set aside and never an error.
//! The invariant: a row is written together with the chunk hashes of its id, in one transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};

use redb::backends::InMemoryBackend;
use redb::{Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition, TableError};

use crate::content::{ChunkHash, FileId};

use super::lock;
use super::record::{Record, Stamp};

/// The index's file in the state folder.
const FILE: &str = "index.redb";
/// Where a damaged index goes, in case somebody wants to look at it.
const SET_ASIDE: &str = "index.redb.damaged";
/// Changes with the meaning of the tables.
const VERSION: u64 = 1;
/// Bytes of the database's own cache. The page cache holds the file anyway.
const CACHE_BYTES: usize = 8 << 20;
/// Waiting changes are worth a commit when they are so many bytes.
const COMMIT_BYTES: usize = 16 << 20;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// Path to row: size, modification time, inode, id, check.
const FILES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("files");
/// Id to chunk hashes, for files of more than one chunk.
const CHUNKS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("chunks");

/// Another process has the index open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Busy;

/// What the index remembers of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) stamp: Stamp,
    pub(super) id: FileId,
}

/// The rows of an index when it was opened, in order of path.
pub(super) type Rows = Vec<(Box<str>, Row)>;

/// Changes not yet in the database.
#[derive(Debug, Default)]
struct Batch {
    files: BTreeMap<Arc<str>, Option<Row>>,
    chunks: BTreeMap<FileId, Option<Vec<ChunkHash>>>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    next: Batch,
    /// What a commit under way is writing.
    writing: Arc<Batch>,
}

/// An open index.
#[derive(Debug)]
pub(super) struct Index {
    db: Database,
    waiting: Mutex<Waiting>,
    committing: Mutex<()>,
}

/// Why an index could not be opened or written.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("another process has it open")]
    Busy,
    #[error("it is of another version")]
    Version,
    #[error("a row in it is damaged")]
    Damaged,
    #[error("{0}")]
    Database(#[source] Box<redb::Error>),
    #[error("reading it failed in a way that should not be possible")]
    Panicked,
}

impl<E: Into<redb::Error>> From<E> for Trouble {
    fn from(error: E) -> Trouble {
        Trouble::Database(Box::new(error.into()))
    }
}

impl Trouble {
    /// True if the place is at fault, so that a new file there would fare no better.
    fn is_of_the_place(&self) -> bool {
        use io::ErrorKind::{NotFound, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        let Trouble::Database(error) = self else { return false };
        let redb::Error::Io(error) = &**error else { return false };
        matches!(error.kind(), NotFound | PermissionDenied | QuotaExceeded | ReadOnlyFilesystem | StorageFull)
    }
}

impl Index {
    /// Opens the index in the folder `state`, which is made if need be, and reads it.
    ///
    /// What is damaged is set aside; where no file can be written, the index is kept in memory.
    pub(super) fn open(state: &Path) -> Result<(Index, Rows), Busy> {
        let path = state.join(FILE);
        let made = fs::create_dir_all(state).map_err(redb::Error::Io).map_err(Trouble::from);
        let opened = match made.and_then(|()| open_guarded(&path)) {
            Err(Trouble::Busy) => return Err(Busy),
            Err(trouble) if !trouble.is_of_the_place() => {
                tracing::warn!(path = %path.display(), "the share index is set aside, everything is hashed anew: {trouble}");
                let _ = fs::rename(&path, state.join(SET_ASIDE));
                open_guarded(&path)
            }
            opened => opened,
        };
        opened.or_else(|trouble| match trouble {
            Trouble::Busy => Err(Busy),
            trouble => {
                tracing::warn!(path = %path.display(), "no share index here, the next start will hash anew: {trouble}");
                Ok((Index::in_memory(), Rows::new()))
            }
        })
    }

    fn in_memory() -> Index {
        let db = Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(InMemoryBackend::new());
        Index::with(db.expect("a database in memory meets no error"))
    }

    fn with(db: Database) -> Index {
        Index { db, waiting: Mutex::default(), committing: Mutex::default() }
    }

    /// Enters what was found in a file. `hashes` is empty for files of at most one chunk.
    pub(super) fn put(&self, path: &Arc<str>, record: &Record, hashes: Vec<ChunkHash>) {
        let mut waiting = lock(&self.waiting);
        let batch = &mut waiting.next;
        batch.bytes += path.len() + ROW_BYTES + hashes.len() * ChunkHash::BYTES;
        batch.files.insert(path.clone(), Some(Row { stamp: record.stamp, id: record.id }));
        if !hashes.is_empty() {
            batch.chunks.insert(record.id, Some(hashes));
        }
    }

    /// Forgets paths; their chunk hashes stay.
    pub(super) fn remove<'a>(&self, paths: impl IntoIterator<Item = &'a str>) {
        let mut waiting = lock(&self.waiting);
        for path in paths {
            waiting.next.bytes += path.len() + ROW_BYTES;
            waiting.next.files.insert(Arc::from(path), None);
        }
    }

    /// Forgets the chunk hashes of files that no path holds any more.
    pub(super) fn remove_hashes(&self, ids: impl IntoIterator<Item = FileId>) {
        let mut waiting = lock(&self.waiting);
        waiting.next.chunks.extend(ids.into_iter().map(|id| (id, None)));
    }

    /// The chunk hashes of a file of more than one chunk, if they are known.
    pub(super) fn hashes(&self, id: FileId) -> Option<Vec<ChunkHash>> {
        let waiting = lock(&self.waiting);
        if let Some(known) = waiting.next.chunks.get(&id).or_else(|| waiting.writing.chunks.get(&id)) {
            return known.clone();
        }
        drop(waiting);
        read_hashes(&self.db, id).unwrap_or_else(|trouble| {
            tracing::warn!(%id, "the share index cannot be read: {trouble}");
            None
        })
    }

    /// True if something waits to be written.
    pub(super) fn is_waiting(&self) -> bool {
        let waiting = lock(&self.waiting);
        !(waiting.next.files.is_empty() && waiting.next.chunks.is_empty())
    }

    /// True if waiting changes are enough for a commit.
    pub(super) fn is_worth_a_commit(&self) -> bool {
        lock(&self.waiting).next.bytes >= COMMIT_BYTES
    }

    /// Writes what waits. If that fails, it goes on waiting.
    pub(super) fn commit(&self) {
        let _one_at_a_time = lock(&self.committing);
        let batch = {
            let mut waiting = lock(&self.waiting);
            waiting.writing = Arc::new(std::mem::take(&mut waiting.next));
            waiting.writing.clone()
        };
        if batch.files.is_empty() && batch.chunks.is_empty() {
            return;
        }
        let written = write(&self.db, &batch);
        let mut waiting = lock(&self.waiting);
        waiting.writing = Arc::default();
        if let Err(trouble) = written {
            tracing::warn!("the share index cannot be written, it is kept in memory: {trouble}");
            if let Some(batch) = Arc::into_inner(batch) {
                put_back(&mut waiting.next, batch);
            }
        }
    }

    /// Forgets the chunk hashes of ids that `is_used` does not know, if there are more than `used`.
    pub(super) fn prune(&self, used: u64, is_used: impl Fn(FileId) -> bool) {
        match unused_hashes(&self.db, used, is_used) {
            Ok(unused) => self.remove_hashes(unused),
            Err(trouble) => tracing::warn!("the share index cannot be read: {trouble}"),
        }
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.commit();
    }
}

/// Changes that could not be written go back under those that came since.
fn put_back(next: &mut Batch, mut batch: Batch) {
    std::mem::swap(next, &mut batch);
    next.files.append(&mut batch.files);
    next.chunks.append(&mut batch.chunks);
    next.bytes += batch.bytes;
}

/// Opens and reads, and takes a panic on bytes that no writer wrote for damage.
fn open_guarded(path: &Path) -> Result<(Index, Rows), Trouble> {
    catch_unwind(AssertUnwindSafe(|| open(path))).unwrap_or(Err(Trouble::Panicked))
}

fn open(path: &Path) -> Result<(Index, Rows), Trouble> {
    let db = match Builder::new().set_cache_size(CACHE_BYTES).create(path) {
        Err(DatabaseError::DatabaseAlreadyOpen) => return Err(Trouble::Busy),
        db => db?,
    };
    check_version(&db)?;
    let rows = read_rows(&db)?;
    Ok((Index::with(db), rows))
}

fn check_version(db: &Database) -> Result<(), Trouble> {
    match db.begin_read()?.open_table(META) {
        Ok(meta) => match meta.get("version")?.map(|version| version.value()) {
            Some(VERSION) => Ok(()),
            _ => Err(Trouble::Version),
        },
        Err(TableError::TableDoesNotExist(_)) => write(db, &Batch::default()),
        Err(error) => Err(error.into()),
    }
}

fn read_rows(db: &Database) -> Result<Rows, Trouble> {
    let table = db.begin_read()?.open_table(FILES)?;
    let mut rows = Rows::new();
    for item in table.iter()? {
        let (path, row) = item?;
        let row = decode_row(path.value(), row.value()).ok_or(Trouble::Damaged)?;
        rows.push((Box::from(path.value()), row));
    }
    Ok(rows)
}

fn read_hashes(db: &Database, id: FileId) -> Result<Option<Vec<ChunkHash>>, Trouble> {
    let table = db.begin_read()?.open_table(CHUNKS)?;
    let Some(found) = table.get(&id.0)? else { return Ok(None) };
    let (hashes, _) = found.value().as_chunks::<{ ChunkHash::BYTES }>();
    Ok(Some(hashes.iter().copied().map(ChunkHash).collect()))
}

fn unused_hashes(
    db: &Database,
    used: u64,
    is_used: impl Fn(FileId) -> bool,
) -> Result<BTreeSet<FileId>, Trouble> {
    use redb::ReadableTableMetadata;
    let table = db.begin_read()?.open_table(CHUNKS)?;
    let mut unused = BTreeSet::new();
    if table.len()? > used {
        for item in table.iter()? {
            let id = FileId(*item?.0.value());
            if !is_used(id) {
                unused.insert(id);
            }
        }
    }
    Ok(unused)
}

fn write(db: &Database, batch: &Batch) -> Result<(), Trouble> {
    let transaction = db.begin_write()?;
    {
        transaction.open_table(META)?.insert("version", VERSION)?;
        let mut files = transaction.open_table(FILES)?;
        for (path, row) in &batch.files {
            match row {
                Some(row) => files.insert(&**path, &encode_row(path, row)[..])?,
                None => files.remove(&**path)?,
            };
        }
        let mut chunks = transaction.open_table(CHUNKS)?;
        for (id, hashes) in &batch.chunks {
            match hashes {
                Some(hashes) => {
                    let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
                    chunks.insert(&id.0, &bytes[..])?;
                }
                None => drop(chunks.remove(&id.0)?),
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

const PLAIN_ROW_BYTES: usize = 8 + 8 + 8 + FileId::BYTES;
/// A row ends with the first bytes of a hash of itself and its path, because the database does not
/// look for damage when it was closed in order, and a wrong id would be told to everybody.
const CHECK_BYTES: usize = 8;
const ROW_BYTES: usize = PLAIN_ROW_BYTES + CHECK_BYTES;

fn encode_row(path: &str, row: &Row) -> [u8; ROW_BYTES] {
    let mut out = [0; ROW_BYTES];
    out[..8].copy_from_slice(&row.stamp.size.to_be_bytes());
    out[8..16].copy_from_slice(&row.stamp.mtime_ns.to_be_bytes());
    out[16..24].copy_from_slice(&row.stamp.inode.to_be_bytes());
    out[24..PLAIN_ROW_BYTES].copy_from_slice(&row.id.0);
    let check = check_of(path, &out[..PLAIN_ROW_BYTES]);
    out[PLAIN_ROW_BYTES..].copy_from_slice(&check);
    out
}

fn decode_row(path: &str, bytes: &[u8]) -> Option<Row> {
    let (plain, check) = bytes.split_at_checked(PLAIN_ROW_BYTES)?;
    if check != check_of(path, plain) {
        return None;
    }
    let (size, rest) = plain.split_first_chunk()?;
    let (mtime_ns, rest) = rest.split_first_chunk()?;
    let (inode, id) = rest.split_first_chunk()?;
    let stamp = Stamp {
        size: u64::from_be_bytes(*size),
        mtime_ns: i64::from_be_bytes(*mtime_ns),
        inode: u64::from_be_bytes(*inode),
    };
    Some(Row { stamp, id: FileId(id.try_into().ok()?) })
}

fn check_of(path: &str, plain: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(plain).update(path.as_bytes());
    let mut check = [0; CHECK_BYTES];
    hasher.finalize_xof().fill(&mut check);
    check
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(content: &[u8]) -> Record {
        let stamp = Stamp { size: content.len() as u64, mtime_ns: -7, inode: 3 };
        Record { stamp, executable: false, id: FileId::of(content) }
    }

    fn row(content: &[u8]) -> Row {
        Row { stamp: record(content).stamp, id: FileId::of(content) }
    }

    #[test]
    fn rows_and_hashes_outlive_the_process() {
        let state = tempfile::tempdir().unwrap();
        let (index, rows) = Index::open(&state.path().join("new")).unwrap();
        assert_eq!(rows, []);
        let hashes = vec![ChunkHash([1; 32]), ChunkHash([2; 32])];
        index.put(&Arc::from("b"), &record(b"large"), hashes.clone());
        index.put(&Arc::from("a\n"), &record(b"small"), Vec::new());
        assert_eq!(index.hashes(FileId::of(b"large")), Some(hashes.clone()), "before it is written");
        index.commit();
        assert_eq!(index.hashes(FileId::of(b"large")), Some(hashes.clone()), "after it was written");
        index.remove(["a\n"]);
        drop(index);
        let (index, rows) = Index::open(&state.path().join("new")).unwrap();
        assert_eq!(rows, [(Box::from("b"), row(b"large"))]);
        assert_eq!(index.hashes(FileId::of(b"large")), Some(hashes));
        assert_eq!(index.hashes(FileId::of(b"small")), None);
        index.prune(0, |_| false);
        assert_eq!(index.hashes(FileId::of(b"large")), None);
    }

    #[test]
    fn a_second_opening_is_refused() {
        let state = tempfile::tempdir().unwrap();
        let _first = Index::open(state.path()).unwrap();
        assert!(matches!(Index::open(state.path()), Err(Busy)));
    }

    #[test]
    fn damage_is_set_aside() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join(FILE);
        let (index, _) = Index::open(state.path()).unwrap();
        for n in 0..2000 {
            index.put(&Arc::from(format!("file {n}")), &record(b"x"), Vec::new());
        }
        drop(index);
        let whole = fs::read(&path).unwrap();
        let mut rng = fastrand::Rng::with_seed(9);
        for case in 0..40 {
            let mut bytes = whole.clone();
            match case % 3 {
                0 => bytes.truncate(rng.usize(..bytes.len())),
                1 => (0..200).for_each(|_| bytes[rng.usize(..whole.len())] ^= 1 << rng.u8(..8)),
                _ => bytes[..rng.usize(..whole.len())].fill(rng.u8(..)),
            }
            fs::write(&path, bytes).unwrap();
            let (index, _) = Index::open(state.path()).unwrap();
            index.put(&Arc::from("new"), &record(b"y"), Vec::new());
            drop(index);
            let (_, rows) = Index::open(state.path()).unwrap();
            assert!(rows.iter().any(|(path, found)| &**path == "new" && *found == row(b"y")), "case {case}");
        }
    }

    #[test]
    fn where_nothing_can_be_written_it_is_kept_in_memory() {
        let state = tempfile::tempdir().unwrap();
        fs::write(state.path().join("file"), "").unwrap();
        let (index, rows) = Index::open(&state.path().join("file/below")).unwrap();
        assert_eq!(rows, []);
        index.put(&Arc::from("a"), &record(b"a"), vec![ChunkHash([1; 32]); 2]);
        index.commit();
        assert_eq!(index.hashes(FileId::of(b"a")), Some(vec![ChunkHash([1; 32]); 2]));
    }
}
