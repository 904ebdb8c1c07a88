//! The walk: what lies in a shared folder, by threads that each list one folder at a time.
//!
//! What cannot be shared is found as such, with its reason, so that nobody takes a part for the whole.
//! Reads folders and stamps, never a file's bytes. The invariant: nothing outside the shared folder
//! is found, whatever symbolic links say, and each folder is announced to the visitor before it is
//! listed, so that a watch set there misses nothing.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use crate::content::{Geometry, Looks, NameError, Reason, SafeName, Tree, leads_inside, way_to};
use crate::descriptors::patiently;
use crate::peer::got::Got;
use crate::threads;

use super::reading::is_passing;
use super::record::{Found, Symlink, below, is_within, join, looks_of};
use super::scan::{Followed, Scan};
use super::selection::{Refusal, Selection};
use crate::threads::lock;

/// Most folders to which links lead from one to the next. Without a bound a few links in each make a small folder endless.
const MAX_LINKS_IN_A_ROW: usize = 8;

/// What stands for all that is skipped when there is too much.
const THE_REST: &str = "(and more)";

/// Called with the path of each folder as it really is, before it is listed.
pub(super) type Visitor = dyn Fn(&str) + Send + Sync;

/// Walks one shared folder, again and again.
pub(super) struct Walker {
    /// The shared folder, resolved.
    pub(super) root: PathBuf,
    /// The only file that is shared, if it is not the whole folder.
    pub(super) only: Option<String>,
    /// What stands before a path in its name.
    pub(super) prefix: String,
    /// The state folder's path below the root, if it is there under another name than usual.
    pub(super) state: Option<String>,
    /// Threads of a walk.
    pub(super) threads: usize,
    /// Most files and folders; what is more is left out.
    pub(super) most: usize,
    pub(super) visitor: Option<Box<Visitor>>,
    /// What is wanted of the folder.
    pub(super) selection: Selection,
}

/// A folder to list.
#[derive(Debug, Clone)]
struct Folder {
    shown: Arc<str>,
    real: Arc<str>,
    looks: Looks,
    /// The folders from which links were followed to come here.
    jumps: Option<Arc<Jump>>,
}

#[derive(Debug)]
struct Jump {
    from: Arc<str>,
    /// How many links that makes, one behind the other.
    links: usize,
    before: Option<Arc<Jump>>,
}

/// What a path leads to.
enum Step {
    File(Found),
    Folder(Folder),
    Nothing,
}

/// Folders waiting to be listed; the walk is over when none waits and no thread is listing one.
struct Queue {
    waiting: Vec<Folder>,
    busy: usize,
    /// Files and folders, by all threads.
    found: usize,
    /// There was too much.
    cut: bool,
}

impl Walker {
    /// What is at `scope` and below it now, and the links followed on the way. Never fails: what
    /// cannot be read is not found.
    pub(super) fn scan(&self, scope: &str) -> Scan {
        let mut finds = Scan { scope: Arc::from(scope), ..Scan::default() };
        match self.descend(scope, &mut finds) {
            Step::File(found) => finds.files.push((Arc::from(scope), found)),
            Step::Folder(folder) => self.walk(folder, &mut finds),
            Step::Nothing => {}
        }
        finds.sort();
        finds
    }

    /// Goes from the root to `scope` by the same steps as a walk, so that it finds the same there.
    fn descend(&self, scope: &str, finds: &mut Scan) -> Step {
        let mut step = match fs::metadata(&self.root) {
            Ok(metadata) if metadata.is_dir() => {
                let here = Arc::from("");
                let looks = looks_of(&metadata);
                Step::Folder(Folder { shown: Arc::clone(&here), real: here, looks, jumps: None })
            }
            Ok(_) => Step::Nothing,
            Err(error) if is_passing(&error) => leave_out_for(finds, "", error),
            Err(_) => Step::Nothing,
        };
        for part in scope.split('/').filter(|part| !part.is_empty()) {
            let Step::Folder(folder) = step else { return Step::Nothing };
            finds.above.push((folder.shown.clone(), folder.looks));
            let path = join(&folder.real, part);
            step = match fs::symlink_metadata(below(&self.root, &path)) {
                Ok(metadata) => self.step(&folder, part, &metadata, finds),
                Err(error) if is_passing(&error) => leave_out_for(finds, &join(&folder.shown, part), error),
                Err(_) => Step::Nothing,
            };
        }
        step
    }

