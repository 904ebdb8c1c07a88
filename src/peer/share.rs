//! What a peer shares: a folder's files and trees, found by walking, proved by hashing, kept up to
//! date by watching.
//!
//! The invariant: an id is offered only for bytes that were hashed, under a stamp that the file must
//! still have when it is served; of a file that only may hold them, each chunk is proved before it leaves.
//! Nothing here writes into the shared folder or copies from it; the only file written is the index in the
//! state folder.
//!
//! One value, [`State`], behind one lock; no file is read and nothing is hashed while it is held.
//! Changes are sent under it, so that their order is the order in which they happened.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender};

use crate::content::{
    ChunkHash, ChunkIndex, FileId, Geometry, Manifest, NameError, SafeName, TreeLayout, hash_chunk,
};
use crate::peer::got::Got;
use crate::peer::stamp::{Shape, Stamp};
use crate::threads::lock;
use crate::wire::{Offer, View};

mod catalogue;
mod debounce;
mod doubt;
mod earlier;
mod first;
#[cfg(feature = "lab")]
pub(crate) mod fuzzing;
mod hash;
mod index;
mod keep;
mod later;
mod left_out;
mod log;
mod recent;
mod record;
mod restless;
mod walk;
mod watch;

pub use catalogue::{Change, Summary};
pub use doubt::Standing;
pub(super) use doubt::{is_passing, read_at, read_chunk};
pub use record::Source;
pub(super) use record::looks_of;

use catalogue::{Catalogue, Delta};
use earlier::Earlier;
use index::Index;
use later::Later;
use recent::Recent;
use record::{Found, parent};
use walk::Walker;
use watch::{Mailbox, Watches};

/// Bytes of manifests kept for the next question.
const MANIFESTS_BYTES: usize = 8 << 20;
/// Bytes of listings kept for the next question.
const LISTINGS_BYTES: usize = 8 << 20;
/// Bytes of opened trees kept for the next question.
const MEMBERS_BYTES: usize = 8 << 20;
/// About what one file of an opened tree takes in memory.
const MEMBER_BYTES: usize = size_of::<Source>() + size_of::<FileId>() + size_of::<Geometry>() + 24;
/// Most files that are remembered after they went, in case they come back under another name.
const MAX_GHOSTS: usize = 65_536;

/// What to share and how.
#[derive(Debug, Clone)]
pub struct Config {
    /// A folder, or a single file, which is then shared alone.
    pub folder: PathBuf,
    /// Stands before every path in its name and ends with `/`; the folder itself is then a tree of
    /// this name. Without it the folder is no tree, and names are paths below it.
    pub prefix: Option<String>,
    /// The state folder, made if need be; never shared.
    pub state: PathBuf,
    /// True to follow changes while sharing.
    pub watch: bool,
    /// Threads that walk and hash; 0 for one on each core.
    pub threads: usize,
}

