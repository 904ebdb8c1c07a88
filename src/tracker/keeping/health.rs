//! How safe is what is kept, who keeps it, and who can be asked for it.

use std::cmp::Reverse;
use std::ops::Bound;
use std::time::Instant;

use super::coded::Safety;
use super::part::{weight, words};
use super::row::Row;
use super::state::Keeping;
use super::steps::{self, Step};
use super::store::{Level, Presence, Store};
use crate::content::{ChunkSet, Geometry, PeerId};
use crate::tracker::records::{Content, Promise};
use crate::wire::{Health, List, Policy, Side, StoreInfo, View, limits};

/// How safe some contents are, as far as they have been looked at.
#[derive(Debug)]
pub struct Tally {
    /// Those that are left, if not all are meant.
    some: Option<Vec<Content>>,
    /// Of all, the last that was looked at.
    last: Option<Content>,
    contents: u32,
    /// Of the least safe one: how many losses it survives, and how many it should.
    survives: (u8, u8),
    /// How many machines and zones may be lost, of the least safe ones.
    apart: (u8, u8),
    bytes: u64,
    endangered: u64,
    lost: u64,
    repairing: u64,
}

impl Tally {
    /// Of all that is promised.
    pub fn of_all() -> Tally {
        Tally {
            some: None,
            last: None,
            contents: 0,
            survives: (u8::MAX, 0),
            apart: (u8::MAX, u8::MAX),
            bytes: 0,
            endangered: 0,
            lost: 0,
            repairing: 0,
        }
    }

    /// Of these contents, as far as they are promised.
    pub fn of(contents: Vec<Content>) -> Tally {
        Tally { some: Some(contents), ..Tally::of_all() }
    }

    /// A content survives so many losses, and should so many.
    fn survives(&mut self, losses: u8, promised: u8) {
        if (losses, Reverse(promised)) < (self.survives.0, Reverse(self.survives.1)) {
            self.survives = (losses, promised);
        }
    }

    /// Adds the data of a code; its parity is none of what was published.
    fn add_code(&mut self, row: &Row, safety: Safety) {
        let [stores, machines, zones] = safety.losses;
        self.contents += 1;
        self.bytes += if row.chunks == 0 { row.size } else { row.total };
        self.survives(stores, row.promised.m());
        self.apart = (self.apart.0.min(machines), self.apart.1.min(zones));
        self.endangered += safety.endangered;
        self.lost += safety.lost;
        self.repairing += safety.repairing;
    }
}

