//! Keeping a share up to date: one thread that looks at what changed, and three that hash it: one for small files,
//! one for large ones, so that a large file does not hold up the small, and one for those that are most likely
//! what they were.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::content::Reason;

use super::catalogue::{Delta, Differences, Scan};
use super::debounce::{Debounce, QUIET};
use super::doubt::is_passing;
use super::hash::{Job, Outcome, Report, age_of, hash_all, open_like};
use super::record::{Found, Record, Source, below, is_within};
use super::restless::Restless;
use super::walk::Followed;
use super::{Core, State, lock};
use crate::peer::got::Got;
use crate::threads;

/// Files above this are hashed in a lane of their own.
const LARGE_BYTES: u64 = 64 << 20;
/// How long hashed files may wait for others before they are offered.
const OFFER_EVERY: Duration = Duration::from_millis(200);
/// How long what was hashed may wait to be written down.
const COMMIT_AFTER: Duration = Duration::from_secs(1);
/// How often it is looked whether the shared folder is still the same one: no event tells of another
/// that is mounted, or made, in its place.
const ROOT_EVERY: Duration = Duration::from_secs(2);
/// How often everything is looked at when not everything can be watched.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) fn start(core: &Arc<Core>) -> io::Result<Vec<JoinHandle<()>>> {
    let (small, small_jobs) = unbounded();
    let (large, large_jobs) = unbounded();
    let (again, again_jobs) = unbounded();
    let spawn = |name, jobs: Receiver<Vec<Job>>| {
        let core = core.clone();
        threads::named(name).essential(move || hash_lane(&core, &jobs))
    };
    let small_lane = spawn("hash-small", small_jobs)?;
    let large_lane = spawn("hash-large", large_jobs)?;
    let again_lane = spawn("hash-again", again_jobs)?;
    let root = identity(&core.walker.root);
    let (debounce, restless) = (Debounce::new(), Restless::default());
    let keeper = Keeper { core: core.clone(), debounce, restless, small, large, again, root };
    let keeper = threads::named("share-keeper").essential(move || keeper.run())?;
    Ok(vec![keeper, small_lane, large_lane, again_lane])
}

/// What is to be done after a look.
struct ToDo {
    /// New files, to hash.
    jobs: Vec<Job>,
    /// Files that are offered, to hash again.
    again: Vec<Job>,
    /// Files that are still being written, or were read lately, and when to look at them again.
    later: Vec<(Arc<str>, Instant)>,
}

/// The thread that looks. The lanes end when it drops their channels.
struct Keeper {
    core: Arc<Core>,
    debounce: Debounce,
    restless: Restless,
    small: Sender<Vec<Job>>,
    large: Sender<Vec<Job>>,
    again: Sender<Vec<Job>>,
    /// Which folder the shared one was when last seen.
    root: Option<(u64, u64)>,
}

impl Keeper {
    fn run(mut self) {
        let watches = self.core.watches.clone();
        let mut next_look = Instant::now() + LOOK_EVERY;
        let mut next_root = Instant::now() + ROOT_EVERY;
        let mut commit_at = None;
        loop {
            let blind = watches.as_ref().is_some_and(|watches| watches.is_blind());
            let root_at = watches.as_ref().map(|_| next_root);
            let later = lock(&self.core.later).next_due();
            let deadlines =
                [self.debounce.next_deadline(), blind.then_some(next_look), commit_at, root_at, later];
            let next = deadlines.into_iter().flatten().min();
            self.core
                .mailbox
                .wait(watches.as_deref(), next.map(|next| next.saturating_duration_since(Instant::now())));
            if self.core.stop.load(Ordering::Relaxed) {
                return;
            }
            let now = Instant::now();
            self.collect(now);
            if blind && now >= next_look {
                self.debounce.touch(Arc::from(""), now - QUIET);
            }
            if root_at.is_some_and(|at| at <= now) {
                self.check_root(now);
                next_root = now + ROOT_EVERY;
            }
            let due = self.debounce.take_due(now);
            if !due.is_empty() {
                if due.iter().any(|path| path.is_empty()) {
                    self.root = identity(&self.core.walker.root); // before it is looked at
                }
                self.look(&due);
                let took = now.elapsed();
                self.debounce.looked(took);
                next_look = Instant::now() + LOOK_EVERY.max(took * 10);
            }
            let waiting = self.core.index.is_waiting();
            commit_at = commit_at.or(waiting.then_some(now + COMMIT_AFTER));
            if commit_at.is_some_and(|at| at <= now) {
                self.core.index.commit();
                commit_at = None;
            }
        }
    }