    /// True if a file at this real path would be found.
    pub(super) fn shares(&self, path: &str) -> bool {
        let only = self.only.as_deref().is_none_or(|only| only == path);
        let wanted = !self.selection.hides(path, false) || self.only.is_some() || self.was_fetched(path);
        only && wanted && self.state.as_deref().is_none_or(|state| !is_within(path, state))
    }

    fn walk(&self, start: Folder, finds: &mut Scan) {
        let queue = Mutex::new(Queue { waiting: vec![start], busy: 0, found: 0, cut: false });
        let more = Condvar::new();
        let parts = thread::scope(|scope| {
            let help = || {
                let mut finds = Scan::default();
                while let Some(folder) = next_folder(&queue, &more) {
                    let _listing = Listing { queue: &queue, more: &more };
                    threads::may_panic("walk");
                    let before = finds.files.len();
                    let inner = self.list(&folder, &mut finds);
                    self.give_back(&queue, &more, inner, finds.files.len() - before);
                }
                finds
            };
            let helpers: Vec<_> =
                (1..self.threads).filter_map(|_| threads::named("walk").helper(scope, help)).collect();
            let mut parts = vec![help()];
            parts.extend(helpers.into_iter().map(threads::join));
            parts
        });
        parts.into_iter().for_each(|part| finds.extend(part));
        if lock(&queue).cut {
            leave_out(finds, THE_REST, Reason::TooLarge);
        }
    }

    /// A folder was listed: so many files are in it, and these folders.
    fn give_back(&self, queue: &Mutex<Queue>, more: &Condvar, inner: Vec<Folder>, files: usize) {
        let mut queue = lock(queue);
        queue.busy -= 1;
        queue.found += inner.len() + files;
        // Links can make a small folder endless without a loop, by doubling at each level.
        if queue.found > self.most {
            queue.cut = true;
            queue.waiting.clear();
        } else if !queue.cut {
            queue.waiting.extend(inner);
        }
        more.notify_all();
    }

