//! One source as the scheduler sees it: what it has, what it owes, how fast it is.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::load::{FIRST_RATE, HORIZON, SourceLoad};
use super::pace::Pace;
use super::reason::Reason;
use crate::content::{Chunk, ChunkSet, PeerId, Rate};

/// At least this many requests are in flight, so that one waits while another is on its way.
const MIN_REQUESTS: usize = 1;
/// Who owes chunks and is silent for so long, more than twice as long as a stall takes at least, or has not what it said it
/// has so often, does not do its part.
const FAILS_AFTER: Duration = Duration::from_secs(1);
const MAX_DENIED: u32 = 3;
/// A source takes over from others at most this often.
const STEAL_INTERVAL: Duration = Duration::from_millis(20);
/// A source is new for this long.
const JUST_NOW: Duration = Duration::from_millis(20);

/// What is known of a source, for people.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SourceView {
    /// Chunks it has.
    pub have: u32,
    /// Wanted chunks it has.
    pub useful: u32,
    /// How fast it delivered lately; none until that is measured.
    pub rate: Option<Rate>,
    /// The shortest time it took to answer.
    pub round_trip: Duration,
    /// Bytes asked of it and not yet here.
    pub inflight_bytes: u64,
    /// What it said of its load last.
    pub load: Option<SourceLoad>,
    /// Bytes of chunks that came from it.
    pub bytes: u64,
    /// Chunks taken from it.
    pub chunks: u64,
    /// Chunks of it that were thrown away.
    pub corrupt: u32,
    /// How long a chunk asked of it now would take.
    pub cost: Duration,
    /// True if it owes chunks and is silent.
    pub stalled: bool,
    /// Why it is, or is not, asked.
    pub reason: Reason,
}

#[derive(Debug)]
struct Asked {
    chunk: Chunk,
    bytes: u64,
    at: Instant,
    begun: bool,
    cancelled: bool,
}

/// A chunk that a source owes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Owed {
    pub(super) chunk: Chunk,
    pub(super) bytes: u64,
    /// Its bytes have begun to arrive.
    pub(super) begun: bool,
    /// How long until it should be here.
    pub(super) due: Duration,
}

#[derive(Debug)]
pub(super) struct Source {
    came: Instant,
    /// How many chunks more were here than there when it came; none if it had all, and so gains nothing.
    head_start: Option<i64>,
    pub(super) have: ChunkSet,
    /// Its peer, while it may be asked for whichever chunk it thinks best.
    may_choose: Option<PeerId>,
    /// Free choices that are not answered.
    choices: u32,
    choices_bytes: u64,
    asked: Vec<Asked>,
    inflight_bytes: u64,
    corrupt: u32,
    /// How often it said that it has not what it had said it has.
    denied: u32,
    /// Chunks that it says it has, and that were wrong when they came.
    doubted: Vec<Chunk>,
    /// Chunks that it had and has lost once.
    lost: BTreeSet<Chunk>,
    /// A wrong chunk of it was put down to a change of the file.
    excused: bool,
    chunks: u64,
    pace: Pace,
    last_steal: Option<Instant>,
}

impl Source {
    pub(super) fn new(
        have: ChunkSet,
        mine: u32,
        may_choose: Option<PeerId>,
        round_trip: Duration,
        now: Instant,
    ) -> Source {
        Source {
            came: now,
            head_start: (!have.is_full()).then(|| i64::from(mine) - i64::from(have.count())),
            have,
            may_choose,
            choices: 0,
            choices_bytes: 0,
            asked: Vec::new(),
            inflight_bytes: 0,
            corrupt: 0,
            denied: 0,
            doubted: Vec::new(),
            lost: BTreeSet::new(),
            excused: false,
            chunks: 0,
            pace: Pace::new(round_trip, now),
            last_steal: None,
        }
    }

    pub(super) fn view(&self, useful: u32, chunk_bytes: u64, reason: Reason) -> SourceView {
        SourceView {
            have: self.have.count(),
            useful,
            rate: self.pace.rate(),
            round_trip: self.pace.round_trip(),
            inflight_bytes: self.inflight_bytes,
            load: self.pace.load(),
            bytes: self.pace.bytes(),
            chunks: self.chunks,
            corrupt: self.corrupt,
            cost: self.expected(chunk_bytes),
            stalled: self.pace.is_stalled(),
            reason,
        }
    }

