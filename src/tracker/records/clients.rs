//! What clients' last commands came to, so that a command that is sent again is not carried out again.
//!
//! A bounded number of them; which is forgotten depends on the commands alone, like all that the records are.

use std::collections::{BTreeMap, HashMap};

use super::outcome::{Outcome, Refused};
use crate::wire::ClientId;

/// Clients whose last command is remembered.
const MAX_CLIENTS: usize = 4096;

/// A client's last command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Last {
    pub(super) seq: u64,
    pub(super) outcome: Outcome,
    /// The slot of the command: of two clients, the one with the smaller is forgotten first.
    pub(super) slot: u64,
}

/// The last command of each client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Clients {
    last: HashMap<ClientId, Last>,
    by_slot: BTreeMap<u64, ClientId>,
}

impl Clients {
    /// What is to be answered to a command without carrying it out; `None` if it is new.
    pub(super) fn answered(&self, (client, seq): (ClientId, u64)) -> Option<Outcome> {
        let last = self.last.get(&client).filter(|last| seq <= last.seq)?;
        Some(if seq == last.seq { last.outcome } else { Outcome::Refused(Refused::Late) })
    }

    /// Remembers a command; of a slot later than all others.
    pub(super) fn remember(&mut self, client: ClientId, last: Last) {
        if let Some(before) = self.last.insert(client, last) {
            self.by_slot.remove(&before.slot);
        }
        self.by_slot.insert(last.slot, client);
        while self.by_slot.len() > MAX_CLIENTS {
            let Some((_, forgotten)) = self.by_slot.pop_first() else { break };
            self.last.remove(&forgotten);
        }
    }

    /// All, in order of their slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ClientId, Last)> {
        self.by_slot.values().filter_map(|client| Some((*client, *self.last.get(client)?)))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_slot.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(seq: u64, slot: u64) -> Last {
        Last { seq, outcome: Outcome::Removed(seq as u32), slot }
    }

    #[test]
    fn a_command_is_answered_as_often_as_it_is_sent_and_an_earlier_one_is_late() {
        let mut clients = Clients::default();
        let client = ClientId::random();
        assert_eq!(clients.answered((client, 7)), None);
        clients.remember(client, last(7, 1));
        assert_eq!(clients.answered((client, 7)), Some(Outcome::Removed(7)));
        assert_eq!(clients.answered((client, 6)), Some(Outcome::Refused(Refused::Late)));
        assert_eq!(clients.answered((client, 8)), None);
        clients.remember(client, last(8, 2));
        assert_eq!(clients.iter().collect::<Vec<_>>(), [(client, last(8, 2))]);
    }

    #[test]
    fn the_one_that_has_been_silent_for_longest_is_forgotten() {
        let mut clients = Clients::default();
        let (first, second) = (ClientId::random(), ClientId::random());
        clients.remember(first, last(1, 1));
        clients.remember(second, last(1, 2));
        clients.remember(first, last(2, 3));
        (4..).take(MAX_CLIENTS - 1).for_each(|slot| clients.remember(ClientId::random(), last(1, slot)));
        assert_eq!(clients.len(), MAX_CLIENTS);
        assert_eq!(clients.answered((second, 1)), None);
        assert_eq!(clients.answered((first, 2)), Some(Outcome::Removed(2)));
    }
}
