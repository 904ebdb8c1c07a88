//! Who owns what is unfinished: one fetch at a time, by a lock that the kernel takes back from the dead.
//!
//! `STATE/partial/ID/` belongs to whoever holds the lock on the file `lock` in it, which says what is being
//! fetched there: of which size, and to where. The same fetch, of this process or another, waits for the
//! owner's end, whichever it is, and goes on with what it finds. A fetch of the same content to elsewhere takes
//! the next free folder, `ID.2` and so on, or goes on with what somebody left in one: bytes are believed for
//! what they are, not for where they were to go.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::journal;
use crate::content::FileId;
use crate::owner;
use crate::peer::state_folder::{make_own_folder, open_plain, remove_if_empty, set_aside};

/// Most unfinished fetches of one content in one state folder; one more waits.
const MAX_SAME: u32 = 16;
/// Most bytes of what a lock says that are looked at.
const MAX_PURPOSE_BYTES: u64 = 16 << 10;
const LOCK: &str = "lock";
/// The journal in it.
pub(super) const JOURNAL: &str = "journal";
/// What proves the chunks that the journal tells of.
pub(super) const PROOFS: &str = "proofs";
/// Ends the name of a folder that is going.
const GOING: &str = ".going";

/// What is unfinished of one fetch, and the right to it for as long as this lives.
#[derive(Debug)]
pub(in crate::peer) struct Partial {
    path: PathBuf,
    lock: File,
}

/// What a folder was found to be.
enum Found {
    Ours(Partial, String),
    Another(String),
    Nothing,
}

impl Partial {
    /// Takes what is unfinished of `id` under `state`, to fetch it for `purpose`; `None` while the very same
    /// is being fetched already.
    pub(in crate::peer) fn claim(state: &Path, id: FileId, purpose: &str) -> io::Result<Option<Partial>> {
        let all = state.join("partial");
        let path = |number: u32| match number {
            1 => all.join(id.to_string()),
            number => all.join(format!("{id}.{number}")),
        };
        loop {
            make_own_folder(&all)?;
            let (mut left, mut free) = (None::<Partial>, None::<PathBuf>);
            for number in 1..=MAX_SAME {
                match look(&path(number))? {
                    // An owner that has said nothing yet is about to.
                    Found::Another(theirs) if theirs == purpose || theirs.is_empty() => return Ok(None),
                    Found::Another(_) => {}
                    Found::Ours(partial, before) if before == purpose => return Ok(Some(partial)),
                    Found::Ours(partial, _) => left = left.or(Some(partial)),
                    Found::Nothing => free = free.or_else(|| Some(path(number))),
                }
            }
            let taken = match (left, free) {
                (Some(left), _) => Some(left),
                (None, Some(free)) => make(&free)?,
                (None, None) => return Ok(None),
            };
            if let Some(partial) = taken {
                partial.lock.set_len(0)?;
                partial.lock.write_all_at(purpose.as_bytes(), 0)?;
                return Ok(Some(partial));
            }
        }
    }

    /// Where it is.
    pub(in crate::peer) fn path(&self) -> &Path {
        &self.path
    }

    /// True if there are proved chunks in it.
    pub(in crate::peer) fn is_begun(&self) -> bool {
        is_begun(&self.path)
    }

    /// Removes it, with the folders above it that are left empty.
    pub(in crate::peer) fn clear(self) {
        clear(&self.path);
    }
}

/// True if there are proved chunks in a folder of unfinished files.
pub(in crate::peer) fn is_begun(path: &Path) -> bool {
    journal::has_records(&path.join(JOURNAL))
}

/// Removes a folder of unfinished files, and the two above it if nothing else is in them.
pub(super) fn clear(path: &Path) {
    // Under another name first: whoever comes meanwhile must not take half of it for his.
    let mut going = path.as_os_str().to_owned();
    going.push(format!("{GOING}{:08x}", fastrand::u32(..)));
    let going = PathBuf::from(going);
    let _ = fs::rename(path, &going).and_then(|()| fs::remove_dir_all(&going));
    remove_if_empty(path.ancestors().skip(1).take(2));
}

/// Removes what nobody has gone on with for `keep`.
pub(in crate::peer) fn sweep(state: &Path, keep: Duration) {
    let inside = fs::read_dir(state.join("partial")).into_iter().flatten().flatten();
    for path in inside.map(|entry| entry.path()).filter(|path| is_named_like_one(path)) {
        let (Some(age), Ok(Found::Ours(partial, _))) = (age(&path), look(&path)) else { continue };
        if age >= keep {
            tracing::debug!("{} was not gone on with and goes", path.display());
            partial.clear();
        }
    }
}

fn is_named_like_one(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.split('.').next().is_some_and(|id| id.parse::<FileId>().is_ok()) && !name.contains(".damaged")
}

/// How long ago something was last done to it.
fn age(path: &Path) -> Option<Duration> {
    let changed = |path: &Path| fs::symlink_metadata(path).ok()?.modified().ok();
    let last = [path, &path.join(LOCK), &path.join(JOURNAL)].into_iter().filter_map(changed).max()?;
    SystemTime::now().duration_since(last).ok()
}

