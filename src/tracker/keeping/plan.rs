//! Who is to keep what is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::part::{Part, Unit};
use super::place::{Candidate, Placing, WIDTH, mixed, place};
use super::row::{Row, Want};
use super::state::Keeping;
use super::store::{Presence, Store, StoreRow};
use crate::content::ChunkSet;
use crate::tracker::records::Content;

/// Where copies are to be apart.
#[derive(Debug, Clone, Copy)]
enum Level {
    Zone,
    Machine,
    Store,
}

impl Keeping {
    /// Gives what is missing of a content to stores, as far as there is room; true if there is not enough.
    pub(super) fn plan(&mut self, content: Content, now: Instant) -> bool {
        let Some(row) = self.rows.get(&content) else { return false };
        let copies = usize::from(row.copies());
        if copies == 0 || row.is_nothing() || (row.asked == 0 && !self.mends) {
            return false;
        }
        if !self.is_short(content, copies, now) {
            return false;
        }
        let mut candidates = self.candidates(row, copies, now);
        let seed = u64::from_be_bytes(content.0.0[..8].try_into().unwrap_or_default());
        let placing = Placing { content: seed, chunks: row.chunks, unit_bytes: row.unit_bytes(), copies };
        let chunks = row.chunks;
        for (store, units) in place(placing, &mut candidates) {
            let more = part_of(&units, chunks);
            self.change(content, store, now, |holder| {
                let chunks = holder.want.take().map_or(more.clone(), |want| want.chunks.or(&more, chunks));
                holder.want = Some(Want { chunks, moved: None });
                holder.told = None;
            });
        }
        self.is_short(content, copies, now)
    }

    /// True if there are units that too few stores have or are to have.
    fn is_short(&self, content: Content, copies: usize, now: Instant) -> bool {
        let Some(row) = self.rows.get(&content) else { return false };
        let targets: Vec<Part> = row
            .holders
            .iter()
            .filter(|holder| self.is_copy(row, holder.store, now))
            .map(|holder| holder.target(row.chunks))
            .collect();
        let parts: Vec<&Part> = targets.iter().collect();
        let counts = super::part::copies(&parts, row.chunks, copies);
        counts.iter().any(|count| *count < super::part::weight(row.chunks))
    }

    /// True if what this store holds counts: while somebody waits only if it is here, else if it has not been away for
    /// long.
    fn is_copy(&self, row: &Row, store: StoreRow, now: Instant) -> bool {
        let store = &self.stores[store];
        match store.presence {
            Presence::Away { since, .. } => row.asked == 0 && now < since + self.terms.repair_after,
            _ => store.counts(),
        }
    }

    /// Stores that hold some of it already, and as many others as a content may have, those with most room and luck.
    fn candidates(&self, row: &Row, copies: usize, now: Instant) -> Vec<Candidate> {
        let mut domains = self.domains(copies, now);
        let base = row.base.and_then(|base| self.rows.get(&base));
        let mut all: Vec<Candidate> = self
            .stores
            .iter()
            .filter(|(at, store)| {
                store.takes(now) || (row.holder(*at).is_some() && self.is_copy(row, *at, now))
            })
            .map(|(at, store)| {
                let holder = row.holder(at);
                let known = base.and_then(|base| base.holder(at));
                Candidate {
                    store: at,
                    seed: mixed(u64::from_be_bytes(store.peer.0[..8].try_into().unwrap_or_default())),
                    domain: domains.of(at, store),
                    capacity: store.capacity,
                    taken: store.used.saturating_add(store.owed),
                    takes: store.takes(now) && holder.is_none_or(|holder| !holder.is_unwilling(now)),
                    target: holder.map_or(Part::None, |holder| holder.target(row.chunks)),
                    base: known.map_or(Part::None, |holder| holder.have.clone()),
                    base_chunks: base.map_or(0, |base| base.chunks),
                }
            })
            .collect();
        let seed = u64::from_be_bytes(row.content.0.0[8..16].try_into().unwrap_or_default());
        all.sort_by(|a, b| {
            let (stranger_a, stranger_b) = (a.target.is_none(), b.target.is_none());
            stranger_a
                .cmp(&stranger_b)
                .then(a.base.is_none().cmp(&b.base.is_none()))
                .then(b.lot(seed).total_cmp(&a.lot(seed)))
        });
        // What is on stores that are full counts, but they need no place.
        let mut places = WIDTH.max(copies);
        all.retain(|candidate| {
            let takes = candidate.takes && candidate.free() >= row.unit_bytes();
            let kept = places > 0 || !candidate.target.is_none();
            places = places.saturating_sub(usize::from(takes));
            kept
        });
        all
    }

    /// Copies are in different zones if there are enough of them, else on different machines if there are.
    fn domains(&self, copies: usize, now: Instant) -> Domains<'_> {
        let takers = || self.stores.iter().map(|(_, store)| store).filter(|store| store.takes(now));
        let zones: BTreeSet<&str> = takers().map(|store| &*store.zone).collect();
        let machines: BTreeSet<&str> = takers().map(|store| &*store.machine).collect();
        let level = match (zones.len() >= copies, machines.len() >= copies) {
            (true, _) => Level::Zone,
            (_, true) => Level::Machine,
            _ => Level::Store,
        };
        Domains { level, numbers: BTreeMap::new() }
    }
}

/// A number for each place where copies are to be apart.
struct Domains<'a> {
    level: Level,
    numbers: BTreeMap<&'a str, u32>,
}

impl<'a> Domains<'a> {
    fn of(&mut self, at: StoreRow, store: &'a Store) -> u32 {
        let named = match self.level {
            Level::Zone => &*store.zone,
            Level::Machine => &*store.machine,
            Level::Store => return at.0.into(),
        };
        let next = self.numbers.len() as u32;
        *self.numbers.entry(named).or_insert(next)
    }
}

fn part_of(units: &[Unit], chunks: u32) -> Part {
    if chunks == 0 {
        return Part::All;
    }
    let mut set = ChunkSet::empty(chunks);
    units.iter().flat_map(|unit| unit.of(chunks)).for_each(|chunk| {
        set.insert(chunk);
    });
    set.into()
}
