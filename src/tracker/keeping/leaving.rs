//! Stores that are to be taken away: others keep what they hold before they go, and what is gone for good is not waited for.

use std::time::{Duration, Instant};

use super::agenda::Walk;
use super::part;
use super::state::Keeping;
use super::steps::Step;
use super::store::{Presence, StoreRow};
use crate::content::PeerId;
use crate::tracker::records::Content;
use crate::wire::Label;

/// Most contents of a store that are looked at for one that is promised.
const MOST_LOOKED_AT: usize = 64;
/// What a leaving store is still needed for is looked at so often.
const LEAVING_AGAIN: Duration = Duration::from_secs(5);

impl Keeping {
    /// A store is on record, with its name, zone and machine: it is waited for, and then missed.
    pub fn expects(&mut self, peer: PeerId, (name, zone, machine): (Label, Label, Label), now: Instant) {
        if let Some(at) = self.stores.enter(peer, now) {
            self.stores[at].is_called(name, zone, machine);
            self.stores[at].is_recorded(true, now);
            self.knows_stores = true;
        }
    }

    /// What the records are to say of a store and do not: it has said all that it holds, and holds something that is promised.
    pub fn unrecorded(&self, peer: PeerId, now: Instant) -> Option<(Label, Label, Label)> {
        let store = &self.stores[self.stores.find(peer)?];
        let is_promised =
            |content: &Content| self.rows.get(content).is_some_and(|row| row.promised.promises());
        let unrecorded = store.unrecorded(now)?;
        store.holds.iter().take(MOST_LOOKED_AT).any(is_promised).then_some(unrecorded)
    }

    /// What a store is called, its zone and its machine.
    pub fn labels(&self, peer: PeerId) -> Option<(Label, Label, Label)> {
        Some(self.stores[self.stores.find(peer)?].labels())
    }

    /// A store is on record as it is.
    pub fn is_recorded(&mut self, peer: PeerId, now: Instant) {
        if let Some(at) = self.stores.find(peer) {
            self.stores[at].is_recorded(true, now);
        }
    }

    /// A store is about to be put on record; whatever comes of that, it is not tried again for a while.
    pub fn tries_to_record(&mut self, peer: PeerId, now: Instant) {
        if let Some(at) = self.stores.find(peer) {
            self.stores[at].is_recorded(false, now);
        }
    }

    /// Others are to keep what a store holds, so that it can be taken away; or not, after all.
    pub fn leaves(&mut self, peer: PeerId, leaving: bool, now: Instant) {
        let Some(at) = self.stores.enter(peer, now).filter(|at| self.stores[*at].leaving != leaving) else {
            return;
        };
        self.stores[at].leaving = leaving;
        self.forget_who_can_go();
        (self.has_surplus, self.calm_since) = (true, None);
        self.agenda.walk(Walk::Of(at), false);
        self.agenda.walk(Walk::Uploads, true);
    }

    /// True if a store has a registration.
    pub fn is_here(&self, peer: PeerId) -> bool {
        self.stores.find(peer).is_some_and(|at| self.stores[at].presence != Presence::Away)
    }

    /// A store that is away is not waited for any more. One that has come meanwhile is as any other.
    pub fn forgets(&mut self, peer: PeerId, now: Instant) {
        let Some(at) = self.stores.find(peer).filter(|_| !self.is_here(peer)) else { return };
        (self.stores[at].forgotten, self.stores[at].missed, self.stores[at].leaving) = (true, true, false);
        self.stores[at].is_recorded(false, now);
        self.agenda.walk(Walk::Of(at), false);
    }

    /// What leaving stores are needed for is another question now.
    pub(super) fn forget_who_can_go(&mut self) {
        self.stores.iter_mut().for_each(|store| store.needed_for = None);
    }

    pub(super) fn look_after_leaving(&mut self, now: Instant) {
        // Whatever else is to be gone over: where there are uploads all the time, there is always something.
        let looks = self.agenda.walks.iter().any(|(walk, _)| matches!(walk, Walk::Leaving(_)));
        if self.looked_after_leaving + LEAVING_AGAIN > now || looks {
            return;
        }
        self.looked_after_leaving = now;
        let leaving = self.stores.iter().filter(|(_, store)| store.leaving && store.needed_for != Some(0));
        let leaving: Vec<StoreRow> = leaving.map(|(at, _)| at).collect();
        leaving.into_iter().for_each(|at| self.agenda.walk(Walk::Leaving(at), false));
    }

    /// True if something that this store holds of a content is not as safe as promised without the stores that are leaving. What it does
    /// not hold, of an upload that has not come far, say, keeps it from nothing.
    pub(super) fn is_needed(&self, content: Content, at: StoreRow, step: &mut Step) -> bool {
        if let Some(pair) = self.pair_of(content) {
            return !self.is_whole_without_leaving(&pair, step);
        }
        let Some(row) = self.rows.get(&content).filter(|row| row.copies() > 0 && !row.is_nothing(content))
        else {
            return false;
        };
        let Some(mine) = row.holder(at).map(|holder| &holder.have) else { return false };
        step.does(part::words(row.chunks) * (1 + row.holders.len()));
        let staying = row.parts(|at| self.stores[at].stays().then_some(at.0.into()));
        let copies = row.copies().into();
        let needed = |word| {
            mine.word(word) & part::used(word, row.chunks) & !part::levels(&staying, word).at_least(copies)
        };
        (0..part::words(row.chunks)).any(|word| needed(word) != 0)
    }
}