    /// Lists one folder; gives the folders in it.
    fn list(&self, folder: &Folder, finds: &mut Scan) -> Vec<Folder> {
        if let Some(visit) = &self.visitor {
            visit(&folder.real);
        }
        let mut inner = Vec::new();
        let entries = match patiently(|| fs::read_dir(below(&self.root, &folder.real))) {
            Ok(entries) => entries,
            Err(error) => {
                leave_out_for(finds, &folder.shown, error);
                return inner;
            }
        };
        // The root is entered in the catalogue by whoever gave it a name.
        if !folder.shown.is_empty() || !self.prefix.is_empty() {
            finds.folders.push((folder.shown.clone(), folder.looks));
        }
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                // What comes behind is not known.
                Err(error) => {
                    leave_out_for(finds, &folder.shown, error);
                    break;
                }
            };
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                leave_out(finds, &join(&folder.shown, &escaped(&name)), Reason::Name);
                continue;
            };
            if !self.is_wanted(folder, name) {
                continue;
            }
            // The entry's metadata costs no walk along its path, unlike that of its path.
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                Err(error) => {
                    leave_out_for(finds, &join(&folder.shown, name), error);
                    continue;
                }
            };
            match self.step(folder, name, &metadata, finds) {
                Step::File(found) => finds.files.push((Arc::from(join(&folder.shown, name)), found)),
                Step::Folder(folder) => inner.push(folder),
                Step::Nothing => {}
            }
        }
        inner
    }

    fn is_wanted(&self, folder: &Folder, name: &str) -> bool {
        let only = self.only.as_deref();
        name != SafeName::STATE_FOLDER && only.is_none_or(|only| folder.shown.is_empty() && name == only)
    }

    /// True of what its user does not want to share, under the path that people see or as it really is. What p2p itself put
    /// there was wanted.
    fn is_unwanted(&self, shown: &str, real: &str, is_folder: bool, finds: &mut Scan) -> bool {
        let refused =
            || self.selection.refuses(real, is_folder).or_else(|| self.selection.refuses(shown, is_folder));
        let Some(refusal) = refused().filter(|_| self.only.is_none()) else { return false };
        if refusal == Refusal::Private {
            if self.was_fetched(real) {
                return false;
            }
            finds.private.push(Arc::from(shown));
        }
        true
    }

    /// True if a fetch put it there, by the record of a folder that it lies in.
    fn was_fetched(&self, real: &str) -> bool {
        let ends = real.match_indices('/').map(|(end, _)| end);
        ends.map(|end| (&real[..end], &real[end + 1..])).chain([("", real)]).any(|(folder, rest)| {
            let got = Got::read(&below(&self.root, folder));
            got.knows(rest) || got.came_with_tree(rest) || got.owns_folder(rest)
        })
    }

    /// From a folder to what has this name in it, along a link if it is one.
    fn step(&self, folder: &Folder, name: &str, metadata: &Metadata, finds: &mut Scan) -> Step {
        let shown = join(&folder.shown, name);
        match self.check_name(&shown, metadata.is_dir()) {
            Err(NameError::Reserved) if name == SafeName::STATE_FOLDER => return Step::Nothing,
            Err(_) => return leave_out(finds, &shown, Reason::Name),
            Ok(()) if shown.split('/').count() > Tree::MAX_DEPTH => {
                return leave_out(finds, &shown, Reason::TooLarge);
            }
            Ok(()) => {}
        }
        let real = join(&folder.real, name);
        if self.is_unwanted(&shown, &real, metadata.is_dir(), finds) {
            return Step::Nothing;
        }
        if metadata.is_symlink() {
            return self.follow(folder, name, shown, finds);
        }
        self.arrive(shown, real, folder.jumps.clone(), metadata, finds)
    }

    fn arrive(
        &self,
        shown: String,
        real: String,
        jumps: Option<Arc<Jump>>,
        metadata: &Metadata,
        finds: &mut Scan,
    ) -> Step {
        if metadata.is_dir() {
            if self.state.as_deref() == Some(&*real) || self.only.is_some() {
                return Step::Nothing;
            }
            let shown: Arc<str> = shown.into();
            // One allocation for both, unless a link was followed.
            let real = if *shown == *real { shown.clone() } else { real.into() };
            return Step::Folder(Folder { shown, real, looks: looks_of(metadata), jumps });
        }
        if !metadata.is_file() {
            return leave_out(finds, &shown, Reason::Special);
        }
        if metadata.len() > Geometry::MAX_SIZE {
            return leave_out(finds, &shown, Reason::TooLarge);
        }
        if metadata.mode() & 0o444 == 0 && !rustix::process::geteuid().is_root() {
            return leave_out(finds, &shown, Reason::Unreadable);
        }
        Step::File(Found::of(metadata))
    }

    /// Notes a link, and goes to what it leads to, which people can ask for by the link's path.
    fn follow(&self, folder: &Folder, name: &str, shown: String, finds: &mut Scan) -> Step {
        let link = below(&self.root, &join(&folder.real, name));
        let target = match self.resolve(&link) {
            Ok(Ok(target)) => target,
            Ok(Err(reason)) => return leave_out(finds, &shown, reason),
            Err(error) => return leave_out_for(finds, &shown, error),
        };
        let text = fs::read_link(&link).ok();
        let text = text.as_deref().and_then(Path::to_str).unwrap_or_default();
        let Some(text) = written(folder, &shown, text, &target) else {
            return leave_out(finds, &shown, Reason::Outside);
        };
        let shown_as: Arc<str> = Arc::from(shown.as_str());
        let to: Arc<str> = Arc::from(target.as_str());
        finds.links.push((shown_as.clone(), Symlink { text: text.into(), target: to.clone() }));
        finds.followed.push(Followed { shown: shown_as, target: to });
        // What is still a link leads on to where nothing is shared, and is not followed.
        let metadata = match fs::symlink_metadata(below(&self.root, &target)) {
            Ok(metadata) if !metadata.is_symlink() => metadata,
            _ => return Step::Nothing,
        };
        // A folder that the link is in itself has no end.
        if metadata.is_dir() && (loops(folder, &target) || self.check_name(&shown, true).is_err()) {
            return Step::Nothing;
        }
        let links = folder.jumps.as_ref().map_or(0, |jump| jump.links) + 1;
        if metadata.is_dir() && links > MAX_LINKS_IN_A_ROW {
            finds.endless.get_or_insert_with(|| Arc::from(shown.as_str()));
            return Step::Nothing;
        }
        let jump = Jump { from: folder.real.clone(), links, before: folder.jumps.clone() };
        self.arrive(shown, target, Some(Arc::new(jump)), &metadata, finds)
    }

    /// Where a link leads in the end, as a path below the root; or why that cannot be shared. A link to a link that
    /// leads out, round in a circle or to nothing leads to what itself says: in a copy, too, it leads to that.
    fn resolve(&self, link: &Path) -> io::Result<Result<String, Reason>> {
        let end = match fs::canonicalize(link) {
            Err(error) if is_passing(&error) => return Err(error),
            end => end,
        };
        if let Ok(end) = &end
            && let Ok(inside) = self.inside(end)
        {
            return Ok(Ok(inside));
        }
        match (own_target(link)?, end) {
            (Some(target), _) => Ok(self.inside(&target)),
            (None, Ok(_)) => Ok(Err(Reason::Outside)),
            (None, Err(error)) => Err(error),
        }
    }

    /// A path below the root, if it can be shared.
    fn inside(&self, path: &Path) -> Result<String, Reason> {
        let path = path.strip_prefix(&self.root).map_err(|_| Reason::Outside)?;
        if path.components().any(|part| part.as_os_str() == SafeName::STATE_FOLDER) {
            return Err(Reason::Outside);
        }
        let text = path.to_str().unwrap_or_default();
        if self.only.is_none() && self.selection.hides(text, false) && !self.was_fetched(text) {
            return Err(Reason::Outside);
        }
        let fits = |path: &&str| path.split('/').all(|part| part.len() <= SafeName::MAX_PART_BYTES);
        path.to_str().filter(fits).map(str::to_owned).ok_or(Reason::Name)
    }

    fn check_name(&self, shown: &str, is_folder: bool) -> Result<(), NameError> {
        let end = if is_folder { "/" } else { "" };
        SafeName::new([&self.prefix, shown, end].concat()).map(|_| ())
    }
}

