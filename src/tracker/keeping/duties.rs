//! What a store is to do next.

use std::ops::Bound;
use std::time::{Duration, Instant};

use super::part::Part;
use super::row::Row;
use super::state::{Keeping, Rule};
use super::store::{Errand, StoreRow};
use crate::content::{Chunk, PeerId};
use crate::tracker::records::{Content, Promise};
use crate::wire::{Bits, Coding, limits};

/// What has not come of a duty is told again after so long.
const AGAIN_AFTER: Duration = Duration::from_secs(30);
/// Most duties of a store under way; the rest when some of them are done.
const MAX_AT_ONCE: usize = 64;
/// Most bytes of bitmaps told at a time.
const MAX_BITMAP_BYTES: usize = 256 << 10;
/// Most bytes that a store is told to keep before it has made some of them safe, where nobody waits; one duty may be
/// for more.
const MAX_BEHIND_BYTES: u64 = 256 << 20;
/// Most contents passed over, of which nothing is to be given up now.
const MAX_PASSED_OVER: usize = 1024;

/// Something for a store to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Keep these chunks.
    Keep {
        /// Of what.
        content: Content,
        /// Bytes of the content.
        size: u64,
        /// Bytes of all files.
        total: u64,
        /// Chunks of the content.
        chunks: u32,
        /// What the store is to have, also what it has.
        keep: Bits,
        /// True if somebody waits for it.
        urgent: bool,
        /// The code that it is a part of.
        code: Option<Coding>,
        /// Other stores that have or get some of it.
        stores: Vec<PeerId>,
    },
    /// Say what it has of this, after comparing it with what it has of others.
    Look {
        /// Of what.
        content: Content,
        /// Bytes of the content.
        size: u64,
        /// Bytes of all files.
        total: u64,
        /// Chunks of the content.
        chunks: u32,
        /// Other stores that have or get some of it.
        stores: Vec<PeerId>,
    },
    /// Read a chunk again, and say what it has.
    Check {
        /// Of what.
        content: Content,
        /// Which.
        chunk: Chunk,
    },
    /// Remember for which versions it stands.
    Remember(Content),
    /// Give these chunks up.
    Discard {
        /// Of what.
        content: Content,
        /// Which.
        chunks: Bits,
    },
}

/// What has to be so before a store is told to give something up.
#[derive(Debug, Clone, Copy)]
struct Give {
    records_are_read: bool,
    is_calm: bool,
}

/// What the records promise, read behind a barrier: this tracker decides about them, and nothing is newer.
pub type Promises<'a> = &'a dyn Fn(Content) -> Option<Promise>;

impl Keeping {
    /// What a store is to do that it has not been told lately. If that is nothing, this connection of it is woken when there is
    /// something. It is told to give something up only where the records were read.
    pub fn duties(
        &mut self,
        peer: PeerId,
        connection: u64,
        records: Option<Promises<'_>>,
        now: Instant,
    ) -> Vec<Order> {
        let Some(at) = self.stores.find(peer) else { return Vec::new() };
        self.tick(now);
        let fresh = self.stores[at].waiting != Some(connection);
        self.stores[at].asks(connection);
        if !self.stores[at].counts() {
            return Vec::new();
        }
        self.has_settled(at, !fresh, now);
        self.tells_again(at, fresh, now);
        let mut room = (MAX_AT_ONCE.saturating_sub(self.stores[at].told.len()), MAX_BITMAP_BYTES);
        let mut behind = self.behind(at);
        let mut orders = Vec::new();
        let mut passed = None;
        let mut give = Give { records_are_read: records.is_some(), is_calm: self.is_calm() };
        while room.0 > 0
            && let Some((errand, content)) = self.next_errand(at, passed, give)
        {
            if matches!(errand, Errand::Keep(_)) && behind > MAX_BEHIND_BYTES {
                break;
            }
            if errand == Errand::Discard && self.knew_less(content, records, now) {
                passed = Some((errand, content));
                give.is_calm = self.is_calm();
                continue;
            }
            let told = self.orders(errand, content, at);
            let bytes: usize = told.iter().map(Order::bitmap_bytes).sum();
            if bytes > room.1 && !orders.is_empty() {
                break;
            }
            room = (room.0 - 1, room.1.saturating_sub(bytes));
            self.told(content, at, now);
            if told.is_empty() {
                self.change(content, at, now, |holder| holder.todo().surplus = Part::None);
            }
            if let Errand::Keep(_) = errand {
                behind += self.owes(content, at);
            }
            if let Errand::Remember | Errand::Keep(_) | Errand::Discard = errand {
                self.stores[at].unsettled.push(content);
            }
            for order in &told {
                if let Order::Discard { chunks, .. } = order
                    && self.heeds(Rule::DoomedDoesNotCount)
                {
                    self.dooms(content, at, chunks, now);
                }
            }
            orders.extend(told);
        }
        if !orders.is_empty() {
            self.stores[at].has_to_ask(now);
        }
        orders
    }

