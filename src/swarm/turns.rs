//! Whose turn it is to send, and for how long. Pure.
//!
//! A few connections send at a time and the others wait their turn: chunks then arrive one after the
//! other at full rate instead of all together late, and can be passed on so much earlier.
//!
//! Turns go round by address, then by peer, then by connection: whoever makes many connections gets no more for it. Nor
//! has an address, or a peer of it, more turns at a time than its share, though a slot stays free: a third of three that
//! send is all that one connection would get beside two of a crowd.
//!
//! Who can wait, as a store that makes another copy of something, begins while nobody else sends or waits, and now and then
//! beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::content::{Network, PeerId, Rate};
use crate::wire::Urgency;

/// Connections that send chunks at the same time.
const SLOTS: usize = 3;
/// No address, no peer of it, and no connection of that waits for more turns than so many times as many addresses as
/// wait, whatever its rank: those of another content may be behind all the time.
const MOST_ROUNDS: u64 = 5;
/// Who can wait has a turn beside others when so many of theirs have ended.
const BACKGROUND_ROUNDS: u64 = 20;
/// A connection that gets less than one part in so many of our uplink, and has for this long, gives up its
/// turn: not our uplink is what is slow, unless that is full.
const TURN_SHARE: u64 = 4;
const TURN_PATIENCE: Duration = Duration::from_millis(20);

/// How long a connection keeps its turn when the socket does not take all at once.
#[derive(Debug)]
pub(crate) struct Hold {
    ends: Instant,
}

impl Hold {
    pub(crate) fn begin(now: Instant) -> Hold {
        Hold { ends: now + TURN_PATIENCE }
    }

    pub(crate) fn ends(&self) -> Instant {
        self.ends
    }

    /// True if its turn is to be given up; not while the uplink is `full`, which says until when.
    pub(crate) fn is_over(&mut self, now: Instant, full: impl FnOnce() -> Option<Instant>) -> bool {
        if now < self.ends {
            return false;
        }
        let until = full();
        self.ends = until.unwrap_or(self.ends);
        until.is_none()
    }

    /// The connection got rid of `bytes`; all connections together can at this rate, if it is known.
    pub(crate) fn sent(&mut self, bytes: u64, rate: Option<Rate>, now: Instant) {
        self.ends = match rate {
            None => now + TURN_PATIENCE,
            Some(rate) => self.ends + rate.time_for(bytes * TURN_SHARE),
        };
    }
}

/// Whose turn comes first: the smallest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    can_wait: bool,
    unspread: u32,
    keeps_up: bool,
}

impl Rank {
    /// Of an asker that wants something so soon; `unspread` if it wants a chunk of our choice:
    /// [`unspread`](super::seed::Seed::unspread), else 0.
    pub(crate) fn new(unspread: u32, urgency: Urgency) -> Rank {
        let can_wait = urgency == Urgency::Background;
        Rank { can_wait, unspread, keeps_up: urgency != Urgency::Behind }
    }
}

/// Where a connection comes from: the address of its network, and its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) network: Network,
    pub(crate) peer: PeerId,
}

/// A connection that waits, and since when: how many turns had ended when it came, and when its network and its peer
/// came or last ended one.
#[derive(Debug)]
struct Waiting<A> {
    asker: A,
    origin: Origin,
    /// As it said when it came.
    can_wait: bool,
    since: u64,
    network_since: u64,
    peer_since: u64,
}

/// A connection that sends.
#[derive(Debug)]
struct Sending<A> {
    asker: A,
    origin: Origin,
    can_wait: bool,
}

/// Who may send, and who waits for it in which order.
#[derive(Debug)]
pub(crate) struct Turns<A> {
    sending: Vec<Sending<A>>,
    /// In the order in which they came.
    waiting: Vec<Waiting<A>>,
    /// How many turns have ended.
    ended: u64,
}

impl<A: PartialEq + Copy> Turns<A> {
    pub(crate) fn new() -> Turns<A> {
        Turns { sending: Vec::new(), waiting: Vec::new(), ended: 0 }
    }

