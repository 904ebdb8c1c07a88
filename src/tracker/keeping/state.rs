//! All that the planner knows, and the one way to change what a store holds or is to hold.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::{Duration, Instant};

use super::agenda::Agenda;
use super::row::{Holder, Row};
use super::shards::MOST_PLACES;
use super::store::{Errand, Level, Store, StoreRow, Stores};
use super::upload::{Upload, UploadKey};
use crate::tracker::records::Content;
use crate::wire::{Authority, Term};

/// For so long after its start a tracker does not conclude from the absence of stores.
const SETTLING: Duration = Duration::from_secs(5);

/// What the planner needs to know from the start.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Who gives the duties.
    pub authority: Authority,
    /// In which term.
    pub term: Term,
    /// True if the authority outlives the tracker's process.
    pub lasting: bool,
    /// True if it takes over stores whose authority's records are lost.
    pub recovers: bool,
    /// How long nothing must refer to a content before stores give it up.
    pub grace: Duration,
    /// How long a store must have been away before others make new copies of what it holds.
    pub repair_after: Duration,
}

/// The rules that keep bytes alive. A test leaves out one at a time, to see that it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// What a store held before it went counts only when it has said so again.
    ReportsAreAwaited,
    /// What a store was told to give up does not count, although it may say that it holds it.
    DoomedDoesNotCount,
    /// Whether others have enough is looked at again when a store is told to give something up.
    SpareIsCountedAgain,
    /// What is on a store that is away, or is leaving, is no reason to give up what another has.
    OnlyWhoStaysSpares,
    /// Nothing is given up of what an upload under way asks for.
    PendingIsKept,
    /// Before something is given up it is looked again what the records promise.
    RecordsAreReadAgain,
    /// What others have enough of is given up only while nothing that is promised is missing anywhere.
    SurplusWaits,
    /// Shards of a group count only as far as each is on a store of its own.
    ShardsAreApart,
}

/// What stores keep, and what they are to keep.
#[derive(Debug)]
pub struct Keeping {
    pub(super) terms: Terms,
    pub(super) started: Instant,
    /// True if it is this planner that gives duties, and not that of another tracker.
    pub(super) leads: bool,
    pub(super) stores: Stores,
    pub(super) rows: BTreeMap<Content, Row>,
    pub(super) uploads: BTreeMap<UploadKey, Upload>,
    /// The same, by what is to be kept.
    pub(super) uploads_of: BTreeSet<(Content, UploadKey)>,
    /// Contents to which nothing refers, by since when.
    pub(super) idle: BTreeSet<(Instant, Content)>,
    /// Connections to be woken.
    pub(super) wakes: BTreeSet<u64>,
    pub(super) ticked: Instant,
    /// True if it is known which stores there are to be.
    pub(super) knows_stores: bool,
    /// True once all stores are here, or it is so long after the start that who has not come is missing.
    pub(super) mends: bool,
    /// What is to be gone over, a step at a time.
    pub(super) agenda: Agenda,
    /// Where so many copies are apart, when that was looked at: another zone may have come.
    pub(super) levels: [Level; MOST_PLACES],
    /// True if there is something for which no store was found, and when all was looked at for that.
    pub(super) has_unplaced: bool,
    pub(super) looked_for_places: Instant,
    /// True if there may be more copies somewhere than are promised.
    pub(super) has_surplus: bool,
    /// Since when nothing has been missing that is promised, and nobody been waited for, as far as is known.
    pub(super) calm_since: Option<Instant>,
    /// True if that was so, and certain, when it was looked at last.
    pub(super) was_calm: bool,
    /// When it was looked last what leaving stores are needed for.
    pub(super) looked_after_leaving: Instant,
    /// The rules that are left out.
    #[cfg(test)]
    pub(super) without: &'static [Rule],
}

impl Keeping {
    /// Nothing is known yet.
    pub fn new(terms: Terms, now: Instant) -> Keeping {
        Keeping {
            terms,
            started: now,
            leads: true,
            stores: Stores::default(),
            rows: BTreeMap::new(),
            uploads: BTreeMap::new(),
            uploads_of: BTreeSet::new(),
            idle: BTreeSet::new(),
            wakes: BTreeSet::new(),
            ticked: now,
            knows_stores: false,
            mends: false,
            agenda: Agenda::default(),
            levels: [Level::Store; MOST_PLACES],
            has_unplaced: false,
            looked_for_places: now,
            has_surplus: false,
            calm_since: None,
            was_calm: false,
            looked_after_leaving: now,
            #[cfg(test)]
            without: &[],
        }
    }

