//! The index's file: a log of entries, each with a check of its own; later ones replace earlier ones.
//!
//! Layout: magic, then entries: kind (`u8`), bytes of the body (`u32`), the first bytes of a hash of both
//! and the body, body. Integers are big-endian. Reading ends at the first entry that is not whole, and
//! what follows is cut off. When more than half of the file is replaced, the rest is written anew.
//! Nothing in the file is allocated by its stated length, or believed before its check.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::{Buf, BufMut};
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use super::record::{Row, Rows};
use crate::content::{ChunkHash, FileId, Geometry};
use crate::peer::stamp::Stamp;
use crate::threads::lock;

/// The last byte is the version.
const MAGIC: &[u8; 8] = b"p2pindx2";
const CHECK_BYTES: usize = 8;
const HEAD_BYTES: usize = 1 + 4 + CHECK_BYTES;
const STAMP_BYTES: usize = 8 + 8 + 8 + 8;
/// Longest body: the hashes of the file with the most chunks.
const MAX_BODY_BYTES: usize = FileId::BYTES + Geometry::MAX_CHUNKS as usize * ChunkHash::BYTES;
/// Less than this is never worth writing the file anew.
const MIN_WASTE_BYTES: u64 = 1 << 20;
/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 1 << 20;

/// A change to the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry<'a> {
    Row(&'a str, Row),
    NoRow(&'a str),
    Hashes(FileId, &'a [ChunkHash]),
    NoHashes(FileId),
}

/// Why a file does not serve as an index.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("another process has it open")]
    Busy,
    /// It is something else; the text goes on with the file's name.
    #[error("it {0}")]
    Other(&'static str),
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl From<Unusable> for io::Error {
    fn from(unusable: Unusable) -> io::Error {
        match unusable {
            Unusable::Io(error) => error,
            other => io::Error::other(other),
        }
    }
}

impl From<Errno> for Unusable {
    fn from(error: Errno) -> Unusable {
        Unusable::Io(error.into())
    }
}

/// An open log, locked against other processes.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: Arc<File>,
    len: u64,
    /// Bytes of entries that nothing replaces, about.
    live: u64,
    places: Arc<Mutex<Places>>,
}

/// Where chunk hashes lie. Changed when they are on the disk, by who wrote them.
#[derive(Debug)]
struct Places {
    file: Arc<File>,
    hashes: HashMap<FileId, Place>,
}

/// Where the chunk hashes of an id begin, and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    at: u64,
    count: u32,
}

/// Reads chunk hashes from a log, also while somebody writes to it. The log is locked while this lives.
#[derive(Debug)]
pub(super) struct Reader(Arc<Mutex<Places>>);

impl Reader {
    pub(super) fn hashes(&self, id: FileId) -> Option<Vec<ChunkHash>> {
        let (file, place) = {
            let places = lock(&self.0);
            (places.file.clone(), *places.hashes.get(&id)?)
        };
        place.read(&file)
    }

    /// The ids whose chunk hashes are known, in no order.
    pub(super) fn ids(&self) -> Vec<FileId> {
        lock(&self.0).hashes.keys().copied().collect()
    }
}

impl Place {
    fn read(&self, file: &File) -> Option<Vec<ChunkHash>> {
        let mut bytes = vec![0; self.count as usize * ChunkHash::BYTES];
        file.read_exact_at(&mut bytes, self.at).ok()?;
        let (hashes, _) = bytes.as_chunks::<{ ChunkHash::BYTES }>();
        Some(hashes.iter().copied().map(ChunkHash).collect())
    }
}

/// A log and the rows in it, in order of path.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) log: Log,
    pub(super) rows: Rows,
}

/// What is found in a log.
#[derive(Default)]
struct Found {
    rows: BTreeMap<Box<str>, Row>,
    hashes: HashMap<FileId, Place>,
    /// Where the last whole entry ends.
    end: u64,
}

impl Log {
    pub(super) fn open(path: &Path) -> Result<Opened, Unusable> {
        let file = open_locked(path)?;
        if is_older(&file)? {
            tracing::info!("{} is of an older version; what is shared is hashed once more", path.display());
            file.set_len(0)?;
        }
        let there = file.metadata()?.len();
        if there == 0 {
            file.write_all_at(MAGIC, 0)?;
        }
        let Found { rows, hashes, end } = Found::read(&file)?;
        if end < there {
            tracing::warn!("{} is damaged; what it does not tell is hashed anew", path.display());
            file.set_len(end)?;
        }
        let live = live(&rows, &hashes);
        let mut log = Log::new(path.to_owned(), file, end, live, hashes);
        log.shrink(&rows)?;
        Ok(Opened { log, rows: rows.into_iter().collect() })
    }

