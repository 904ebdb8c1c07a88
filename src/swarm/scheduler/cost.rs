//! What a chunk asked of a source now would cost: the time until it is here. Pure.
//!
//! Of a source that has delivered, its measured rate tells; of one that has not, what it says of its load.

use std::time::{Duration, Instant};

use super::Scheduler;
use super::event::{Policy, SourceId};
use super::source::Source;

/// A source that could have all that is open in so much less time gets it, though it has no room now.
const LEAVE_FACTOR: u32 = 2;
const LEAVE_GAIN: Duration = Duration::from_millis(40);
/// Costs that differ by less than this share are the same: who is asked first is left to chance, so that
/// many who know the same do not all do the same.
const NEARLY: f64 = 0.1;

impl Scheduler {
    /// The sources, the cheapest for a chunk first, equal ones in random order.
    pub(super) fn by_cost(&mut self) -> Vec<SourceId> {
        let bytes = self.usual_bytes();
        let mut costs: Vec<(Duration, SourceId)> = Vec::with_capacity(self.sources.len());
        for (id, source) in &self.sources {
            costs.push((source.expected(bytes).mul_f64(1.0 + NEARLY * self.rng.f64()), *id));
        }
        costs.sort_unstable();
        costs.into_iter().map(|(_, id)| id).collect()
    }

    /// Bytes of a chunk, as a rule.
    pub(super) fn usual_bytes(&self) -> u64 {
        self.layout.place(0).map_or(0, |place| place.len)
    }

    /// True if another source would have `chunk` and all else that is open much sooner than `id` would
    /// have the chunk. Only sources whose speed is known are compared.
    pub(super) fn much_cheaper_elsewhere(&self, id: SourceId, chunk: u32, now: Instant) -> bool {
        let knows = |source: &&Source| source.speed().is_some();
        let here = self.sources.get(&id).filter(|_| self.limits.policy == Policy::Both).filter(knows);
        let (Some(here), Some(place)) = (here, self.layout.place(chunk)) else { return false };
        let Some(most) = here.expected(place.len).checked_sub(LEAVE_GAIN) else { return false };
        let open = u64::from(self.open.count()).saturating_mul(self.usual_bytes()).max(place.len);
        self.sources
            .iter()
            .filter(|(other, source)| **other != id && source.is_well(now) && source.have.contains(chunk))
            .map(|(_, source)| source)
            .filter(knows)
            .any(|source| source.expected(open) < most / LEAVE_FACTOR)
    }
}
