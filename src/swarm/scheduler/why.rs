//! Finds why a source is, or is not, asked: for people. Decides nothing.

use std::time::{Duration, Instant};

use super::event::{MAX_CORRUPT, SourceId};
use super::reason::Reason;
use super::source::Source;

/// Why `id`, which has so many `useful` chunks, is, or is not, asked for one of `bytes`; `costs` are those of all
/// sources, in order. `done` if nothing is wanted.
pub(super) fn reason(
    (id, source): (SourceId, &Source),
    (useful, done): (u32, bool),
    bytes: u64,
    costs: &[(Duration, SourceId)],
    now: Instant,
) -> Reason {
    let mine = source.expected(bytes);
    let best = costs.iter().find(|(_, other)| *other != id).map(|(cost, _)| *cost);
    let cheapest = best.is_none_or(|best| mine <= best);
    if source.corrupt() >= MAX_CORRUPT {
        Reason::Banned(source.corrupt())
    } else if source.is_stalled() {
        Reason::Silent
    } else if source.is_paused(now) {
        Reason::Busy
    } else if source.inflight_bytes() > 0 {
        if cheapest { Reason::Cheapest } else { Reason::Helps }
    } else if source.chunks() > 0 {
        Reason::Delivered
    } else if source.have.is_empty() || (!done && useful == 0) {
        Reason::NothingWanted
    } else {
        best.filter(|_| !cheapest).map_or(Reason::NotNeeded, |best| Reason::Slower(mine, best))
    }
}
