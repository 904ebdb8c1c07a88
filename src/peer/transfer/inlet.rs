//! What may be asked for at a time: the rate that people set for one fetch, or for all of a peer, and whether it is held.
//!
//! The rate is kept where chunks are asked for. Who reads slower instead lets sources wait with what they have sent, and
//! they look slow: then others are asked for the same.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::content::Rate;
use crate::swarm::throttle::Throttle;
use crate::threads::lock;

/// Requests may run ahead of the rate by what it gives in this time: some turns of the driver, so that nothing of it is
/// lost where the machine is busy.
const AHEAD: Duration = Duration::from_millis(200);

/// How much may come in.
#[derive(Debug, Default)]
pub(in crate::peer) struct Inlet(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The limit, and how far it is used.
    rate: Option<(Rate, Throttle)>,
    /// Nothing more is asked for.
    held: bool,
}

impl Inlet {
    /// One through which bytes may come no faster than this, if there is a limit.
    pub(in crate::peer) fn new(rate: Option<Rate>) -> Inlet {
        let inlet = Inlet::default();
        inlet.set_rate(rate);
        inlet
    }

    /// From now on this is the limit; none: there is none.
    pub(in crate::peer) fn set_rate(&self, rate: Option<Rate>) {
        let throttle = |rate| (rate, Throttle::ahead(rate, AHEAD, Instant::now()));
        lock(&self.0).rate = rate.map(throttle);
    }

    /// The limit, if there is one.
    pub(in crate::peer) fn rate(&self) -> Option<Rate> {
        lock(&self.0).rate.as_ref().map(|(rate, _)| *rate)
    }

    /// Whether nothing more is to be asked for.
    pub(in crate::peer) fn hold(&self, held: bool) {
        lock(&self.0).held = held;
    }

    pub(in crate::peer) fn is_held(&self) -> bool {
        lock(&self.0).held
    }

    /// Bytes that may be asked for now; none: as many as one likes.
    pub(super) fn room(&self, now: Instant) -> Option<i64> {
        let mut state = lock(&self.0);
        if state.held {
            return Some(i64::MIN); // whatever will not come
        }
        state.rate.as_mut().map(|(_, throttle)| throttle.credit(now))
    }

    /// So many bytes were asked for, or, if less than none, will not come.
    pub(super) fn spend(&self, bytes: i64, now: Instant) {
        if let Some((_, throttle)) = &mut lock(&self.0).rate {
            throttle.spend(bytes, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_what_was_said_last_and_what_is_held_is_held() {
        let (inlet, now) = (Inlet::new(None), Instant::now());
        assert_eq!((inlet.rate(), inlet.room(now)), (None, None));
        inlet.spend(1 << 40, now);
        inlet.set_rate(Rate::new(1000));
        let later = now + Duration::from_secs(60);
        assert_eq!((inlet.rate(), inlet.room(later)), (Rate::new(1000), Some(200)));
        inlet.spend(300, later);
        assert_eq!(inlet.room(later), Some(-100));
        inlet.spend(-20, later);
        assert_eq!(inlet.room(later + Duration::from_millis(100)), Some(20));
        inlet.hold(true);
        assert_eq!((inlet.is_held(), inlet.room(later)), (true, Some(i64::MIN)));
        inlet.hold(false);
        inlet.set_rate(None);
        assert_eq!((inlet.is_held(), inlet.room(later)), (false, None));
    }
}
