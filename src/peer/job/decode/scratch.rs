//! Where chunks go that are needed only to decode others: a file without a name, which is gone with the value.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::content::{Chunk, ChunkHash, FileId, Geometry, Layout, Looks, Place, Proof};
use crate::peer::disk::{Disk, DiskError};
use crate::peer::transfer::{Landing, Lying};
use crate::storage::punch;

/// Chunks of one file, at their places.
#[derive(Debug, Clone)]
pub(super) struct Scratch {
    id: FileId,
    layout: Arc<Layout>,
    file: Arc<File>,
}

impl Scratch {
    /// For chunks of a file, on the disk of this folder.
    pub(super) fn new(folder: &Path, id: FileId, geometry: Geometry) -> io::Result<Scratch> {
        let layout = Layout::new(vec![geometry]).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Scratch { id, layout: Arc::new(layout), file: Arc::new(tempfile::tempfile_in(folder)?) })
    }

    /// Keeps these bytes no more.
    pub(super) fn forget(&self, bytes: Range<u64>) -> io::Result<()> {
        punch(&self.file, bytes.start, bytes.end - bytes.start)
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

    fn id_of(&self, _file: usize) -> FileId {
        self.id
    }

    fn files(&self) -> (usize, usize) {
        (0, 1)
    }

    fn write(&self, place: Place, within: u64, data: &[u8]) -> Result<(), DiskError> {
        self.put(place.offset + within, data)
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
        self.put(place.offset, data)
    }

    fn hear_looks(&self, _file: usize, _looks: Looks, _whole: bool) {}

    fn told_looks(&self) -> Option<Looks> {
        None
    }

    fn bytes(&self, place: Place) -> io::Result<Lying> {
        Ok(Lying { file: self.file.clone(), offset: place.offset, hold: None })
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
