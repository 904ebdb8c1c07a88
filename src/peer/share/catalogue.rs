//! What is shared: files and folders by path and by id, as offers to a tracker and as trees.
//!
//! Pure: no file, thread or clock. The invariant: every folder's tree is the one of the records
//! below it, and `by_id` names exactly the paths in `files` and `folders`. Listings are not kept;
//! [`Catalogue::tree`] makes them again.

mod compare;
mod listing;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use crate::content::{FileId, Geometry, Looks, Reason, Tree, TreeKind};
use crate::peer::got::Got;
use crate::wire::{Name, Offer};

use super::record::{Record, Symlink, join, parent};
pub(super) use compare::{Differences, Scan};
use listing::TreeRecord;

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
pub(super) struct Delta {
    pub(super) gone: Vec<Arc<str>>,
    pub(super) entered: Vec<(Arc<str>, Record)>,
    pub(super) folders_gone: Vec<Arc<str>>,
    /// Folders that are new or look otherwise now.
    pub(super) folders_new: Vec<(Arc<str>, Looks)>,
    /// Symbolic links that are new, say something else now, or went.
    pub(super) links: Vec<(Arc<str>, Option<Symlink>)>,
    /// What cannot be shared, or can again.
    pub(super) left_out: Vec<(Arc<str>, Option<Reason>)>,
}

/// A folder, and its tree unless that is above the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Folder {
    looks: Looks,
    tree: Option<TreeRecord>,
}

/// How a folder looks that was not looked at yet.
const UNSEEN: Looks = Looks { mode: 0o755, mtime_ns: 0 };

