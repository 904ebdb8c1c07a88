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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::FileId;
    use crate::tracker::records::{Import, SetStore};
    use crate::wire::{ClientId, List, StoreChange, Term, View};

    const NOW: Duration = Duration::ZERO;

    fn content(number: u8) -> Content {
        (FileId([number; 32]), View::Bytes)
    }

    fn applied(outcome: Outcome, contents: &[u8]) -> Applied {
        Applied { outcome, changed: contents.iter().copied().map(content).collect() }
    }

    #[test]
    fn what_changed_is_told_once_and_all_of_it_together() {
        let changes = Changes::default();
        assert_eq!(changes.wait(NOW), Changed::default());
        let store = PeerId([5; 16]);
        let change = StoreChange::Leave;
        let set = Command::SetStore(SetStore { client: ClientId(1), seq: 1, store, change });
        changes.applied(&set, &applied(Outcome::Noted, &[1, 2]));
        changes.applied(&set, &applied(Outcome::Noted, &[2, 3]));
        changes.note(|changed| changed.all = true);
        let contents = [1, 2, 3].map(content).into();
        let expected = Changed { all: true, contents, stores: [store].into(), ..Changed::default() };
        assert_eq!(changes.wait(Duration::from_secs(60)), expected);
        assert_eq!(changes.wait(NOW), Changed::default());
    }

    #[test]
    fn members_and_terms_are_told_by_what_came_of_a_command() {
        let changes = Changes::default();
        let command = Command::Import(Import { list: List::default() });
        for (outcome, members, term) in [
            (Outcome::Members, true, false),
            (Outcome::Rotated(2), true, false),
            (Outcome::Started(Term(3)), false, true),
            (Outcome::Removed(1), false, false),
            (Outcome::Noted, false, false),
        ] {
            changes.applied(&command, &applied(outcome, &[]));
            assert_eq!(changes.wait(NOW), Changed { members, term, ..Changed::default() }, "{outcome:?}");
        }
    }

    #[test]
    fn who_waits_is_woken() {
        let changes = Changes::default();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| changes.wait(Duration::from_secs(60)));
            changes.note(|changed| changed.term = true);
            assert!(waiting.join().unwrap().term);
        });
    }
}
