//! Files while they are not finished: what of each is here, and where it lies.
//!
//! They live in `STATE/partial/ID/`: one sparse file for each file of more than one chunk, written at offsets, and
//! one journal of proved chunks, with their proofs beside it. A chunk is journalled after its bytes were written; what a
//! journal says is read and proved again before it is believed, so it is a hint, needs no sync, and a damaged one costs
//! only time.
//! Files of one chunk are proved in memory, and written where their name will be.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use rustix::fs::{Mode, fchmod};
use rustix::io::Errno;

use super::error::DiskError;
use super::files::{allocated, hash_at, reserve, unfinished_mode, write_sparse};
use super::journal::Journal;
use super::partial;
use super::place::Folder;
use super::plan::{Plan, Slot};
use super::proved::Proved;
use crate::content::{Chunk, ChunkHash, ChunkSet, FileId, Looks, Manifest, Place, Proof, proof_run};
use crate::descriptors;
use crate::peer::made::Made;
use crate::peer::state_folder::{make_own_folder, set_aside};
use crate::threads::lock;

/// Most unfinished files kept open at once.
const MAX_OPEN_FILES: usize = 256;

/// The unfinished files of one transfer.
#[derive(Debug)]
pub(super) struct Unfinished {
    plan: Arc<Plan>,
    folder: Folder,
    path: PathBuf,
    journal: Journal,
    proved: Proved,
    parts: Vec<Part>,
    /// Files that are open, oldest first.
    open: Mutex<Vec<usize>>,
}

/// What is here of one file.
#[derive(Debug)]
struct Part {
    /// Chunks not here yet.
    left: AtomicU32,
    /// The file, while it is open.
    data: Made<Arc<File>>,
    /// Proved hashes, for the proof of the whole; only for files of more than one chunk.
    hashes: Mutex<Vec<Option<ChunkHash>>>,
}

impl Part {
    fn of(slot: &Slot) -> Part {
        Part { left: AtomicU32::new(slot.geometry.chunks()), data: Made::default(), hashes: Mutex::default() }
    }
}

impl Unfinished {
    /// Those in the folder `path`, which is this transfer's alone. With it, the chunks that are there already, each
    /// proved by reading it.
    pub(super) fn open(
        plan: Arc<Plan>,
        id: FileId,
        path: &Path,
    ) -> Result<(Unfinished, ChunkSet), DiskError> {
        let shown = path.display().to_string();
        let at = DiskError::at(&shown);
        make_own_folder(path).map_err(&at)?;
        let folder = Folder::open(path).map_err(&at)?;
        let (journal, records) = Journal::open(&path.join(partial::JOURNAL), id).map_err(&at)?;
        let proved = Proved::open(&path.join(partial::PROOFS), &plan).map_err(&at)?;
        let parts = plan.slots.iter().map(Part::of).collect();
        let path = path.to_owned();
        let unfinished = Unfinished { plan, folder, path, journal, proved, parts, open: Mutex::default() };
        let had = unfinished.resume(&records);
        Ok((unfinished, had))
    }

    /// Believes the journal where the bytes on disk have the journalled hash, and it is proved to be the right one.
    fn resume(&self, records: &[(Chunk, ChunkHash)]) -> ChunkSet {
        let mut had = ChunkSet::empty(self.plan.layout.chunks());
        let mut buffer = Vec::new();
        for (number, hash) in records {
            let Some(place) = self.plan.layout.place(*number) else { continue };
            let geometry = self.plan.slots[place.file].geometry;
            let Ok(file) = self.existing(place.file) else { continue };
            if geometry.chunks() > 1
                && self.proved.hash_of(&self.plan, place) == Some(*hash)
                && hash_at(&file, geometry, place, &mut buffer).ok() == Some(*hash)
                && had.insert(*number)
            {
                self.note(place, *hash);
                self.parts[place.file].left.fetch_sub(1, Ordering::Relaxed);
            }
        }
        had
    }

