//! What a transfer makes: its distinct files, the names they get, folders and links.

use std::collections::HashSet;
use std::fs::File;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};

use crate::content::{ChunkHash, FileId, Geometry, Layout, LeftOut, Looks, Place, Tree, TreeError, TreeKind};
use crate::peer::stamp::Stamp;
use crate::threads::lock;

/// One path that a file of the transfer gets.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) path: String,
    /// Its mode and time, if they are known.
    pub(super) looks: Option<Looks>,
    /// How the file looked when it had got this name.
    pub(super) named: Mutex<Option<Stamp>>,
}

impl Name {
    fn new(path: String, looks: Option<Looks>) -> Name {
        Name { path, looks, named: Mutex::default() }
    }
}

/// One more name of a file that has one already.
#[derive(Debug)]
pub(super) struct HardLink {
    pub(super) name: Name,
    /// The path of the file.
    pub(super) of: String,
    /// Which file it is.
    pub(super) file: usize,
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
    /// The folders, each before what is in it.
    pub(in crate::peer) folders: Vec<(String, Looks)>,
    /// Symbolic links, and what is written in them.
    pub(super) links: Vec<(String, String)>,
    pub(super) hard_links: Vec<HardLink>,
    /// The mode of the destination itself, if it is made for this.
    pub(super) root_mode: Option<u16>,
    /// What the source has and nobody can fetch.
    pub(in crate::peer) left_out: LeftOut,
    /// The tree's name, if it is one.
    pub(super) named: Option<String>,
}

impl Plan {
    /// One file, as `name` in the destination folder.
    pub(in crate::peer) fn file(id: FileId, geometry: Geometry, name: &str) -> Option<Plan> {
        let layout = Arc::new(Layout::new(vec![geometry])?);
        let name = Name::new(name.to_owned(), None);
        let slots = vec![Slot::new(id, geometry, vec![name])];
        let (folders, links, hard_links) = (Vec::new(), Vec::new(), Vec::new());
        let left_out = LeftOut::default();
        Some(Plan { layout, slots, folders, links, hard_links, root_mode: None, left_out, named: None })
    }

    /// All that a tree lists.
    pub(in crate::peer) fn tree(tree: &Tree) -> Result<Plan, TreeError> {
        let members = tree.layout()?;
        let mut slots: Vec<Slot> = members
            .ids
            .iter()
            .zip(members.layout.files())
            .map(|(id, geometry)| Slot::new(*id, *geometry, Vec::new()))
            .collect();
        let (mut folders, mut links, mut hard_links) = (Vec::new(), Vec::new(), Vec::new());
        // How a file looks, all its names share.
        let mut looks_of = std::collections::HashMap::new();
        for (entry, file) in tree.entries().iter().zip(&members.file_of) {
            let path = entry.path.as_str().to_owned();
            match (&entry.kind, *file) {
                (TreeKind::Folder(looks), _) => folders.push((path, *looks)),
                (TreeKind::Link(target), _) => links.push((path, target.to_string())),
                (TreeKind::File { looks, .. }, Some(file)) => {
                    looks_of.insert(entry.path.as_str(), *looks);
                    slots[file].names.push(Name::new(path, Some(*looks)));
                }
                (TreeKind::HardLink(of), Some(file)) => {
                    let looks = looks_of.get(of.as_str()).copied();
                    let (name, of) = (Name::new(path, looks), of.as_str().to_owned());
                    hard_links.push(HardLink { name, of, file });
                }
                (TreeKind::File { .. } | TreeKind::HardLink(_), None) => return Err(TreeError::HardLink),
            }
        }
        let (layout, root_mode) = (Arc::new(members.layout), Some(tree.mode()));
        let left_out = tree.left_out().clone();
        Ok(Plan { layout, slots, folders, links, hard_links, root_mode, left_out, named: None })
    }

    /// With the tree's name.
    pub(in crate::peer) fn named(self, name: &str) -> Plan {
        Plan { named: Some(name.to_owned()), ..self }
    }

    /// Every file's path with what is put there.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, FileId)> {
        let files = self.slots.iter().flat_map(|slot| slot.names.iter().map(|name| (&*name.path, slot.id)));
        files.chain(self.hard_links.iter().map(|link| (&*link.name.path, self.slots[link.file].id)))
    }

    /// Every path that a file or a symbolic link gets.
    pub(super) fn paths(&self) -> HashSet<&str> {
        let links = self.links.iter().map(|(path, _)| &**path);
        self.all().map(|(path, _)| path).chain(links).collect()
    }

    /// The inodes of all files that have their names.
    pub(super) fn inodes(&self) -> HashSet<u64> {
        let others = self.hard_links.iter().map(|link| &link.name);
        let names = self.slots.iter().flat_map(|slot| &slot.names).chain(others);
        names.filter_map(|name| Some((*lock(&name.named))?.inode)).collect()
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
