//! Which chunk to ask of which source, and when: one value for each transfer. Pure.
//!
//! A chunk that is wanted is *open*, or *in flight* with one or (while stealing) two sources, or *had*.
//! Events and `now` go in, effects come out; no socket, file, thread, clock or random source inside, so
//! that the simulator runs the very code that production runs.
//!
//! - How much is in flight at a source follows from its measured rate × (round trip + a short
//!   horizon), never from a count, so a slow source is given little and a fast one enough.
//! - Among what a source has, the chunk that the fewest sources have goes first (rarest first).
//! - A source that has everything, one of them, is asked for "whichever you think best" until it says that every
//!   chunk has left it once: so the first copy of a file leaves its seeder once.
//! - When nothing is open, a source with room takes over chunks that would come much later from another.

//!
//! `chunks` is where each chunk is, `sources` what each source has and owes, `pace` how fast one is; `cost`, `takeover`
//! and `why` look at those and decide, and change nothing. What is done about an event is here.

mod allowance;
mod chunks;
mod cost;
mod event;
mod load;
mod pace;
mod rarity;
mod reason;
mod source;
mod sources;
mod spared;
mod takeover;
mod why;

use std::sync::Arc;
use std::time::Instant;

use crate::content::{Chunk, ChunkSet, Layout, Run, runs};
use crate::wire::Refusal;
use allowance::Allowance;
use chunks::Chunks;
use cost::{by_cost, costs, is_much_cheaper_elsewhere};
pub use event::{Effect, Event, MAX_CORRUPT, SourceId, TICK};
pub use load::SourceLoad;
pub use reason::Reason;
use source::Source;
pub use source::SourceView;
use sources::Sources;
use spared::Spared;
use takeover::{given_up, takeover};
use why::reason;

/// Of so few chunks each is asked for by number: there is little to spread, and the source can be left.
const FEW_CHUNKS: u32 = 4;
/// Of no more chunks than this each is recounted after each step, in debug builds.
const MOST_CHECKED: u32 = 256;

/// The scheduler of one transfer.
#[derive(Debug)]
pub struct Scheduler {
    layout: Arc<Layout>,
    /// Most bytes in flight at all sources together.
    max_inflight_bytes: u64,
    allowance: Allowance,
    chunks: Chunks,
    sources: Sources,
    spared: Spared,
    /// Where the search for the next chunk starts; differs between peers so that their choices do.
    cursor: Chunk,
    /// It stays where it is: each source is asked for what it has from there on, in order.
    in_order: bool,
    /// What somebody waits for: it goes before everything else, in its order.
    pressing: Run,
    rng: fastrand::Rng,
}

impl Scheduler {
    /// A scheduler for the chunks `wanted` of `layout`; `had` are here already. At
    /// most so many bytes are in flight at all sources together. `seed` makes this peer's
    /// choices differ from other peers'.
    pub fn new(
        layout: Arc<Layout>,
        had: ChunkSet,
        wanted: &ChunkSet,
        max_inflight_bytes: u64,
        seed: u64,
    ) -> Scheduler {
        Scheduler {
            max_inflight_bytes,
            allowance: Allowance::default(),
            chunks: Chunks::new(had, wanted),
            sources: Sources::default(),
            spared: Spared::default(),
            rng: fastrand::Rng::with_seed(seed),
            in_order: false,
            pressing: Run::new(Chunk(0), 0),
            cursor: Chunk((seed % u64::from(layout.chunks().max(1))) as u32),
            layout,
        }
    }

    /// Until this is said anew so many bytes may be asked for, and a chunk begun with them; none: as many as one likes.
    pub fn allow(&mut self, bytes: Option<i64>) {
        self.allowance.set(bytes);
    }

    /// Somebody waits for these, in this order; of what was pressing before nothing is any more.
    pub fn press(&mut self, run: Run) {
        self.pressing = run;
    }