    /// True if a store is to give something up, once the records have been read.
    pub fn gives_up(&self, peer: PeerId) -> bool {
        let at = self.stores.find(peer);
        at.is_some_and(|at| matches!(self.stores[at].errands.last(), Some((Errand::Discard, _))))
    }

    /// The next errand that a store can be told of, behind those that were passed over.
    fn next_errand(
        &self,
        at: StoreRow,
        passed: Option<(Errand, Content)>,
        give: Give,
    ) -> Option<(Errand, Content)> {
        let read = give.records_are_read || !self.heeds(Rule::RecordsAreReadAgain);
        let behind = (passed.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let rest = self.stores[at].errands.range(behind).take(MAX_PASSED_OVER);
        rest.copied().find(|(errand, content)| match errand {
            Errand::Discard => read && self.is_time_to_give_up(*content, give.is_calm),
            _ => true,
        })
    }

    /// True if it is time to give up what is to be of a content: nothing refers to it, or nothing is missing anywhere.
    fn is_time_to_give_up(&self, content: Content, is_calm: bool) -> bool {
        let given_up = self.rows.get(&content).is_some_and(|row| row.given_up);
        given_up || is_calm || !self.heeds(Rule::SurplusWaits)
    }

    /// True if the records promise something else of a content than was known here; now it is known.
    fn knew_less(&mut self, content: Content, records: Option<Promises<'_>>, now: Instant) -> bool {
        let Some(records) = records.filter(|_| self.heeds(Rule::RecordsAreReadAgain)) else { return false };
        let (promised, before) = (records(content), self.promised(content));
        if promised == before {
            return false;
        }
        self.promise(content, promised.as_ref(), now);
        // The other content of a code is promised for its sake.
        for code in [promised, before].into_iter().flatten().filter_map(|promise| promise.code) {
            let with = code.other();
            self.promise(with, records(with).as_ref(), now);
        }
        true
    }

    /// What was told too long ago, or on another connection, where it may not have arrived, is to be told again.
    fn tells_again(&mut self, at: StoreRow, fresh: bool, now: Instant) {
        let told: Vec<(Errand, Content)> = self.stores[at].told.iter().copied().collect();
        for (_, content) in told {
            let old = |told: Instant| fresh || told + AGAIN_AFTER <= now;
            self.change(content, at, now, |holder| {
                if let Some(todo) = &mut holder.todo {
                    todo.told = todo.told.filter(|told| !old(*told));
                }
            });
        }
    }

    /// Bytes that a store was told to keep and does not yet.
    fn behind(&self, at: StoreRow) -> u64 {
        let told = self.stores[at].told.iter().filter(|(errand, _)| matches!(errand, Errand::Keep(_)));
        told.map(|(_, content)| self.owes(*content, at)).sum()
    }

    fn owes(&self, content: Content, at: StoreRow) -> u64 {
        let row = self.rows.get(&content);
        let owed = row.and_then(|row| Some((row, row.holder(at)?)));
        owed.map_or(0, |(row, holder)| row.bytes_of(holder.want().weight(row.chunks).into()))
    }

    /// The store asks again: what it was told before it has done, if it arrived.
    fn has_settled(&mut self, at: StoreRow, arrived: bool, now: Instant) {
        for content in std::mem::take(&mut self.stores[at].unsettled) {
            self.change(content, at, now, |holder| {
                let told = holder.todo.as_ref().is_some_and(|todo| todo.told.is_some());
                let Some(todo) = &mut holder.todo else { return };
                match todo.errand {
                    Some(Errand::Remember) => holder.forgetful &= !(arrived && told),
                    Some(Errand::Keep(_)) => todo.recalled &= !(arrived && told),
                    _ => {}
                }
                if let Some(doomed) = &mut todo.doomed {
                    doomed.settled = true;
                }
            });
        }
    }

    /// A store is being told of its errand.
    fn told(&mut self, content: Content, at: StoreRow, now: Instant) {
        let Some(row) = self.rows.get_mut(&content) else { return };
        let todo = row.holder_mut(at).todo();
        todo.told = Some(now);
        todo.moved = todo.moved.or(Some(now)).filter(|_| !todo.want.is_none());
        if let Some(errand) = todo.errand {
            let store = &mut self.stores[at];
            store.errands.remove(&(errand, content));
            store.told.insert((errand, content));
        }
    }

    /// From now on this counts no more: a store is told to give it up.
    fn dooms(&mut self, content: Content, at: StoreRow, chunks: &Bits, now: Instant) {
        let all = self.rows.get(&content).map_or(0, |row| row.chunks);
        if let Some(given_up) = Part::new(chunks, all) {
            self.change(content, at, now, |holder| holder.gives_up(&given_up, all, now));
        }
    }

    /// What a store is told for an errand; nothing if that has become needless.
    fn orders(&self, errand: Errand, content: Content, at: StoreRow) -> Vec<Order> {
        let row = self.rows.get(&content);
        let Some((row, holder)) = row.and_then(|row| Some((row, row.holder(at)?))) else { return Vec::new() };
        let Row { size, total, chunks, .. } = *row;
        match errand {
            Errand::Look => vec![Order::Look { content, size, total, chunks, stores: self.others(row, at) }],
            Errand::Urgent | Errand::Keep(_) => {
                let keep = holder.target().to_bits();
                let (urgent, stores) = (errand == Errand::Urgent, self.others(row, at));
                let code = row.code.as_deref().copied();
                vec![Order::Keep { content, size, total, chunks, keep, urgent, code, stores }]
            }
            Errand::Check => {
                let doubted = holder.todo.as_ref().map_or(&[][..], |todo| &todo.doubted);
                doubted.iter().map(|chunk| Order::Check { content, chunk: *chunk }).collect()
            }
            Errand::Remember => vec![Order::Remember(content)],
            Errand::Discard => {
                let chunks = self.to_give_up(content, row, holder);
                let order = Order::Discard { content, chunks: chunks.to_bits() };
                if chunks.is_none() { Vec::new() } else { vec![order] }
            }
        }
    }

    /// Stores that are here and have or get some of it, beside this one.
    fn others(&self, row: &Row, at: StoreRow) -> Vec<PeerId> {
        let others = row.holders.iter().filter(|holder| holder.store != at);
        let here = others.map(|holder| &self.stores[holder.store]).filter(|store| store.counts());
        here.map(|store| store.peer).take(limits::MAX_DUTY_SOURCES).collect()
    }
}

impl Order {
    fn bitmap_bytes(&self) -> usize {
        match self {
            Order::Keep { keep: Bits::Map(map), .. } | Order::Discard { chunks: Bits::Map(map), .. } => {
                map.len()
            }
            _ => 0,
        }
    }
}
