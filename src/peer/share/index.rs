//! The index: a file that remembers what was hashed, so that a restart does not hash again.
//!
//! Only a cache: losing it costs time and nothing else, so damage is told and never an error. A row is
//! believed if the file still has its stamp, chunk hashes if they merge to their id; so what is lost
//! or too old does no harm, and what was changed is found by the check of each entry (`log`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::content::{ChunkHash, FileId};
use crate::peer::state_folder::set_aside;

use super::log::{Entry, Log, Opened, Reader, Unusable};
use super::record::{Record, Row, Rows};
use crate::threads::lock;

/// The index's file in the state folder.
const FILE: &str = "index";
/// Waiting changes are worth a commit when they are so many bytes.
const COMMIT_BYTES: usize = 16 << 20;
/// What a row takes besides its path, about.
const ROW_BYTES: usize = 80;

/// Another process has the index open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Busy;

/// Changes not yet in the file.
#[derive(Debug, Default)]
struct Batch {
    files: BTreeMap<Arc<str>, Option<Row>>,
    chunks: BTreeMap<FileId, Option<Vec<ChunkHash>>>,
    bytes: usize,
    /// A folder with files that may be in memory only: they must be on the disk before a row says so.
    unsynced: Option<PathBuf>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: Batch,
    /// What a commit under way is writing.
    writing: Arc<Batch>,
    /// The last commit failed, which has been said.
    failed: bool,
}

impl Waiting {
    /// What is to be said of a commit: that it failed once, however often it is tried again.
    fn word_of(&mut self, written: &io::Result<()>) -> Option<String> {
        let before = std::mem::replace(&mut self.failed, written.is_err());
        match written {
            Err(error) if !before => {
                Some(format!("the share index cannot be written, it is kept in memory: {error}"))
            }
            Ok(()) if before => Some("the share index is written again".to_owned()),
            _ => None,
        }
    }
}

/// An open index.
#[derive(Debug)]
pub(super) struct Index {
    /// None where no file can be written: everything goes on waiting.
    file: Option<OnDisk>,
    waiting: Mutex<Waiting>,
}

/// The index's file.
#[derive(Debug)]
struct OnDisk {
    /// Locked while something is written, so only by who writes.
    log: Mutex<Log>,
    /// For all others, who never wait for the disk to have written.
    reader: Reader,
}

impl Index {
    /// Opens the index in the folder `state`, which is made if need be, and reads it.
    ///
    /// What is no index is set aside; where no file can be written, the index is kept in memory.
    pub(super) fn open(state: &Path) -> Result<(Index, Rows), Busy> {
        let path = state.join(FILE);
        let made = fs::create_dir_all(state).map_err(Unusable::Io);
        let opened = match made.and_then(|()| Log::open(&path)) {
            Err(Unusable::Other(what)) => {
                set_aside(&path, what);
                Log::open(&path)
            }
            opened => opened,
        };
        let (file, rows) = match opened {
            Ok(Opened { log, rows }) => {
                let reader = log.reader();
                (Some(OnDisk { log: Mutex::new(log), reader }), rows)
            }
            Err(Unusable::Busy) => return Err(Busy),
            Err(unusable) => {
                tracing::warn!(path = %path.display(), "no share index here, the next start will hash anew: {unusable}");
                (None, Rows::new())
            }
        };
        Ok((Index { file, waiting: Mutex::default() }, rows))
    }

    /// Enters what was found in a file. `hashes` is empty for files of at most one chunk.
    pub(super) fn put(&self, path: &Arc<str>, record: &Record, hashes: Vec<ChunkHash>) {
        lock(&self.waiting).next.put(path, record, hashes);
    }

    /// Enters a file below `folder` that was written just now, without having been read from there: before its row is
    /// written, the system is told to write it down. After a power cut a file can have its size and time, and zeros for
    /// content.
    pub(super) fn put_fetched(
        &self,
        path: &Arc<str>,
        record: &Record,
        hashes: Vec<ChunkHash>,
        folder: &Path,
    ) {
        let mut waiting = lock(&self.waiting);
        waiting.next.unsynced.get_or_insert_with(|| folder.to_owned());
        waiting.next.put(path, record, hashes);
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
        self.file.as_ref()?.reader.hashes(id)
    }

