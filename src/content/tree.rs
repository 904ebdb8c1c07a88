//! Listings of folders, themselves stored and moved as files.
//!
//! Layout: the magic, then entries in strictly ascending byte order of path. An entry is kind (`u8`),
//! modification time (`i64`, nanoseconds since 1970), size (`u64`), id (32 bytes), path (`u16` length
//! and UTF-8). Integers are big-endian. Folders are listed only when they are empty.

use std::collections::HashMap;

use bytes::{Buf, BufMut};

use super::{FileId, Geometry, Layout, SafeName};

const MAGIC: &[u8; 8] = b"p2ptree1";

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeKind {
    /// A plain file.
    File,
    /// A file with its executable bit set.
    Executable,
    /// A folder with nothing in it.
    EmptyFolder,
}

/// One file or empty folder of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// The path below the tree's folder.
    pub path: SafeName,
    /// What it is.
    pub kind: TreeKind,
    /// Modification time in nanoseconds since 1970; 0 for a folder.
    pub mtime_ns: i64,
    /// Bytes of the file; 0 for a folder.
    pub size: u64,
    /// The file's id; that of an empty file for a folder.
    pub id: FileId,
}

/// The listing of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    entries: Vec<TreeEntry>,
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
    /// A kind is unknown.
    #[error("it has an entry of an unknown kind")]
    Kind,
    /// A path would leave the folder.
    #[error("a path in it is refused: {0}")]
    Path(#[from] super::NameError),
    /// The entries are not in order, or one path is inside another's file.
    #[error("its entries are not in order")]
    Order,
    /// An empty folder has a size, a time or an id of its own.
    #[error("it has an empty folder that is not empty")]
    Folder,
    /// No file of its size has its id.
    #[error("it has a file of a size that its id cannot have")]
    Id,
    /// A file is larger than any file may be, or there are too many.
    #[error("it is too large")]
    TooLarge,
}

impl Tree {
    /// Most bytes of a listing.
    pub const MAX_BYTES: u64 = 256 << 20;

    /// The tree of these entries, in any order.
    ///
    /// # Errors
    /// [`TreeError::Order`] if two entries have one path or a file is used as a folder,
    /// [`TreeError::Folder`] if an empty folder has anything, [`TreeError::Id`] if an id cannot be of its size.
    pub fn new(mut entries: Vec<TreeEntry>) -> Result<Tree, TreeError> {
        entries.sort_unstable_by(|a, b| a.path.as_str().cmp(b.path.as_str()));
        check_paths(&entries)?;
        entries.iter().try_for_each(check_entry)?;
        Ok(Tree { entries })
    }

    /// The entries in order of path.
    pub fn entries(&self) -> &[TreeEntry] {
        &self.entries
    }

    /// Bytes of all files; `u64::MAX` if they are more, which one content under many paths can pretend.
    pub fn total(&self) -> u64 {
        self.entries.iter().fold(0, |total, entry| total.saturating_add(entry.size))
    }

