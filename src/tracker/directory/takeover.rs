//! The same peer id on two connections: who lives keeps its registration.
//!
//! A second connection is as a rule the same peer, come back before the end of its first connection was
//! noticed; or somebody else with a copy of its id. The first one is asked, by PING: if it is silent, the
//! newcomer's next REGISTER takes over.

use std::time::{Duration, Instant};

/// A registration whose connection has not said a word for so long after a PING is taken over.
const TAKEOVER_PATIENCE: Duration = Duration::from_millis(1200);

/// Why a REGISTER does not take over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contested {
    /// The older connection, if it is to be asked whether it lives.
    pub ping: Option<u64>,
}

/// The claim of other connections to a registration.
#[derive(Debug, Default)]
pub(super) struct Takeover {
    /// When its holder was last asked whether it lives.
    pinged: Option<Instant>,
}

impl Takeover {
    /// Another connection wants the registration; whoever holds it, on `connection`, was last `seen` then.
    pub(super) fn contest(&mut self, connection: u64, seen: Instant, now: Instant) -> Result<(), Contested> {
        match self.pinged.filter(|pinged| seen <= *pinged) {
            Some(pinged) if now.saturating_duration_since(pinged) >= TAKEOVER_PATIENCE => Ok(()),
            Some(_) => Err(Contested { ping: None }),
            None => {
                self.pinged = Some(now);
                Err(Contested { ping: Some(connection) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(1);
    const OLDER: u64 = 7;

    /// Contested, and pinged, at the moment that is returned; last seen a moment before.
    fn contested() -> (Takeover, Instant, Instant) {
        let seen = Instant::now();
        let mut takeover = Takeover::default();
        let first = takeover.contest(OLDER, seen, seen + SOON);
        assert_eq!(first, Err(Contested { ping: Some(OLDER) }));
        (takeover, seen, seen + SOON)
    }

    #[test]
    fn who_answers_keeps_its_registration() {
        let (mut takeover, _, pinged) = contested();
        let answered = pinged + SOON;
        let later = pinged + TAKEOVER_PATIENCE * 2;
        assert_eq!(takeover.contest(OLDER, answered, later), Err(Contested { ping: Some(OLDER) }), "anew");
        let again = takeover.contest(OLDER, answered, later + SOON);
        assert_eq!(again, Err(Contested { ping: None }), "its time runs from the last PING on");
    }

    #[test]
    fn who_is_silent_is_taken_over_after_a_moment() {
        let (mut takeover, seen, pinged) = contested();
        let early = pinged + TAKEOVER_PATIENCE - SOON;
        assert_eq!(takeover.contest(OLDER, seen, early), Err(Contested { ping: None }), "asked once");
        let late = pinged + TAKEOVER_PATIENCE;
        assert_eq!(takeover.contest(OLDER, pinged, late), Ok(()), "what came with the PING is no answer");
    }
}