    /// True if something waits to be written, and can be.
    pub(super) fn is_waiting(&self) -> bool {
        let waiting = lock(&self.waiting);
        self.file.is_some() && !(waiting.next.files.is_empty() && waiting.next.chunks.is_empty())
    }

    /// True if waiting changes are enough for a commit.
    pub(super) fn is_worth_a_commit(&self) -> bool {
        self.file.is_some() && lock(&self.waiting).next.bytes >= COMMIT_BYTES
    }

    /// Writes what waits. If that fails, it goes on waiting.
    pub(super) fn commit(&self) {
        let Some(file) = &self.file else { return };
        let mut log = lock(&file.log);
        let batch = {
            let mut waiting = lock(&self.waiting);
            waiting.writing = Arc::new(std::mem::take(&mut waiting.next));
            waiting.writing.clone()
        };
        if batch.files.is_empty() && batch.chunks.is_empty() {
            return;
        }
        let written = batch.synced().and_then(|()| log.append(batch.entries()));
        let mut waiting = lock(&self.waiting);
        waiting.writing = Arc::default();
        if let Some(word) = waiting.word_of(&written) {
            tracing::warn!("{word}");
        }
        if written.is_err()
            && let Some(batch) = Arc::into_inner(batch)
        {
            put_back(&mut waiting.next, batch);
        }
    }

    /// Forgets the chunk hashes of ids that `is_used` does not know, if there are more than `used`.
    pub(super) fn prune(&self, used: u64, is_used: impl Fn(FileId) -> bool) {
        let Some(file) = &self.file else { return };
        let known = file.reader.ids();
        if known.len() as u64 > used {
            self.remove_hashes(known.into_iter().filter(|id| !is_used(*id)).collect::<BTreeSet<_>>());
        }
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.commit();
    }
}

impl Batch {
    fn put(&mut self, path: &Arc<str>, record: &Record, hashes: Vec<ChunkHash>) {
        self.bytes += path.len() + ROW_BYTES + hashes.len() * ChunkHash::BYTES;
        self.files.insert(path.clone(), Some(Row { stamp: record.stamp, id: record.id }));
        if !hashes.is_empty() {
            self.chunks.insert(record.id, Some(hashes));
        }
    }

    fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let files = self.files.iter().map(|(path, row)| match row {
            Some(row) => Entry::Row(path, *row),
            None => Entry::NoRow(path),
        });
        let chunks = self.chunks.iter().map(|(id, hashes)| match hashes {
            Some(hashes) => Entry::Hashes(*id, hashes),
            None => Entry::NoHashes(*id),
        });
        files.chain(chunks)
    }

    /// Has the system write down what the rows are about, if it may not have yet.
    fn synced(&self) -> io::Result<()> {
        match &self.unsynced {
            Some(folder) => Ok(rustix::fs::syncfs(fs::File::open(folder)?)?),
            None => Ok(()),
        }
    }
}

