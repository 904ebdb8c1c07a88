//! What is shared: files and folders by path and by id, as offers to a tracker and as trees.
//!
//! Pure: no file, thread or clock. The invariant: `by_id` names exactly the paths in `files` and those of the trees
//! that were told of; and every folder's tree is the one of the records below it, or the folder is stale: something
//! below it changed since. Making a tree again takes long, so it is not done in the step that made it stale:
//! [`Catalogue::below`] gives what it is made of, and [`Catalogue::renew`] takes the outcome, unless the folder
//! changed again meanwhile. Listings are not kept; [`Below::tree`] makes them again.

mod change;
mod compare;
mod entries;
mod listing;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use crate::content::{FileId, Geometry, Looks, Reason};
use crate::peer::got::Got;
use crate::wire::{Name, Offer};

use super::record::{Record, parent, range_below};
use super::scan::Scan;
pub(super) use change::Delta;
pub use change::{Change, Summary};
pub(super) use compare::Differences;
use entries::{Entries, replace};
pub(super) use listing::{Below, Measured};
use listing::{TreeRecord, seconds};

/// How a folder looks that was not looked at yet.
const UNSEEN: Looks = Looks { mode: 0o755, mtime_ns: 0 };

/// All that is shared.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    /// What stands before every path in its name; the root is a tree only if there is one.
    prefix: Option<String>,
    there: Entries,
    /// The trees of folders, as they were told of; none for one above the limits.
    trees: BTreeMap<Arc<str>, TreeRecord>,
    /// Folders whose tree is to be made again, each with the step that changed something in it last.
    stale: BTreeMap<Arc<str>, u64>,
    /// Steps taken.
    steps: u64,
    /// The paths of each id; a folder's path ends with `/`.
    by_id: BTreeSet<(FileId, Arc<str>)>,
    bytes: u64,
    /// What was fetched into folders, by the folder's path.
    got: BTreeMap<Arc<str>, Arc<Got>>,
}

impl Catalogue {
    /// An empty one. `prefix` ends with `/`.
    pub(super) fn new(prefix: Option<String>) -> Catalogue {
        Catalogue { prefix, ..Catalogue::default() }
    }

    pub(super) fn summary(&self) -> Summary {
        Summary { files: self.there.files.len() as u64, bytes: self.bytes }
    }

    /// How many steps were taken: what was seen at the same number is still so.
    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    pub(super) fn file(&self, path: &str) -> Option<&Record> {
        self.there.files.get(path)
    }

    /// The paths of files that have one of these inodes.
    pub(super) fn names_of(&self, inodes: &HashSet<u64>) -> Vec<Arc<str>> {
        let is_one = |record: &Record| inodes.contains(&record.stamp.inode);
        self.there.files.iter().filter(|(_, record)| is_one(record)).map(|(path, _)| path.clone()).collect()
    }

    /// True if some file has this content.
    pub(super) fn has_file(&self, id: FileId) -> bool {
        self.files_of(id).next().is_some()
    }

    /// How many contents have more than one chunk.
    pub(super) fn hashed_contents(&self) -> u64 {
        let mut last = None;
        let chunks = |record: &Record| Geometry::of(record.stamp.size).map_or(0, Geometry::chunks);
        let records = self.by_id.iter().filter_map(|(_, path)| self.there.files.get(path));
        let is_another = |record: &&Record| chunks(record) > 1 && last.replace(record.id) != Some(record.id);
        records.filter(is_another).count() as u64
    }

    /// The files with this content, in order of path.
    pub(super) fn files_of(&self, id: FileId) -> impl Iterator<Item = (&Arc<str>, &Record)> {
        self.paths_of(id).filter_map(|path| self.there.files.get_key_value(path))
    }

    /// What lies below a folder that was told of under this id.
    pub(super) fn below_with(&self, id: FileId) -> Option<Below> {
        self.below(self.paths_of(id).find_map(|path| path.strip_suffix('/'))?)
    }

