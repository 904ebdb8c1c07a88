//! What a chunk asked of a source now would cost: the time until it is here. Pure.
//!
//! Of a source that has delivered, its measured rate tells; of one that has not, what it says of its load.

use std::time::{Duration, Instant};

use super::source::{FIRST_WINDOW, HORIZON, Source};
use super::{Scheduler, SourceId};

/// A source that could have all that is open in so much less time gets it, though it has no room now.
const LEAVE_FACTOR: u32 = 2;
const LEAVE_GAIN: Duration = Duration::from_millis(40);
/// Costs that differ by less than this share are the same: who is asked first is left to chance, so that
/// many who know the same do not all do the same.
const NEARLY: f64 = 0.1;

/// What a source says of how busy it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceLoad {
    /// Uploads it serves to others.
    pub uploads: u16,
    /// Bytes a second that all its uploads can get together; 0 if it does not know.
    pub rate: u64,
}

impl SourceLoad {
    /// Bytes a second that one more asker can expect.
    pub(super) fn share(&self) -> f64 {
        let all = match self.rate {
            0 => FIRST_WINDOW as f64 / HORIZON.as_secs_f64(),
            known => known as f64,
        };
        all / (f64::from(self.uploads) + 1.0)
    }
}

/// By what a source is chosen. All but [`Policy::Both`] are there to be compared with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Policy {
    /// By the expected time: latency, queue, rate and load.
    #[default]
    Both,
    /// By latency alone: who answers first.
    Latency,
    /// By load alone, as the tracker tells it.
    Load,
    /// By chance.
    Random,
}

pub(super) fn seconds(bytes: u64, rate: f64) -> Duration {
    Duration::from_secs_f64((bytes as f64 / rate.max(1.0)).min(3600.0))
}

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