fn leave_out(finds: &mut Scan, path: &str, reason: Reason) -> Step {
    finds.left_out.push((Arc::from(path), reason));
    Step::Nothing
}

/// Leaves out what could not be read; what vanished since it was listed is no news, the watch tells.
fn leave_out_for(finds: &mut Scan, path: &str, error: io::Error) -> Step {
    match error.kind() {
        io::ErrorKind::NotFound => Step::Nothing,
        _ if is_passing(&error) => {
            finds.unseen.push((Arc::from(path), error));
            Step::Nothing
        }
        _ => leave_out(finds, path, Reason::Unreadable),
    }
}

/// What is to be written in a copy of a link: the same, where it means the same below any folder that has
/// both; otherwise the way from the link to its target. None if no link can say it.
fn written(folder: &Folder, shown: &str, text: &str, target: &str) -> Option<String> {
    let moved = folder.shown != folder.real && text.split('/').any(|part| part == "..");
    if !moved && leads_inside(shown, text) {
        return Some(text.to_owned());
    }
    Some(way_to(shown, target)).filter(|way| leads_inside(shown, way))
}

/// A name that is not UTF-8, for people.
fn escaped(name: &OsStr) -> String {
    let mut out = String::new();
    for chunk in name.as_bytes().utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    out
}

/// A folder that is being listed: if that panics, nobody waits for what would have been found in it.
struct Listing<'a> {
    queue: &'a Mutex<Queue>,
    more: &'a Condvar,
}

impl Drop for Listing<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            lock(self.queue).busy -= 1;
            self.more.notify_all();
        }
    }
}

fn next_folder(queue: &Mutex<Queue>, more: &Condvar) -> Option<Folder> {
    let mut queue = lock(queue);
    loop {
        if let Some(folder) = queue.waiting.pop() {
            queue.busy += 1;
            return Some(folder);
        }
        if queue.busy == 0 {
            return None;
        }
        queue = more.wait(queue).unwrap_or_else(std::sync::PoisonError::into_inner);
    }
}

/// True if `target` is the folder itself, or above it or above a folder on the way to it.
fn loops(folder: &Folder, target: &str) -> bool {
    let mut jump = folder.jumps.as_deref();
    let mut from = &folder.real;
    loop {
        if is_within(from, target) {
            return true;
        }
        let Some(Jump { from: earlier, before, .. }) = jump else { return false };
        from = earlier;
        jump = before.as_deref();
    }
}

/// Where a link leads by its own text: the folders on the way as they really are, the last name as it is written.
/// None if it is no name. If there is no such folder, without looking: `..` are taken off by name.
fn own_target(link: &Path) -> io::Result<Option<PathBuf>> {
    let folder = fs::canonicalize(link.parent().unwrap_or(link))?;
    let path = folder.join(fs::read_link(link)?);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
    match fs::canonicalize(parent) {
        Ok(parent) => Ok(Some(parent.join(name))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Some(without_looking(&path))),
        Err(error) => Err(error),
    }
}

fn without_looking(path: &Path) -> PathBuf {
    let mut target = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                target.pop();
            }
            Component::CurDir => {}
            part => target.push(part),
        }
    }
    target
}

#[cfg(test)]
mod tests;