    fn paths_of(&self, id: FileId) -> impl Iterator<Item = &str> {
        let from = (id, Arc::from(""));
        self.by_id.range(from..).take_while(move |(at, _)| *at == id).map(|(_, path)| &**path)
    }

    /// What was fetched into a folder, or nothing. To be told before what is in it is entered.
    pub(super) fn set_got(&mut self, folder: &str, got: Got) {
        if got.is_empty() {
            self.got.remove(folder);
        } else {
            self.got.insert(Arc::from(folder), Arc::new(got));
        }
    }

    /// A file was fetched into a folder, alone.
    pub(super) fn add_got(&mut self, folder: &str, path: &str, id: FileId) {
        Arc::make_mut(self.got.entry(Arc::from(folder)).or_default()).put_alone(path, id);
    }

    /// True if the folder is known.
    pub(super) fn has_folder(&self, path: &str) -> bool {
        self.there.folders.contains_key(path)
    }

    /// True if a file is what was fetched there.
    fn is_copy(&self, path: &str, id: FileId) -> bool {
        listing::got_above(&self.got, path).any(|(got, rest)| got.owns(rest, id))
    }

    /// Everything that was told of, files first.
    pub(super) fn offers(&self) -> Vec<Offer> {
        let files = self.there.files.iter().filter_map(|(path, record)| self.file_offer(path, record));
        let trees = self.trees.iter().map(|(path, tree)| self.tree_offer(path, *tree));
        files.chain(trees).collect()
    }

    /// The offer of what lies at a path, if that is as it was told of.
    pub(super) fn offer_at(&self, path: &str) -> Option<Offer> {
        match self.there.files.get(path) {
            Some(record) => self.file_offer(path, record),
            None if self.stale.contains_key(path) => None,
            None => Some(self.tree_offer(path, *self.trees.get(path)?)),
        }
    }

    /// The offers of one content.
    pub(super) fn offers_of(&self, id: FileId) -> Vec<Offer> {
        let offer = |path: &str| match path.strip_suffix('/') {
            Some(folder) => Some(self.tree_offer(folder, *self.trees.get(folder)?)),
            None => self.file_offer(path, self.there.files.get(path)?),
        };
        self.paths_of(id).filter_map(offer).collect()
    }

    /// What is there and cannot be shared, with why.
    pub(super) fn left_out(&self) -> &BTreeMap<Arc<str>, Reason> {
        &self.there.left_out
    }

    /// What `scan` saw that is not in the catalogue, and the reverse, within its scope.
    pub(super) fn compare(&self, scan: &Scan) -> Differences {
        compare::compare(&self.there, scan)
    }

    /// Takes the step, and says what it means for trackers; all but what it means for trees.
    pub(super) fn apply(&mut self, delta: Delta) -> Change {
        let Delta { gone, entered, folders_gone, folders_new, links, left_out } = delta;
        self.steps += 1;
        let mut change = Change::default();
        for path in gone {
            self.remove_file(&path, &mut change);
            self.mark_above(&path);
        }
        for path in folders_gone {
            self.remove_folder(&path, &mut change);
            self.mark_above(&path);
        }
        for (path, looks) in folders_new {
            self.enter_folders(&path);
            self.renew_looks(&path, looks);
        }
        for (path, target) in links {
            if replace(&mut self.there.links, &path, target) {
                self.mark_above(&path);
            }
        }
        for (path, reason) in left_out {
            if replace(&mut self.there.left_out, &path, reason) {
                self.mark_above(&path);
            }
        }
        for (path, record) in entered {
            self.enter_folders(parent(&path));
            self.mark_above(&path);
            self.there.left_out.remove(&path);
            self.enter_file(path, record, &mut change);
        }
        change
    }

    /// True if all trees are as they were told of.
    pub(super) fn is_fresh(&self) -> bool {
        self.stale.is_empty()
    }

    /// The folders whose trees are to be made again.
    pub(super) fn stale(&self) -> Vec<Arc<str>> {
        self.stale.keys().cloned().collect()
    }

