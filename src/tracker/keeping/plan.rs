//! Who is to keep what is missing, and who need not keep any more what he was to.

use std::time::Instant;

use super::agenda::Place;
use super::part::{self, MAX_COPIES, Part, Unit};
use super::place::{Candidate, Placing, WIDTH, choose, mixed};
use super::row::{Holder, Row};
use super::state::Keeping;
use super::steps::{self, Step};
use super::store::{Level, Store, StoreRow};
use crate::content::PeerId;
use crate::tracker::records::Content;

/// Words of bitmaps that are planned at a time, of four units each.
const BLOCK: usize = 64;

/// What counts of what a store has and is to have of a content.
struct Counted<'a> {
    store: StoreRow,
    place: u32,
    have: &'a Part,
    want: &'a Part,
}

/// What a block needs.
#[derive(Default)]
struct Found {
    /// Units that are to have more copies.
    short: Vec<Unit>,
    /// Units of which enough copies are there, so that nobody has to make any.
    whole: Vec<Unit>,
}

impl Keeping {
    /// Plans a content from a place on, as far as a step goes: what is missing is given to stores as far as there is room, and
    /// what is not missing any more taken back from those that have not brought it yet.
    pub(super) fn plan(&mut self, content: Content, from: Place, step: &mut Step, now: Instant) -> Place {
        let over = Place { is_over: true, ..from };
        step.does(steps::CONTENT);
        let Some(row) = self.rows.get(&content) else { return over };
        if !self.is_planned_for(content, row, now) {
            return over;
        }
        if let Some(pair) = self.pair_of(content) {
            return if pair.data == content { self.plan_code(&pair, from, step, now) } else { over };
        }
        if self.is_idle(content, row) {
            self.relieve_all(content, now);
            return over;
        }
        let (copies, chunks) = (usize::from(row.copies()), row.chunks);
        let level = self.stores.level(copies);
        let mut place = from;
        while place.word < part::words(chunks) {
            if step.is_over() {
                return place;
            }
            let Some(row) = self.rows.get(&content) else { return over };
            let words = place.word..(place.word + BLOCK).min(part::words(chunks));
            place.word = words.end;
            let counted = self.counted(row, level);
            step.does(self.stores.len() + words.len() * (1 + counted.len()));
            let found = look(&counted, words, copies, chunks);
            let relieved: Vec<StoreRow> =
                counted.iter().filter(|one| !one.want.is_none()).map(|one| one.store).collect();
            if !found.whole.is_empty() {
                let whole: Vec<_> = found.whole.iter().map(|unit| unit.run(chunks)).collect();
                let relieve = |holder: &mut Holder| holder.is_relieved(Some(&whole), chunks);
                relieved.into_iter().for_each(|at| self.change(content, at, now, relieve));
            }
            place.is_short |= self.give(content, &found.short, level, step, now);
        }
        Place { is_over: true, ..place }
    }

    /// True if it is time to give a content to stores: else nobody is to keep it, or it is not known who does.
    pub(super) fn is_planned_for(&self, content: Content, row: &Row, now: Instant) -> bool {
        let wanted = row.copies() > 0 && !row.is_nothing(content);
        wanted && if row.asked > 0 { !self.is_looking(content, row, now) } else { self.mends }
    }

    /// True while stores that may have most of it have not said yet what they have.
    fn is_looking(&self, content: Content, row: &Row, now: Instant) -> bool {
        let looks = |holder: &Holder| holder.todo.as_ref().is_some_and(|todo| todo.looks);
        row.holders.iter().any(|holder| looks(holder) && self.stores[holder.store].counts())
            && self.uploads_of(content).any(|upload| upload.looks_until.is_some_and(|until| now < until))
    }

