//! What others say of a peer, and what the tracker sees of it itself.
//!
//! Owns the rule that hearsay only reorders: whatever is reported, a living peer stays in every answer, and
//! what it registered stays as it registered it. Reports ask for a look; a peer's own word, or an
//! answered look, takes all of them back.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::content::{FileId, Network, PeerId};

/// How long a complaint about a peer counts.
pub(super) const SUSPICION: Duration = Duration::from_secs(60);
/// How long a peer that answered a look is believed to be there, whatever is said.
pub(super) const VOUCHED: Duration = Duration::from_secs(60);
/// Networks that must call a peer dead before one that shows life comes last.
const DEAD_VOICES: usize = 2;
/// Most voices remembered of one kind about one peer.
const MAX_VOICES: usize = 8;
/// Most chunks that one peer missed elsewhere that are remembered for its next questions.
const MAX_MISSED: usize = 64;
/// A peer is looked at no more often than this.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Complaints of one kind about one peer: one voice for each network, for a while.
#[derive(Debug, Default)]
struct Voices(Vec<(Network, Instant)>);

impl Voices {
    fn add(&mut self, from: IpAddr, now: Instant) {
        let from = Network::of(from);
        self.0.retain(|(by, at)| *by != from && counts(*at, now));
        if self.0.len() < MAX_VOICES {
            self.0.push((from, now));
        }
    }

    /// Networks that complain.
    fn count(&self, now: Instant) -> usize {
        self.0.iter().filter(|(_, at)| counts(*at, now)).count()
    }
}

fn counts(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < SUSPICION
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

    /// Somebody says that the peer, which has been `silent` for long or not, is dead.
    pub(super) fn accuse_dead(&mut self, by: IpAddr, silent: bool, now: Instant) {
        if self.is_vouched_for(now) {
            return;
        }
        self.dead.add(by, now);
        if silent || self.dead.count(now) >= DEAD_VOICES {
            self.suspect_until = Some(now + SUSPICION);
        }
    }

    /// Somebody says that the peer sent wrong bytes.
    pub(super) fn accuse_corrupt(&mut self, by: IpAddr, now: Instant) {
        self.corrupt.add(by, now);
    }

    fn is_vouched_for(&self, now: Instant) -> bool {
        self.vouched_until.is_some_and(|until| now < until)
    }

    /// True if a look would tell something new.
    pub(super) fn is_due_for_a_look(&self, now: Instant) -> bool {
        let lately = self.looked.is_some_and(|at| now.saturating_duration_since(at) < LOOK_EVERY);
        !self.is_vouched_for(now) && !lately
    }

    /// Somebody goes to look.
    pub(super) fn look_begins(&mut self, now: Instant) {
        self.looked = Some(now);
    }

    /// A look has come to an end.
    pub(super) fn looked(&mut self, answered: bool, now: Instant) {
        if answered {
            self.shows_life();
            self.vouched_until = Some(now + VOUCHED);
        } else {
            self.suspect_until = Some(now + SUSPICION);
        }
    }
}

/// What holders refused a peer though they had announced it: for that peer others come first, until the holder
/// says anew what it has.
#[derive(Debug, Default)]
pub(super) struct Missed(Vec<Refused>);

#[derive(Debug)]
struct Refused {
    holder: PeerId,
    id: FileId,
    at: Instant,
}

impl Missed {
    /// A holder refused something of a content.
    pub(super) fn note(&mut self, holder: PeerId, id: FileId, now: Instant) {
        self.0.retain(|other| (other.holder, other.id) != (holder, id));
        if self.0.len() >= MAX_MISSED {
            self.0.remove(0);
        }
        self.0.push(Refused { holder, id, at: now });
    }

    /// Who refused something of this content, and when.
    pub(super) fn of<'a>(&'a self, id: &FileId) -> impl Iterator<Item = (PeerId, Instant)> + use<'a> {
        let id = *id;
        self.0.iter().filter(move |refused| refused.id == id).map(|refused| (refused.holder, refused.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voices_are_counted_by_network_and_bounded() {
        let now = Instant::now();
        let mut voices = Voices::default();
        for host in 0..100 {
            voices.add(format!("2001:db8::{host}").parse().unwrap(), now);
        }
        assert_eq!(voices.count(now), 1);
        for host in 0..100 {
            voices.add([10, 0, 0, host].into(), now);
        }
        assert_eq!(voices.count(now), MAX_VOICES);
        assert_eq!(voices.count(now + SUSPICION), 0);
    }

    #[test]
    fn the_oldest_that_was_missed_is_forgotten_first() {
        let start = Instant::now();
        let mut missed = Missed::default();
        let holder = |number: usize| PeerId([number as u8; 16]);
        let (id, other) = (FileId([1; 32]), FileId([2; 32]));
        missed.note(holder(200), other, start);
        (0..MAX_MISSED).for_each(|number| missed.note(holder(number), id, start));
        assert_eq!(missed.of(&other).count(), 0);
        missed.note(holder(0), id, start + SUSPICION);
        let all: Vec<_> = missed.of(&id).collect();
        assert_eq!(all.len(), MAX_MISSED);
        assert_eq!(all.last(), Some(&(holder(0), start + SUSPICION)), "noted anew, not twice");
    }
}
