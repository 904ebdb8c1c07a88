//! Listings of folders, themselves stored and moved as files.
//!
//! A listing says everything that a copy keeps: each folder and file with its mode and time, symbolic and
//! hard links, and what its maker had to leave out. The invariant of a [`Tree`]: all rules of the format
//! hold, so that whoever makes it on a disk makes no more than it lists, and nothing outside.

mod bytes;
mod left_out;
mod target;

use std::collections::{HashMap, HashSet};

use super::geometry::{Geometry, Layout};
use super::id::FileId;
use super::name::{NameError, SafeName};
pub use left_out::{LeftOut, Missing, Reason};
pub use target::{leads_inside, way_to};

/// One thing in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// The path below the tree's folder.
    pub path: SafeName,
    /// What is there.
    pub kind: TreeKind,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeKind {
    /// A file.
    File {
        /// Its mode and time.
        looks: Looks,
        /// Its bytes.
        size: u64,
        /// Its id.
        id: FileId,
    },
    /// A folder.
    Folder(Looks),
    /// A symbolic link: what is written in it. It [leads inside](leads_inside).
    Link(Box<str>),
    /// The same file as an earlier entry, by another name.
    HardLink(SafeName),
}

/// How a file or folder looks from outside, as far as a copy keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looks {
    /// Who may read, write and execute: the low nine bits of its mode, never more.
    pub mode: u16,
    /// Modification time in nanoseconds since 1970.
    pub mtime_ns: i64,
}

impl Looks {
    /// The bits of a mode that are kept.
    pub const MODE: u16 = 0o777;
}

/// The listing of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    mode: u16,
    entries: Vec<TreeEntry>,
    left_out: LeftOut,
}

/// Why bytes are not a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// It does not start with the magic of a version known here.
    #[error("it is not a tree of a known version")]
    Magic,
    /// It ends inside an entry.
    #[error("it ends inside an entry")]
    Truncated,
    /// A kind, a mode or a reason is unknown.
    #[error("it has an entry of an unknown kind")]
    Kind,
    /// A path would leave the folder.
    #[error("a path in it is refused: {0}")]
    Path(#[from] NameError),
    /// The entries are not in order.
    #[error("its entries are not in order")]
    Order,
    /// An entry lies in no folder that is listed before it.
    #[error("an entry lies in a folder that is not listed")]
    Folder,
    /// A symbolic link leads out of the folder.
    #[error("a symbolic link in it leads out of the folder")]
    Outside,
    /// A hard link is to no file that is listed before it.
    #[error("a hard link in it is to no file before it")]
    HardLink,
    /// An empty file has the id of another content, or equal ids have different sizes.
    #[error("a size in it belongs to another id")]
    Size,
    /// The list of what was left out is not as it must be.
    #[error("what it left out is listed wrongly")]
    LeftOut,
    /// A file is larger than any file may be.
    #[error("it is too large")]
    TooLarge,
    /// There are more entries than one listing may have.
    #[error("it has more than {} entries", Tree::MAX_ENTRIES)]
    Entries,
    /// There are more folders than one listing may have.
    #[error("it has more than {} folders", Tree::MAX_FOLDERS)]
    Folders,
    /// A path has too many parts.
    #[error("its folders are nested deeper than {}", Tree::MAX_DEPTH)]
    Depth,
}

impl Tree {
    /// Most bytes of a listing.
    pub const MAX_BYTES: u64 = 256 << 20;
    /// Most entries of a listing, twice a million files with their folders: each may cost an inode.
    pub const MAX_ENTRIES: usize = 2_000_000;
    /// Most folders among them: each costs a block of the disk as well.
    pub const MAX_FOLDERS: usize = 400_000;
    /// Most parts of a path: what is nested deeper is slow to reach and, for many tools, to remove.
    pub const MAX_DEPTH: usize = 128;

    /// The tree of these entries, in any order.
    ///
    /// # Errors
    /// [`TreeError`] says which rule they break.
    pub fn new(mode: u16, mut entries: Vec<TreeEntry>, left_out: LeftOut) -> Result<Tree, TreeError> {
        entries.sort_unstable_by(|a, b| a.path.as_str().cmp(b.path.as_str()));
        let tree = Tree { mode, entries, left_out };
        tree.check()?;
        Ok(tree)
    }

    /// The mode of the folder itself, which a copy gets if it is made anew. Its time is not kept: sharing a
    /// folder puts this program's state into it.
    pub fn mode(&self) -> u16 {
        self.mode
    }

    /// The entries in order of path.
    pub fn entries(&self) -> &[TreeEntry] {
        &self.entries
    }

    /// What the folder has and this listing has not.
    pub fn left_out(&self) -> &LeftOut {
        &self.left_out
    }

    /// Bytes of all files as they lie on a disk, equal ones each time; `u64::MAX` if they are more, which
    /// one content under many paths can pretend.
    pub fn bytes_on_disk(&self) -> u64 {
        let size = |entry: &TreeEntry| if let TreeKind::File { size, .. } = entry.kind { size } else { 0 };
        self.entries.iter().map(size).fold(0, u64::saturating_add)
    }

