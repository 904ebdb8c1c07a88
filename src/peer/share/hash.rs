//! Hashing of files, by as many threads as there are to spare, large files cut into spans of chunks.
//!
//! Reads files and nothing else. The invariant: a hash is given out only for a file that had the
//! expected stamp before its first byte was read and after its last, or was only longer by then; of a longer
//! one that part is hashed which was expected, and it is for others to see that its stamp is another.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use crate::content::{ChunkHash, FileId, Geometry, Manifest, chunk_hasher};
use crate::threads;

use super::job::{Job, Outcome};
use super::order::{Next, Order};
use super::reading::{disk_failure, may_be_read, open_stamped};
use crate::peer::stamp::Stamp;
use crate::threads::lock;

/// Bytes read at once: they are still in the core's own cache when they are hashed.
const BUFFER_BYTES: usize = 256 << 10;
/// A tick of the slowest file system clock: a file written within it may be written again and still
/// show the same time.
const CLOCK_TICK: Duration = Duration::from_millis(20);
/// How often the caller is told of progress.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);
/// How long to wait before a thread is asked for again when the system has none.
const THREAD_PAUSE: Duration = Duration::from_millis(50);

/// What the caller hears while files are hashed.
#[derive(Debug)]
pub(super) enum Report {
    /// A job is done.
    Done(Job, Outcome),
    /// Some time went by; so many bytes were read in all.
    Read(u64),
}

/// Hashes files with `threads` threads; each outcome goes to `report`, on the caller's thread.
///
/// Small files come in the order given. When `stop` is set the rest is given back as stopped.
pub(super) fn hash_all(
    root: &Path,
    jobs: Vec<Job>,
    threads: usize,
    stop: &AtomicBool,
    mut report: impl FnMut(Report),
) {
    let read = AtomicU64::new(0);
    let (order, begun) = (Mutex::new(Order::new(jobs)), Condvar::new());
    thread::scope(|scope| {
        let (done, results) = bounded(256);
        let start = || {
            let worker = Worker { root, order: &order, begun: &begun, stop, read: &read, done: done.clone() };
            threads::named("hash").helper(scope, move || worker.run())
        };
        let mut workers: Vec<_> = (0..threads.max(1)).filter_map(|_| start()).collect();
        while workers.is_empty() {
            // The system has no thread left now; one is enough.
            thread::sleep(THREAD_PAUSE);
            workers.extend(start());
        }
        drop(done);
        loop {
            match results.recv_timeout(PROGRESS_EVERY) {
                Ok((job, outcome)) => report(Report::Done(job, outcome)),
                Err(RecvTimeoutError::Timeout) => report(Report::Read(read.load(Ordering::Relaxed))),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        workers.into_iter().for_each(threads::join);
    });
}

/// A large file that several threads hash at once.
struct Large {
    job: Job,
    file: File,
    geometry: Geometry,
    hashes: Mutex<Vec<ChunkHash>>,
    chunks_left: AtomicU32,
    failed: Mutex<Option<Outcome>>,
}

struct Worker<'a> {
    root: &'a Path,
    order: &'a Mutex<Order<Arc<Large>>>,
    /// A large file was opened.
    begun: &'a Condvar,
    stop: &'a AtomicBool,
    read: &'a AtomicU64,
    done: Sender<(Job, Outcome)>,
}

/// A large file that is being opened: for as long as this lives, others wait for what comes of it.
struct Beginning<'a> {
    worker: &'a Worker<'a>,
    opened: Option<(Arc<Large>, Geometry)>,
}

impl Drop for Beginning<'_> {
    fn drop(&mut self) {
        lock(self.worker.order).begun(self.opened.take());
        self.worker.begun.notify_all();
    }
}

