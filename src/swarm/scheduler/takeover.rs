//! When a chunk that was asked of one source is to come from another after all. Pure.

use std::time::{Duration, Instant};

use super::Scheduler;
use super::event::{Effect, Policy, SourceId};
use super::source::Owed;

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

impl Scheduler {
    /// Opens the chunks that a stalled source owes; its own answer still counts if it comes first.
    pub(super) fn give_to_others(&mut self, id: SourceId, out: &mut Vec<Effect>) {
        let owed: Vec<u32> =
            self.sources.get(&id).map(|source| source.asked_chunks().collect()).unwrap_or_default();
        for chunk in owed {
            if self.in_flight.get(&chunk).is_some_and(|holders| holders.len() == 1)
                && self.held_elsewhere(id, chunk)
            {
                out.push(Effect::Cancel(id, chunk));
                self.settle(id, chunk);
            }
        }
    }

    fn held_elsewhere(&self, id: SourceId, chunk: u32) -> bool {
        self.sources
            .iter()
            .any(|(other, source)| *other != id && !source.stalled && source.have.contains(chunk))
    }

    /// Takes over the chunk that would come latest from another source, if `id` is much faster. True if
    /// it has been asked for.
    ///
    /// A chunk that has not begun is cancelled first and asked for when the other source has let go of
    /// it, so it never comes twice. One that has begun comes twice, so much more must be gained by it.
    /// Of a far source letting go takes so long that it, too, is asked for at once. So are the last chunks:
    /// a source lets go when it has sent what it had begun.
    pub(super) fn steal(&mut self, id: SourceId, now: Instant, out: &mut Vec<Effect>) -> bool {
        let Some((victim, owed)) = self.worst_off(id, now) else { return false };
        let nearly_done = self.is_nearly_done();
        out.push(Effect::Cancel(victim, owed.chunk));
        let Some(source) = self.sources.get_mut(&victim) else { return false };
        source.cancelled(owed.chunk);
        *self.moved.entry(owed.chunk).or_default() += 1;
        let at_once = owed.begun || source.round_trip > FAR || nearly_done;
        if let Some(thief) = self.sources.get_mut(&id) {
            thief.has_stolen(now);
        }
        if at_once {
            self.ask(id, owed.chunk, now, out);
        }
        at_once
    }

    /// The chunk owed by another source that `id` would have sooner by the most, if by enough.
    fn worst_off(&self, id: SourceId, now: Instant) -> Option<(SourceId, Owed)> {
        let thief = self.sources.get(&id).filter(|_| self.limits.policy == Policy::Both)?;
        let nearly_done = self.is_nearly_done();
        let (may_steal, fresh) = (thief.may_steal(now), thief.has_just_come(now));
        let mut worst: Option<(Duration, SourceId, Owed)> = None;
        for (victim_id, victim) in self.sources.iter().filter(|(other, _)| **other != id) {
            let new = victim.is_new() && victim.speed().is_some() && thief.speed().is_some();
            for owed in victim.owed(now).filter(|_| new || may_steal) {
                let (factor, least) = match (owed.begun, new) {
                    (true, _) if nearly_done => (f64::from(STEAL_FACTOR), STEAL_GAIN),
                    (false, false) if nearly_done => (LAST_FACTOR, LAST_GAIN),
                    (true, _) => (f64::from(STEAL_FACTOR * BEGUN_FACTOR), STEAL_GAIN * BEGUN_FACTOR),
                    (false, true) => {
                        let moved = self.moved.get(&owed.chunk).filter(|_| !fresh).copied().unwrap_or(0);
                        (LEAVE_NEW_FACTOR * MOVED_FACTOR.powi(moved.min(MOST_MOVED)), LEAVE_NEW_GAIN)
                    }
                    (false, false) => (f64::from(STEAL_FACTOR), STEAL_GAIN),
                };
                let gain = owed.due.saturating_sub(thief.expected(owed.bytes).mul_f64(factor));
                let better = gain > least && worst.as_ref().is_none_or(|(most, ..)| gain > *most);
                if better && thief.have.contains(owed.chunk) && self.may_be_copied(&owed, new, id) {
                    worst = Some((gain, *victim_id, owed));
                }
            }
        }
        worst.map(|(_, victim, owed)| (victim, owed))
    }

    /// True when there are fewer chunks left than sources to ask for them.
    fn is_nearly_done(&self) -> bool {
        self.open.count() == 0 && self.wanted.count() as usize <= self.sources.len()
    }

    /// Not more than two copies of a chunk may be on their way. One that has been cancelled before it began
    /// counts as long as it takes, but for a source that has delivered nothing: there it waits for its turn.
    fn may_be_copied(&self, owed: &Owed, new: bool, thief: SourceId) -> bool {
        let Some(holders) = self.in_flight.get(&owed.chunk).filter(|holders| !holders.contains(&thief))
        else {
            return false;
        };
        (new && !owed.begun) || holders.len() < MAX_COPIES_IN_FLIGHT
    }
}
