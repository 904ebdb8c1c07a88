//! Which stores are to hold a unit.
//!
//! Twice as many as are needed are drawn by weighted rendezvous, so that units spread in proportion to free space and the
//! same question has the same answer; of these the emptier are taken, which evens out what chance leaves uneven.
//! Copies of a unit go to different domains.

use super::part::{Part, Unit};
use super::store::StoreRow;

/// Candidates drawn for each copy that is needed.
const DRAWN_PER_COPY: usize = 2;
/// Most stores of one content: its readers need as many connections, and what two losses at once may take is bounded.
pub(super) const WIDTH: usize = 16;

/// A store that may be given units of a content.
#[derive(Debug, Clone)]
pub(super) struct Candidate<'a> {
    pub(super) store: StoreRow,
    /// Of whom it is, for the lot.
    pub(super) seed: u64,
    /// Where it is: copies of a unit are to be in different domains.
    pub(super) domain: u32,
    pub(super) capacity: u64,
    /// Bytes in use and owed.
    pub(super) taken: u64,
    /// True if it may be given more; else only what it has counts.
    pub(super) takes: bool,
    pub(super) have: &'a Part,
    /// What it is to have beside that.
    pub(super) want: &'a Part,
    /// What it holds of the content before this one.
    pub(super) base: &'a Part,
    pub(super) base_chunks: u32,
}

impl Candidate<'_> {
    /// Bytes for which there is room.
    pub(super) fn free(&self) -> u64 {
        self.capacity.saturating_sub(self.taken)
    }

    pub(super) fn fill(&self) -> u128 {
        u128::from(self.taken) * 1_000_000 / u128::from(self.capacity.max(1))
    }

    /// What it draws where `of` is given away: the larger the better, and in proportion to free space the likelier to
    /// be large.
    pub(super) fn lot(&self, of: u64) -> f64 {
        let chance = (mixed(of ^ self.seed) >> 11) as f64 / (1_u64 << 53) as f64;
        self.free() as f64 / -chance.max(f64::MIN_POSITIVE).ln()
    }

    /// True if it neither has nor is to have any of it.
    pub(super) fn is_stranger(&self) -> bool {
        self.have.is_none() && self.want.is_none()
    }

    /// True if it has, or is to have, every chunk of the unit.
    fn holds(&self, unit: Unit, chunks: u32) -> bool {
        self.have.has(unit, chunks)
            || unit.of(chunks).all(|n| self.have.contains(n) || self.want.contains(n)) && !self.is_stranger()
    }

    /// True if it has some of the unit, or of what stood there before: then it needs less than others.
    fn knows(&self, unit: Unit, chunks: u32) -> bool {
        let some = |part: &Part, chunks| part.has_some(unit, chunks);
        some(self.have, chunks) || some(self.want, chunks) || some(self.base, self.base_chunks)
    }
}

/// Spreads bits: splitmix64's finish.
pub(super) fn mixed(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// What is to be placed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placing {
    /// Of which content, for the lot.
    pub(super) content: u64,
    pub(super) chunks: u32,
    pub(super) unit_bytes: u64,
    pub(super) copies: usize,
}

