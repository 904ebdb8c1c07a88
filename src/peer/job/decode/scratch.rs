//! Where chunks go that are needed only to decode others: a file without a name, which is gone with the value.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::content::{Chunk, ChunkHash, FileId, Layout, Looks, Place, Proof};
use crate::peer::disk::{Disk, DiskError};
use crate::peer::transfer::{Landing, Lying};
use crate::storage::punch;

/// Chunks of some files, each at a multiple of the size of the largest.
#[derive(Debug, Clone)]
pub(super) struct Scratch {
    ids: Arc<[FileId]>,
    layout: Arc<Layout>,
    file: Arc<File>,
}

impl Scratch {
    /// For chunks of these files, on the disk of this folder.
    pub(super) fn new(folder: &Path, ids: Arc<[FileId]>, layout: Arc<Layout>) -> io::Result<Scratch> {
        Ok(Scratch { ids, layout, file: Arc::new(tempfile::tempfile_in(folder)?) })
    }

    /// Keeps this chunk no more.
    pub(super) fn forget(&self, chunk: Chunk) -> io::Result<()> {
        punch(&self.file, self.at(chunk), self.layout.size_of_chunks().bytes())
    }

    fn at(&self, chunk: Chunk) -> u64 {
        u64::from(chunk.0) * self.layout.size_of_chunks().bytes()
    }

    fn of(&self, place: Place) -> u64 {
        self.at(self.layout.chunk(place))
    }

    fn put(&self, at: u64, data: &[u8]) -> Result<(), DiskError> {
        self.file.write_all_at(data, at).map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull => DiskError::Full("what is decoded".to_owned()),
            _ => DiskError::Io { path: "what is decoded".to_owned(), error },
        })
    }
}

impl Landing for Scratch {
    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn id_of(&self, file: usize) -> FileId {
        self.ids.get(file).copied().unwrap_or(FileId::NONE)
    }

    fn files(&self) -> (usize, usize) {
        (0, self.ids.len())
    }

    fn write(&self, place: Place, within: u64, data: &[u8]) -> Result<(), DiskError> {
        self.put(self.of(place) + within, data)
    }

    fn keep(
        &self,
        _chunk: Chunk,
        _place: Place,
        _hash: ChunkHash,
        _proof: Option<Arc<Proof>>,
    ) -> Result<(), DiskError> {
        Ok(())
    }

    fn keep_small(&self, place: Place, data: &[u8], _id: FileId) -> Result<(), DiskError> {
        self.put(self.of(place), data)
    }

    fn hear_looks(&self, _file: usize, _looks: Looks, _whole: bool) {}

    fn told_looks(&self) -> Option<Looks> {
        None
    }

    fn bytes(&self, place: Place) -> io::Result<Lying> {
        Ok(Lying { file: self.file.clone(), offset: self.of(place), hold: None })
    }

    fn proof(&self, _place: Place) -> Option<Arc<Proof>> {
        None
    }

    fn finish(&self) -> Result<(), DiskError> {
        Ok(())
    }

    fn disk(&self) -> Option<&Disk> {
        None
    }
}
