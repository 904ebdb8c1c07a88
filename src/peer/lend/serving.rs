//! What a store keeps, as those who ask for it are served from it.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::landing::lying;
use super::store::{Store, kind_of};
use super::vault::{Content, VaultError};
use crate::content::{ChunkSet, FileId, Layout, Looks, Place, Proof};
use crate::peer::transfer::{Lying, Transfer};
use crate::wire::View;

/// A content that is kept, or a part of it.
#[derive(Debug)]
pub(in crate::peer) struct Kept {
    store: Arc<Store>,
    content: Content,
    id: FileId,
    view: View,
}

/// What a store has of a content.
#[derive(Debug)]
pub(in crate::peer) enum Found {
    /// More of it comes just now.
    Coming(Arc<Transfer>),
    /// It is kept.
    Kept(Box<Kept>),
}

impl Store {
    /// What is here of a content.
    pub(in crate::peer) fn find(self: &Arc<Store>, id: FileId, view: View) -> Option<Found> {
        if let Some(transfer) = self.fetch_of((id, view)).filter(|transfer| transfer.is_servable()) {
            return Some(Found::Coming(transfer));
        }
        let content = self.vault.serve(id, kind_of(view))?;
        Some(Found::Kept(Box::new(Kept { store: self.clone(), content, id, view })))
    }
}

impl Kept {
    pub(in crate::peer) fn layout(&self) -> &Layout {
        self.content.layout()
    }

    /// The chunks that are kept.
    pub(in crate::peer) fn have(&self) -> ChunkSet {
        self.content.have()
    }

    /// Mode and time of a single file, as they were told when it came.
    pub(in crate::peer) fn looks(&self) -> Option<Looks> {
        self.content.looks()
    }

    /// Where a chunk lies; none if it is not kept, or not any more.
    pub(in crate::peer) fn bytes(&self, place: Place) -> io::Result<Option<Lying>> {
        match self.content.locate(place) {
            Ok(located) => Ok(located.map(lying)),
            Err(VaultError::Io(_, error)) => Err(error),
            Err(other) => Err(io::Error::other(other.to_string())),
        }
    }

    /// The proof of the run that a chunk lies in.
    pub(in crate::peer) fn proof(&self, place: Place) -> Option<Proof> {
        self.content.proof(place)
    }

    /// The proof of any aligned run of a file's chunks, if all of its hashes are known here.
    pub(in crate::peer) fn manifest_run(&self, file: usize, run: Range<u32>) -> Option<Proof> {
        self.content.manifest_run(file, run)
    }

    /// A chunk is said to be wrong, or could not be read: it is read again, and given up if it is.
    pub(in crate::peer) fn check(&self, place: Place) {
        match self.store.vault.check(self.id, kind_of(self.view), self.layout().chunk(place)) {
            Ok(less) => self.store.rotted(less),
            Err(error) => tracing::warn!("a chunk that is kept could not be given up: {error}"),
        }
    }
}
