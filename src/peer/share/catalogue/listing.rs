//! The tree of a folder. Made from what lay below it at one moment, so that nobody need wait while it is made. Pure.
//!
//! A symbolic link is listed as one where what is written in it stays inside the tree; in the tree of a
//! folder that it leads out of, what it leads to is listed in its place, so that the folder is whole on its
//! own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::content::{
    FileId, LeftOut, Looks, Missing, Reason, SafeName, Tree, TreeEntry, TreeKind, leads_inside, way_to,
};
use crate::peer::got::Got;
use crate::wire::limits;

use super::super::record::{Record, Symlink, is_below_one, join, parent, range_below};
use super::entries::Entries;

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

/// What came of making a folder's tree.
#[derive(Debug)]
pub(in crate::peer::share) struct Measured {
    pub(super) folder: Arc<str>,
    /// The last step that was seen in it.
    pub(super) at: Option<u64>,
    pub(super) tree: Option<TreeRecord>,
}

/// What lay below a folder at one moment, each list in order of path.
#[derive(Debug)]
pub(in crate::peer::share) struct Below {
    /// The folder's path; all other paths begin with it.
    folder: Arc<str>,
    /// If something in it changed since its tree was told of, the step that did so last.
    stale: Option<u64>,
    mode: u16,
    files: Vec<(Arc<str>, Record)>,
    folders: Vec<(Arc<str>, Looks)>,
    links: Vec<(Arc<str>, Symlink)>,
    left_out: Vec<(Arc<str>, Reason)>,
    /// What was fetched into the folder or one above it, each with what is below that of the folder's path.
    got: Vec<(Arc<Got>, String)>,
}

impl Below {
    /// Takes down what lies below a folder, if there is such a folder.
    pub(super) fn new(
        entries: &Entries,
        got: &BTreeMap<Arc<str>, Arc<Got>>,
        folder: &str,
        stale: Option<u64>,
    ) -> Option<Below> {
        let (path, looks) = entries.folders.get_key_value(folder)?;
        Some(Below {
            folder: path.clone(),
            stale,
            mode: looks.mode,
            files: owned(&entries.files, folder),
            folders: owned(&entries.folders, folder),
            links: owned(&entries.links, folder),
            left_out: owned(&entries.left_out, folder),
            got: got_above(got, folder).map(|(got, within)| (got.clone(), within.to_owned())).collect(),
        })
    }

    /// The tree. `None` if there are paths that no listing can have, which the walk skips.
    pub(in crate::peer::share) fn tree(&self) -> Option<Tree> {
        // Those that stay links in it: what they lead to is not listed again at or below their paths.
        let mut links = BTreeSet::new();
        let mut left_out = Vec::new();
        let mut entries = Vec::new();
        for (path, link) in &self.links {
            if is_below_one(&links, path) {
                continue;
            }
            if let Some(text) = text_within(link, &self.folder, self.within(path)) {
                links.insert(&**path);
                entries.extend(self.entry(path, TreeKind::Link(text.into())));
            } else if !has(&self.files, path) && !has(&self.folders, path) {
                left_out.push(self.missing(path, Reason::Outside));
            }
        }
        self.list_files(&links, &mut entries)?;
        let folders = self.folders.iter().filter(|(path, _)| !is_below_one(&links, path));
        entries.extend(folders.filter_map(|(path, looks)| self.entry(path, TreeKind::Folder(*looks))));
        let missing = self.left_out.iter().filter(|(path, _)| !is_below_one(&links, path));
        left_out.extend(missing.map(|(path, reason)| self.missing(path, *reason)));
        Tree::new(self.mode, entries, LeftOut::new(left_out)).ok()
    }

    fn list_files(&self, links: &BTreeSet<&str>, entries: &mut Vec<TreeEntry>) -> Option<()> {
        // The first name of each file that has several.
        let mut names: HashMap<(u64, u64, FileId), SafeName> = HashMap::new();
        for (path, record) in self.files.iter().filter(|(path, _)| !is_below_one(links, path)) {
            let (looks, size, id) = (record.looks(), record.stamp.size, record.id);
            let mut new = self.entry(path, TreeKind::File { looks, size, id })?;
            if record.linked {
                match names.get(&(record.stamp.inode, size, id)) {
                    Some(first) => new.kind = TreeKind::HardLink(first.clone()),
                    None => drop(names.insert((record.stamp.inode, size, id), new.path.clone())),
                }
            }
            entries.push(new);
        }
        Some(())
    }

