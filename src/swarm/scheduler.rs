//! Which chunk to ask of which source, and when: one value for each transfer. Pure.
//!
//! A chunk that is wanted is *open*, or *in flight* with one or (while stealing) two sources, or *had*.
//! Events and `now` go in, effects come out; no socket, file, thread, clock or random source inside, so
//! that the simulator runs the very code that production runs.
//!
//! - How much is in flight at a source follows from its measured rate × (round trip + a short
//!   horizon), never from a count, so a slow source is given little and a fast one enough.
//! - Among what a source has, the chunk that the fewest sources have goes first (rarest first).
//! - A source that has everything is asked for "whichever you think best" until it says that every chunk
//!   has left it once: so the first copy of a file leaves its seeder once.
//! - When nothing is open, a source with room takes over chunks that would come much later from another.

mod cost;
mod event;
mod load;
mod rarity;
mod reason;
mod source;
mod takeover;
mod why;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crate::content::{ChunkSet, Layout, runs};
use crate::wire::Refusal;
pub use event::{Effect, Event, Limits, MAX_CORRUPT, Policy, SourceId, TICK};
pub use load::SourceLoad;
use rarity::Rarity;
pub use reason::Reason;
use source::Source;
pub use source::SourceView;

/// Of so few chunks each is asked for by number: there is little to spread, and the source can be left.
const FEW_CHUNKS: u32 = 4;

/// The scheduler of one transfer.
#[derive(Debug)]
pub struct Scheduler {
    layout: Arc<Layout>,
    limits: Limits,
    had: ChunkSet,
    wanted: ChunkSet,
    /// Wanted chunks that are in flight nowhere, by how many sources have them.
    open: Rarity,
    in_flight: BTreeMap<u32, Vec<SourceId>>,
    /// How often a chunk that is still wanted was taken over.
    moved: BTreeMap<u32, i32>,
    sources: BTreeMap<SourceId, Source>,
    inflight_bytes: u64,
    /// Where the search for the next chunk starts; differs between peers so that their choices do.
    cursor: u32,
    rng: fastrand::Rng,
}

impl Scheduler {
    /// A scheduler for the chunks `wanted` of `layout`; `had` are here already. `seed` makes this peer's
    /// choices differ from other peers'.
    pub fn new(
        layout: Arc<Layout>,
        had: ChunkSet,
        wanted: &ChunkSet,
        limits: Limits,
        seed: u64,
    ) -> Scheduler {
        let chunks = layout.chunks();
        let mut open = ChunkSet::empty(chunks);
        wanted.iter().filter(|chunk| !had.contains(*chunk)).for_each(|chunk| {
            open.insert(chunk);
        });
        Scheduler {
            limits,
            wanted: open.clone(),
            had,
            open: Rarity::new(open),
            in_flight: BTreeMap::new(),
            moved: BTreeMap::new(),
            sources: BTreeMap::new(),
            inflight_bytes: 0,
            rng: fastrand::Rng::with_seed(seed),
            cursor: (seed % u64::from(chunks.max(1))) as u32,
            layout,
        }
    }

    /// The chunks that are here.
    pub fn had(&self) -> &ChunkSet {
        &self.had
    }

    /// Chunks still wanted.
    pub fn left(&self) -> u32 {
        self.wanted.count()
    }

    /// True when every wanted chunk is here.
    pub fn is_done(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Wanted chunks that no connected source has, as runs; none before the first source has come, when
    /// those who start together, and have nothing yet, are worth knowing too.
    pub fn unavailable(&self) -> Vec<(u32, u32)> {
        if self.sources.is_empty() || self.sources.values().any(|source| source.have.is_full()) {
            return Vec::new();
        }
        self.open.unavailable().ranges()
    }

    /// What is known of each source.
    pub fn sources(&self, now: Instant) -> impl Iterator<Item = (SourceId, SourceView)> + '_ {
        let (costs, bytes) = (self.costs(), self.usual_bytes());
        self.sources.iter().map(move |(id, source)| {
            let useful = self.useful(source);
            let reason = self.reason(*id, source, useful, &costs, now);
            (*id, source.view(useful, bytes, reason))
        })
    }

    /// How many wanted chunks the source has, to tell useful neighbours from useless ones.
    fn useful(&self, source: &Source) -> u32 {
        match source.have.is_full() {
            true => self.wanted.count(),
            false => source.have.iter().filter(|chunk| self.wanted.contains(*chunk)).count() as u32,
        }
    }

    /// True if any source has a wanted chunk.
    pub fn is_helped(&self) -> bool {
        self.sources.values().any(|source| {
            let mut have = source.have.iter();
            have.any(|chunk| self.wanted.contains(chunk))
        })
    }

