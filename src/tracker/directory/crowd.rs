//! Which of too many contents an answer shows: half by their seeders, half at random, those of every network in turn.

use std::cmp::Reverse;

use fastrand::Rng;

use super::draw::some;
use super::fair;
use super::roll::Roll;
use super::rows::ContentRow;
use crate::content::Network;
use crate::wire::limits;

/// Most seeders of a content whose networks are looked at.
const MAX_NETWORKS_SEEN: usize = 8;
/// Of what comes from one network, so many are chosen by their seeders before chance decides: who asks again sees
/// others.
const CHOSEN_BY_SEEDERS: usize = limits::MAX_VARIANTS / 2;

/// Leaves no more than an answer has room for, the one with the most seeders first.
pub(super) fn thin_out<T: Copy>(
    roll: &Roll,
    rng: &mut Rng,
    found: &mut Vec<T>,
    content: impl Fn(&T) -> ContentRow,
) {
    let seeders = |found: &T| Reverse(roll.contents().counts(content(found)).0);
    found.sort_by_key(seeders);
    if found.len() <= limits::MAX_VARIANTS {
        return;
    }
    rng.shuffle(&mut found[CHOSEN_BY_SEEDERS..]);
    let mut candidates = Vec::with_capacity(found.len());
    for found in found.iter() {
        candidates.push((*found, networks(roll, rng, content(found))));
    }
    *found = fair::in_turn(candidates);
    found.truncate(limits::MAX_VARIANTS);
    found.sort_by_key(seeders);
}

/// Where some who claim a content come from.
fn networks(roll: &Roll, rng: &mut Rng, content: ContentRow) -> Vec<Network> {
    let contents = roll.contents();
    let (seeders, leechers) = contents.counts(content);
    let seeders = some(rng, seeders, MAX_NETWORKS_SEEN);
    let leecher = some(rng, leechers, 1).filter_map(|nth| contents.leecher(content, nth));
    let holders = seeders.filter_map(|nth| contents.seeder(content, nth));
    holders.chain(leecher.map(|leecher| leecher.peer)).map(|peer| roll[peer].network()).collect()
}
