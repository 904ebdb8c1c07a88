//! When a chunk that was asked of one source is to come from another after all. Pure.

use std::time::{Duration, Instant};

use super::chunks::Chunks;
use super::event::SourceId;
use super::source::{Owed, Source};
use super::sources::Sources;
use crate::content::Chunk;

/// A chunk may come from this many sources at once while it is being taken over.
const MAX_COPIES_IN_FLIGHT: usize = 2;
/// A takeover must promise to be this many times faster.
const STEAL_FACTOR: u32 = 2;
/// And it must save at least this much beyond that.
const STEAL_GAIN: Duration = Duration::from_millis(40);
/// Near the end, when a chunk that comes twice costs little and everybody waits for the last one, much less.
const LAST_FACTOR: f64 = 1.5;
const LAST_GAIN: Duration = Duration::from_millis(10);
/// Both times as much for a chunk that has begun to arrive, and so comes twice.
const BEGUN_FACTOR: u32 = 4;
/// From a source that has delivered nothing yet little needs to be gained: nothing is lost by leaving it.
const LEAVE_NEW_FACTOR: f64 = 1.1;
const LEAVE_NEW_GAIN: Duration = Duration::from_millis(10);
/// But each time a chunk is moved the next time needs so much more, unless the source has just come:
/// what the others said is from before all those came who left, too.
const MOVED_FACTOR: f64 = 1.5;
const MOST_MOVED: i32 = 8;
/// Waiting for a source further away than this to let go would cost more than a chunk that comes twice.
/// Near ones may seem as far as 45 ms while their uplinks are full.
const FAR: Duration = Duration::from_millis(75);

/// A chunk that one source takes over from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Takeover {
    pub(super) from: SourceId,
    pub(super) chunk: Chunk,
    /// It is asked for before the other has let go.
    pub(super) at_once: bool,
}

/// The chunk that would come latest from another source, if `id` would have it much sooner.
///
/// A chunk that has not begun is cancelled first and asked for when the other source has let go of
/// it, so it never comes twice. One that has begun comes twice, so much more must be gained by it.
/// Of a far source letting go takes so long that it, too, is asked for at once. So are the last chunks:
/// a source lets go when it has sent what it had begun.
pub(super) fn takeover(chunks: &Chunks, sources: &Sources, id: SourceId, now: Instant) -> Option<Takeover> {
    let nearly_done = chunks.are_nearly_done(sources.len());
    let (from, owed) = worst_off(chunks, sources, id, nearly_done, now)?;
    let far = sources.get(from).is_some_and(|source| source.round_trip() > FAR);
    Some(Takeover { from, chunk: owed.chunk, at_once: owed.begun || far || nearly_done })
}

/// The chunks of a silent source that others could send, and do not yet.
pub(super) fn given_up(chunks: &Chunks, sources: &Sources, id: SourceId) -> Vec<Chunk> {
    let asked = sources.get(id).into_iter().flat_map(Source::asked_chunks);
    asked.filter(|chunk| chunks.owing(*chunk).len() == 1 && sources.held_elsewhere(id, *chunk)).collect()
}

/// The chunk owed by another source that `id` would have sooner by the most, if by enough.
fn worst_off(
    chunks: &Chunks,
    sources: &Sources,
    id: SourceId,
    nearly_done: bool,
    now: Instant,
) -> Option<(SourceId, Owed)> {
    let thief = sources.get(id)?;
    let (may_steal, fresh) = (thief.may_steal(now), thief.has_just_come(now));
    let mut worst: Option<(Duration, SourceId, Owed)> = None;
    for (victim_id, victim) in sources.others(id) {
        let new = victim.is_new() && victim.speed().is_some() && thief.speed().is_some();
        for owed in victim.owed(now).filter(|_| new || may_steal) {
            let moved = if fresh { 0 } else { chunks.moved(owed.chunk) };
            let (factor, least) = threshold(owed.begun, new, nearly_done, moved);
            let gain = owed.due.saturating_sub(thief.expected(owed.bytes).mul_f64(factor));
            let better = gain > least && worst.as_ref().is_none_or(|(most, ..)| gain > *most);
            if better && thief.have.contains(owed.chunk) && may_be_copied(chunks, &owed, new, id) {
                worst = Some((gain, victim_id, owed));
            }
        }
    }
    worst.map(|(_, victim, owed)| (victim, owed))
}

/// How many times faster a takeover must be, and by how much more than that: of a chunk that has `begun`, from a
/// source that is `new`, and so often `moved` before.
fn threshold(begun: bool, new: bool, nearly_done: bool, moved: i32) -> (f64, Duration) {
    match (begun, new) {
        (true, _) if nearly_done => (f64::from(STEAL_FACTOR), STEAL_GAIN),
        (false, false) if nearly_done => (LAST_FACTOR, LAST_GAIN),
        (true, _) => (f64::from(STEAL_FACTOR * BEGUN_FACTOR), STEAL_GAIN * BEGUN_FACTOR),
        (false, true) => (LEAVE_NEW_FACTOR * MOVED_FACTOR.powi(moved.min(MOST_MOVED)), LEAVE_NEW_GAIN),
        (false, false) => (f64::from(STEAL_FACTOR), STEAL_GAIN),
    }
}

/// Not more than two copies of a chunk may be on their way. One that has been cancelled before it began
/// counts as long as it takes, but for a source that has delivered nothing: there it waits for its turn.
fn may_be_copied(chunks: &Chunks, owed: &Owed, new: bool, thief: SourceId) -> bool {
    let owing = chunks.owing(owed.chunk);
    let free = !owing.is_empty() && !owing.contains(&thief);
    free && ((new && !owed.begun) || owing.len() < MAX_COPIES_IN_FLIGHT)
}

#[cfg(test)]
mod tests;