    /// Every rule but those of single fields, in one pass. An entry's folder sorts before it, so it must
    /// have been seen; then no path lies below a file or a link, and there are no folders but those listed.
    fn check(&self) -> Result<(), TreeError> {
        if self.entries.len() > Tree::MAX_ENTRIES {
            return Err(TreeError::Entries);
        }
        let modes = self.entries.iter().filter_map(|entry| match entry.kind {
            TreeKind::File { looks, .. } | TreeKind::Folder(looks) => Some(looks.mode),
            _ => None,
        });
        if modes.chain([self.mode]).any(|mode| mode & !Looks::MODE != 0) {
            return Err(TreeError::Kind);
        }
        if !self.entries.is_sorted_by(|a, b| a.path.as_str() < b.path.as_str()) {
            return Err(TreeError::Order);
        }
        let mut folders: HashSet<&str> = HashSet::new();
        for entry in &self.entries {
            let path = entry.path.as_str();
            if entry.path.is_tree() {
                return Err(TreeError::Path(NameError::Dots));
            }
            if path.split('/').count() > Tree::MAX_DEPTH {
                return Err(TreeError::Depth);
            }
            if path.rsplit_once('/').is_some_and(|(folder, _)| !folders.contains(folder)) {
                return Err(TreeError::Folder);
            }
            if let TreeKind::Folder(_) = entry.kind {
                folders.insert(path);
            }
            self.check_entry(entry)?;
        }
        match folders.len() > Tree::MAX_FOLDERS {
            true => Err(TreeError::Folders),
            false => Ok(()),
        }
    }

    fn check_entry(&self, entry: &TreeEntry) -> Result<(), TreeError> {
        match &entry.kind {
            TreeKind::Folder(_) => Ok(()),
            TreeKind::File { size, .. } if *size > Geometry::MAX_SIZE => Err(TreeError::TooLarge),
            TreeKind::File { size, id, .. } if !id.can_be_of(*size) => Err(TreeError::Size),
            TreeKind::File { .. } => Ok(()),
            TreeKind::Link(target) => match leads_inside(entry.path.as_str(), target) {
                true => Ok(()),
                false => Err(TreeError::Outside),
            },
            TreeKind::HardLink(of) if of < &entry.path && self.file(of).is_some() => Ok(()),
            TreeKind::HardLink(_) => Err(TreeError::HardLink),
        }
    }

    /// Size and id of what an entry names, if that is a file: its own, or that which it is a hard link to.
    pub fn content_of(&self, entry: &TreeEntry) -> Option<(u64, FileId)> {
        match &entry.kind {
            TreeKind::File { size, id, .. } => Some((*size, *id)),
            TreeKind::HardLink(of) => self.content_of(&self.entries[self.file(of)?]),
            TreeKind::Folder(_) | TreeKind::Link(_) => None,
        }
    }

    /// The place in order of the file at `path`.
    fn file(&self, path: &SafeName) -> Option<usize> {
        let at = self.entries.binary_search_by(|entry| entry.path.as_str().cmp(path.as_str())).ok()?;
        matches!(self.entries[at].kind, TreeKind::File { .. }).then_some(at)
    }

    /// The chunks of all files, each content once however many paths have it.
    ///
    /// # Errors
    /// [`TreeError::TooLarge`] if their number is above the limit, [`TreeError::Size`] if one id has two
    /// sizes.
    pub fn layout(&self) -> Result<TreeLayout, TreeError> {
        let mut files = Vec::new();
        let mut ids = Vec::new();
        let mut seen: HashMap<FileId, usize> = HashMap::new();
        let mut file_of = Vec::with_capacity(self.entries.len());
        for entry in &self.entries {
            let file = match &entry.kind {
                TreeKind::File { size, id, .. } => {
                    let geometry = Geometry::of(*size).ok_or(TreeError::TooLarge)?;
                    let next = files.len();
                    let file = *seen.entry(*id).or_insert(next);
                    if file == next {
                        files.push(geometry);
                        ids.push(*id);
                    } else if files[file] != geometry {
                        return Err(TreeError::Size);
                    }
                    Some(file)
                }
                TreeKind::HardLink(of) => self.file(of).and_then(|at| file_of[at]),
                TreeKind::Folder(_) | TreeKind::Link(_) => None,
            };
            file_of.push(file);
        }
        let layout = Layout::new(files).ok_or(TreeError::TooLarge)?;
        Ok(TreeLayout { layout, ids, file_of })
    }
}

/// How the members of a tree are numbered.
#[derive(Debug, Clone)]
pub struct TreeLayout {
    /// The distinct files in order of first appearance.
    pub layout: Layout,
    /// Their ids.
    pub ids: Vec<FileId>,
    /// For each entry of the tree, its file in `layout`; none for folders and symbolic links.
    pub file_of: Vec<Option<usize>>,
}

#[cfg(test)]
mod tests;
