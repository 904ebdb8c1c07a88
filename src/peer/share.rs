//! What a peer shares: a folder's files and trees, found by walking, proved by hashing, kept up to
//! date by watching. This is the handle of it.
//!
//! The invariant: an id is offered only for bytes that were hashed, under a stamp that the file must
//! still have when it is served; of a file that only may hold them, each chunk is proved before it leaves.
//! Nothing here writes into the shared folder or copies from it; the only file written is the index in the
//! state folder.
//!
//! One value, `state`, behind one lock, which is held for a step: no file is read and nothing is hashed meanwhile.
//! Changes are sent under it, so that their order is the order in which they happened.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::Receiver;

use crate::content::{FileId, Manifest, Place, SafeName};
use crate::peer::got::Noted;
use crate::wire::{Offer, View};

mod catalogue;
mod coming;
mod config;
mod core;
mod current;
mod debounce;
mod doubt;
mod earlier;
mod find;
mod first;
#[cfg(feature = "lab")]
pub(crate) mod fuzzing;
mod hash;
mod holding;
mod index;
mod job;
mod keep;
mod lanes;
mod later;
mod left_out;
mod links;
mod log;
mod look;
mod mailbox;
mod order;
mod reading;
mod recent;
mod record;
mod restless;
mod scan;
mod selection;
mod state;
mod walk;
mod watch;

pub use catalogue::{Change, Summary};
pub use config::{Config, Progress, ShareError};
pub use holding::{Adopted, Holding, Members, Standing};
pub(super) use reading::{is_passing, read_at, read_chunk};
pub use record::Source;
pub(super) use record::looks_of;
pub use selection::Selection;

use self::core::Core;
use record::{Found, below};

/// What a peer shares. Stops watching and hashing when it is dropped.
pub struct Share {
    core: Arc<Core>,
    threads: Vec<JoinHandle<()>>,
    changes: Receiver<Change>,
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
        let (core, notice) = first::look(config, sender, progress)?;
        let mut share = Share { core: Arc::new(core), threads: Vec::new(), changes };
        keep::start(&share.core, notice, &mut share.threads)?;
        Ok(Arc::new(share))
    }

    /// The shared folder, resolved: what [`Source::path`] is below.
    pub fn root(&self) -> &Path {
        &self.core.walker.root
    }

    /// What is shared, resolved: the folder, or the single file.
    pub fn place(&self) -> PathBuf {
        let walker = &self.core.walker;
        walker.only.as_ref().map_or_else(|| walker.root.clone(), |only| walker.root.join(only))
    }

    /// Everything that is shared, for REGISTER.
    pub fn offers(&self) -> Vec<Offer> {
        self.core.read().catalogue.offers()
    }

    /// What is shared of a content, as it stands in [`Share::offers`].
    pub fn offers_of(&self, id: FileId) -> Vec<Offer> {
        self.core.read().catalogue.offers_of(id)
    }

    /// What is offered of a file or folder, by its resolved path, if it is as it lies there now.
    pub fn offer_at(&self, path: &Path) -> Option<Offer> {
        current::offer_at(&self.core, path)
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

    /// What it takes to serve a content.
    ///
    /// A file's stamp was right a moment ago; those of a tree's members were not looked at.
    pub fn find(&self, id: FileId, view: View) -> Option<Holding> {
        find::find(&self.core, id, view)
    }

    /// All chunk hashes of a file or listing.
    pub fn manifest(&self, id: FileId) -> Option<Arc<Manifest>> {
        find::manifest(&self.core, id)
    }

    /// Offers finished downloads without hashing them again, but for those that look otherwise by now; `folders`
    /// are paths of folders that came with them, and `noted` is what is new of what is known of `place`.
    pub fn adopt(&self, place: &str, files: Vec<Adopted>, folders: &[SafeName], noted: Noted) {
        let seen = |path: &str| {
            let metadata = fs::metadata(below(self.root(), path)).ok().filter(fs::Metadata::is_dir)?;
            Some((Arc::from(path), looks_of(&metadata)))
        };
        let folders_new = folders.iter().map(SafeName::path).filter_map(seen).collect();
        let mut entered = Vec::new();
        let mut changed = Vec::new();
        for file in files {
            let path: Arc<str> = Arc::from(file.path.path());
            let found = fs::metadata(below(self.root(), &path)).ok().map(|now| Found::of(&now));
            match found.filter(|found| found.stamp == file.stamp && self.core.walker.shares(&path)) {
                Some(found) => {
                    let hashes = if file.hashes.len() > 1 { file.hashes } else { Vec::new() };
                    entered.push((path, found.with_id(file.id), hashes));
                }
                None => changed.push(path),
            }
        }
        self.core.step(|state| ((), state.adopt(place, noted, entered, folders_new)));
        self.core.mailbox.post(changed);
    }

    /// A fetch is about to fill `path`: what is found there is not shared before it is adopted, or before what
    /// this returns is dropped.
    pub fn expect(self: &Arc<Self>, path: &str) -> Expected {
        let path: Arc<str> = Arc::from(path);
        self.core.step(|state| (state.expect(path.clone()), Vec::new()));
        Expected { share: self.clone(), path }
    }

    /// A file is not what it was: it is offered again when it was hashed again.
    pub fn withdraw(&self, path: &str) {
        self.core.withdraw(path);
    }

    /// Has a path and all below it looked at soon, as if it had changed.
    pub fn look_at(&self, path: &str) {
        self.core.mailbox.post([Arc::from(path)]);
    }

    /// Opens the file at `path` to serve it as the content `id`.
    ///
    /// # Errors
    /// Those of opening.
    pub fn open_source(&self, path: &str, id: FileId) -> io::Result<Standing> {
        doubt::open_source(&self.core, path, id)
    }

    /// Changes whenever a file was found not to be what it was offered as, however it looks.
    pub fn withdrawals(&self) -> u64 {
        self.core.withdrawals()
    }

    /// One chunk of a file of the content `id`; `None` if its bytes are not those that were hashed.
    ///
    /// # Errors
    /// Those of reading.
    pub fn proved_chunk(&self, id: FileId, file: &File, place: Place) -> io::Result<Option<Vec<u8>>> {
        doubt::proved_chunk(&self.core, id, file, place)
    }

    /// Somebody says that this chunk did not prove, or could not read it: it is read again here.
    pub fn check(&self, path: &Arc<str>, id: FileId, place: Place) {
        doubt::check(&self.core, path, id, place);
    }

    /// The file at `path` could not be read now: it is read again, and until then nobody gets what was not proved.
    /// What this process is short of is no reason for that.
    pub fn put_off(&self, path: &Arc<str>, error: &io::Error) {
        doubt::put_off(&self.core, path, error);
    }

    /// The file at `path` does not hold the bytes that were hashed as `id`, however it looks.
    pub fn expose(&self, path: &str, id: FileId) {
        doubt::expose(&self.core, path, id);
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
        self.share.core.step(|state| (state.expect_no_more(&self.path), Vec::new()));
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
        self.core.stop();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        self.core.step(|state| ((), state.lay_ghosts()));
    }
}

#[cfg(test)]
mod tests;
