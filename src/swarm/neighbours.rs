//! Whom a transfer is connected to: candidates, dials, back-off, and the exchange of useless ones. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::backoff::Backoff;
use super::dials::FOREIGN;
use super::shunned::Shunned;
use crate::content::PeerId;

/// First and longest pause before a peer that failed is dialled again.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// Longest pause for a peer that does not have it now: what it has may have been touched, and be there again.
const LONGEST_ABSENCE: Duration = Duration::from_secs(2);
/// A peer that sent wrong bytes or broke the protocol is left alone this long.
const BAN: Duration = Duration::from_secs(300);
/// Before who may not be dialled yet is looked at again.
const NOT_YET: Duration = Duration::from_millis(500);
/// Most dials in one second.
const MOST_DIALS: usize = 32;
const DIALS_IN: Duration = Duration::from_secs(1);
/// After the first dial, half of the places are kept for so long for those who come to us.
const KEPT_FREE: Duration = Duration::from_millis(100);
/// A place is kept for so long for who has been dialled and does not answer; then others are tried beside.
const PLACE_PATIENCE: Duration = Duration::from_secs(1);
/// Most candidates remembered, and most of them that are known only from having asked us: what trackers say finds room.
const MAX_CANDIDATES: usize = 256;
const MAX_MUTUAL: usize = MAX_CANDIDATES / 2;
/// Connections to the only peer known to have the content: one thread each side hashes and writes, so a
/// second one puts a second core to work.
const LONE_CONNECTIONS: u32 = 2;

/// How a connection to a neighbour ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The network or the other side's end; try again later.
    Failed,
    /// The other side does not have the content, though somebody said so.
    NotHere,
    /// It was closed because it was of no use now.
    Useless,
    /// It broke the protocol or sent wrong bytes.
    Banned,
    /// It does not speak this protocol.
    Foreign,
    /// It was not dialled: others at its host are to answer first.
    NotYet,
}

#[derive(Debug)]
struct Candidate {
    /// By which it is known here, and where it is dialled first.
    addr: String,
    /// Where else it is said to be.
    others: Vec<String>,
    /// What came of its addresses the last time that none of them led to it.
    unreached: Option<String>,
    connections: u32,
    failures: Backoff,
    not_before: Option<Instant>,
    /// It asks us for the content, too.
    mutual: bool,
    /// A connection was made, and the content opened on it.
    opened: bool,
    dialled: Option<Instant>,
    /// It was dialled long ago and does not answer.
    overdue: bool,
    /// It has everything.
    whole: bool,
    /// Another takes its place.
    closing: bool,
    /// Its last pause is for what it did, and goes with its address.
    is_shunned: bool,
    /// It is known from having dialled this peer: where from is nowhere to dial.
    comes_itself: bool,
}

impl Candidate {
    fn at(addr: String) -> Candidate {
        Candidate {
            addr,
            others: Vec::new(),
            unreached: None,
            connections: 0,
            failures: Backoff::default(),
            not_before: None,
            mutual: false,
            opened: false,
            dialled: None,
            overdue: false,
            whole: false,
            closing: false,
            is_shunned: false,
            comes_itself: false,
        }
    }
}

/// The neighbours of one transfer.
#[derive(Debug)]
pub(crate) struct Neighbours {
    candidates: BTreeMap<PeerId, Candidate>,
    /// The one candidate of each address.
    addresses: BTreeMap<String, PeerId>,
    shunned: Shunned,
    /// The dials of the last second.
    dials: VecDeque<Instant>,
    max: usize,
    rng: fastrand::Rng,
    /// How many peers were ever heard of.
    known: usize,
    /// Newcomers that are to take another's place.
    newcomers: Vec<PeerId>,
    first_dial: Option<Instant>,
}

impl Neighbours {
    pub(crate) fn new(max: usize, seed: u64) -> Neighbours {
        Neighbours {
            candidates: BTreeMap::new(),
            addresses: BTreeMap::new(),
            shunned: Shunned::default(),
            dials: VecDeque::new(),
            max,
            rng: fastrand::Rng::with_seed(seed),
            known: 0,
            newcomers: Vec::new(),
            first_dial: None,
        }
    }

    /// Somebody has, or wants, the content.
    pub(crate) fn suggest(&mut self, peer: PeerId, addr: String) {
        self.learn(peer, addr, false);
    }

