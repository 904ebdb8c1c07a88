//! What there may be to decode, and what with.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::side::{Of, Side};
use crate::content::{ChunkSet, FileId, Geometry, Layout};
use crate::peer::job::means::Means;
use crate::peer::transfer::{Inlet, Transfer};
use crate::wire::{Coding, View};

/// How often it is looked what nobody has,
pub(super) const LOOK: Duration = Duration::from_millis(20);
/// and while something is on its way, what has come: often enough for what is decoded at a time to be a small part of what may
/// be on its way.
pub(super) const STEP: Duration = Duration::from_millis(5);

/// What a transfer is of, and with what it may do to decode what is missing.
#[derive(Debug)]
pub(in crate::peer) struct Decoder {
    pub(in crate::peer) means: Arc<Means>,
    pub(in crate::peer) transfer: Arc<Transfer>,
    /// Bytes of the transfer's content: of the file, or of the folder's listing.
    pub(in crate::peer) size: u64,
    /// What it is of which code.
    pub(in crate::peer) code: Coding,
    /// Where what is needed only for this may be for a while.
    pub(in crate::peer) folder: PathBuf,
    /// Through these comes what may come at a time.
    pub(in crate::peer) inlets: Vec<Arc<Inlet>>,
    /// Through this, too, if nobody waits for it: others are served first then.
    pub(in crate::peer) slow: Option<Arc<Inlet>>,
}

impl Decoder {
    /// What the transfer is of.
    pub(super) fn own(&self) -> Of {
        let Transfer { id, view, layout, landing, .. } = &*self.transfer;
        let ids = (0..layout.files().len()).map(|file| landing.id_of(file)).collect();
        Of { id: *id, view: *view, size: self.size, ids, layout: layout.clone() }
    }

    /// Begins to fetch all of a content.
    pub(super) fn fetch(&self, of: &Of) -> io::Result<Side<'_>> {
        let mut side = self.begin(of)?;
        side.want(ChunkSet::full(of.layout.chunks()));
        Ok(side)
    }

    /// Begins to look for who has some of a content.
    pub(super) fn begin(&self, of: &Of) -> io::Result<Side<'_>> {
        let inlets = (self.inlets.clone(), self.slow.clone());
        Side::begin(&self.means, &self.folder, of.clone(), inlets)
    }

    /// True once there is nothing more to do.
    pub(super) fn is_over(&self) -> bool {
        self.transfer.is_over() || self.means.stop.is_stopping()
    }
}

/// A file; `None` if there can be none of so many bytes.
pub(super) fn of_file(id: FileId, size: u64) -> Option<Of> {
    let layout = Arc::new(Layout::new(vec![Geometry::of(size)?])?);
    Some(Of { id, view: View::Bytes, size, ids: [id].into(), layout })
}
