//! What stores say, and the passing of time.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::agenda::Walk;
use super::part::Part;
use super::row::Row;
use super::state::{Keeping, Rule};
use super::store::{Presence, StoreRow};
use crate::content::{Chunk, FileId, PeerId};
use crate::tracker::records::Content;
use crate::wire::{Authority, Decline, KeptPart, Label, Lend, Lent, Reluctance, View, limits};

/// Most contents of which one store may hold something.
const MAX_CONTENTS: usize = 2_000_000;
/// Most bytes of memory that the reports of one store may take.
const MAX_REPORT_BYTES: usize = 256 << 20;
/// A store that has no room is asked again after so long.
const ROOM_AGAIN: Duration = Duration::from_secs(60);
/// A store that found no source, or makes no progress where others may, is asked again after so long.
const SOURCE_AGAIN: Duration = Duration::from_secs(10);
/// A store with a damaged disk is given nothing for so long.
const UNFIT: Duration = Duration::from_secs(600);
/// Time's work is done no more often.
const TICK: Duration = Duration::from_secs(1);
/// Where no store was found for something, all is looked at again after so long: another may have come, or has room.
const PLACES_AGAIN: Duration = Duration::from_secs(15);
/// Most chunks of a content that a store is to read again at a time.
const MAX_DOUBTED: usize = 16;

/// Why what a store says changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// It has not said LEND on this connection, or serves somebody else.
    #[error("LEND comes first, with this tracker's authority and term")]
    NotLent,
    /// It is not known here yet whose duties these are: what a store would serve then would be nobody.
    #[error("the trackers of this cluster have not met yet")]
    NotMet,
    /// There is no room to note it.
    #[error("this tracker has no room for what more stores say")]
    Full,
}

impl Keeping {
    /// A store says what it lends and whom it serves.
    ///
    /// # Errors
    /// [`NotTaken::NotMet`]; [`NotTaken::Full`]: there are too many stores.
    pub fn lend(
        &mut self,
        (peer, connection): (PeerId, u64),
        lend: &Lend,
        name: Label,
        now: Instant,
    ) -> Result<Lent, NotTaken> {
        if self.terms.authority == Authority::NONE {
            return Err(NotTaken::NotMet);
        }
        let at = self.stores.enter(peer, now).ok_or(NotTaken::Full)?;
        let ours = (lend.authority, lend.term) == (self.terms.authority, self.terms.term);
        let at_once = !self.heeds(Rule::ReportsAreAwaited);
        let store = &mut self.stores[at];
        let (counted, before) = (store.counts(), store.presence);
        store.says(lend, name);
        store.forgotten = false;
        store.presence = match before {
            here @ Presence::Here { connection: on, .. } if ours && on == connection => here,
            _ if ours => {
                store.report += 1;
                Presence::Here { connection, reported: at_once }
            }
            _ => Presence::Foreign { connection },
        };
        let report = store.presence == Presence::Here { connection, reported: false };
        if store.presence != before {
            self.agenda.stop(Walk::Reported(at));
        }
        if counted && !self.stores[at].counts() {
            self.lost(at, now);
        }
        let terms = self.terms;
        Ok(Lent {
            authority: terms.authority,
            term: terms.term,
            lasting: terms.lasting,
            recovers: terms.recovers,
            report,
            records: report && (terms.recovers || !terms.lasting),
        })
    }

    /// A store's registration on this connection has ended. Returns true if there was one.
    pub fn gone(&mut self, peer: PeerId, connection: u64, now: Instant) -> bool {
        let at = self.stores.find(peer).filter(|at| self.stores[*at].is_on(connection));
        at.map(|at| self.goes(at, now)).is_some()
    }

    /// A peer's registration has ended, whatever its connection. Returns true if it was a store.
    pub fn expire(&mut self, peer: PeerId, now: Instant) -> bool {
        let here = |at: &StoreRow| self.stores[*at].presence != Presence::Away;
        let at = self.stores.find(peer).filter(here);
        at.map(|at| self.goes(at, now)).is_some()
    }

    fn goes(&mut self, at: StoreRow, now: Instant) {
        self.stores[at].presence = Presence::Away;
        self.stores[at].waiting = None;
        self.agenda.stop(Walk::Reported(at));
        self.lost(at, now);
    }