    /// A peer has dialled this one, to serve it. False if it has a connection, is left alone, or all places are taken;
    /// else it counts as connected until [`Neighbours::ended`].
    #[must_use]
    pub(crate) fn comes(&mut self, peer: PeerId, addr: &str, now: Instant) -> bool {
        if self.connections() >= self.max {
            return false;
        }
        if !self.candidates.contains_key(&peer) {
            if !self.makes_room(false) {
                return false;
            }
            let candidate = Candidate { comes_itself: true, ..Candidate::at(addr.to_owned()) };
            self.candidates.insert(peer, candidate);
            self.known += 1;
        }
        let Some(candidate) = self.candidates.get_mut(&peer) else { return false };
        if candidate.opened || (candidate.is_shunned && !is_over(candidate, now)) {
            return false;
        }
        candidate.connections += 1;
        candidate.dialled = Some(now);
        true
    }

    /// Somebody who was suggested can be dialled elsewhere, too, those to be tried first in front.
    pub(crate) fn is_also_at(&mut self, peer: PeerId, mut others: Vec<String>) {
        if let Some(candidate) = self.candidates.get_mut(&peer) {
            others.retain(|addr| *addr != candidate.addr && !self.shunned.has(addr));
            candidate.others = others;
        }
    }

    /// Where a peer is to be dialled beside its first address.
    pub(crate) fn others(&self, peer: PeerId) -> &[String] {
        self.candidates.get(&peer).map_or(&[], |candidate| &candidate.others)
    }

    /// None of a peer's addresses led to it, for these reasons.
    pub(crate) fn is_unreached(&mut self, peer: PeerId, why: String) {
        if let Some(candidate) = self.candidates.get_mut(&peer) {
            candidate.unreached = Some(why);
        }
    }

    /// What came of dialling those who were not reached.
    pub(crate) fn unreached(&self) -> Vec<(PeerId, String)> {
        let all = self.candidates.iter();
        all.filter_map(|(peer, candidate)| Some((*peer, candidate.unreached.clone()?))).collect()
    }

    /// Somebody asks us for the content, and so has or will have some of it.
    pub(crate) fn met(&mut self, peer: PeerId, addr: String) {
        self.learn(peer, addr, true);
    }

    /// A newcomer takes the place of another with the chance that makes every peer ever heard of as
    /// likely to be a neighbour as any other. Without that, those who come first know only each other.
    fn learn(&mut self, peer: PeerId, addr: String, mutual: bool) {
        if self.shunned.has(&addr) || !self.moves(peer, &addr, mutual) || !self.makes_room(mutual) {
            return;
        }
        self.addresses.insert(addr.clone(), peer);
        let candidate = Candidate { mutual, ..Candidate::at(addr) };
        self.candidates.insert(peer, candidate);
        self.known += 1;
        if self.connections() >= self.max && self.rng.usize(..self.known) < self.max {
            self.newcomers.push(peer);
        }
    }

    /// Sees to it that a peer and an address are one candidate. True if neither is one yet.
    fn moves(&mut self, peer: PeerId, addr: &str, mutual: bool) -> bool {
        let there = self.addresses.get(addr).copied();
        if let Some(candidate) = self.candidates.get_mut(&peer) {
            candidate.mutual |= mutual;
            if there.is_none() {
                let old = std::mem::replace(&mut candidate.addr, addr.to_owned());
                candidate.comes_itself = false;
                self.addresses.remove(&old);
                self.addresses.insert(addr.to_owned(), peer);
            }
            return false;
        }
        let Some(there) = there else { return true };
        // Two peers at one address: with who is connected it stays, else the last one named has it, and its pauses.
        if self.candidates.get(&there).is_some_and(|other| other.connections == 0)
            && let Some(mut candidate) = self.candidates.remove(&there)
        {
            candidate.mutual |= mutual;
            self.candidates.insert(peer, candidate);
            self.addresses.insert(addr.to_owned(), peer);
        }
        false
    }