    /// Looks at everything if the shared folder is another one than before.
    fn check_root(&mut self, now: Instant) {
        if fs::metadata(&self.core.walker.root).is_err_and(|error| is_passing(&error)) {
            return; // which one it is shows later
        }
        let root = identity(&self.core.walker.root);
        if root != self.root {
            let path = self.core.walker.root.display();
            match root {
                None => {
                    tracing::warn!(%path, "the shared folder is gone; nothing is shared until it is back")
                }
                Some(_) => tracing::warn!(%path, "the shared folder is another one now; looking at it anew"),
            }
            self.root = root;
            self.debounce.touch(Arc::from(""), now - QUIET);
        }
    }

    /// Takes in what watches and other threads say.
    fn collect(&mut self, now: Instant) {
        let only = self.core.walker.only.as_deref();
        let mut touch = |path: Arc<str>| {
            if path.is_empty() || only.is_none_or(|only| *path == *only) {
                self.debounce.touch(path, now);
            }
        };
        if let Some(watches) = &self.core.watches {
            watches.read(&mut touch);
        }
        self.core.mailbox.take().into_iter().for_each(&mut touch);
        lock(&self.core.later).take_due(now).into_iter().for_each(touch);
    }

    fn look(&mut self, paths: &[Arc<str>]) {
        threads::may_panic("share-keeper");
        let ToDo { jobs, again, later } = self.core.look(paths, &mut self.restless);
        self.restless.tidy(Instant::now());
        for (path, due) in later {
            self.debounce.look_at(path, due);
        }
        let (large, small): (Vec<Job>, Vec<Job>) =
            jobs.into_iter().partition(|job| job.found.stamp.size > LARGE_BYTES);
        // The lanes live until this thread drops the channels.
        for (jobs, lane) in [(small, &self.small), (large, &self.large), (again, &self.again)] {
            if !jobs.is_empty() {
                let _ = lane.send(jobs);
            }
        }
    }
}

fn hash_lane(core: &Core, jobs: &Receiver<Vec<Job>>) {
    while let Ok(mut batch) = jobs.recv() {
        batch.extend(jobs.try_iter().flatten());
        threads::may_panic("hash-lane");
        let mut done = Vec::new();
        let mut offered = Instant::now();
        hash_all(&core.walker.root, batch, core.threads, &core.stop, |report| {
            if let Report::Done(job, outcome) = report {
                done.push((job, outcome));
            }
            if offered.elapsed() >= OFFER_EVERY {
                core.settle(std::mem::take(&mut done));
                offered = Instant::now();
            }
        });
        core.settle(done);
    }
}

impl Core {
    /// Looks at paths that may have changed: takes back what is not there any more, and gives what is to be done.
    fn look(&self, paths: &[Arc<str>], restless: &mut Restless) -> ToDo {
        let scans = self.scan(paths);
        let mut all = Differences::default();
        let got = self.got_of_new(&scans);
        {
            let mut state = self.write();
            for (folder, got) in got {
                state.catalogue.set_got(&folder, got);
            }
            for (scan, links) in scans {
                let mut differences = state.catalogue.compare(&scan);
                self.doubt_unread(&state, &scan, paths, &mut differences);
                self.look_later(&scan);
                renew_links(&mut state, &scan, links);
                extend(&mut all, differences);
            }
            let comes = |path: &str| state.expected.iter().any(|expected| is_within(path, expected));
            all.unknown.retain(|(path, _)| !comes(path));
            all.doubted.retain(|(path, _)| !comes(path));
            all.grown.retain(|(path, _)| !comes(path));
            all.folders_new.retain(|(path, _)| !comes(path));
            all.links.retain(|(path, _)| !comes(path));
            all.left_out.retain(|(path, _)| !comes(path));
            self.take_back(&mut state, &mut all);
        }
        if let (Some(watches), false) = (&self.watches, all.folders_gone.is_empty()) {
            let gone: BTreeSet<&str> = all.folders_gone.iter().map(|path| &**path).collect();
            watches.forget(|folder| gone.contains(folder));
        }
        let todo = self.sort_out(all.unknown, all.doubted, all.grown, restless);
        self.tell_left_out();
        todo
    }

