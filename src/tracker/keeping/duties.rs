//! What a store is to do next.

use std::time::{Duration, Instant};

use super::row::Row;
use super::state::{Keeping, Rule};
use super::store::{Errand, StoreRow};
use crate::content::PeerId;
use crate::tracker::records::Content;
use crate::wire::{Bits, limits};

/// What has not come of a duty is told again after so long.
const AGAIN_AFTER: Duration = Duration::from_secs(30);
/// Most duties told at a time; the rest when some of them are done.
const MAX_AT_ONCE: usize = 64;
/// Most bytes of bitmaps told at a time.
const MAX_BITMAP_BYTES: usize = 256 << 10;

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
        /// Other stores that have or get some of it.
        stores: Vec<PeerId>,
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

impl Keeping {
    /// What a store is to do that it has not been told lately. If that is nothing, this connection of it is woken when there is
    /// something.
    pub fn duties(&mut self, peer: PeerId, connection: u64, now: Instant) -> Vec<Order> {
        let Some(at) = self.stores.find(peer) else { return Vec::new() };
        self.tick(now);
        let fresh = self.stores[at].waiting != Some(connection);
        self.stores[at].waiting = Some(connection);
        if !self.stores[at].counts() {
            return Vec::new();
        }
        self.has_settled(at, !fresh, now);
        let errands: Vec<(Errand, Content)> = self.stores[at].errands.iter().copied().collect();
        if fresh {
            // What was told on another connection may not have arrived.
            errands.iter().for_each(|(_, content)| self.told(*content, at, None));
        }
        let under_way = errands.iter().filter(|(_, content)| !self.is_due(*content, at, now)).count();
        let mut room = (MAX_AT_ONCE.saturating_sub(under_way), MAX_BITMAP_BYTES);
        let mut orders = Vec::new();
        for (errand, content) in errands {
            if room.0 == 0 || !self.is_due(content, at, now) {
                continue;
            }
            let Some(order) = self.order(errand, content, at) else { continue };
            let bytes = order.bitmap_bytes();
            if bytes > room.1 && !orders.is_empty() {
                break;
            }
            room = (room.0 - 1, room.1.saturating_sub(bytes));
            self.told(content, at, Some(now));
            if let Order::Remember(_) | Order::Discard { .. } = order {
                self.stores[at].unsettled.push(content);
            }
            if let Order::Discard { .. } = order
                && self.heeds(Rule::DoomedDoesNotCount)
            {
                let chunks = self.rows.get(&content).map_or(0, |row| row.chunks);
                self.change(content, at, now, |holder| holder.give_up(chunks, now));
            }
            orders.push(order);
        }
        orders
    }

    /// The store asks again: what it was told before it has done, if it arrived.
    fn has_settled(&mut self, at: StoreRow, arrived: bool, now: Instant) {
        for content in std::mem::take(&mut self.stores[at].unsettled) {
            self.change(content, at, now, |holder| {
                holder.forgetful &= !arrived || holder.told.is_none();
                if let Some(doomed) = &mut holder.doomed {
                    doomed.settled = true;
                }
            });
        }
    }

    fn told(&mut self, content: Content, at: StoreRow, when: Option<Instant>) {
        let Some(row) = self.rows.get_mut(&content) else { return };
        let holder = row.holder_mut(at);
        holder.told = when;
        if let Some(want) = &mut holder.want {
            want.moved = want.moved.or(when);
        }
    }

    fn is_due(&self, content: Content, at: StoreRow, now: Instant) -> bool {
        let holder = self.rows.get(&content).and_then(|row| row.holder(at));
        holder.is_some_and(|holder| holder.told.is_none_or(|told| told + AGAIN_AFTER <= now))
    }

    fn order(&self, errand: Errand, content: Content, at: StoreRow) -> Option<Order> {
        let row = self.rows.get(&content)?;
        let holder = row.holder(at)?;
        Some(match errand {
            Errand::Urgent | Errand::Keep => Order::Keep {
                content,
                size: row.size,
                total: row.total,
                chunks: row.chunks,
                keep: holder.target(row.chunks).to_bits(),
                urgent: errand == Errand::Urgent,
                stores: self.others(row, at),
            },
            Errand::Remember => Order::Remember(content),
            Errand::Discard => {
                let doomed = holder.doomed.as_ref().map(|doomed| &doomed.chunks);
                let chunks = doomed.map_or(holder.have.clone(), |doomed| holder.have.or(doomed, row.chunks));
                Order::Discard { content, chunks: chunks.to_bits() }
            }
        })
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
