//! How many bytes may wait for those who ask and do not read: for one connection, for one address, and in all. Pure.
//!
//! Who waits is not asked on: it is heard again when it has taken what is there for it. What a connection may always
//! have waiting is not counted, so that those who read are never held up by those who do not.

use std::collections::BTreeMap;

use crate::content::Network;

/// What may always wait for a connection: one answer, and the chunks of one turn.
const ALWAYS: usize = 256 << 10;
/// Most that may wait for one connection, for all of one network, and for all.
const MOST: usize = 4 << 20;
const MOST_OF_NETWORK: usize = 8 << 20;
const MOST_IN_ALL: usize = 64 << 20;

/// What waits for everybody.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    networks: BTreeMap<Network, usize>,
    in_all: usize,
}

impl Backlog {
    /// What of so many bytes that wait for one connection is counted.
    pub(crate) fn counted(bytes: usize) -> usize {
        if bytes > ALWAYS { bytes } else { 0 }
    }

    /// For a connection of this network so many bytes are counted, and no more as many as `before`.
    pub(crate) fn note(&mut self, network: Network, before: usize, counted: usize) {
        let bytes = self.networks.get(&network).copied().unwrap_or(0) - before + counted;
        self.in_all = self.in_all - before + counted;
        if bytes == 0 {
            self.networks.remove(&network);
        } else {
            self.networks.insert(network, bytes);
        }
    }

    /// True if a connection of this network, for which so many bytes are counted, is not asked on.
    pub(crate) fn is_choked(&self, network: Network, counted: usize) -> bool {
        let of_network = self.networks.get(&network).copied().unwrap_or(0);
        counted > 0 && (counted > MOST || of_network > MOST_OF_NETWORK || self.in_all > MOST_IN_ALL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(network: u8) -> Network {
        Network::of([10, 0, 0, network].into())
    }

    #[test]
    fn who_has_little_waiting_is_heard_whatever_waits_for_others() {
        assert_eq!([0, ALWAYS, ALWAYS + 1].map(Backlog::counted), [0, 0, ALWAYS + 1]);
        let mut backlog = Backlog::default();
        (0..99).for_each(|network| backlog.note(at(network), 0, MOST + 1));
        assert!(backlog.is_choked(at(1), 1) && !backlog.is_choked(at(1), 0));
    }

    #[test]
    fn a_connection_a_network_and_all_have_their_bounds() {
        let mut backlog = Backlog::default();
        backlog.note(at(1), 0, MOST);
        assert!(!backlog.is_choked(at(1), MOST) && backlog.is_choked(at(1), MOST + 1));
        backlog.note(at(1), 0, MOST);
        assert!(!backlog.is_choked(at(1), MOST), "two of a network");
        backlog.note(at(1), MOST, MOST + 1);
        assert!(backlog.is_choked(at(1), 1) && !backlog.is_choked(at(2), MOST));
        backlog.note(at(1), MOST + 1, 0);
        assert!(!backlog.is_choked(at(1), MOST));
        (2..17).for_each(|network| backlog.note(at(network), 0, MOST));
        assert!(!backlog.is_choked(at(2), MOST), "sixteen times four");
        backlog.note(at(99), 0, 1);
        assert!(backlog.is_choked(at(2), 1));
        backlog.note(at(99), 1, 0);
        (1..17).for_each(|network| backlog.note(at(network), MOST, 0));
        assert!(backlog.networks.is_empty() && backlog.in_all == 0, "what is taken is forgotten");
    }
}
