//! Who this peer is: the id in its state folder, and the place where that was made.
//!
//! A folder that is copied takes its state along, and then two peers would be the same one, each cutting off the
//! other at the tracker. So the id remembers which folder it was made in, and a copy gets an id of its own.
//!
//! Which folder it is, the inode of the state folder tells: a copy has another, one that is moved or renamed on its file
//! system keeps it. Other file systems have the same numbers, so the time of its birth must agree, which no program
//! can set; where that is not kept, the file system's own id must. The number of the device is no help: it may be
//! another after each mount. Both survive the copy of a whole disk; then the machine's own id tells, where there is one.
//! The host's name does not count: containers and laptops change theirs, and are the same peer all the same.

use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use bytes::{Buf, BufMut};

use super::state_folder::{make_own_folder, set_aside};
use crate::content::{FileId, PeerId};

/// The id's file in the state folder.
const FILE: &str = "peer-id";
/// Where systems keep the id of the machine.
const MACHINE_ID: &str = "/etc/machine-id";
/// Bytes kept of a hash of that id, which is not for others to see.
const MACHINE_BYTES: usize = 8;
const HOME_BYTES: usize = 8 + 8 + 8 + MACHINE_BYTES;

/// A place where an id is made. Zeros: not known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Home {
    inode: u64,
    born_ns: u64,
    file_system: u64,
    machine: [u8; MACHINE_BYTES],
}

impl Home {
    fn of(state: &Path) -> io::Result<Home> {
        let metadata = fs::metadata(state)?;
        let file_system = rustix::fs::statvfs(state).map_or(0, |stat| stat.f_fsid);
        Ok(Home { inode: metadata.ino(), born_ns: born(&metadata), file_system, machine: machine() })
    }

    fn is(&self, other: &Home) -> bool {
        let agree = |a: u64, b: u64| (a != 0 && b != 0).then_some(a == b);
        let place = agree(self.born_ns, other.born_ns).or_else(|| agree(self.file_system, other.file_system));
        let known = [self.machine, other.machine].iter().all(|machine| machine.iter().any(|byte| *byte != 0));
        self.inode == other.inode && place.unwrap_or(true) && (!known || self.machine == other.machine)
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.put_u64(self.inode);
        out.put_u64(self.born_ns);
        out.put_u64(self.file_system);
        out.put_slice(&self.machine);
    }

    fn take(mut bytes: &[u8]) -> Option<Home> {
        if bytes.len() != HOME_BYTES {
            return None;
        }
        let (inode, born_ns, file_system) = (bytes.get_u64(), bytes.get_u64(), bytes.get_u64());
        Some(Home { inode, born_ns, file_system, machine: bytes.try_into().ok()? })
    }
}

fn born(metadata: &Metadata) -> u64 {
    let born = metadata.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
    born.and_then(|born| u64::try_from(born.as_nanos()).ok()).unwrap_or(0)
}

fn machine() -> [u8; MACHINE_BYTES] {
    let id = fs::read_to_string(MACHINE_ID).unwrap_or_default();
    let id = id.trim();
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return [0; MACHINE_BYTES];
    }
    let hash = FileId::of(id.as_bytes()).0;
    std::array::from_fn(|at| hash[at])
}