    /// True of a folder that nobody has heard of, and that has files which are still to be hashed.
    pub(super) fn is_coming(&self, folder: &str) -> bool {
        let mut left_out = range_below(&self.there.left_out, folder);
        !self.trees.contains_key(folder) && left_out.any(|(_, reason)| *reason == Reason::Changing)
    }

    /// What lies below a folder now.
    pub(super) fn below(&self, folder: &str) -> Option<Below> {
        Below::new(&self.there, &self.got, folder, self.stale.get(folder).copied())
    }

    /// Enters trees that were made again, and says what that means for trackers. One of a folder that has changed
    /// since it was looked at is not entered: it stays stale.
    pub(super) fn renew(&mut self, measured: Vec<Measured>) -> Change {
        let mut change = Change::default();
        for Measured { folder, at, tree: new } in measured {
            if at.is_none() || self.stale.get(&folder).copied() != at {
                continue;
            }
            self.stale.remove(&folder);
            let old = self.trees.get(&folder).copied();
            if new == old {
                continue;
            }
            self.forget_tree(&folder, &mut change);
            if let Some(tree) = new {
                self.by_id.insert((tree.id, Arc::from(format!("{folder}/"))));
                change.added.push(self.tree_offer(&folder, tree));
                self.trees.insert(folder, tree);
            }
        }
        change
    }

    /// Makes all trees again that are stale, here and now.
    pub(super) fn renew_all(&mut self) -> Change {
        let below = |folder: Arc<str>| self.below(&folder);
        let measured = self.stale().into_iter().filter_map(below).map(|below| below.measure()).collect();
        self.renew(measured)
    }

    /// Marks a folder whose tree is to be made again.
    fn mark(&mut self, folder: &str) {
        if self.there.folders.contains_key(folder) {
            self.stale.insert(Arc::from(folder), self.steps);
        }
    }

    /// Marks every folder above `path`, the root last.
    fn mark_above(&mut self, path: &str) {
        let mut path = path;
        while !path.is_empty() {
            path = parent(path);
            if self.stale.get(path) == Some(&self.steps) {
                return; // those above were marked with it
            }
            self.mark(path);
        }
    }

    fn remove_file(&mut self, path: &Arc<str>, change: &mut Change) {
        let Some(record) = self.there.files.remove(path) else { return };
        self.bytes -= record.stamp.size;
        self.by_id.remove(&(record.id, path.clone()));
        change.removed.push((self.name(path, ""), record.id));
    }

    fn enter_file(&mut self, path: Arc<str>, record: Record, change: &mut Change) {
        let old = self.there.files.insert(path.clone(), record);
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
        if self.there.folders.remove(path).is_some() {
            self.stale.remove(path);
            self.forget_tree(path, change);
        }
    }

    /// Enters a folder and those above it, as far as they are not there yet.
    fn enter_folders(&mut self, path: &str) {
        let mut at = path;
        while !self.has_folder(at) && (!at.is_empty() || self.prefix.is_some()) {
            self.there.folders.insert(Arc::from(at), UNSEEN);
            self.mark(at);
            self.mark_above(at);
            at = parent(at);
        }
    }

    fn renew_looks(&mut self, path: &Arc<str>, looks: Looks) {
        let Some(known) = self.there.folders.get_mut(path) else { return };
        if *known != looks {
            *known = looks;
            self.mark(path);
            self.mark_above(path);
        }
    }

    fn forget_tree(&mut self, path: &Arc<str>, change: &mut Change) {
        if let Some(tree) = self.trees.remove(path) {
            self.by_id.remove(&(tree.id, Arc::from(format!("{path}/"))));
            change.removed.push((self.name(path, "/"), tree.id));
        }
    }

    fn name(&self, path: &str, end: &str) -> Name {
        let prefix = self.prefix.as_deref().unwrap_or("");
        if path.is_empty() {
            Name::new(prefix) // the root's name is the prefix, which ends with `/` already
        } else {
            Name::new([prefix, path, end].concat())
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

#[cfg(test)]
mod tests;