impl Keeping {
    /// Looks at some more contents, for one bounded step; true if there are more.
    pub fn tally(&self, tally: &mut Tally) -> bool {
        let mut step = Step::default();
        while !step.is_over() {
            let behind = (tally.last.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
            let next = match &mut tally.some {
                Some(some) => some.pop().map(|content| (content, self.rows.get(&content))),
                None => self.rows.range(behind).next().map(|(content, row)| (*content, Some(row))),
            };
            let Some((content, row)) = next else { return false };
            tally.last = Some(content);
            step.does(steps::CONTENT);
            if let Some(row) = row.filter(|row| row.promised.promises()) {
                step.does(words(row.chunks) * (1 + row.holders.len()));
                self.add(content, row, tally);
            }
        }
        true
    }

    fn add(&self, content: Content, row: &Row, tally: &mut Tally) {
        if let Some(pair) = self.pair_of(content) {
            if pair.data == content {
                tally.add_code(row, self.safety(&pair));
            }
            return;
        }
        if self.is_idle(content, row) {
            return;
        }
        let (m, weight) = (row.promised.m(), weight(row.chunks));
        tally.contents += 1;
        tally.bytes += row.bytes_of(weight.into());
        let safe = match row.is_nothing(content) {
            true => vec![weight; usize::from(m) + 1],
            false => row.safe(|at| self.stores[at].counts().then_some(at.0.into()), m + 1),
        };
        tally.survives(whole(&safe, weight).saturating_sub(1), m);
        if !row.is_nothing(content) {
            let losses = |level: Level| {
                let place = |at| self.stores[at].counts().then(|| self.stores.place(at, level));
                whole(&row.safe(place, m + 1), weight).saturating_sub(1)
            };
            let (machines, zones) = tally.apart;
            tally.apart = (machines.min(losses(Level::Machine)), zones.min(losses(Level::Zone)));
        }
        let missing = |copies: usize| u64::from(weight - safe.get(copies - 1).copied().unwrap_or(0));
        tally.endangered += row.bytes_of(missing(safe.len()));
        tally.lost += row.bytes_of(missing(1));
        let owed: u64 = row.holders.iter().map(|holder| u64::from(holder.want().weight(row.chunks))).sum();
        tally.repairing += row.bytes_of(owed);
    }

    /// What was tallied, and what stores there are.
    pub fn health(&self, tally: Tally, now: Instant) -> Health {
        let Tally { contents, survives: (survives, promised), apart: (machines, zones), .. } = tally;
        let Tally { bytes, endangered, lost, repairing, .. } = tally;
        let survives = if contents == 0 { 0 } else { survives };
        // Stores that do not say their zone may be in the same one.
        let told = self.stores.iter().all(|(_, store)| !store.counts() || !store.zone.is_empty());
        let zones = if told { zones } else { 0 };
        Health {
            contents,
            survives,
            promised,
            machines: machines.min(survives),
            zones: zones.min(survives),
            bytes,
            endangered,
            lost,
            repairing,
            hearing: self.is_settling(now) || self.is_hearing(),
            away: List::new(self.away()),
        }
    }

    fn is_hearing(&self) -> bool {
        self.stores.iter().any(|(_, store)| matches!(store.presence, Presence::Here { reported: false, .. }))
    }

    fn away(&self) -> Vec<StoreInfo> {
        let away = |store: &Store| store.presence == Presence::Away && !store.forgotten;
        let away = self.stores.iter().filter(|(_, store)| away(store));
        away.map(|(_, store)| store.info()).take(limits::MAX_PAGE_STORES).collect()
    }

    /// At most `limit` stores after one, in order of id, and whether there are more.
    pub fn stores(&self, after: PeerId, limit: usize) -> (Vec<StoreInfo>, bool) {
        let mut rest = self.stores.after(after).filter(|store| !store.forgotten);
        let page = rest.by_ref().take(limit.clamp(1, limits::MAX_PAGE_STORES));
        let page = page.map(|store| store.info()).collect();
        (page, rest.next().is_some())
    }

    /// What the records promise of a content; `None` if nothing.
    pub fn promised(&self, content: Content) -> Option<Promise> {
        let row = self.rows.get(&content).filter(|row| row.promised.promises())?;
        let Row { size, total, chunks, .. } = *row;
        let code = row.code.as_deref().copied();
        let policy = match code {
            Some(code) if code.of == Side::Data => code.policy(),
            Some(_) => Policy::copies(1)?,
            None => Policy::copies(row.promised.m() + 1)?,
        };
        Some(Promise { content, size, total, chunks, policy, code })
    }

    /// Stores that are here and hold one of the missing chunks of a content, or any if none is named, and how many of its
    /// chunks each has. Who holds any member of a tree has its listing.
    pub fn holders(&self, content: Content, missing: Option<&ChunkSet>) -> Vec<(PeerId, u32)> {
        let tree = (content.0, View::Members);
        let listing = (content.1 == View::Bytes).then(|| self.rows.get(&tree)).flatten();
        let chunks_of = |row: &Row| Geometry::of(row.size).map_or(0, Geometry::chunks);
        let of_listing = listing.into_iter().flat_map(|row| {
            let any = row.holders.iter().filter(|holder| !holder.have.is_none());
            any.map(move |holder| (holder.store, chunks_of(row)))
        });
        let row = self.rows.get(&content);
        let own = row.into_iter().flat_map(|row| {
            let useful = row.holders.iter().filter(move |holder| match missing {
                Some(missing) => holder.have.has_any(missing),
                None => !holder.have.is_none(),
            });
            useful.map(move |holder| (holder.store, holder.have.count(row.chunks)))
        });
        let here = own
            .chain(of_listing)
            // Also one that has not heard of the term that has begun has what it had.
            .filter(|(store, _)| self.stores[*store].presence != Presence::Away);
        here.map(|(store, have)| (self.stores[store].peer, have)).collect()
    }
}

/// How many copies there are of every chunk.
fn whole(safe: &[u32], weight: u32) -> u8 {
    safe.iter().take_while(|count| **count == weight).count() as u8
}