    fn new(path: PathBuf, file: File, len: u64, live: u64, hashes: HashMap<FileId, Place>) -> Log {
        let file = Arc::new(file);
        let places = Arc::new(Mutex::new(Places { file: file.clone(), hashes }));
        Log { path, file, len, live, places }
    }

    /// Reads from this log for as long as it is open.
    pub(super) fn reader(&self) -> Reader {
        Reader(self.places.clone())
    }

    /// Adds entries; either all are on the disk when this returns, or it is an error and none count.
    pub(super) fn append<'a>(&mut self, entries: impl Iterator<Item = Entry<'a>>) -> io::Result<()> {
        let mut at = self.len;
        let mut out = Vec::new();
        let mut hashes = Vec::new();
        for entry in entries {
            let start = at + out.len() as u64;
            match entry {
                Entry::Hashes(id, of) => {
                    let at = start + (HEAD_BYTES + FileId::BYTES) as u64;
                    hashes.push((id, Some(Place { at, count: of.len() as u32 })));
                }
                Entry::NoHashes(id) => hashes.push((id, None)),
                Entry::Row(..) | Entry::NoRow(_) => {}
            }
            encode(entry, &mut out);
            if out.len() >= WRITE_BYTES {
                self.file.write_all_at(&out, at)?;
                at += out.len() as u64;
                out.clear();
            }
        }
        self.file.write_all_at(&out, at)?;
        self.file.sync_data()?;
        self.len = at + out.len() as u64;
        let mut places = lock(&self.places);
        for (id, place) in hashes {
            match place {
                Some(place) => places.hashes.insert(id, place),
                None => places.hashes.remove(&id),
            };
        }
        drop(places);
        self.shrink_if_large();
        Ok(())
    }

    fn shrink_if_large(&mut self) {
        if self.len < 4 * self.live + 64 * MIN_WASTE_BYTES {
            return;
        }
        let shrunk = Found::read(&self.file).and_then(|found| {
            self.live = live(&found.rows, &found.hashes);
            Ok(self.shrink(&found.rows)?)
        });
        if let Err(error) = shrunk {
            tracing::debug!("the share index could not be written anew: {error}");
        }
    }

    /// Writes the file anew if more than half of it is replaced. `rows` are those in it.
    fn shrink(&mut self, rows: &BTreeMap<Box<str>, Row>) -> io::Result<()> {
        if self.len < 2 * self.live + MIN_WASTE_BYTES {
            return Ok(());
        }
        let path = self.path.with_extension("new");
        let _ = fs::remove_file(&path);
        let file = open_plain(&path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        file.write_all_at(MAGIC, 0)?;
        let mut new = Log::new(path, file, MAGIC.len() as u64, self.live, HashMap::new());
        let places = lock(&self.places).hashes.clone();
        let hashes: Vec<_> =
            places.iter().filter_map(|(id, place)| Some((*id, place.read(&self.file)?))).collect();
        let rows = rows.iter().map(|(path, row)| Entry::Row(path, *row));
        new.append(rows.chain(hashes.iter().map(|(id, hashes)| Entry::Hashes(*id, hashes))))?;
        fs::rename(&new.path, &self.path)?;
        (self.file, self.len) = (new.file.clone(), new.len);
        std::mem::swap(&mut *lock(&self.places), &mut *lock(&new.places));
        Ok(())
    }
}

/// Opens and locks the file that has the name when it is locked: another process may just have
/// replaced it.
fn open_locked(path: &Path) -> Result<File, Unusable> {
    loop {
        let file = open_plain(path).map_err(|error| match Errno::from_io_error(&error) {
            Some(Errno::INVAL | Errno::ISDIR | Errno::LOOP | Errno::NXIO) => Unusable::Other("is not a file"),
            _ => Unusable::Io(error),
        })?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Err(Unusable::Busy),
            locked => locked?,
        }
        if fs::metadata(path)?.ino() == file.metadata()?.ino() {
            return Ok(file);
        }
    }
}

/// True for a log of an earlier version, which knew too little of each file to be believed.
fn is_older(file: &File) -> io::Result<bool> {
    let mut magic = [0; MAGIC.len()];
    let whole = file.read_at(&mut magic, 0)? == magic.len();
    let ([common @ .., version], [ours @ .., our_version]) = (magic, *MAGIC);
    Ok(whole && common == ours && (b'1'..our_version).contains(&version))
}

fn open_plain(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(Errno::INVAL.into()) }
}