    /// What a store that counts no more was to keep, others are to keep.
    pub(super) fn lost(&mut self, at: StoreRow, now: Instant) {
        let store = &mut self.stores[at];
        store.missing_since = store.missing_since.or(Some(now));
        (store.missed, self.calm_since) = (false, None);
        self.forget_who_can_go();
        self.agenda.walk(Walk::Of(at), false);
        self.agenda.walk(Walk::Uploads, true);
    }

    /// A store says what it holds for good of some contents, and whether that was all.
    ///
    /// # Errors
    /// [`NotTaken`]; nothing was changed, or what came before in the list.
    pub fn kept(
        &mut self,
        (peer, connection): (PeerId, u64),
        parts: &[KeptPart],
        last: bool,
        now: Instant,
    ) -> Result<(), NotTaken> {
        let here = |at: &StoreRow| {
            self.stores[*at].is_on(connection) && matches!(self.stores[*at].presence, Presence::Here { .. })
        };
        let at = self.stores.find(peer).filter(here).ok_or(NotTaken::NotLent)?;
        let mut awaited = BTreeSet::new();
        for part in parts {
            let store = &self.stores[at];
            if store.bytes > MAX_REPORT_BYTES || store.holds.len() > MAX_CONTENTS {
                return Err(NotTaken::Full);
            }
            if self.holds(at, part, now) {
                awaited.insert((part.id, part.view));
            }
        }
        self.wake_uploads(&awaited);
        if last {
            self.agenda.walk(Walk::Reported(at), true);
        }
        Ok(())
    }

    /// Notes what a store holds of a content; true if somebody waits for that.
    fn holds(&mut self, at: StoreRow, part: &KeptPart, now: Instant) -> bool {
        let content = (part.id, part.view);
        if part.chunks > limits::MAX_CHUNKS {
            return false;
        }
        let row = self.rows.entry(content).or_insert_with(|| Row::found(part.chunks, now));
        if row.holders.is_empty() && row.copies() == 0 {
            row.chunks = part.chunks;
            let since = *row.idle_since.get_or_insert(now);
            self.idle.insert((since, content));
        }
        let (chunks, given_up, asked) = (row.chunks, row.given_up, row.asked > 0);
        let Some(mut have) = Part::new(&part.have, chunks).filter(|_| part.chunks == chunks) else {
            return false;
        };
        if chunks == 0 && !given_up {
            have = Part::All; // its listing: of a content without chunks, nothing and all look alike
        }
        let report = self.stores[at].report;
        let (mut looked, mut gained, mut less) = (false, false, false);
        self.change(content, at, now, |holder| {
            looked = holder.todo.as_ref().is_some_and(|todo| todo.looks);
            less = !holder.have.without(&have, chunks).is_none();
            gained = holder.holds(have, chunks, now);
            holder.report = report;
        });
        self.has_surplus |= gained;
        if less {
            self.has_lost_some(content);
        } else if looked {
            self.is_due(content);
        }
        self.refer(content, now);
        asked
    }

    /// What the store did not name in its last report it does not hold.
    pub(super) fn forget_unnamed(&mut self, content: Content, at: StoreRow, now: Instant) {
        let report = self.stores[at].report;
        let old = self.rows.get(&content).and_then(|row| row.holder(at)).map(|holder| holder.report);
        if old.is_some_and(|old| old != report) {
            self.change(content, at, now, |holder| holder.have = Part::None);
            self.has_lost_some(content);
            self.refer(content, now);
        }
    }

    /// A store does not hold any more what it held of a content.
    fn has_lost_some(&mut self, content: Content) {
        if let Some(row) = self.rows.get_mut(&content) {
            row.fewest = row.fewest.saturating_sub(1);
        }
        self.forget_who_can_go();
        self.is_due(content);
    }

