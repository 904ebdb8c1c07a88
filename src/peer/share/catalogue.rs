//! What is shared: files and folders by path and by id, as offers to a tracker and as trees.
//!
//! Pure: no file, thread or clock. The invariant: every folder's tree is the one of the records
//! below it, and `by_id` names exactly the paths in `files` and `folders`. Listings are not kept;
//! [`Catalogue::tree`] makes them again.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use crate::content::{FileId, Geometry, SafeName, Tree, TreeEntry, TreeKind};
use crate::wire::{Name, Offer, limits};

use super::record::{Found, Record, join, parent};

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

/// What a walk found at and below one path, each list in order of path.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Where the walk began; empty for everything.
    pub(super) scope: Arc<str>,
    pub(super) files: Vec<(Arc<str>, Found)>,
    pub(super) folders: Vec<Arc<str>>,
}

/// A step from one catalogue to the next.
#[derive(Debug, Default)]
pub(super) struct Delta {
    pub(super) gone: Vec<Arc<str>>,
    pub(super) entered: Vec<(Arc<str>, Record)>,
    pub(super) folders_gone: Vec<Arc<str>>,
    pub(super) folders_new: Vec<Arc<str>>,
}

/// How a walk differs from the catalogue.
#[derive(Debug, Default)]
pub(super) struct Differences {
    /// Files that are not there any more, or hold something else now, with what they were.
    pub(super) gone: Vec<(Arc<str>, Record)>,
    /// Files that are new or hold something else now.
    pub(super) unknown: Vec<(Arc<str>, Found)>,
    /// Files that may be what they were, which only their bytes tell.
    pub(super) doubted: Vec<(Arc<str>, Found)>,
    /// Files of which only the mode changed.
    pub(super) touched: Vec<(Arc<str>, Record)>,
    pub(super) folders_gone: Vec<Arc<str>>,
    pub(super) folders_new: Vec<Arc<str>>,
}

/// A folder's tree without its listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TreeRecord {
    id: FileId,
    size: u64,
    total: u64,
    chunks: u32,
    /// The newest time in it, in seconds since 1970.
    modified: u64,
}

/// All that is shared.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    /// What stands before every path in its name; the root is a tree only if there is one.
    prefix: Option<String>,
    files: BTreeMap<Arc<str>, Record>,
    /// All folders below the root, and the root if it is a tree; `None` for trees above the limits.
    folders: BTreeMap<Arc<str>, Option<TreeRecord>>,
    /// The paths of each id; a folder's path ends with `/`.
    by_id: BTreeSet<(FileId, Arc<str>)>,
    bytes: u64,
}

impl Catalogue {
    /// An empty one. `prefix` ends with `/`.
    pub(super) fn new(prefix: Option<String>) -> Catalogue {
        Catalogue { prefix, ..Catalogue::default() }
    }

    pub(super) fn summary(&self) -> Summary {
        Summary { files: self.files.len() as u64, bytes: self.bytes }
    }

    pub(super) fn file(&self, path: &str) -> Option<&Record> {
        self.files.get(path)
    }

    /// True if some file has this content.
    pub(super) fn has_file(&self, id: FileId) -> bool {
        self.files_of(id).next().is_some()
    }

    /// How many contents have more than one chunk.
    pub(super) fn hashed_contents(&self) -> u64 {
        let mut last = None;
        let chunks = |record: &Record| Geometry::of(record.stamp.size).map_or(0, Geometry::chunks);
        let records = self.by_id.iter().filter_map(|(_, path)| self.files.get(path));
        records.filter(|record| chunks(record) > 1 && last.replace(record.id) != Some(record.id)).count()
            as u64
    }

    /// The files with this content, in order of path.
    pub(super) fn files_of(&self, id: FileId) -> impl Iterator<Item = (&Arc<str>, &Record)> {
        self.paths_of(id).filter_map(|path| self.files.get_key_value(path))
    }

    /// A folder whose listing has this id.
    pub(super) fn folder_of(&self, id: FileId) -> Option<&str> {
        self.paths_of(id).find_map(|path| path.strip_suffix('/'))
    }

    fn paths_of(&self, id: FileId) -> impl Iterator<Item = &str> {
        let from = (id, Arc::from(""));
        self.by_id.range(from..).take_while(move |(at, _)| *at == id).map(|(_, path)| &**path)
    }

    /// Everything, files first.
    pub(super) fn offers(&self) -> Vec<Offer> {
        let files = self.files.iter().filter_map(|(path, record)| self.file_offer(path, record));
        let trees = self.folders.iter().filter_map(|(path, tree)| Some(self.tree_offer(path, (*tree)?)));
        files.chain(trees).collect()
    }

