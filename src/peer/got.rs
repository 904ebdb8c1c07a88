//! What was fetched into a folder: `FOLDER/.p2p/got`, a line of JSON for each file, and if it was fetched as a whole,
//! for each folder and symbolic link that was made in it, and for the folder itself.
//!
//! By it three things are decided. A file that still is what was fetched is a copy, not an original. It is
//! this program's own and may give way to a newer version. And a folder that was filled is known when the
//! same is fetched again. It says which bytes were put where, so an edit makes it void for that file;
//! losing it costs that files are taken for their user's, and nothing else. It is written before the first
//! file gets its name, so a kill cannot come between.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::state_folder::{make_own_folder, open_log};
use crate::content::{FileId, SafeName};
use crate::descriptors::patiently;
use crate::owner;

/// The record's name in the state folder.
const FILE: &str = "got";
/// What is being written is called so until it is whole; a random number follows.
const UNFINISHED: &str = "got.new-";
/// A record of so many bytes is not looked at for what it repeats.
const MIN_REPEATING: u64 = 64 << 10;
/// Longest record that is read.
const MAX_BYTES: u64 = 1 << 30;

/// What a fetch changed of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noted {
    /// This is what it says now.
    All(Got),
    /// This file was added.
    Alone(String, FileId),
    /// The file was there already, and is its user's.
    Nothing,
}

/// What was fetched into one folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Got {
    tree: Option<TreeLine>,
    files: BTreeMap<String, Placed>,
    /// Symbolic links, and what was written in them; two while a newer version is on its way.
    links: BTreeMap<String, Vec<String>>,
    /// Folders that were made.
    folders: BTreeSet<String>,
}

/// What was put at a path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Placed {
    /// While a newer version is on its way, there are two.
    ids: Vec<FileId>,
    /// It came with the folder, not alone.
    in_tree: bool,
}

