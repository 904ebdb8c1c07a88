//! Uploads: what is asked for, how far it is; and what the records promise.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::row::{Holder, Row};
use super::state::Keeping;
use super::store::StoreRow;
use super::upload::{
    Asked, FORGOTTEN_AFTER, LOOK_FOR, MAX_UPLOADS, PATIENCE, Progress, Shortage, Upload, UploadKey,
};
use crate::tracker::records::{Content, Promise};
use crate::wire::{ClientId, Policy, Reluctance};

/// What somebody waits for goes to another store when this one has made nothing of it safe for so long.
const STALLED_AFTER: Duration = Duration::from_secs(15);
/// Most uploads forgotten at a time.
const MOST_FORGOTTEN: usize = 256;

impl Keeping {
    /// Somebody asks for a content to be kept, for the first time or again; `base` is the content before it under its
    /// name. If it is not safe yet, this connection is woken when that changes.
    pub fn store(&mut self, asked: Asked, base: Option<Content>, connection: u64, now: Instant) -> Progress {
        self.tick(now);
        let content = asked.promise.content;
        if let Some(upload) = self.uploads.get_mut(&asked.key) {
            (upload.seen, upload.waiting) = (now, Some(connection));
            return self.progress(asked.key, now);
        }
        if self.uploads.len() >= MAX_UPLOADS {
            return Progress::Refused(Shortage::Uploads);
        }
        if !self.is_settling(now)
            && let Some(shortage) = self.shortage(&asked, now)
        {
            return Progress::Refused(shortage);
        }
        let row = self.rows.entry(content).or_insert_with(|| Row::found(asked.promise.chunks, now));
        if row.copies() == 0 {
            row.becomes(&asked.promise);
        }
        let base = base.filter(|base| *base != content);
        let looks_until = Some(now + LOOK_FOR);
        let upload =
            Upload { asked, seen: now, waiting: Some(connection), base, looks_until, short_since: None };
        self.uploads.insert(asked.key, upload);
        self.uploads_of.insert((content, asked.key));
        self.count_asked(content, now);
        self.lets_look(content, base, now);
        self.is_due(content);
        self.progress(asked.key, now)
    }

    /// Stores that hold some of the content before it under its name are to say what that is of this one.
    fn lets_look(&mut self, content: Content, base: Option<Content>, now: Instant) {
        let Some(before) = base.and_then(|base| self.rows.get(&base)) else { return };
        let has = |holder: &&Holder| !holder.have.is_none() && self.stores[holder.store].stays();
        let stores: Vec<StoreRow> = before.holders.iter().filter(has).map(|holder| holder.store).collect();
        let row = self.rows.get(&content);
        let new =
            |at: &StoreRow| row.is_some_and(|row| row.holder(*at).is_none_or(|mine| mine.have.is_none()));
        for at in stores.into_iter().filter(new).collect::<Vec<_>>() {
            self.change(content, at, now, |holder| holder.todo().looks = true);
        }
    }

    /// Uploads of a content.
    pub(super) fn uploads_of(&self, content: Content) -> impl Iterator<Item = &Upload> {
        let first = (content, (ClientId(0), 0));
        let of_it = self.uploads_of.range(first..).take_while(move |(other, _)| *other == content);
        of_it.filter_map(|(_, key)| self.uploads.get(key))
    }

    /// An upload is published, or will not be: what is kept of it is what the records promise.
    pub fn stored(&mut self, key: UploadKey, now: Instant) {
        if let Some(upload) = self.uploads.remove(&key) {
            self.uploads_of.remove(&(upload.content(), key));
            self.count_asked(upload.content(), now);
        }
    }

    /// The records promise this of a content from now on, or nothing.
    pub fn promise(&mut self, content: Content, promise: Option<&Promise>, now: Instant) {
        if promise.is_none() && !self.rows.contains_key(&content) {
            return;
        }
        let chunks = promise.map_or(0, |promise| promise.chunks);
        let row = self.rows.entry(content).or_insert_with(|| Row::found(chunks, now));
        if let Some(promise) = promise {
            row.becomes(promise);
        }
        let before =
            std::mem::replace(&mut row.promised, promise.map_or(Policy::NONE, |promise| promise.policy));
        self.has_surplus |= row.promised < before;
        let (more, needless) = (row.promised > before, row.copies() == 0);
        for holder in &mut row.holders {
            holder.forgetful = true;
            if let Some(todo) = &mut holder.todo {
                todo.told = None;
            }
        }
        if needless {
            self.relieve_all(content, now);
        }
        self.refer(content, now);
        self.settle_all(content, now);
        if more {
            self.forget_who_can_go();
            self.is_due(content);
        }
    }

    /// Works out anew how many copies uploads ask for of a content.
    fn count_asked(&mut self, content: Content, now: Instant) {
        let here = self.here();
        let asked = self.uploads_of(content).map(|upload| upload.asked.copies(here)).max().unwrap_or(0);
        let Some(row) = self.rows.get_mut(&content).filter(|row| row.asked != asked) else { return };
        let before = std::mem::replace(&mut row.asked, asked);
        let needless = row.copies() == 0;
        self.has_surplus |= asked < before;
        if needless {
            self.relieve_all(content, now);
        }
        self.settle_all(content, now);
        self.refer(content, now);
        self.is_due(content);
    }

