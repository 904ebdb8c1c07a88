//! What lies on disks: listings of folders, paths to write to, journals, indexes.

use std::path::Path;

use crate::content::{Chunk, Geometry, Tree};
use crate::peer::{Got, disk, share};
use crate::wire::limits;

/// A listing that is taken is written as it was read, has safe paths, and chunks that can be counted.
pub(super) fn tree(bytes: &[u8], _: &Path) {
    let Ok(tree) = Tree::decode(bytes) else { return };
    assert_eq!(tree.encode(), bytes, "one encoding");
    let again = Tree::new(tree.mode(), tree.entries().to_vec(), tree.left_out().clone());
    assert_eq!(again.as_ref(), Ok(&tree));
    super::texts::name(
        tree.entries().first().map_or(b"", |entry| entry.path.as_str().as_bytes()),
        Path::new(""),
    );
    let total = tree.bytes_on_disk();
    let Ok(members) = tree.layout() else { return };
    let layout = &members.layout;
    assert!(layout.chunks() <= limits::MAX_CHUNKS, "{} chunks", layout.chunks());
    assert!(layout.size() <= total && members.ids.len() == layout.files().len());
    assert!(members.file_of.iter().flatten().all(|file| *file < members.ids.len()));
    for chunk in [0, layout.chunks() / 2, layout.chunks().saturating_sub(1)].map(Chunk) {
        if let Some(place) = layout.place(chunk) {
            assert!(layout.chunks_of(place.file).any(|other| other == chunk));
            assert!(place.len > 0 && place.len <= Geometry::MAX_CHUNK_SIZE);
        }
    }
    assert_eq!(layout.place(Chunk(layout.chunks())), None);
    disk::fuzzing::plan(&tree);
}

/// Where a safe path leads, it is below the folder, whatever lies there.
pub(super) fn place(bytes: &[u8], scratch: &Path) {
    disk::fuzzing::place(bytes, scratch);
}

/// A journal of any bytes opens, and is one afterwards.
pub(super) fn journal(bytes: &[u8], scratch: &Path) {
    disk::fuzzing::journal(bytes, scratch);
}

/// An index of any bytes, or a damaged one, opens, and is one afterwards.
pub(super) fn index(bytes: &[u8], scratch: &Path) {
    share::fuzzing::index(bytes, scratch);
}

/// A record of any bytes is read, and what it says outlives being written.
pub(super) fn got(bytes: &[u8], scratch: &Path) {
    let got = Got::parse(bytes);
    if got.write(scratch).is_ok() {
        assert_eq!(Got::read(scratch), got);
    }
    let _ = std::fs::remove_dir_all(scratch.join(crate::content::SafeName::STATE_FOLDER));
}
