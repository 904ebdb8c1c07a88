//! Finds why a source is, or is not, asked: for people. Decides nothing.

use std::time::{Duration, Instant};

use super::Scheduler;
use super::event::{MAX_CORRUPT, SourceId};
use super::reason::Reason;
use super::source::Source;

impl Scheduler {
    /// Why `id`, which has so many wanted chunks, is, or is not, asked; `costs` are those of all sources, in
    /// order.
    pub(super) fn reason(
        &self,
        id: SourceId,
        source: &Source,
        useful: u32,
        costs: &[(Duration, SourceId)],
        now: Instant,
    ) -> Reason {
        let mine = source.expected(self.usual_bytes());
        let best = costs.iter().find(|(_, other)| *other != id).map(|(cost, _)| *cost);
        let cheapest = best.is_none_or(|best| mine <= best);
        match () {
            () if source.corrupt >= MAX_CORRUPT => Reason::Banned(source.corrupt),
            () if source.stalled => Reason::Silent,
            () if source.paused(now) => Reason::Busy,
            () if source.inflight_bytes > 0 && cheapest => Reason::Cheapest,
            () if source.inflight_bytes > 0 => Reason::Helps,
            () if source.chunks > 0 => Reason::Delivered,
            () if source.have.is_empty() || (!self.is_done() && useful == 0) => Reason::NothingWanted,
            () => match best.filter(|_| !cheapest) {
                Some(best) => Reason::Slower(mine, best),
                None => Reason::NotNeeded,
            },
        }
    }

    /// The costs of all sources for a chunk, in order.
    pub(super) fn costs(&self) -> Vec<(Duration, SourceId)> {
        let bytes = self.usual_bytes();
        let mut costs: Vec<_> =
            self.sources.iter().map(|(id, source)| (source.expected(bytes), *id)).collect();
        costs.sort_unstable();
        costs
    }
}