    /// What looks as it did and could not be read lately is read again.
    fn doubt_unread(&self, state: &State, scan: &Scan, paths: &[Arc<str>], differences: &mut Differences) {
        let later = lock(&self.later);
        for path in paths.iter().filter(|path| later.waits(path)) {
            let Ok(at) = scan.files.binary_search_by(|(at, _)| at.cmp(path)) else { continue };
            let (path, found) = &scan.files[at];
            if state.catalogue.file(path).is_some_and(|known| known.stamp == found.stamp) {
                differences.doubted.push((path.clone(), *found));
            }
        }
    }

    /// What could not be looked at is looked at again; what could, and is no file to be read, has no need to wait.
    fn look_later(&self, scan: &Scan) {
        scan.unseen.iter().for_each(|(path, error)| self.put_off(path, error));
        if scan.unseen.is_empty() && scan.files.first().is_none_or(|(first, _)| *first != scan.scope) {
            lock(&self.later).settled(&scan.scope);
        }
    }

    /// What was fetched into folders that are new here.
    fn got_of_new(&self, scans: &[(Scan, Vec<Followed>)]) -> Vec<(Arc<str>, Got)> {
        let folders = scans.iter().flat_map(|(scan, _)| &scan.folders).map(|(folder, _)| folder);
        let new: Vec<Arc<str>> = {
            let state = self.read();
            folders.filter(|folder| !state.catalogue.has_folder(folder)).cloned().collect()
        };
        let read = |folder: Arc<str>| {
            let got = Got::read(&below(&self.walker.root, &folder));
            (folder, got)
        };
        new.into_iter().map(read).collect()
    }

    /// Scans each path, the places it is linked from, and nothing twice.
    fn scan(&self, paths: &[Arc<str>]) -> Vec<(Scan, Vec<Followed>)> {
        let mut wanted: BTreeSet<Arc<str>> = paths.iter().cloned().collect();
        {
            let state = self.read();
            let linked = paths.iter().flat_map(|path| linked_from(&state, path));
            wanted.extend(linked);
        }
        if wanted.contains("")
            && let Some(watches) = &self.watches
        {
            watches.open_eyes();
        }
        let mut covered: BTreeSet<Arc<str>> = BTreeSet::new();
        let mut scans = Vec::new();
        for path in wanted {
            if is_covered(&covered, &path) {
                continue;
            }
            let (scan, links) = self.walker.scan(&path);
            // What is a folder, or is not there, has nothing more to say about what is below it.
            if scan.files.first().is_none_or(|(first, _)| *first != path) {
                covered.insert(path);
            }
            scans.push((scan, links));
        }
        let others = self.other_names(paths, &scans);
        scans.extend(
            others.iter().filter(|path| !is_covered(&covered, path)).map(|path| self.walker.scan(path)),
        );
        scans
    }

    /// The other names of files with several that have changed: an event tells of the name that was used alone.
    fn other_names(&self, paths: &[Arc<str>], scans: &[(Scan, Vec<Followed>)]) -> Vec<Arc<str>> {
        let state = self.read();
        let seen: HashMap<&str, &Found> =
            scans.iter().flat_map(|(scan, _)| &scan.files).map(|(path, found)| (&**path, found)).collect();
        let known = |path: &str| state.catalogue.file(path);
        let changed = seen.iter().filter(|(path, found)| {
            found.linked && known(path).is_none_or(|record| record.stamp != found.stamp)
        });
        let gone = paths.iter().filter(|path| !seen.contains_key(&***path)).filter_map(|path| known(path));
        let mut inodes: HashSet<u64> = changed.map(|(_, found)| found.stamp.inode).collect();
        inodes.extend(gone.filter(|record| record.linked).map(|record| record.stamp.inode));
        if inodes.is_empty() {
            return Vec::new();
        }
        let mut others = state.catalogue.names_of(&inodes);
        others.retain(|path| !seen.contains_key(&**path));
        others
    }

