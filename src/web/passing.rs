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
use super::site::Site;
use super::swarm;
use crate::content::{FileId, SafeName};
use crate::peer::{Hand, Job, Member, Reading};
use crate::threads::lock;

/// The folder in the peer's state.
const FOLDER: &str = "cache";
/// What a content is called in its folder, so that it is the same fetch whatever it is called elsewhere.
const FILE: &str = "file";
const TREE: &str = "folder";
/// Contents that lie there at most: each has a thread that looks after it.
const MAX_CONTENTS: usize = 64;
/// How long the first bytes may take.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often it is looked for them.
const LOOK: Duration = Duration::from_millis(20);
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

fn full(detail: String) -> Problem {
    Problem::new(StatusCode::INSUFFICIENT_STORAGE, "full", detail)
}

/// Has a content fetched that is not here, and waits until its first bytes can be read, or its listing.
pub(super) fn bring(site: &Site, id: FileId) -> Result<(Reader, Opened), Problem> {
    let peer = site.peer()?;
    let reader = match site.passing.join(id) {
        Some(reader) => reader,
        None => begin(site, peer, id)?,
    };
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(opened) = open(peer, id, reader.is_folder) {
            return Ok((reader, opened));
        }
        let job = lock(&site.passing.passages).get(&id).map(|passage| passage.job.clone());
        let gone = || Problem::conflict("it was given up; try again");
        match job.ok_or_else(gone)?.wait(LOOK) {
            Some(Err(error)) => return Err(Problem::unreachable(format!("it cannot be fetched: {error}"))),
            Some(Ok(_)) => std::thread::sleep(LOOK),
            None => {}
        }
        if Instant::now() >= until {
            return Err(Problem::unreachable("nobody who has it can be reached now").after(30));
        }
    }
}

fn begin(site: &Site, peer: &Hand, id: FileId) -> Result<Reader, Problem> {
    let missing = || Problem::missing("nobody shares that, and no store keeps it");
    let found = swarm::locate(site, &id.to_string())?.0.into_iter().next().ok_or_else(missing)?;
    let name = SafeName::new(&*found.name);
    let name = name.map_err(|error| Problem::bad(format!("no name for a file: {error}")))?;
    if found.size > site.cache_bytes {
        return Err(full(format!(
            "it has {} bytes, and {} are kept of what is only read here (--web-cache); fetch it instead",
            found.size, site.cache_bytes
        )));
    }
    let state = peer.state().ok_or_else(|| Problem::conflict("this peer has no place for it"))?;
    let _beginning = lock(&site.passing.beginning);
    if let Some(reader) = site.passing.join(id) {
        return Ok(reader);
    }
    let cache = state.join(FOLDER);
    let folder = cache.join(id.to_string());
    let failed = |error: io::Error| full(format!("there is no place for it: {error}"));
    make(&cache).map_err(failed)?;
    if !site.passing.make_room(&cache, found.size, site.cache_bytes).map_err(failed)? {
        return Err(full("what others are reading takes all the room (--web-cache)".to_owned()));
    }
    make(&folder).map_err(failed)?;
    let _ = File::open(&folder).and_then(|folder| folder.set_modified(SystemTime::now())); // a hint, who goes first
    let is_folder = name.is_tree();
    let job = peer.bring(id, name, folder.join(if is_folder { TREE } else { FILE }))?;
    let passage = Passage { job, is_folder, bytes: found.size, readers: 1, left: Instant::now() };
    lock(&site.passing.passages).insert(id, passage);
    Ok(Reader { passing: site.passing.clone(), id, is_folder })
}

fn make(folder: &PathBuf) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
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
