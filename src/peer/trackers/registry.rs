//! What a peer registers at its trackers.

use crate::content::{Address, FileId, Run};
use crate::wire::{Offer, View};

/// A content, as a file or a tree, and the chunks of it that are here.
pub(in crate::peer) type Part = ((FileId, View), Vec<Run>);

/// What the peer registers, gathered when a link is made.
pub(in crate::peer) trait Registry: Send + Sync {
    /// Everything that is offered now.
    fn offers(&self) -> Vec<Offer>;
    /// For contents that are here in part: the chunks that are.
    fn parts(&self) -> Vec<Part>;
    /// Uploads and downloads of now.
    fn load(&self) -> (u16, u16);
    /// The port at the address that a tracker sees, 0 if it is not listened on, and where else others may dial.
    fn listens(&self) -> (u16, Vec<Address>);
}