/// Why something cannot be shared.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// It does not exist or cannot be read.
    #[error("cannot share {}: {source}", path.display())]
    Folder {
        /// What was to be shared.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is neither a file nor a folder, or its name cannot be told to others.
    #[error("cannot share {}: {reason}", path.display())]
    Unsuitable {
        /// What was to be shared.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The prefix is not a name.
    #[error("{prefix:?} cannot stand before names: {source}")]
    Prefix {
        /// The prefix.
        prefix: String,
        /// What is wrong with it.
        source: NameError,
    },
    /// Another process shares the same folder.
    #[error("another p2p peer is sharing this folder ({})", path.display())]
    Busy {
        /// What was to be shared.
        path: PathBuf,
    },
    /// The system has no thread or event descriptor left.
    #[error("cannot share: {0}")]
    System(#[from] io::Error),
    /// The caller wanted no more while files were hashed. What was hashed is remembered.
    #[error("stopped before everything was hashed")]
    Stopped,
}

/// How far the first look has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Files to hash.
    pub files: u64,
    /// Files hashed.
    pub files_done: u64,
    /// Bytes to hash.
    pub bytes: u64,
    /// Bytes hashed.
    pub bytes_done: u64,
}

/// What the serving side needs to serve a content.
#[derive(Debug, Clone)]
pub enum Holding {
    /// A file: its chunks, and where they lie.
    File(Geometry, Source),
    /// A listing, in memory.
    Listing(Geometry, Arc<[u8]>),
    /// The files of a tree.
    Members(Arc<Members>),
}

/// The files of a tree, and where they lie.
#[derive(Debug)]
pub struct Members {
    /// How their chunks are numbered.
    pub layout: TreeLayout,
    /// For each file of the layout, a place where it lies.
    pub sources: Vec<Source>,
}

/// A finished download in the shared folder.
#[derive(Debug)]
pub struct Adopted {
    /// The path below the folder.
    pub path: SafeName,
    /// The content.
    pub id: FileId,
    /// Its chunk hashes.
    pub hashes: Vec<ChunkHash>,
    /// How the file looked when it had been proved and put in place.
    pub stamp: Stamp,
}

/// What a peer shares. Stops watching and hashing when it is dropped.
pub struct Share {
    core: Arc<Core>,
    threads: Vec<JoinHandle<()>>,
    changes: Receiver<Change>,
}

/// What the threads of a share have in common.
struct Core {
    walker: Walker,
    threads: usize,
    index: Index,
    state: RwLock<State>,
    caches: Mutex<Caches>,
    changes: Sender<Change>,
    notice: Mutex<left_out::Notice>,
    later: Mutex<Later>,
    mailbox: Mailbox,
    watches: Option<Arc<Watches>>,
    stop: AtomicBool,
    /// Counts the times when something was found not to be what it was offered as, though it looked so.
    withdrawals: AtomicU64,
}

struct State {
    catalogue: Catalogue,
    /// Ids of files that went, by how they looked: a file that comes back under another name is known.
    ghosts: HashMap<Shape, (Stamp, FileId)>,
    /// What files that grew held before.
    earlier: Earlier,
    /// Files given to the hashing threads. What they find counts only if it is still wanted here.
    hashing: HashMap<Arc<str>, Stamp>,
    /// What is being fetched, at or below these paths, is nothing to look at yet: in part it is nobody's.
    expected: Vec<Arc<str>>,
    /// Links that are followed, by the path people see, to the path where events happen.
    links: BTreeMap<Arc<str>, Arc<str>>,
}

struct Caches {
    manifests: Recent<Arc<Manifest>>,
    listings: Recent<Arc<[u8]>>,
    members: Recent<Arc<Members>>,
}

impl Share {
    /// Finds out what there is, hashes what is new, and returns when all is known.
    ///
    /// While files are hashed, `progress` is told about ten times a second, and may break it off.
    ///
    /// # Errors
    /// [`ShareError`] says what is in the way.
    pub fn open(
        config: Config,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Arc<Share>, ShareError> {
        let (sender, changes) = crossbeam_channel::unbounded();
        let core = Arc::new(first::look(config, sender, progress)?);
        let threads = keep::start(&core)?;
        Ok(Arc::new(Share { core, threads, changes }))
    }

    /// The shared folder, resolved: what [`Source::path`] is below.
    pub fn root(&self) -> &Path {
        &self.core.walker.root
    }

    /// Everything that is shared, for REGISTER.
    pub fn offers(&self) -> Vec<Offer> {
        self.core.read().catalogue.offers()
    }

    /// What is shared of a content, as it stands in [`Share::offers`].
    pub fn offers_of(&self, id: FileId) -> Vec<Offer> {
        self.core.read().catalogue.offers_of(id)
    }

    /// How much is shared.
    pub fn summary(&self) -> Summary {
        self.core.read().catalogue.summary()
    }

    /// What changed, in order, each change once whoever receives it. To be drained for as long as the
    /// share lives. Changes that [`Share::offers`] has seen already may come again.
    pub fn changes(&self) -> Receiver<Change> {
        self.changes.clone()
    }

    /// The content of the file at `path` below the folder, as far as it is known.
    pub fn id_at(&self, path: &str) -> Option<FileId> {
        self.core.read().catalogue.file(path).map(|record| record.id)
    }

    /// What it takes to serve a content.
    ///
    /// A file's stamp was right a moment ago; those of a tree's members were not looked at.
    pub fn find(&self, id: FileId, view: View) -> Option<Holding> {
        match view {
            View::Members => self.core.members(id).map(Holding::Members),
            View::Bytes => self.core.find_file(id).or_else(|| {
                let bytes = self.core.listing(id)?;
                Some(Holding::Listing(Geometry::of(bytes.len() as u64)?, bytes))
            }),
        }
    }

    /// All chunk hashes of a file or listing.
    pub fn manifest(&self, id: FileId) -> Option<Arc<Manifest>> {
        self.core.manifest(id)
    }

    /// Offers finished downloads without hashing them again, but for those that look otherwise by now; `folders`
    /// are paths of folders that came with them.
    pub fn adopt(&self, place: &str, files: Vec<Adopted>, folders: &[SafeName]) {
        let got = Got::read(&record::below(self.root(), place));
        let seen = |path: &str| {
            let metadata =
                fs::metadata(record::below(self.root(), path)).ok().filter(fs::Metadata::is_dir)?;
            Some((Arc::from(path), record::looks_of(&metadata)))
        };
        let folders_new = folders.iter().map(SafeName::path).filter_map(seen).collect();
        let mut delta = Delta { folders_new, ..Delta::default() };
        for file in files {
            let path: Arc<str> = Arc::from(file.path.path());
            let found = fs::metadata(record::below(self.root(), &path)).ok().map(|now| Found::of(&now));
            match found.filter(|found| found.stamp == file.stamp && self.core.walker.shares(&path)) {
                Some(found) => {
                    let record = found.with_id(file.id);
                    let hashes = if file.hashes.len() > 1 { file.hashes } else { Vec::new() };
                    self.core.index.put(&path, &record, hashes);
                    delta.entered.push((path, record));
                }
                None => self.core.mailbox.post(path),
            }
        }
        self.core.index.sync_first(&self.core.walker.root);
        let mut state = self.core.write();
        for (path, _) in &delta.entered {
            state.hashing.remove(path);
        }
        state.catalogue.set_got(place, got);
        self.core.step(&mut state, delta);
        self.core.mailbox.wake();
    }

    /// A fetch is about to fill `path`: what is found there is not shared before it is adopted, or before what
    /// this returns is dropped.
    pub fn expect(self: &Arc<Self>, path: &str) -> Expected {
        let path: Arc<str> = Arc::from(path);
        self.core.write().expected.push(path.clone());
        Expected { share: self.clone(), path }
    }

    /// A file is not what it was: it is offered again when it was hashed again.
    pub fn withdraw(&self, path: &str) {
        self.core.withdraw(path);
    }

    /// Has a path and all below it looked at soon, as if it had changed.
    pub fn look_at(&self, path: &str) {
        self.core.mailbox.post(Arc::from(path));
    }
}

/// A path that a fetch is filling.
#[derive(Debug)]
pub struct Expected {
    share: Arc<Share>,
    path: Arc<str>,
}

impl Drop for Expected {
    fn drop(&mut self) {
        let mut state = self.share.core.write();
        if let Some(at) = state.expected.iter().position(|path| *path == self.path) {
            state.expected.remove(at);
        }
        drop(state);
        self.share.look_at(&self.path); // whatever else is there
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").field("root", &self.root()).finish_non_exhaustive()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.core.stop.store(true, Ordering::Relaxed);
        self.core.mailbox.wake();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        self.core.lay_ghosts(&mut self.core.write());
    }
}

impl Core {
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a step and tells of it.
    fn step(&self, state: &mut State, delta: Delta) {
        // A tree may be the same and its files' stamps others.
        lock(&self.caches).members.clear();
        let change = state.catalogue.apply(delta);
        if !change.is_empty() {
            // There is a receiver as long as there is a share.
            let _ = self.changes.send(change);
        }
    }

    /// Says what is left out, if that was not said yet.
    fn tell_left_out(&self) {
        let line = lock(&self.notice).of(self.read().catalogue.left_out());
        if let Some(line) = line {
            tracing::warn!("{line}");
        }
    }

    fn withdraw(&self, path: &str) {
        let mut state = self.write();
        self.withdrawals.fetch_add(1, Ordering::Release);
        if state.catalogue.file(path).is_some() {
            // No ghost: whatever is wrong with it, only hashing can tell.
            self.step(&mut state, Delta { gone: vec![Arc::from(path)], ..Delta::default() });
        }
        drop(state);
        self.index.remove([path]);
        self.mailbox.post(Arc::from(path));
    }

    /// Remembers a file that went.
    fn raise_ghost(&self, state: &mut State, stamp: Stamp, id: FileId) {
        if state.ghosts.len() >= MAX_GHOSTS {
            self.lay_ghosts(state);
        }
        state.ghosts.insert(stamp.shape(), (stamp, id));
    }

    /// Forgets all files that went, and the chunk hashes that were kept for them.
    fn lay_ghosts(&self, state: &mut State) {
        let ghosts = std::mem::take(&mut state.ghosts);
        self.index.remove_hashes(
            ghosts.into_values().map(|(_, id)| id).filter(|id| !state.catalogue.has_file(*id)),
        );
    }

    /// The first file with this content that still looks as it did; the others are looked at again.
    fn find_file(&self, id: FileId) -> Option<Holding> {
        let sources: Vec<Source> = self.read().sources_of(id).collect();
        let mut doubted = None;
        for source in sources {
            let metadata = fs::metadata(record::below(&self.walker.root, &source.path));
            let now = metadata.ok().filter(fs::Metadata::is_file).map(|metadata| Stamp::of(&metadata));
            if now == Some(source.stamp) {
                return Some(Holding::File(Geometry::of(source.stamp.size)?, source));
            }
            self.mailbox.post(source.path.clone());
            doubted = doubted.or(now.filter(|now| now.may_hold(&source.stamp)).map(|_| source));
        }
        let source = doubted?;
        Some(Holding::File(Geometry::of(source.stamp.size)?, source))
    }

    fn listing(&self, id: FileId) -> Option<Arc<[u8]>> {
        let cached = lock(&self.caches).listings.get(id);
        if cached.is_some() {
            return cached;
        }
        let tree = {
            let state = self.read();
            state.catalogue.tree(state.catalogue.folder_of(id)?)?
        };
        let bytes: Arc<[u8]> = tree.encode().into();
        lock(&self.caches).listings.put(id, bytes.clone(), bytes.len());
        Some(bytes)
    }

    fn members(&self, id: FileId) -> Option<Arc<Members>> {
        // Held until the answer is in the cache, so that no step comes between.
        let state = self.read();
        let cached = lock(&self.caches).members.get(id);
        if cached.is_some() {
            return cached;
        }
        let folder = state.catalogue.folder_of(id)?;
        let tree = state.catalogue.tree(folder)?;
        let layout = tree.layout().ok()?;
        let mut sources: Vec<Option<Source>> = vec![None; layout.ids.len()];
        for (entry, file) in tree.entries().iter().zip(&layout.file_of) {
            let Some(file) = *file else { continue };
            let (path, record) = state.catalogue.member(folder, &entry.path)?;
            sources[file].get_or_insert_with(|| Source { path: path.clone(), stamp: record.stamp });
        }
        let sources = sources.into_iter().collect::<Option<Vec<_>>>()?;
        let bytes = tree.entries().len() * MEMBER_BYTES;
        let members = Arc::new(Members { layout, sources });
        lock(&self.caches).members.put(id, members.clone(), bytes);
        Some(members)
    }

    fn manifest(&self, id: FileId) -> Option<Arc<Manifest>> {
        let cached = lock(&self.caches).manifests.get(id);
        if cached.is_some() {
            return cached;
        }
        let manifest = Arc::new(self.file_manifest(id).or_else(|| self.listing_manifest(id))?);
        let bytes = 2 * manifest.hashes().len() * ChunkHash::BYTES;
        lock(&self.caches).manifests.put(id, manifest.clone(), bytes);
        Some(manifest)
    }

    fn file_manifest(&self, id: FileId) -> Option<Manifest> {
        let (path, size) = {
            let source = self.read().sources_of(id).next()?;
            (source.path, source.stamp.size)
        };
        let geometry = Geometry::of(size)?;
        let hashes = match geometry.chunks() {
            0 => Vec::new(),
            1 => vec![ChunkHash(id.0)],
            _ => self.index.hashes(id).unwrap_or_default(),
        };
        match Manifest::new(geometry, hashes) {
            Ok((manifest, proved)) if proved == id => Some(manifest),
            // What it was before it grew; hashing it again would not bring that back.
            _ if !self.read().catalogue.has_file(id) => None,
            _ => {
                tracing::warn!(path = &*path, "its chunk hashes are lost, it is hashed again");
                self.withdraw(&path);
                None
            }
        }
    }

    fn listing_manifest(&self, id: FileId) -> Option<Manifest> {
        let bytes = self.listing(id)?;
        let geometry = Geometry::of(bytes.len() as u64)?;
        let chunks = (0..geometry.chunks()).filter_map(|number| geometry.index(number));
        let hash = |chunk: ChunkIndex| {
            let start = geometry.offset(chunk) as usize;
            hash_chunk(geometry, chunk, &bytes[start..start + geometry.len(chunk) as usize])
        };
        Manifest::new(geometry, chunks.map(hash).collect()).ok().map(|(manifest, _)| manifest)
    }
}

#[cfg(test)]
mod tests;