    /// Somebody could not get a chunk from a store, or got something else: it is to read it again.
    pub fn doubts(&mut self, peer: PeerId, id: FileId, chunk: Chunk, now: Instant) {
        let Some(at) = self.stores.find(peer).filter(|at| self.stores[*at].counts()) else { return };
        for content in [(id, View::Bytes), (id, View::Members)] {
            let holder = self.rows.get(&content).and_then(|row| row.holder(at));
            if holder.is_some_and(|holder| holder.have.contains(chunk)) {
                self.change(content, at, now, |holder| {
                    let doubted = &mut holder.todo().doubted;
                    if doubted.len() < MAX_DOUBTED && !doubted.contains(&chunk) {
                        doubted.push(chunk);
                    }
                });
            }
        }
    }

    /// A store does not keep what it was to keep.
    ///
    /// # Errors
    /// [`NotTaken::NotLent`].
    pub fn decline(
        &mut self,
        (peer, connection): (PeerId, u64),
        decline: &Decline,
        now: Instant,
    ) -> Result<(), NotTaken> {
        let on = |at: &StoreRow| self.stores[*at].is_on(connection);
        let at = self.stores.find(peer).filter(on).ok_or(NotTaken::NotLent)?;
        let content = (decline.id, decline.view);
        let again = match decline.reason {
            Reluctance::NoSpace => ROOM_AGAIN,
            Reluctance::NoSource => SOURCE_AGAIN,
            Reluctance::Damaged => UNFIT,
        };
        let store = &mut self.stores[at];
        if decline.reason == Reluctance::Damaged {
            store.unfit_until = Some(now + again);
        }
        if self.rows.contains_key(&content) {
            self.pass_on(content, at, (now + again, decline.reason), now);
        }
        if decline.reason == Reluctance::NoSpace {
            let store = &mut self.stores[at];
            store.used = store.used.max(store.capacity.saturating_sub(decline.free));
        }
        self.is_due(content);
        Ok(())
    }

    /// A store is not asked to keep any more of this for a while.
    pub(super) fn pass_on(
        &mut self,
        content: Content,
        at: StoreRow,
        why: (Instant, Reluctance),
        now: Instant,
    ) {
        let chunks = self.rows.get(&content).map_or(0, |row| row.chunks);
        self.change(content, at, now, |holder| {
            holder.is_relieved(None, chunks);
            let todo = holder.todo();
            // It has said that it will not, or makes nothing of it: there is nothing to be taken back.
            (todo.recalled, todo.looks, todo.unwilling) = (false, false, Some(why));
        });
    }

    /// Does what time brings; calling it too often costs nothing.
    pub fn tick(&mut self, now: Instant) {
        if now < self.ticked + TICK {
            return;
        }
        self.ticked = now;
        self.forget_uploads(now);
        for at in self.stores.misses(self.terms.repair_after, now) {
            self.agenda.walk(Walk::Of(at), false);
        }
        let all_here = self.knows_stores && self.stores.iter().all(|(_, store)| !store.is_awaited());
        if self.leads && !self.mends && (all_here || self.started + self.terms.repair_after <= now) {
            self.mends = true;
            self.agenda.walk(Walk::All, false);
        }
        if self.has_unplaced && self.agenda.is_empty() && self.looked_for_places + PLACES_AGAIN <= now {
            (self.has_unplaced, self.looked_for_places) = (false, now);
            self.agenda.walk(Walk::All, false);
        }
        let levels = std::array::from_fn(|more| self.stores.level(more + 1));
        if std::mem::replace(&mut self.levels, levels) != levels {
            self.has_surplus = true;
            self.agenda.walk(Walk::All, false);
        }
        self.look_after_leaving(now);
        self.look_whether_calm(now);
        // Behind what waits until nothing is to be gone over: somebody may ask for uploads all the time.
        if !self.uploads.is_empty() {
            self.agenda.walk(Walk::Uploads, true);
        }
    }

    /// The next content to which nothing has referred for long enough.
    pub(super) fn outlived(&self, now: Instant) -> Option<Content> {
        let (since, content) = self.idle.first()?;
        (*since + self.terms.grace <= now).then_some(*content)
    }

    /// Who holds a content is to give it up.
    pub(super) fn give_up(&mut self, content: Content, now: Instant) {
        let Some(row) = self.rows.get_mut(&content) else { return };
        if let Some(since) = row.idle_since {
            self.idle.remove(&(since, content));
        }
        row.given_up = true;
        self.settle_all(content, now);
        self.refer(content, now);
    }
}
