//! Which of too many an answer has room for: those of every address, or peer, in turn, so that what comes from one of
//! them, however much, crowds out its own kind alone. Pure.

use std::collections::BTreeMap;

/// Brings candidates, the best first, into the order of turns: first the best of each who sends some, then everybody's
/// second, and so on. Each comes with those who stand behind it, and counts as one of him who had the
/// fewest turns: whoever sends many may have joined what others send, too. Behind whom nobody stands is left out.
pub(super) fn in_turn<T, K: Ord + Copy>(candidates: impl IntoIterator<Item = (T, Vec<K>)>) -> Vec<T> {
    let mut had: BTreeMap<K, usize> = BTreeMap::new();
    let mut turns: Vec<(usize, T)> = Vec::new();
    for (candidate, behind) in candidates {
        let fewest = behind.into_iter().min_by_key(|from| had.get(from).copied().unwrap_or_default());
        let Some(fewest) = fewest else { continue };
        let turn = had.entry(fewest).or_default();
        *turn += 1;
        turns.push((*turn, candidate));
    }
    turns.sort_by_key(|(turn, _)| *turn);
    turns.into_iter().map(|(_, candidate)| candidate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Network;

    fn from(addresses: &[u8]) -> Vec<Network> {
        addresses.iter().map(|last| Network::of([10, 0, 0, *last].into())).collect()
    }

    #[test]
    fn addresses_take_turns_and_the_best_of_each_comes_first() {
        let candidates = [("a", 1), ("b", 1), ("c", 2), ("d", 1), ("e", 2), ("f", 3)];
        let turns = in_turn(candidates.map(|(name, address)| (name, from(&[address]))));
        assert_eq!(turns, ["a", "c", "f", "b", "e", "d"]);
    }

    #[test]
    fn who_joins_what_another_sends_takes_nothing_from_it() {
        let candidates = [("a", from(&[1])), ("b", from(&[1])), ("c", from(&[1, 2])), ("d", from(&[1, 2]))];
        assert_eq!(in_turn(candidates), ["a", "c", "b", "d"]);
        assert_eq!(in_turn([("nobody's", Vec::new()), ("a", from(&[1]))]), ["a"]);
    }
}
