//! What need not be kept as often as it is: found when nothing is missing and nobody is waited for, given up a copy at a
//! time, and only if others have enough when the store is told.

use std::time::{Duration, Instant};

use super::agenda::{Turn, Walk};
use super::part::{self, Part};
use super::row::{Holder, Row};
use super::state::{Keeping, Rule};
use super::steps::Step;
use super::store::{Errand, Level, Store, StoreRow};
use crate::content::ChunkSet;
use crate::tracker::records::Content;

/// For so long nothing must be missing before any of what is too much is given up; less if the grace is shorter.
const CALM_FOR: Duration = Duration::from_secs(600);

/// A holder whose copies may be too many, or those of others that are enough.
#[derive(Clone, Copy)]
struct Spare<'a> {
    store: StoreRow,
    place: u32,
    have: &'a Part,
}

impl Keeping {
    /// Looks for copies that are too many once all that is promised has been there for long enough. Uploads under way are no
    /// reason to wait: of them nothing is promised yet.
    pub(super) fn look_whether_calm(&mut self, now: Instant) {
        let restless = |store: &Store| {
            (store.is_awaited() && !store.forgotten) || (store.counts() && store.owes_copies())
        };
        if !self.mends || self.has_unplaced || self.stores.iter().any(|(_, store)| restless(store)) {
            self.calm_since = None;
        } else if self.is_gone_over() {
            self.calm_since.get_or_insert(now);
        }
        let is_calm = self.is_calm();
        if !std::mem::replace(&mut self.was_calm, is_calm) && is_calm {
            self.wake_who_gives_up();
        }
        let long = CALM_FOR.min(self.terms.grace);
        if self.has_surplus && is_calm && self.calm_since.is_some_and(|since| since + long <= now) {
            self.has_surplus = false;
            self.agenda.spare.clear();
            self.agenda.walk(Walk::Surplus, false);
        }
    }

    /// True if nothing is missing of what is promised, as far as everything was looked at since it changed.
    pub(super) fn is_calm(&self) -> bool {
        self.calm_since.is_some() && self.is_gone_over()
    }

    /// True if all that is promised was looked at since it changed. What is also being uploaded is looked at for those who wait.
    fn is_gone_over(&self) -> bool {
        let is_promised =
            |content: Content| self.rows.get(&content).is_some_and(|row| row.promised.promises());
        let is_of_uploads = |due: &(Turn, Content)| due.0 == Turn::Urgent;
        self.agenda.due.last().is_none_or(is_of_uploads)
            && self.agenda.walks.iter().all(|(walk, _)| *walk == Walk::Uploads)
            && !self.uploads.values().any(|upload| upload.contents().any(is_promised))
    }

    /// Stores that have waited to give something up can be told of it now.
    pub(super) fn wake_who_gives_up(&mut self) {
        let waits = |store: &Store| matches!(store.errands.last(), Some((Errand::Discard, _)));
        let waiting =
            self.stores.iter().filter(|(_, store)| waits(store)).filter_map(|(_, store)| store.waiting);
        self.wakes.extend(waiting);
    }