    /// True if its sources gained more than this side, in the mean, since each came: who is far from the seeders,
    /// or behind a full uplink, should be served first, for all should be done at the same time.
    pub fn is_behind(&self) -> bool {
        let mine = self.had.count();
        self.sources.values().filter_map(|source| source.lead(mine)).sum::<i64>() < 0
    }

    /// Takes in one event and says what to do.
    #[must_use]
    pub fn step(&mut self, event: Event, now: Instant) -> Vec<Effect> {
        let mut out = Vec::new();
        match event {
            Event::Joined { source, have, chooses, round_trip, load } => {
                let mut joined = Source::new(have, self.had.count(), chooses, round_trip, now);
                load.into_iter().for_each(|load| joined.told(load, None, now));
                self.joined(source, joined, now, &mut out);
            }
            Event::Loaded(source, load) => self.loaded(source, load, now, &mut out),
            Event::Gained(source, gained) => self.gained(source, &gained, now, &mut out),
            Event::Left(source) => self.left_by(source, now, &mut out),
            Event::Arriving(source, chunk) => self.arriving(source, chunk, now, &mut out),
            Event::Progress(source, bytes) => self.progress(source, bytes, now),
            Event::Arrived(source, chunk) => self.arrived(source, chunk, now, &mut out),
            Event::Corrupt(source, chunk) => self.corrupt(source, chunk, now, &mut out),
            Event::Settled(source, chunk) => self.settled(source, chunk, now, &mut out),
            Event::Refused(source, chunk, reason) => self.refused(source, chunk, reason, now, &mut out),
            Event::Tick => self.tick(now, &mut out),
        }
        self.check();
        out
    }

    fn joined(&mut self, id: SourceId, source: Source, now: Instant, out: &mut Vec<Effect>) {
        if !source.have.is_full() {
            source.have.iter().for_each(|chunk| self.open.more_common(chunk));
        }
        let replaced = self.sources.insert(id, source);
        debug_assert!(replaced.is_none(), "source numbers are never reused");
        self.fill(id, now, out);
    }

    fn loaded(&mut self, id: SourceId, load: SourceLoad, now: Instant, out: &mut Vec<Effect>) {
        let Some(source) = self.sources.get_mut(&id) else { return };
        source.told(load, source.load_asked(now), now);
        source.answered(now);
        self.fill_all(now, out);
    }

    fn gained(&mut self, id: SourceId, gained: &[(u32, u32)], now: Instant, out: &mut Vec<Effect>) {
        let Some(source) = self.sources.get_mut(&id) else { return };
        let was_full = source.have.is_full();
        for chunk in runs::numbers(gained, self.layout.chunks()) {
            if source.have.insert(chunk) {
                self.open.more_common(chunk);
            }
        }
        // What it says anew is believed anew.
        let Source { have, doubted, .. } = source;
        doubted.retain(|chunk| !have.contains(*chunk));
        if source.have.is_full() && !was_full {
            // From now on it counts as a seeder, which makes every chunk equally common.
            (0..self.layout.chunks()).for_each(|chunk| self.open.less_common(chunk));
            source.chooses = false;
        }
        self.fill(id, now, out);
    }

    fn left_by(&mut self, id: SourceId, now: Instant, out: &mut Vec<Effect>) {
        let Some(source) = self.sources.remove(&id) else { return };
        if !source.have.is_full() {
            source.have.iter().for_each(|chunk| self.open.less_common(chunk));
        }
        self.inflight_bytes -= source.inflight_bytes;
        for chunk in source.asked_chunks() {
            self.release(id, chunk);
        }
        self.believe_the_last();
        self.fill_all(now, out);
    }

    /// `chunk` is no longer in flight at `id`; if nowhere else either, it is open again.
    fn release(&mut self, id: SourceId, chunk: u32) {
        let Some(holders) = self.in_flight.get_mut(&chunk) else { return };
        holders.retain(|holder| *holder != id);
        if holders.is_empty() {
            self.in_flight.remove(&chunk);
            if self.wanted.contains(chunk) {
                self.open.insert(chunk);
            }
        }
    }

    /// Forgets that `chunk` was asked of `id`, with its bytes.
    fn settle(&mut self, id: SourceId, chunk: u32) {
        if let Some(bytes) = self.sources.get_mut(&id).and_then(|source| source.settle(chunk)) {
            self.inflight_bytes -= bytes;
        }
        self.release(id, chunk);
    }