impl Worker<'_> {
    fn run(self) {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let next = self.next();
            if matches!(next, Next::Done) {
                return;
            }
            threads::may_panic("hash-worker");
            match next {
                Next::Small(jobs) => {
                    for job in jobs {
                        let outcome = self.hash_small(&job, &mut buffer).unwrap_or_else(|failed| failed);
                        self.tell(job, outcome);
                    }
                }
                Next::Begin(job) => self.begin(job),
                Next::Span(large, span) => self.hash_span(&large, span, &mut buffer),
                Next::Wait | Next::Done => {}
            }
        }
    }

    fn tell(&self, job: Job, outcome: Outcome) {
        // The caller listens until all workers are gone.
        let _ = self.done.send((job, outcome));
    }

    /// What to do next, as soon as there is something.
    fn next(&self) -> Next<Arc<Large>> {
        let mut order = lock(self.order);
        loop {
            match order.next() {
                Next::Wait => order = self.begun.wait(order).unwrap_or_else(PoisonError::into_inner),
                next => return next,
            }
        }
    }

    /// Opens a large file for all.
    fn begin(&self, job: Job) {
        let mut beginning = Beginning { worker: self, opened: None };
        match self.open(&job) {
            Ok((file, geometry)) => {
                let large = Large {
                    job,
                    file,
                    geometry,
                    hashes: Mutex::new(vec![ChunkHash([0; 32]); geometry.chunks() as usize]),
                    chunks_left: AtomicU32::new(geometry.chunks()),
                    failed: Mutex::new(None),
                };
                beginning.opened = Some((Arc::new(large), geometry));
            }
            Err(outcome) => {
                drop(beginning); // the others need not wait until it is told
                self.tell(job, outcome);
            }
        }
    }

    fn open(&self, job: &Job) -> Result<(File, Geometry), Outcome> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Outcome::Stopped);
        }
        let geometry = Geometry::of(job.found.stamp.size).ok_or(Outcome::Unstable)?;
        wait_for_tick(job.found.stamp);
        let file = open_stamped(self.root, &job.path, job.found.stamp).map_err(Outcome::Failed)?;
        Ok((file.ok_or(Outcome::Unstable)?, geometry))
    }

    fn hash_small(&self, job: &Job, buffer: &mut [u8]) -> Result<Outcome, Outcome> {
        let (file, geometry) = self.open(job)?;
        let mut hashes = vec![ChunkHash([0; 32]); geometry.chunks() as usize];
        self.hash_chunks(&file, geometry, 0..geometry.chunks(), buffer, &mut hashes)?;
        finish(job, &file, geometry, hashes)
    }

    fn hash_span(&self, large: &Large, span: std::ops::Range<u32>, buffer: &mut [u8]) {
        let mut hashes = vec![ChunkHash([0; 32]); span.len()];
        // On a line of its own: the lock must not be held while the span is hashed.
        let has_failed = lock(&large.failed).is_some();
        let hashed = if has_failed {
            Ok(()) // another span told why
        } else {
            self.hash_chunks(&large.file, large.geometry, span.clone(), buffer, &mut hashes)
        };
        match hashed {
            Ok(()) => lock(&large.hashes)[span.start as usize..span.end as usize].copy_from_slice(&hashes),
            Err(outcome) => *lock(&large.failed) = Some(outcome),
        }
        if large.chunks_left.fetch_sub(span.len() as u32, Ordering::AcqRel) == span.len() as u32 {
            let failed = lock(&large.failed).take();
            let hashes = std::mem::take(&mut *lock(&large.hashes));
            let finish = || finish(&large.job, &large.file, large.geometry, hashes);
            let outcome = failed.map_or_else(finish, Err).unwrap_or_else(|failed| failed);
            self.tell(large.job.clone(), outcome);
        }
    }

    /// Hashes a run of chunks, several at one read if they are small.
    fn hash_chunks(
        &self,
        file: &File,
        geometry: Geometry,
        chunks: std::ops::Range<u32>,
        buffer: &mut [u8],
        hashes: &mut [ChunkHash],
    ) -> Result<(), Outcome> {
        let mut reader = Reader { file, buffer, at: 0, filled: 0..0 };
        for (number, hash) in chunks.zip(hashes) {
            let chunk = geometry.index(number).ok_or(Outcome::Unstable)?;
            let mut hasher = chunk_hasher(geometry, chunk);
            let mut left = geometry.len(chunk);
            reader.at = geometry.offset(chunk);
            while left > 0 {
                if self.stop.load(Ordering::Relaxed) {
                    return Err(Outcome::Stopped);
                }
                let piece = reader.take(left, geometry.size()).map_err(Outcome::Failed)?;
                if piece.is_empty() {
                    // One that is as long as it was cannot end here: the disk fails.
                    let shorter = file.metadata().is_ok_and(|now| now.len() < geometry.size());
                    return Err(if shorter { Outcome::Unstable } else { Outcome::Failed(disk_failure()) });
                }
                hasher.update(piece);
                left -= piece.len() as u64;
                self.read.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
            *hash = hasher.finish();
        }
        Ok(())
    }
}