    /// The offers of one content.
    pub(super) fn offers_of(&self, id: FileId) -> Vec<Offer> {
        let offer = |path: &str| match path.strip_suffix('/') {
            Some(folder) => Some(self.tree_offer(folder, (*self.folders.get(folder)?)?)),
            None => self.file_offer(path, self.files.get(path)?),
        };
        self.paths_of(id).filter_map(offer).collect()
    }

    /// What `scan` saw that is not in the catalogue, and the reverse, within its scope.
    pub(super) fn compare(&self, scan: &Scan) -> Differences {
        let mut out = Differences::default();
        let mut found = scan.files.iter().peekable();
        for (path, record) in range_at(&self.files, &scan.scope) {
            while let Some(new) = found.next_if(|(at, _)| at < path) {
                out.unknown.push(new.clone());
            }
            match found.next_if(|(at, _)| at == path) {
                None => out.gone.push((path.clone(), *record)),
                Some((_, now)) if now.stamp != record.stamp && now.stamp.may_be(&record.stamp) => {
                    out.doubted.push((path.clone(), *now));
                }
                Some((_, now)) if now.stamp != record.stamp => {
                    out.gone.push((path.clone(), *record));
                    out.unknown.push((path.clone(), *now));
                }
                Some((_, now)) if now.executable != record.executable => {
                    out.touched.push((path.clone(), now.with_id(record.id)));
                }
                Some(_) => {}
            }
        }
        out.unknown.extend(found.cloned());
        let known: BTreeSet<&Arc<str>> = range_at(&self.folders, &scan.scope).map(|(path, _)| path).collect();
        let seen: BTreeSet<&Arc<str>> = scan.folders.iter().collect();
        out.folders_gone = known.difference(&seen).map(|path| Arc::clone(path)).collect();
        out.folders_new = seen.difference(&known).map(|path| Arc::clone(path)).collect();
        out
    }

    /// Takes the step, and says what it means for trackers.
    pub(super) fn apply(&mut self, delta: Delta) -> Change {
        let mut change = Change::default();
        let mut stale = BTreeSet::new();
        for path in delta.gone {
            self.remove_file(&path, &mut change);
            mark_folders_of(&path, &mut stale);
        }
        for path in delta.folders_gone {
            self.remove_folder(&path, &mut change);
            mark_folders_of(&path, &mut stale);
        }
        for path in delta.folders_new {
            self.enter_folders(&path, &mut stale);
        }
        for (path, record) in delta.entered {
            self.enter_folders(parent(&path), &mut stale);
            mark_folders_of(&path, &mut stale);
            self.enter_file(path, record, &mut change);
        }
        for folder in &stale {
            self.renew_tree(folder, &mut change);
        }
        change
    }

    fn remove_file(&mut self, path: &Arc<str>, change: &mut Change) {
        let Some(record) = self.files.remove(path) else { return };
        self.bytes -= record.stamp.size;
        self.by_id.remove(&(record.id, path.clone()));
        change.removed.push((self.name(path, ""), record.id));
    }

    fn enter_file(&mut self, path: Arc<str>, record: Record, change: &mut Change) {
        let old = self.files.insert(path.clone(), record);
        self.bytes = self.bytes + record.stamp.size - old.map_or(0, |old| old.stamp.size);
        if let Some(old) = old {
            if old.id == record.id {
                return;
            }
            self.by_id.remove(&(old.id, path.clone()));
            change.removed.push((self.name(&path, ""), old.id));
        }
        change.added.extend(self.file_offer(&path, &record));
        self.by_id.insert((record.id, path));
    }

    fn remove_folder(&mut self, path: &Arc<str>, change: &mut Change) {
        let Some(tree) = self.folders.remove(path) else { return };
        self.forget_tree(path, tree, change);
    }

    /// Enters a folder and those above it, as far as they are not there yet.
    fn enter_folders(&mut self, path: &str, stale: &mut BTreeSet<Arc<str>>) {
        let mut path = path;
        while !self.folders.contains_key(path) && (!path.is_empty() || self.prefix.is_some()) {
            self.folders.insert(Arc::from(path), None);
            stale.insert(Arc::from(path));
            mark_folders_of(path, stale);
            path = parent(path);
        }
    }

    fn renew_tree(&mut self, path: &Arc<str>, change: &mut Change) {
        let Some(old) = self.folders.get(path).copied() else { return };
        let new = self.tree(path).and_then(|tree| measure(path, &tree));
        if new == old && new.is_some() {
            return;
        }
        self.forget_tree(path, old, change);
        if let Some(tree) = new {
            self.by_id.insert((tree.id, Arc::from(format!("{path}/"))));
            change.added.push(self.tree_offer(path, tree));
        }
        self.folders.insert(path.clone(), new);
    }

    fn forget_tree(&mut self, path: &str, tree: Option<TreeRecord>, change: &mut Change) {
        if let Some(tree) = tree {
            self.by_id.remove(&(tree.id, Arc::from(format!("{path}/"))));
            change.removed.push((self.name(path, "/"), tree.id));
        }
    }

