//! Names of so many contents that not all are looked at: who registered which, by network.
//!
//! Of such a name every network's contents are to be seen, however many another one registers. A network that registers
//! what another did counts for it, too: nobody hides a content by naming it first.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::rows::PairRow;
use crate::content::Network;

/// The pairs of one crowded name.
#[derive(Debug, Default)]
struct Crowd {
    /// Those that were there when it became one: whoever registered them, they are always seen.
    early: BTreeSet<PairRow>,
    /// Those that each network registered since, and how often.
    networks: BTreeMap<Network, BTreeMap<PairRow, u32>>,
}

/// All crowded names.
#[derive(Debug, Default)]
pub(super) struct Crowded(HashMap<Box<[u8]>, Crowd>);

impl Crowded {
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has(&self, name: &[u8]) -> bool {
        self.0.contains_key(name)
    }

    /// The name is crowded from now on; it has these pairs.
    pub(super) fn begins(&mut self, name: &[u8], pairs: Vec<PairRow>) {
        self.0.insert(name.into(), Crowd { early: pairs.into_iter().collect(), networks: BTreeMap::new() });
    }

    /// A peer of the network registered the pair.
    pub(super) fn register(&mut self, name: &[u8], network: Network, pair: PairRow) {
        if let Some(crowd) = self.0.get_mut(name) {
            *crowd.networks.entry(network).or_default().entry(pair).or_default() += 1;
        }
    }

    /// A peer of the network has it registered no more. Who registered it early was not counted, but that is seen anyway.
    pub(super) fn unregister(&mut self, name: &[u8], network: Network, pair: PairRow) {
        let Some(pairs) = self.0.get_mut(name).and_then(|crowd| crowd.networks.get_mut(&network)) else {
            return;
        };
        if let Some(count) = pairs.get_mut(&pair) {
            *count -= 1;
            if *count == 0 {
                pairs.remove(&pair);
            }
        }
        if pairs.is_empty()
            && let Some(crowd) = self.0.get_mut(name)
        {
            crowd.networks.remove(&network);
        }
    }

    /// The pair is gone.
    pub(super) fn forget(&mut self, name: &[u8], pair: PairRow) {
        if let Some(crowd) = self.0.get_mut(name) {
            crowd.early.remove(&pair);
            if crowd.early.is_empty() && crowd.networks.is_empty() {
                self.0.remove(name);
            }
        }
    }

    /// About `most` of the pairs of a crowded name beside the early ones: of every network as many, or, of more networks
    /// than that, one each of some. `choose` takes a number below another at random.
    pub(super) fn some_of(
        &self,
        name: &[u8],
        most: usize,
        mut choose: impl FnMut(usize) -> usize,
    ) -> BTreeSet<PairRow> {
        let Some(Crowd { early, networks }) = self.0.get(name) else { return BTreeSet::new() };
        let mut chosen = early.clone();
        let of_each = (most / networks.len().max(1)).max(1);
        let first = choose(networks.len().max(1));
        let in_turn = networks.values().skip(first).chain(networks.values().take(first));
        for pairs in in_turn.take(most) {
            let (Some((least, _)), Some((last, _))) = (pairs.first_key_value(), pairs.last_key_value())
            else {
                continue;
            };
            let from = least.later(choose(least.distance(*last) + 1));
            let around = pairs.range(from..).chain(pairs.range(..from));
            chosen.extend(around.take(of_each).map(|(pair, _)| *pair));
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::tables::slab::Slab;

    fn network(last: u8) -> Network {
        Network::of([10, 0, 0, last].into())
    }

    fn pairs(count: u32) -> Vec<PairRow> {
        let mut slab = Slab::<u32, super::super::rows::Pairs>::default();
        (0..count).map(|value| slab.add(value)).collect()
    }

    #[test]
    fn every_network_is_seen_whatever_another_registers() {
        let (pairs, mut rng) = (pairs(1000), fastrand::Rng::with_seed(1));
        let mut crowded = Crowded::default();
        crowded.register(b"f", network(1), pairs[9]);
        assert!(!crowded.has(b"f"), "it is not crowded yet");
        crowded.begins(b"f", pairs[..10].to_vec());
        pairs[10..999].iter().for_each(|pair| crowded.register(b"f", network(1), *pair));
        crowded.register(b"f", network(2), pairs[999]);
        crowded.register(b"f", network(3), pairs[500]);
        let mut seen = BTreeSet::new();
        for _ in 0..1000 {
            let some = crowded.some_of(b"f", 30, |below| rng.usize(..below));
            assert!(some.len() <= 10 + 30 && [0, 9, 500, 999].iter().all(|nth| some.contains(&pairs[*nth])));
            seen.extend(some);
        }
        assert_eq!(seen.len(), 1000, "and all of one, if it is asked for often");
    }

    #[test]
    fn of_more_networks_than_there_are_places_others_are_seen_each_time() {
        let (pairs, mut rng) = (pairs(200), fastrand::Rng::with_seed(1));
        let mut crowded = Crowded::default();
        crowded.begins(b"f", Vec::new());
        (0..200).for_each(|nth| crowded.register(b"f", network(nth), pairs[usize::from(nth)]));
        let mut seen = BTreeSet::new();
        for _ in 0..200 {
            let some = crowded.some_of(b"f", 20, |below| rng.usize(..below));
            assert_eq!(some.len(), 20);
            seen.extend(some);
        }
        assert_eq!(seen.len(), 200);
    }

    #[test]
    fn what_is_gone_is_not_seen_and_a_name_without_pairs_is_forgotten() {
        let pairs = pairs(4);
        let some = |crowded: &Crowded| crowded.some_of(b"f", 9, |_| 0).into_iter().collect::<Vec<_>>();
        let mut crowded = Crowded::default();
        crowded.begins(b"f", pairs[..2].to_vec());
        for from in [1, 1, 2] {
            crowded.register(b"f", network(from), pairs[2]);
        }
        crowded.register(b"f", network(1), pairs[0]);
        crowded.unregister(b"f", network(9), pairs[1]); // it had registered it early
        crowded.forget(b"f", pairs[1]);
        assert_eq!(some(&crowded), [pairs[0], pairs[2]]);
        crowded.unregister(b"f", network(1), pairs[2]);
        crowded.unregister(b"f", network(2), pairs[2]);
        assert_eq!(some(&crowded), [pairs[0], pairs[2]], "another peer of its network has it");
        crowded.unregister(b"f", network(1), pairs[2]);
        crowded.forget(b"f", pairs[2]);
        assert_eq!(some(&crowded), [pairs[0]]);
        crowded.unregister(b"f", network(1), pairs[0]);
        crowded.forget(b"f", pairs[0]);
        assert!(!crowded.has(b"f") && some(&crowded).is_empty());
    }
}