    fn arriving(&mut self, id: SourceId, chunk: u32, now: Instant, out: &mut Vec<Effect>) {
        let Some(source) = self.sources.get_mut(&id) else { return };
        if !source.begun(chunk, now) {
            return; // it was asked for by number
        }
        if self.wanted.contains(chunk) {
            self.open.remove(chunk);
            let holders = self.in_flight.entry(chunk).or_default();
            out.extend(holders.iter().map(|other| Effect::Cancel(*other, chunk)));
            holders.push(id);
        }
    }

    fn progress(&mut self, id: SourceId, bytes: u64, now: Instant) {
        if let Some(source) = self.sources.get_mut(&id) {
            source.delivered(bytes, now);
        }
    }

    fn arrived(&mut self, id: SourceId, chunk: u32, now: Instant, out: &mut Vec<Effect>) {
        if let Some(source) = self.sources.get_mut(&id) {
            source.chunks += 1;
        }
        self.settle(id, chunk);
        self.had.insert(chunk);
        self.wanted.remove(chunk);
        self.moved.remove(&chunk);
        self.open.remove(chunk);
        for other in self.in_flight.remove(&chunk).unwrap_or_default() {
            out.push(Effect::Cancel(other, chunk));
        }
        self.fill(id, now, out);
    }

    fn corrupt(&mut self, id: SourceId, chunk: u32, now: Instant, out: &mut Vec<Effect>) {
        self.settle(id, chunk);
        let Some(source) = self.sources.get_mut(&id) else { return };
        source.corrupt += 1;
        if source.corrupt >= MAX_CORRUPT {
            out.push(Effect::Close(id));
        }
        source.doubted.push(chunk);
        self.disbelieve(id, chunk);
        self.believe_the_last();
        self.fill_all(now, out);
    }

    /// A chunk that was wrong is asked for elsewhere first. When nobody else has it, the turn comes again
    /// to who sent it: the wire may have been at fault, and [`MAX_CORRUPT`] ends it if not.
    fn believe_the_last(&mut self) {
        if self.sources.values().all(|source| source.doubted.is_empty()) {
            return;
        }
        let held = |chunk: u32| self.sources.values().any(|source| source.have.contains(chunk));
        let doubted: Vec<(SourceId, u32)> = self
            .sources
            .iter()
            .flat_map(|(id, source)| source.doubted.iter().map(move |chunk| (*id, *chunk)))
            .filter(|(_, chunk)| self.wanted.contains(*chunk) && !held(*chunk))
            .collect();
        for (id, chunk) in doubted {
            let Some(source) = self.sources.get_mut(&id) else { continue };
            source.doubted.retain(|other| *other != chunk);
            if source.have.insert(chunk) {
                self.open.more_common(chunk);
            }
            if source.have.is_full() {
                // It counts as a seeder again.
                (0..self.layout.chunks()).for_each(|chunk| self.open.less_common(chunk));
            }
        }
    }

    /// The source does not have `chunk`, whatever it said, until it says so anew.
    fn disbelieve(&mut self, id: SourceId, chunk: u32) {
        let Some(source) = self.sources.get_mut(&id) else { return };
        if source.have.is_full() {
            // It is no seeder any more: all that it has counts by the chunk from now on.
            source.have.iter().for_each(|chunk| self.open.more_common(chunk));
            source.chooses = false;
        }
        if source.have.remove(chunk) {
            self.open.less_common(chunk);
        }
    }

    fn settled(&mut self, id: SourceId, chunk: u32, now: Instant, out: &mut Vec<Effect>) {
        if !self.sources.contains_key(&id) {
            return;
        }
        self.settle(id, chunk);
        self.fill_all(now, out);
        if let Some(source) = self.sources.get_mut(&id) {
            source.answered(now);
        }
        self.fill(id, now, out);
    }

    fn refused(
        &mut self,
        id: SourceId,
        chunk: Option<u32>,
        reason: Refusal,
        now: Instant,
        out: &mut Vec<Effect>,
    ) {
        let Some(source) = self.sources.get_mut(&id) else { return };
        match chunk {
            None => {
                self.inflight_bytes -= source.settle_any();
                match reason {
                    // From now on by number, so that each chunk that it lacks is settled.
                    Refusal::NothingBetter | Refusal::NotHere | Refusal::NotYet | Refusal::Gone => {
                        source.chooses = false
                    }
                    Refusal::Busy | Refusal::Cancelled => source.back_off(now),
                }
            }
            Some(chunk) => {
                self.settle(id, chunk);
                match reason {
                    Refusal::Cancelled => {}
                    Refusal::Busy => {
                        if let Some(source) = self.sources.get_mut(&id) {
                            source.back_off(now);
                        }
                    }
                    Refusal::NotHere | Refusal::NotYet | Refusal::Gone | Refusal::NothingBetter => {
                        self.disbelieve(id, chunk);
                        if let Some(source) = self.sources.get_mut(&id).filter(|_| reason == Refusal::Gone) {
                            source.lost(chunk, now);
                        }
                    }
                }
                self.fill_all(now, out);
            }
        }
        if let Some(source) = self.sources.get_mut(&id) {
            source.answered(now);
        }
        self.fill(id, now, out);
    }

