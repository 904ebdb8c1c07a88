//! The trees of a catalogue's folders.
//!
//! A symbolic link is listed as one where what is written in it stays inside the tree; in the tree of a
//! folder that it leads out of, what it leads to is listed in its place, so that the folder is whole on its
//! own.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::content::{
    FileId, LeftOut, Missing, Reason, SafeName, Tree, TreeEntry, TreeKind, leads_inside, way_to,
};
use crate::wire::limits;

use super::super::record::{Record, Symlink, join, parent};
use super::{Catalogue, range_below, seconds};

/// A folder's tree without its listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TreeRecord {
    pub(super) id: FileId,
    pub(super) size: u64,
    pub(super) total: u64,
    pub(super) chunks: u32,
    /// The newest time in it, in seconds since 1970.
    pub(super) modified: u64,
    /// It was fetched, and nothing in it was changed.
    pub(super) copy: bool,
}

/// The links of a folder's tree: those that stay links in it.
struct Links<'a>(BTreeSet<&'a str>);

impl Links<'_> {
    /// True if a link leads to what is seen at `path`, or above it.
    fn cover(&self, path: &str) -> bool {
        let mut at = path;
        while !self.0.is_empty() && !at.is_empty() {
            if self.0.contains(at) {
                return true;
            }
            at = parent(at);
        }
        false
    }
}

impl Catalogue {
    /// The tree of a folder. `None` if there are paths that no listing can have, which the walk skips.
    pub(in crate::peer::share) fn tree(&self, folder: &str) -> Option<Tree> {
        let cut = if folder.is_empty() { 0 } else { folder.len() + 1 };
        let entry = |path: &str, kind| Some(TreeEntry { path: SafeName::new(&path[cut..]).ok()?, kind });
        let mut links = Links(BTreeSet::new());
        let mut left_out = Vec::new();
        let mut entries = Vec::new();
        for (path, link) in range_below(&self.links, folder) {
            if links.cover(path) {
                continue;
            }
            if let Some(text) = text_within(link, folder, &path[cut..]) {
                links.0.insert(path);
                entries.extend(entry(path, TreeKind::Link(text.into())));
            } else if !self.files.contains_key(path) && !self.folders.contains_key(path) {
                left_out.push(Missing { path: path[cut..].to_owned(), reason: Reason::Outside });
            }
        }
        // The first name of each file that has several.
        let mut names: HashMap<(u64, u64, FileId), SafeName> = HashMap::new();
        for (path, record) in range_below(&self.files, folder).filter(|(path, _)| !links.cover(path)) {
            let (looks, size, id) = (record.looks(), record.stamp.size, record.id);
            let mut new = entry(path, TreeKind::File { looks, size, id })?;
            if record.linked {
                match names.get(&(record.stamp.inode, size, id)) {
                    Some(first) => new.kind = TreeKind::HardLink(first.clone()),
                    None => drop(names.insert((record.stamp.inode, size, id), new.path.clone())),
                }
            }
            entries.push(new);
        }
        let folders = range_below(&self.folders, folder).filter(|(path, _)| !links.cover(path));
        entries.extend(folders.filter_map(|(path, at)| entry(path, TreeKind::Folder(at.looks))));
        let missing = range_below(&self.left_out, folder).filter(|(path, _)| !links.cover(path));
        left_out
            .extend(missing.map(|(path, reason)| Missing { path: path[cut..].to_owned(), reason: *reason }));
        let mode = self.folders.get(folder)?.looks.mode;
        Tree::new(mode, entries, LeftOut::new(left_out)).ok()
    }

    /// For an entry of a folder's tree that is a file, its path and record.
    pub(in crate::peer::share) fn member(
        &self,
        folder: &str,
        path: &SafeName,
    ) -> Option<(&Arc<str>, &Record)> {
        self.files.get_key_value(join(folder, path.as_str()).as_str())
    }
}

/// What a link says in the tree of `folder`, if it stays inside.
fn text_within(link: &Symlink, folder: &str, path: &str) -> Option<String> {
    if leads_inside(path, &link.text) {
        return Some(link.text.to_string());
    }
    let target = if folder.is_empty() { &link.target } else { link.target.strip_prefix(folder)? };
    let inside = folder.is_empty() || target.is_empty() || target.starts_with('/');
    inside.then(|| way_to(path, target))
}

/// What an offer says of a tree; `None` above the limits.
pub(super) fn measure(path: &str, tree: &Tree) -> Option<TreeRecord> {
    let layout = tree.layout().ok()?.layout;
    let (chunks, total) = (layout.chunks(), layout.size());
    let bytes = tree.encode();
    let size = bytes.len() as u64;
    if size > Tree::MAX_BYTES || chunks > limits::MAX_CHUNKS {
        tracing::warn!(folder = path, "too large to be fetched as a whole; its files can be fetched singly");
        return None;
    }
    let times = tree.entries().iter().map(|entry| match entry.kind {
        TreeKind::File { looks, .. } => seconds(looks.mtime_ns),
        _ => 0,
    });
    let modified = times.max().unwrap_or_default();
    Some(TreeRecord { id: FileId::of(&bytes), size, total, chunks, modified, copy: false })
}
