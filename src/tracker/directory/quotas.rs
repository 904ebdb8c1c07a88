//! How much is kept for whom, in bytes: for each network and for all of them.

use std::collections::BTreeMap;

use crate::content::Network;

/// What a registration takes beside its name: its rows, and their places in orders and tables.
pub(super) const REGISTRATION_BYTES: usize = 96;

/// Bytes that are kept for each network.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    of: BTreeMap<Network, usize>,
    total: usize,
}

impl Quotas {
    /// Bytes that are kept for all.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// Bytes that are kept for one network.
    pub(super) fn of(&self, network: Network) -> usize {
        self.of.get(&network).copied().unwrap_or_default()
    }

    /// What was kept in so many bytes for a network takes so many from now on.
    pub(super) fn change(&mut self, network: Network, before: usize, after: usize) {
        self.total = self.total + after - before;
        let bytes = self.of(network) + after - before;
        if bytes == 0 {
            self.of.remove(&network);
        } else {
            self.of.insert(network, bytes);
        }
    }

    /// The network for which most is kept, and how much.
    pub(super) fn heaviest(&self) -> Option<(Network, usize)> {
        self.of.iter().map(|(network, bytes)| (*network, *bytes)).max_by_key(|(_, bytes)| *bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_counted_for_its_network_and_for_all() {
        let network = |last| Network::of([10, 0, 0, last].into());
        let mut quotas = Quotas::default();
        assert_eq!(quotas.heaviest(), None);
        quotas.change(network(1), 0, 5);
        quotas.change(network(2), 0, 7);
        quotas.change(network(1), 2, 3);
        assert_eq!((quotas.of(network(1)), quotas.of(network(2)), quotas.total()), (6, 7, 13));
        assert_eq!(quotas.heaviest(), Some((network(2), 7)));
        quotas.change(network(2), 7, 0);
        quotas.change(network(1), 6, 0);
        assert_eq!((quotas.of.len(), quotas.total()), (0, 0));
    }
}
