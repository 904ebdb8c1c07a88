//! Which of too many contents an answer shows: those of every network in turn, of a network those of every peer, and of a
//! peer half by their seeders and half at random.

use std::cmp::Reverse;

use fastrand::Rng;

use super::draw::some;
use super::fair;
use super::roll::Roll;
use super::rows::{ContentRow, PeerRow};
use crate::wire::limits;

/// Most seeders of a content that are looked at.
const MAX_PEERS_SEEN: usize = 8;
/// Of all, so many are chosen by their seeders before chance decides: who asks again sees
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
        let behind = claimants(roll, rng, content(found));
        candidates.push(((*found, behind.clone()), behind));
    }
    // The turns of peers are the order within each network.
    let by_peer = fair::in_turn(candidates).into_iter();
    *found = fair::in_turn(
        by_peer.map(|(found, behind)| (found, behind.into_iter().map(|peer| roll[peer].network()).collect())),
    );
    found.truncate(limits::MAX_VARIANTS);
    found.sort_by_key(seeders);
}

/// Some who claim a content.
fn claimants(roll: &Roll, rng: &mut Rng, content: ContentRow) -> Vec<PeerRow> {
    let contents = roll.contents();
    let (seeders, leechers) = contents.counts(content);
    let seeders = some(rng, seeders, MAX_PEERS_SEEN);
    let leecher = some(rng, leechers, 1).filter_map(|nth| contents.leecher(content, nth));
    let holders = seeders.filter_map(|nth| contents.seeder(content, nth));
    holders.chain(leecher.map(|leecher| leecher.peer)).collect()
}
