//! What is at the destination, seen before anything there is touched. If something is in the way, all of it is named.
//!
//! Paths that were a file or a symbolic link in an older version and are a folder in the newer one, or the other way
//! round, are seen here too. What was put there before, and nobody changed, gives way; what its user put there never does, not
//! even to force. A file or link is removed when the folders are made, a folder goes to the trash, if that was asked for.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::FileType;

use super::error::DiskError;
use super::ground::{Ground, Proved, is_link_to};
use super::plan::{HardLink, Name, Plan, Slot};
use crate::content::ChunkHash;
use crate::peer::stamp::Stamp;
use crate::threads::{self, lock};

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Files that are right under all their names, and their chunks' hashes.
    pub(super) found: BTreeMap<usize, Vec<ChunkHash>>,
    /// How each looked that is right, by the number of its name.
    pub(super) right: BTreeMap<usize, Stamp>,
    /// Where files or links stand that are to be folders.
    pub(super) turned: HashSet<String>,
    /// Folders that give way to files or links.
    pub(super) folded: Vec<String>,
}

/// A look, by several threads, each of which does not wait for the others.
struct Survey<'a> {
    ground: &'a Ground,
    plan: &'a Plan,
    turned: HashSet<String>,
    found: Mutex<BTreeMap<usize, Vec<ChunkHash>>>,
    right: Mutex<BTreeMap<usize, Stamp>>,
    folded: Mutex<HashSet<String>>,
    trouble: Mutex<Vec<DiskError>>,
    /// The next file to look at.
    next: AtomicUsize,
}

/// Looks at all that is at the destination of what is planned, on all cores.
pub(super) fn look(ground: &Ground, plan: &Plan) -> Result<Seen, DiskError> {
    let (turned, trouble) = turned(ground, plan);
    let survey = Survey {
        ground,
        plan,
        turned,
        found: Mutex::default(),
        right: Mutex::default(),
        folded: Mutex::default(),
        trouble: Mutex::new(trouble),
        next: AtomicUsize::new(0),
    };
    survey.links();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let look = || survey.files();
        let helpers: Vec<_> =
            (1..cores).filter_map(|_| threads::named("prove").helper(scope, look)).collect();
        look();
        helpers.into_iter().for_each(threads::join);
    });
    survey.seen()
}

/// Where something else stands than the folder that is to be there. Seen before what should be in them.
fn turned(ground: &Ground, plan: &Plan) -> (HashSet<String>, Vec<DiskError>) {
    let (mut turned, mut trouble) = (HashSet::new(), Vec::new());
    for (path, _) in &plan.folders {
        match ground.kind(path, &turned) {
            Ok(None | Some(FileType::Directory)) => {}
            Ok(Some(_)) => {
                turned.insert(path.clone());
                trouble.extend(ground.expect_own(path).err());
            }
            Err(error) => trouble.push(error),
        }
    }
    (turned, trouble)
}

impl Survey<'_> {
    /// Whether a different thing is where a link should be.
    fn links(&self) {
        let links = self.plan.links.iter().map(|(path, target)| self.link(path, target));
        let hard_links = self.plan.hard_links.iter().map(|link| self.hard_link(link));
        lock(&self.trouble).extend(links.chain(hard_links).filter_map(Result::err).collect::<Vec<_>>());
    }

    fn link(&self, path: &str, target: &str) -> Result<(), DiskError> {
        let Some(kind) = self.ground.kind(path, &self.turned)? else { return Ok(()) };
        let (folder, base) = self.ground.spot(path)?;
        if !is_link_to(&folder, base, target) {
            self.expect_replaceable(kind, path)?;
        } else if let Some(own) = &self.ground.own {
            own.is_right_link(path, target);
        }
        Ok(())
    }

    fn hard_link(&self, link: &HardLink) -> Result<(), DiskError> {
        let path = &link.name.path;
        let Some(kind) = self.ground.kind(path, &self.turned)? else { return Ok(()) };
        match self.in_place(&link.name, &self.plan.slots[link.file]) {
            Ok(Some(_)) => Ok(()),
            // What is in the way may be replaced even so.
            Err(error) if !error.is_in_the_way() => Err(error),
            Ok(None) | Err(_) => self.expect_replaceable(kind, path),
        }
    }

    /// Looks at one file after the other, as long as there are some.
    fn files(&self) {
        loop {
            threads::may_panic("prove");
            let file = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(slot) = self.plan.slots.get(file) else { return };
            match self.file(slot) {
                Ok(Some(hashes)) => drop(lock(&self.found).insert(file, hashes)),
                Ok(None) => {}
                Err(error) => lock(&self.trouble).push(error),
            }
        }
    }

    /// The hashes of a file that is there under all its names with the right bytes.
    fn file(&self, slot: &Slot) -> Result<Option<Vec<ChunkHash>>, DiskError> {
        let (mut right, mut hashes) = (0, Vec::new());
        for name in &slot.names {
            if let Some(proved) = self.in_place(name, slot)? {
                right += 1;
                hashes = proved.hashes;
            }
        }
        Ok((right == slot.names.len()).then_some(hashes))
    }

    /// The file if it is right under this name.
    fn in_place(&self, name: &Name, slot: &Slot) -> Result<Option<Proved>, DiskError> {
        // Looked at before it is opened: opening a device may do something.
        let Some(kind) = self.ground.kind(&name.path, &self.turned)? else { return Ok(None) };
        if kind == FileType::Directory && self.folder_gives_way(&name.path)? {
            return Ok(None);
        }
        let proved = self.ground.in_place(kind, (name, slot))?;
        if let Some(proved) = &proved {
            lock(&self.right).insert(name.number, proved.stamp);
        }
        Ok(proved)
    }

    fn expect_replaceable(&self, kind: FileType, path: &str) -> Result<(), DiskError> {
        if kind == FileType::Directory && self.folder_gives_way(path)? {
            return Ok(());
        }
        let (folder, base) = self.ground.spot(path)?;
        self.ground.expect_replaceable(&folder, base, path)
    }

    /// True if a folder that stands in the place of a file or link may go.
    fn folder_gives_way(&self, path: &str) -> Result<bool, DiskError> {
        let Some(own) = &self.ground.own else { return Ok(false) };
        if !own.folder_gives_way(path, &self.ground.root, self.inodes()).map_err(DiskError::at(path))? {
            return Ok(false);
        }
        if !self.ground.manner.delete {
            return Err(DiskError::OlderFolder(path.to_owned()));
        }
        lock(&self.folded).insert(path.to_owned());
        Ok(true)
    }

    /// The inodes of files that were found to be of this version.
    fn inodes(&self) -> HashSet<u64> {
        lock(&self.right).values().map(|stamp| stamp.inode).collect()
    }

    fn seen(self) -> Result<Seen, DiskError> {
        fn inner<T>(mutex: Mutex<T>) -> T {
            mutex.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
        }
        if let Some(error) = DiskError::of_all(inner(self.trouble)) {
            return Err(error);
        }
        let mut folded: Vec<String> = inner(self.folded).into_iter().collect();
        folded.sort();
        Ok(Seen { found: inner(self.found), right: inner(self.right), turned: self.turned, folded })
    }
}