    /// Where they lie.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.folder.fd()
    }

    /// True if all chunks of a file are here.
    pub(super) fn is_whole(&self, file: usize) -> bool {
        self.parts[file].left.load(Ordering::Acquire) == 0
    }

    /// All of a file is here, and lies elsewhere.
    pub(super) fn is_elsewhere(&self, file: usize) {
        self.parts[file].left.store(0, Ordering::Release);
    }

    /// All of a file was found where it will be.
    pub(super) fn note_found(&self, file: usize, hashes: Vec<ChunkHash>) {
        if self.plan.slots[file].geometry.chunks() > 1 {
            *lock(&self.parts[file].hashes) = hashes.into_iter().map(Some).collect();
        }
        self.is_elsewhere(file);
    }

    fn note(&self, place: Place, hash: ChunkHash) {
        let mut hashes = lock(&self.parts[place.file].hashes);
        hashes.resize(self.plan.slots[place.file].geometry.chunks() as usize, None);
        hashes[place.chunk.get() as usize] = Some(hash);
    }

    /// All chunk hashes of a file, none if it has a single one; `None` while some are missing.
    pub(super) fn hashes(&self, file: usize) -> Option<Vec<ChunkHash>> {
        let geometry = self.plan.slots[file].geometry;
        match geometry.chunks() {
            0 | 1 => Some(Vec::new()),
            chunks => {
                let hashes = lock(&self.parts[file].hashes);
                let all: Option<Vec<ChunkHash>> = hashes.iter().copied().collect();
                all.filter(|all| all.len() == chunks as usize)
            }
        }
    }

    /// The id that the proved chunks of a file of more than one have together.
    pub(super) fn id_of(&self, file: usize) -> Option<FileId> {
        Some(Manifest::new(self.plan.slots[file].geometry, self.hashes(file)?).ok()?.1)
    }

    /// The proof of the run that a chunk lies in, if it is known.
    pub(super) fn proof(&self, place: Place) -> Option<Arc<Proof>> {
        self.proved.of(&self.plan, place).or_else(|| {
            let geometry = self.plan.slots[place.file].geometry;
            let (manifest, _) = Manifest::new(geometry, self.hashes(place.file)?).ok()?;
            manifest.prove(proof_run(geometry, place.chunk)).ok().map(Arc::new)
        })
    }

    /// Keeps a chunk whose bytes were written, and the right proof of its run. True if it was the file's last.
    pub(super) fn keep(
        &self,
        chunk: Chunk,
        place: Place,
        hash: ChunkHash,
        proof: Option<Arc<Proof>>,
    ) -> io::Result<bool> {
        self.note(place, hash);
        if let Some(proof) = proof {
            self.proved.keep(place.file, proof)?;
        }
        self.journal.append(chunk, hash)?;
        Ok(self.parts[place.file].left.fetch_sub(1, Ordering::AcqRel) == 1)
    }

    /// Writes a part of a chunk, proved or not; `looks` are those of the file, if they are known.
    pub(super) fn write(
        &self,
        place: Place,
        within: u64,
        data: &[u8],
        looks: Option<Looks>,
    ) -> io::Result<()> {
        write_sparse(&*self.data(place.file, looks)?, data, place.offset + within)
    }

    /// Makes a file share the blocks of another, not proved yet; none where that cannot be.
    pub(super) fn clone_of(&self, file: usize, from: &File, looks: Option<Looks>) -> Option<Arc<File>> {
        let geometry = self.plan.slots[file].geometry;
        if geometry.chunks() < 2 || from.metadata().ok()?.len() != geometry.size() {
            return None;
        }
        let data = self.data(file, looks).ok()?;
        rustix::fs::ioctl_ficlone(&*data, from).ok()?;
        // It may have become another one meanwhile.
        data.set_len(geometry.size()).ok()?;
        Some(data)
    }

    /// The file, made at its full size if it is not there yet.
    pub(super) fn data(&self, file: usize, looks: Option<Looks>) -> io::Result<Arc<File>> {
        let mut opened = false;
        let data = self.parts[file].data.get_or_make(|| {
            opened = true;
            let size = self.plan.slots[file].geometry.size();
            let data = match self.is_begun(file) {
                true => self.reopen(file)?,
                false => self.make(&file.to_string(), unfinished_mode(looks))?,
            };
            if data.metadata()?.len() != size {
                reserve(&data, size)?;
            }
            Ok::<_, io::Error>(Arc::new(data))
        })?;
        if opened {
            self.close_oldest(file);
        }
        Ok(data)
    }

    /// True if chunks of a file are here.
    fn is_begun(&self, file: usize) -> bool {
        self.parts[file].left.load(Ordering::Acquire) < self.plan.slots[file].geometry.chunks()
    }

    /// Opens a file of the folder; what lies there and is not this fetch's alone is set aside.
    fn make(&self, name: &str, mode: Mode) -> io::Result<File> {
        if let Some(file) = self.folder.own_file(name, Some(mode))? {
            return Ok(file);
        }
        set_aside(&self.path.join(name), "is not a file of this fetch alone");
        self.folder.own_file(name, Some(mode))?.ok_or_else(|| Errno::EXIST.into())
    }

    /// Opens a file again that proved chunks are in: in another one they are not.
    fn reopen(&self, file: usize) -> io::Result<File> {
        let gone = || io::Error::other("what had arrived of it was taken away; fetch it again");
        match self.folder.own_file(&file.to_string(), None) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(gone()),
            opened => opened?.ok_or_else(gone),
        }
    }

    fn close_oldest(&self, newest: usize) {
        let most = descriptors::cached(MAX_OPEN_FILES);
        let mut open = lock(&self.open);
        open.push(newest);
        let oldest = (open.len() > most).then(|| open.remove(0));
        drop(open);
        if let Some(oldest) = oldest.filter(|oldest| *oldest != newest) {
            self.close(oldest);
        }
    }

    /// Closes a file; it is opened again when it is needed.
    pub(super) fn close(&self, file: usize) {
        drop(self.parts[file].data.take());
    }

    /// The file if it is open.
    pub(super) fn opened(&self, file: usize) -> Option<Arc<File>> {
        self.parts[file].data.get()
    }

    /// Opens a file to read, if it lies here.
    pub(super) fn existing(&self, file: usize) -> io::Result<File> {
        self.folder.open_existing(&file.to_string())
    }

    /// Bytes that a file takes on the disk by now.
    pub(super) fn reserved(&self, file: usize) -> u64 {
        self.existing(file).map_or(0, |file| allocated(&file))
    }

    /// It is known who may read the files that were begun before it was.
    pub(super) fn tell(&self, looks: Looks) {
        for open in self.parts.iter().filter_map(|part| part.data.get()) {
            let _ = fchmod(&*open, unfinished_mode(Some(looks)));
        }
    }

    /// Removes a file that was copied to its name.
    pub(super) fn remove(&self, file: usize) -> io::Result<()> {
        self.folder.remove(&file.to_string())
    }

    /// Nothing in here is right: all of it goes.
    pub(super) fn spoil(&self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }

    /// All files have their names.
    pub(super) fn clear(&self) {
        partial::clear(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{Geometry, Layout, hash_chunk};

    const ID: FileId = FileId([5; 32]);
    const SIZE: u64 = 200_000;

    fn open(path: &Path) -> (Unfinished, ChunkSet) {
        let plan = Plan::file(manifest().1, Geometry::of(SIZE).unwrap(), "a").unwrap();
        Unfinished::open(Arc::new(plan), ID, path).unwrap()
    }

    /// What a chunk holds.
    fn data(place: Place) -> Vec<u8> {
        vec![place.chunk.get() as u8 + 1; place.len as usize]
    }

    fn manifest() -> (Manifest, FileId) {
        let geometry = Geometry::of(SIZE).unwrap();
        let layout = Layout::new(vec![geometry]).unwrap();
        let places = (0..layout.chunks()).map(|number| layout.place(Chunk(number)).unwrap());
        Manifest::new(geometry, places.map(|place| hash_chunk(geometry, place.chunk, &data(place))).collect())
            .unwrap()
    }

    /// Writes a chunk and keeps it, perhaps with its proof. True if it was the last.
    fn keep(unfinished: &Unfinished, number: u32, proof: bool) -> bool {
        let place = unfinished.plan.layout.place(Chunk(number)).unwrap();
        unfinished.write(place, 0, &data(place), None).unwrap();
        let (manifest, _) = manifest();
        let hash = manifest.hashes()[number as usize];
        let proof = proof.then(|| manifest.prove(proof_run(manifest.geometry(), place.chunk)).unwrap());
        unfinished.keep(Chunk(number), place, hash, proof.map(Arc::new)).unwrap()
    }

    #[test]
    fn what_was_kept_is_here_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let (unfinished, had) = open(&path);
        let last = unfinished.plan.layout.chunks() - 1;
        assert!(had.is_empty() && !unfinished.is_whole(0) && unfinished.hashes(0).is_none());
        assert!(unfinished.opened(0).is_none() && unfinished.existing(0).is_err());
        assert_eq!(unfinished.reserved(0), 0);
        assert!((0..last).all(|number| !keep(&unfinished, number, true)));
        assert!(unfinished.opened(0).is_some() && unfinished.reserved(0) >= SIZE - u64::from(u16::MAX) - 1);
        assert!(unfinished.id_of(0).is_none());
        drop(unfinished);
        let (unfinished, had) = open(&path);
        assert_eq!(had.count(), last);
        let proof = unfinished.proof(unfinished.plan.layout.place(Chunk(0)).unwrap());
        let (manifest, id) = manifest();
        assert_eq!(proof.as_deref(), manifest.prove(0..last + 1).ok().as_ref(), "it can be passed on");
        assert!(keep(&unfinished, last, true) && unfinished.is_whole(0));
        assert_eq!(unfinished.hashes(0).unwrap().len() as u32, last + 1);
        assert_eq!(unfinished.id_of(0), Some(id));
        // What the disk lost meanwhile is not believed.
        let file = File::options().write(true).open(path.join("0")).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"damage", 3).unwrap();
        drop(unfinished);
        let (unfinished, had) = open(&path);
        assert_eq!(had.count(), last);
        assert!(!had.contains(Chunk(0)) && !unfinished.is_whole(0) && unfinished.id_of(0).is_none());
    }

    #[test]
    fn a_chunk_without_its_proof_is_not_taken_up_again_and_with_all_of_them_it_has_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let (unfinished, _) = open(&path);
        let place = unfinished.plan.layout.place(Chunk(1)).unwrap();
        keep(&unfinished, 0, true);
        assert!(unfinished.proof(place).is_some(), "of its run");
        drop(unfinished);
        let proofs = path.join(partial::PROOFS);
        let whole = std::fs::read(&proofs).unwrap();
        std::fs::write(&proofs, &whole[..whole.len() - 1]).unwrap();
        let (unfinished, had) = open(&path);
        assert!(had.is_empty() && unfinished.proof(place).is_none());
        for number in 0..unfinished.plan.layout.chunks() {
            assert!(unfinished.proof(place).is_none());
            keep(&unfinished, number, false);
        }
        assert!(unfinished.proof(place).is_some(), "made of all hashes");
        drop(unfinished);
        let mut wrong = whole;
        wrong[20] ^= 1;
        std::fs::write(&proofs, &wrong).unwrap();
        assert!(open(&path).1.is_empty(), "a wrong one is none");
    }

    #[test]
    fn what_was_found_elsewhere_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (unfinished, _) = open(&folder.path().join("x"));
        let hashes = vec![ChunkHash([1; 32]); unfinished.plan.layout.chunks() as usize];
        unfinished.note_found(0, hashes.clone());
        assert!(unfinished.is_whole(0));
        assert_eq!(unfinished.hashes(0), Some(hashes));
    }

    #[test]
    fn who_may_read_it_is_told_to_what_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let (unfinished, _) = open(&folder.path().join("x"));
        keep(&unfinished, 0, true);
        unfinished.tell(Looks { mode: 0o644, mtime_ns: 1 });
        let mode = unfinished.opened(0).unwrap().metadata().unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&mode) & 0o777, 0o600);
    }
}