    /// What counts towards the copies that there are to be, those in one place next to each other: where somebody waits
    /// what is here, else also what has not been away for long.
    fn counted<'a>(&self, row: &'a Row, level: Level) -> Vec<Counted<'a>> {
        let mut counted: Vec<Counted<'_>> = row
            .holders
            .iter()
            .filter_map(|holder| {
                let (have, want) = self.counted_of(row, holder)?;
                let place = self.stores.place(holder.store, level);
                Some(Counted { store: holder.store, place, have, want })
            })
            .collect();
        counted.sort_by_key(|one| one.place);
        counted
    }

    /// What counts of what one store has, and is to have.
    pub(super) fn counted_of<'a>(&self, row: &Row, holder: &'a Holder) -> Option<(&'a Part, &'a Part)> {
        let store = &self.stores[holder.store];
        match () {
            () if store.stays() => Some((&holder.have, holder.want())),
            () if store.is_awaited() && row.asked == 0 => Some((&holder.have, &Part::None)),
            () => None,
        }
    }

    /// Looks whether a content is to be planned; more endangered ones are sooner.
    pub(super) fn look_for_missing(&mut self, content: Content, step: &mut Step) {
        if let Some(pair) = self.pair_of(content) {
            return self.look_for_missing_shards(&pair, step);
        }
        let Some(row) = self.rows.get(&content) else { return };
        if row.copies() == 0 || row.is_nothing(content) || (row.asked == 0 && !self.mends) {
            return;
        }
        if self.is_idle(content, row) {
            return;
        }
        let copies = row.copies();
        let level = self.stores.level(copies.into());
        let counted = self.counted(row, level);
        step.does(self.stores.len() + part::words(row.chunks) * (1 + counted.len()));
        let full =
            |counts: Vec<u32>| counts.iter().take_while(|count| **count == part::weight(row.chunks)).count();
        let of = |place: fn(&Counted<'_>) -> u32| -> Vec<(u32, &Part)> {
            counted.iter().map(|one| (place(one), one.have)).collect()
        };
        let apart = full(part::copies(&of(|one| one.place), row.chunks, copies.into()));
        let mut fewest = apart;
        if apart < copies.into() && level != Level::Store {
            step.does(part::words(row.chunks) * (1 + counted.len()));
            fewest = full(part::copies(&of(|one| one.store.0.into()), row.chunks, copies.into()));
        }
        let wants = row.holders.iter().any(Holder::wants);
        if let Some(row) = self.rows.get_mut(&content) {
            row.fewest = fewest as u8;
        }
        if apart < copies.into() || wants {
            self.is_due(content);
        }
    }

    /// Gives units to more stores; true if for one of them no store was found.
    fn give(
        &mut self,
        content: Content,
        units: &[Unit],
        level: Level,
        step: &mut Step,
        now: Instant,
    ) -> bool {
        let Some(row) = self.rows.get(&content).filter(|_| !units.is_empty()) else { return false };
        let copies = usize::from(row.copies());
        let mut candidates = self.candidates(content, row, level, now);
        step.does(steps::LOT * (self.stores.len() + units.len() * candidates.len()));
        let placing = Placing {
            content: seed(&content.0.0[..8]),
            chunks: row.chunks,
            unit_bytes: row.unit_bytes(),
            copies,
        };
        let (chunks, promised) = (row.chunks, row.promised.promises());
        let mut given: Vec<Vec<Unit>> = vec![Vec::new(); candidates.len()];
        let mut short = false;
        for unit in units {
            let (chosen, enough) = choose(placing, &candidates, *unit);
            short |= !enough;
            for at in chosen {
                candidates[at].taken += placing.unit_bytes;
                given[at].push(*unit);
            }
        }
        let stores: Vec<StoreRow> = candidates.iter().map(|candidate| candidate.store).collect();
        for (at, units) in stores.into_iter().zip(given).filter(|(_, units)| !units.is_empty()) {
            self.change(content, at, now, |holder| {
                let runs: Vec<_> = units.iter().map(|unit| unit.run(chunks)).collect();
                holder.is_given(&runs, chunks);
                holder.forgetful |= promised;
            });
        }
        short
    }

    /// Stores that hold some of it already, and as many others as a content may have, those with most room and luck.
    fn candidates<'a>(
        &'a self,
        content: Content,
        row: &'a Row,
        level: Level,
        now: Instant,
    ) -> Vec<Candidate<'a>> {
        let base = self.uploads_of(content).find_map(|upload| upload.base);
        let base = base.and_then(|base| self.rows.get(&base));
        let counted = self.counted(row, level);
        let of = seed(&content.0.0[8..16]);
        let mut all: Vec<(f64, Candidate<'_>)> = Vec::new();
        for (at, store) in self.stores.iter() {
            let mine = counted.iter().find(|one| one.store == at);
            if mine.is_none() && !store.takes(now) {
                continue;
            }
            let unwilling = row.holder(at).is_some_and(|holder| holder.is_unwilling(now));
            let candidate = Candidate {
                takes: store.takes(now) && !unwilling,
                have: mine.map_or(&Part::None, |one| one.have),
                want: mine.map_or(&Part::None, |one| one.want),
                base: base.and_then(|base| base.holder(at)).map_or(&Part::None, |holder| &holder.have),
                base_chunks: base.map_or(0, |base| base.chunks),
                ..self.taker(at, store, level)
            };
            all.push((candidate.lot(of), candidate));
        }
        all.sort_by(|(lot_a, a), (lot_b, b)| {
            let order = a.is_stranger().cmp(&b.is_stranger()).then(a.base.is_none().cmp(&b.base.is_none()));
            order.then(lot_b.total_cmp(lot_a))
        });
        // What is on stores that are full counts, but they need no place.
        let mut places = WIDTH.max(row.copies().into());
        all.retain(|(_, candidate)| {
            let takes = candidate.takes && candidate.free() >= row.unit_bytes();
            let kept = places > 0 || !candidate.is_stranger();
            places = places.saturating_sub(usize::from(takes));
            kept
        });
        all.into_iter().map(|(_, candidate)| candidate).collect()
    }

    /// A store that may be given some of a content of which it has nothing.
    pub(super) fn taker(&self, at: StoreRow, store: &Store, level: Level) -> Candidate<'static> {
        Candidate {
            store: at,
            seed: mixed(peer_seed(store.peer)),
            domain: self.stores.place(at, level),
            capacity: store.capacity,
            taken: store.used.saturating_add(store.owed),
            takes: true,
            have: &Part::None,
            want: &Part::None,
            base: &Part::None,
            base_chunks: 0,
        }
    }
}

/// What some words of the bitmaps need.
fn look(counted: &[Counted<'_>], words: std::ops::Range<usize>, copies: usize, chunks: u32) -> Found {
    let copies = copies.min(MAX_COPIES);
    let have: Vec<(u32, &Part)> = counted.iter().map(|one| (one.place, one.have)).collect();
    let mut both = have.clone();
    both.extend(counted.iter().filter(|one| !one.want.is_none()).map(|one| (one.place, one.want)));
    both.sort_by_key(|(place, _)| *place);
    let any_wants = both.len() > have.len();
    let mut found = Found::default();
    for word in words {
        let used = part::used(word, chunks);
        let enough = part::levels(&both, word).at_least(copies) & used;
        found.short.extend(Unit::of_word(word, used & !enough));
        if any_wants {
            let there = part::levels(&have, word).at_least(copies) & used;
            let wanted = counted.iter().fold(0, |wanted, one| wanted | one.want.word(word)) & used;
            let units = Unit::of_word(word, wanted).filter(|unit| used & !there & unit.mask() == 0);
            found.whole.extend(units);
        }
    }
    found
}

pub(super) fn seed(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().unwrap_or_default())
}

fn peer_seed(peer: PeerId) -> u64 {
    seed(&peer.0[..8])
}