    /// Leave for `asker` to send, or a place in the queue, if it has none; `can_wait` if it has time until nobody else wants a turn.
    pub(crate) fn take(&mut self, asker: A, origin: Origin, can_wait: bool) -> bool {
        if let Some(at) = self.waiting.iter().position(|waiting| waiting.asker == asker) {
            // Who has more time now keeps its place; who has less gets another.
            if can_wait || !self.waiting[at].can_wait {
                return false;
            }
            self.waiting.remove(at);
        }
        let shares = self.shares(Some((origin, can_wait)));
        let may_begin = |origin| self.may_begin(origin, &shares);
        let others = self.waiting.iter().filter(|other| can_wait || !other.can_wait);
        let is_kept_waiting = can_wait && self.somebody_cannot_wait();
        if !is_kept_waiting && may_begin(origin) && !others.map(|other| other.origin).any(may_begin) {
            self.sending.push(Sending { asker, origin, can_wait });
            return true;
        }
        let of_network = self.waiting.iter().find(|other| other.origin.network == origin.network);
        let of_peer = self.waiting.iter().find(|other| other.origin == origin);
        self.waiting.push(Waiting {
            asker,
            origin,
            can_wait,
            since: self.ended,
            network_since: of_network.map_or(self.ended, |other| other.network_since),
            peer_since: of_peer.map_or(self.ended, |other| other.peer_since),
        });
        false
    }

    /// The asker waits no more.
    pub(crate) fn forget(&mut self, asker: &A) {
        self.waiting.retain(|waiting| waiting.asker != *asker);
    }

    /// The turn of `ended`, if it had one, is over: whose turns begin now. Who `may_return` at once keeps its share until it
    /// has come, or nothing is left for it. The network comes first that has fewest turns now; of those the one where
    /// somebody has the smallest rank, and among equals which waits longest; within it a peer in the same way, and of
    /// that a connection.
    pub(crate) fn pass_on(
        &mut self,
        ended: &A,
        may_return: Option<Origin>,
        rank: impl Fn(&A) -> Rank,
    ) -> Vec<A> {
        let mut returns = None;
        if let Some(at) = self.sending.iter().position(|sending| sending.asker == *ended) {
            let Sending { origin, can_wait, .. } = self.sending.swap_remove(at);
            returns = may_return.map(|origin| (origin, can_wait));
            self.ended += 1;
            for waiting in self.waiting.iter_mut().filter(|other| other.origin.network == origin.network) {
                waiting.network_since = self.ended;
                if waiting.origin == origin {
                    waiting.peer_since = self.ended;
                }
            }
        }
        if self.sending.len() == SLOTS || self.waiting.is_empty() {
            return Vec::new();
        }
        let shares = self.shares(returns);
        let is_awaited = returns.is_some_and(|(_, can_wait)| !can_wait);
        let mut begun = Vec::new();
        while let Some(at) = self.first(&shares, is_awaited, &rank) {
            let Waiting { asker, origin, can_wait, .. } = self.waiting.remove(at);
            self.sending.push(Sending { asker, origin, can_wait });
            begun.push(asker);
        }
        begun
    }

    /// Who of those who wait has the next turn, if one is to be had; `is_awaited` if somebody returns at once who cannot wait.
    fn first(&self, shares: &Shares, is_awaited: bool, rank: impl Fn(&A) -> Rank) -> Option<usize> {
        let networks: BTreeSet<_> = self.waiting.iter().map(|waiting| waiting.origin.network).collect();
        let most = networks.len() as u64 * MOST_ROUNDS;
        // Who waits longest may have seen too many turns go to others.
        let ranked = |since, rank| (self.ended - since <= most).then_some(rank);
        let waiting = self.waiting.iter().enumerate();
        let in_front = is_awaited || self.somebody_cannot_wait();
        let waiting = waiting.filter(|(_, waiting)| {
            let is_kept_waiting = in_front && self.ended - waiting.since < BACKGROUND_ROUNDS;
            self.may_begin(waiting.origin, shares) && !(is_kept_waiting && waiting.can_wait)
        });
        let mut left: Vec<_> = waiting.map(|(at, waiting)| (waiting, rank(&waiting.asker), at)).collect();
        let (first, ..) = left.iter().min_by_key(|(waiting, rank, _)| {
            let since = waiting.network_since;
            (self.held(waiting.origin).0, ranked(since, *rank), since)
        })?;
        let network = first.origin.network;
        left.retain(|(waiting, ..)| waiting.origin.network == network);
        let (first, ..) = left.iter().min_by_key(|(waiting, rank, _)| {
            let since = waiting.peer_since;
            (self.held(waiting.origin).1, ranked(since, *rank), since)
        })?;
        let peer = first.origin;
        left.retain(|(waiting, ..)| waiting.origin == peer);
        let first =
            left.iter().min_by_key(|(waiting, rank, _)| (ranked(waiting.since, *rank), waiting.since));
        first.map(|(.., at)| *at)
    }

