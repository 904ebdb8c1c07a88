//! A log of checked batches: what was appended and synced is read again after any end of the process, or it is told
//! where the log is damaged.
//!
//! Layout, in sectors of 512 bytes, integers big-endian. The first sector: magic (8 bytes, of the kind of log; the last
//! is its version), a random number (16), a check of both (16), zeros. Then batches, each from the start of a sector:
//! magic (4), bytes of its records (`u32`), where the last batch ended that was synced when this was written (`u64`), a
//! check (16), the records, zeros up to the next sector. A record: kind (`u8`), bytes of its body (`u32`), body. A
//! check is the first half of the BLAKE3 hash of the log's random number, the batch's place, its head and its records,
//! so that no other bytes, of another log or another place, pass for a batch.
//!
//! A batch that is not right at the end of the log is one that was being written when the process or the power ended:
//! it is cut off. One with a right batch behind it that knew it to be synced is damage: the log is refused, or the
//! batch is skipped, as its owner likes.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Buf, BufMut};
use rustix::fs::{FallocateFlags, fallocate};

use super::owned::{open_plain, sync_folder};
use super::said::said;
use super::witness::{Seen, tell};

/// What a log of some kind begins with; the last byte is the version.
pub type Magic = [u8; 8];

/// Batches begin at multiples of this: what a disk writes as a whole or not at all.
const SECTOR: u64 = 512;
const BATCH_MAGIC: [u8; 4] = *b"batc";
const SALT_BYTES: usize = 16;
const CHECK_BYTES: usize = 16;
/// Magic, length, and what was synced.
const BATCH_HEAD_BYTES: usize = 4 + 4 + 8;
const RECORDS_AT: usize = BATCH_HEAD_BYTES + CHECK_BYTES;
const RECORD_HEAD_BYTES: usize = 1 + 4;
/// Most bytes of a batch's records. One record may be all of it.
pub const MAX_BATCH_BYTES: usize = 64 << 20;
/// A log that is being made has this behind its name.
const NEW: &str = "new";

/// Records that become part of a log together.
#[derive(Debug, Clone)]
pub struct Batch {
    /// With room for the head.
    bytes: Vec<u8>,
}

/// Where bytes lie in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// From where on.
    pub at: u64,
    /// How many.
    pub len: u32,
}

/// A record as it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// What it says, as its writer numbers that.
    pub kind: u8,
    /// Its body.
    pub body: &'a [u8],
    /// Where the body lies.
    pub extent: Extent,
}

/// What is to be done about batches that were synced and are not right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// The log is not opened: what follows may not be true without them.
    Refuse,
    /// They are passed over, and told of.
    Skip,
}

/// Why a log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A batch that was synced is not what was written, from this byte on.
    #[error("{} is damaged at byte {at}", .path.display())]
    Damaged {
        /// The log.
        path: PathBuf,
        /// Where.
        at: u64,
    },
    /// Another program, or another version of this one, wrote it.
    #[error("{} is {}", .0.display(), .1)]
    Other(PathBuf, &'static str),
    /// It could not be read or written.
    #[error("{} cannot be used: {}", .0.display(), said(.1))]
    Io(PathBuf, #[source] io::Error),
}

/// An open log. Nobody else may have it open: whoever owns its folder sees to that.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: Arc<File>,
    salt: [u8; SALT_BYTES],
    /// Where the next batch goes.
    end: u64,
    /// Where the last batch ends that is on the disk.
    synced: u64,
    /// A sync failed: what is on the disk is not known, and a second sync would not tell.
    failed: bool,
}

/// A log that was there.
#[derive(Debug)]
pub struct Opened {
    /// It, ready to be appended to.
    pub log: Log,
    /// Bytes of a torn end that was cut off.
    pub torn: u64,
    /// What was passed over, as bytes of the log.
    pub damaged: Vec<Range<u64>>,
}

impl Default for Batch {
    fn default() -> Batch {
        Batch { bytes: vec![0; RECORDS_AT] }
    }
}