/// The candidates that are to keep a unit beside those that do, and whether that makes it safe: as many copies in
/// different domains as there are to be, or at least as many copies where room is not everywhere.
pub(super) fn choose(placing: Placing, candidates: &[Candidate<'_>], unit: Unit) -> (Vec<usize>, bool) {
    let holds = |candidate: &Candidate<'_>| candidate.holds(unit, placing.chunks);
    let mut domains: Vec<u32> = Vec::new();
    let mut have = 0;
    for candidate in candidates.iter().filter(|candidate| holds(candidate)) {
        have += 1;
        if !domains.contains(&candidate.domain) {
            domains.push(candidate.domain);
        }
    }
    let drawn_of = DRAWN_PER_COPY * placing.copies.saturating_sub(have).max(1);
    let can = |candidate: &Candidate<'_>| {
        candidate.takes && candidate.free() >= placing.unit_bytes && !holds(candidate)
    };
    let of = mixed(placing.content ^ unit.number());
    let mut drawn: Vec<(bool, f64, usize)> = (0..candidates.len())
        .filter(|at| can(&candidates[*at]))
        .map(|at| {
            let candidate = &candidates[at];
            (!candidate.knows(unit, placing.chunks), candidate.lot(of), at)
        })
        .collect();
    drawn.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
    // Those in domains that have none yet come first, however many are drawn, or a domain could be passed over.
    let mut chosen = Vec::new();
    while domains.len() < placing.copies {
        let needed = placing.copies.saturating_sub(have + chosen.len());
        let fresh = |at: usize| !domains.contains(&candidates[at].domain);
        let any_fresh = drawn.iter().any(|(.., at)| fresh(*at));
        if !any_fresh && needed == 0 {
            break;
        }
        let eligible = drawn.iter().filter(|(.., at)| !any_fresh || fresh(*at));
        let eligible = eligible.take(drawn_of);
        let Some((.., at)) = eligible.min_by_key(|(far, _, at)| (*far, candidates[*at].fill())).copied()
        else {
            break;
        };
        if !domains.contains(&candidates[at].domain) {
            domains.push(candidates[at].domain);
        }
        drawn.retain(|(.., other)| *other != at);
        chosen.push(at);
    }
    let enough = have + chosen.len() >= placing.copies;
    (chosen, enough)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{Chunk, ChunkSet};

    const UNIT_BYTES: u64 = 1 << 20;

    fn stores(capacities: &[u64]) -> Vec<Candidate<'static>> {
        let candidate = |(number, capacity): (usize, &u64)| Candidate {
            store: StoreRow(number as u16),
            seed: mixed(number as u64 + 77),
            domain: number as u32,
            capacity: *capacity * UNIT_BYTES,
            taken: 0,
            takes: true,
            have: &Part::None,
            want: &Part::None,
            base: &Part::None,
            base_chunks: 0,
        };
        capacities.iter().enumerate().map(candidate).collect()
    }

    fn placing(content: u64, units: u32, copies: usize) -> Placing {
        Placing { content, chunks: units * 16, unit_bytes: UNIT_BYTES, copies }
    }

    /// Gives every unit to as many as it needs.
    fn place(placing: Placing, candidates: &mut [Candidate<'_>]) -> Vec<(StoreRow, Vec<Unit>)> {
        let mut given: Vec<Vec<Unit>> = vec![Vec::new(); candidates.len()];
        for unit in Unit::all(placing.chunks) {
            for at in choose(placing, candidates, unit).0 {
                candidates[at].taken += placing.unit_bytes;
                given[at].push(unit);
            }
        }
        candidates.iter().map(|candidate| candidate.store).zip(given).collect()
    }

    /// How many copies each unit got, and how many units each store.
    fn spread(given: &[(StoreRow, Vec<Unit>)], stores: usize, units: u32) -> (Vec<usize>, Vec<usize>) {
        let mut shares = vec![0; stores];
        let mut copies = vec![0; units as usize];
        for (store, given) in given {
            shares[usize::from(store.0)] += given.len();
            given.iter().for_each(|unit| copies[unit.number() as usize] += 1);
        }
        (copies, shares)
    }

    #[test]
    fn shares_of_ten_stores_are_within_five_percent() {
        for units in [600, 6000] {
            for seed in 0..20 {
                let mut ten = stores(&[1 << 20; 10]);
                let given = place(placing(mixed(seed), units, 2), &mut ten);
                let (copies, shares) = spread(&given, 10, units);
                assert!(copies.iter().all(|copies| *copies == 2));
                let mean = f64::from(units) * 2.0 / 10.0;
                let worst = shares.iter().map(|share| (*share as f64 / mean - 1.0).abs()).fold(0.0, f64::max);
                assert!(worst <= 0.05, "{units} units, seed {seed}: off by {worst}");
            }
        }
    }

    #[test]
    fn stores_of_different_sizes_fill_alike() {
        let capacities = [2000, 2000, 4000, 8000];
        let mut four = stores(&capacities);
        place(placing(3, 6000, 2), &mut four);
        let fills: Vec<f64> = four.iter().map(|store| store.taken as f64 / store.capacity as f64).collect();
        let mean = 12_000.0 / 16_000.0;
        assert!(fills.iter().all(|fill| (fill / mean - 1.0).abs() <= 0.05), "{fills:?}");
    }

    #[test]
    fn copies_go_to_different_domains_while_there_are_enough() {
        let mut six = stores(&[1 << 20; 6]);
        six.iter_mut().for_each(|store| store.domain = u32::from(store.store.0 == 0));
        let given = place(placing(1, 200, 2), &mut six);
        assert_eq!(spread(&given, 6, 200).1[0], 200, "the one in the other domain has one copy of all");
        six.iter_mut().for_each(|store| store.domain = 0);
        let (copies, _) = spread(&place(placing(1, 200, 2), &mut six), 6, 200);
        assert!(copies.iter().all(|copies| *copies == 2), "one domain is better than one copy");
    }

    #[test]
    fn what_is_there_counts_and_what_is_known_draws() {
        let four = stores(&[1 << 20; 4]);
        let mut most = ChunkSet::full(320);
        (0..20).for_each(|unit| assert!(most.remove(Chunk(unit * 16))));
        let most = Part::from(most);
        let mut four: Vec<Candidate<'_>> = four;
        four[2].have = &most;
        four[3].have = &Part::All;
        let given = place(placing(9, 20, 2), &mut four);
        assert_eq!(spread(&given, 4, 20), (vec![1; 20], vec![0, 0, 20, 0]));
    }

    #[test]
    fn nothing_is_placed_where_there_is_no_room() {
        let mut three = stores(&[5, 5, 0]);
        let (copies, shares) = spread(&place(placing(4, 6, 2), &mut three), 3, 6);
        assert_eq!((copies.iter().sum::<usize>(), shares), (10, vec![5, 5, 0]));
        assert_eq!(spread(&place(placing(4, 6, 2), &mut stores(&[9, 9, 9])), 3, 6).0, [2; 6]);
    }
}
