//! All sources of a transfer, and what they owe together.

use std::collections::BTreeMap;
use std::time::Instant;

use super::event::SourceId;
use super::source::Source;
use crate::content::{Chunk, ChunkSet};

/// The sources of one transfer.
#[derive(Debug, Default)]
pub(super) struct Sources {
    all: BTreeMap<SourceId, Source>,
    inflight_bytes: u64,
}

impl Sources {
    pub(super) fn insert(&mut self, id: SourceId, source: Source) {
        let replaced = self.all.insert(id, source);
        debug_assert!(replaced.is_none(), "source numbers are never reused");
    }

    pub(super) fn remove(&mut self, id: SourceId) -> Option<Source> {
        let source = self.all.remove(&id)?;
        self.inflight_bytes -= source.inflight_bytes();
        Some(source)
    }

    pub(super) fn get(&self, id: SourceId) -> Option<&Source> {
        self.all.get(&id)
    }

    /// To change what does not touch the bytes in flight.
    pub(super) fn get_mut(&mut self, id: SourceId) -> Option<&mut Source> {
        self.all.get_mut(&id)
    }

    pub(super) fn ids(&self) -> Vec<SourceId> {
        self.all.keys().copied().collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SourceId, &Source)> {
        self.all.iter().map(|(id, source)| (*id, source))
    }

