//! What the threads of a share have in common, and how each of them takes a step.
//!
//! A lock is held for a step of the state, or to look something up: no file is read and nothing is hashed meanwhile.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock, RwLockWriteGuard};

use crossbeam_channel::Sender;

use super::catalogue::Change;
use super::holding::Members;
use super::index::Index;
use super::mailbox::Mailbox;
use super::recent::{OfStep, Recent};
use super::state::{Effect, State};
use super::walk::Walker;
use super::watch::Watches;
use crate::content::Manifest;
use crate::threads::{self, Reading};

/// Bytes of manifests kept for the next question.
const MANIFESTS_BYTES: usize = 8 << 20;
/// Bytes of listings kept for the next question.
const LISTINGS_BYTES: usize = 8 << 20;
/// Bytes of opened trees kept for the next question.
const MEMBERS_BYTES: usize = 8 << 20;

/// What the threads of a share have in common.
pub(super) struct Core {
    pub(super) walker: Walker,
    /// Threads that hash.
    pub(super) threads: usize,
    pub(super) index: Index,
    state: RwLock<State>,
    pub(super) caches: Mutex<Caches>,
    changes: Sender<Change>,
    pub(super) mailbox: Mailbox,
    pub(super) watches: Option<Arc<Watches>>,
    stop: AtomicBool,
    /// Counts the times when something was found not to be what it was offered as, though it looked so.
    withdrawals: AtomicU64,
}

/// Answers to what was asked lately.
pub(super) struct Caches {
    pub(super) manifests: Recent<Arc<Manifest>>,
    pub(super) listings: Recent<Arc<[u8]>>,
    /// A tree may be the same and its files' stamps others, so these are as good as the step in which they were made.
    pub(super) members: OfStep<Arc<Members>>,
}

impl Core {
    /// A share in this state, as the first look found it; whatever it does not know yet is in the mailbox.
    pub(super) fn new(
        walker: Walker,
        threads: usize,
        index: Index,
        state: State,
        changes: Sender<Change>,
        mailbox: Mailbox,
        watches: Option<Arc<Watches>>,
    ) -> Core {
        let caches = Caches {
            manifests: Recent::new(MANIFESTS_BYTES),
            listings: Recent::new(LISTINGS_BYTES),
            members: OfStep::new(MEMBERS_BYTES),
        };
        Core {
            walker,
            threads,
            index,
            state: RwLock::new(state),
            caches: Mutex::new(caches),
            changes,
            mailbox,
            watches,
            stop: AtomicBool::new(false),
            withdrawals: AtomicU64::new(0),
        }
    }

    /// What is known now.
    pub(super) fn read(&self) -> Reading<'_, State> {
        threads::read(&self.state)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        threads::write(&self.state)
    }

    /// Takes a step. What trackers and the index are to hear of it they hear before the next one, so that the order is
    /// the one in which it happened; the others after, when nobody waits for it.
    pub(super) fn step<T>(&self, decide: impl FnOnce(&mut State) -> (T, Vec<Effect>)) -> T {
        let mut state = self.write();
        let (out, effects) = decide(&mut state);
        let rest: Vec<Effect> = effects.into_iter().filter_map(|effect| self.note(effect)).collect();
        drop(state);
        let looks = rest.into_iter().filter_map(say).collect::<Vec<_>>();
        self.mailbox.post(looks); // wakes who looks in any case: there may be something to write down
        out
    }

    /// Carries out what has an order, and gives back the rest.
    fn note(&self, effect: Effect) -> Option<Effect> {
        match effect {
            // There is a receiver as long as there is a share.
            Effect::Tell(change) => drop(self.changes.send(change)),
            Effect::Remember(path, record, hashes) => self.index.put(&path, &record, hashes),
            Effect::RememberFetched(path, record, hashes) => {
                self.index.put_fetched(&path, &record, hashes, &self.walker.root);
            }
            Effect::Forget(path) => self.index.remove([&*path]),
            Effect::ForgetHashes(id) => self.index.remove_hashes([id]),
            rest @ (Effect::Look(_) | Effect::SayPutOff(..) | Effect::SayHidden(_)) => return Some(rest),
        }
        None
    }

    /// A file is not what it was: it is offered again when it was hashed again.
    pub(super) fn withdraw(&self, path: &str) {
        self.step(|state| {
            self.count_withdrawal();
            ((), state.withdraw(path))
        });
    }

    /// Whoever has a file open sees from now on that it may not be what it was.
    pub(super) fn count_withdrawal(&self) {
        self.withdrawals.fetch_add(1, Ordering::Release);
    }

    /// Changes whenever a file was found not to be what it was offered as, however it looks.
    pub(super) fn withdrawals(&self) -> u64 {
        self.withdrawals.load(Ordering::Acquire)
    }

    /// Has all threads of the share end: the one that looks wakes, and takes the others along.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.mailbox.wake();
    }

    /// Set when all threads are to end.
    pub(super) fn stopping(&self) -> &AtomicBool {
        &self.stop
    }

    /// True when all threads are to end.
    pub(super) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Says what is to be said; what is to be looked at is given back.
fn say(effect: Effect) -> Option<Arc<str>> {
    match effect {
        Effect::Look(path) => return Some(path),
        Effect::SayPutOff(path, why) => {
            let path = if path.is_empty() { "." } else { &*path };
            tracing::warn!(path, "it cannot be read now, and is tried again: {why}");
        }
        Effect::SayHidden(path) => tracing::warn!(
            path = &*path,
            "its bytes have changed although its size and time have not; it is hashed anew and shared as what it is now"
        ),
        Effect::Tell(_)
        | Effect::Remember(..)
        | Effect::RememberFetched(..)
        | Effect::Forget(_)
        | Effect::ForgetHashes(_) => {}
    }
    None
}
