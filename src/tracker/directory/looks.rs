//! Whom to look at: a peer that others call dead is dialled back, within a budget.
//!
//! Owns where a look goes: the address that the registration came from and nowhere else, so that nobody can have
//! a stranger dialled.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::peer::{Peer, Sender};

/// Most peers looked at in a second.
const MAX_LOOKS_A_SECOND: u32 = 16;

/// A peer to be dialled back: at the address that its registration came from and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The registration that is doubted.
    pub of: Sender,
    /// Where the peer should answer.
    pub addr: SocketAddr,
}

/// How many looks this second has seen.
#[derive(Debug, Default)]
pub(super) struct Looks {
    since: Option<Instant>,
    spent: u32,
}

impl Looks {
    /// The look at this peer that is due, if it can be dialled and afforded.
    pub(super) fn at(&mut self, peer: &mut Peer, now: Instant) -> Option<Look> {
        let addr = peer.profile.listens.seen(peer.profile.from)?.socket();
        if !peer.doubt.is_due_for_a_look(now) || !self.afford(now) {
            return None;
        }
        peer.doubt.look_begins(now);
        let of = Sender { connection: peer.connection, peer: peer.id? };
        Some(Look { of, addr })
    }

    fn afford(&mut self, now: Instant) -> bool {
        let over = |since| now.saturating_duration_since(since) >= Duration::from_secs(1);
        if self.since.is_none_or(over) {
            (self.since, self.spent) = (Some(now), 0);
        }
        let affordable = self.spent < MAX_LOOKS_A_SECOND;
        self.spent += u32::from(affordable);
        affordable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_have_a_budget() {
        let start = Instant::now();
        let mut looks = Looks::default();
        let mut affordable = |now| (0..99).filter(|_| looks.afford(now)).count();
        assert_eq!(affordable(start), MAX_LOOKS_A_SECOND as usize);
        assert_eq!(affordable(start + Duration::from_millis(999)), 0);
        assert_eq!(affordable(start + Duration::from_secs(1)), MAX_LOOKS_A_SECOND as usize);
    }
}
