//! What it takes to serve a content: where it lies, or its listing, or the files of its tree; and its chunk hashes.
//!
//! Whatever takes long, reading or making a tree, is done without a lock, from what was known a moment ago.

use std::fs;
use std::sync::Arc;

use super::core::Core;
use super::holding::{Holding, Members};
use super::record::{Source, below};
use crate::content::{ChunkHash, ChunkIndex, FileId, Geometry, Manifest, hash_chunk};
use crate::peer::stamp::Stamp;
use crate::threads::lock;
use crate::wire::View;

/// About what one file of an opened tree takes in memory.
const MEMBER_BYTES: usize = size_of::<Source>() + size_of::<FileId>() + size_of::<Geometry>() + 24;

/// What it takes to serve a content.
pub(super) fn find(core: &Core, id: FileId, view: View) -> Option<Holding> {
    match view {
        View::Members => members(core, id).map(Holding::Members),
        View::Bytes => file(core, id).or_else(|| {
            let bytes = listing(core, id)?;
            Some(Holding::Listing(Geometry::of(bytes.len() as u64)?, bytes))
        }),
    }
}

/// The first file with this content that still looks as it did; the others are looked at again.
fn file(core: &Core, id: FileId) -> Option<Holding> {
    let sources: Vec<Source> = core.read().sources_of(id).collect();
    let mut doubted = None;
    for source in sources {
        let metadata = fs::metadata(below(&core.walker.root, &source.path));
        let now = metadata.ok().filter(fs::Metadata::is_file).map(|metadata| Stamp::of(&metadata));
        if now == Some(source.stamp) {
            return Some(Holding::File(Geometry::of(source.stamp.size)?, source));
        }
        core.mailbox.post([source.path.clone()]);
        doubted = doubted.or(now.filter(|now| now.may_hold(&source.stamp)).map(|_| source));
    }
    let source = doubted?;
    Some(Holding::File(Geometry::of(source.stamp.size)?, source))
}

fn listing(core: &Core, id: FileId) -> Option<Arc<[u8]>> {
    let cached = lock(&core.caches).listings.get(id);
    if cached.is_some() {
        return cached;
    }
    let below = core.read().catalogue.below_with(id)?;
    let bytes: Arc<[u8]> = below.tree()?.encode().into();
    if FileId::of(&bytes) != id {
        return None; // it has changed, and trackers are about to hear of it
    }
    lock(&core.caches).listings.put(id, bytes.clone(), bytes.len());
    Some(bytes)
}

fn members(core: &Core, id: FileId) -> Option<Arc<Members>> {
    let step = core.read().catalogue.steps();
    let cached = lock(&core.caches).members.get(step, id);
    if cached.is_some() {
        return cached;
    }
    let (step, below) = {
        let state = core.read();
        (state.catalogue.steps(), state.catalogue.below_with(id)?)
    };
    let tree = below.tree()?;
    if below.is_stale() && FileId::of(&tree.encode()) != id {
        return None; // as above
    }
    let layout = tree.layout().ok()?;
    let mut sources: Vec<Option<Source>> = vec![None; layout.ids.len()];
    for (entry, file) in tree.entries().iter().zip(&layout.file_of) {
        let Some(file) = *file else { continue };
        let (path, record) = below.member(&entry.path)?;
        sources[file].get_or_insert_with(|| Source { path: path.clone(), stamp: record.stamp });
    }
    let sources = sources.into_iter().collect::<Option<Vec<_>>>()?;
    let bytes = tree.entries().len() * MEMBER_BYTES;
    let members = Arc::new(Members { layout, sources });
    lock(&core.caches).members.put(step, id, members.clone(), bytes);
    Some(members)
}

/// All chunk hashes of a file or listing.
pub(super) fn manifest(core: &Core, id: FileId) -> Option<Arc<Manifest>> {
    let cached = lock(&core.caches).manifests.get(id);
    if cached.is_some() {
        return cached;
    }
    let manifest = Arc::new(file_manifest(core, id).or_else(|| listing_manifest(core, id))?);
    let bytes = 2 * manifest.hashes().len() * ChunkHash::BYTES;
    lock(&core.caches).manifests.put(id, manifest.clone(), bytes);
    Some(manifest)
}

fn file_manifest(core: &Core, id: FileId) -> Option<Manifest> {
    let (path, size) = {
        let source = core.read().sources_of(id).next()?;
        (source.path, source.stamp.size)
    };
    let geometry = Geometry::of(size)?;
    let hashes = match geometry.chunks() {
        0 => Vec::new(),
        1 => vec![ChunkHash(id.0)],
        _ => core.index.hashes(id).unwrap_or_default(),
    };
    match Manifest::new(geometry, hashes) {
        Ok((manifest, proved)) if proved == id => Some(manifest),
        // What it was before it grew; hashing it again would not bring that back.
        _ if !core.read().catalogue.has_file(id) => None,
        _ => {
            tracing::warn!(path = &*path, "its chunk hashes are lost, it is hashed again");
            core.withdraw(&path);
            None
        }
    }
}

fn listing_manifest(core: &Core, id: FileId) -> Option<Manifest> {
    let bytes = listing(core, id)?;
    let geometry = Geometry::of(bytes.len() as u64)?;
    let chunks = (0..geometry.chunks()).filter_map(|number| geometry.index(number));
    let hash = |chunk: ChunkIndex| {
        let start = geometry.offset(chunk) as usize;
        hash_chunk(geometry, chunk, &bytes[start..start + geometry.len(chunk) as usize])
    };
    Manifest::new(geometry, chunks.map(hash).collect()).ok().map(|(manifest, _)| manifest)
}
