//! What lies in a shared folder, by path. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::record::{Record, Symlink};
use crate::content::{Looks, Reason};

/// Files, folders, links, and what is there and not shared; by their paths below the shared folder.
#[derive(Debug, Default)]
pub(super) struct Entries {
    pub(super) files: BTreeMap<Arc<str>, Record>,
    /// All folders below the root, and the root if it is a tree.
    pub(super) folders: BTreeMap<Arc<str>, Looks>,
    /// Symbolic links, with what is to be written in them. What they lead to is in `files` and `folders`
    /// under their paths as well.
    pub(super) links: BTreeMap<Arc<str>, Symlink>,
    /// What is there and not shared, by a path to show.
    pub(super) left_out: BTreeMap<Arc<str>, Reason>,
}

impl Entries {
    /// True if there is something to say of a path already.
    pub(super) fn knows(&self, path: &str) -> bool {
        path.is_empty()
            || self.files.contains_key(path)
            || self.folders.contains_key(path)
            || self.links.contains_key(path)
            || self.left_out.contains_key(path)
    }
}

/// Sets or removes a value. True if that changed anything.
pub(super) fn replace<V: PartialEq>(
    map: &mut BTreeMap<Arc<str>, V>,
    path: &Arc<str>,
    value: Option<V>,
) -> bool {
    match value {
        None => map.remove(path).is_some(),
        Some(value) if map.get(path) == Some(&value) => false,
        Some(value) => {
            map.insert(path.clone(), value);
            true
        }
    }
}