    /// All but `id`.
    pub(super) fn others(&self, id: SourceId) -> impl Iterator<Item = (SourceId, &Source)> {
        self.iter().filter(move |(other, _)| *other != id)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    // What they owe.

    /// Bytes asked for and not yet here.
    pub(super) fn inflight_bytes(&self) -> u64 {
        self.inflight_bytes
    }

    pub(super) fn ask(&mut self, id: SourceId, chunk: Chunk, bytes: u64, now: Instant) {
        if let Some(source) = self.all.get_mut(&id) {
            source.ask(chunk, bytes, now);
            self.inflight_bytes += bytes;
        }
    }

    pub(super) fn ask_any(&mut self, id: SourceId, bytes: u64, now: Instant) {
        if let Some(source) = self.all.get_mut(&id) {
            source.ask_any(bytes, now);
            self.inflight_bytes += bytes;
        }
    }

    /// Forgets that `chunk` was asked of `id`.
    pub(super) fn settle(&mut self, id: SourceId, chunk: Chunk) {
        let bytes = self.all.get_mut(&id).and_then(|source| source.settle(chunk));
        self.inflight_bytes -= bytes.unwrap_or(0);
    }

    /// Forgets one free choice of `id`; of how many bytes.
    pub(super) fn settle_any(&mut self, id: SourceId) -> u64 {
        let bytes = self.all.get_mut(&id).map_or(0, Source::settle_any);
        self.inflight_bytes -= bytes;
        bytes
    }

    /// Free choices that may still come.
    pub(super) fn choices_in_flight(&self) -> u32 {
        self.all.values().filter(|source| !source.is_stalled()).map(Source::choices).sum()
    }

    // What they have.

    pub(super) fn any_is_whole(&self) -> bool {
        self.all.values().any(|source| source.have.is_full())
    }

    pub(super) fn all_are_whole(&self) -> bool {
        self.all.values().all(|source| source.have.is_full())
    }

    pub(super) fn any_has(&self, chunk: Chunk) -> bool {
        self.all.values().any(|source| source.have.contains(chunk))
    }

    /// True if another than `id` has `chunk` and is not silent.
    pub(super) fn held_elsewhere(&self, id: SourceId, chunk: Chunk) -> bool {
        self.others(id).any(|(_, source)| !source.is_stalled() && source.have.contains(chunk))
    }

    /// Chunks that came wrong and that no source is believed to have, with whom each came from.
    pub(super) fn doubted(&self, wanted: impl Fn(Chunk) -> bool) -> Vec<(SourceId, Chunk)> {
        let doubted =
            self.iter().flat_map(|(id, source)| source.doubted().iter().map(move |chunk| (id, *chunk)));
        doubted.filter(|(_, chunk)| wanted(*chunk) && !self.any_has(*chunk)).collect()
    }

    /// True if they gained more than this side, which has `had`, in the mean, since each came.
    pub(super) fn are_ahead_of(&self, had: &ChunkSet) -> bool {
        let mine = had.count();
        self.all.values().filter_map(|source| source.lead(mine)).sum::<i64>() < 0
    }

    /// Recounts by a slow way what the fields claim.
    pub(super) fn check(&self) {
        let bytes: u64 = self.all.values().map(Source::inflight_bytes).sum();
        assert_eq!(bytes, self.inflight_bytes, "bytes in flight");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const A: SourceId = SourceId(1);
    const B: SourceId = SourceId(2);
    /// Chunks of the transfer, of which this side has one when its sources come.
    const CHUNKS: u32 = 4;

    fn some(chunks: &[u32]) -> ChunkSet {
        ChunkSet::of(CHUNKS, chunks)
    }

    /// Two sources that have these chunks, and when they came.
    fn sources(a: &[u32], b: &[u32]) -> (Sources, Instant) {
        let (mut sources, now) = (Sources::default(), Instant::now());
        assert!(sources.is_empty());
        for (id, have) in [(A, a), (B, b)] {
            sources.insert(id, Source::new(some(have), 1, true, Duration::from_millis(1), now));
        }
        (sources, now)
    }

    #[test]
    fn what_all_owe_is_what_each_owes() {
        let (mut sources, now) = sources(&[0, 1], &[1]);
        assert_eq!((sources.is_empty(), sources.len(), sources.ids()), (false, 2, vec![A, B]));
        sources.ask_any(A, 10, now);
        sources.ask_any(A, 10, now);
        sources.ask_any(B, 10, now);
        sources.ask(B, Chunk(1), 7, now);
        sources.ask(SourceId(3), Chunk(1), 7, now);
        assert_eq!((sources.choices_in_flight(), sources.inflight_bytes()), (3, 37));
        assert_eq!((sources.settle_any(A), sources.settle_any(SourceId(3))), (10, 0));
        sources.settle(B, Chunk(1));
        sources.settle(B, Chunk(1));
        sources.settle(A, Chunk(0));
        assert_eq!((sources.choices_in_flight(), sources.inflight_bytes()), (2, 20));
        sources.check();
        sources.remove(B).unwrap();
        assert_eq!((sources.choices_in_flight(), sources.inflight_bytes(), sources.len()), (1, 10, 1));
        assert!(sources.remove(B).is_none());
        sources.check();
    }

    #[test]
    fn what_one_or_all_or_another_have_is_seen() {
        let (mut sources, _) = sources(&[0, 1, 2, 3], &[1]);
        assert!(sources.any_is_whole() && !sources.all_are_whole());
        assert!(sources.any_has(Chunk(3)));
        assert_eq!([1, 3].map(|chunk| sources.held_elsewhere(A, Chunk(chunk))), [true, false]);
        assert_eq!([1, 3].map(|chunk| sources.held_elsewhere(B, Chunk(chunk))), [true, true]);
        sources.remove(A).unwrap();
        assert!(!sources.any_is_whole() && !sources.any_has(Chunk(3)));
    }

    #[test]
    fn sources_are_ahead_if_they_gained_more_than_this_side_in_the_mean() {
        let (mut sources, _) = sources(&[0], &[0, 1]);
        let is_ahead = |sources: &Sources, had: &[u32]| sources.are_ahead_of(&some(had));
        assert!(!is_ahead(&sources, &[0]), "nobody gained anything");
        sources.get_mut(A).unwrap().have.insert(Chunk(1));
        assert!(is_ahead(&sources, &[0]), "one of them has one more, and this side none");
        assert!(!is_ahead(&sources, &[0, 1]), "this side one, too");
        sources.get_mut(B).unwrap().have.insert(Chunk(2));
        assert!(!is_ahead(&sources, &[0, 1]), "each gained one");
        assert!(!is_ahead(&sources, &[0, 1, 2]));
    }
}
