//! What is known of a shared folder, and what is being done to know more. Pure: no file, thread or clock.
//!
//! Each thing that happens is a step: it changes the state and gives the effects it has, in order. A file is offered
//! only as what was hashed, or may be what was; what is hashed counts only if it is still wanted when it is done.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::catalogue::{Catalogue, Change, Delta, Differences, Measured};
use super::debounce::QUIET;
use super::earlier::Earlier;
use super::job::{Job, Outcome};
use super::later::Later;
use super::links::Links;
use super::reading::{is_passing, unread};
use super::record::{Found, Record, Source, is_within};
use super::restless::Restless;
use super::scan::{Followed, Scan};
use crate::content::{ChunkHash, FileId, Looks};
use crate::peer::got::{Got, Noted};
use crate::peer::stamp::{Shape, Stamp};

/// Most files that are remembered after they went, in case they come back under another name.
const MAX_GHOSTS: usize = 65_536;

/// What a step is to have done. The order counts, for trackers and the index hear of each path more than once.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Trackers are to hear of it.
    Tell(Change),
    /// The index is to remember a file, with its chunk hashes, if they are new and there are several.
    Remember(Arc<str>, Record, Vec<ChunkHash>),
    /// The same of a file that was written just now, and not read from there.
    RememberFetched(Arc<str>, Record, Vec<ChunkHash>),
    /// The index is to forget what is at a path.
    Forget(Arc<str>),
    /// The index is to forget the chunk hashes of a content that no file has.
    ForgetHashes(FileId),
    /// A path is to be looked at.
    Look(Arc<str>),
    /// The user is to hear that what is at a path cannot be read now, and why.
    SayPutOff(Arc<str>, String),
    /// The user is to hear that a file's bytes have changed although it looks as it did.
    SayHidden(Arc<str>),
}

/// What is known of a shared folder.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) catalogue: Catalogue,
    /// Ids of files that went, by how they looked: a file that comes back under another name is known.
    ghosts: HashMap<Shape, (Stamp, FileId)>,
    /// What files that grew held before.
    earlier: Earlier,
    /// Files given to the hashing threads. What they find counts only if it is still wanted here.
    hashing: HashMap<Arc<str>, Stamp>,
    /// Files that do not come to rest.
    restless: Restless,
    /// What could not be read.
    later: Later,
    /// What is being fetched, at or below these paths, is nothing to look at yet: in part it is nobody's.
    expected: Vec<Arc<str>>,
    /// What happens where a link leads, happens at the link too.
    links: Links,
}

/// What a look found that is not settled by how it looks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Unsure {
    /// Files that are new or hold something else now.
    pub(super) unknown: Vec<(Arc<str>, Found)>,
    /// Files that may be what they were.
    pub(super) doubted: Vec<(Arc<str>, Found)>,
    /// Files that are longer now.
    pub(super) grown: Vec<(Arc<str>, Found)>,
    /// Folders that went.
    pub(super) folders_gone: Vec<Arc<str>>,
}

/// What is to be done after a look.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ToDo {
    /// New files, to hash.
    pub(super) jobs: Vec<Job>,
    /// Files that are offered, to hash again.
    pub(super) again: Vec<Job>,
    /// Files that are still being written, or were read lately, and when to look at them again.
    pub(super) later: Vec<(Arc<str>, Instant)>,
    /// Files that were read while they were being written, in vain.
    pub(super) never_rest: Vec<Arc<str>>,
}

impl State {
    /// What the first look found, with the links that are followed.
    pub(super) fn new(catalogue: Catalogue, links: Vec<Followed>) -> State {
        State { catalogue, links: Links::new(links), ..State::default() }
    }

    /// Where a content lies: the files that are offered as it, then those that once were, and grew.
    pub(super) fn sources_of(&self, id: FileId) -> impl Iterator<Item = Source> {
        let offered = self.catalogue.files_of(id);
        let offered = offered.map(|(path, record)| Source { path: Arc::clone(path), stamp: record.stamp });
        offered.chain(self.earlier.sources_of(id).cloned())
    }

    /// True if the file at `path` could not be read lately.
    pub(super) fn waits(&self, path: &str) -> bool {
        self.later.waits(path)
    }

