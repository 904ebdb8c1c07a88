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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Chunk;
    use crate::content::ChunkSet;

    const MS: Duration = Duration::from_millis(1);
    const ME: SourceId = SourceId(0);

    #[test]
    fn the_first_reason_that_holds_is_told() {
        let now = Instant::now();
        let mut source = Source::new(ChunkSet::full(4), 0, None, 10 * MS, now);
        let told = |source: &Source, useful, done, other: Option<u32>| {
            let costs = other.map(|other| (other * MS, SourceId(1)));
            let mut costs: Vec<_> = costs.into_iter().chain([(source.expected(1), ME)]).collect();
            costs.sort();
            reason((ME, source), (useful, done), 1, &costs, now)
        };
        let mine = source.expected(1);
        assert_eq!(told(&source, 1, false, None), Reason::NotNeeded);
        assert_eq!(told(&source, 1, false, Some(1000)), Reason::NotNeeded);
        assert_eq!(told(&source, 1, false, Some(1)), Reason::Slower(mine, MS));
        assert_eq!(told(&source, 0, false, Some(1)), Reason::NothingWanted);
        assert_eq!(told(&source, 0, true, Some(1)), Reason::Slower(mine, MS), "all is here");
        let none = Source::new(ChunkSet::empty(4), 0, None, 10 * MS, now);
        assert_eq!(told(&none, 0, true, None), Reason::NothingWanted);
        source.has_brought();
        assert_eq!(told(&source, 1, false, Some(1)), Reason::Delivered);
        source.ask(Chunk(0), 1, now);
        assert_eq!(told(&source, 1, false, Some(1)), Reason::Helps);
        assert_eq!(told(&source, 1, false, Some(1000)), Reason::Cheapest);
        source.back_off(now);
        assert_eq!(told(&source, 1, false, None), Reason::Busy);
        assert!(source.stalls(now + Duration::from_secs(60)));
        assert_eq!(told(&source, 1, false, None), Reason::Silent);
        (0..MAX_CORRUPT).for_each(|chunk| source.was_wrong(Chunk(chunk)));
        assert_eq!(told(&source, 1, false, None), Reason::Banned(MAX_CORRUPT));
    }
}
