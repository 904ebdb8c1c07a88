//! Stores that have served, and which of them are to be taken away: who is not back after a restart is missed.

use std::collections::BTreeMap;

use bytes::BytesMut;

use super::outcome::{Outcome, Refused};
use crate::content::PeerId;
use crate::wire::{ClientId, Cursor, DecodeError, Field, Label, StoreChange, layout};

/// Most stores on record.
const MAX_SEEN: usize = 4096;

layout! {
    /// A store serves: its name, and where it stands.
    SeeStore {
        /// The store.
        store: PeerId,
        /// Its name.
        name: Label,
        /// The zone that it says it is in.
        zone: Label,
        /// The machine that it says it runs on.
        machine: Label,
    }
}

layout! {
    /// A store is to be taken away, or not, or will not come back.
    SetStore {
        /// Who asks.
        client: ClientId,
        /// Which of its commands this is.
        seq: u64,
        /// The store.
        store: PeerId,
        /// What becomes of it.
        change: StoreChange,
    }
}

layout! {
    /// A store as it was seen last.
    Seen {
        /// Its name.
        name: Label,
        /// The zone that it says it is in.
        zone: Label,
        /// The machine that it says it runs on.
        machine: Label,
        /// True if it is to be taken away.
        leaving: bool,
    }
}

/// All stores on record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct AllSeen(BTreeMap<PeerId, Seen>);

impl AllSeen {
    pub(super) fn get(&self, store: PeerId) -> Option<&Seen> {
        self.0.get(&store)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (PeerId, &Seen)> {
        self.0.iter().map(|(store, seen)| (*store, seen))
    }

    pub(super) fn see(&mut self, seen: &SeeStore) -> Outcome {
        if self.0.len() >= MAX_SEEN && !self.0.contains_key(&seen.store) {
            return Outcome::Refused(Refused::Full);
        }
        let leaving = self.get(seen.store).is_some_and(|before| before.leaving);
        let SeeStore { store, name, zone, machine } = seen.clone();
        self.0.insert(store, Seen { name, zone, machine, leaving });
        Outcome::Noted
    }

    pub(super) fn set(&mut self, set: &SetStore) -> Outcome {
        let Some(seen) = self.0.get_mut(&set.store) else { return Outcome::Refused(Refused::NoStore) };
        match set.change {
            StoreChange::Leave => seen.leaving = true,
            StoreChange::Stay => seen.leaving = false,
            StoreChange::Forget => drop(self.0.remove(&set.store)),
            StoreChange::Rebalance => {} // nothing of that is on record
        }
        Outcome::Noted
    }
}

impl Field for AllSeen {
    fn put(&self, out: &mut BytesMut) {
        (self.0.len() as u32).put(out);
        self.0.iter().for_each(|(store, seen)| {
            store.put(out);
            seen.put(out);
        });
    }
    fn take(from: &mut Cursor) -> Result<AllSeen, DecodeError> {
        let count = u32::take(from)?;
        let seen = (0..count).map(|_| Ok((Field::take(from)?, Field::take(from)?)));
        seen.collect::<Result<_, _>>().map(AllSeen)
    }
}

#[cfg(test)]
mod tests {
    use super::super::command::Command;
    use super::super::machine::Records;
    use super::*;

    #[test]
    fn a_store_is_on_record_until_it_is_forgotten_and_leaves_until_it_stays() {
        let mut records = Records::default();
        let store = PeerId([1; 16]);
        let see = |zone: &str| {
            let (name, machine) = (Label::new("ben"), Label::new("m"));
            Command::SeeStore(SeeStore { store, name, zone: Label::new(zone), machine })
        };
        let set = |seq, change| Command::SetStore(SetStore { client: ClientId(1), seq, store, change });
        let mut slot = 0;
        let mut apply = |records: &mut Records, command: &Command| {
            slot += 1;
            let (number, bytes) = command.encode();
            assert_eq!(Command::decode(number, bytes).as_ref(), Ok(command));
            let outcome = records.apply(slot, command).outcome;
            assert_eq!(Records::restore(records.snapshot()).as_ref(), Ok(&*records));
            outcome
        };
        let leave = set(1, StoreChange::Leave);
        assert_eq!(apply(&mut records, &leave), Outcome::Refused(Refused::NoStore));
        assert_eq!(apply(&mut records, &see("a")), Outcome::Noted);
        assert_eq!(apply(&mut records, &set(2, StoreChange::Leave)), Outcome::Noted);
        assert_eq!(apply(&mut records, &see("b")), Outcome::Noted);
        let seen = records.store(store).unwrap();
        assert_eq!((seen.leaving, &*seen.zone), (true, "b"), "it is still to leave");
        assert_eq!(apply(&mut records, &set(3, StoreChange::Stay)), Outcome::Noted);
        assert!(!records.store(store).unwrap().leaving);
        assert_eq!(apply(&mut records, &set(3, StoreChange::Forget)), Outcome::Noted, "the answer of before");
        assert!(records.store(store).is_some());
        assert_eq!(apply(&mut records, &set(4, StoreChange::Forget)), Outcome::Noted);
        assert_eq!(records.store(store), None);
    }

    #[test]
    fn no_more_stores_are_on_record_than_there_can_be() {
        let mut all = AllSeen::default();
        let see = |number: u32| {
            let mut store = PeerId([0; 16]);
            store.0[..4].copy_from_slice(&number.to_be_bytes());
            let nothing = Label::default();
            SeeStore { store, name: nothing.clone(), zone: nothing.clone(), machine: nothing }
        };
        (0..MAX_SEEN as u32).for_each(|number| assert_eq!(all.see(&see(number)), Outcome::Noted));
        assert_eq!(all.see(&see(MAX_SEEN as u32)), Outcome::Refused(Refused::Full));
        assert_eq!(all.see(&see(0)), Outcome::Noted);
    }
}