    /// For an entry of the tree that is a file, its path and record.
    pub(in crate::peer::share) fn member(&self, path: &SafeName) -> Option<&(Arc<str>, Record)> {
        let path = join(&self.folder, path.as_str());
        let at = self.files.binary_search_by(|(at, _)| (**at).cmp(&path)).ok()?;
        self.files.get(at)
    }

    /// True if the tree is not the one that was told of, as far as is known.
    pub(in crate::peer::share) fn is_stale(&self) -> bool {
        self.stale.is_some()
    }

    /// The tree, made and measured.
    pub(in crate::peer::share) fn measure(&self) -> Measured {
        Measured { folder: self.folder.clone(), at: self.stale, tree: self.tree_record() }
    }

    /// What an offer says of the tree; `None` above the limits, or if there is no tree.
    fn tree_record(&self) -> Option<TreeRecord> {
        let tree = self.tree()?;
        let layout = tree.layout().ok()?.layout;
        let (chunks, total) = (layout.chunks(), layout.size());
        let bytes = tree.encode();
        let size = bytes.len() as u64;
        if size > Tree::MAX_BYTES || chunks > limits::MAX_CHUNKS {
            let folder = &*self.folder;
            tracing::warn!(folder, "too large to be fetched as a whole; its files can be fetched singly");
            return None;
        }
        let times = tree.entries().iter().map(|entry| match entry.kind {
            TreeKind::File { looks, .. } => seconds(looks.mtime_ns),
            _ => 0,
        });
        let modified = times.max().unwrap_or_default();
        let copy = self.is_copy(&tree);
        Some(TreeRecord { id: FileId::of(&bytes), size, total, chunks, modified, copy })
    }

    /// True if the folder is what was fetched there as a whole, or a part of that.
    fn is_copy(&self, tree: &Tree) -> bool {
        self.got.iter().any(|(got, within)| {
            let files = tree.entries().iter().filter_map(|entry| match &entry.kind {
                TreeKind::File { .. } | TreeKind::HardLink(_) => {
                    let (_, record) = self.member(&entry.path)?;
                    Some((join(within, entry.path.as_str()), record.id))
                }
                TreeKind::Folder(_) | TreeKind::Link(_) => None,
            });
            got.is_whole(within, files)
        })
    }

    fn entry(&self, path: &str, kind: TreeKind) -> Option<TreeEntry> {
        Some(TreeEntry { path: SafeName::new(self.within(path)).ok()?, kind })
    }

    fn missing(&self, path: &str, reason: Reason) -> Missing {
        Missing { path: self.within(path).to_owned(), reason }
    }

    /// A path as it stands in the tree.
    fn within<'a>(&self, path: &'a str) -> &'a str {
        if self.folder.is_empty() { path } else { &path[self.folder.len() + 1..] }
    }
}

fn owned<V: Clone>(map: &BTreeMap<Arc<str>, V>, folder: &str) -> Vec<(Arc<str>, V)> {
    range_below(map, folder).map(|(path, value)| (path.clone(), value.clone())).collect()
}

fn has<V>(list: &[(Arc<str>, V)], path: &str) -> bool {
    list.binary_search_by(|(at, _)| (**at).cmp(path)).is_ok()
}

/// What was fetched into a folder or one above it, each with what is below it of `path`.
pub(super) fn got_above<'a>(
    got: &'a BTreeMap<Arc<str>, Arc<Got>>,
    path: &'a str,
) -> impl Iterator<Item = (&'a Arc<Got>, &'a str)> {
    let folders = std::iter::successors(Some(path), |path| (!path.is_empty()).then(|| parent(path)));
    let at = move |folder: &'a str| {
        let rest = path[folder.len()..].strip_prefix('/').unwrap_or(&path[folder.len()..]);
        Some((got.get(folder)?, rest))
    };
    folders.take_while(move |_| !got.is_empty()).filter_map(at)
}

/// A time in seconds since 1970; 0 for one before.
pub(super) fn seconds(time_ns: i64) -> u64 {
    u64::try_from(time_ns / 1_000_000_000).unwrap_or_default()
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