    fn progress(&self, key: UploadKey, now: Instant) -> Progress {
        let Some((upload, row)) =
            self.uploads.get(&key).and_then(|upload| Some((upload, self.rows.get(&upload.content())?)))
        else {
            return Progress::Storing { covered: 0, needed: 0 };
        };
        let copies = upload.asked.copies(self.here());
        let (covered, needed) = match row.is_nothing(upload.content()) {
            true => (0, 0),
            false => {
                let stays = |at: StoreRow| self.stores[at].stays().then_some(at.0.into());
                let safe = row.safe(stays, copies);
                (safe.iter().sum(), super::part::weight(row.chunks) * u32::from(copies))
            }
        };
        if covered == needed {
            return Progress::Safe;
        }
        let impatient = upload.short_since.is_some_and(|since| since + PATIENCE <= now);
        match self.shortage(&upload.asked, now).filter(|_| impatient) {
            Some(shortage) => Progress::Refused(shortage),
            None => Progress::Storing { covered, needed },
        }
    }

    /// Why so much cannot be kept, as far as can be told before a byte is moved.
    fn shortage(&self, asked: &Asked, now: Instant) -> Option<Shortage> {
        let here = self.here();
        let copies = asked.copies(here);
        if here < usize::from(copies) {
            return Some(Shortage::Stores { here, needed: copies });
        }
        // Each store holds each chunk once at most; what it holds already needs no room.
        let row = self.rows.get(&asked.promise.content);
        let total = asked.promise.total.max(asked.promise.size);
        let room_on = |(at, store): (_, &super::store::Store)| {
            let holder = row.and_then(|row| Some((row, row.holder(at)?)));
            let unwilling = holder.and_then(|(_, holder)| holder.todo.as_ref()?.unwilling);
            let full = matches!(unwilling, Some((_, Reluctance::NoSpace)));
            let has = holder
                .map_or(0, |(row, holder)| row.bytes_of(holder.target(row.chunks).count(row.chunks).into()));
            let free = if full || !store.takes(now) { 0 } else { store.free() };
            free.saturating_add(has).min(total)
        };
        let counting = self.stores.iter().filter(|(_, store)| store.counts());
        let room: u64 = counting.map(room_on).fold(0, u64::saturating_add);
        let needed = total.saturating_mul(copies.into());
        (room < needed).then_some(Shortage::Room { room, needed })
    }

    /// Looks at what somebody waits for: who makes nothing of it, and whether there is room by now.
    pub(super) fn look_at_upload(&mut self, content: Content, now: Instant) {
        self.count_asked(content, now);
        self.pass_on_what_stalls(content, now);
        self.is_due(content);
    }

    /// What a store makes nothing of goes to others, if there are any.
    fn pass_on_what_stalls(&mut self, content: Content, now: Instant) {
        let Some(row) = self.rows.get(&content) else { return };
        let stalls = |holder: &&Holder| {
            let moved = holder.todo.as_ref().and_then(|todo| todo.moved);
            holder.wants() && moved.is_some_and(|moved| moved + STALLED_AFTER <= now)
        };
        let stalled: Vec<StoreRow> = row.holders.iter().filter(stalls).map(|holder| holder.store).collect();
        let lacks = |holder: &Holder| holder.have.count(row.chunks) < row.chunks;
        let may_take = |at: StoreRow| {
            row.holder(at).is_none_or(|holder| !holder.wants() && !holder.is_unwilling(now) && lacks(holder))
        };
        if stalled.is_empty() || !self.stores.iter().any(|(at, store)| store.takes(now) && may_take(at)) {
            return;
        }
        for at in stalled {
            self.pass_on(content, at, (now + 2 * STALLED_AFTER, Reluctance::NoSource), now);
        }
    }

    /// A content has been planned; is there too little room for it?
    pub(super) fn is_planned(&mut self, content: Content, short: bool, now: Instant) {
        self.has_unplaced |= short;
        let keys: Vec<UploadKey> = {
            let first = (content, (ClientId(0), 0));
            let of_it = self.uploads_of.range(first..).take_while(|(other, _)| *other == content);
            of_it.map(|(_, key)| *key).collect()
        };
        for key in keys {
            let Some(upload) = self.uploads.get_mut(&key) else { continue };
            let since = upload.short_since.or(Some(now)).filter(|_| short);
            let impatient = since.is_some_and(|since| since + PATIENCE <= now);
            if impatient || since.is_some() != upload.short_since.is_some() {
                self.wakes.extend(upload.waiting);
            }
            upload.short_since = since;
        }
    }

    /// Wakes who waits for one of these.
    pub(super) fn wake_uploads(&mut self, contents: &BTreeSet<Content>) {
        let waiting = contents.iter().flat_map(|content| self.uploads_of(*content));
        let waiting: Vec<u64> = waiting.filter_map(|upload| upload.waiting).collect();
        self.wakes.extend(waiting);
    }

    pub(super) fn forget_uploads(&mut self, now: Instant) {
        let old = self.uploads.iter().filter(|(_, upload)| upload.seen + FORGOTTEN_AFTER <= now);
        let old: Vec<UploadKey> = old.map(|(key, _)| *key).take(MOST_FORGOTTEN).collect();
        old.into_iter().for_each(|key| self.stored(key, now));
    }
}
