//! What peers claim of a content beside its id. Only one claim about an id is true, and the bytes tell which.

use super::geometry::{Geometry, Layout};
use super::id::FileId;
use super::tree::Tree;

/// What is said of a content beside its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// Bytes of the content.
    pub size: u64,
    /// Bytes of all files: `size` for a file, the sum of its members for a tree.
    pub total: u64,
    /// Chunks of all files.
    pub chunks: u32,
    /// True if it is said to be the listing of a tree, and not a file.
    pub tree: bool,
}

impl Claim {
    /// What must be said of a file of this size; `None` if there is no such file.
    pub fn of_file(size: u64) -> Option<Claim> {
        Some(Claim { size, total: size, chunks: Geometry::of(size)?.chunks(), tree: false })
    }

    /// True if it can be true of `id`, as far as can be seen without a byte of the content.
    pub fn is_possible(&self, id: &FileId) -> bool {
        let shape = match self.tree {
            true => self.size <= Tree::MAX_BYTES && self.chunks <= Layout::MAX_CHUNKS,
            false => Claim::of_file(self.size) == Some(*self),
        };
        shape && id.can_be_of(self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_of_nothing_goes_with_the_id_of_nothing_and_no_other() {
        let (nothing, something) = (Claim::of_file(0).unwrap(), Claim::of_file(1).unwrap());
        assert!(nothing.is_possible(&FileId::of(b"")));
        assert!(!nothing.is_possible(&FileId::of(b"x")));
        assert!(something.is_possible(&FileId::of(b"x")));
        assert!(!something.is_possible(&FileId::of(b"")));
        assert!(!something.is_possible(&FileId::NONE), "it stands for no id");
        assert!(
            !Claim { tree: true, ..nothing }.is_possible(&FileId::of(b"x")),
            "a listing has its magic at least"
        );
    }

    #[test]
    fn a_files_total_and_chunks_follow_from_its_size() {
        let id = FileId::of(b"x");
        let right = Claim { size: 200_000, total: 200_000, chunks: 4, tree: false };
        let tree = Claim { tree: true, ..right };
        assert!(right.is_possible(&id));
        assert!(!Claim { total: 1, ..right }.is_possible(&id));
        assert!(!Claim { chunks: 5, ..right }.is_possible(&id));
        assert!(Claim { total: 1, chunks: 5, ..tree }.is_possible(&id));
        assert!(!Claim { chunks: Layout::MAX_CHUNKS + 1, ..tree }.is_possible(&id));
        assert!(!Claim { size: Tree::MAX_BYTES + 1, ..tree }.is_possible(&id));
    }
}