    /// The listing as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(MAGIC.len() + self.entries.len() * 96);
        out.put_slice(MAGIC);
        for entry in &self.entries {
            out.put_u8(match entry.kind {
                TreeKind::File => 0,
                TreeKind::Executable => 1,
                TreeKind::EmptyFolder => 2,
            });
            out.put_i64(entry.mtime_ns);
            out.put_u64(entry.size);
            out.put_slice(&entry.id.0);
            out.put_u16(entry.path.as_str().len() as u16);
            out.put_slice(entry.path.as_str().as_bytes());
        }
        out
    }

    /// Reads a listing.
    ///
    /// # Errors
    /// [`TreeError`] says what is wrong; nothing of it may be used then.
    pub fn decode(mut bytes: &[u8]) -> Result<Tree, TreeError> {
        let magic = bytes.split_off(..MAGIC.len()).ok_or(TreeError::Magic)?;
        if magic != MAGIC {
            return Err(TreeError::Magic);
        }
        let mut entries = Vec::new();
        while !bytes.is_empty() {
            entries.push(decode_entry(&mut bytes)?);
        }
        if !entries.is_sorted_by(|a, b| a.path.as_str() < b.path.as_str()) {
            return Err(TreeError::Order);
        }
        check_paths(&entries)?;
        Ok(Tree { entries })
    }

    /// The chunks of all files, each content once however many paths have it.
    ///
    /// # Errors
    /// [`TreeError::TooLarge`] if a file or their number is above the limits.
    pub fn layout(&self) -> Result<TreeLayout, TreeError> {
        let mut files = Vec::new();
        let mut ids = Vec::new();
        let mut seen: HashMap<FileId, usize> = HashMap::new();
        let mut file_of = Vec::with_capacity(self.entries.len());
        for entry in &self.entries {
            if entry.kind == TreeKind::EmptyFolder {
                file_of.push(None);
                continue;
            }
            let geometry = Geometry::of(entry.size).ok_or(TreeError::TooLarge)?;
            let next = files.len();
            let file = *seen.entry(entry.id).or_insert(next);
            if file == next {
                files.push(geometry);
                ids.push(entry.id);
            } else if files[file] != geometry {
                return Err(TreeError::Order);
            }
            file_of.push(Some(file));
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
    /// For each entry of the tree, its file in `layout`; none for folders.
    pub file_of: Vec<Option<usize>>,
}

fn decode_entry(bytes: &mut &[u8]) -> Result<TreeEntry, TreeError> {
    const FIXED: usize = 1 + 8 + 8 + FileId::BYTES + 2;
    if bytes.len() < FIXED {
        return Err(TreeError::Truncated);
    }
    let kind = match bytes.get_u8() {
        0 => TreeKind::File,
        1 => TreeKind::Executable,
        2 => TreeKind::EmptyFolder,
        _ => return Err(TreeError::Kind),
    };
    let mtime_ns = bytes.get_i64();
    let size = bytes.get_u64();
    if size > Geometry::MAX_SIZE {
        return Err(TreeError::TooLarge);
    }
    let mut id = FileId::NONE;
    bytes.copy_to_slice(&mut id.0);
    let len = usize::from(bytes.get_u16());
    let path = bytes.split_off(..len).ok_or(TreeError::Truncated)?;
    let path = std::str::from_utf8(path).map_err(|_| TreeError::Path(super::NameError::Nul))?;
    let path = SafeName::new(path)?;
    if path.is_tree() {
        return Err(TreeError::Path(super::NameError::Dots));
    }
    let entry = TreeEntry { path, kind, mtime_ns, size, id };
    check_entry(&entry)?;
    Ok(entry)
}

/// An empty folder has nothing but its path, and no other id goes with no bytes.
fn check_entry(entry: &TreeEntry) -> Result<(), TreeError> {
    let bare = entry.size == 0 && entry.mtime_ns == 0 && entry.id == FileId::NOTHING;
    match entry.kind {
        TreeKind::EmptyFolder if !bare => Err(TreeError::Folder),
        _ if !entry.id.can_be_of(entry.size) => Err(TreeError::Id),
        _ => Ok(()),
    }
}

/// No path twice, and no path below another entry's path.
fn check_paths(entries: &[TreeEntry]) -> Result<(), TreeError> {
    let paths: std::collections::HashSet<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
    let nested = |path: &str| path.match_indices('/').any(|(at, _)| paths.contains(&path[..at]));
    if paths.len() != entries.len() || entries.iter().any(|entry| nested(entry.path.as_str())) {
        return Err(TreeError::Order);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, content: &[u8]) -> TreeEntry {
        TreeEntry {
            path: SafeName::new(path).unwrap(),
            kind: TreeKind::File,
            mtime_ns: -5,
            size: content.len() as u64,
            id: FileId::of(content),
        }
    }

    fn sample() -> Tree {
        let empty = TreeEntry { kind: TreeKind::EmptyFolder, mtime_ns: 0, ..entry("empty", b"") };
        Tree::new(vec![entry("b/x", b"same"), empty, entry("a", b"same"), entry("b.txt", b"other")]).unwrap()
    }

    #[test]
    fn a_listing_reads_back() {
        let tree = sample();
        assert_eq!(Tree::decode(&tree.encode()), Ok(tree));
    }

    #[test]
    fn no_prefix_of_a_listing_is_another_tree_with_half_an_entry() {
        let bytes = sample().encode();
        let whole = (0..bytes.len()).filter(|len| Tree::decode(&bytes[..*len]).is_ok()).count();
        assert_eq!(whole, 4, "only cuts between entries decode");
    }

    #[test]
    fn refuses_files_used_as_folders_and_double_paths() {
        assert_eq!(Tree::new(vec![entry("a", b""), entry("a/b", b"")]), Err(TreeError::Order));
        assert_eq!(
            Tree::new(vec![entry("a", b""), entry("a-", b""), entry("a/b", b"")]),
            Err(TreeError::Order)
        );
        assert_eq!(Tree::new(vec![entry("a", b""), entry("a", b"x")]), Err(TreeError::Order));
    }

    #[test]
    fn refuses_folders_that_have_something() {
        let empty = || TreeEntry { kind: TreeKind::EmptyFolder, mtime_ns: 0, ..entry("empty", b"") };
        assert!(Tree::new(vec![empty()]).is_ok());
        for folder in [
            TreeEntry { size: 1, ..empty() },
            TreeEntry { mtime_ns: 1, ..empty() },
            TreeEntry { id: FileId::of(b"x"), ..empty() },
        ] {
            assert_eq!(Tree::new(vec![folder.clone()]), Err(TreeError::Folder));
            let bytes = Tree { entries: vec![folder] }.encode();
            assert_eq!(Tree::decode(&bytes), Err(TreeError::Folder));
        }
    }

    #[test]
    fn refuses_sizes_that_no_content_of_the_id_has() {
        let empty = TreeEntry { size: 0, ..entry("a", b"x") };
        let grown = TreeEntry { size: 1, ..entry("a", b"") };
        for lie in [empty, grown] {
            assert_eq!(Tree::new(vec![lie.clone()]), Err(TreeError::Id));
            assert_eq!(Tree::decode(&Tree { entries: vec![lie] }.encode()), Err(TreeError::Id));
        }
    }

    #[test]
    fn more_chunks_than_can_be_numbered_are_refused_before_anything_is_made_for_them() {
        let huge = |path: &str| TreeEntry { size: Geometry::MAX_SIZE, ..entry(path, path.as_bytes()) };
        let two = Tree::new(vec![huge("a"), huge("b")]).unwrap();
        assert_eq!(two.layout().unwrap().layout.chunks(), Layout::MAX_CHUNKS);
        let three = Tree::new(vec![huge("a"), huge("b"), entry("c", b"x")]).unwrap();
        assert_eq!(three.layout().err(), Some(TreeError::TooLarge));
    }

    #[test]
    fn equal_contents_are_numbered_once() {
        let layout = sample().layout().unwrap();
        assert_eq!(layout.file_of, [Some(0), Some(1), Some(0), None]);
        assert_eq!(layout.layout.chunks(), 2);
    }
}
