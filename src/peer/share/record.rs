//! What is remembered of one file: how it looks from outside, and what is in it. Pure values; and paths below
//! the shared folder.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::ops::Bound;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::content::{FileId, Looks};
use crate::peer::stamp::Stamp;

/// A regular file as the walk found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) stamp: Stamp,
    /// The low nine bits of its mode.
    pub(super) mode: u16,
    /// It has other names, here or elsewhere.
    pub(super) linked: bool,
}

impl Found {
    pub(super) fn of(metadata: &Metadata) -> Found {
        let mode = looks_of(metadata).mode;
        Found { stamp: Stamp::of(metadata), mode, linked: metadata.nlink() > 1 }
    }

    pub(super) fn with_id(self, id: FileId) -> Record {
        self.hashed_as(self.stamp, id)
    }

    /// What it is if it is still what was hashed under another stamp.
    pub(super) fn hashed_as(self, stamp: Stamp, id: FileId) -> Record {
        Record { stamp, mode: self.mode, linked: self.linked, id }
    }
}

/// A file that is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) stamp: Stamp,
    pub(super) mode: u16,
    pub(super) linked: bool,
    pub(super) id: FileId,
}

impl Record {
    /// What a copy of the file keeps of its looks.
    pub(super) fn looks(&self) -> Looks {
        Looks { mode: self.mode, mtime_ns: self.stamp.mtime_ns }
    }
}

/// What the index remembers of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) stamp: Stamp,
    pub(super) id: FileId,
}

/// The rows of an index when it was opened, in order of path.
pub(super) type Rows = Vec<(Box<str>, Row)>;

/// A symbolic link that stays in the shared folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Symlink {
    /// What is to be written in it.
    pub(super) text: Arc<str>,
    /// Where it leads to in the end, as a path below the shared folder.
    pub(super) target: Arc<str>,
}

/// What a copy of a file or folder keeps of its looks.
pub(in crate::peer) fn looks_of(metadata: &Metadata) -> Looks {
    let mode = (metadata.mode() & u32::from(Looks::MODE)) as u16;
    Looks { mode, mtime_ns: Stamp::of(metadata).mtime_ns }
}

/// A place where a content lies on disk, and how the file looked when its bytes were hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The path below the shared folder.
    pub path: Arc<str>,
    /// How the file must look when it is opened; otherwise it holds something else by now.
    pub stamp: Stamp,
}

/// The path in the file system of `path` below `root`; the empty path is the root itself.
pub(super) fn below(root: &Path, path: &str) -> PathBuf {
    match path.is_empty() {
        true => root.to_owned(),
        false => root.join(path),
    }
}

/// The folder of `path`; the empty path is the root's.
pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// True if `path` is `folder` or lies below it.
pub(super) fn is_within(path: &str, folder: &str) -> bool {
    folder.is_empty()
        || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// True if the path, or a folder above it, is one of `paths`.
pub(super) fn is_below_one(paths: &BTreeSet<impl Borrow<str> + Ord>, path: &str) -> bool {
    let mut at = path;
    while !paths.is_empty() && !at.is_empty() {
        if paths.contains(at) {
            return true;
        }
        at = parent(at);
    }
    paths.contains("")
}

/// `folder` and `name` as one path.
pub(super) fn join(folder: &str, name: &str) -> String {
    match folder.is_empty() {
        true => name.to_owned(),
        false => format!("{folder}/{name}"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_below_itself_and_what_is_above_it() {
        let paths = |paths: &[&'static str]| paths.iter().copied().collect::<BTreeSet<&str>>();
        for (set, path, below) in [
            (paths(&["a/b"]), "a/b", true),
            (paths(&["a/b"]), "a/b/c/d", true),
            (paths(&["a/b"]), "a/bc", false),
            (paths(&["a/b"]), "a", false),
            (paths(&[""]), "a", true),
            (paths(&[""]), "", true),
            (paths(&[]), "", false),
        ] {
            assert_eq!(is_below_one(&set, path), below, "{path} and {set:?}");
        }
        assert!(is_within("a", "") && is_within("a/b", "a") && is_within("a", "a"));
        assert!(!is_within("ab", "a") && !is_within("", "a"));
    }
}