    /// Withdraws what went, before anything else is done about it.
    fn take_back(&self, state: &mut State, all: &mut Differences) {
        for (path, record) in &all.gone {
            self.raise_ghost(state, record.stamp, record.id);
            state.hashing.remove(path);
        }
        self.index.remove(all.gone.iter().map(|(path, _)| &**path));
        let delta = Delta {
            gone: all.gone.iter().map(|(path, _)| path.clone()).collect(),
            entered: std::mem::take(&mut all.touched),
            folders_gone: all.folders_gone.clone(),
            folders_new: std::mem::take(&mut all.folders_new),
            links: std::mem::take(&mut all.links),
            left_out: std::mem::take(&mut all.left_out),
        };
        self.step(state, delta);
    }

    /// Offers at once what is known under another name; the rest is to be hashed, now or when it is
    /// time.
    fn sort_out(
        &self,
        unknown: Vec<(Arc<str>, Found)>,
        doubted: Vec<(Arc<str>, Found)>,
        grown: Vec<(Arc<str>, Found)>,
        restless: &mut Restless,
    ) -> ToDo {
        let mut later = Vec::new();
        let mut jobs = Vec::new();
        let mut known = Vec::new();
        let mut again: Vec<Job> = doubted.into_iter().map(|(path, found)| Job { path, found }).collect();
        for (path, found) in unknown {
            let ghost = self.read().ghosts.get(&found.stamp.shape()).copied();
            let record = ghost.map(|(stamp, id)| found.hashed_as(stamp, id));
            match record.filter(|record| self.is_whole(&path, record)) {
                Some(record) => {
                    again.push(Job { path: path.clone(), found });
                    known.push((path, record));
                }
                None => {
                    if restless.was_read(&path) {
                        lock(&self.notice).does_not_rest(&path);
                    }
                    match self.wait_for(&path, &found, false, restless) {
                        Some(until) => later.push((path, until)),
                        None => jobs.push(Job { path, found }),
                    }
                }
            }
        }
        for (path, found) in grown {
            match self.wait_for(&path, &found, true, restless) {
                Some(until) => later.push((path, until)),
                None => again.push(Job { path, found }),
            }
        }
        let mut state = self.write();
        for jobs in [&mut jobs, &mut again] {
            jobs.retain(|job| state.hashing.get(&job.path) != Some(&job.found.stamp));
            state.hashing.extend(jobs.iter().map(|job| (job.path.clone(), job.found.stamp)));
        }
        for (path, record) in &known {
            self.index.put(path, record, Vec::new());
        }
        self.step(&mut state, Delta { entered: known, ..Delta::default() });
        ToDo { jobs, again, later }
    }

    /// When to look again at a file that is not to be read now.
    fn wait_for(
        &self,
        path: &Arc<str>,
        found: &Found,
        grown: bool,
        restless: &mut Restless,
    ) -> Option<Instant> {
        let now = Instant::now();
        let hashing = self.read().hashing.get(path).copied();
        // What comes of reading it will be true of its beginning.
        if hashing.is_some_and(|stamp| found.stamp.may_have_grown_from(&stamp)) {
            return Some(now + QUIET);
        }
        restless.wait_for(path, age_of(found.stamp), grown, now)
    }

    /// True if a file that came back can be read and its chunk hashes are still there.
    fn is_whole(&self, path: &str, record: &Record) -> bool {
        let opened = open_like(&self.walker.root, path, record.stamp);
        let chunks = crate::content::Geometry::of(record.stamp.size).map_or(0, |geometry| geometry.chunks());
        opened.is_ok_and(|file| file.is_some()) && (chunks <= 1 || self.index.hashes(record.id).is_some())
    }

