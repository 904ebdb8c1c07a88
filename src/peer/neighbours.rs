//! Whom a transfer is connected to: candidates, dials, back-off, and the exchange of useless ones. Pure.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::content::PeerId;

/// First and longest pause before a peer that failed is dialled again.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// A peer that sent wrong bytes or broke the protocol is left alone this long.
const BAN: Duration = Duration::from_secs(300);
/// Most candidates remembered.
const MAX_CANDIDATES: usize = 256;
/// Connections to the only peer known to have the content: one thread each side hashes and writes, so a
/// second one puts a second core to work.
const LONE_CONNECTIONS: u32 = 2;

/// First pause before the tracker is asked again while there are too few sources.
pub(crate) const FIRST_RELOCATE: Duration = Duration::from_millis(250);
/// With fewer sources than this the tracker is asked again early.
pub(crate) const FEW_SOURCES: usize = 4;
/// How often chunks gained are told to the trackers.
pub(crate) const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(1);
/// A neighbour that has nothing useful for this long is exchanged, if there are others.
pub(crate) const USELESS_FOR: Duration = Duration::from_secs(5);

/// How a connection to a neighbour ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The network or the other side's end; try again later.
    Failed,
    /// It was closed because it was of no use now.
    Useless,
    /// It broke the protocol or sent wrong bytes.
    Banned,
}

#[derive(Debug)]
struct Candidate {
    addr: String,
    connections: u32,
    failures: u32,
    not_before: Option<Instant>,
}

/// The neighbours of one transfer.
#[derive(Debug)]
pub(crate) struct Neighbours {
    candidates: BTreeMap<PeerId, Candidate>,
    max: usize,
    rng: fastrand::Rng,
}

impl Neighbours {
    pub(crate) fn new(max: usize, seed: u64) -> Neighbours {
        Neighbours { candidates: BTreeMap::new(), max, rng: fastrand::Rng::with_seed(seed) }
    }

    /// Somebody has, or wants, the content.
    pub(crate) fn suggest(&mut self, peer: PeerId, addr: String) {
        if let Some(candidate) = self.candidates.get_mut(&peer) {
            candidate.addr = addr;
        } else if self.candidates.len() < MAX_CANDIDATES {
            self.candidates.insert(peer, Candidate { addr, connections: 0, failures: 0, not_before: None });
        }
    }

    /// Connections that exist or are being made.
    pub(crate) fn connections(&self) -> usize {
        self.candidates.values().map(|candidate| candidate.connections as usize).sum()
    }

    /// Peers that could be dialled now and are not connected.
    pub(crate) fn spare(&self, now: Instant) -> usize {
        self.candidates
            .values()
            .filter(|candidate| candidate.connections == 0 && ready(candidate, now))
            .count()
    }

    /// Whom to dial now. Each is counted as connected until [`Neighbours::ended`].
    #[must_use]
    pub(crate) fn dial(&mut self, now: Instant) -> Vec<(PeerId, String)> {
        let room = self.max.saturating_sub(self.connections());
        let mut ready: Vec<PeerId> = self
            .candidates
            .iter()
            .filter(|(_, candidate)| candidate.connections == 0 && ready(candidate, now))
            .map(|(peer, _)| *peer)
            .collect();
        self.rng.shuffle(&mut ready);
        ready.truncate(room);
        let lone = self.candidates.len() == 1;
        let mut out = Vec::new();
        for peer in ready {
            let Some(candidate) = self.candidates.get_mut(&peer) else { continue };
            let connections = if lone { LONE_CONNECTIONS } else { 1 };
            candidate.connections += connections;
            out.extend((0..connections).map(|_| (peer, candidate.addr.clone())));
        }
        out
    }

    /// A connection that [`Neighbours::dial`] asked for has ended.
    pub(crate) fn ended(&mut self, peer: PeerId, outcome: Outcome, now: Instant) {
        let Some(candidate) = self.candidates.get_mut(&peer) else { return };
        candidate.connections = candidate.connections.saturating_sub(1);
        let pause = match outcome {
            Outcome::Banned => BAN,
            Outcome::Useless => LONGEST_PAUSE,
            Outcome::Failed => {
                candidate.failures += 1;
                let doubled = FIRST_PAUSE * 2_u32.saturating_pow(candidate.failures - 1).min(1 << 10);
                doubled.min(LONGEST_PAUSE).mul_f64(0.5 + self.rng.f64() / 2.0)
            }
        };
        candidate.not_before = Some(now + pause);
    }

    /// The connection to a peer works: its failures are forgotten.
    pub(crate) fn works(&mut self, peer: PeerId) {
        if let Some(candidate) = self.candidates.get_mut(&peer) {
            candidate.failures = 0;
        }
    }
}

fn ready(candidate: &Candidate, now: Instant) -> bool {
    candidate.not_before.is_none_or(|at| now >= at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8) -> PeerId {
        PeerId([number; 16])
    }

    #[test]
    fn dials_up_to_its_degree_and_backs_off() {
        let now = Instant::now();
        let mut neighbours = Neighbours::new(2, 1);
        for number in 1..=3 {
            neighbours.suggest(peer(number), format!("h:{number}"));
        }
        let first = neighbours.dial(now);
        assert_eq!(first.len(), 2);
        assert_eq!(neighbours.dial(now), []);
        neighbours.ended(first[0].0, Outcome::Failed, now);
        let second = neighbours.dial(now);
        assert_eq!(second.len(), 1);
        assert_ne!(second[0].0, first[0].0, "the one that failed waits");
        neighbours.ended(second[0].0, Outcome::Banned, now);
        let third = neighbours.dial(now + FIRST_PAUSE);
        assert_eq!(third.len(), 1);
        assert_eq!(third[0].0, first[0].0);
    }

    #[test]
    fn the_only_holder_gets_two_connections() {
        let mut neighbours = Neighbours::new(8, 1);
        neighbours.suggest(peer(1), "h:1".into());
        assert_eq!(neighbours.dial(Instant::now()).len(), 2);
    }
}
