//! What passes through: a content that is not here is fetched for who reads it on the page, into the peer's state, and
//! stays there for who comes next until others take its room. It is no part of what the peer shares, and is lent to others
//! as what any fetch brings.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use hyper::StatusCode;

use super::answer::Problem;
use crate::api::control::Fault;
use crate::content::FileId;
use crate::peer::{Hand, Job, Member, Reading};
use crate::threads::lock;

/// The folder in the peer's state.
const FOLDER: &str = "cache";
/// What a content is called in its folder, so that it is the same fetch whatever it is called elsewhere.
const FILE: &str = "file";
const TREE: &str = "folder";
/// Contents that lie there at most: each has a thread that looks after it.
const MAX_CONTENTS: usize = 64;
/// What nobody reads any more is fetched no further after so long.
const IDLE: Duration = Duration::from_secs(60);

/// What is to be read.
pub(super) enum Opened {
    File(Reading),
    Folder(Reading, Vec<Member>),
}

/// What can be read of a content now.
pub(super) fn open(peer: &Hand, id: FileId, is_folder: bool) -> Option<Opened> {
    match is_folder {
        true => peer.open_folder(id).map(|(reading, files)| Opened::Folder(reading, files)),
        false => peer.open(id).map(Opened::File),
    }
}

#[derive(Debug)]
struct Passage {
    job: Job,
    is_folder: bool,
    bytes: u64,
    readers: usize,
    /// When the last of them left.
    left: Instant,
}

/// All that passes through, or did and lies here.
#[derive(Debug, Default)]
pub(super) struct Passing {
    passages: Mutex<BTreeMap<FileId, Passage>>,
    /// One at a time makes room and begins.
    beginning: Mutex<()>,
}

/// Somebody who reads it; while there is one it stays.
#[derive(Debug)]
pub(super) struct Reader {
    passing: Arc<Passing>,
    id: FileId,
    pub(super) is_folder: bool,
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(passage) = lock(&self.passing.passages).get_mut(&self.id) {
            passage.readers -= 1;
            passage.left = Instant::now();
        }
    }
}

impl Passing {
    /// One more reader of what passes through already, or lies here.
    pub(super) fn join(self: &Arc<Self>, id: FileId) -> Option<Reader> {
        let mut passages = lock(&self.passages);
        let passage = passages.get_mut(&id)?;
        if matches!(passage.job.wait(Duration::ZERO), Some(Err(_))) {
            return None;
        }
        passage.readers += 1;
        Some(Reader { passing: self.clone(), id, is_folder: passage.is_folder })
    }

    /// Ends what nobody reads; what has come of it is kept for next time.
    pub(super) fn sweep(&self, now: Instant) {
        let mut passages = lock(&self.passages);
        passages.retain(|_, passage| {
            let is_idle = passage.readers == 0 && now.saturating_duration_since(passage.left) >= IDLE;
            let has_ended = passage.job.wait(Duration::ZERO);
            if is_idle && has_ended.is_none() {
                passage.job.cancel();
            }
            !is_idle || matches!(has_ended, Some(Ok(_)))
        });
    }

    /// The fetch of what passes through.
    pub(super) fn job(&self, id: FileId) -> Option<Job> {
        lock(&self.passages).get(&id).map(|passage| passage.job.clone())
    }

    /// The first reader of what is fetched from now on: `start` does that, into the place that it is given. At most so
    /// many bytes lie about.
    ///
    /// # Errors
    /// There is no room, or it cannot be started.
    pub(super) fn begin(
        self: &Arc<Self>,
        (state, most): (&Path, u64),
        (id, bytes, is_folder): (FileId, u64, bool),
        start: impl FnOnce(PathBuf) -> Result<Job, Fault>,
    ) -> Result<Reader, Problem> {
        let _beginning = lock(&self.beginning);
        if let Some(reader) = self.join(id) {
            return Ok(reader);
        }
        let cache = state.join(FOLDER);
        let folder = cache.join(id.to_string());
        let failed = |error: io::Error| full(format!("there is no place for it: {error}"));
        make(&cache).map_err(failed)?;
        if !self.make_room(&cache, bytes, most).map_err(failed)? {
            return Err(full("what others are reading takes all the room (--web-cache)".to_owned()));
        }
        make(&folder).map_err(failed)?;
        // A hint, which of them goes first.
        let _ = File::open(&folder).and_then(|folder| folder.set_modified(SystemTime::now()));
        let job = start(folder.join(if is_folder { TREE } else { FILE }))?;
        let passage = Passage { job, is_folder, bytes, readers: 1, left: Instant::now() };
        lock(&self.passages).insert(id, passage);
        Ok(Reader { passing: self.clone(), id, is_folder })
    }

    /// Makes room for so many bytes: what was read longest ago goes first, and what is being read stays.
    fn make_room(&self, cache: &Path, bytes: u64, most: u64) -> io::Result<bool> {
        let mut lying = Vec::new();
        for entry in fs::read_dir(cache)?.flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<FileId>().ok()) else {
                continue;
            };
            let known = lock(&self.passages).get(&id).map(|passage| (passage.bytes, passage.readers > 0));
            let (bytes, is_read) = known.unwrap_or_else(|| (bytes_in(&entry.path()), false));
            lying.push((is_read, entry.metadata()?.modified()?, bytes, id));
        }
        lying.sort();
        let mut total: u64 = lying.iter().map(|(_, _, bytes, _)| bytes).sum();
        let mut count = lying.len();
        for (is_read, _, has, id) in lying {
            if total.saturating_add(bytes) <= most && count < MAX_CONTENTS {
                break;
            }
            if is_read {
                return Ok(false);
            }
            if let Some(passage) = lock(&self.passages).remove(&id) {
                passage.job.cancel();
            }
            fs::remove_dir_all(cache.join(id.to_string()))?;
            (total, count) = (total - has, count - 1);
        }
        Ok(true)
    }
}

/// Bytes of all files below a folder; what cannot be read has none.
fn bytes_in(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let bytes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_in(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    bytes.sum()
}

fn make(folder: &PathBuf) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// There is no room.
pub(super) fn full(detail: String) -> Problem {
    Problem::new(StatusCode::INSUFFICIENT_STORAGE, "full", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A content that lies there, read so many seconds ago.
    fn lies(cache: &Path, number: u8, bytes: usize, age: u64) -> PathBuf {
        let folder = cache.join(FileId([number; 32]).to_string());
        fs::create_dir_all(folder.join(TREE)).unwrap();
        fs::write(folder.join(TREE).join("a"), vec![0; bytes]).unwrap();
        let read = SystemTime::now() - Duration::from_secs(age);
        File::open(&folder).unwrap().set_modified(read).unwrap();
        folder
    }

    #[test]
    fn what_was_read_longest_ago_makes_room() {
        let place = tempfile::tempdir().unwrap();
        let cache = place.path();
        let (old, middle, new) = (lies(cache, 1, 40, 300), lies(cache, 2, 40, 200), lies(cache, 3, 20, 100));
        fs::write(cache.join("notes"), "somebody else's").unwrap();
        let passing = Passing::default();
        assert!(passing.make_room(cache, 0, 100).unwrap());
        assert!(old.exists(), "there is room");
        assert!(passing.make_room(cache, 50, 100).unwrap());
        assert_eq!(
            (old.exists(), middle.exists(), new.exists()),
            (false, false, true),
            "90 would be too many"
        );
        assert!(passing.make_room(cache, 80, 100).unwrap() && new.exists());
        assert!(passing.make_room(cache, 100, 100).unwrap() && !new.exists());
        assert!(cache.join("notes").exists());
    }
}
