//! A content as it is served from a vault.

use std::ops::Range;
use std::sync::Arc;

use super::entry::Kind;
use super::error::VaultError;
use super::shared::{Located, Shared};
use crate::content::{ChunkSet, FileId, Layout, Looks, Manifest, Place, Proof, proof_run};
use crate::threads::lock;

/// What is held of a content, to be served.
#[derive(Debug)]
pub struct Content {
    shared: Arc<Shared>,
    layout: Arc<Layout>,
    /// By their place in the layout.
    files: Vec<u32>,
    /// The number of what is kept: of a single file, if it is kept for its own sake.
    root: Option<u32>,
    kind: Kind,
}

impl Content {
    /// What is held of the bytes of `id`, or of the members of that listing; `None` if nothing is.
    pub(super) fn find(shared: &Arc<Shared>, id: FileId, kind: Kind) -> Option<Content> {
        let index = lock(&shared.index);
        let catalogue = &index.catalogue;
        let root = catalogue.root_number(id, kind);
        let files = match kind {
            Kind::Bytes | Kind::Listing => vec![catalogue.file_by_id(id)?],
            Kind::Members => catalogue.root(root?)?.files.to_vec(),
        };
        let geometries =
            files.iter().map(|file| Some(catalogue.file(*file)?.geometry)).collect::<Option<_>>()?;
        let layout = Arc::new(Layout::new(geometries)?);
        drop(index);
        Some(Content { shared: shared.clone(), layout, files, root, kind })
    }

    /// The proof of any aligned run of the chunks of a file, by its place, if all of its hashes are known.
    pub fn manifest_run(&self, file: usize, run: Range<u32>) -> Option<Proof> {
        let geometry = *self.layout.files().get(file)?;
        let first = geometry.index(run.start)?;
        let number = *self.files.get(file)?;
        if proof_run(geometry, first) == run {
            return self.shared.proof(number, run.start);
        }
        let mut hashes = Vec::with_capacity(geometry.chunks() as usize);
        while (hashes.len() as u64) < u64::from(geometry.chunks()) {
            hashes.extend(self.shared.proof(number, hashes.len() as u32)?.hashes);
        }
        Manifest::new(geometry, hashes).ok()?.0.prove(run).ok()
    }

    /// Its chunks as they are numbered.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The chunks that are held: of a single file all, for whatever sake.
    pub fn have(&self) -> ChunkSet {
        let index = lock(&self.shared.index);
        let held = match (self.kind, self.root, self.files.first()) {
            (Kind::Members, Some(root), _) => index.catalogue.root(root).map(|root| root.claimed.clone()),
            (_, _, Some(file)) => index.catalogue.file(*file).map(|file| file.held()),
            _ => None,
        };
        held.unwrap_or_else(|| ChunkSet::empty(self.layout.chunks()))
    }

    /// Mode and time of a single file, as they were told when it came.
    pub fn looks(&self) -> Option<Looks> {
        lock(&self.shared.index).catalogue.root(self.root?)?.looks
    }

    /// Where the bytes of a chunk lie; `None` if it is not held, or not any more.
    ///
    /// # Errors
    /// As of opening the file.
    pub fn locate(&self, place: Place) -> Result<Option<Located>, VaultError> {
        let located =
            self.files.get(place.file).and_then(|file| self.shared.locate(*file, place.chunk.get()));
        located.transpose().map_err(|error| self.shared.failed(error))
    }

    /// The proof of the run that a chunk lies in, if it is known.
    pub fn proof(&self, place: Place) -> Option<Proof> {
        self.shared.proof(*self.files.get(place.file)?, place.chunk.get())
    }
}
