//! What stores say, and the passing of time.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::time::{Duration, Instant};

use super::part::Part;
use super::row::{Row, Want};
use super::state::{Keeping, Rule};
use super::store::{Presence, StoreRow};
use crate::content::PeerId;
use crate::tracker::records::Content;
use crate::wire::{Decline, KeptPart, Label, Lend, Lent, Reluctance, limits};

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
/// What somebody waits for goes to another store when this one has made nothing of it safe for so long.
const STALLED_AFTER: Duration = Duration::from_secs(30);
/// Time's work is done no more often.
const TICK: Duration = Duration::from_secs(1);
/// Contents looked at for missing copies at a time.
const SWEEP: usize = 512;

/// Why what a store says changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// It has not said LEND on this connection, or serves somebody else.
    #[error("LEND comes first, with this tracker's authority and term")]
    NotLent,
    /// There is no room to note it.
    #[error("this tracker has no room for what more stores say")]
    Full,
}

impl Keeping {
    /// A store says what it lends and whom it serves.
    ///
    /// # Errors
    /// [`NotTaken::Full`]: there are too many stores.
    pub fn lend(
        &mut self,
        (peer, connection): (PeerId, u64),
        lend: &Lend,
        name: Label,
        now: Instant,
    ) -> Result<Lent, NotTaken> {
        let at = self.stores.enter(peer, now).ok_or(NotTaken::Full)?;
        let ours = (lend.authority, lend.term) == (self.terms.authority, self.terms.term);
        let at_once = !self.heeds(Rule::ReportsAreAwaited);
        let store = &mut self.stores[at];
        let (counted, before) = (store.counts(), store.presence);
        store.says(lend, name);
        store.presence = match before {
            here @ Presence::Here { connection: on, .. } if ours && on == connection => here,
            _ if ours => {
                store.report += 1;
                Presence::Here { connection, reported: at_once }
            }
            _ => Presence::Foreign { connection },
        };
        let report = store.presence == Presence::Here { connection, reported: false };
        if counted && !store.counts() {
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

    /// A store's registration on this connection has ended.
    pub fn gone(&mut self, peer: PeerId, connection: u64, now: Instant) {
        if let Some(at) = self.stores.find(peer).filter(|at| self.stores[*at].is_on(connection)) {
            self.goes(at, now);
        }
    }

    /// A peer's registration has ended, whatever its connection.
    pub fn expire(&mut self, peer: PeerId, now: Instant) {
        let here = |at: &StoreRow| !matches!(self.stores[*at].presence, Presence::Away { .. });
        if let Some(at) = self.stores.find(peer).filter(here) {
            self.goes(at, now);
        }
    }

    fn goes(&mut self, at: StoreRow, now: Instant) {
        self.stores[at].presence = Presence::Away { since: now, missed: false };
        self.stores[at].waiting = None;
        self.lost(at, now);
    }

    /// What a store that counts no more was to keep, others are to keep, if somebody waits for it.
    fn lost(&mut self, at: StoreRow, now: Instant) {
        let owing = self.stores[at].errands.iter().map(|(_, content)| *content);
        let owing: Vec<Content> = owing.collect();
        owing.iter().for_each(|content| self.change(*content, at, now, |holder| holder.want = None));
        self.plan_uploads(now);
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
            self.has_reported(at, now);
        }
        Ok(())
    }

    /// Notes what a store holds of a content; true if somebody waits for that.
    fn holds(&mut self, at: StoreRow, part: &KeptPart, now: Instant) -> bool {
        let content = (part.id, part.view);
        if part.chunks > limits::MAX_CHUNKS {
            return false;
        }
        let row = self.rows.entry(content).or_insert_with(|| Row::found(content, part.chunks, now));
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
        self.change(content, at, now, |holder| {
            let gained = !have.without(&holder.have, chunks).is_none();
            holder.holds(have, chunks, now);
            holder.report = report;
            if let Some(want) = holder.want.as_mut().filter(|_| gained) {
                want.moved = Some(now);
                holder.told = Some(now);
            }
        });
        self.refer(content, now);
        asked
    }

    /// What the store did not name it does not hold; from now on what it holds counts.
    fn has_reported(&mut self, at: StoreRow, now: Instant) {
        let store = &mut self.stores[at];
        if let Presence::Here { reported, .. } = &mut store.presence {
            *reported = true;
        }
        let report = store.report;
        let held: Vec<Content> = store.holds.iter().copied().collect();
        for content in held {
            let old = self.rows.get(&content).and_then(|row| row.holder(at)).map(|holder| holder.report);
            if old.is_some_and(|old| old != report) {
                self.change(content, at, now, |holder| holder.have = Part::None);
                self.refer(content, now);
            }
        }
        self.sweep = Some(None);
        self.plan_uploads(now);
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
        self.plan_for_uploads(&BTreeSet::from([content]), now);
        Ok(())
    }

    /// A store is not asked to keep any more of this for a while.
    fn pass_on(&mut self, content: Content, at: StoreRow, why: (Instant, Reluctance), now: Instant) {
        self.change(content, at, now, |holder| (holder.want, holder.unwilling) = (None, Some(why)));
    }

    /// Does what time brings; calling it too often costs nothing.
    pub fn tick(&mut self, now: Instant) {
        if now < self.ticked + TICK {
            return;
        }
        self.ticked = now;
        self.forget_uploads(now);
        self.pass_on_what_stalls(now);
        self.plan_uploads(now);
        self.give_up(now);
        let long_ago = self.started + self.terms.repair_after <= now;
        if self.stores.misses(self.terms.repair_after, now) || (long_ago && !self.mends) {
            (self.mends, self.sweep) = (long_ago, Some(None));
        }
        self.look_for_missing(now);
    }

    /// What somebody waits for and a store makes nothing of goes to others, if there are any.
    fn pass_on_what_stalls(&mut self, now: Instant) {
        let contents: Vec<Content> = self.uploads.values().map(|upload| upload.content()).collect();
        for content in contents {
            let Some(row) = self.rows.get(&content) else { continue };
            let stalls = |want: &Want| want.moved.is_some_and(|moved| moved + STALLED_AFTER <= now);
            let stalled = row.holders.iter().filter(|holder| holder.want.as_ref().is_some_and(stalls));
            let stalled: Vec<StoreRow> = stalled.map(|holder| holder.store).collect();
            let others = self.stores.iter().filter(|(at, store)| {
                store.takes(now) && row.holder(*at).is_none_or(|holder| holder.want.is_none())
            });
            if others.filter(|(at, _)| row.holder(*at).is_none_or(|holder| !holder.is_unwilling(now))).count()
                == 0
            {
                continue;
            }
            for at in stalled {
                self.pass_on(content, at, (now + 2 * STALLED_AFTER, Reluctance::NoSource), now);
            }
        }
    }

    /// What nothing has referred to for long enough is to be given up by who holds it.
    fn give_up(&mut self, now: Instant) {
        while let Some((since, content)) = self.idle.first().copied() {
            if since + self.terms.grace > now {
                return;
            }
            self.idle.remove(&(since, content));
            if let Some(row) = self.rows.get_mut(&content) {
                row.given_up = true;
            }
            self.settle_all(content, now);
            self.refer(content, now);
        }
    }

    /// Looks at the next contents for copies that are missing.
    fn look_for_missing(&mut self, now: Instant) {
        let Some(after) = self.sweep else { return };
        let behind = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let next: Vec<Content> = self.rows.range(behind).take(SWEEP).map(|(content, _)| *content).collect();
        self.sweep = next.last().filter(|_| next.len() == SWEEP).map(|last| Some(*last));
        next.iter().for_each(|content| {
            self.plan(*content, now);
        });
    }
}
