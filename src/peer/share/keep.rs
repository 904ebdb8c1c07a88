//! Keeping a share up to date: the thread that looks at what changed, has it hashed, makes trees again, tells the user
//! of what is left out, and writes the index.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::coming::Coming;
use super::core::Core;
use super::debounce::{Debounce, QUIET};
use super::lanes::Lanes;
use super::left_out::Notice;
use super::look::{look, renew_trees};
use super::reading::is_passing;
use crate::threads;

/// How long what was hashed may wait to be written down.
const COMMIT_AFTER: Duration = Duration::from_secs(1);
/// How often it is looked whether the shared folder is still the same one: no event tells of another
/// that is mounted, or made, in its place.
const ROOT_EVERY: Duration = Duration::from_secs(2);
/// How often everything is looked at when not everything can be watched.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Making trees again takes at most this part of the time.
const TREES_SHARE: u32 = 3;

/// Starts the threads that keep a share up to date, which join `started` one by one. They end when [`Core::stop`] says
/// so. `notice` knows what the user was told at the first look.
pub(super) fn start(core: &Arc<Core>, notice: Notice, started: &mut Vec<JoinHandle<()>>) -> io::Result<()> {
    let lanes = Lanes::start(core, started)?;
    let now = Instant::now();
    let keeper = Keeper {
        core: core.clone(),
        debounce: Debounce::new(),
        lanes,
        notice,
        told_at: None,
        root: identity(&core.walker.root),
        next_look: now + LOOK_EVERY,
        next_root: now + ROOT_EVERY,
        coming: Coming::default(),
        next_trees: now,
        trees_at: None,
        commit_at: None,
    };
    started.push(threads::named("share-keeper").essential(move || keeper.run())?);
    Ok(())
}

/// The thread that looks. The lanes end with it.
struct Keeper {
    core: Arc<Core>,
    debounce: Debounce,
    lanes: Lanes,
    notice: Notice,
    /// The step after which the user was told of what is left out.
    told_at: Option<u64>,
    /// Which folder the shared one was when last seen.
    root: Option<(u64, u64)>,
    /// When everything is looked at if not everything can be watched.
    next_look: Instant,
    next_root: Instant,
    coming: Coming,
    /// Trees are not made again before.
    next_trees: Instant,
    /// The step after which all trees were made but those of folders that are coming.
    trees_at: Option<u64>,
    /// When what waits is written down.
    commit_at: Option<Instant>,
}

impl Keeper {
    fn run(mut self) {
        loop {
            let wait = self.next_deadline().map(|next| next.saturating_duration_since(Instant::now()));
            let events = self.core.watches.as_ref().and_then(|watches| watches.events());
            self.core.mailbox.wait(events, wait);
            if self.core.is_stopping() {
                return;
            }
            let now = Instant::now();
            self.collect(now);
            if self.is_blind() && now >= self.next_look {
                self.debounce.touch(Arc::from(""), now - QUIET);
            }
            if self.core.watches.is_some() && now >= self.next_root {
                self.check_root(now);
                self.next_root = now + ROOT_EVERY;
            }
            self.look(now);
            self.renew_trees();
            self.tell_left_out();
            self.commit(now);
        }
    }

    /// When there is something to do if nothing happens.
    fn next_deadline(&self) -> Option<Instant> {
        let put_off = self.core.read().next_due();
        let deadlines = [
            self.debounce.next_deadline(),
            self.is_blind().then_some(self.next_look),
            self.core.watches.is_some().then_some(self.next_root),
            put_off,
            self.trees_due(),
            self.commit_at,
        ];
        deadlines.into_iter().flatten().min()
    }

    fn is_blind(&self) -> bool {
        self.core.watches.as_ref().is_some_and(|watches| watches.is_blind())
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
        if self.core.read().next_due().is_some_and(|due| due <= now) {
            self.core.step(|state| (state.take_due(now), Vec::new())).into_iter().for_each(touch);
        }
    }

    /// Looks at what is due.
    fn look(&mut self, now: Instant) {
        let due = self.debounce.take_due(now);
        if due.is_empty() {
            return;
        }
        threads::may_panic("share-keeper");
        if due.iter().any(|path| path.is_empty()) {
            self.root = identity(&self.core.walker.root); // before it is looked at
        }
        let todo = look(&self.core, &due);
        for (path, due) in &todo.later {
            self.debounce.look_at(path.clone(), *due);
        }
        for path in &todo.never_rest {
            self.notice.does_not_rest(path);
            self.told_at = None;
        }
        self.lanes.hash(todo);
        let took = now.elapsed();
        self.debounce.looked(took);
        self.next_look = Instant::now() + LOOK_EVERY.max(took * 10);
    }

    /// When trees are to be made again, if any is.
    fn trees_due(&self) -> Option<Instant> {
        let state = self.core.read();
        let nothing_new = self.trees_at == Some(state.catalogue.steps());
        let next = self.coming.next_due().filter(|_| nothing_new);
        (!state.catalogue.is_fresh()).then_some(next.unwrap_or(self.next_trees).max(self.next_trees))
    }

    fn renew_trees(&mut self) {
        let start = Instant::now();
        if self.trees_due().is_none_or(|due| due > start) {
            return;
        }
        let state = self.core.read();
        self.trees_at = Some(state.catalogue.steps());
        let due = self.coming.due(state.catalogue.stale(), |folder| state.catalogue.is_coming(folder), start);
        drop(state);
        renew_trees(&self.core, &due);
        self.next_trees = Instant::now() + start.elapsed() * (TREES_SHARE - 1);
    }

    /// Says what is left out, if that was not said yet.
    fn tell_left_out(&mut self) {
        let state = self.core.read();
        let step = state.catalogue.steps();
        if self.told_at == Some(step) {
            return;
        }
        let line = self.notice.of(state.catalogue.left_out());
        drop(state);
        self.told_at = Some(step);
        if let Some(line) = line {
            tracing::warn!("{line}");
        }
    }

    /// Writes down what has waited long enough.
    fn commit(&mut self, now: Instant) {
        let waiting = self.core.index.is_waiting();
        self.commit_at = self.commit_at.or(waiting.then_some(now + COMMIT_AFTER));
        if self.commit_at.is_some_and(|at| at <= now) {
            self.core.index.commit();
            self.commit_at = None;
        }
    }
}

/// Which folder it is, if it is there.
fn identity(root: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(root).ok().filter(fs::Metadata::is_dir)?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests;
