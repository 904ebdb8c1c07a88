//! Single files: modes, times, room, and the proof of what is on disk.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use rustix::fs::{
    Advice, FallocateFlags, Mode, SeekFrom, Timespec, Timestamps, fadvise, fallocate, fchmod, futimens,
    ioctl_ficlone, seek,
};
use rustix::io::Errno;

use crate::content::{ChunkHash, FileId, Geometry, Layout, Looks, Manifest, Place, chunk_hasher};
use crate::storage::punch;

/// Zeros are looked for in blocks of so many bytes, which is what file systems have.
const HOLE_BYTES: usize = 4096;
/// Bytes read at once when what is on disk is proved again.
const PROVE_BYTES: usize = 1 << 20;
const SECOND_NS: i64 = 1_000_000_000;

/// The mode that an unfinished file is made with: nobody else's to read while it is not known, or not said
/// yet, who may.
pub(super) fn unfinished_mode(looks: Option<Looks>) -> Mode {
    match looks {
        Some(_) => Mode::RUSR | Mode::WUSR,
        None => Mode::from_raw_mode(0o666),
    }
}

pub(super) fn mode(looks: Looks) -> Mode {
    Mode::from_raw_mode(u32::from(looks.mode & Looks::MODE))
}

/// Gives a file or folder its time and mode. One that is somebody else's keeps its own.
pub(super) fn set_looks(file: impl AsFd, looks: Option<Looks>) -> io::Result<()> {
    let Some(looks) = looks else { return Ok(()) };
    let mtime_ns = looks.mtime_ns;
    let mtime = Timespec { tv_sec: mtime_ns.div_euclid(SECOND_NS), tv_nsec: mtime_ns.rem_euclid(SECOND_NS) };
    let omit = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT };
    let set = futimens(&file, &Timestamps { last_access: omit, last_modification: mtime })
        .and_then(|()| fchmod(&file, mode(looks)));
    match set {
        Err(rustix::io::Errno::PERM) => Ok(()),
        set => Ok(set?),
    }
}

/// True if a file has this time and mode.
pub(super) fn has_looks(metadata: &Metadata, looks: Looks) -> bool {
    metadata.mode() & u32::from(Looks::MODE) == u32::from(looks.mode & Looks::MODE)
        && i128::from(metadata.mtime()) * i128::from(SECOND_NS) + i128::from(metadata.mtime_nsec())
            == i128::from(looks.mtime_ns)
}

/// Has the names of a folder and of those above it written down, as far as they can be opened: any of them
/// may have been made a moment ago.
pub(super) fn sync_above(folder: &Path) {
    let real = std::fs::canonicalize(folder).unwrap_or_default();
    let above = real.ancestors().skip(1).map_while(|above| File::open(above).ok());
    above.for_each(|above| drop(above.sync_all()));
}

/// Reserves room, so that a full disk shows before the download and not at its end; what could be had of it is
/// given back then. Not in memory: there a reservation writes zeros to every page that the download then writes
/// again. What is too long is cut.
pub(super) fn reserve(file: &File, size: u64) -> io::Result<()> {
    const TMPFS_MAGIC: i64 = 0x0102_1994; // statfs(2)
    let before = file.metadata()?.len();
    if before > size {
        file.set_len(size)?;
    }
    if rustix::fs::fstatfs(file).is_ok_and(|stat| stat.f_type == TMPFS_MAGIC) {
        return file.set_len(size);
    }
    match fallocate(file, FallocateFlags::empty(), 0, size) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.set_len(size),
        Err(error) => {
            let _ = file.set_len(before.min(size));
            Err(error.into())
        }
    }
}

/// Writes what is not zeros, and zeros where something else lies: so what was a hole at the source is one here.
pub(super) fn write_sparse(file: &File, data: &[u8], offset: u64) -> io::Result<()> {
    let mut at = 0;
    while at < data.len() {
        let empty = is_hole(&data[at..]);
        let run = data[at..].chunks(HOLE_BYTES).take_while(|block| is_hole(block) == empty);
        let end = at + run.map(<[u8]>::len).sum::<usize>();
        let place = offset + at as u64;
        if !empty || next_data(file, place)?.is_some_and(|data| data < offset + end as u64) {
            file.write_all_at(&data[at..end], place)?;
        }
        at = end;
    }
    Ok(())
}

