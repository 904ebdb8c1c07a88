//! All that the planner knows, and the one way to change what a store holds or is to hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::row::{Holder, Row};
use super::store::{Errand, StoreRow, Stores};
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
}

/// What stores keep, and what they are to keep.
#[derive(Debug)]
pub struct Keeping {
    pub(super) terms: Terms,
    pub(super) started: Instant,
    pub(super) stores: Stores,
    pub(super) rows: BTreeMap<Content, Row>,
    pub(super) uploads: BTreeMap<UploadKey, Upload>,
    /// Contents to which nothing refers, by since when.
    pub(super) idle: BTreeSet<(Instant, Content)>,
    /// Connections to be woken.
    pub(super) wakes: BTreeSet<u64>,
    pub(super) ticked: Instant,
    /// True once it is so long after the start that who has not come is missing.
    pub(super) mends: bool,
    /// The last content that was looked at for missing copies; `None` if none is to be looked at.
    pub(super) sweep: Option<Option<Content>>,
    /// The rule that is left out.
    #[cfg(test)]
    pub(super) without: Option<Rule>,
}

impl Keeping {
    /// Nothing is known yet.
    pub fn new(terms: Terms, now: Instant) -> Keeping {
        Keeping {
            terms,
            started: now,
            stores: Stores::default(),
            rows: BTreeMap::new(),
            uploads: BTreeMap::new(),
            idle: BTreeSet::new(),
            wakes: BTreeSet::new(),
            ticked: now,
            mends: false,
            sweep: None,
            #[cfg(test)]
            without: None,
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
        let store = &mut self.stores[at];
        let (chunks, chunk_bytes) = (row.chunks, row.chunk_bytes());
        let holder = row.holder_mut(at);
        let sum = |holder: &Holder| {
            let (have, owes) = (u64::from(holder.have.count(chunks)), u64::from(holder.owes(chunks)));
            (have, owes * chunk_bytes, holder.have.bytes())
        };
        let before = sum(holder);
        change(holder);
        if holder.owes(chunks) == 0 {
            holder.want = None;
        }
        let after = sum(holder);
        store.used = store.used.saturating_add(after.0.saturating_sub(before.0) * chunk_bytes);
        store.used = store.used.saturating_sub(before.0.saturating_sub(after.0) * chunk_bytes);
        store.chunks = store.chunks + after.0 - before.0;
        store.owed = store.owed + after.1 - before.1;
        store.bytes = store.bytes + after.2 - before.2;
        self.settle(content, at, now);
    }

    /// Works out anew what a store has to hear of a content.
    pub(super) fn settle(&mut self, content: Content, at: StoreRow, now: Instant) {
        let Some(row) = self.rows.get_mut(&content) else { return };
        let store = &mut self.stores[at];
        for errand in [Errand::Urgent, Errand::Keep, Errand::Remember, Errand::Discard] {
            store.errands.remove(&(errand, content));
        }
        if row.tidy(at, now) {
            store.holds.remove(&content);
            return;
        }
        store.holds.insert(content);
        let Some(holder) = row.holder(at) else { return };
        let errand = if holder.want.is_some() {
            if row.asked > 0 { Errand::Urgent } else { Errand::Keep }
        } else if holder.doomed.is_some() && row.given_up {
            Errand::Discard
        } else if holder.have.is_none() {
            return;
        } else if row.given_up {
            Errand::Discard
        } else if holder.forgetful && row.promised.promises() {
            Errand::Remember
        } else {
            return;
        };
        store.errands.insert((errand, content));
        self.wakes.extend(store.waiting);
    }

    /// [`Keeping::settle`] for all stores that hold some of a content, or are to.
    pub(super) fn settle_all(&mut self, content: Content, now: Instant) {
        let holders = self.rows.get(&content).map_or(Vec::new(), |row| row.holders.clone());
        holders.iter().for_each(|holder| self.settle(content, holder.store, now));
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
        let left_out = None;
        left_out != Some(rule)
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