    /// How many chunks more than the source this side gained since it came, if it now has `mine`; nothing is known
    /// of one that had them all.
    pub(super) fn lead(&self, mine: u32) -> Option<i64> {
        self.head_start.map(|head_start| i64::from(mine) - i64::from(self.have.count()) - head_start)
    }

    /// True if it came now, and so has said now what its load is.
    pub(super) fn has_just_come(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.came) < JUST_NOW
    }

    // What it owes.

    pub(super) fn inflight_bytes(&self) -> u64 {
        self.inflight_bytes
    }

    /// Chunks asked of it by number, or chosen by it, in that order.
    pub(super) fn asked_chunks(&self) -> impl Iterator<Item = Chunk> + '_ {
        self.asked.iter().map(|asked| asked.chunk)
    }

    /// Free choices that are not answered.
    pub(super) fn choices(&self) -> u32 {
        self.choices
    }

    /// Its peer, if it may be asked for whichever chunk it thinks best.
    pub(super) fn may_choose(&self) -> Option<PeerId> {
        self.may_choose
    }

    /// From now on it is asked by number.
    pub(super) fn chooses_no_more(&mut self) {
        self.may_choose = None;
    }

    pub(super) fn has_room(&self, now: Instant) -> bool {
        let requests = self.asked.len() + self.choices as usize;
        self.is_well(now) && (requests < MIN_REQUESTS || self.pace.has_room(self.inflight_bytes))
    }

    pub(super) fn ask(&mut self, chunk: Chunk, bytes: u64, now: Instant) {
        self.pace.asks(self.inflight_bytes, now);
        self.asked.push(Asked { chunk, bytes, at: now, begun: false, cancelled: false });
        self.inflight_bytes += bytes;
    }

    pub(super) fn ask_any(&mut self, bytes: u64, now: Instant) {
        self.pace.asks(self.inflight_bytes, now);
        self.choices += 1;
        self.choices_bytes += bytes;
        self.inflight_bytes += bytes;
    }

    /// One of the free choices turned out to be `chunk`. False if the chunk was asked for by number.
    pub(super) fn begun(&mut self, chunk: Chunk, now: Instant) -> bool {
        if let Some(asked) = self.asked.iter_mut().find(|asked| asked.chunk == chunk) {
            asked.begun = true;
            return false;
        }
        if self.choices == 0 {
            return false;
        }
        let bytes = self.choices_bytes / u64::from(self.choices);
        self.choices_bytes -= bytes;
        self.choices -= 1;
        self.asked.push(Asked { chunk, bytes, at: now, begun: true, cancelled: false });
        true
    }

    /// A chunk of it has arrived, whole and right.
    pub(super) fn has_brought(&mut self) {
        self.chunks += 1;
    }

    pub(super) fn chunks(&self) -> u64 {
        self.chunks
    }

    /// Forgets `chunk`; its bytes, if it was asked for.
    pub(super) fn settle(&mut self, chunk: Chunk) -> Option<u64> {
        let at = self.asked.iter().position(|asked| asked.chunk == chunk)?;
        let asked = self.asked.remove(at);
        self.inflight_bytes -= asked.bytes;
        Some(asked.bytes)
    }

    /// Forgets one free choice; its bytes.
    pub(super) fn settle_any(&mut self) -> u64 {
        let bytes = self.choices_bytes / u64::from(self.choices.max(1));
        self.choices = self.choices.saturating_sub(1);
        self.choices_bytes -= bytes;
        self.inflight_bytes -= bytes;
        bytes
    }

    /// The chunks owed that nobody has cancelled: answers come in the order asked.
    pub(super) fn owed(&self, now: Instant) -> impl Iterator<Item = Owed> + '_ {
        let round_trip = self.pace.round_trip();
        let late = self.pace.silent(now).saturating_sub(round_trip + HORIZON);
        let rate = self.speed().unwrap_or(FIRST_RATE);
        let mut ahead = 0;
        let owed = self.asked.iter().map(move |asked| {
            ahead += asked.bytes;
            let due = if self.is_new() {
                // Nothing has come: the time runs from when it was asked for.
                let at = asked.at + round_trip + rate.time_for(ahead);
                at.saturating_duration_since(now) + now.saturating_duration_since(at + HORIZON)
            } else {
                let trip_left = (asked.at + round_trip).saturating_duration_since(now);
                late + trip_left + rate.time_for(ahead)
            };
            (asked.cancelled, Owed { chunk: asked.chunk, bytes: asked.bytes, begun: asked.begun, due })
        });
        owed.filter(|(cancelled, _)| !cancelled).map(|(_, owed)| owed)
    }

    pub(super) fn cancelled(&mut self, chunk: Chunk) {
        if let Some(asked) = self.asked.iter_mut().find(|asked| asked.chunk == chunk) {
            asked.cancelled = true;
        }
    }

    // What it is trusted for.

    /// Wrong chunks that came from it.
    pub(super) fn corrupt(&self) -> u32 {
        self.corrupt
    }

    /// It has not what it had said it has.
    pub(super) fn denies(&mut self) {
        self.denied += 1;
    }

    /// True if it owes chunks and is silent for long, or has denied too often what it had said.
    pub(super) fn fails(&self, now: Instant) -> bool {
        (self.is_stalled() && self.pace.silent(now) >= FAILS_AFTER) || self.denied >= MAX_DENIED
    }

    /// A chunk of it was wrong.
    pub(super) fn was_wrong(&mut self, chunk: Chunk) {
        self.corrupt += 1;
        self.doubted.push(chunk);
    }

    /// Chunks that it says it has, and that were wrong when they came.
    pub(super) fn doubted(&self) -> &[Chunk] {
        &self.doubted
    }

    /// A chunk that was wrong is believed again.
    pub(super) fn doubts_no_more(&mut self, chunk: Chunk) {
        self.doubted.retain(|other| *other != chunk);
    }

    /// The file under a chunk has changed, as it says. A chunk that was wrong before may have come of that: one
    /// is excused, and no more, so that a liar gains no more.
    pub(super) fn lost(&mut self, chunk: Chunk, now: Instant) {
        if self.corrupt > 0 && !self.excused {
            self.corrupt -= 1;
            self.excused = true;
        }
        if !self.lost.insert(chunk) {
            self.pace.back_off(now); // it has said anew that it has it, and has not
        }
    }

    // Its pace, by what it owes.

    pub(super) fn is_well(&self, now: Instant) -> bool {
        self.pace.is_well(now)
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.pace.is_stalled()
    }

    pub(super) fn is_paused(&self, now: Instant) -> bool {
        self.pace.is_paused(now)
    }

    pub(super) fn back_off(&mut self, now: Instant) {
        self.pace.back_off(now);
    }

    pub(super) fn delivered(&mut self, bytes: u64, now: Instant) {
        self.pace.delivered(bytes, now);
    }

    pub(super) fn answered(&mut self, now: Instant) {
        self.pace.answered(self.inflight_bytes, now);
    }

    pub(super) fn stalls(&mut self, now: Instant) -> bool {
        self.pace.stalls(self.inflight_bytes, now)
    }

    pub(super) fn is_lost(&self, now: Instant) -> bool {
        self.pace.is_lost(self.inflight_bytes, now)
    }

    pub(super) fn is_new(&self) -> bool {
        self.pace.is_new()
    }

    pub(super) fn speed(&self) -> Option<Rate> {
        self.pace.speed()
    }

    pub(super) fn round_trip(&self) -> Duration {
        self.pace.round_trip()
    }

    /// How long `bytes` more would take from here.
    pub(super) fn expected(&self, bytes: u64) -> Duration {
        self.pace.expected(self.inflight_bytes, bytes)
    }

    pub(super) fn told(&mut self, load: SourceLoad, now: Instant) {
        self.pace.told(load, self.inflight_bytes, now);
    }

    pub(super) fn should_tell(&mut self, now: Instant) -> bool {
        let first_asked = self.asked.first().map(|first| first.at);
        self.pace.should_tell(self.inflight_bytes, first_asked, now)
    }

    // Takeovers.

    /// One takeover in a while: the last one must have had time to show what it brought.
    pub(super) fn may_steal(&self, now: Instant) -> bool {
        let pause = STEAL_INTERVAL.max(self.pace.round_trip() * 2);
        self.last_steal.is_none_or(|last| now.saturating_duration_since(last) >= pause)
    }

    pub(super) fn has_stolen(&mut self, now: Instant) {
        self.last_steal = Some(now);
    }
}

#[cfg(test)]
mod tests;
