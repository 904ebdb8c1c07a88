//! What a chunk asked of a source now would cost: the time until it is here. Pure.
//!
//! Of a source that has delivered, its measured rate tells; of one that has not, what it says of its load.

use std::time::{Duration, Instant};

use super::event::SourceId;
use super::source::Source;
use super::sources::Sources;

/// A source that could have all that is open in so much less time gets it, though it has no room now.
const LEAVE_FACTOR: u32 = 2;
const LEAVE_GAIN: Duration = Duration::from_millis(40);
/// Costs that differ by less than this share are the same: who is asked first is left to chance, so that
/// many who know the same do not all do the same.
const NEARLY: f64 = 0.1;

/// The sources, the cheapest for a chunk of so many bytes first, equal ones in random order.
pub(super) fn by_cost(sources: &Sources, bytes: u64, rng: &mut fastrand::Rng) -> Vec<SourceId> {
    let mut costs: Vec<(Duration, SourceId)> = Vec::with_capacity(sources.len());
    for (id, source) in sources.iter() {
        costs.push((source.expected(bytes).mul_f64(1.0 + NEARLY * rng.f64()), id));
    }
    costs.sort_unstable();
    costs.into_iter().map(|(_, id)| id).collect()
}

/// What a chunk of so many bytes costs at each source, in order.
pub(super) fn costs(sources: &Sources, bytes: u64) -> Vec<(Duration, SourceId)> {
    let mut costs: Vec<_> = sources.iter().map(|(id, source)| (source.expected(bytes), id)).collect();
    costs.sort_unstable();
    costs
}

/// True if another source would have a chunk and all else that is `open`, bytes both, much sooner than `id` would
/// have the chunk. Only sources whose speed is known are compared.
pub(super) fn is_much_cheaper_elsewhere(
    sources: &Sources,
    id: SourceId,
    (chunk, bytes): (u32, u64),
    open: u64,
    now: Instant,
) -> bool {
    let knows = |source: &Source| source.speed().is_some();
    let Some(here) = sources.get(id).filter(|source| knows(source)) else { return false };
    let Some(most) = here.expected(bytes).checked_sub(LEAVE_GAIN) else { return false };
    let open = open.max(bytes);
    sources
        .others(id)
        .filter(|(_, source)| source.is_well(now) && source.have.contains(chunk) && knows(source))
        .any(|(_, source)| source.expected(open) < most / LEAVE_FACTOR)
}