    /// The tree of a folder. `None` if there are paths that no listing can have, which the walk skips.
    pub(super) fn tree(&self, folder: &str) -> Option<Tree> {
        let cut = if folder.is_empty() { 0 } else { folder.len() + 1 };
        let entry = |path: &str, kind, mtime_ns, size, id| {
            Some(TreeEntry { path: SafeName::new(&path[cut..]).ok()?, kind, mtime_ns, size, id })
        };
        let files = range_below(&self.files, folder).filter_map(|(path, record)| {
            let kind = if record.executable { TreeKind::Executable } else { TreeKind::File };
            entry(path, kind, record.stamp.mtime_ns, record.stamp.size, record.id)
        });
        let nothing = FileId::of(b"");
        let empty = range_below(&self.folders, folder)
            .filter(|(path, _)| self.is_empty_folder(path))
            .filter_map(|(path, _)| entry(path, TreeKind::EmptyFolder, 0, 0, nothing));
        Tree::new(files.chain(empty).collect()).ok()
    }

    fn is_empty_folder(&self, path: &str) -> bool {
        range_below(&self.files, path).next().is_none() && range_below(&self.folders, path).next().is_none()
    }

    /// For each entry of a folder's tree that is a file, its path and record.
    pub(super) fn member(&self, folder: &str, path: &SafeName) -> Option<(&Arc<str>, &Record)> {
        self.files.get_key_value(join(folder, path.as_str()).as_str())
    }

    fn name(&self, path: &str, end: &str) -> Name {
        let prefix = self.prefix.as_deref().unwrap_or("");
        match path.is_empty() {
            true => Name::new(prefix), // the root's name is the prefix, which ends with `/` already
            false => Name::new([prefix, path, end].concat()),
        }
    }

    fn file_offer(&self, path: &str, record: &Record) -> Option<Offer> {
        let size = record.stamp.size;
        let chunks = Geometry::of(size)?.chunks();
        Some(Offer {
            name: self.name(path, ""),
            id: record.id,
            size,
            total: size,
            chunks,
            complete: true,
            original: true,
            modified: seconds(record.stamp.mtime_ns),
        })
    }

    fn tree_offer(&self, path: &str, tree: TreeRecord) -> Offer {
        let TreeRecord { id, size, total, chunks, modified } = tree;
        let name = self.name(path, "/");
        Offer { name, id, size, total, chunks, complete: true, original: true, modified }
    }
}

/// A time in seconds since 1970; 0 for one before.
fn seconds(time_ns: i64) -> u64 {
    u64::try_from(time_ns / 1_000_000_000).unwrap_or_default()
}

/// What an offer says of a tree; `None` above the limits.
fn measure(path: &str, tree: &Tree) -> Option<TreeRecord> {
    let chunks = tree.layout().ok()?.layout.chunks();
    let bytes = tree.encode();
    let size = bytes.len() as u64;
    if size > Tree::MAX_BYTES || chunks > limits::MAX_CHUNKS {
        tracing::warn!(folder = path, "too large to be fetched as a whole; its files can be fetched singly");
        return None;
    }
    let modified = tree.entries().iter().map(|entry| seconds(entry.mtime_ns)).max().unwrap_or_default();
    Some(TreeRecord { id: FileId::of(&bytes), size, total: tree.total(), chunks, modified })
}

/// Marks every folder above `path`, the root last.
fn mark_folders_of(path: &str, stale: &mut BTreeSet<Arc<str>>) {
    let mut path = path;
    while !path.is_empty() {
        path = parent(path);
        if stale.contains(path) {
            return; // those above were marked with it
        }
        stale.insert(Arc::from(path));
    }
}

/// The keys below `folder`, which is not one of them.
fn range_below<'a, V>(
    map: &'a BTreeMap<Arc<str>, V>,
    folder: &str,
) -> impl Iterator<Item = (&'a Arc<str>, &'a V)> {
    let (from, to) = match folder.is_empty() {
        true => (Bound::Excluded(String::new()), Bound::Unbounded),
        // `0` follows `/` in byte order.
        false => (Bound::Included(format!("{folder}/")), Bound::Excluded(format!("{folder}0"))),
    };
    map.range::<str, _>((from.as_ref().map(String::as_str), to.as_ref().map(String::as_str)))
}

/// `scope` if it is a key, and the keys below it. In order, because `scope` sorts before `scope/`.
fn range_at<'a, V>(
    map: &'a BTreeMap<Arc<str>, V>,
    scope: &str,
) -> impl Iterator<Item = (&'a Arc<str>, &'a V)> {
    map.get_key_value(scope).into_iter().chain(range_below(map, scope))
}

#[cfg(test)]
mod tests;
