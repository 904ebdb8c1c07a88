//! What has changed in the records by what other trackers of the cluster were asked, until somebody sees to it.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::content::PeerId;
use crate::threads::lock;
use crate::tracker::records::{Applied, Command, Content, Outcome};

/// What has changed since it was looked at last.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Changed {
    /// All of it may have: the records are others.
    pub all: bool,
    /// A term has begun, or this tracker has taken the lead or lost it.
    pub term: bool,
    /// Who is a member, or by which keys.
    pub members: bool,
    /// What is promised of these.
    pub contents: BTreeSet<Content>,
    /// What is on record of these.
    pub stores: BTreeSet<PeerId>,
}

/// Where changes wait.
#[derive(Debug)]
pub struct Changes {
    waiting: Mutex<Changed>,
    nudge: Sender<()>,
    nudged: Receiver<()>,
}

impl Default for Changes {
    fn default() -> Changes {
        let (nudge, nudged) = bounded(1);
        Changes { waiting: Mutex::default(), nudge, nudged }
    }
}

impl Changes {
    pub(super) fn note(&self, note: impl FnOnce(&mut Changed)) {
        note(&mut lock(&self.waiting));
        let _ = self.nudge.try_send(()); // if it is full, somebody will look
    }

    /// A command was applied of which nobody here waits to hear.
    pub(super) fn applied(&self, command: &Command, applied: &Applied) {
        self.note(|changed| {
            changed.contents.extend(applied.changed.iter().copied());
            changed.members |= matches!(applied.outcome, Outcome::Members | Outcome::Rotated(_));
            changed.term |= matches!(applied.outcome, Outcome::Started(_));
            match command {
                Command::SetStore(set) => drop(changed.stores.insert(set.store)),
                Command::SeeStore(see) => drop(changed.stores.insert(see.store)),
                _ => {}
            }
        });
    }

    /// What has changed, once something has; nothing if that takes longer.
    pub fn wait(&self, patience: Duration) -> Changed {
        let _ = self.nudged.recv_timeout(patience);
        std::mem::take(&mut lock(&self.waiting))
    }
}
