//! The desk of a peer that serves: whose turn it is to send, what of a seed is given to whom, how much goes to a socket
//! at a time. Pure.
//!
//! Each connection comes here with what it wants to send, and hears whether it may; whoever has to wait is woken when
//! its turn comes, by an [`Effect`] of what another did. A connection that was woken and has nothing to send says
//! so ([`Desk::rest`]), and one that ends leaves ([`Desk::leave`]): no turn is lost with it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::seed::Seed;
use super::throttle::Throttle;
use super::turns::{Hold, Origin, Rank, Turns};
use super::uplink::{Uplink, piece_bytes};
use crate::content::{Chunk, Network, PeerId, Rate};
use crate::wire::Urgency;

/// What follows for another connection than the one that came; to be carried out in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It is this connection's turn: it is to ask for it.
    Wake(u32),
}

/// What a connection wants to send next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wish {
    /// The slot of whose content its asker wants whichever chunk, if it does.
    pub(crate) choice: Option<u16>,
    /// How soon its asker wants it.
    pub(crate) urgency: Urgency,
}

/// Where a connection stands.
#[derive(Debug)]
enum Standing {
    /// It has nothing to send.
    Rests,
    /// It waits for its turn; without a wish once it has nothing to send any more.
    Waits(Option<Wish>),
    /// It is its turn, and it has not come yet.
    IsNext,
    /// It has its turn.
    Sends(Hold),
    /// It was too slow and lost its turn, and sends what it had begun.
    Lags,
}

#[derive(Debug)]
struct Connection<C> {
    origin: Origin,
    standing: Standing,
    /// The contents it has open that are whole here, by its slots.
    seeds: BTreeMap<u16, C>,
}

/// What all connections of a serving peer share; contents are named by `C`.
#[derive(Debug)]
pub(crate) struct Desk<C> {
    connections: BTreeMap<u32, Connection<C>>,
    turns: Turns<u32>,
    seeds: BTreeMap<C, Seed>,
    uplink: Uplink,
    throttle: Option<Throttle>,
}

impl<C: Ord + Copy> Desk<C> {
    /// The desk of a peer that may send no faster than `limit`, if there is one.
    pub(crate) fn new(limit: Option<Rate>, now: Instant) -> Desk<C> {
        Desk {
            connections: BTreeMap::new(),
            turns: Turns::new(),
            seeds: BTreeMap::new(),
            uplink: Uplink::new(limit),
            throttle: limit.map(|rate| Throttle::new(rate, now)),
        }
    }

    /// From now on nothing is sent faster than `limit`, if there is one.
    pub(crate) fn set_limit(&mut self, limit: Option<Rate>, now: Instant) {
        self.uplink.set_limit(limit);
        self.throttle = limit.map(|rate| Throttle::new(rate, now));
    }

    // Coming and going.

    /// The connection of this number, new from now on, is with `peer`, which is of this network.
    pub(crate) fn join(&mut self, number: u32, peer: PeerId, network: Network) {
        let origin = Origin { network, peer };
        let connection = Connection { origin, standing: Standing::Rests, seeds: BTreeMap::new() };
        self.connections.insert(number, connection);
    }

    /// A connection ends, `orderly` if its asker goes on to share what it said it has.
    #[must_use]
    pub(crate) fn leave(&mut self, number: u32, orderly: bool) -> Vec<Effect> {
        let slots =
            self.connections.get(&number).map_or_else(Vec::new, |of| of.seeds.keys().copied().collect());
        for slot in slots {
            self.close(number, slot, orderly);
        }
        self.connections.remove(&number);
        self.turns.forget(&number);
        self.pass_on(number, None)
    }