impl Found {
    fn read(mut file: &File) -> Result<Found, Unusable> {
        file.rewind()?;
        let mut file = BufReader::with_capacity(WRITE_BYTES, file);
        let mut magic = Vec::new();
        file.by_ref().take(MAGIC.len() as u64).read_to_end(&mut magic)?;
        if magic != MAGIC {
            let version = magic.len() == MAGIC.len() && magic.starts_with(&MAGIC[..MAGIC.len() - 1]);
            let what = if version { "is of another version" } else { "is not a share index" };
            return Err(Unusable::Other(what));
        }
        let mut found = Found { end: MAGIC.len() as u64, ..Found::default() };
        let mut body = Vec::new();
        while let Some(kind) = next(&mut file, &mut body)? {
            let body_at = found.end + HEAD_BYTES as u64;
            if found.take(kind, &body, body_at).is_none() {
                break;
            }
            found.end = body_at + body.len() as u64;
        }
        Ok(found)
    }

    /// Takes an entry in; `None` if its body is not what its kind has.
    fn take(&mut self, kind: u8, mut body: &[u8], at: u64) -> Option<()> {
        match kind {
            KIND_ROW => {
                let (path, row) = decode_row(body)?;
                self.rows.insert(Box::from(path), row);
            }
            KIND_NO_ROW => {
                self.rows.remove(std::str::from_utf8(body).ok()?);
            }
            KIND_HASHES | KIND_NO_HASHES => {
                let id = FileId(*body.split_off(..FileId::BYTES)?.first_chunk()?);
                let count = (body.len() / ChunkHash::BYTES) as u32;
                match kind {
                    KIND_HASHES => self.hashes.insert(id, Place { at: at + FileId::BYTES as u64, count }),
                    _ => self.hashes.remove(&id),
                };
            }
            _ => return None,
        }
        Some(())
    }
}

/// Bytes of a log of just this.
fn live(rows: &BTreeMap<Box<str>, Row>, hashes: &HashMap<FileId, Place>) -> u64 {
    let row = |path: &str| HEAD_BYTES + STAMP_BYTES + FileId::BYTES + path.len();
    let rows: usize = rows.keys().map(|path| row(path)).sum();
    let hash = |count: u32| HEAD_BYTES + FileId::BYTES + count as usize * ChunkHash::BYTES;
    let hashes: usize = hashes.values().map(|place| hash(place.count)).sum();
    (MAGIC.len() + rows + hashes) as u64
}

const KIND_ROW: u8 = 1;
const KIND_NO_ROW: u8 = 2;
const KIND_HASHES: u8 = 3;
const KIND_NO_HASHES: u8 = 4;

/// The next entry's kind, with its body, if it is whole and as it was written.
fn next(file: &mut impl Read, body: &mut Vec<u8>) -> io::Result<Option<u8>> {
    body.clear();
    file.by_ref().take(HEAD_BYTES as u64).read_to_end(body)?;
    let Some(head) = body.first_chunk::<HEAD_BYTES>().copied() else { return Ok(None) };
    let [kind, l0, l1, l2, l3, check @ ..] = head;
    let len = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
    if len > MAX_BODY_BYTES {
        return Ok(None);
    }
    body.clear();
    file.by_ref().take(len as u64).read_to_end(body)?;
    Ok((body.len() == len && check == check_of(kind, body)).then_some(kind))
}

fn check_of(kind: u8, body: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[kind]).update(body);
    let mut check = [0; CHECK_BYTES];
    hasher.finalize_xof().fill(&mut check);
    check
}

fn encode(entry: Entry<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    out.put_bytes(0, HEAD_BYTES);
    let kind = match entry {
        Entry::Row(path, row) => {
            out.put_u64(row.stamp.size);
            out.put_i64(row.stamp.mtime_ns);
            out.put_u64(row.stamp.inode);
            out.put_i64(row.stamp.ctime_ns);
            out.put_slice(&row.id.0);
            out.put_slice(path.as_bytes());
            KIND_ROW
        }
        Entry::NoRow(path) => {
            out.put_slice(path.as_bytes());
            KIND_NO_ROW
        }
        Entry::Hashes(id, hashes) => {
            out.put_slice(&id.0);
            hashes.iter().for_each(|hash| out.put_slice(&hash.0));
            KIND_HASHES
        }
        Entry::NoHashes(id) => {
            out.put_slice(&id.0);
            KIND_NO_HASHES
        }
    };
    let (head, body) = out[start..].split_at_mut(HEAD_BYTES);
    let check = check_of(kind, body);
    let mut head = head;
    head.put_u8(kind);
    head.put_u32(body.len() as u32);
    head.put_slice(&check);
}