    /// Makes room for a candidate: what fails goes, who is to be left alone longest first. False if there is none.
    fn makes_room(&mut self, mutual: bool) -> bool {
        let among = |candidate: &Candidate| !mutual || candidate.mutual;
        let most = if mutual { MAX_MUTUAL } else { MAX_CANDIDATES };
        if self.candidates.values().filter(|it| among(it)).count() < most {
            return self.candidates.len() < MAX_CANDIDATES || self.forgets(|_| true);
        }
        self.forgets(among)
    }

    fn forgets(&mut self, among: impl Fn(&Candidate) -> bool) -> bool {
        let idle = self.candidates.iter().filter(|(_, it)| it.connections == 0 && among(it));
        let failing = idle.filter_map(|(peer, it)| Some((it.not_before?, *peer)));
        let Some((until, peer)) = failing.max() else { return false };
        if let Some(gone) = self.candidates.remove(&peer) {
            self.addresses.remove(&gone.addr);
            if gone.is_shunned {
                self.shunned.add(gone.addr, until);
            }
        }
        true
    }

    /// True if the peer was named as one that has, or wants, the content.
    pub(crate) fn knows(&self, peer: PeerId) -> bool {
        self.candidates.contains_key(&peer)
    }

    /// True if the peer sent wrong bytes or broke the protocol.
    pub(crate) fn is_shunned(&self, peer: PeerId) -> bool {
        self.candidates.get(&peer).is_some_and(|candidate| candidate.is_shunned)
    }

    /// Connections that exist or are being made, without those being closed and those long in the making.
    pub(crate) fn connections(&self) -> usize {
        let staying = self.candidates.values().filter(|candidate| !candidate.closing && !candidate.overdue);
        staying.map(|candidate| candidate.connections as usize).sum()
    }

    /// Peers that could be dialled now and are not connected.
    pub(crate) fn spare(&self, now: Instant) -> usize {
        self.candidates
            .values()
            .filter(|candidate| candidate.connections == 0 && ready(candidate, now))
            .count()
    }

    /// True if somebody who was named may still turn out to have it: is being dialled, or never was.
    pub(crate) fn expects(&self) -> bool {
        let is_awaited = |candidate: &Candidate| candidate.connections > 0 || candidate.dialled.is_none();
        self.candidates.values().any(|one| !one.opened && !one.overdue && is_awaited(one))
    }