    /// Offers what was hashed and is still wanted.
    pub(super) fn settle(&self, done: Vec<(Job, Outcome)>) {
        let mut delta = Delta::default();
        let mut state = self.write();
        for (job, outcome) in done {
            if state.hashing.get(&job.path) != Some(&job.found.stamp) {
                continue; // it has changed again, which was seen
            }
            state.hashing.remove(&job.path);
            let known = state.catalogue.file(&job.path).copied();
            if !matches!(&outcome, Outcome::Failed(error) if is_passing(error)) {
                lock(&self.later).settled(&job.path);
            }
            match outcome {
                Outcome::Hashed(record, hashes) => {
                    if let Some(known) = known.filter(|known| known.id != record.id) {
                        self.replace(&mut state, &job.path, &known, &record);
                    }
                    self.index.put(&job.path, &record, hashes);
                    delta.entered.push((job.path, record));
                }
                Outcome::Unstable => self.mailbox.post(job.path),
                // No word about the file: it is hashed again, and stays what it was if it was anything.
                Outcome::Failed(error) if is_passing(&error) => self.put_off(&job.path, &error),
                Outcome::Failed(error) => {
                    if known.is_some() {
                        self.index.remove([&*job.path]);
                        delta.gone.push(job.path.clone());
                    }
                    delta.left_out.push((job.path, unread(&error)));
                }
                Outcome::Stopped => {}
            }
        }
        self.step(&mut state, delta);
        drop(state);
        self.tell_left_out();
        self.mailbox.wake(); // there is something to commit
    }
}

impl Core {
    /// A file that is offered was read again, and is something else now.
    fn replace(&self, state: &mut State, path: &Arc<str>, known: &Record, now: &Record) {
        if now.stamp.may_be(&known.stamp) {
            self.tell_of_hidden_change(path);
        }
        if now.stamp.may_have_grown_from(&known.stamp) {
            let dropped = state.earlier.keep(known.id, Source { path: path.clone(), stamp: known.stamp });
            let unused = dropped.filter(|id| !state.catalogue.has_file(*id));
            self.index.remove_hashes(unused);
        }
    }
}

/// What becomes of a file that could not be read: one that vanished is not there to be left out.
pub(super) fn unread(error: &io::Error) -> Option<Reason> {
    (error.kind() != io::ErrorKind::NotFound).then_some(Reason::Unreadable)
}

/// Which folder it is, if it is there.
fn identity(root: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(root).ok().filter(fs::Metadata::is_dir)?;
    Some((metadata.dev(), metadata.ino()))
}

fn extend(all: &mut Differences, more: Differences) {
    all.gone.extend(more.gone);
    all.unknown.extend(more.unknown);
    all.doubted.extend(more.doubted);
    all.grown.extend(more.grown);
    all.touched.extend(more.touched);
    all.folders_gone.extend(more.folders_gone);
    all.folders_new.extend(more.folders_new);
    all.links.extend(more.links);
    all.left_out.extend(more.left_out);
}

fn renew_links(state: &mut State, scan: &Scan, links: Vec<Followed>) {
    state.links.retain(|shown, _| !is_within(shown, &scan.scope));
    state.links.extend(links.into_iter().map(|link| (link.shown, link.target)));
}

/// The paths under which links show what lies at `path`.
fn linked_from(state: &State, path: &str) -> Vec<Arc<str>> {
    let show = |(shown, target): (&Arc<str>, &Arc<str>)| match path.strip_prefix(&**target) {
        Some("") => Some(shown.clone()),
        Some(rest) if rest.starts_with('/') => Some(Arc::from(format!("{shown}{rest}"))),
        _ => (is_within(target, path) && !path.is_empty()).then(|| shown.clone()),
    };
    state.links.iter().filter_map(show).collect()
}

fn is_covered(covered: &BTreeSet<Arc<str>>, path: &str) -> bool {
    let mut above = path;
    while !above.is_empty() {
        above = super::parent(above);
        if covered.contains(above) {
            return true;
        }
    }
    false
}