fn decode_row(mut body: &[u8]) -> Option<(&str, Row)> {
    let mut plain = body.split_off(..STAMP_BYTES + FileId::BYTES)?;
    let stamp = Stamp {
        size: plain.get_u64(),
        mtime_ns: plain.get_i64(),
        inode: plain.get_u64(),
        ctime_ns: plain.get_i64(),
    };
    let id = FileId(*plain.first_chunk()?);
    Some((std::str::from_utf8(body).ok()?, Row { stamp, id }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: u64) -> Row {
        let stamp = Stamp { size: number, mtime_ns: -3, inode: 1, ctime_ns: 4 };
        Row { stamp, id: FileId::of(&number.to_be_bytes()) }
    }

    #[test]
    fn what_is_replaced_does_not_pile_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        let Opened { mut log, .. } = Log::open(&path).unwrap();
        let hashes = vec![ChunkHash([1; 32]); 2000];
        for number in 0..100 {
            let id = FileId::of(&[number as u8]);
            let gone = FileId::of(&[(number as u8).wrapping_sub(1)]);
            let entries = [Entry::Row("a", row(number)), Entry::Hashes(id, &hashes), Entry::NoHashes(gone)];
            log.append(entries.into_iter()).unwrap();
        }
        assert!(fs::metadata(&path).unwrap().len() > 6_000_000);
        drop(log);
        let Opened { log, rows } = Log::open(&path).unwrap();
        assert_eq!(rows, [(Box::from("a"), row(99))]);
        assert_eq!(log.reader().hashes(FileId::of(&[99])), Some(hashes));
        assert_eq!(log.reader().hashes(FileId::of(&[98])), None);
        assert!(fs::metadata(&path).unwrap().len() < 100_000);
        assert!(matches!(Log::open(&path), Err(Unusable::Busy)), "the new file is locked too");
    }

    #[test]
    fn who_reads_sees_the_new_file_when_it_was_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        let Opened { mut log, .. } = Log::open(&path).unwrap();
        let reader = log.reader();
        let (kept, gone) = (FileId::of(b"kept"), FileId::of(b"gone"));
        let hashes = vec![ChunkHash([1; 32]); 40_000];
        log.append([Entry::Hashes(gone, &hashes), Entry::Row("a", row(1))].into_iter()).unwrap();
        log.append([Entry::NoHashes(gone), Entry::Hashes(kept, &hashes[..2])].into_iter()).unwrap();
        let before = fs::metadata(&path).unwrap().ino();
        let Found { rows, hashes: places, .. } = Found::read(&log.file).unwrap();
        log.live = live(&rows, &places);
        log.shrink(&rows).unwrap();
        assert_ne!(fs::metadata(&path).unwrap().ino(), before);
        assert_eq!(fs::metadata(&path).unwrap().len(), log.len);
        assert_eq!((reader.hashes(kept), reader.hashes(gone)), (Some(hashes[..2].to_vec()), None));
        assert_eq!(reader.ids(), [kept]);
        log.append([Entry::Hashes(gone, &hashes[..3])].into_iter()).unwrap();
        assert_eq!(reader.hashes(gone), Some(hashes[..3].to_vec()));
        log.shrink(&rows).unwrap();
        drop(log);
        assert!(matches!(Log::open(&path), Err(Unusable::Busy)), "while somebody reads");
        drop(reader);
        let Opened { log, rows } = Log::open(&path).unwrap();
        assert_eq!(rows, [(Box::from("a"), row(1))]);
        assert_eq!(log.reader().hashes(gone), Some(hashes[..3].to_vec()), "what came after is there too");
    }

    #[test]
    fn what_is_whole_before_the_damage_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        let Opened { mut log, .. } = Log::open(&path).unwrap();
        log.append([Entry::Row("a", row(1)), Entry::Row("b", row(2))].into_iter()).unwrap();
        let len = fs::metadata(&path).unwrap().len();
        log.append([Entry::Row("c", row(3)), Entry::NoRow("a")].into_iter()).unwrap();
        drop(log);
        let mut bytes = fs::read(&path).unwrap();
        bytes[len as usize + 20] ^= 1;
        fs::write(&path, bytes).unwrap();
        let Opened { rows, .. } = Log::open(&path).unwrap();
        assert_eq!(rows, [(Box::from("a"), row(1)), (Box::from("b"), row(2))]);
        assert_eq!(fs::metadata(&path).unwrap().len(), len);
    }

    #[test]
    fn something_else_is_no_index() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        fs::write(&path, "p2pindx9").unwrap();
        assert!(matches!(Log::open(&path), Err(Unusable::Other("is of another version"))));
        fs::write(&path, "#!/bin/sh").unwrap();
        assert!(matches!(Log::open(&path), Err(Unusable::Other("is not a share index"))));
        assert!(matches!(Log::open(folder.path()), Err(Unusable::Other("is not a file"))));
    }
}
