//! Stores that are much fuller than others pass something on: it is kept elsewhere, too, and then they give it up as they
//! would any copy that is too many.

use std::time::Instant;

use super::agenda::Walk;
use super::part::{self, Part, Unit};
use super::row::Holder;
use super::state::Keeping;
use super::steps::{self, Step};
use super::store::StoreRow;
use crate::tracker::records::Content;

/// How much fuller than all together a store must be to pass something on, in millionths of what it lends.
const TOO_FULL: u128 = 50_000;

impl Keeping {
    /// From now on stores pass on what they have too much of, once.
    pub fn rebalances(&mut self) {
        self.agenda.passed_on.clear();
        self.agenda.walk(Walk::Balance, false);
    }

    /// How full all stores are together, in millionths, once what is passed on has been given up.
    fn mean_fill(&self) -> u128 {
        let stay = || self.stores.iter().filter(|(_, store)| store.stays()).map(|(_, store)| store);
        let capacity: u128 = stay().map(|store| u128::from(store.capacity)).sum();
        let taken: u128 = stay().map(|store| u128::from(store.used.saturating_add(store.owed))).sum();
        let passed_on: u128 = self.agenda.passed_on.values().map(|bytes| u128::from(*bytes)).sum();
        taken.saturating_sub(passed_on) * 1_000_000 / capacity.max(1)
    }

    /// True if a store is still too full after what it passes on.
    fn is_too_full(&self, at: StoreRow, mean: u128) -> bool {
        let store = &self.stores[at];
        let passed_on = self.agenda.passed_on.get(&at).copied().unwrap_or(0);
        let left = u128::from(store.used.saturating_add(store.owed).saturating_sub(passed_on));
        store.stays() && left * 1_000_000 > (mean + TOO_FULL) * u128::from(store.capacity)
    }

    /// Lets a store that is too full pass on what it has of a content to one that is emptier than all together.
    pub(super) fn pass_on_from_full(&mut self, content: Content, step: &mut Step, now: Instant) {
        let mean = self.mean_fill();
        step.does(steps::LOT * self.stores.len());
        let Some(row) = self.rows.get(&content) else { return };
        if !self.mends
            || row.asked > 0
            || !row.promised.promises()
            || row.is_nothing(content)
            || row.code.is_some()
        {
            return;
        }
        let full: Vec<StoreRow> = row.stores().filter(|at| self.is_too_full(*at, mean)).collect();
        for from in full {
            self.pass_on_from(content, from, mean, now);
        }
    }

    fn pass_on_from(&mut self, content: Content, from: StoreRow, mean: u128, now: Instant) {
        let Some(row) = self.rows.get(&content) else { return };
        let (chunks, unit_bytes) = (row.chunks, row.unit_bytes());
        let level = self.stores.level(row.copies().into());
        let emptier = self.stores.iter().filter(|(_, store)| store.takes(now) && store.fill() < mean);
        let Some((to, store)) = emptier.min_by_key(|(_, store)| store.fill()) else { return };
        // Where it goes, no other copy may be: the unit then has no more copies than it needs, and one for a while.
        let place = self.stores.place(to, level);
        let there =
            |holder: &&Holder| holder.store != from && self.stores.place(holder.store, level) == place;
        let there: Vec<&Holder> = row.holders.iter().filter(there).collect();
        let is_there = |unit| {
            let some = |part: &Part| part.has_some(unit, chunks);
            there.iter().any(|holder| some(&holder.have) || some(holder.want()) || some(holder.doomed()))
        };
        let room = store.free() / unit_bytes.max(1);
        let Some(holder) = row.holder(from) else { return };
        let mut units: Vec<Unit> = Vec::new();
        let mut passed_on = self.agenda.passed_on.get(&from).copied().unwrap_or(0);
        let source = &self.stores[from];
        let limit = source.used.saturating_sub((mean * u128::from(source.capacity) / 1_000_000) as u64);
        for word in 0..part::words(chunks) {
            for unit in Unit::of_word(word, holder.have.word(word) & part::used(word, chunks)) {
                let whole = chunks == 0 || holder.have.has(unit, chunks);
                if whole && passed_on < limit && (units.len() as u64) < room && !is_there(unit) {
                    units.push(unit);
                    passed_on += unit_bytes;
                }
            }
        }
        if !units.is_empty() {
            self.agenda.passed_on.insert(from, passed_on);
            self.has_surplus = true;
            self.change(content, to, now, |holder| {
                let runs: Vec<_> = units.iter().map(|unit| unit.run(chunks)).collect();
                holder.is_passed_on(&runs, chunks);
                holder.forgetful = true;
            });
        }
    }
}
