//! Which of too many contents an answer has room for: those of every address in turn, so that the claims which one
//! of them makes, however many, crowd out their own kind alone.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Directory;
use super::locate::Shown;
use crate::wire::limits::MAX_VARIANTS;

/// Most seeders of a content whose addresses are looked at.
const MAX_ADDRESSES_SEEN: usize = 8;
/// Of what comes from one address, so many are chosen by their seeders before chance decides: who asks again sees others.
const CHOSEN_BY_SEEDERS: usize = MAX_VARIANTS / 2;

impl Directory {
    /// Leaves no more than an answer has room for of what is in order of seeders.
    pub(super) fn choose_fairly(&mut self, found: &mut Vec<Shown>) {
        if found.len() <= MAX_VARIANTS {
            return;
        }
        self.rng.shuffle(&mut found[CHOSEN_BY_SEEDERS..]);
        let mut claims: BTreeMap<IpAddr, usize> = BTreeMap::new();
        let mut turns: Vec<(usize, Shown)> = Vec::with_capacity(found.len());
        for shown in found.iter() {
            let seeders = (0..MAX_ADDRESSES_SEEN).filter_map(|nth| self.contents.seeder(shown.content, nth));
            let leecher = self.contents.leecher(shown.content, 0).map(|leecher| leecher.peer);
            let from = seeders.chain(leecher).map(|peer| self.peers[peer].profile.from);
            // Whoever makes many claims may have joined this one, too.
            let least = from.min_by_key(|from| claims.get(from).copied().unwrap_or_default());
            let Some(claims) = least.map(|least| claims.entry(least).or_default()) else { continue };
            *claims += 1;
            turns.push((*claims, *shown));
        }
        turns.sort_by_key(|(turn, _)| *turn);
        turns.truncate(MAX_VARIANTS);
        *found = turns.into_iter().map(|(_, shown)| shown).collect();
        found.sort_by_key(|shown| Reverse(self.contents.counts(shown.content).0));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::tests::{directory, offer, peer};
    use super::super::{Profile, Query, Wanted};
    use super::*;
    use crate::content::{FileId, PeerId};
    use crate::wire::{Offer, Purpose};

    const ID: FileId = FileId([7; 32]);

    fn claim(directory: &mut Directory, number: u8, from: u8, chunks: u32, now: Instant) {
        let size = u64::from(chunks) << 16;
        let offer = Offer { id: ID, size, total: size, chunks, ..offer("f", 7, 1, true) };
        let profile = Profile { port: 7, from: IpAddr::from([10, 0, 0, from]), ..Profile::default() };
        directory.register(peer(number), profile, now).unwrap();
        directory.update(peer(number), &[], &[offer], now).unwrap();
    }

    /// A true size, of one chunk, and two claims of each of a hundred false ones.
    fn crowded(true_ones: &[(u8, u8)], now: Instant) -> Directory {
        let mut directory = directory(now);
        true_ones.iter().for_each(|(number, from)| claim(&mut directory, *number, *from, 1, now));
        (0..200).for_each(|number| claim(&mut directory, number, 2, 2 + u32::from(number) / 2, now));
        directory
    }

    fn finds_the_true_one(directory: &mut Directory, now: Instant) -> bool {
        let wanted = Wanted::Id(ID);
        let query = Query { wanted, purpose: Purpose::Inspect, max: 0, missing: &[], asker: PeerId([0; 16]) };
        let found = directory.locate(&query, now);
        assert_eq!(found.len(), MAX_VARIANTS);
        found.iter().any(|variant| variant.chunks == 1)
    }

    #[test]
    fn claims_of_one_address_crowd_out_their_own_kind_alone() {
        let now = Instant::now();
        // Of those who make the false claims, one has joined the true one.
        let mut directory = crowded(&[(250, 1), (251, 2)], now);
        assert!((0..50).all(|_| finds_the_true_one(&mut directory, now)));
    }

    #[test]
    fn who_asks_again_sees_others_of_a_crowd_at_one_address() {
        let now = Instant::now();
        let mut directory = crowded(&[(250, 2)], now);
        let found = (0..100).filter(|_| finds_the_true_one(&mut directory, now)).count();
        assert!((20..80).contains(&found), "{found} of 100");
    }
}
