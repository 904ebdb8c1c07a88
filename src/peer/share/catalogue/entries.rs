//! What lies in a shared folder, by path. Pure.

use std::collections::BTreeMap;
use std::ops::Bound;
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

/// The keys below `folder`, which is not one of them.
pub(super) fn range_below<'a, V>(
    map: &'a BTreeMap<Arc<str>, V>,
    folder: &str,
) -> impl Iterator<Item = (&'a Arc<str>, &'a V)> {
    let (from, to) = if folder.is_empty() {
        (Bound::Excluded(String::new()), Bound::Unbounded)
    } else {
        // `0` follows `/` in byte order.
        (Bound::Included(format!("{folder}/")), Bound::Excluded(format!("{folder}0")))
    };
    map.range::<str, _>((from.as_ref().map(String::as_str), to.as_ref().map(String::as_str)))
}

/// `scope` if it is a key, and the keys below it. In order, because `scope` sorts before `scope/`.
pub(super) fn range_at<'a, V>(
    map: &'a BTreeMap<Arc<str>, V>,
    scope: &str,
) -> impl Iterator<Item = (&'a Arc<str>, &'a V)> {
    map.get_key_value(scope).into_iter().chain(range_below(map, scope))
}