    fn tick(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let ids: Vec<SourceId> = self.sources.keys().copied().collect();
        for id in ids {
            let Some(source) = self.sources.get_mut(&id) else { continue };
            if source.is_lost(now) {
                out.push(Effect::Close(id));
            } else if source.stalls(now) {
                self.give_to_others(id, out);
            }
            self.ask_load(id, now, out);
        }
        self.fill_all(now, out);
    }

    fn fill_all(&mut self, now: Instant, out: &mut Vec<Effect>) {
        for id in self.by_cost() {
            self.fill(id, now, out);
        }
    }

    fn ask_load(&mut self, id: SourceId, now: Instant, out: &mut Vec<Effect>) {
        if self.sources.get_mut(&id).is_some_and(|source| source.should_tell(now)) {
            out.push(Effect::AskLoad(id));
        }
    }

    /// Asks `id` for as much as its window has room for.
    fn fill(&mut self, id: SourceId, now: Instant, out: &mut Vec<Effect>) {
        while self.inflight_bytes < self.limits.max_inflight_bytes {
            let Some(source) = self.sources.get(&id) else { return };
            if !source.has_room(now) {
                return;
            }
            // A free choice will take one of the open chunks: so many are as good as in flight.
            if self.open.count() <= self.choices_in_flight() && self.open.count() > 0 {
                return;
            }
            if source.chooses && self.layout.chunks() > FEW_CHUNKS && self.open.count() > 0 {
                let bytes = self.layout.size().div_ceil(u64::from(self.layout.chunks().max(1))).max(1);
                self.ask_any(id, bytes, now, out);
                continue;
            }
            let Some(chunk) = self.open.rarest(&source.have, self.cursor) else {
                match self.steal(id, now, out) {
                    true => continue,
                    false => return,
                }
            };
            if self.much_cheaper_elsewhere(id, chunk, now) {
                return;
            }
            self.ask(id, chunk, now, out);
            self.move_cursor(chunk);
        }
    }

    /// Where to look next. Peers that want the same chunks of the same source must not ask for them in
    /// the same order, or the source sends each to all of them before it sends another. Among whole
    /// sources alone there is nothing to spread, and a file is best read from front to back.
    fn move_cursor(&mut self, asked: u32) {
        self.cursor = match self.sources.values().all(|source| source.have.is_full()) {
            true => asked + 1,
            false => self.rng.u32(..self.layout.chunks().max(1)),
        };
    }

    fn choices_in_flight(&self) -> u32 {
        self.sources.values().filter(|source| !source.stalled).map(|source| source.any_in_flight).sum()
    }

    fn ask_any(&mut self, id: SourceId, bytes: u64, now: Instant, out: &mut Vec<Effect>) {
        if let Some(source) = self.sources.get_mut(&id) {
            source.ask_any(bytes, now);
            self.inflight_bytes += bytes;
            out.push(Effect::AskAny(id));
        }
    }

    fn ask(&mut self, id: SourceId, chunk: u32, now: Instant, out: &mut Vec<Effect>) {
        let bytes = self.layout.place(chunk).map_or(0, |place| place.len);
        if let Some(source) = self.sources.get_mut(&id) {
            source.ask(chunk, bytes, now);
            self.inflight_bytes += bytes;
            self.open.remove(chunk);
            self.in_flight.entry(chunk).or_default().push(id);
            out.push(Effect::Ask(id, chunk));
            self.ask_load(id, now, out);
        }
    }

    /// Recounts what the fields claim; only in debug builds.
    fn check(&self) {
        if cfg!(debug_assertions) && self.layout.chunks() <= 256 {
            let bytes: u64 = self.sources.values().map(|source| source.inflight_bytes).sum();
            assert_eq!(bytes, self.inflight_bytes, "bytes in flight");
            for chunk in 0..self.layout.chunks() {
                let states = [
                    self.open.contains(chunk),
                    self.in_flight.contains_key(&chunk),
                    !self.wanted.contains(chunk),
                ];
                assert_eq!(
                    states.iter().filter(|state| **state).count(),
                    1,
                    "chunk {chunk} is in exactly one state: {states:?}"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests;