/// True if the first block of `data` is zeros.
fn is_hole(data: &[u8]) -> bool {
    const ZEROS: [u8; HOLE_BYTES] = [0; HOLE_BYTES];
    let block = &data[..data.len().min(HOLE_BYTES)];
    block[0] == 0 && *block == ZEROS[..block.len()]
}

/// Gives back what was reserved and never written.
pub(super) fn give_back_holes(file: &File) -> io::Result<()> {
    let size = file.metadata()?.len();
    let mut at = 0;
    while let Ok(hole) = seek(file, SeekFrom::Hole(at)) {
        if hole >= size {
            break;
        }
        at = next_data(file, hole)?.unwrap_or(size);
        punch(file, hole, at - hole)?;
    }
    Ok(())
}

pub(super) fn hash_at(
    file: &File,
    geometry: Geometry,
    place: Place,
    buffer: &mut Vec<u8>,
) -> io::Result<ChunkHash> {
    buffer.resize(PROVE_BYTES.min(place.len as usize), 0);
    let mut hasher = chunk_hasher(geometry, place.chunk);
    let mut done = 0;
    while done < place.len {
        let part = PROVE_BYTES.min((place.len - done) as usize);
        file.read_exact_at(&mut buffer[..part], place.offset + done)?;
        hasher.update(&buffer[..part]);
        done += part as u64;
    }
    Ok(hasher.finish())
}

/// Copies all of `from` into the empty file `to`: as one that shares its blocks where the file system can, else
/// what lies between its holes.
pub(super) fn copy(from: &File, to: &File) -> io::Result<()> {
    if ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    let size = from.metadata()?.len();
    to.set_len(size)?;
    let (mut from, mut to) = (from, to);
    let mut at = 0;
    while let Some(data) = next_data(from, at)? {
        let end = seek(from, SeekFrom::Hole(data)).unwrap_or(size);
        seek(from, SeekFrom::Start(data))?;
        seek(to, SeekFrom::Start(data))?;
        if io::copy(&mut io::Read::take(&mut from, end - data), &mut to)? < end - data {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        at = end;
    }
    Ok(())
}

/// Where the data behind `at` begins, if there is more.
fn next_data(file: &File, at: u64) -> io::Result<Option<u64>> {
    match seek(file, SeekFrom::Data(at)) {
        Ok(data) => Ok(Some(data)),
        Err(Errno::NXIO) => Ok(None),
        // This file system knows nothing of holes.
        Err(Errno::INVAL) => Ok((at < file.metadata()?.len()).then_some(at)),
        Err(error) => Err(error.into()),
    }
}

/// The id of what `file` holds, from the disk and not from memory as far as the system does as it is told.
pub(super) fn id_on_disk(file: &File, geometry: Geometry) -> io::Result<Option<FileId>> {
    file.sync_all()?;
    let _ = fadvise(file, 0, None, Advice::DontNeed);
    Ok(hashes_of(file, geometry)?.map(|(id, _)| id))
}

/// The id and the chunk hashes of what `file` holds; `None` if it has another size.
pub(super) fn hashes_of(file: &File, geometry: Geometry) -> io::Result<Option<(FileId, Vec<ChunkHash>)>> {
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() != geometry.size() {
        return Ok(None);
    }
    let layout = Layout::new(vec![geometry]).ok_or(io::ErrorKind::FileTooLarge)?;
    let mut buffer = Vec::new();
    let hashes: io::Result<Vec<ChunkHash>> = layout
        .chunks_of(0)
        .filter_map(|chunk| layout.place(chunk))
        .map(|place| hash_at(file, geometry, place, &mut buffer))
        .collect();
    let hashes = hashes?;
    Ok(Manifest::new(geometry, hashes.clone()).ok().map(|(_, id)| (id, hashes)))
}

/// What a regular file holds.
pub(super) fn id_of(file: &File) -> io::Result<Option<FileId>> {
    let metadata = file.metadata()?;
    let Some(geometry) = Geometry::of(metadata.len()).filter(|_| metadata.is_file()) else { return Ok(None) };
    Ok(hashes_of(file, geometry)?.map(|(id, _)| id))
}

/// Bytes that a file takes on its disk.
pub(super) fn allocated(file: &File) -> u64 {
    const UNIT_BYTES: u64 = 512; // of st_blocks, stat(2)
    file.metadata().map_or(0, |metadata| metadata.blocks().saturating_mul(UNIT_BYTES))
}