impl Batch {
    /// Adds a record of up to [`MAX_BATCH_BYTES`] with all others, its body in parts. Where the body lies: in the
    /// batch, until that has its place in a log ([`Extent::in_batch`]).
    pub fn push(&mut self, kind: u8, body: &[&[u8]]) -> Extent {
        let len: usize = body.iter().map(|part| part.len()).sum();
        self.bytes.put_u8(kind);
        self.bytes.put_u32(len as u32);
        let extent = Extent { at: self.bytes.len() as u64, len: len as u32 };
        body.iter().for_each(|part| self.bytes.put_slice(part));
        extent
    }

    /// True if no record is in it.
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == RECORDS_AT
    }

    /// Bytes that it takes in a log.
    pub fn bytes(&self) -> u64 {
        (self.bytes.len() as u64).next_multiple_of(SECTOR)
    }
}

impl Extent {
    /// Where it lies in a log, if it lies in a batch that begins at `batch`.
    #[must_use]
    pub fn in_batch(self, batch: u64) -> Extent {
        Extent { at: batch + self.at, ..self }
    }

    /// Reads what lies there.
    ///
    /// # Errors
    /// As of reading the file; also if it ends before.
    pub fn read(self, file: &File) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.len as usize];
        file.read_exact_at(&mut bytes, self.at)?;
        Ok(bytes)
    }
}

impl Log {
    /// Makes a log at `path`, in the place of another if there is one. It has its name when this returns, and not
    /// before it is whole.
    ///
    /// # Errors
    /// As of writing it.
    pub fn create(path: &Path, magic: &Magic) -> Result<Log, LogError> {
        let mut log = Log::draft(path, magic)?;
        log.replace(path)?;
        Ok(log)
    }