    /// Connections that have something to hear now, if they wait.
    #[must_use]
    pub fn take_wakes(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.wakes).into_iter().collect()
    }

    /// Changes what one store holds or is to hold of a content, with all that follows from it.
    pub(super) fn change(
        &mut self,
        content: Content,
        at: StoreRow,
        now: Instant,
        change: impl FnOnce(&mut Holder),
    ) {
        let Some(row) = self.rows.get_mut(&content) else { return };
        let store: &mut Store = &mut self.stores[at];
        let (chunks, chunk_bytes) = (row.chunks, row.chunk_bytes());
        let holder = row.holder_mut(at);
        let sum = |holder: &Holder| {
            let (have, want) = (holder.have.count(chunks).into(), holder.want().weight(chunks).into());
            (have, want, holder.have.bytes())
        };
        let before: (u64, u64, usize) = sum(holder);
        change(holder);
        let after: (u64, u64, usize) = sum(holder);
        store.used = store.used.saturating_add(after.0.saturating_sub(before.0) * chunk_bytes);
        store.used = store.used.saturating_sub(before.0.saturating_sub(after.0) * chunk_bytes);
        store.chunks = store.chunks + after.0 - before.0;
        store.owed = store.owed + after.1 * chunk_bytes - before.1 * chunk_bytes;
        store.bytes = store.bytes + after.2 - before.2;
        if after.1 > before.1 && row.promised.promises() {
            self.calm_since = None;
        }
        self.settle(content, at, now);
    }

    /// Nobody is to keep more of a content than he has.
    pub(super) fn relieve_all(&mut self, content: Content, now: Instant) {
        let Some(row) = self.rows.get(&content) else { return };
        let (chunks, stores) = (row.chunks, row.stores().collect::<Vec<_>>());
        for at in stores {
            self.change(content, at, now, |holder| {
                holder.is_relieved(None, chunks);
                if let Some(todo) = &mut holder.todo {
                    todo.looks = false;
                }
            });
        }
    }

    /// Works out anew what a store has to hear of a content.
    pub(super) fn settle(&mut self, content: Content, at: StoreRow, now: Instant) {
        let Some(row) = self.rows.get_mut(&content) else { return };
        let store = &mut self.stores[at];
        let errand = row.holder(at).and_then(|holder| errand(row, holder));
        let before = row.holder(at).and_then(|holder| holder.todo.as_ref()?.errand);
        if let Some(before) = before {
            store.errands.remove(&(before, content));
            store.told.remove(&(before, content));
        }
        if errand.is_some() || before.is_some() {
            let todo = row.holder_mut(at).todo();
            let same = errand.map(|errand| mem::discriminant(&errand))
                == before.map(|before| mem::discriminant(&before));
            let told = todo.told.filter(|_| same);
            (todo.errand, todo.told) = (errand, told);
            if let Some(errand) = errand {
                let of = if told.is_some() { &mut store.told } else { &mut store.errands };
                of.insert((errand, content));
                if told.is_none() {
                    store.has_to_ask(now);
                    self.wakes.extend(store.waiting);
                }
            }
        }
        match row.tidy(at, now) {
            true => store.holds.remove(&content),
            false => store.holds.insert(content),
        };
    }

    /// [`Keeping::settle`] for all stores that hold some of a content, or are to.
    pub(super) fn settle_all(&mut self, content: Content, now: Instant) {
        let stores = self.rows.get(&content).map_or(Vec::new(), |row| row.stores().collect());
        stores.into_iter().for_each(|at| self.settle(content, at, now));
    }

    /// Notes whether anything refers to a content; nobody keeps in mind what is neither referred to nor held.
    pub(super) fn refer(&mut self, content: Content, now: Instant) {
        let Some(row) = self.rows.get_mut(&content) else { return };
        let referred = row.copies() > 0;
        match row.idle_since {
            Some(since) if referred => {
                self.idle.remove(&(since, content));
                (row.idle_since, row.given_up) = (None, false);
            }
            None if !referred => {
                row.idle_since = Some(now);
                self.idle.insert((now, content));
            }
            Some(since) if row.holders.is_empty() => {
                self.idle.remove(&(since, content));
                self.rows.remove(&content);
            }
            _ => {}
        }
    }

    /// True, but in a test that leaves the rule out.
    pub(super) fn heeds(&self, rule: Rule) -> bool {
        #[cfg(test)]
        let left_out = self.without;
        #[cfg(not(test))]
        let left_out: &[Rule] = &[];
        !left_out.contains(&rule)
    }

    /// Stores whose copies count now.
    pub(super) fn here(&self) -> usize {
        self.stores.iter().filter(|(_, store)| store.counts()).count()
    }

    /// True while a store that was here before the tracker started may not have come yet.
    pub(super) fn is_settling(&self, now: Instant) -> bool {
        now < self.started + SETTLING
    }
}

/// What a store has to hear of a content that it holds, or is to hold.
fn errand(row: &Row, holder: &Holder) -> Option<Errand> {
    if let Some(todo) = &holder.todo {
        let gives_up = todo.doomed.is_some() || !todo.surplus.is_none();
        match () {
            () if todo.looks => return Some(Errand::Look),
            () if !todo.want.is_none() && row.asked > 0 => return Some(Errand::Urgent),
            () if !todo.doubted.is_empty() => return Some(Errand::Check),
            () if !todo.want.is_none() || todo.recalled => return Some(Errand::Keep(row.fewest)),
            () if gives_up => return Some(Errand::Discard),
            () => {}
        }
    }
    match () {
        () if holder.have.is_none() => None,
        () if row.given_up => Some(Errand::Discard),
        () if holder.forgetful && row.promised.promises() => Some(Errand::Remember),
        () => None,
    }
}