/// The id kept in the state folder, made on first use. One that is damaged, or was made elsewhere, is replaced:
/// others then take this peer for a new one, which costs nothing.
pub(super) fn kept_id(state: &Path) -> io::Result<PeerId> {
    make_own_folder(state)?;
    let path = state.join(FILE);
    let here = Home::of(state)?;
    let id = match fs::read(&path).map(|bytes| decode(&bytes)) {
        Ok(Some((id, Some(made)))) if made == here => return Ok(id),
        Ok(Some((id, made))) if made.is_none_or(|made| made.is(&here)) => id,
        Ok(Some(_)) => {
            tracing::warn!(
                "{} was copied from another folder's; this peer gets an id of its own",
                state.display()
            );
            PeerId::random()
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => PeerId::random(),
        Ok(None) => {
            tracing::warn!("{} is damaged; this peer gets a new id", path.display());
            PeerId::random()
        }
        Err(error) => {
            if !set_aside(&path, "cannot be read") {
                tracing::warn!("{} cannot be read, this peer gets a new id: {error}", path.display());
            }
            PeerId::random()
        }
    };
    if let Err(error) = write(&path, id, &here) {
        tracing::warn!("{} cannot be written, the next start will have another id: {error}", path.display());
    }
    Ok(id)
}

/// At once, so that a kill leaves the old one or the new one.
fn write(path: &Path, id: PeerId, home: &Home) -> io::Result<()> {
    let mut bytes = id.0.to_vec();
    home.put(&mut bytes);
    let new = path.with_extension("new");
    // What lies there is of a start that was killed, or was planted where all may write: a link is not followed.
    let _ = fs::remove_file(&new);
    File::create_new(&new)?.write_all(&bytes)?;
    fs::rename(&new, path)
}

/// The id and its place; early ones knew no place.
fn decode(bytes: &[u8]) -> Option<(PeerId, Option<Home>)> {
    let (id, home) = bytes.split_first_chunk()?;
    match home.is_empty() {
        true => Some((PeerId(*id), None)),
        false => Some((PeerId(*id), Some(Home::take(home)?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: Home = Home { inode: 1, born_ns: 2, file_system: 3, machine: [4; MACHINE_BYTES] };

    #[test]
    fn another_mount_is_the_same_place_and_another_folder_is_not() {
        assert!(HOME.is(&HOME));
        assert!(HOME.is(&Home { file_system: 9, ..HOME }), "its birth says enough");
        assert!(!HOME.is(&Home { inode: 9, ..HOME }));
        assert!(!HOME.is(&Home { born_ns: 9, ..HOME }));
        assert!(!HOME.is(&Home { machine: [9; MACHINE_BYTES], ..HOME }), "a copied disk");
    }

    #[test]
    fn what_is_not_known_does_not_count() {
        let bare = Home { born_ns: 0, machine: [0; MACHINE_BYTES], ..HOME };
        assert!(HOME.is(&bare) && bare.is(&HOME));
        assert!(!bare.is(&Home { file_system: 9, ..HOME }));
        assert!(bare.is(&Home { file_system: 0, ..HOME }));
    }

    #[test]
    fn an_id_stays_in_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (first, moved, copy) =
            (folder.path().join("a"), folder.path().join("b"), folder.path().join("c"));
        let id = kept_id(&first).unwrap();
        assert_eq!(kept_id(&first).unwrap(), id);
        fs::rename(&first, &moved).unwrap();
        assert_eq!(kept_id(&moved).unwrap(), id);
        fs::create_dir(&copy).unwrap();
        fs::copy(moved.join(FILE), copy.join(FILE)).unwrap();
        let other = kept_id(&copy).unwrap();
        assert_ne!(other, id);
        assert_eq!((kept_id(&copy).unwrap(), kept_id(&moved).unwrap()), (other, id));
    }

    #[test]
    fn what_was_planted_where_the_id_is_written_is_not_followed() {
        let state = tempfile::tempdir().unwrap();
        let victim = state.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, state.path().join("peer-id.new")).unwrap();
        let id = kept_id(state.path()).unwrap();
        assert_eq!(
            (fs::read_to_string(&victim).unwrap(), kept_id(state.path()).unwrap()),
            ("precious".to_owned(), id)
        );
        fs::write(state.path().join("peer-id.new"), "half").unwrap();
        fs::remove_file(state.path().join(FILE)).unwrap();
        let id = kept_id(state.path()).unwrap();
        assert_eq!(kept_id(state.path()).unwrap(), id, "what a kill left is written anew");
    }

    #[test]
    fn early_ids_are_kept_and_damaged_ones_replaced() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join(FILE);
        let id = PeerId::random();
        fs::write(&path, id.0).unwrap();
        assert_eq!(kept_id(state.path()).unwrap(), id);
        assert!(fs::read(&path).unwrap().len() > id.0.len());
        fs::write(&path, &id.0[1..]).unwrap();
        assert_ne!(kept_id(state.path()).unwrap(), id);
    }
}
