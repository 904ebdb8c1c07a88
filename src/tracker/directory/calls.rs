//! Who is to be called: a peer that somebody wants something of and cannot dial, so that it dials him.
//!
//! Owns how often that happens: whoever can have a peer dial somewhere may mean harm to that.

use std::time::{Duration, Instant};

use crate::content::{FileId, PeerId};

/// Most calls that are kept for one peer, those included that it was told of lately.
const MAX_CALLS: usize = 32;
/// Most of them for one asker.
const MAX_CALLS_OF_ONE: usize = 4;
/// A peer is called by one asker for one content no more often than this.
const CALL_EVERY: Duration = Duration::from_secs(2);
/// A call that a peer has not asked for is of no use any more.
const CALL_PATIENCE: Duration = Duration::from_secs(30);

/// The calls for one peer, and the connection on which it waits for some.
#[derive(Debug, Default)]
pub(super) struct Calls {
    waiting: Option<u64>,
    all: Vec<Call>,
}

#[derive(Debug)]
struct Call {
    by: PeerId,
    id: FileId,
    made: Instant,
    told: bool,
}

impl Calls {
    /// Somebody wants the peer to dial it. Returns the connection to wake, if one waits.
    pub(super) fn add(&mut self, by: PeerId, id: FileId, now: Instant) -> Option<u64> {
        self.all.retain(|call| {
            let age = now.saturating_duration_since(call.made);
            age < if call.told { CALL_EVERY } else { CALL_PATIENCE }
        });
        let known = self.all.iter().any(|call| (call.by, call.id) == (by, id));
        let of_one = self.all.iter().filter(|call| call.by == by).count();
        if known || of_one >= MAX_CALLS_OF_ONE || self.all.len() >= MAX_CALLS {
            return None;
        }
        self.all.push(Call { by, id, made: now, told: false });
        self.waiting.take()
    }

    /// What the peer was not told yet. Without anything it waits on that connection.
    pub(super) fn take(&mut self, connection: u64, now: Instant) -> Vec<(PeerId, FileId)> {
        let mut taken = Vec::new();
        for call in self.all.iter_mut().filter(|call| !call.told) {
            if now.saturating_duration_since(call.made) < CALL_PATIENCE {
                taken.push((call.by, call.id));
            }
            (call.told, call.made) = (true, now);
        }
        self.waiting = taken.is_empty().then_some(connection);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(number: u8) -> PeerId {
        PeerId([number; 16])
    }

    fn what(number: u8) -> FileId {
        FileId([number; 32])
    }

    #[test]
    fn a_call_wakes_who_waits_and_is_told_once() {
        let now = Instant::now();
        let mut calls = Calls::default();
        assert_eq!(calls.add(who(1), what(1), now), None, "nobody waits");
        assert_eq!(calls.take(7, now), [(who(1), what(1))]);
        assert_eq!(calls.take(7, now), []);
        assert_eq!(calls.add(who(2), what(1), now), Some(7));
        assert_eq!(calls.add(who(3), what(1), now), None, "it is awake");
        assert_eq!(calls.take(8, now), [(who(2), what(1)), (who(3), what(1))]);
    }

    #[test]
    fn calls_are_few_and_far_between() {
        let now = Instant::now();
        let mut calls = Calls::default();
        (0..9).for_each(|number| assert!(calls.add(who(1), what(number), now).is_none()));
        assert_eq!(calls.take(7, now).len(), MAX_CALLS_OF_ONE);
        (0..200)
            .for_each(|number| assert!(calls.add(who(number), what(0), now).is_none_or(|woken| woken == 7)));
        assert_eq!(calls.take(7, now).len(), MAX_CALLS - MAX_CALLS_OF_ONE);
        let just_before = now + CALL_EVERY - Duration::from_millis(1);
        assert_eq!(calls.add(who(1), what(0), just_before), None);
        assert_eq!(calls.take(7, just_before), []);
        calls.add(who(1), what(0), now + CALL_EVERY);
        assert_eq!(calls.take(7, now + CALL_EVERY), [(who(1), what(0))], "it is wanted again");
    }

    #[test]
    fn a_call_that_nobody_asks_for_is_forgotten() {
        let now = Instant::now();
        let mut calls = Calls::default();
        calls.add(who(1), what(1), now);
        assert_eq!(calls.take(7, now + CALL_PATIENCE), []);
    }
}