fn finish(job: &Job, file: &File, geometry: Geometry, hashes: Vec<ChunkHash>) -> Result<Outcome, Outcome> {
    if !may_be_read(file, job.found.stamp).map_err(Outcome::Failed)? {
        return Err(Outcome::Unstable);
    }
    let id = match hashes.as_slice() {
        [] => FileId::of(b""),
        [only] => return Ok(Outcome::Hashed(job.found.with_id(FileId(only.0)), Vec::new())),
        _ => Manifest::new(geometry, hashes.clone()).map_err(|_| Outcome::Unstable)?.1,
    };
    Ok(Outcome::Hashed(job.found.with_id(id), hashes))
}

/// Reads forward in a file through a buffer.
struct Reader<'a> {
    file: &'a File,
    buffer: &'a mut [u8],
    /// Where the next byte taken lies in the file.
    at: u64,
    /// Which part of the buffer holds bytes not taken yet.
    filled: std::ops::Range<usize>,
}

impl Reader<'_> {
    /// At most `most` bytes; none at the end of the file, which is expected at `end`.
    fn take(&mut self, most: u64, end: u64) -> io::Result<&[u8]> {
        if self.filled.is_empty() {
            let want = (end - self.at).min(self.buffer.len() as u64) as usize;
            self.filled = 0..read_some(self.file, &mut self.buffer[..want], self.at)?;
        }
        let len = self.filled.len().min(usize::try_from(most).unwrap_or(usize::MAX));
        let piece = self.filled.start..self.filled.start + len;
        self.filled.start += len;
        self.at += len as u64;
        Ok(&self.buffer[piece])
    }
}

