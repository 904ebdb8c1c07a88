//! Where the chunks of a transfer go, and are served from meanwhile: files that get their names in the end, or what a
//! store keeps.

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::Arc;

use crate::content::{Chunk, ChunkHash, FileId, Layout, Looks, Place, Proof};
use crate::peer::disk::{Disk, DiskError};

/// Where bytes lie in a file.
#[derive(Debug, Clone)]
pub(in crate::peer) struct Lying {
    pub(in crate::peer) file: Arc<File>,
    /// Where they begin.
    pub(in crate::peer) offset: u64,
    /// What keeps them there, if they could go.
    pub(in crate::peer) hold: Option<Arc<dyn Hold>>,
}

/// Something that keeps bytes where they are for as long as it lives.
pub(in crate::peer) trait Hold: fmt::Debug + Send + Sync {}

/// The place of one transfer's chunks.
pub(in crate::peer) trait Landing: fmt::Debug + Send + Sync {
    /// Its chunks as they are numbered.
    fn layout(&self) -> &Arc<Layout>;

    /// The id of one of its files.
    fn id_of(&self, file: usize) -> FileId;

    /// How many files are done, and how many there are to be.
    fn files(&self) -> (usize, usize);

    /// Writes a part of a chunk of a file of several, proved or not.
    fn write(&self, place: Place, within: u64, data: &[u8]) -> Result<(), DiskError>;

    /// Keeps a proved chunk of a file of several; its bytes were written.
    fn keep(
        &self,
        chunk: Chunk,
        place: Place,
        hash: ChunkHash,
        proof: Option<Arc<Proof>>,
    ) -> Result<(), DiskError>;

    /// Keeps a file of one chunk, whose bytes were hashed to `id`.
    fn keep_small(&self, place: Place, data: &[u8], id: FileId) -> Result<(), DiskError>;

    /// Somebody, who may have the whole file, says which mode and time it has: the content itself, or a file that is a
    /// content of its own.
    fn hear_looks(&self, file: usize, looks: Looks, whole: bool);

    /// What was heard of the content itself, to be passed on.
    fn told_looks(&self) -> Option<Looks>;

    /// Where a chunk lies that is kept.
    fn bytes(&self, place: Place) -> io::Result<Lying>;

    /// The proof of the run of a chunk that was here before.
    fn proof(&self, place: Place) -> Option<Arc<Proof>>;

    /// All that was wanted is here.
    fn finish(&self) -> Result<(), DiskError>;

    /// The files and folders that it becomes, if it does.
    fn disk(&self) -> Option<&Disk>;
}

impl Landing for Disk {
    fn layout(&self) -> &Arc<Layout> {
        &self.plan().layout
    }

    fn id_of(&self, file: usize) -> FileId {
        self.plan().id_of(file)
    }

    fn files(&self) -> (usize, usize) {
        (self.files_done(), self.plan().files_made())
    }

    fn write(&self, place: Place, within: u64, data: &[u8]) -> Result<(), DiskError> {
        Disk::write(self, place, within, data)
    }

    fn keep(
        &self,
        chunk: Chunk,
        place: Place,
        hash: ChunkHash,
        proof: Option<Arc<Proof>>,
    ) -> Result<(), DiskError> {
        Disk::keep(self, chunk, place, hash, proof).map(drop)
    }

    fn keep_small(&self, place: Place, data: &[u8], id: FileId) -> Result<(), DiskError> {
        self.write_small(place.file, data, id)
    }

    fn hear_looks(&self, _file: usize, looks: Looks, whole: bool) {
        Disk::hear_looks(self, looks, whole);
    }

    fn told_looks(&self) -> Option<Looks> {
        Disk::told_looks(self)
    }

    fn bytes(&self, place: Place) -> io::Result<Lying> {
        Ok(Lying { file: self.reader(place.file)?, offset: place.offset, hold: None })
    }

    fn proof(&self, place: Place) -> Option<Arc<Proof>> {
        Disk::proof(self, place)
    }

    fn finish(&self) -> Result<(), DiskError> {
        Disk::finish(self)
    }

    fn disk(&self) -> Option<&Disk> {
        Some(self)
    }
}
