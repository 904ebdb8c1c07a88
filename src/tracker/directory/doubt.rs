//! What others say of a peer, and what the tracker sees of it itself.
//!
//! Owns the rule that hearsay only reorders: whatever is reported, a living peer stays in every answer, and
//! what it registered stays as it registered it. Reports ask for a look; a peer's own word, or an
//! answered look, takes all of them back.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::{Denial, Directory, Peer, Sender};
use crate::content::{FileId, PeerId};
use crate::wire::Complaint;

/// How long a complaint about a peer counts.
const SUSPICION: Duration = Duration::from_secs(60);
/// How long a peer that answered a look is believed to be there, whatever is said.
const VOUCHED: Duration = Duration::from_secs(60);
/// Networks that must call a peer dead before one that shows life comes last.
const DEAD_VOICES: usize = 2;
/// Most voices remembered of one kind about one peer.
const MAX_VOICES: usize = 8;
/// Most chunks that one peer missed elsewhere that are remembered for its next questions.
const MAX_MISSED: usize = 64;
/// A peer is looked at no more often than this.
const LOOK_EVERY: Duration = Duration::from_secs(10);
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

/// Complaints of one kind about one peer: one voice for each network, for a while.
#[derive(Debug, Default)]
pub(super) struct Voices(Vec<(IpAddr, Instant)>);

impl Voices {
    fn add(&mut self, from: IpAddr, now: Instant) {
        let from = network_of(from);
        self.0.retain(|(by, at)| *by != from && counts(*at, now));
        if self.0.len() < MAX_VOICES {
            self.0.push((from, now));
        }
    }

    /// Networks that complain.
    pub(super) fn count(&self, now: Instant) -> usize {
        self.0.iter().filter(|(_, at)| counts(*at, now)).count()
    }
}

fn counts(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < SUSPICION
}

/// Who has one address of IPv6 has its network of 2^64 as a rule.
fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// What is said of one peer.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    dead: Voices,
    corrupt: Voices,
    suspect_until: Option<Instant>,
    vouched_until: Option<Instant>,
    looked: Option<Instant>,
}

impl Doubt {
    /// True while others are named first.
    pub(super) fn is_suspect(&self, now: Instant) -> bool {
        self.suspect_until.is_some_and(|until| now < until)
    }

    /// Networks that were sent wrong bytes.
    pub(super) fn corrupt(&self, now: Instant) -> usize {
        self.corrupt.count(now)
    }

    /// The peer shows life.
    pub(super) fn shows_life(&mut self) {
        self.dead.0.clear();
        self.suspect_until = None;
    }

    /// The peer says anew what it has.
    pub(super) fn states_anew(&mut self) {
        self.shows_life();
        self.corrupt.0.clear();
    }

    fn accuse_dead(&mut self, by: IpAddr, silent: bool, now: Instant) {
        if self.vouched_until.is_some_and(|until| now < until) {
            return;
        }
        self.dead.add(by, now);
        if silent || self.dead.count(now) >= DEAD_VOICES {
            self.suspect_until = Some(now + SUSPICION);
        }
    }

    fn is_due_for_a_look(&self, now: Instant) -> bool {
        let vouched = self.vouched_until.is_some_and(|until| now < until);
        let lately = self.looked.is_some_and(|at| now.saturating_duration_since(at) < LOOK_EVERY);
        !vouched && !lately
    }
}

/// A holder that refused a peer what it had announced: for that peer others come first, until the holder
/// says anew what it has.
#[derive(Debug)]
pub(super) struct Missed {
    holder: PeerId,
    id: FileId,
    at: Instant,
}

/// How many looks this second has seen.
#[derive(Debug, Default)]
pub(super) struct LookBudget {
    since: Option<Instant>,
    spent: u32,
}

impl LookBudget {
    fn take(&mut self, now: Instant) -> bool {
        let over = |since| now.saturating_duration_since(since) >= Duration::from_secs(1);
        if self.since.is_none_or(over) {
            (self.since, self.spent) = (Some(now), 0);
        }
        let affordable = self.spent < MAX_LOOKS_A_SECOND;
        self.spent += u32::from(affordable);
        affordable
    }
}

impl Directory {
    /// Notes a complaint about `accused`, and says whom to look at; what is not known here is passed over.
    ///
    /// # Errors
    /// [`Denial::NotRegistered`].
    pub fn report(
        &mut self,
        sender: Sender,
        accused: PeerId,
        complaint: Complaint,
        about: (FileId, u32),
        now: Instant,
    ) -> Result<Option<Look>, Denial> {
        let reporter = self.registered(sender)?;
        let Some(number) = self.by_id.get(&accused).copied().filter(|number| *number != reporter) else {
            return Ok(None);
        };
        let by = self.peers[reporter].profile.from;
        match complaint {
            Complaint::Dead => {
                let silent = self.peers[number].is_silent(self.lease / 2, now);
                self.peers[number].doubt.accuse_dead(by, silent, now);
                return Ok(self.look_at(number, now));
            }
            Complaint::Missing => self.note_missed(reporter, accused, about.0, now),
            Complaint::Corrupt => self.peers[number].doubt.corrupt.add(by, now),
        }
        Ok(None)
    }

    /// A look has come to an end: the peer answered at its address, as itself, or it did not.
    pub fn looked(&mut self, look: &Look, answered: bool, now: Instant) {
        let Ok(number) = self.registered(look.of) else { return };
        let doubt = &mut self.peers[number].doubt;
        match answered {
            true => {
                doubt.shows_life();
                doubt.vouched_until = Some(now + VOUCHED);
            }
            false => doubt.suspect_until = Some(now + SUSPICION),
        }
    }

    fn look_at(&mut self, number: u32, now: Instant) -> Option<Look> {
        let peer = &mut self.peers[number];
        let dialable = peer.profile.port != 0 && !peer.profile.from.is_unspecified();
        if !dialable || !peer.doubt.is_due_for_a_look(now) || !self.looks.take(now) {
            return None;
        }
        peer.doubt.looked = Some(now);
        let of = Sender { connection: peer.connection, peer: peer.id? };
        Some(Look { of, addr: SocketAddr::new(peer.profile.from, peer.profile.port) })
    }

    fn note_missed(&mut self, reporter: u32, holder: PeerId, id: FileId, now: Instant) {
        let missed = &mut self.peers[reporter].missed;
        missed.retain(|other| (other.holder, other.id) != (holder, id));
        if missed.len() >= MAX_MISSED {
            missed.remove(0);
        }
        missed.push(Missed { holder, id, at: now });
    }

    /// Holders of `id` that refused `asker` what they had announced, and have said nothing new since.
    pub(super) fn missed_by(&self, asker: PeerId, id: &FileId) -> Vec<u32> {
        let Some(asker) = self.by_id.get(&asker) else { return Vec::new() };
        let of_id = self.peers[*asker].missed.iter().filter(|missed| missed.id == *id);
        let holders = of_id.filter_map(|missed| Some((*self.by_id.get(&missed.holder)?, missed.at)));
        let still = |number: u32, at: Instant| self.peers[number].stated.is_none_or(|stated| stated <= at);
        holders.filter(|(number, at)| still(*number, *at)).map(|(number, _)| number).collect()
    }
}

impl Peer {
    fn is_silent(&self, patience: Duration, now: Instant) -> bool {
        self.seen.is_some_and(|seen| now.saturating_duration_since(seen) >= patience)
    }
}

#[cfg(test)]
mod tests;