/// Changes that could not be written go back under those that came since.
fn put_back(next: &mut Batch, mut batch: Batch) {
    std::mem::swap(next, &mut batch);
    next.files.append(&mut batch.files);
    next.chunks.append(&mut batch.chunks);
    next.bytes += batch.bytes;
    next.unsynced = batch.unsynced.or(next.unsynced.take());
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::peer::stamp::Stamp;

    fn record(content: &[u8]) -> Record {
        let stamp = Stamp { size: content.len() as u64, mtime_ns: -7, inode: 3, ctime_ns: 1 };
        Record { stamp, mode: 0o644, linked: false, id: FileId::of(content) }
    }

    fn row(content: &[u8]) -> Row {
        Row { stamp: record(content).stamp, id: FileId::of(content) }
    }

    #[test]
    fn that_nothing_can_be_written_is_said_once_and_that_it_is_written_again() {
        let mut waiting = Waiting::default();
        let (done, full) = (Ok(()), Err(io::ErrorKind::StorageFull.into()));
        assert_eq!(waiting.word_of(&done), None);
        assert!(waiting.word_of(&full).is_some_and(|word| word.contains("cannot be written")));
        assert_eq!(waiting.word_of(&full), None);
        assert_eq!(waiting.word_of(&done).as_deref(), Some("the share index is written again"));
        assert_eq!(waiting.word_of(&done), None);
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
    fn who_asks_for_hashes_does_not_wait_for_the_disk() {
        let state = tempfile::tempdir().unwrap();
        let (index, _) = Index::open(state.path()).unwrap();
        let hashes = |n| vec![ChunkHash([n; 32]); 2];
        index.put(&Arc::from("written"), &record(b"written"), hashes(1));
        index.commit();
        index.put(&Arc::from("waiting"), &record(b"waiting"), hashes(2));
        let writing = lock(&index.file.as_ref().unwrap().log);
        std::thread::scope(|scope| {
            let (answer, answers) = crossbeam_channel::bounded(2);
            scope.spawn(|| {
                let answer = answer;
                for of in ["written", "waiting"] {
                    answer.send(index.hashes(FileId::of(of.as_bytes()))).unwrap();
                }
            });
            let got = [0, 1].map(|_| answers.recv_timeout(Duration::from_secs(60)).ok().flatten());
            drop(writing);
            assert_eq!(got, [Some(hashes(1)), Some(hashes(2))]);
        });
    }

    #[test]
    fn what_could_not_be_written_goes_back_under_what_came_since() {
        let path = |path: &str| Arc::from(path);
        let batch = |files: [(&str, Option<Row>); 2]| Batch {
            files: files.map(|(at, row)| (path(at), row)).into(),
            bytes: 10,
            ..Batch::default()
        };
        let mut next = batch([("a", None), ("b", Some(row(b"new")))]);
        next.chunks.insert(FileId::of(b"b"), None);
        let mut old = batch([("b", Some(row(b"old"))), ("c", Some(row(b"old")))]);
        old.chunks.insert(FileId::of(b"b"), Some(Vec::new()));
        old.unsynced = Some(PathBuf::from("here"));
        put_back(&mut next, old);
        let files: Vec<_> = next.files.iter().map(|(path, row)| (&**path, *row)).collect();
        assert_eq!(files, [("a", None), ("b", Some(row(b"new"))), ("c", Some(row(b"old")))]);
        assert_eq!(next.chunks, BTreeMap::from([(FileId::of(b"b"), None)]));
        assert_eq!((next.bytes, next.unsynced), (20, Some(PathBuf::from("here"))));
    }

    #[test]
    fn what_was_fetched_is_put_on_the_disk_before_its_row() {
        let state = tempfile::tempdir().unwrap();
        let (index, _) = Index::open(state.path()).unwrap();
        // The folder is not there, so it cannot be synced, and nothing may be written.
        index.put_fetched(&Arc::from("a"), &record(b"a"), Vec::new(), Path::new("/nowhere at all"));
        assert!(index.is_waiting());
        index.commit();
        assert!(index.is_waiting(), "it goes on waiting");
        lock(&index.waiting).next.unsynced = Some(state.path().to_owned());
        index.commit();
        assert!(!index.is_waiting());
    }

    #[test]
    fn a_commit_is_worth_it_when_much_waits() {
        let state = tempfile::tempdir().unwrap();
        let (index, _) = Index::open(state.path()).unwrap();
        let hashes = vec![ChunkHash([1; 32]); COMMIT_BYTES / ChunkHash::BYTES];
        index.put(&Arc::from("a"), &record(b"a"), Vec::new());
        assert!(!index.is_worth_a_commit());
        index.put(&Arc::from("b"), &record(b"b"), hashes);
        assert!(index.is_worth_a_commit());
        index.commit();
        assert!(!index.is_worth_a_commit());
    }

    #[test]
    fn a_second_opening_is_refused() {
        let state = tempfile::tempdir().unwrap();
        let _first = Index::open(state.path()).unwrap();
        assert!(matches!(Index::open(state.path()), Err(Busy)));
    }

    #[test]
    fn damage_costs_rows_and_nothing_else() {
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
