//! Uploads: what is asked for, how far it is; and what the records promise.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::row::Row;
use super::state::Keeping;
use super::upload::{Asked, FORGOTTEN_AFTER, MAX_UPLOADS, PATIENCE, Progress, Shortage, Upload, UploadKey};
use crate::tracker::records::{Content, Promise};
use crate::wire::{Policy, Reluctance};

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
        let upload = Upload { asked, seen: now, waiting: Some(connection), short_since: None };
        self.uploads.insert(asked.key, upload);
        let row = self.rows.entry(content).or_insert_with(|| Row::found(content, asked.promise.chunks, now));
        if row.copies() == 0 {
            row.becomes(&asked.promise);
        }
        row.base = base.filter(|base| *base != content);
        self.plan_for_uploads(&BTreeSet::from([content]), now);
        self.progress(asked.key, now)
    }

    /// An upload is published, or will not be: what is kept of it is what the records promise.
    pub fn stored(&mut self, key: UploadKey, now: Instant) {
        if let Some(upload) = self.uploads.remove(&key) {
            self.count_asked(&BTreeSet::from([upload.content()]), now);
        }
    }

    /// The records promise this of a content from now on, or nothing.
    pub fn promise(&mut self, content: Content, promise: Option<&Promise>, now: Instant) {
        if promise.is_none() && !self.rows.contains_key(&content) {
            return;
        }
        let chunks = promise.map_or(0, |promise| promise.chunks);
        let row = self.rows.entry(content).or_insert_with(|| Row::found(content, chunks, now));
        if let Some(promise) = promise {
            row.becomes(promise);
        }
        row.promised = promise.map_or(Policy::NONE, |promise| promise.policy);
        row.holders.iter_mut().for_each(|holder| (holder.forgetful, holder.told) = (true, None));
        self.refer(content, now);
        self.settle_all(content, now);
    }

    /// Works out anew how many copies uploads ask for of these contents.
    fn count_asked(&mut self, contents: &BTreeSet<Content>, now: Instant) {
        let here = self.here();
        let mut asked: BTreeMap<Content, u8> = contents.iter().map(|content| (*content, 0)).collect();
        for upload in self.uploads.values() {
            if let Some(asked) = asked.get_mut(&upload.content()) {
                *asked = (*asked).max(upload.asked.copies(here));
            }
        }
        asked.into_iter().for_each(|(content, asked)| self.set_asked(content, asked, now));
    }

    fn set_asked(&mut self, content: Content, asked: u8, now: Instant) {
        let Some(row) = self.rows.get_mut(&content).filter(|row| row.asked != asked) else { return };
        row.asked = asked;
        if row.copies() == 0 {
            let wanting =
                row.holders.iter().filter(|holder| holder.want.is_some()).map(|holder| holder.store);
            let wanting: Vec<_> = wanting.collect();
            wanting.iter().for_each(|at| self.change(content, *at, now, |holder| holder.want = None));
        }
        self.settle_all(content, now);
        self.refer(content, now);
    }

    fn progress(&self, key: UploadKey, now: Instant) -> Progress {
        let Some((upload, row)) =
            self.uploads.get(&key).and_then(|upload| Some((upload, self.rows.get(&upload.content())?)))
        else {
            return Progress::Storing { covered: 0, needed: 0 };
        };
        let copies = upload.asked.copies(self.here());
        let (covered, needed) = match row.is_nothing() {
            true => (0, 0),
            false => {
                let safe = row.safe(|store| self.stores[store].counts(), copies);
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
            let full =
                holder.is_some_and(|(_, holder)| matches!(holder.unwilling, Some((_, Reluctance::NoSpace))));
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

    pub(super) fn plan_uploads(&mut self, now: Instant) {
        let contents = self.uploads.values().map(|upload| upload.content()).collect();
        self.plan_for_uploads(&contents, now);
    }

    /// Plans what is missing of these contents, as far as somebody waits for them.
    pub(super) fn plan_for_uploads(&mut self, contents: &BTreeSet<Content>, now: Instant) {
        self.count_asked(contents, now);
        let mut short = BTreeSet::new();
        for content in contents {
            if self.rows.get(content).is_some_and(|row| row.asked > 0) && self.plan(*content, now) {
                short.insert(*content);
            }
        }
        for upload in self.uploads.values_mut() {
            let content = upload.content();
            if contents.contains(&content) {
                let since = upload.short_since.or(Some(now));
                upload.short_since = since.filter(|_| short.contains(&content));
                self.wakes.extend(upload.waiting);
            }
        }
    }

    /// Wakes who waits for one of these.
    pub(super) fn wake_uploads(&mut self, contents: &BTreeSet<Content>) {
        let of_them = self.uploads.values().filter(|upload| contents.contains(&upload.content()));
        self.wakes.extend(of_them.filter_map(|upload| upload.waiting));
    }

    pub(super) fn forget_uploads(&mut self, now: Instant) {
        let old = self.uploads.iter().filter(|(_, upload)| upload.seen + FORGOTTEN_AFTER <= now);
        let old: Vec<UploadKey> = old.map(|(key, _)| *key).collect();
        old.into_iter().for_each(|key| self.stored(key, now));
    }
}
