//! Where the shards of a code are: which of them can be counted each on a store of its own.

use super::part::Part;
use super::store::StoreRow;
use crate::content::Chunk;
use crate::content::code::{Shape, Shard, Stripes};

/// Most places that the shards of a group, or copies, are to be in.
pub(super) const MOST_PLACES: usize = (Shape::MOST_DATA + Shape::MOST_PARITY) as usize;

/// What a store has, and is to have, of the two contents of a code: of the data, and of the parity.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bearer<'a> {
    pub(super) store: StoreRow,
    pub(super) place: u32,
    pub(super) have: [&'a Part; 2],
    pub(super) want: [&'a Part; 2],
}

impl Bearer<'_> {
    /// True if it has all of a shard.
    pub(super) fn has(&self, stripes: &Stripes, shard: Shard) -> bool {
        let parity = usize::from(stripes.is_parity(shard));
        stripes.chunks(shard).all(|chunk| self.have[parity].contains(Chunk(chunk)))
    }

    /// True if it has some of a shard.
    pub(super) fn has_some(&self, stripes: &Stripes, shard: Shard) -> bool {
        let parity = usize::from(stripes.is_parity(shard));
        stripes.chunks(shard).any(|chunk| self.have[parity].contains(Chunk(chunk)))
    }

    /// True if it is to have some of a shard that it does not have.
    pub(super) fn wants(&self, stripes: &Stripes, shard: Shard) -> bool {
        let parity = usize::from(stripes.is_parity(shard));
        !self.want[parity].is_none()
            && stripes.chunks(shard).any(|chunk| self.want[parity].contains(Chunk(chunk)))
    }

    /// True if it has, or is to have, all of a shard.
    pub(super) fn bears(&self, stripes: &Stripes, shard: Shard) -> bool {
        let parity = usize::from(stripes.is_parity(shard));
        let (have, want) = (self.have[parity], self.want[parity]);
        stripes.chunks(shard).map(Chunk).all(|chunk| have.contains(chunk) || want.contains(chunk))
    }
}

/// Shards that are matched to places, each to one of its own: as many as can be. `places` has of each shard where it is.
///
/// By augmenting paths: of two dozen shards at most.
pub(super) fn matched(places: &[Vec<u32>]) -> Vec<Option<u32>> {
    let mut of_shard: Vec<Option<u32>> = vec![None; places.len()];
    for shard in 0..places.len() {
        let mut seen: Vec<u32> = Vec::new();
        augment(places, shard, &mut of_shard, &mut seen);
    }
    of_shard
}

/// Finds a place for a shard, if need be by moving others; true if there is one.
fn augment(places: &[Vec<u32>], shard: usize, of_shard: &mut [Option<u32>], seen: &mut Vec<u32>) -> bool {
    for place in &places[shard] {
        if seen.contains(place) {
            continue;
        }
        seen.push(*place);
        let taken = of_shard.iter().position(|other| *other == Some(*place));
        let free = match taken {
            None => true,
            Some(other) => augment(places, other, of_shard, seen),
        };
        if free {
            of_shard[shard] = Some(*place);
            return true;
        }
    }
    false
}

/// How the shards of a group are: those that are to be kept, in order, each with who counts for it.
pub(super) fn places<'a>(
    bearers: &[Bearer<'a>],
    shards: &[Shard],
    counts: impl Fn(&Bearer<'a>, Shard) -> bool,
) -> Vec<Vec<u32>> {
    let of = |shard: &Shard| {
        let mut places: Vec<u32> =
            bearers.iter().filter(|bearer| counts(bearer, *shard)).map(|bearer| bearer.place).collect();
        places.sort_unstable();
        places.dedup();
        places
    };
    shards.iter().map(of).collect()
}

/// How many shards of the group have places of their own.
pub(super) fn count(places: &[Vec<u32>]) -> u32 {
    matched(places).iter().flatten().count() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_shards_as_can_be_have_places_of_their_own() {
        let of = |places: &[&[u32]]| places.iter().map(|places| places.to_vec()).collect::<Vec<_>>();
        assert_eq!(matched(&of(&[&[1], &[2], &[]])), [Some(1), Some(2), None]);
        assert_eq!(matched(&of(&[&[1, 2], &[1]])), [Some(2), Some(1)], "the first moves");
        assert_eq!(count(&of(&[&[1, 2], &[2, 3], &[1], &[2]])), 3);
        assert_eq!(count(&of(&[&[1], &[1], &[1]])), 1, "all on one");
    }

    #[test]
    fn it_is_the_most_as_one_would_find_by_trying_all() {
        fn by_trying(places: &[Vec<u32>], used: &mut Vec<u32>) -> u32 {
            let Some((first, rest)) = places.split_first() else { return 0 };
            let mut most = by_trying(rest, used);
            for place in first {
                if !used.contains(place) {
                    used.push(*place);
                    most = most.max(1 + by_trying(rest, used));
                    used.pop();
                }
            }
            most
        }
        let mut rng = fastrand::Rng::with_seed(3);
        for _ in 0..300 {
            let shards = rng.usize(1..7);
            let places: Vec<Vec<u32>> =
                (0..shards).map(|_| (0..6).filter(|_| rng.u8(..4) == 0).collect()).collect();
            assert_eq!(count(&places), by_trying(&places, &mut Vec::new()), "{places:?}");
        }
    }
}
