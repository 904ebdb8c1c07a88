//! The same peer id on two connections: who lives keeps its registration.
//!
//! A second connection is as a rule the same peer, come back before the end of its first connection was
//! noticed; or somebody else with a copy of its id. The first one is asked, by PING: if it is silent, the
//! newcomer's next REGISTER takes over.

use std::time::{Duration, Instant};

use super::{Directory, Sender};

/// A registration whose connection has not said a word for so long after a PING is taken over.
pub(super) const TAKEOVER_PATIENCE: Duration = Duration::from_millis(1200);

/// Why a REGISTER does not take over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contested {
    /// The older connection, if it is to be asked whether it lives.
    pub ping: Option<u64>,
}

impl Directory {
    /// Whether a registration on another connection stands in the way.
    pub(super) fn contest(&mut self, sender: Sender, now: Instant) -> Result<(), Contested> {
        let Some(number) = self.by_id.get(&sender.peer) else { return Ok(()) };
        let older = &mut self.peers[*number];
        if older.connection == sender.connection {
            return Ok(());
        }
        let unanswered = older.pinged.filter(|pinged| older.seen.is_none_or(|seen| seen <= *pinged));
        match unanswered {
            Some(pinged) if now.saturating_duration_since(pinged) >= TAKEOVER_PATIENCE => Ok(()),
            Some(_) => Err(Contested { ping: None }),
            None => {
                older.pinged = Some(now);
                Err(Contested { ping: Some(older.connection) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::directory::tests::{directory, join, offer, peer};
    use crate::tracker::directory::{Denial, Profile};

    const SOON: Duration = Duration::from_millis(1);

    fn came_again(connection: u64) -> Sender {
        Sender { connection, ..peer(1) }
    }

    fn contested() -> (Directory, Instant) {
        let start = Instant::now();
        let mut directory = directory(start);
        join(&mut directory, peer(1), &[offer("f", 1, 1, true)], start);
        let first = directory.register(came_again(2), Profile::default(), start + SOON);
        assert_eq!(first, Err(Contested { ping: Some(1) }));
        (directory, start + SOON)
    }

    #[test]
    fn who_answers_keeps_its_registration() {
        let (mut directory, pinged) = contested();
        directory.touch(peer(1), pinged + SOON);
        let later = pinged + TAKEOVER_PATIENCE * 2;
        let again = directory.register(came_again(3), Profile::default(), later);
        assert_eq!(again, Err(Contested { ping: Some(1) }), "it is asked anew");
        assert_eq!(directory.heartbeat(peer(1), Default::default(), later), Ok(()));
    }

    #[test]
    fn who_is_silent_is_taken_over_after_a_moment() {
        let (mut directory, pinged) = contested();
        let early = pinged + TAKEOVER_PATIENCE - SOON;
        let refused = directory.register(came_again(3), Profile::default(), early);
        assert_eq!(refused, Err(Contested { ping: None }), "asked once");
        let late = pinged + TAKEOVER_PATIENCE;
        assert_eq!(directory.register(came_again(4), Profile::default(), late), Ok(()));
        assert_eq!(directory.heartbeat(peer(1), Default::default(), late), Err(Denial::NotRegistered));
        assert_eq!(directory.heartbeat(came_again(4), Default::default(), late), Ok(()));
    }

    #[test]
    fn who_left_is_in_nobodys_way_and_nobody_is_in_its_own() {
        let (mut directory, pinged) = contested();
        assert_eq!(directory.register(peer(1), Profile::default(), pinged), Ok(()), "on its own connection");
        directory.leave(peer(1));
        assert_eq!(directory.register(came_again(3), Profile::default(), pinged), Ok(()));
    }
}