    /// Bytes asked for since this was last asked; less than none if more than those will not come.
    pub fn spent(&mut self) -> i64 {
        self.allowance.take_spent()
    }

    /// The chunks that are here.
    pub fn had(&self) -> &ChunkSet {
        self.chunks.had()
    }

    /// True when every wanted chunk is here.
    pub fn is_done(&self) -> bool {
        self.chunks.left() == 0
    }

    /// Wanted chunks that no connected source has, as runs; none before the first source has come, when
    /// those who start together, and have nothing yet, are worth knowing too.
    pub fn unavailable(&self) -> Vec<Run> {
        if self.sources.is_empty() || self.sources.any_is_whole() {
            return Vec::new();
        }
        self.chunks.unavailable()
    }

    /// What is known of each source.
    pub fn sources(&self, now: Instant) -> impl Iterator<Item = (SourceId, SourceView)> + '_ {
        let bytes = self.usual_bytes();
        let (costs, done) = (costs(&self.sources, bytes), self.is_done());
        self.sources.iter().map(move |(id, source)| {
            let useful = self.chunks.useful(&source.have);
            let reason = reason((id, source), (useful, done), bytes, &costs, now);
            (id, source.view(useful, bytes, reason))
        })
    }

    /// True if that source owes chunks and is silent for long, or has not what it says it has.
    pub(crate) fn is_failed_by(&self, id: SourceId, now: Instant) -> bool {
        self.sources.get(id).is_some_and(|source| source.fails(now))
    }

    /// True if any source has a wanted chunk.
    pub fn is_helped(&self) -> bool {
        self.sources.iter().any(|(_, source)| self.chunks.are_in(&source.have))
    }

    /// True if its sources gained more than this side, in the mean, since each came: who is far from the seeders,
    /// or behind a full uplink, should be served first, for all should be done at the same time.
    pub fn is_behind(&self) -> bool {
        self.sources.are_ahead_of(self.chunks.had())
    }

    /// Takes in one event and says what to do.
    #[must_use]
    pub fn step(&mut self, event: Event, now: Instant) -> Vec<Effect> {
        let mut out = Vec::new();
        match event {
            // Of one that is not there, or not any more, nothing is expected.
            Event::Settled(source, _) | Event::Refused(source, ..) if self.sources.get(source).is_none() => {}
            Event::Joined { source, have, may_choose, round_trip, load } => {
                let mut joined = Source::new(have, self.chunks.had().count(), may_choose, round_trip, now);
                if let Some(load) = load {
                    joined.told(load, now);
                }
                self.joined(source, joined, now, &mut out);
            }
            Event::Spare(source) => self.spared.spare(source),
            Event::Loaded(source, load) => self.loaded(source, load, now, &mut out),
            Event::Gained(source, gained) => self.gained(source, &gained, now, &mut out),
            Event::Left(source) => self.left_by(source, now, &mut out),
            Event::Arriving(source, chunk) => self.arriving(source, chunk, now, &mut out),
            Event::Progress(source, bytes) => self.progress(source, bytes, now),
            Event::Arrived(source, chunk) => self.arrived(source, chunk, now, &mut out),
            Event::Corrupt(source, chunk) => self.corrupt(source, chunk, now, &mut out),
            Event::Settled(source, chunk) => self.settled(source, chunk, now, &mut out),
            Event::Refused(source, None, why) => self.refused_choice(source, why, now, &mut out),
            Event::Refused(source, Some(chunk), why) => self.refused(source, chunk, why, now, &mut out),
            Event::Wanted(more) => {
                self.chunks.want(&more);
                self.fill_all(now, &mut out);
            }
            Event::InOrder => self.in_order = true,
            Event::Tick => self.tick(now, &mut out),
        }
        self.check();
        out
    }

    fn joined(&mut self, id: SourceId, source: Source, now: Instant, out: &mut Vec<Effect>) {
        self.spared.one_came(now);
        self.chunks.offered(&source.have);
        self.sources.insert(id, source);
        self.fill(id, now, out);
    }

    fn loaded(&mut self, id: SourceId, load: SourceLoad, now: Instant, out: &mut Vec<Effect>) {
        let Some(source) = self.sources.get_mut(id) else { return };
        source.told(load, now);
        source.answered(now);
        self.fill_all(now, out);
    }

    fn gained(&mut self, id: SourceId, gained: &[Run], now: Instant, out: &mut Vec<Effect>) {
        self.spared.note_gain(id, now);
        let Some(source) = self.sources.get_mut(id) else { return };
        for chunk in runs::chunks(gained, self.layout.chunks()) {
            // What it says anew is believed anew.
            source.doubts_no_more(chunk);
            if source.have.insert(chunk) {
                self.chunks.gained(chunk, &source.have);
            }
        }
        self.fill(id, now, out);
    }

    fn left_by(&mut self, id: SourceId, now: Instant, out: &mut Vec<Effect>) {
        let Some(source) = self.sources.remove(id) else { return };
        self.chunks.withdrawn(&source.have);
        self.allowance.comes_not(source.inflight_bytes());
        for chunk in source.asked_chunks() {
            self.chunks.release(chunk, id);
        }
        self.believe_the_last();
        self.fill_all(now, out);
    }

    /// Forgets that `chunk` was asked of `id`.
    fn settle(&mut self, id: SourceId, chunk: Chunk) {
        self.sources.settle(id, chunk);
        self.chunks.release(chunk, id);
    }

    fn arriving(&mut self, id: SourceId, chunk: Chunk, now: Instant, out: &mut Vec<Effect>) {
        let Some(source) = self.sources.get_mut(id) else { return };
        if source.begun(chunk, now) {
            let others = self.chunks.chosen(chunk, id);
            out.extend(others.into_iter().map(|other| Effect::Cancel(other, chunk)));
        }
    }

    fn progress(&mut self, id: SourceId, bytes: u64, now: Instant) {
        if let Some(source) = self.sources.get_mut(id) {
            source.delivered(bytes, now);
        }
    }

    fn arrived(&mut self, id: SourceId, chunk: Chunk, now: Instant, out: &mut Vec<Effect>) {
        self.spared.note_gain(id, now);
        if let Some(source) = self.sources.get_mut(id) {
            source.has_brought();
        }
        self.settle(id, chunk);
        let others = self.chunks.arrived(chunk);
        out.extend(others.into_iter().map(|other| Effect::Cancel(other, chunk)));
        self.fill(id, now, out);
    }

    fn corrupt(&mut self, id: SourceId, chunk: Chunk, now: Instant, out: &mut Vec<Effect>) {
        self.settle(id, chunk);
        let Some(source) = self.sources.get_mut(id) else { return };
        source.was_wrong(chunk);
        if source.corrupt() >= MAX_CORRUPT {
            out.push(Effect::Close(id));
        }
        self.disbelieve(id, chunk);
        self.believe_the_last();
        self.fill_all(now, out);
    }

    /// A chunk that was wrong is asked for elsewhere first. When nobody else has it, the turn comes again
    /// to who sent it: the wire may have been at fault, and [`MAX_CORRUPT`] ends it if not.
    fn believe_the_last(&mut self) {
        for (id, chunk) in self.sources.doubted(|chunk| self.chunks.is_wanted(chunk)) {
            let Some(source) = self.sources.get_mut(id) else { continue };
            source.doubts_no_more(chunk);
            if source.have.insert(chunk) {
                self.chunks.gained(chunk, &source.have);
            }
        }
    }

    /// The source does not have `chunk`, whatever it said, until it says so anew.
    fn disbelieve(&mut self, id: SourceId, chunk: Chunk) {
        let Some(source) = self.sources.get_mut(id) else { return };
        if !source.have.contains(chunk) {
            return;
        }
        self.chunks.lost(chunk, &source.have);
        source.have.remove(chunk);
        self.sources.chooses_no_more(id);
    }

    fn settled(&mut self, id: SourceId, chunk: Chunk, now: Instant, out: &mut Vec<Effect>) {
        self.settle(id, chunk);
        self.fill_all(now, out);
        self.answered(id, now, out);
    }

    /// The source does not want to choose a chunk.
    fn refused_choice(&mut self, id: SourceId, why: Refusal, now: Instant, out: &mut Vec<Effect>) {
        self.allowance.comes_not(self.sources.settle_any(id));
        match why {
            Refusal::NothingBetter => self.sources.end_choice(id),
            // From now on by number, so that each chunk that it lacks is settled.
            Refusal::NotHere | Refusal::NotYet | Refusal::Gone => self.sources.chooses_no_more(id),
            Refusal::Busy | Refusal::Cancelled => self.back_off(id, now),
        }
        self.answered(id, now, out);
    }

    fn refused(&mut self, id: SourceId, chunk: Chunk, why: Refusal, now: Instant, out: &mut Vec<Effect>) {
        self.allowance.comes_not(self.bytes_of(chunk));
        self.settle(id, chunk);
        match why {
            Refusal::Cancelled => {}
            Refusal::Busy => self.back_off(id, now),
            Refusal::NotHere | Refusal::NotYet | Refusal::Gone | Refusal::NothingBetter => {
                self.disbelieve(id, chunk);
                match (self.sources.get_mut(id), why) {
                    (Some(source), Refusal::Gone) => source.lost(chunk, now),
                    (Some(source), Refusal::NotHere) => source.denies(),
                    _ => {}
                }
            }
        }
        self.fill_all(now, out);
        self.answered(id, now, out);
    }

    fn back_off(&mut self, id: SourceId, now: Instant) {
        if let Some(source) = self.sources.get_mut(id) {
            source.back_off(now);
        }
    }

    /// The source said something, if it brought nothing.
    fn answered(&mut self, id: SourceId, now: Instant, out: &mut Vec<Effect>) {
        if let Some(source) = self.sources.get_mut(id) {
            source.answered(now);
        }
        self.fill(id, now, out);
    }

    fn tick(&mut self, now: Instant, out: &mut Vec<Effect>) {
        for id in self.sources.ids() {
            let Some(source) = self.sources.get_mut(id) else { continue };
            if source.is_lost(now) {
                out.push(Effect::Close(id));
            } else if source.stalls(now) {
                self.give_to_others(id, out);
            }
            self.ask_load(id, now, out);
        }
        self.fill_all(now, out);
    }

    /// Opens the chunks that a stalled source owes; its own answer still counts if it comes first.
    fn give_to_others(&mut self, id: SourceId, out: &mut Vec<Effect>) {
        for chunk in given_up(&self.chunks, &self.sources, id) {
            out.push(Effect::Cancel(id, chunk));
            self.settle(id, chunk);
        }
    }

    // Asking.

    /// Bytes of a chunk, as a rule.
    fn usual_bytes(&self) -> u64 {
        self.bytes_of(Chunk(0))
    }

    fn bytes_of(&self, chunk: Chunk) -> u64 {
        self.layout.place(chunk).map_or(0, |place| place.len)
    }

    fn fill_all(&mut self, now: Instant, out: &mut Vec<Effect>) {
        for id in by_cost(&self.sources, self.usual_bytes(), &mut self.rng) {
            self.fill(id, now, out);
        }
    }

    /// Asks `id` for as much as its window has room for.
    fn fill(&mut self, id: SourceId, now: Instant, out: &mut Vec<Effect>) {
        while self.sources.inflight_bytes() < self.max_inflight_bytes && self.allowance.is_left() {
            let Some(source) = self.sources.get(id) else { return };
            if !source.has_room(now) {
                return;
            }
            // A free choice will take one of the open chunks: so many are as good as in flight.
            let open = self.chunks.open();
            if open > 0 && open <= self.sources.choices_in_flight() {
                return;
            }
            let spared = self.spared.contains(id);
            if let Some(chunk) = self.chunks.first_open(&source.have, self.pressing).filter(|_| !spared) {
                self.ask(id, chunk, now, out);
                continue;
            }
            // Nor is it left to others what comes slowly: they would choose what was asked of somebody else before.
            let may_choose = self.sources.chooses(id) && !self.allowance.is_bounded();
            if open > 0 && may_choose && (spared || self.layout.chunks() > FEW_CHUNKS) {
                let bytes = self.layout.size().div_ceil(u64::from(self.layout.chunks())).max(1);
                self.sources.ask_any(id, bytes, now);
                self.allowance.spend(bytes);
                out.push(Effect::AskAny(id));
                continue;
            }
            if spared && !self.spared.are_needed(now) {
                return;
            }
            let Some(chunk) = self.chunks.rarest(&source.have, self.cursor) else {
                if spared || !self.steal(id, now, out) {
                    return;
                }
                continue;
            };
            let had_elsewhere =
                || self.sources.iter().any(|(other, source)| other != id && source.have.contains(chunk));
            if (spared && !self.spared.are_needed_most(now) && had_elsewhere())
                || self.is_left_to_others(id, chunk, now)
            {
                return;
            }
            self.ask(id, chunk, now, out);
            self.move_cursor(chunk);
        }
    }

    /// True if another source could have all that is open much sooner than `id` would have `chunk`.
    fn is_left_to_others(&self, id: SourceId, chunk: Chunk, now: Instant) -> bool {
        let open = u64::from(self.chunks.open()).saturating_mul(self.usual_bytes());
        let asked = (chunk, self.bytes_of(chunk));
        // Nothing is left to one that is to be spared.
        self.spared.is_empty() && is_much_cheaper_elsewhere(&self.sources, id, asked, open, now)
    }

    /// Takes over the chunk that would come latest from another source, if `id` is much faster. True if
    /// it has been asked for.
    fn steal(&mut self, id: SourceId, now: Instant, out: &mut Vec<Effect>) -> bool {
        let Some(taken) = takeover(&self.chunks, &self.sources, id, now) else { return false };
        out.push(Effect::Cancel(taken.from, taken.chunk));
        if let Some(victim) = self.sources.get_mut(taken.from) {
            victim.cancelled(taken.chunk);
        }
        self.chunks.count_move(taken.chunk);
        if let Some(thief) = self.sources.get_mut(id) {
            thief.has_stolen(now);
        }
        if taken.at_once {
            self.ask(id, taken.chunk, now, out);
        }
        taken.at_once
    }

    fn ask(&mut self, id: SourceId, chunk: Chunk, now: Instant, out: &mut Vec<Effect>) {
        self.sources.ask(id, chunk, self.bytes_of(chunk), now);
        self.allowance.spend(self.bytes_of(chunk));
        self.chunks.ask(chunk, id);
        out.push(Effect::Ask(id, chunk));
        self.ask_load(id, now, out);
    }

    fn ask_load(&mut self, id: SourceId, now: Instant, out: &mut Vec<Effect>) {
        if self.sources.get_mut(id).is_some_and(|source| source.should_tell(now)) {
            out.push(Effect::AskLoad(id));
        }
    }

    /// Where to look next. Peers that want the same chunks of the same source must not ask for them in
    /// the same order, or the source sends each to all of them before it sends another. Among whole
    /// sources alone there is nothing to spread, and a file is best read from front to back.
    fn move_cursor(&mut self, asked: Chunk) {
        self.cursor = match self.sources.all_are_whole() {
            _ if self.in_order => return,
            true => asked.plus(1),
            false => Chunk(self.rng.u32(..self.layout.chunks().max(1))),
        };
    }

    /// Recounts what the parts claim; only in debug builds.
    fn check(&self) {
        if cfg!(debug_assertions) && self.layout.chunks() <= MOST_CHECKED {
            self.sources.check();
            self.chunks.check();
        }
    }
}

#[cfg(test)]
mod tests;
