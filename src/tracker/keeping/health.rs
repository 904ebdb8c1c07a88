//! How safe is what is kept, who keeps it, and who can be asked for it.

use std::time::Instant;

use super::part::weight;
use super::row::Row;
use super::state::Keeping;
use super::store::Presence;
use crate::content::{ChunkSet, Geometry, PeerId};
use crate::tracker::records::{Content, Promise};
use crate::wire::{Health, List, StoreInfo, View, limits};

impl Keeping {
    /// How safe these contents are, as far as they are promised; all that are for `None`.
    pub fn health(&self, contents: Option<&[Content]>, now: Instant) -> Health {
        let mut health = Health {
            contents: 0,
            survives: u8::MAX,
            promised: 0,
            bytes: 0,
            endangered: 0,
            lost: 0,
            repairing: 0,
            hearing: self.is_settling(now) || self.is_hearing(),
            away: List::new(self.away()),
        };
        match contents {
            Some(some) => some
                .iter()
                .filter_map(|content| self.rows.get(content))
                .for_each(|row| self.add(row, &mut health)),
            None => self.rows.values().for_each(|row| self.add(row, &mut health)),
        }
        if health.contents == 0 {
            health.survives = 0;
        }
        health
    }

    fn add(&self, row: &Row, health: &mut Health) {
        if !row.promised.promises() {
            return;
        }
        let m = row.promised.m();
        health.contents += 1;
        health.bytes += row.bytes_of(weight(row.chunks).into());
        let weight = weight(row.chunks);
        let safe = match row.is_nothing() {
            true => vec![weight; usize::from(m) + 1],
            false => row.safe(|store| self.stores[store].counts(), m + 1),
        };
        let survives = safe.iter().take_while(|count| **count == weight).count().saturating_sub(1) as u8;
        if (survives, std::cmp::Reverse(m)) < (health.survives, std::cmp::Reverse(health.promised)) {
            (health.survives, health.promised) = (survives, m);
        }
        let missing = |copies: usize| u64::from(weight - safe.get(copies - 1).copied().unwrap_or(0));
        health.endangered += row.bytes_of(missing(safe.len()));
        health.lost += row.bytes_of(missing(1));
        let owed: u64 = row.holders.iter().map(|holder| u64::from(holder.owes(row.chunks))).sum();
        health.repairing += row.bytes_of(owed);
    }

    fn is_hearing(&self) -> bool {
        self.stores.iter().any(|(_, store)| matches!(store.presence, Presence::Here { reported: false, .. }))
    }

    fn away(&self) -> Vec<StoreInfo> {
        let away = self.stores.iter().filter(|(_, store)| matches!(store.presence, Presence::Away { .. }));
        away.map(|(_, store)| store.info()).take(limits::MAX_PAGE_STORES).collect()
    }

    /// At most `limit` stores after one, in order of id, and whether there are more.
    pub fn stores(&self, after: PeerId, limit: usize) -> (Vec<StoreInfo>, bool) {
        let mut rest = self.stores.after(after);
        let page = rest.by_ref().take(limit.clamp(1, limits::MAX_PAGE_STORES));
        let page = page.map(|store| store.info()).collect();
        (page, rest.next().is_some())
    }

    /// What the records promise of a content; `None` if nothing.
    pub fn promised(&self, content: Content) -> Option<Promise> {
        let row = self.rows.get(&content).filter(|row| row.promised.promises())?;
        let Row { size, total, chunks, promised: policy, .. } = *row;
        Some(Promise { content, size, total, chunks, policy })
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
            .filter(|(store, _)| matches!(self.stores[*store].presence, Presence::Here { .. }));
        here.map(|(store, have)| (self.stores[store].peer, have)).collect()
    }
}
