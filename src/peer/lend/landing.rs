//! The vault as the place where the chunks of a transfer go.

use std::io;
use std::sync::Arc;

use super::store::Store;
use super::vault::{Grant, Kind, Located, Pin, VaultError};
use crate::content::{Chunk, ChunkHash, FileId, Layout, Looks, Place, Proof};
use crate::peer::disk::{Disk, DiskError};
use crate::peer::hint::Hint;
use crate::peer::transfer::{Hold, Landing, Lying};

impl Hold for Pin {}

/// Slots of the vault that were taken for one transfer.
#[derive(Debug)]
pub(super) struct Slots {
    store: Arc<Store>,
    grant: Arc<Grant>,
    /// What it consists of.
    files: Vec<FileId>,
    hint: Hint,
}

impl Slots {
    pub(super) fn new(store: &Arc<Store>, grant: &Arc<Grant>, files: Vec<FileId>) -> Slots {
        Slots { store: store.clone(), grant: grant.clone(), files, hint: Hint::default() }
    }
}

/// Slots for several contents of one chunk each, which come together.
#[derive(Debug)]
pub(super) struct Several {
    each: Vec<Slots>,
    layout: Arc<Layout>,
}

impl Several {
    /// None if they are too many.
    pub(super) fn new(each: Vec<Slots>) -> Option<Several> {
        let files = each.iter().map(|slots| slots.layout().files()[0]).collect();
        Some(Several { layout: Arc::new(Layout::new(files)?), each })
    }

    /// Where the chunk of one of them goes, which is its first.
    fn within(&self, place: Place) -> (&Slots, Place) {
        (&self.each[place.file], Place { file: 0, ..place })
    }
}

impl Landing for Several {
    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn id_of(&self, file: usize) -> FileId {
        self.each.get(file).map_or(FileId::NONE, |slots| slots.id_of(0))
    }

    fn files(&self) -> (usize, usize) {
        (0, self.each.len())
    }

    fn write(&self, place: Place, within: u64, data: &[u8]) -> Result<(), DiskError> {
        let (slots, place) = self.within(place);
        slots.write(place, within, data)
    }

    fn keep(
        &self,
        _chunk: Chunk,
        place: Place,
        hash: ChunkHash,
        proof: Option<Arc<Proof>>,
    ) -> Result<(), DiskError> {
        let (slots, place) = self.within(place);
        slots.keep(Chunk(0), place, hash, proof)
    }

    fn keep_small(&self, place: Place, data: &[u8], id: FileId) -> Result<(), DiskError> {
        let (slots, place) = self.within(place);
        slots.keep_small(place, data, id)
    }

    fn hear_looks(&self, file: usize, looks: Looks, whole: bool) {
        self.each[file].hear_looks(0, looks, whole);
    }

    /// Of all of them nothing is said.
    fn told_looks(&self) -> Option<Looks> {
        None
    }

    fn bytes(&self, place: Place) -> io::Result<Lying> {
        let (slots, place) = self.within(place);
        slots.bytes(place)
    }

    fn proof(&self, place: Place) -> Option<Arc<Proof>> {
        let (slots, place) = self.within(place);
        slots.proof(place)
    }

    fn finish(&self) -> Result<(), DiskError> {
        Ok(())
    }

    fn disk(&self) -> Option<&Disk> {
        None
    }
}

/// Where a chunk lies in the vault, as those who serve it need it.
pub(super) fn lying(located: Located) -> Lying {
    let Located { file, offset, pin } = located;
    Lying { file, offset, hold: Some(Arc::new(pin)) }
}

fn failed(error: VaultError) -> DiskError {
    match error {
        VaultError::Full(path) => DiskError::Full(path.display().to_string()),
        VaultError::Io(path, error) => DiskError::Io { path: path.display().to_string(), error },
        other => {
            DiskError::Io { path: "what is kept".to_owned(), error: io::Error::other(other.to_string()) }
        }
    }
}

impl Landing for Slots {
    fn layout(&self) -> &Arc<Layout> {
        self.grant.lot().layout()
    }

    fn id_of(&self, file: usize) -> FileId {
        self.files.get(file).copied().unwrap_or(FileId::NONE)
    }

    fn files(&self) -> (usize, usize) {
        (0, self.files.len())
    }

    fn write(&self, place: Place, within: u64, data: &[u8]) -> Result<(), DiskError> {
        self.grant.write(place, within, data).map_err(failed)
    }

    fn keep(
        &self,
        _chunk: Chunk,
        place: Place,
        _hash: ChunkHash,
        proof: Option<Arc<Proof>>,
    ) -> Result<(), DiskError> {
        self.grant.keep(place, proof).map_err(failed)
    }

    fn keep_small(&self, place: Place, data: &[u8], _id: FileId) -> Result<(), DiskError> {
        self.grant.write(place, 0, data).and_then(|()| self.grant.keep(place, None)).map_err(failed)
    }

    fn hear_looks(&self, _file: usize, looks: Looks, whole: bool) {
        if self.hint.hear(looks, whole) {
            self.grant.hear_looks(looks);
        }
    }

    fn told_looks(&self) -> Option<Looks> {
        self.grant.looks()
    }

    fn bytes(&self, place: Place) -> io::Result<Lying> {
        match self.grant.locate(place) {
            Ok(Some(located)) => Ok(lying(located)),
            Ok(None) => Err(io::ErrorKind::NotFound.into()),
            Err(VaultError::Io(_, error)) => Err(error),
            Err(other) => Err(io::Error::other(other.to_string())),
        }
    }

    fn proof(&self, place: Place) -> Option<Arc<Proof>> {
        let file = self.store.vault.serve(self.id_of(place.file), Kind::Bytes)?;
        file.proof(Place { file: 0, ..place }).map(Arc::new)
    }

    fn finish(&self) -> Result<(), DiskError> {
        Ok(())
    }

    fn disk(&self) -> Option<&Disk> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn what_a_vault_does_not_take_is_told_as_what_a_disk_does_not_take() {
        let path = || PathBuf::from("v/64k.slab");
        assert!(matches!(failed(VaultError::Full(path())), DiskError::Full(at) if at == "v/64k.slab"));
        let broken = failed(VaultError::Io(path(), io::ErrorKind::ReadOnlyFilesystem.into()));
        let DiskError::Io { path: at, error } = broken else { panic!("{broken}") };
        assert_eq!((at.as_str(), error.kind()), ("v/64k.slab", io::ErrorKind::ReadOnlyFilesystem));
        let other = failed(VaultError::Contradiction);
        let DiskError::Io { error, .. } = other else { panic!("{other}") };
        assert_eq!(error.to_string(), VaultError::Contradiction.to_string());
    }
}