/// The folder as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct TreeLine {
    tree: String,
    id: String,
    /// All of it is there.
    done: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct FileLine {
    path: String,
    id: String,
    #[serde(default)]
    in_tree: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct LinkLine {
    path: String,
    link: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct FolderLine {
    folder: String,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Line {
    Tree(TreeLine),
    File(FileLine),
    Link(LinkLine),
    Folder(FolderLine),
}

impl Got {
    /// The record in `folder`; an empty one where there is none, and of a damaged one what can be read.
    pub fn read(folder: &Path) -> Got {
        let mut text = Vec::new();
        let path = path_in(folder);
        // Looked at before it is opened: a pipe would be waited for.
        if !fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
            return Got::default();
        }
        // By what another user says nothing here gives way.
        let state = folder.join(SafeName::STATE_FOLDER);
        if [&state, &path].into_iter().any(|path| owner::stranger(path).is_some()) {
            return Got::default();
        }
        let read =
            patiently(|| File::open(&path)).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut text));
        match read {
            Ok(_) => Got::parse(&text),
            Err(_) => Got::default(),
        }
    }

    /// What a record says.
    pub(crate) fn parse(text: &[u8]) -> Got {
        let mut got = Got::default();
        for line in text.split(|byte| *byte == b'\n') {
            match serde_json::from_slice(line) {
                Ok(Line::Tree(tree)) => got.tree = Some(tree),
                Ok(Line::File(line)) => {
                    if let (Ok(path), Ok(id)) = (SafeName::new(line.path), line.id.parse()) {
                        got.put(path.path(), id, line.in_tree);
                    }
                }
                Ok(Line::Link(line)) => {
                    if let Ok(path) = SafeName::new(line.path) {
                        got.put_link(path.path(), &line.link);
                    }
                }
                Ok(Line::Folder(line)) => {
                    if let Ok(path) = SafeName::new(line.folder) {
                        got.folders.insert(path.path().to_owned());
                    }
                }
                Err(_) => {}
            }
        }
        got
    }

    /// True if nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Got::default()
    }

    /// True if the folder was filled by a tree of this name, or of one of these ids.
    pub fn is_tree(&self, name: &SafeName, ids: &[FileId]) -> bool {
        let is =
            |tree: &TreeLine| tree.tree == name.as_str() || ids.iter().any(|id| id.to_string() == tree.id);
        self.tree.as_ref().is_some_and(is)
    }

    /// True if a version of the folder is there already.
    pub fn has_tree(&self) -> bool {
        self.tree.is_some()
    }

    /// True if these bytes were put at this path.
    pub fn owns(&self, path: &str, id: FileId) -> bool {
        self.files.get(path).is_some_and(|placed| placed.ids.contains(&id))
    }

    /// True if a symbolic link to `target` was put at this path.
    pub(super) fn owns_link(&self, path: &str, target: &str) -> bool {
        self.links.get(path).is_some_and(|targets| targets.iter().any(|put| put == target))
    }

    /// True if this folder was made here.
    pub(super) fn owns_folder(&self, path: &str) -> bool {
        self.folders.contains(path)
    }

    /// The paths of all files and links that came with the folder as a whole.
    pub(super) fn in_tree(&self) -> impl Iterator<Item = &str> {
        let files = self.files.iter().filter(|(_, placed)| placed.in_tree).map(|(path, _)| &**path);
        files.chain(self.links.keys().map(|path| &**path))
    }

    /// True if a file or link at this path came with the folder as a whole.
    pub(super) fn came_with_tree(&self, path: &str) -> bool {
        self.links.contains_key(path) || self.files.get(path).is_some_and(|placed| placed.in_tree)
    }

    /// The folders that were made, each after what is in it.
    pub(super) fn folders_inside_out(&self) -> impl Iterator<Item = &str> {
        self.folders.iter().rev().map(|path| &**path)
    }

    /// What was put at these paths is not there any more.
    pub(super) fn forget<'a>(&mut self, paths: impl Iterator<Item = &'a str>) {
        for path in paths {
            self.files.remove(path);
            self.links.remove(path);
            self.folders.remove(path);
        }
    }

    /// True if anything was put at this path.
    pub(super) fn knows(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// True if `files`, all that is below the folder `within`, are what was fetched with the whole folder, and
    /// nothing of that is missing, unless it is still on its way.
    pub fn is_whole<P: AsRef<str>>(&self, within: &str, files: impl Iterator<Item = (P, FileId)>) -> bool {
        let Some(tree) = &self.tree else { return false };
        let mut seen = 0;
        for (path, id) in files {
            if !self.files.get(path.as_ref()).is_some_and(|placed| placed.in_tree && placed.ids.contains(&id))
            {
                return false;
            }
            seen += 1;
        }
        let prefix = if within.is_empty() { String::new() } else { format!("{within}/") };
        let below = self.files.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix));
        !tree.done || below.filter(|(_, placed)| placed.in_tree).count() == seen
    }

    /// This file came alone, and was added to the record.
    pub(super) fn put_alone(&mut self, path: &str, id: FileId) {
        self.put(path, id, false);
    }

    fn put(&mut self, path: &str, id: FileId, in_tree: bool) {
        let placed = self.files.entry(path.to_owned()).or_default();
        placed.in_tree |= in_tree;
        if !placed.ids.contains(&id) {
            placed.ids.push(id);
        }
    }

    /// A fetch begins to put this symbolic link here.
    pub(super) fn put_link(&mut self, path: &str, target: &str) {
        let targets = self.links.entry(path.to_owned()).or_default();
        if !targets.iter().any(|put| put == target) {
            targets.push(target.to_owned());
        }
    }

    /// A fetch is done: what has the path is this link and no file.
    pub(super) fn finish_link(&mut self, path: &str, target: &str) {
        if self.owns_link(path, target) {
            self.links.insert(path.to_owned(), vec![target.to_owned()]);
        }
        self.files.remove(path);
        self.is_no_folder(path);
    }

    /// What has the path is no folder, so nothing is below it.
    fn is_no_folder(&mut self, path: &str) {
        if self.folders.remove(path) {
            let below = format!("{path}/");
            let is_below = |inner: &&String| inner.starts_with(&below);
            let mut all: Vec<String> = Vec::new();
            all.extend(
                self.files.range(below.clone()..).map(|(inner, _)| inner).take_while(is_below).cloned(),
            );
            all.extend(
                self.links.range(below.clone()..).map(|(inner, _)| inner).take_while(is_below).cloned(),
            );
            all.extend(self.folders.range(below.clone()..).take_while(is_below).cloned());
            self.forget(all.iter().map(|inner| &**inner));
        }
    }

    /// A fetch is done: what has the path is a folder.
    pub(super) fn finish_folder(&mut self, path: &str) {
        self.files.remove(path);
        self.links.remove(path);
    }

    /// A fetch begins to make these folders here.
    pub(super) fn make_folders<'a>(&mut self, folders: impl Iterator<Item = &'a str>) {
        self.folders.extend(folders.map(str::to_owned));
    }

    /// A fetch begins to put these files here; `tree` is its name if it is one.
    pub(super) fn begin<'a>(
        &mut self,
        tree: Option<&str>,
        id: FileId,
        files: impl Iterator<Item = (&'a str, FileId)>,
    ) {
        if let Some(name) = tree {
            self.tree = Some(TreeLine { tree: name.to_owned(), id: id.to_string(), done: false });
        }
        files.for_each(|(path, id)| self.put(path, id, tree.is_some()));
    }

    /// A fetch is done: of its files there is one version each.
    pub(super) fn finish<'a>(&mut self, files: impl Iterator<Item = (&'a str, FileId)>) {
        for (path, id) in files {
            self.links.remove(path);
            self.is_no_folder(path);
            if let Some(placed) = self.files.get_mut(path) {
                placed.ids = vec![id];
            }
        }
        if let Some(tree) = &mut self.tree {
            tree.done = true;
        }
    }

    /// Adds a file that came alone to the record in `folder`, which need not be read for that. Whenever it is twice as long
    /// as before, it is looked whether half of it only repeats the rest.
    pub(super) fn append(folder: &Path, path: &str, id: FileId) -> io::Result<()> {
        make_own_folder(&folder.join(SafeName::STATE_FOLDER))?;
        let line = FileLine { path: path.to_owned(), id: id.to_string(), in_tree: false };
        let mut text = serde_json::to_vec(&line).map_err(io::Error::other)?;
        // A kill may have left half a line.
        text.insert(0, b'\n');
        text.push(b'\n');
        let mut record = open_log(&path_in(folder))?;
        record.write_all(&text)?;
        let bytes = record.metadata()?.len();
        let before = bytes.saturating_sub(text.len() as u64);
        if bytes > MIN_REPEATING && before.checked_ilog2() < bytes.checked_ilog2() {
            let got = Got::read(folder);
            if got.text()?.len() as u64 <= bytes / 2 {
                got.write(folder)?;
            }
        }
        Ok(())
    }

    /// Writes the record into `folder`, whole or not at all.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        let state = folder.join(SafeName::STATE_FOLDER);
        make_own_folder(&state)?;
        let unfinished = state.join(format!("{UNFINISHED}{:016x}", fastrand::u64(..)));
        let text = self.text()?;
        let written = File::create_new(&unfinished).and_then(|mut file| file.write_all(&text));
        let named = written.and_then(|()| fs::rename(&unfinished, path_in(folder)));
        if named.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        named
    }

    /// What the record is as a text.
    fn text(&self) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        let mut say = |line: serde_json::Result<Vec<u8>>| {
            text.extend(line.map_err(io::Error::other)?);
            text.push(b'\n');
            Ok::<(), io::Error>(())
        };
        self.tree.iter().try_for_each(|tree| say(serde_json::to_vec(tree)))?;
        for (path, placed) in &self.files {
            for id in &placed.ids {
                let line = FileLine { path: path.clone(), id: id.to_string(), in_tree: placed.in_tree };
                say(serde_json::to_vec(&line))?;
            }
        }
        for (path, targets) in &self.links {
            for link in targets {
                say(serde_json::to_vec(&LinkLine { path: path.clone(), link: link.clone() }))?;
            }
        }
        for folder in &self.folders {
            say(serde_json::to_vec(&FolderLine { folder: folder.clone() }))?;
        }
        Ok(text)
    }
}

fn path_in(folder: &Path) -> PathBuf {
    folder.join(SafeName::STATE_FOLDER).join(FILE)
}

#[cfg(test)]
mod tests;
