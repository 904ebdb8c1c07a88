//! All sources of a transfer, what they owe together, and which of them chooses.

use std::collections::BTreeMap;
use std::time::Instant;

use super::event::SourceId;
use super::source::Source;
use crate::content::{Chunk, ChunkSet, PeerId};

/// The sources of one transfer.
#[derive(Debug, Default)]
pub(super) struct Sources {
    all: BTreeMap<SourceId, Source>,
    inflight_bytes: u64,
    choice: Choice,
}

/// Who is asked for whichever chunk it thinks best: of the peers that may choose one at a time, on all its connections.
/// Two would choose the same chunks.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Choice {
    /// Nobody may choose now.
    #[default]
    Nobodys,
    Of(PeerId),
    /// Who chose says that each chunk has been given to somebody: from now on all are asked for by number.
    Over,
}

impl Sources {
    pub(super) fn insert(&mut self, id: SourceId, source: Source) {
        let replaced = self.all.insert(id, source);
        debug_assert!(replaced.is_none(), "source numbers are never reused");
        self.pass_on_choice();
    }

    pub(super) fn remove(&mut self, id: SourceId) -> Option<Source> {
        let source = self.all.remove(&id)?;
        self.inflight_bytes -= source.inflight_bytes();
        self.pass_on_choice();
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

    // Who chooses.

    /// True if `id` is asked for whichever chunk it thinks best.
    pub(super) fn chooses(&self, id: SourceId) -> bool {
        let may_choose = self.all.get(&id).and_then(Source::may_choose);
        may_choose.is_some_and(|peer| self.choice == Choice::Of(peer))
    }

    /// `id` has not all that it said it has, or lost it: it is asked by number, and another chooses in its place.
    pub(super) fn chooses_no_more(&mut self, id: SourceId) {
        if let Some(source) = self.all.get_mut(&id) {
            source.chooses_no_more();
        }
        self.pass_on_choice();
    }

    /// `id`, which chose, has nothing more to choose: no other is asked to.
    pub(super) fn end_choice(&mut self, id: SourceId) {
        if self.chooses(id) {
            self.choice = Choice::Over;
        }
    }

    /// If nobody chooses, the first that may does.
    fn pass_on_choice(&mut self) {
        let mut may = self.all.values().filter_map(Source::may_choose);
        match self.choice {
            Choice::Over => {}
            Choice::Of(peer) if may.any(|other| other == peer) => {}
            Choice::Of(_) | Choice::Nobodys => {
                let first = self.all.values().find_map(Source::may_choose);
                self.choice = first.map_or(Choice::Nobodys, Choice::Of);
            }
        }
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
            sources.insert(id, Source::new(some(have), 1, None, Duration::from_millis(1), now));
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
    fn one_peer_chooses_at_a_time_until_it_says_that_all_is_given() {
        let (mut sources, now) = (Sources::default(), Instant::now());
        let insert = |sources: &mut Sources, id, peer: Option<u8>| {
            let peer = peer.map(|peer| PeerId([peer; 16]));
            sources.insert(SourceId(id), Source::new(some(&[]), 0, peer, Duration::ZERO, now));
        };
        let choosing = |sources: &Sources| -> Vec<u32> {
            sources.ids().into_iter().filter(|id| sources.chooses(*id)).map(|id| id.0).collect()
        };
        for (id, peer) in [None, Some(1), Some(2), Some(1), Some(3), Some(4)].into_iter().enumerate() {
            insert(&mut sources, id as u32, peer);
        }
        assert_eq!(choosing(&sources), [1, 3], "the first that may, on all its connections");
        sources.remove(SourceId(1)).unwrap();
        assert_eq!(choosing(&sources), [3]);
        sources.chooses_no_more(SourceId(3));
        assert_eq!(choosing(&sources), [2], "it had not what it said");
        sources.chooses_no_more(SourceId(4));
        assert_eq!(choosing(&sources), [2], "nothing changes for who chooses");
        sources.remove(SourceId(2)).unwrap();
        assert_eq!(choosing(&sources), [5]);
        insert(&mut sources, 6, Some(6));
        sources.end_choice(SourceId(6));
        assert_eq!(choosing(&sources), [5], "that was not for 6 to say");
        sources.end_choice(SourceId(5));
        insert(&mut sources, 7, Some(7));
        assert!(choosing(&sources).is_empty());
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