    /// Where everybody known is dialled.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.candidates.values().map(|candidate| candidate.addr.clone()).collect()
    }

    /// Whom to dial now. Each is counted as connected until [`Neighbours::ended`].
    #[must_use]
    pub(crate) fn dial(&mut self, now: Instant) -> Vec<(PeerId, String)> {
        for candidate in self.candidates.values_mut() {
            let late =
                candidate.dialled.is_some_and(|at| now.saturating_duration_since(at) >= PLACE_PATIENCE);
            candidate.overdue = late && !candidate.opened && candidate.connections > 0;
        }
        self.shunned.turn(now);
        let recent = |at: &Instant| now.saturating_duration_since(*at) < DIALS_IN;
        self.dials.retain(recent);
        let most = MOST_DIALS.saturating_sub(self.dials.len());
        let lone = self.candidates.len() == 1;
        let mut chosen = self.choose_for_places(now);
        chosen.truncate(most);
        chosen.extend(self.exchange(most - chosen.len()));
        let mut out = Vec::new();
        for peer in chosen {
            let Some(candidate) = self.candidates.get_mut(&peer) else { continue };
            let connections = if lone { LONE_CONNECTIONS } else { 1 };
            candidate.connections += connections;
            candidate.dialled = Some(now);
            let addresses = connections as usize * (1 + candidate.others.len());
            self.dials.extend(std::iter::repeat_n(now, addresses));
            out.extend((0..connections).map(|_| (peer, candidate.addr.clone())));
        }
        out
    }

    /// Peers for the free places: first those who ask us, because what each side gains then reaches
    /// the other. At first half of the places are kept for such.
    fn choose_for_places(&mut self, now: Instant) -> Vec<PeerId> {
        let room = self.max.saturating_sub(self.connections());
        let mut ready: Vec<PeerId> = self
            .candidates
            .iter()
            .filter(|(_, candidate)| candidate.connections == 0 && ready(candidate, now))
            .map(|(peer, _)| *peer)
            .collect();
        self.rng.shuffle(&mut ready);
        let (mut chosen, mut others): (Vec<_>, Vec<_>) =
            ready.into_iter().partition(|peer| self.candidates[peer].mutual);
        let settled = now.saturating_duration_since(*self.first_dial.get_or_insert(now)) >= KEPT_FREE;
        let most = if settled { self.max } else { self.max.div_ceil(2) };
        let own =
            |candidate: &&Candidate| candidate.connections > 0 && !candidate.mutual && !candidate.overdue;
        others.truncate(most.saturating_sub(self.candidates.values().filter(own).count()));
        chosen.append(&mut others);
        chosen.truncate(room);
        chosen
    }

    /// Up to so many newcomers that take another's place; the other's connection is to be closed.
    fn exchange(&mut self, most: usize) -> Vec<PeerId> {
        let mut chosen = Vec::new();
        for peer in std::mem::take(&mut self.newcomers) {
            let idle = self.candidates.get(&peer).is_some_and(|candidate| candidate.connections == 0);
            if !idle || self.connections() + chosen.len() < self.max || chosen.len() >= most {
                continue; // it finds a free place, or has found one
            }
            // Whole ones stay: what leaves the seeder must reach many at once.
            let may_go = |candidate: &Candidate| candidate.opened && !candidate.closing && !candidate.whole;
            let staying = self.candidates.iter().filter(|(_, candidate)| may_go(candidate));
            let victim = self.rng.choice(staying.map(|(peer, _)| *peer).collect::<Vec<_>>());
            if let Some(victim) = victim.and_then(|victim| self.candidates.get_mut(&victim)) {
                victim.closing = true;
                chosen.push(peer);
            }
        }
        chosen
    }

    /// Peers of whose connections one is to be closed, again and again until it has ended: another
    /// takes the place, or the peer is no longer the only one and needs no second connection.
    #[must_use]
    pub(crate) fn to_close(&self) -> Vec<PeerId> {
        let alone = self.candidates.len() <= 1;
        let surplus = |candidate: &Candidate| candidate.connections > 1 && !alone;
        let closing = self.candidates.iter().filter(|(_, c)| c.closing || surplus(c));
        closing.map(|(peer, _)| *peer).collect()
    }

    /// A connection that [`Neighbours::dial`] asked for has ended.
    pub(crate) fn ended(&mut self, peer: PeerId, outcome: Outcome, now: Instant) {
        let Some(candidate) = self.candidates.get_mut(&peer) else { return };
        candidate.connections = candidate.connections.saturating_sub(1);
        candidate.closing = false;
        candidate.opened &= candidate.connections > 0;
        candidate.is_shunned = matches!(outcome, Outcome::Banned | Outcome::Foreign);
        let pause = match outcome {
            Outcome::Banned => BAN,
            Outcome::Foreign => FOREIGN,
            Outcome::Useless => LONGEST_PAUSE,
            Outcome::NotYet => NOT_YET,
            Outcome::Failed | Outcome::NotHere => {
                let longest = if outcome == Outcome::NotHere { LONGEST_ABSENCE } else { LONGEST_PAUSE };
                candidate.failures.next(FIRST_PAUSE, longest, &mut self.rng)
            }
        };
        candidate.not_before = Some(now + pause);
    }

    /// A peer has everything.
    pub(crate) fn is_whole(&mut self, peer: PeerId) {
        if let Some(candidate) = self.candidates.get_mut(&peer) {
            candidate.whole = true;
        }
    }

    /// The content was opened at a peer, which so keeps its place.
    pub(crate) fn opened(&mut self, peer: PeerId) {
        if let Some(candidate) = self.candidates.get_mut(&peer) {
            candidate.opened = true;
            candidate.overdue = false;
        }
    }

    /// A chunk came from a peer: its failures are forgotten. Opening is no merit: that costs nothing.
    pub(crate) fn gave(&mut self, peer: PeerId) {
        if let Some(candidate) = self.candidates.get_mut(&peer) {
            candidate.failures = Backoff::default();
            candidate.unreached = None;
        }
    }
}

fn ready(candidate: &Candidate, now: Instant) -> bool {
    !candidate.comes_itself && is_over(candidate, now)
}

/// True if its pause is over.
fn is_over(candidate: &Candidate, now: Instant) -> bool {
    candidate.not_before.is_none_or(|at| now >= at)
}

#[cfg(test)]
mod tests;
