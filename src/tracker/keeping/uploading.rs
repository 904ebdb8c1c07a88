//! Uploads: what is asked for, how far it is; and what the records promise.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::row::{Holder, Promised, Row};
use super::state::Keeping;
use super::store::StoreRow;
use super::upload::{
    Asked, FORGOTTEN_AFTER, LOOK_FOR, MAX_UPLOADS, PATIENCE, Progress, Shortage, Upload, UploadKey,
};
use crate::tracker::records::{Content, Promise};
use crate::wire::{ClientId, Reluctance, Side};

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
        for promise in asked.promises() {
            let row = self.rows.entry(promise.content).or_insert_with(|| Row::found(promise.chunks, now));
            if row.copies() == 0 {
                row.becomes(&promise);
            }
        }
        let base = base.filter(|base| *base != content);
        let looks_until = Some(now + LOOK_FOR);
        let upload =
            Upload { asked, seen: now, waiting: Some(connection), base, looks_until, short_since: None };
        self.uploads.insert(asked.key, upload);
        for content in asked.promises().map(|promise| promise.content) {
            self.uploads_of.insert((content, asked.key));
            self.count_asked(content, now);
        }
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
            upload.contents().for_each(|content| {
                self.uploads_of.remove(&(content, key));
            });
            upload.contents().for_each(|content| self.count_asked(content, now));
        }
    }

    /// The records promise this of a content from now on, or nothing.
    pub fn promise(&mut self, content: Content, promise: Option<&Promise>, now: Instant) {
        if promise.is_none() && !self.rows.contains_key(&content) {
            return;
        }
        let chunks = promise.map_or(0, |promise| promise.chunks);
        let row = self.rows.entry(content).or_insert_with(|| Row::found(chunks, now));
        let before = (row.promised, row.code.take());
        if let Some(promise) = promise {
            row.becomes(promise);
            row.code = promise.code.map(Box::new);
        }
        row.promised = Promised::new(promise);
        let is_other = row.code != before.1;
        self.has_surplus |= row.promised < before.0 || is_other;
        let (more, needless) = (row.promised > before.0 || is_other, row.copies() == 0);
        for holder in &mut row.holders {
            holder.forgetful = true;
            if let Some(todo) = &mut holder.todo {
                todo.told = None;
            }
        }
        if promise.is_none() || is_other {
            self.count_asked(content, now);
        }
        if is_other && let Some(code) = before.1 {
            self.is_due(code.other());
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
        let code_of = |upload: &Upload| {
            upload
                .asked
                .promises()
                .find(|promise| promise.content == content)
                .and_then(|promise| promise.code)
        };
        // Of what nobody promises yet: a code if all ask for the same one.
        let first = self.uploads_of(content).next().and_then(code_of);
        let of_uploads = first.filter(|_| self.uploads_of(content).all(|upload| code_of(upload) == first));
        let Some(row) = self.rows.get(&content) else { return };
        let code = if row.promised.promises() { row.code.as_deref().copied() } else { of_uploads };
        let needed = |upload: &Upload| match code_of(upload) {
            Some(one) if code == Some(one) || one.of != Side::Data => 1,
            _ => upload.asked.copies(here),
        };
        let asked = self.uploads_of(content).map(needed).max().unwrap_or(0);
        let Some(row) = self.rows.get_mut(&content) else { return };
        let is_same = row.asked == asked && row.code.as_deref() == code.as_ref();
        if is_same {
            return;
        }
        row.code = code.map(Box::new);
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
        let pair = self
            .pair_of(upload.content())
            .filter(|_| row.code.as_deref() == upload.asked.promise.code.as_ref());
        let (covered, needed) = match pair {
            _ if row.is_nothing(upload.content()) => (0, 0),
            Some(pair) => self.covered(&pair, &upload.asked),
            None => {
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
        if here < asked.stores(here) {
            return Some(match asked.promise.code {
                Some(code) => Shortage::Shards { here, k: code.shape.k(), m: code.shape.m() },
                None => Shortage::Stores { here, needed: asked.copies(here) },
            });
        }
        // Each store holds each chunk once at most; what it holds already needs no room.
        let row = self.rows.get(&asked.promise.content);
        let total = asked.promise.total.max(asked.promise.size);
        // Of a code each store has a share, and not all.
        let (most, needed) = match asked.promise.code.zip(asked.promise.of_parity()) {
            Some((code, parity)) => {
                // Where chunks are filled up with zeros, a shard of parity has more bytes than one of data.
                let shard = (total / u64::from(code.shape.k())).max(parity.total / u64::from(code.shape.m()));
                let each = u64::from(code.shape.shards()).div_ceil(asked.stores(here).max(1) as u64);
                (shard * each, total + parity.total)
            }
            None => (total, total.saturating_mul(asked.copies(here).into())),
        };
        let room_on = |(at, store): (_, &super::store::Store)| {
            let holder = row.and_then(|row| Some((row, row.holder(at)?)));
            let unwilling = holder.and_then(|(_, holder)| holder.todo.as_ref()?.unwilling);
            let full = matches!(unwilling, Some((_, Reluctance::NoSpace)));
            let has =
                holder.map_or(0, |(row, holder)| row.bytes_of(holder.target().count(row.chunks).into()));
            let free = if full || !store.takes(now) { 0 } else { store.free() };
            free.saturating_add(has).min(most)
        };
        let counting = self.stores.iter().filter(|(_, store)| store.counts());
        let room: u64 = counting.map(room_on).fold(0, u64::saturating_add);
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
            let hangs = self.stores[holder.store].hangs(now);
            holder.wants() && (hangs || moved.is_some_and(|moved| moved + STALLED_AFTER <= now))
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
        self.calm_since = self.calm_since.filter(|_| !short);
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
