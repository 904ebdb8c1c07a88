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