/// Takes the folder at `path` if there is one and nobody else has it.
fn look(path: &Path) -> io::Result<Found> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() && owner::stranger(path).is_none() => {}
        // What is there and is no folder, or another user's, is set aside when one is made.
        Ok(_) => return Ok(Found::Nothing),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    }
    match open_locked(path) {
        Ok(Locked::Ours(lock)) => {
            let purpose = purpose(&lock);
            Ok(Found::Ours(Partial { path: path.to_owned(), lock }, purpose))
        }
        Ok(Locked::Theirs(lock)) => Ok(Found::Another(purpose(&lock))),
        // It went meanwhile.
        Ok(Locked::Gone) => Ok(Found::Nothing),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) => Err(error),
    }
}

/// Makes the folder at `path` and takes it; `None` if another was faster.
fn make(path: &Path) -> io::Result<Option<Partial>> {
    match make_own_folder(path).and_then(|()| open_locked(path)) {
        Ok(Locked::Ours(lock)) => Ok(Some(Partial { path: path.to_owned(), lock })),
        Ok(Locked::Theirs(_) | Locked::Gone) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

enum Locked {
    Ours(File),
    Theirs(File),
    Gone,
}

fn open_locked(path: &Path) -> io::Result<Locked> {
    let at = path.join(LOCK);
    let file = open_plain(&at)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(Locked::Theirs(file)),
        // A file system without locks: then there is nobody to ask.
        Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS) => {}
        Err(error) => return Err(error.into()),
    }
    // It is written to, and may be somebody's whom that would harm.
    if file.metadata()?.nlink() > 1 && set_aside(&at, "has another name") {
        return Ok(Locked::Gone);
    }
    // The owner before may have removed it between the opening and the locking.
    let inode = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match fs::symlink_metadata(&at).map(inode).ok() == Some(inode(file.metadata()?)) {
        true => Ok(Locked::Ours(file)),
        false => Ok(Locked::Gone),
    }
}

fn purpose(lock: &File) -> String {
    let mut bytes = Vec::new();
    let _ = io::Read::read_to_end(&mut io::Read::take(lock, MAX_PURPOSE_BYTES), &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: FileId = FileId([9; 32]);

    fn claim(state: &Path, purpose: &str) -> Option<Partial> {
        Partial::claim(state, ID, purpose).unwrap()
    }

    #[test]
    fn the_same_fetch_has_one_owner_and_another_its_own_folder() {
        let state = tempfile::tempdir().unwrap();
        let state = state.path();
        let first = claim(state, "to a").unwrap();
        assert!(claim(state, "to a").is_none());
        let second = claim(state, "to b").unwrap();
        assert_ne!(first.path(), second.path());
        assert!(claim(state, "to b").is_none());
        let path = first.path().to_owned();
        drop(first);
        assert_eq!(claim(state, "to a").unwrap().path(), path, "as after the owner's death");
        assert_eq!(claim(state, "to c").unwrap().path(), path, "what is left serves any purpose");
        second.clear();
        claim(state, "to c").unwrap().clear();
        assert!(!state.exists() || fs::read_dir(state).unwrap().next().is_none());
    }

    #[test]
    fn what_is_no_folder_makes_room_for_one() {
        let state = tempfile::tempdir().unwrap();
        let state = state.path();
        fs::write(state.join("partial"), "precious").unwrap();
        drop(claim(state, "x").unwrap());
        assert_eq!(fs::read(state.join("partial.damaged1")).unwrap(), b"precious");
        let path = state.join("partial").join(ID.to_string());
        fs::remove_dir_all(&path).unwrap();
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        assert_eq!(claim(state, "x").unwrap().path(), path);
        assert!(path.join(LOCK).is_file());
    }

    #[test]
    fn a_lock_with_another_name_is_not_written_to() {
        let state = tempfile::tempdir().unwrap();
        let state = state.path();
        let path = state.join("partial").join(ID.to_string());
        fs::create_dir_all(&path).unwrap();
        let precious = state.join("precious");
        fs::write(&precious, "precious").unwrap();
        fs::hard_link(&precious, path.join(LOCK)).unwrap();
        assert_eq!(claim(state, "x").unwrap().path(), path);
        assert_eq!(fs::read(&precious).unwrap(), b"precious");
        assert_eq!(fs::read(path.join(LOCK)).unwrap(), b"x");
    }

    #[test]
    fn what_is_cleared_is_no_more_locked() {
        let state = tempfile::tempdir().unwrap();
        let state = state.path().join("state");
        let first = claim(&state, "x").unwrap();
        clear(first.path());
        assert!(claim(&state, "x").is_some(), "its owner may live on for a moment");
    }

    #[test]
    fn only_what_is_old_and_nobodys_goes() {
        let state = tempfile::tempdir().unwrap();
        let state = state.path();
        let first = claim(state, "x").unwrap();
        let other = state.join("partial/notes");
        fs::create_dir(&other).unwrap();
        sweep(state, Duration::ZERO);
        assert!(first.path().is_dir(), "it has an owner");
        let path = first.path().to_owned();
        drop(first);
        sweep(state, Duration::from_secs(60));
        assert!(path.is_dir(), "it is young");
        sweep(state, Duration::ZERO);
        assert!(!path.exists() && other.is_dir());
    }
}
