//! A step of a catalogue, and what it means for trackers. Pure values.

use std::sync::Arc;

use super::super::record::{Record, Symlink};
use crate::content::{FileId, Looks, Reason};
use crate::wire::{Name, Offer};

/// What a peer tells its trackers after something changed in its folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// Contents offered from now on.
    pub added: Vec<Offer>,
    /// Contents no longer offered under these names; to be told before `added`.
    pub removed: Vec<(Name, FileId)>,
}

impl Change {
    /// True if there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

/// How much is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Files, each path counted.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A step from one catalogue to the next.
#[derive(Debug, Default)]
pub(in crate::peer::share) struct Delta {
    pub(in crate::peer::share) gone: Vec<Arc<str>>,
    pub(in crate::peer::share) entered: Vec<(Arc<str>, Record)>,
    pub(in crate::peer::share) folders_gone: Vec<Arc<str>>,
    /// Folders that are new or look otherwise now.
    pub(in crate::peer::share) folders_new: Vec<(Arc<str>, Looks)>,
    /// Symbolic links that are new, say something else now, or went.
    pub(in crate::peer::share) links: Vec<(Arc<str>, Option<Symlink>)>,
    /// What cannot be shared, or can again.
    pub(in crate::peer::share) left_out: Vec<(Arc<str>, Option<Reason>)>,
}