    /// Makes a log that is to get the name `path` by [`Log::replace`], when all is in it that the one there now has.
    ///
    /// # Errors
    /// As of writing it.
    pub fn draft(path: &Path, magic: &Magic) -> Result<Log, LogError> {
        let draft = path.with_added_extension(NEW);
        let at = |error| LogError::Io(draft.clone(), error);
        let mut salt = [0; SALT_BYTES];
        salt.as_mut_slice().put_u128(fastrand::u128(..));
        let mut sector = [0; SECTOR as usize];
        let mut head = sector.as_mut_slice();
        head.put_slice(magic);
        head.put_slice(&salt);
        head.put_slice(&check(&salt, 0, &[magic]));
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(error)),
            _ => {}
        }
        let file = open_plain(&draft).map_err(at)?;
        file.write_all_at(&sector, 0).map_err(at)?;
        Ok(Log { path: draft, file: Arc::new(file), salt, end: SECTOR, synced: SECTOR, failed: false })
    }

    /// Syncs it and gives it the name `path`, also on the disk.
    ///
    /// # Errors
    /// As of writing it; which of the two has the name then is not known after a power cut.
    pub fn replace(&mut self, path: &Path) -> Result<(), LogError> {
        let at = |error| LogError::Io(path.to_owned(), error);
        self.sync().map_err(at)?;
        fs::rename(&self.path, path).map_err(at)?;
        tell(Seen::Renamed(&self.path, path));
        self.path = path.to_owned();
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        sync_folder(folder.unwrap_or(Path::new("."))).map_err(at)?;
        tell(Seen::Synced(path));
        Ok(())
    }

    /// Reads a log from its beginning and hands over its records in order; a torn end is cut off.
    ///
    /// # Errors
    /// [`LogError`]. A log that is damaged, or of another kind, was not changed.
    pub fn open(
        path: &Path,
        magic: &Magic,
        damage: Damage,
        take: &mut dyn FnMut(Record<'_>),
    ) -> Result<Opened, LogError> {
        let at = |error| LogError::Io(path.to_owned(), error);
        fs::symlink_metadata(path).map_err(at)?; // it is not made
        let file = open_plain(path).map_err(at)?;
        let len = file.metadata().map_err(at)?.len();
        let salt = read_head(&file, path, magic)?;
        let reading = Reading { file: &file, salt, len };
        let (mut end, mut damaged) = (SECTOR, Vec::new());
        while end < len {
            let error = match reading.batch(end) {
                Ok(batch) => {
                    end = batch.hand_over(end, take);
                    continue;
                }
                Err(Bad::Unreadable(error)) if damage == Damage::Refuse => return Err(at(error)),
                Err(_) => end,
            };
            let behind = reading.right_batch_behind(error, damage);
            match (behind, damage) {
                (None, _) => break,
                (Some(_), Damage::Refuse) => {
                    return Err(LogError::Damaged { path: path.to_owned(), at: error });
                }
                (Some(next), Damage::Skip) => {
                    damaged.push(error..next);
                    end = next;
                }
            }
        }
        let torn = len.saturating_sub(end);
        if torn > 0 {
            // Else what is left of it could lie behind a shorter batch that comes in its place.
            file.set_len(end).map_err(at)?;
        }
        // A killed process may have left what is read here, and is believed from now on, in memory only.
        file.sync_data().map_err(at)?;
        let log = Log { path: path.to_owned(), file: Arc::new(file), salt, end, synced: end, failed: false };
        Ok(Opened { log, torn, damaged })
    }

    /// Writes a batch at the end; it is on the disk after the next [`Log::sync`]. Where it begins. An empty one is not written.
    ///
    /// # Errors
    /// As of writing the file. The log is as it was then, unless a sync has failed: then it takes nothing any more.
    pub fn append(&mut self, batch: Batch) -> io::Result<u64> {
        self.refuse_if_failed()?;
        if batch.is_empty() {
            return Ok(self.end);
        }
        let mut bytes = batch.bytes;
        let records = bytes.len() - RECORDS_AT;
        if records > MAX_BATCH_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "too much for a batch"));
        }
        let mut head = &mut bytes[..BATCH_HEAD_BYTES];
        head.put_slice(&BATCH_MAGIC);
        head.put_u32(records as u32);
        head.put_u64(self.synced);
        let sum = check(&self.salt, self.end, &[&bytes[..BATCH_HEAD_BYTES], &bytes[RECORDS_AT..]]);
        bytes[BATCH_HEAD_BYTES..RECORDS_AT].copy_from_slice(&sum);
        bytes.resize(bytes.len().next_multiple_of(SECTOR as usize), 0);
        if let Err(error) = self.file.write_all_at(&bytes, self.end) {
            // Where that fails too, the next batch is written over it.
            let _ = self.file.set_len(self.end);
            return Err(error);
        }
        let start = self.end;
        self.end += bytes.len() as u64;
        Ok(start)
    }

    /// Takes back what was appended at `end` and behind it, and not synced since.
    ///
    /// # Errors
    /// As of cutting the file; what is at its end is not known then.
    pub fn cut(&mut self, end: u64) -> io::Result<()> {
        debug_assert!(end >= self.synced, "what is on the disk counts");
        self.file.set_len(end)?;
        self.end = end;
        Ok(())
    }

    /// Puts all that was appended on the disk.
    ///
    /// # Errors
    /// As of syncing the file; the log takes nothing any more then.
    pub fn sync(&mut self) -> io::Result<()> {
        self.refuse_if_failed()?;
        self.file.sync_data().inspect_err(|_| self.failed = true)?;
        self.synced = self.end;
        tell(Seen::Synced(&self.path));
        Ok(())
    }

    /// Takes room on the disk for so many bytes behind the log's end, so that it can grow when the disk is full. False if
    /// that cannot be had, as where the file system knows no such thing.
    pub fn reserve(&self, bytes: u64) -> bool {
        fallocate(&*self.file, FallocateFlags::KEEP_SIZE, self.end, bytes).is_ok()
    }

    fn refuse_if_failed(&self) -> io::Result<()> {
        if self.failed { Err(io::Error::other("a sync failed before")) } else { Ok(()) }
    }

    /// Its bytes.
    pub fn len(&self) -> u64 {
        self.end
    }

    /// True if no batch is in it.
    pub fn is_empty(&self) -> bool {
        self.end == SECTOR
    }

    /// The file, to read from ([`Extent::read`]).
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }
}

/// A log that is being read.
struct Reading<'a> {
    file: &'a File,
    salt: [u8; SALT_BYTES],
    len: u64,
}