/// All that is shared.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    /// What stands before every path in its name; the root is a tree only if there is one.
    prefix: Option<String>,
    files: BTreeMap<Arc<str>, Record>,
    /// All folders below the root, and the root if it is a tree.
    folders: BTreeMap<Arc<str>, Folder>,
    /// Symbolic links, with what is to be written in them. What they lead to is in `files` and `folders`
    /// under their paths as well.
    links: BTreeMap<Arc<str>, Symlink>,
    /// What is there and not shared, by a path to show.
    left_out: BTreeMap<Arc<str>, Reason>,
    /// The paths of each id; a folder's path ends with `/`.
    by_id: BTreeSet<(FileId, Arc<str>)>,
    bytes: u64,
    /// What was fetched into folders, by the folder's path.
    got: BTreeMap<Arc<str>, Got>,
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

    /// The paths of files that have one of these inodes.
    pub(super) fn names_of(&self, inodes: &HashSet<u64>) -> Vec<Arc<str>> {
        let is_one = |record: &Record| inodes.contains(&record.stamp.inode);
        self.files.iter().filter(|(_, record)| is_one(record)).map(|(path, _)| path.clone()).collect()
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

    /// What was fetched into a folder, or nothing. To be told before what is in it is entered.
    pub(super) fn set_got(&mut self, folder: &str, got: Got) {
        match got.is_empty() {
            true => self.got.remove(folder),
            false => self.got.insert(Arc::from(folder), got),
        };
    }

    /// True if the folder is known.
    pub(super) fn has_folder(&self, path: &str) -> bool {
        self.folders.contains_key(path)
    }

    /// What was fetched into a folder or one above it, each with what is below it of `path`.
    fn got_above<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'a Got, &'a str)> {
        let folders = std::iter::successors(Some(path), |path| (!path.is_empty()).then(|| parent(path)));
        let none = self.got.is_empty();
        let at = move |folder: &'a str| {
            let rest = path[folder.len()..].strip_prefix('/').unwrap_or(&path[folder.len()..]);
            Some((self.got.get(folder)?, rest))
        };
        folders.take_while(move |_| !none).filter_map(at)
    }

    /// True if a file is what was fetched there.
    fn is_copy(&self, path: &str, id: FileId) -> bool {
        self.got_above(path).any(|(got, rest)| got.owns(rest, id))
    }

    /// True if a folder is what was fetched there as a whole, or a part of that.
    fn is_copied_tree(&self, folder: &str, tree: &Tree) -> bool {
        self.got_above(folder).any(|(got, within)| {
            let files = tree.entries().iter().filter_map(|entry| match &entry.kind {
                TreeKind::File { .. } | TreeKind::HardLink(_) => {
                    let (_, record) = self.member(folder, &entry.path)?;
                    Some((join(within, entry.path.as_str()), record.id))
                }
                TreeKind::Folder(_) | TreeKind::Link(_) => None,
            });
            got.is_whole(within, files)
        })
    }

    /// Everything, files first.
    pub(super) fn offers(&self) -> Vec<Offer> {
        let files = self.files.iter().filter_map(|(path, record)| self.file_offer(path, record));
        let trees =
            self.folders.iter().filter_map(|(path, folder)| Some(self.tree_offer(path, folder.tree?)));
        files.chain(trees).collect()
    }

    /// The offers of one content.
    pub(super) fn offers_of(&self, id: FileId) -> Vec<Offer> {
        let offer = |path: &str| match path.strip_suffix('/') {
            Some(folder) => Some(self.tree_offer(folder, self.folders.get(folder)?.tree?)),
            None => self.file_offer(path, self.files.get(path)?),
        };
        self.paths_of(id).filter_map(offer).collect()
    }

    /// What is there and cannot be shared, with why.
    pub(super) fn left_out(&self) -> &BTreeMap<Arc<str>, Reason> {
        &self.left_out
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
        for (path, looks) in delta.folders_new {
            self.enter_folders(&path, &mut stale);
            self.renew_looks(&path, looks, &mut stale);
        }
        for (path, target) in delta.links {
            if replace(&mut self.links, &path, target) {
                mark_folders_of(&path, &mut stale);
            }
        }
        for (path, reason) in delta.left_out {
            if replace(&mut self.left_out, &path, reason) {
                mark_folders_of(&path, &mut stale);
            }
        }
        for (path, record) in delta.entered {
            self.enter_folders(parent(&path), &mut stale);
            mark_folders_of(&path, &mut stale);
            self.left_out.remove(&path);
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
        let Some(folder) = self.folders.remove(path) else { return };
        self.forget_tree(path, folder.tree, change);
    }

    /// Enters a folder and those above it, as far as they are not there yet.
    fn enter_folders(&mut self, path: &str, stale: &mut BTreeSet<Arc<str>>) {
        let mut path = path;
        while !self.folders.contains_key(path) && (!path.is_empty() || self.prefix.is_some()) {
            self.folders.insert(Arc::from(path), Folder { looks: UNSEEN, tree: None });
            stale.insert(Arc::from(path));
            mark_folders_of(path, stale);
            path = parent(path);
        }
    }

    fn renew_looks(&mut self, path: &Arc<str>, looks: Looks, stale: &mut BTreeSet<Arc<str>>) {
        let Some(folder) = self.folders.get_mut(path) else { return };
        if folder.looks != looks {
            folder.looks = looks;
            stale.insert(path.clone());
            mark_folders_of(path, stale);
        }
    }

    fn renew_tree(&mut self, path: &Arc<str>, change: &mut Change) {
        let Some(Folder { tree: old, looks }) = self.folders.get(path).copied() else { return };
        let new = self.tree(path).and_then(|tree| {
            let copy = self.is_copied_tree(path, &tree);
            Some(TreeRecord { copy, ..listing::measure(path, &tree)? })
        });
        if new == old && new.is_some() {
            return;
        }
        self.forget_tree(path, old, change);
        if let Some(tree) = new {
            self.by_id.insert((tree.id, Arc::from(format!("{path}/"))));
            change.added.push(self.tree_offer(path, tree));
        }
        self.folders.insert(path.clone(), Folder { looks, tree: new });
    }

    fn forget_tree(&mut self, path: &str, tree: Option<TreeRecord>, change: &mut Change) {
        if let Some(tree) = tree {
            self.by_id.remove(&(tree.id, Arc::from(format!("{path}/"))));
            change.removed.push((self.name(path, "/"), tree.id));
        }
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
            original: !self.is_copy(path, record.id),
            modified: seconds(record.stamp.mtime_ns),
        })
    }

    fn tree_offer(&self, path: &str, tree: TreeRecord) -> Offer {
        let TreeRecord { id, size, total, chunks, modified, copy } = tree;
        let name = self.name(path, "/");
        Offer { name, id, size, total, chunks, complete: true, original: !copy, modified }
    }
}

/// A time in seconds since 1970; 0 for one before.
fn seconds(time_ns: i64) -> u64 {
    u64::try_from(time_ns / 1_000_000_000).unwrap_or_default()
}

/// Sets or removes a value. True if that changed anything.
fn replace<V: PartialEq>(map: &mut BTreeMap<Arc<str>, V>, path: &Arc<str>, value: Option<V>) -> bool {
    match value {
        None => map.remove(path).is_some(),
        Some(value) if map.get(path) == Some(&value) => false,
        Some(value) => {
            map.insert(path.clone(), value);
            true
        }
    }
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