    /// Marks, of each chunk of which there are too many copies, one: in a place that has another, or where least is free.
    pub(super) fn look_for_surplus(&mut self, content: Content, step: &mut Step, now: Instant) {
        if let Some(pair) = self.pair_of(content) {
            if pair.data == content {
                self.look_for_surplus_shards(&pair, step, now);
            }
            return;
        }
        let Some(row) = self.rows.get(&content) else { return };
        let (chunks, copies) = (row.chunks, self.copies_kept(row));
        let enough = row.holders.len() > copies && copies > 0 && !row.is_nothing(content);
        if !enough || !self.may_give_up(row) {
            return;
        }
        let mut spares = self.spares(row, self.stores.level(copies));
        let kept: u64 = spares.iter().map(|spare| u64::from(spare.have.count(chunks))).sum();
        if chunks > 0 && kept <= copies as u64 * u64::from(chunks) {
            return; // as nothing is missing, nothing is too much
        }
        spares.sort_by_key(|spare| {
            let spared = self.agenda.spare.get(&spare.store).copied().unwrap_or(0);
            std::cmp::Reverse(self.stores[spare.store].fill_without(spared))
        });
        step.does(part::words(chunks) * (1 + spares.len()));
        let mut marks: Vec<Vec<u64>> = vec![Vec::new(); spares.len()];
        let mut here: Vec<(usize, Spare<'_>)> = Vec::new();
        for word in 0..part::words(chunks) {
            // Of a large content few stores have any one chunk.
            here.clear();
            here.extend(spares.iter().copied().enumerate().filter(|(_, spare)| spare.have.word(word) != 0));
            if here.len() <= copies {
                continue;
            }
            step.does(here.len() * here.len());
            let mut left = part::used(word, chunks);
            for apart in [false, true] {
                for (at, spare) in &here {
                    let others = here.iter().map(|(_, spare)| spare);
                    let (apart_enough, here_enough) = spare_bits(others, spare, word, copies);
                    let bits = left & spare.have.word(word) & if apart { apart_enough } else { here_enough };
                    if bits != 0 {
                        marks[*at].resize(part::words(chunks), 0);
                        marks[*at][word] |= bits;
                    }
                    left &= !bits;
                }
            }
        }
        let stores: Vec<StoreRow> = spares.iter().map(|spare| spare.store).collect();
        let chunk_bytes = row.chunk_bytes();
        for (at, words) in stores.into_iter().zip(marks) {
            if !words.is_empty() {
                self.has_surplus = true;
                let surplus: Part = match chunks {
                    0 => Part::All,
                    chunks => ChunkSet::from_words(words.into_iter(), chunks).into(),
                };
                let bytes = u64::from(surplus.weight(chunks)) * chunk_bytes;
                *self.agenda.spare.entry(at).or_default() += bytes;
                self.change(content, at, now, |holder| holder.todo().surplus = surplus);
            }
        }
    }

    /// What a store may be told now to give up of a content.
    pub(super) fn to_give_up(&self, content: Content, row: &Row, holder: &Holder) -> Part {
        let chunks = row.chunks;
        let doomed = holder.doomed();
        if row.given_up {
            return holder.have.or(doomed);
        }
        let surplus = holder.todo.as_ref().map_or(&Part::None, |todo| &todo.surplus);
        let asked = surplus.or(doomed);
        if let Some(pair) = self.pair_of(content).filter(|_| self.heeds(Rule::SpareIsCountedAgain)) {
            let may = self.may_give_up(row) && self.stores[holder.store].stays();
            return if may { self.spare_shards(&pair, content, holder.store, &asked) } else { Part::None };
        }
        let copies = self.copies_kept(row);
        if !self.heeds(Rule::SpareIsCountedAgain) {
            return asked;
        }
        if copies == 0 || !self.may_give_up(row) || !self.stores[holder.store].stays() {
            return Part::None;
        }
        let level = self.stores.level(copies);
        let mut spares = self.spares(row, level);
        let place = self.stores.place(holder.store, level);
        let of = Spare { store: holder.store, place, have: &Part::None };
        spares.retain(|spare| spare.store != of.store);
        let mut words = (0..part::words(chunks)).map(|word| {
            if asked.word(word) == 0 {
                return 0;
            }
            let (apart, here) = spare_bits(spares.iter(), &of, word, copies);
            (apart | here) & part::used(word, chunks)
        });
        let spare = match chunks {
            0 if words.all(|word| word == 1) => Part::All,
            0 => Part::None,
            chunks => ChunkSet::from_words(words, chunks).into(),
        };
        asked.and(&spare)
    }

    /// Copies of which none is given up.
    fn copies_kept(&self, row: &Row) -> usize {
        match self.heeds(Rule::PendingIsKept) {
            true => row.copies().into(),
            false if row.promised.promises() && row.code.is_some() => 1,
            false if row.promised.promises() => usize::from(row.promised.m()) + 1,
            false => 0,
        }
    }

    pub(super) fn may_give_up(&self, row: &Row) -> bool {
        self.mends && (row.asked == 0 || !self.heeds(Rule::PendingIsKept))
    }

    /// Holders whose copies are a reason not to need another's.
    fn spares<'a>(&self, row: &'a Row, level: Level) -> Vec<Spare<'a>> {
        let strict = self.heeds(Rule::OnlyWhoStaysSpares);
        let stays = |holder: &&Holder| self.stores[holder.store].stays() || !strict;
        let spare = |holder: &'a Holder| Spare {
            store: holder.store,
            place: self.stores.place(holder.store, level),
            have: &holder.have,
        };
        row.holders.iter().filter(stays).map(spare).collect()
    }
}

/// Chunks of a word that the others hold often enough: in as many places as there are to be copies; and on as many stores,
/// of which one is in the place of this one.
fn spare_bits<'a>(
    spares: impl Iterator<Item = &'a Spare<'a>>,
    of: &Spare<'_>,
    word: usize,
    copies: usize,
) -> (u64, u64) {
    let (mut places, mut stores) = (part::Levels::default(), part::Levels::default());
    let mut beside = 0;
    let mut by_place: Vec<(u32, u64)> = Vec::new();
    for spare in spares.filter(|spare| spare.store != of.store) {
        let bits = spare.have.word(word);
        stores.add(bits);
        if spare.place == of.place {
            beside |= bits;
        }
        match by_place.iter_mut().find(|(other, _)| *other == spare.place) {
            Some((_, set)) => *set |= bits,
            None => by_place.push((spare.place, bits)),
        }
    }
    by_place.iter().for_each(|(_, bits)| places.add(*bits));
    (places.at_least(copies), stores.at_least(copies) & beside)
}