/// A batch that is right.
struct Right {
    records: Vec<u8>,
    /// What was synced when it was written.
    synced: u64,
}

/// Why there is no batch.
enum Bad {
    Wrong,
    Unreadable(io::Error),
}

impl From<io::Error> for Bad {
    fn from(error: io::Error) -> Bad {
        Bad::Unreadable(error)
    }
}

impl Reading<'_> {
    /// The batch that begins at `at`.
    fn batch(&self, at: u64) -> Result<Right, Bad> {
        let left = self.len.saturating_sub(at);
        if left < RECORDS_AT as u64 {
            return Err(Bad::Wrong);
        }
        let mut head = [0; RECORDS_AT];
        self.file.read_exact_at(&mut head, at)?;
        let mut fields = head.strip_prefix(&BATCH_MAGIC).ok_or(Bad::Wrong)?;
        let (records, synced) = (fields.get_u32() as usize, fields.get_u64());
        if records > MAX_BATCH_BYTES || records as u64 > left - RECORDS_AT as u64 {
            return Err(Bad::Wrong);
        }
        let records = Extent { at: at + RECORDS_AT as u64, len: records as u32 }.read(self.file)?;
        let sum = check(&self.salt, at, &[&head[..BATCH_HEAD_BYTES], &records]);
        if fields == sum { Ok(Right { records, synced }) } else { Err(Bad::Wrong) }
    }

    /// The first right batch behind one at `bad` that is not; where damage is refused, only one that knew the bad one
    /// to be synced.
    fn right_batch_behind(&self, bad: u64, damage: Damage) -> Option<u64> {
        let mut at = bad + SECTOR;
        while at < self.len {
            match self.batch(at) {
                Ok(batch) if damage == Damage::Skip || batch.synced > bad => return Some(at),
                _ => at += SECTOR,
            }
        }
        None
    }
}

impl Right {
    /// Hands over its records; where the next batch begins.
    fn hand_over(&self, start: u64, take: &mut dyn FnMut(Record<'_>)) -> u64 {
        let mut left = self.records.as_slice();
        let mut at = start + RECORDS_AT as u64;
        while left.len() >= RECORD_HEAD_BYTES {
            let (kind, len) = (left.get_u8(), left.get_u32());
            at += RECORD_HEAD_BYTES as u64;
            // Its check was right, so all of it is there.
            let Some(body) = left.split_off(..len as usize) else { break };
            take(Record { kind, body, extent: Extent { at, len } });
            at += u64::from(len);
        }
        (start + (RECORDS_AT + self.records.len()) as u64).next_multiple_of(SECTOR)
    }
}

/// The random number of a log of this kind.
fn read_head(file: &File, path: &Path, magic: &Magic) -> Result<[u8; SALT_BYTES], LogError> {
    let mut head = [0; 8 + SALT_BYTES + CHECK_BYTES];
    match file.read_exact_at(&mut head, 0) {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
            return Err(LogError::Io(path.to_owned(), error));
        }
        _ => {}
    }
    let (theirs, rest) = head.split_at(magic.len());
    let (salt, sum) = rest.split_at(SALT_BYTES);
    let salt: [u8; SALT_BYTES] = salt.try_into().expect("its length");
    if sum == check(&salt, 0, &[theirs]) {
        return match theirs == magic {
            true => Ok(salt),
            false if theirs[..7] == magic[..7] => Err(LogError::Other(path.to_owned(), "of another version")),
            false => Err(LogError::Other(path.to_owned(), "another kind of file")),
        };
    }
    match theirs[..7] == magic[..7] || theirs.iter().all(|byte| *byte == 0) {
        true => Err(LogError::Damaged { path: path.to_owned(), at: 0 }),
        false => Err(LogError::Other(path.to_owned(), "another kind of file")),
    }
}

/// The check of what lies at `at` of the log with this random number.
fn check(salt: &[u8; SALT_BYTES], at: u64, parts: &[&[u8]]) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(salt).update(&at.to_be_bytes());
    for part in parts {
        hasher.update(part);
    }
    let mut check = [0; CHECK_BYTES];
    hasher.finalize_xof().fill(&mut check);
    check
}

#[cfg(test)]
mod tests;