    /// True if a turn is free for whoever comes.
    pub(crate) fn has_spare(&self) -> bool {
        self.sending.len() < SLOTS && self.waiting.is_empty()
    }

    /// True if a turn is free, and one of this origin has fewer than its share.
    fn may_begin(&self, origin: Origin, shares: &Shares) -> bool {
        let (of_network, of_peer) = self.held(origin);
        let (share, share_of_peer) = shares.of(origin.network);
        self.sending.len() < SLOTS && of_network < share && of_peer < share_of_peer
    }

    /// How many turns the network, and the peer, have now.
    fn held(&self, origin: Origin) -> (usize, usize) {
        let of_network = self.sending.iter().filter(|other| other.origin.network == origin.network);
        let of_peer = self.sending.iter().filter(|other| other.origin == origin);
        (of_network.count(), of_peer.count())
    }

    /// True if somebody sends or waits who has no time.
    fn somebody_cannot_wait(&self) -> bool {
        self.sending.iter().any(|sending| !sending.can_wait)
            || self.waiting.iter().any(|waiting| !waiting.can_wait)
    }

    /// The shares of all who send or wait, and of one more; of those who can wait only if all can.
    fn shares(&self, more: Option<(Origin, bool)>) -> Shares {
        let sending = self.sending.iter().map(|sending| (sending.origin, sending.can_wait));
        let waiting = self.waiting.iter().map(|waiting| (waiting.origin, waiting.can_wait));
        let all: Vec<(Origin, bool)> = sending.chain(waiting).chain(more).collect();
        let all_can_wait = all.iter().all(|(_, can_wait)| *can_wait);
        let counting = all.into_iter().filter(|(_, can_wait)| all_can_wait || !can_wait);
        Shares::among(counting.map(|(origin, _)| origin))
    }
}

/// Those who want turns, and so how many each may have at a time: a slot stays free rather than one has two and another,
/// whose next chunk comes in a moment, one.
struct Shares(BTreeMap<Network, BTreeSet<PeerId>>);

impl Shares {
    fn among(origins: impl Iterator<Item = Origin>) -> Shares {
        let mut peers: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        origins.for_each(|Origin { network, peer }| {
            peers.entry(network).or_default().insert(peer);
        });
        Shares(peers)
    }

    /// Of a network, and of each peer there.
    fn of(&self, network: Network) -> (usize, usize) {
        let part = |whole: usize, among: usize| whole.checked_div(among).unwrap_or(whole).max(1);
        let share = part(SLOTS, self.0.len());
        (share, part(share, self.0.get(&network).map_or(0, BTreeSet::len)))
    }
}

#[cfg(test)]
impl<A> Turns<A> {
    /// True if this one waits because others have less time.
    pub(super) fn is_kept_waiting(&self, asker: &A) -> bool
    where
        A: PartialEq + Copy,
    {
        let waits = |waiting: &Waiting<A>| waiting.asker == *asker && waiting.can_wait;
        self.waiting.iter().any(waits) && self.somebody_cannot_wait()
    }

    /// How many send, and how many wait.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.sending.len(), self.waiting.len())
    }
}

#[cfg(test)]
mod tests;
