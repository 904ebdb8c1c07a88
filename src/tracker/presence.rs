//! Which members of a closed swarm are connected here, and who of them is to be cut.

use std::collections::{BTreeMap, BTreeSet};

use super::records::Roster;
use crate::content::PublicKey;

/// The connections of those whose keys are known, by number.
#[derive(Debug, Default)]
pub(super) struct Presence(BTreeMap<u64, PublicKey>);

/// A connection that is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Its number.
    pub connection: u64,
    /// True if its member was put out, and is told so. Else whoever it is comes again with the new key, if he has it.
    pub revoked: bool,
}

impl Presence {
    /// A connection of somebody with this key has begun.
    pub(super) fn comes(&mut self, connection: u64, key: PublicKey) {
        self.0.insert(connection, key);
    }

    /// A connection has ended.
    pub(super) fn goes(&mut self, connection: u64) {
        self.0.remove(&connection);
    }

    /// The keys of all who are here.
    pub(super) fn keys(&self) -> BTreeSet<PublicKey> {
        self.0.values().copied().collect()
    }

    /// Cuts of all connections with this key.
    pub(super) fn of(&self, key: PublicKey) -> Vec<Cut> {
        let its = self.0.iter().filter(|(_, here)| **here == key);
        its.map(|(connection, _)| Cut { connection: *connection, revoked: false }).collect()
    }

    /// All connections.
    pub(super) fn connections(&self) -> Vec<u64> {
        self.0.keys().copied().collect()
    }

    /// Who is to be cut now that the swarm's key is another: who was put out, and if the key before lets in no more
    /// also those of whom the roster knows nothing, for he may be one of them.
    pub(super) fn cuts(&self, roster: &Roster) -> Vec<Cut> {
        let known = |key| roster.grace_until_ms() > 0 || roster.standing(key).is_some();
        let cut = |(connection, key): (&u64, &PublicKey)| {
            let revoked = roster.is_revoked(*key);
            (revoked || !known(*key)).then_some(Cut { connection: *connection, revoked })
        };
        self.0.iter().filter_map(cut).collect()
    }
}