    /// When to call [`State::take_due`] again.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.later.next_due()
    }

    /// The paths that could not be read, and are to be tried again now.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Arc<str>> {
        self.later.take_due(now)
    }

    /// What is at `path` is looked at again, ever less often until it can be read.
    pub(super) fn put_off(&mut self, path: &Arc<str>, error: &io::Error, now: Instant) -> Option<Effect> {
        let is_due = self.later.put_off(path.clone(), now);
        is_due.then(|| Effect::SayPutOff(path.clone(), error.to_string()))
    }

    /// A file is not what it was, or something else is wrong with it: it is offered again when it was hashed again.
    pub(super) fn withdraw(&mut self, path: &str) -> Vec<Effect> {
        let path: Arc<str> = Arc::from(path);
        let mut effects = Vec::new();
        if self.catalogue.file(&path).is_some() {
            // No ghost: whatever is wrong with it, only hashing can tell.
            self.apply(Delta { gone: vec![path.clone()], ..Delta::default() }, &mut effects);
        }
        effects.extend([Effect::Forget(path.clone()), Effect::Look(path)]);
        effects
    }

    /// The file at `path`, which looks so now, does not hold the bytes that were hashed as `id`. Nothing to do if it is
    /// not offered as that.
    pub(super) fn expose(&mut self, path: &str, id: FileId, now: Option<Stamp>) -> Vec<Effect> {
        self.earlier.forget(path);
        // What it was before it grew is not what it is offered as.
        let Some(known) = self.catalogue.file(path).filter(|known| known.id == id) else { return Vec::new() };
        let hidden = now.is_some_and(|now| now.may_be(&known.stamp));
        let hidden = hidden.then(|| Effect::SayHidden(Arc::from(path)));
        let mut effects = self.withdraw(path);
        effects.extend(hidden);
        effects
    }

    /// A fetch is about to fill a path, and until it has, nothing new there is looked at.
    pub(super) fn expect(&mut self, path: Arc<str>) {
        self.expected.push(path);
    }

    /// The fetch is over.
    pub(super) fn expect_no_more(&mut self, path: &str) {
        if let Some(at) = self.expected.iter().position(|expected| **expected == *path) {
            self.expected.remove(at);
        }
    }

    /// Files, with their chunk hashes if they have several, and folders were fetched into the folder `place`.
    pub(super) fn adopt(
        &mut self,
        place: &str,
        noted: Noted,
        files: Vec<(Arc<str>, Record, Vec<ChunkHash>)>,
        folders_new: Vec<(Arc<str>, Looks)>,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut delta = Delta { folders_new, ..Delta::default() };
        match noted {
            Noted::All(got) => self.catalogue.set_got(place, got),
            Noted::Alone(path, id) => self.catalogue.add_got(place, &path, id),
            Noted::Nothing => {}
        }
        for (path, record, hashes) in files {
            self.hashing.remove(&path);
            delta.entered.push((path.clone(), record));
            effects.push(Effect::RememberFetched(path, record, hashes));
        }
        self.apply(delta, &mut effects);
        effects
    }

    /// The paths, and those under which links show what lies there.
    pub(super) fn with_linked(&self, paths: &[Arc<str>]) -> BTreeSet<Arc<str>> {
        let mut all: BTreeSet<Arc<str>> = paths.iter().cloned().collect();
        all.extend(paths.iter().flat_map(|path| self.links.leading_to(path)));
        all
    }

    /// The other names of files with several that have changed: an event tells of the name that was used alone.
    pub(super) fn other_names(&self, paths: &[Arc<str>], scans: &[Scan]) -> Vec<Arc<str>> {
        let files = scans.iter().flat_map(|scan| &scan.files);
        let seen: HashMap<&str, &Found> = files.map(|(path, found)| (&**path, found)).collect();
        let known = |path: &str| self.catalogue.file(path);
        let changed = seen.iter().filter(|(path, found)| {
            found.linked && known(path).is_none_or(|record| record.stamp != found.stamp)
        });
        let gone = paths.iter().filter(|path| !seen.contains_key(&***path)).filter_map(|path| known(path));
        let mut inodes: HashSet<u64> = changed.map(|(_, found)| found.stamp.inode).collect();
        inodes.extend(gone.filter(|record| record.linked).map(|record| record.stamp.inode));
        if inodes.is_empty() {
            return Vec::new();
        }
        let mut others = self.catalogue.names_of(&inodes);
        others.retain(|path| !seen.contains_key(&**path));
        others
    }

    /// The folders that are new here.
    pub(super) fn new_folders(&self, scans: &[Scan]) -> Vec<Arc<str>> {
        let folders = scans.iter().flat_map(|scan| &scan.folders).map(|(folder, _)| folder);
        folders.filter(|folder| !self.catalogue.has_folder(folder)).cloned().collect()
    }

    /// Takes in what was seen when `paths` were looked at; `got` is what was fetched into folders that are new. What went
    /// is taken back before anything else is done about it.
    pub(super) fn take_in(
        &mut self,
        paths: &[Arc<str>],
        scans: Vec<Scan>,
        got: Vec<(Arc<str>, Got)>,
        now: Instant,
    ) -> (Unsure, Vec<Effect>) {
        let mut effects = Vec::new();
        for (folder, got) in got {
            self.catalogue.set_got(&folder, got);
        }
        let waiting: Vec<&Arc<str>> = paths.iter().filter(|path| self.later.waits(path)).collect();
        let mut all = Differences::default();
        for scan in scans {
            let mut differences = self.catalogue.compare(&scan);
            self.doubt_unread(&scan, &waiting, &mut differences);
            self.look_later(&scan, now, &mut effects);
            all.extend(differences);
            self.links.renew(&scan.scope, scan.followed);
        }
        all.ignore_new(|path| self.expected.iter().any(|expected| is_within(path, expected)));
        let Differences {
            gone,
            unknown,
            doubted,
            grown,
            touched,
            folders_gone,
            folders_new,
            links,
            left_out,
        } = all;
        for (path, record) in &gone {
            self.raise_ghost(record, &mut effects);
            self.hashing.remove(path);
            effects.push(Effect::Forget(path.clone()));
        }
        let delta = Delta {
            gone: gone.into_iter().map(|(path, _)| path).collect(),
            entered: touched,
            folders_gone: folders_gone.clone(),
            folders_new,
            links,
            left_out,
        };
        self.apply(delta, &mut effects);
        (Unsure { unknown, doubted, grown, folders_gone }, effects)
    }

    /// What looks as it did and could not be read lately is read again.
    fn doubt_unread(&self, scan: &Scan, waiting: &[&Arc<str>], differences: &mut Differences) {
        for path in waiting {
            let Ok(at) = scan.files.binary_search_by(|(at, _)| at.cmp(path)) else { continue };
            let (path, found) = &scan.files[at];
            if self.catalogue.file(path).is_some_and(|known| known.stamp == found.stamp) {
                differences.doubted.push((path.clone(), *found));
            }
        }
    }

    /// What could not be looked at is looked at again; what could, and is no file to be read, has no need to wait.
    fn look_later(&mut self, scan: &Scan, now: Instant, effects: &mut Vec<Effect>) {
        for (path, error) in &scan.unseen {
            effects.extend(self.put_off(path, error, now));
        }
        if scan.unseen.is_empty() && !scan.is_of_a_file() {
            self.later.settled(&scan.scope);
        }
    }

    /// What a file may be that came back under another name.
    pub(super) fn ghost_of(&self, found: &Found) -> Option<Record> {
        let (stamp, id) = self.ghosts.get(&found.stamp.shape())?;
        Some(found.hashed_as(*stamp, *id))
    }

    /// Offers at once what came back under another name; what is to be hashed is so now, or when it is time.
    pub(super) fn sort_out(
        &mut self,
        unsure: Unsure,
        came_back: Vec<(Arc<str>, Record)>,
        (now, wall): (Instant, SystemTime),
    ) -> (ToDo, Vec<Effect>) {
        let mut todo = ToDo::default();
        let job = |(path, found): (Arc<str>, Found)| Job { path, found };
        todo.again.extend(unsure.doubted.into_iter().map(job));
        let known: HashMap<Arc<str>, Record> = came_back.into_iter().collect();
        let mut delta = Delta::default();
        let mut effects = Vec::new();
        for (path, found) in unsure.unknown {
            if let Some(record) = known.get(&path) {
                delta.entered.push((path.clone(), *record));
                effects.push(Effect::Remember(path.clone(), *record, Vec::new()));
                todo.again.push(Job { path, found });
                continue;
            }
            if self.restless.was_read(&path) {
                todo.never_rest.push(path.clone());
            }
            match self.wait_for(&path, &found, false, now, wall) {
                Some(until) => todo.later.push((path, until)),
                None => todo.jobs.push(Job { path, found }),
            }
        }
        for (path, found) in unsure.grown {
            match self.wait_for(&path, &found, true, now, wall) {
                Some(until) => todo.later.push((path, until)),
                None => todo.again.push(Job { path, found }),
            }
        }
        for jobs in [&mut todo.jobs, &mut todo.again] {
            jobs.retain(|job| self.hashing.get(&job.path) != Some(&job.found.stamp));
            self.hashing.extend(jobs.iter().map(|job| (job.path.clone(), job.found.stamp)));
        }
        self.restless.tidy(now);
        self.apply(delta, &mut effects);
        (todo, effects)
    }

    /// When to look again at a file that is not to be read now.
    fn wait_for(
        &mut self,
        path: &Arc<str>,
        found: &Found,
        grown: bool,
        now: Instant,
        wall: SystemTime,
    ) -> Option<Instant> {
        // What comes of reading it will be true of its beginning.
        if self.hashing.get(path).is_some_and(|stamp| found.stamp.may_have_grown_from(stamp)) {
            return Some(now + QUIET);
        }
        self.restless.wait_for(path, found.stamp.age(wall), grown, now)
    }

    /// Offers what was hashed and is still wanted.
    pub(super) fn settle(&mut self, done: Vec<(Job, Outcome)>, now: Instant) -> Vec<Effect> {
        let mut delta = Delta::default();
        let mut effects = Vec::new();
        for (Job { path, found }, outcome) in done {
            if self.hashing.get(&path) != Some(&found.stamp) {
                continue; // it has changed again, which was seen
            }
            self.hashing.remove(&path);
            if !matches!(&outcome, Outcome::Failed(error) if is_passing(error)) {
                self.later.settled(&path);
            }
            match outcome {
                Outcome::Hashed(record, hashes) => {
                    self.replace(&path, &record, &mut effects);
                    effects.push(Effect::Remember(path.clone(), record, hashes));
                    delta.entered.push((path, record));
                }
                Outcome::Unstable => effects.push(Effect::Look(path)),
                // No word about the file: it is hashed again, and stays what it was if it was anything.
                Outcome::Failed(error) if is_passing(&error) => {
                    effects.extend(self.put_off(&path, &error, now));
                }
                Outcome::Failed(error) => {
                    if self.catalogue.file(&path).is_some() {
                        effects.push(Effect::Forget(path.clone()));
                        delta.gone.push(path.clone());
                    }
                    delta.left_out.push((path, unread(&error)));
                }
                Outcome::Stopped => {}
            }
        }
        self.apply(delta, &mut effects);
        effects
    }

    /// A file was read; if it was offered as something else, that is over.
    fn replace(&mut self, path: &Arc<str>, now: &Record, effects: &mut Vec<Effect>) {
        let Some(known) = self.catalogue.file(path).copied().filter(|known| known.id != now.id) else {
            return;
        };
        if now.stamp.may_be(&known.stamp) {
            effects.push(Effect::SayHidden(path.clone()));
        }
        if now.stamp.may_have_grown_from(&known.stamp) {
            let dropped = self.earlier.keep(known.id, Source { path: path.clone(), stamp: known.stamp });
            let unused = dropped.filter(|id| !self.catalogue.has_file(*id));
            effects.extend(unused.map(Effect::ForgetHashes));
        }
    }

    /// Remembers a file that went.
    fn raise_ghost(&mut self, record: &Record, effects: &mut Vec<Effect>) {
        if self.ghosts.len() >= MAX_GHOSTS {
            effects.extend(self.lay_ghosts());
        }
        self.ghosts.insert(record.stamp.shape(), (record.stamp, record.id));
    }

    /// Forgets all files that went, and the chunk hashes that were kept for them.
    pub(super) fn lay_ghosts(&mut self) -> Vec<Effect> {
        let ids = std::mem::take(&mut self.ghosts).into_values().map(|(_, id)| id);
        ids.filter(|id| !self.catalogue.has_file(*id)).map(Effect::ForgetHashes).collect()
    }

    /// Enters trees that were made again.
    pub(super) fn renew(&mut self, measured: Vec<Measured>) -> Vec<Effect> {
        tell(self.catalogue.renew(measured))
    }

    fn apply(&mut self, delta: Delta, effects: &mut Vec<Effect>) {
        effects.extend(tell(self.catalogue.apply(delta)));
    }
}

fn tell(change: Change) -> Vec<Effect> {
    if change.is_empty() { Vec::new() } else { vec![Effect::Tell(change)] }
}

#[cfg(test)]
mod tests;
