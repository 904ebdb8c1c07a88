//! What a transfer makes: its distinct files, the names they get, and empty folders.

use std::fs::File;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};

use crate::content::{ChunkHash, FileId, Geometry, Layout, Place, Tree, TreeError, TreeKind};
use crate::peer::lock;
use crate::peer::share::Stamp;

/// One path that a file of the transfer gets.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) path: String,
    pub(super) executable: bool,
    pub(super) mtime_ns: Option<i64>,
    /// How the file looked when it had got this name.
    pub(super) named: Mutex<Option<Stamp>>,
}

/// One distinct file of the transfer.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) id: FileId,
    pub(super) geometry: Geometry,
    pub(super) names: Vec<Name>,
    /// Chunks not here yet.
    pub(super) left: AtomicU32,
    /// The unfinished file while it is open.
    pub(super) data: Mutex<Option<Arc<File>>>,
    /// Proved hashes, for the proof of the whole; only for files of more than one chunk.
    pub(super) hashes: Mutex<Vec<Option<ChunkHash>>>,
}

/// What to fetch and how to name it.
#[derive(Debug)]
pub(in crate::peer) struct Plan {
    pub(in crate::peer) layout: Arc<Layout>,
    pub(super) slots: Vec<Slot>,
    pub(in crate::peer) folders: Vec<String>,
}

impl Plan {
    /// One file, as `name` in the destination folder.
    pub(in crate::peer) fn file(id: FileId, geometry: Geometry, name: &str) -> Option<Plan> {
        let layout = Arc::new(Layout::new(vec![geometry])?);
        let name = Name { path: name.to_owned(), executable: false, mtime_ns: None, named: Mutex::default() };
        Some(Plan { layout, slots: vec![Slot::new(id, geometry, vec![name])], folders: Vec::new() })
    }

    /// All files and empty folders of a tree.
    pub(in crate::peer) fn tree(tree: &Tree) -> Result<Plan, TreeError> {
        let members = tree.layout()?;
        let mut slots: Vec<Slot> = members
            .ids
            .iter()
            .zip(members.layout.files())
            .map(|(id, geometry)| Slot::new(*id, *geometry, Vec::new()))
            .collect();
        let mut folders = Vec::new();
        for (entry, file) in tree.entries().iter().zip(&members.file_of) {
            let path = entry.path.as_str().to_owned();
            match file {
                None => folders.push(path),
                Some(file) => {
                    let executable = entry.kind == TreeKind::Executable;
                    let (mtime_ns, named) = (Some(entry.mtime_ns), Mutex::default());
                    slots[*file].names.push(Name { path, executable, mtime_ns, named });
                }
            }
        }
        Ok(Plan { layout: Arc::new(members.layout), slots, folders })
    }

    /// The file's id.
    pub(in crate::peer) fn id_of(&self, file: usize) -> FileId {
        self.slots[file].id
    }

    /// How many distinct files there are.
    pub(in crate::peer) fn files(&self) -> usize {
        self.slots.len()
    }
}

impl Slot {
    pub(super) fn new(id: FileId, geometry: Geometry, names: Vec<Name>) -> Slot {
        Slot {
            id,
            geometry,
            names,
            left: AtomicU32::new(geometry.chunks()),
            data: Mutex::new(None),
            hashes: Mutex::new(Vec::new()),
        }
    }

    pub(super) fn label(&self) -> &str {
        self.names.first().map_or("a file", |name| &name.path)
    }
}

impl Slot {
    pub(super) fn note(&self, place: Place, hash: ChunkHash) {
        let mut hashes = lock(&self.hashes);
        hashes.resize(self.geometry.chunks() as usize, None);
        hashes[place.chunk.get() as usize] = Some(hash);
    }
    /// Notes the hashes of all chunks.
    pub(super) fn note_all(&self, hashes: Vec<ChunkHash>) {
        if self.geometry.chunks() > 1 {
            *lock(&self.hashes) = hashes.into_iter().map(Some).collect();
        }
    }
}