/// Fills the buffer as far as the file goes: whole blocks hash faster than what short reads leave.
fn read_some(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match file.read_at(&mut buffer[len..], at + len as u64) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

/// Waits until the file system's clock has moved on since the file was written.
fn wait_for_tick(stamp: Stamp) {
    if let Some(age) = stamp.age(SystemTime::now())
        && age < CLOCK_TICK
    {
        thread::sleep(CLOCK_TICK - age);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::record::Found;
    use super::*;

    fn hash(folder: &Path, names: &[&str]) -> Vec<(String, Outcome)> {
        let found = |name: &&str| Found::of(&folder.join(name).metadata().unwrap());
        let jobs = names.iter().map(|name| Job { path: Arc::from(*name), found: found(name) });
        let mut out = Vec::new();
        hash_all(folder, jobs.collect(), 3, &AtomicBool::new(false), |report| {
            if let Report::Done(job, outcome) = report {
                out.push((job.path.to_string(), outcome));
            }
        });
        out.sort_by(|a, b| a.0.cmp(&b.0));
        out
    }

    #[test]
    fn every_size_gives_the_plain_hash_and_the_hashes_of_its_chunks() {
        let folder = tempfile::tempdir().unwrap();
        let sizes = [0, 1, 65_535, 65_536, 65_537, 300_000, (4 << 20) + 1, (10 << 20) + 123];
        let names: Vec<String> = sizes.iter().map(|size| format!("{size:08}")).collect();
        for (name, size) in names.iter().zip(sizes) {
            let data: Vec<u8> = (0..size as u32).map(|n| (n ^ (n >> 11)) as u8).collect();
            std::fs::write(folder.path().join(name), data).unwrap();
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for (name, outcome) in hash(folder.path(), &names) {
            let data = std::fs::read(folder.path().join(&name)).unwrap();
            let Outcome::Hashed(record, hashes) = outcome else { panic!("{name}: {outcome:?}") };
            assert_eq!(record.id, FileId::of(&data), "{name}");
            let geometry = Geometry::of(data.len() as u64).unwrap();
            let expected = if geometry.chunks() > 1 { geometry.chunks() as usize } else { 0 };
            assert_eq!(hashes.len(), expected, "{name}");
        }
    }

    #[test]
    fn a_file_that_does_not_look_as_expected_is_unstable() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "content").unwrap();
        let mut found = Found::of(&folder.path().join("a").metadata().unwrap());
        found.stamp.mtime_ns -= 1;
        let jobs = ["a", "missing"].map(|name| Job { path: Arc::from(name), found });
        let mut outcomes = Vec::new();
        hash_all(folder.path(), jobs.to_vec(), 1, &AtomicBool::new(false), |report| {
            if let Report::Done(_, outcome) = report {
                outcomes.push(outcome);
            }
        });
        assert!(matches!(&outcomes[..], [Outcome::Unstable, Outcome::Failed(_)]), "{outcomes:?}");
    }

    #[test]
    fn a_stop_gives_back_what_is_left() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "content").unwrap();
        let found = Found::of(&folder.path().join("a").metadata().unwrap());
        let mut stopped = 0;
        let job = Job { path: Arc::from("a"), found };
        hash_all(folder.path(), vec![job], 2, &AtomicBool::new(true), |report| {
            stopped += usize::from(matches!(report, Report::Done(_, Outcome::Stopped)));
        });
        assert_eq!(stopped, 1);
    }

    #[test]
    fn one_thread_hashes_in_the_order_given() {
        let folder = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..100).map(|n| format!("{}", 99 - n)).collect();
        names.iter().for_each(|name| std::fs::write(folder.path().join(name), name).unwrap());
        let found = |name: &String| Found::of(&folder.path().join(name).metadata().unwrap());
        let jobs = names.iter().map(|name| Job { path: Arc::from(name.as_str()), found: found(name) });
        let mut done = Vec::new();
        hash_all(folder.path(), jobs.collect(), 1, &AtomicBool::new(false), |report| {
            if let Report::Done(job, Outcome::Hashed(record, _)) = report {
                assert_eq!(record.id, FileId::of(job.path.as_bytes()));
                done.push(job.path.to_string());
            }
        });
        assert_eq!(done, names);
    }

    #[test]
    fn a_large_file_that_cannot_be_opened_holds_up_nobody() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("large"), vec![1; 5 << 20]).unwrap();
        let found = Found::of(&folder.path().join("large").metadata().unwrap());
        let jobs = ["missing", "large", "missing", "large"].map(|name| Job { path: Arc::from(name), found });
        let mut done = BTreeMap::new();
        hash_all(folder.path(), jobs.to_vec(), 3, &AtomicBool::new(false), |report| {
            if let Report::Done(job, outcome) = report {
                let hashed = matches!(outcome, Outcome::Hashed(..));
                assert_eq!(hashed, *job.path == *"large", "{outcome:?}");
                *done.entry(job.path.to_string()).or_insert(0) += 1;
            }
        });
        assert_eq!(done, BTreeMap::from([("large".to_owned(), 2), ("missing".to_owned(), 2)]));
    }
}