    /// A content of so many chunks that is whole here is opened as `slot`.
    pub(crate) fn open(&mut self, number: u32, slot: u16, content: C, chunks: u32) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        connection.seeds.insert(slot, content);
        self.seeds
            .entry(content)
            .or_insert_with(|| Seed::new(chunks))
            .open((number, slot), connection.origin.peer);
    }

    /// A slot is closed. True if its asker has or was sent all, and has it open nowhere else.
    pub(crate) fn close(&mut self, number: u32, slot: u16, orderly: bool) -> bool {
        let Some(content) = self.connections.get_mut(&number).and_then(|of| of.seeds.remove(&slot)) else {
            return false;
        };
        let Some(seed) = self.seeds.get_mut(&content) else { return false };
        let has_all = seed.close((number, slot), orderly);
        if seed.is_closed() {
            self.seeds.remove(&content);
        }
        has_all
    }

    // What is given.

    fn seed(&mut self, number: u32, slot: u16) -> Option<&mut Seed> {
        let content = self.connections.get(&number)?.seeds.get(&slot)?;
        self.seeds.get_mut(content)
    }

    /// The asker says that it has these chunks.
    pub(crate) fn has(&mut self, number: u32, slot: u16, chunks: impl IntoIterator<Item = Chunk>) {
        if let Some(seed) = self.seed(number, slot) {
            chunks.into_iter().for_each(|chunk| seed.has((number, slot), chunk));
        }
    }

    /// The asker will ask for no chunk but those that [`Desk::wants`] names.
    pub(crate) fn narrow(&mut self, number: u32, slot: u16) {
        if let Some(seed) = self.seed(number, slot) {
            seed.narrow((number, slot));
        }
    }

    /// The asker, which wants not all, wants these chunks.
    pub(crate) fn wants(&mut self, number: u32, slot: u16, chunks: impl IntoIterator<Item = Chunk>) {
        if let Some(seed) = self.seed(number, slot) {
            chunks.into_iter().for_each(|chunk| seed.want((number, slot), chunk));
        }
    }

    /// See [`Seed::choose`].
    pub(crate) fn choose(&mut self, number: u32, slot: u16, now: Instant) -> Option<Chunk> {
        self.seed(number, slot)?.choose((number, slot), now)
    }

    /// A chunk of `bytes` begins to leave.
    pub(crate) fn begin(&mut self, number: u32, slot: u16, chunk: Chunk, bytes: usize, now: Instant) {
        if let Some(seed) = self.seed(number, slot) {
            seed.send((number, slot), chunk);
        }
        self.uplink.begun(bytes, now);
    }

    // Whose turn it is.

    /// Under a rate limit, a chunk leaves when all of it could have left at that rate, behind those that were next
    /// before it: how long until a chunk of `bytes` is to leave, if there is a limit. Whose turn it is pays, so that the
    /// limit is shared as turns are.
    pub(crate) fn pay(&mut self, number: u32, bytes: usize, now: Instant) -> Option<Duration> {
        let wait = self.throttle.as_mut()?.take(bytes, now);
        if let Some(Connection { standing: Standing::Sends(hold), .. }) = self.connections.get_mut(&number) {
            *hold = Hold::begin(now + wait);
        }
        Some(wait)
    }

    /// True if the connection may send now; else it waits from now on, and is woken when it may.
    pub(crate) fn turn(&mut self, number: u32, wish: Wish, now: Instant) -> bool {
        let Some(connection) = self.connections.get_mut(&number) else { return false };
        let may = match connection.standing {
            Standing::Sends(_) => return true,
            Standing::IsNext => true,
            Standing::Waits(_) | Standing::Rests | Standing::Lags => {
                self.turns.take(number, connection.origin, wish.urgency == Urgency::Background)
            }
        };
        connection.standing =
            if may { Standing::Sends(Hold::begin(now)) } else { Standing::Waits(Some(wish)) };
        may
    }

    /// The connection got rid of `bytes`: until when it keeps its turn, if it has one, should it get rid of no more.
    pub(crate) fn sent(&mut self, number: u32, bytes: u64, now: Instant) -> Option<Instant> {
        let Standing::Sends(hold) = &mut self.connections.get_mut(&number)?.standing else { return None };
        hold.sent(bytes, self.uplink.rate(), now);
        Some(hold.ends())
    }

    /// The connection has to wait for its socket: until when it keeps its turn; none if it has none any more.
    #[must_use]
    pub(crate) fn stuck(&mut self, number: u32, now: Instant) -> (Option<Instant>, Vec<Effect>) {
        let Some(connection) = self.connections.get_mut(&number) else { return (None, Vec::new()) };
        let Standing::Sends(hold) = &mut connection.standing else { return (None, Vec::new()) };
        if !hold.is_over(now, || self.uplink.give_up(now)) {
            return (Some(hold.ends()), Vec::new());
        }
        connection.standing = Standing::Lags;
        (None, self.pass_on(number, None))
    }

    /// All that the connection had begun has left: its turn is over. It is to come again at once, or to [`rest`](Desk::rest).
    #[must_use]
    pub(crate) fn done(&mut self, number: u32) -> Vec<Effect> {
        let Some(connection) = self.connections.get_mut(&number) else { return Vec::new() };
        match connection.standing {
            Standing::Sends(_) => {
                connection.standing = Standing::Rests;
                let origin = connection.origin;
                self.pass_on(number, Some(origin))
            }
            Standing::Lags => {
                connection.standing = Standing::Rests;
                Vec::new()
            }
            Standing::Rests | Standing::Waits(_) | Standing::IsNext => Vec::new(),
        }
    }

    /// The connection has nothing to send, or cannot: a turn that came to it meanwhile, or that was left for it, goes to
    /// others.
    #[must_use]
    pub(crate) fn rest(&mut self, number: u32) -> Vec<Effect> {
        let Some(connection) = self.connections.get_mut(&number) else { return Vec::new() };
        match connection.standing {
            Standing::IsNext | Standing::Rests => {
                connection.standing = Standing::Rests;
                self.pass_on(number, None)
            }
            Standing::Waits(_) => {
                connection.standing = Standing::Waits(None); // and keeps its place
                Vec::new()
            }
            Standing::Sends(_) | Standing::Lags => Vec::new(),
        }
    }

    /// The turn of `ended`, if it had one, is over: whose turns begin. See [`Turns::pass_on`].
    fn pass_on(&mut self, ended: u32, may_return: Option<Origin>) -> Vec<Effect> {
        let (connections, seeds) = (&self.connections, &self.seeds);
        let next = self.turns.pass_on(&ended, may_return, |number| rank(connections.get(number), seeds));
        if self.turns.has_spare() {
            self.uplink.has_spare();
        }
        for number in &next {
            if let Some(connection) = self.connections.get_mut(number) {
                connection.standing = Standing::IsNext;
            }
        }
        next.into_iter().map(Effect::Wake).collect()
    }

    // How much.

    /// See [`Uplink::rate`].
    pub(crate) fn rate(&self) -> Option<Rate> {
        self.uplink.rate()
    }

    /// See [`piece_bytes`].
    pub(crate) fn piece(&self) -> Option<usize> {
        piece_bytes(self.rate())
    }

    /// Connections other than `but` that have something to send.
    pub(crate) fn busy(&self, but: Option<u32>) -> u32 {
        let busy = |(number, connection): &(&u32, &Connection<C>)| {
            let rests = matches!(connection.standing, Standing::Rests | Standing::Waits(None));
            !rests && but != Some(**number)
        };
        self.connections.iter().filter(busy).count() as u32
    }
}

/// The rank of a connection among those who wait.
fn rank<C: Ord + Copy>(connection: Option<&Connection<C>>, seeds: &BTreeMap<C, Seed>) -> Rank {
    let Some(Connection { origin, standing: Standing::Waits(Some(wish)), seeds: open }) = connection else {
        return Rank::new(0, Urgency::Normal);
    };
    let content = wish.choice.and_then(|slot| open.get(&slot));
    let seed = content.and_then(|content| seeds.get(content));
    Rank::new(seed.map_or(0, |seed| seed.unspread(origin.peer)), wish.urgency)
}

#[cfg(test)]
mod tests;
