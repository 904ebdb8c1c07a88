//! One content: what is promised of it, who waits for it, and which store holds or is to hold what of it.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::part::{Part, copies, weight};
use super::store::{Errand, StoreRow};
use crate::content::{Chunk, PROOF_RUN};
use crate::tracker::records::{Content, Promise};
use crate::wire::{Coding, Reluctance, View};

/// What a store says that it holds although it was told to give it up is not believed for so long: it may have said so
/// before it did.
const DOOMED_FOR: Duration = Duration::from_secs(60);

/// What a store was told to give up, and may have given up although it was heard to hold it.
#[derive(Debug, Clone)]
pub(super) struct Doomed {
    pub(super) chunks: Part,
    pub(super) told: Instant,
    /// True once the store has asked for duties again: it has done what it was told before, or will not.
    pub(super) settled: bool,
}

/// What is to be done about a content at one store; most of the time nothing is.
#[derive(Debug, Clone, Default)]
pub(super) struct Todo {
    /// What the store is to keep and does not yet: none of it is in [`Holder::have`].
    pub(super) want: Part,
    /// What of that others are to give up for it, though nothing is missing.
    pub(super) passed_on: Part,
    /// When the store was told of that, or last made some of it safe.
    pub(super) moved: Option<Instant>,
    /// None of this is in [`Holder::have`].
    pub(super) doomed: Option<Doomed>,
    /// What others have enough of, as it seemed when it was looked at.
    pub(super) surplus: Part,
    /// True if it was told to keep what it is not to keep any more.
    pub(super) recalled: bool,
    /// True until it has said what it has of a content that is to be kept.
    pub(super) looks: bool,
    /// Chunks that somebody could not get from it.
    pub(super) doubted: Vec<Chunk>,
    /// Until then it is not asked to keep anything of this, and why.
    pub(super) unwilling: Option<(Instant, Reluctance)>,
    /// What it has to hear, and when it was told.
    pub(super) errand: Option<Errand>,
    pub(super) told: Option<Instant>,
}

impl Todo {
    fn is_done(&self, now: Instant) -> bool {
        let Todo { want, doomed, surplus, recalled, looks, doubted, unwilling, errand, .. } = self;
        let idle = want.is_none() && doomed.is_none() && surplus.is_none() && !recalled && !looks;
        idle && doubted.is_empty() && errand.is_none() && unwilling.is_none_or(|(until, _)| until <= now)
    }
}

/// A store that holds some of a content, or is to.
#[derive(Debug, Clone)]
pub(super) struct Holder {
    pub(super) store: StoreRow,
    /// True until it is heard to remember what this stands for.
    pub(super) forgetful: bool,
    /// The number of the report that named it last.
    pub(super) report: u32,
    pub(super) have: Part,
    /// In a box: there are many holders, and few of them have something to do.
    pub(super) todo: Option<Box<Todo>>,
}

impl Holder {
    fn new(store: StoreRow) -> Holder {
        Holder { store, forgetful: false, report: 0, have: Part::None, todo: None }
    }

    /// What is to be done, to be changed.
    pub(super) fn todo(&mut self) -> &mut Todo {
        self.todo.get_or_insert_default()
    }

    /// What it is to keep and does not yet.
    pub(super) fn want(&self) -> &Part {
        self.todo.as_ref().map_or(&Part::None, |todo| &todo.want)
    }

    pub(super) fn doomed(&self) -> &Part {
        let doomed = self.todo.as_ref().and_then(|todo| todo.doomed.as_ref());
        doomed.map_or(&Part::None, |doomed| &doomed.chunks)
    }

    /// True if it does not have what it has to be told to keep, or may have.
    pub(super) fn wants(&self) -> bool {
        !self.want().is_none()
    }

    /// Notes what it was heard to hold, as far as it can be relied on; true if that is more than before.
    pub(super) fn holds(&mut self, have: Part, chunks: u32, now: Instant) -> bool {
        let gained = !have.without(&self.have, chunks).is_none();
        let Some(todo) = &mut self.todo else {
            self.have = have;
            return gained;
        };
        let gone = |doomed: &Doomed| have.and(&doomed.chunks).is_none();
        let outlived = |doomed: &Doomed| doomed.settled && doomed.told + DOOMED_FOR <= now;
        todo.doomed = todo.doomed.take().filter(|doomed| !gone(doomed) && !outlived(doomed));
        let doomed = todo.doomed.as_ref().map_or(&Part::None, |doomed| &doomed.chunks);
        self.have = have.without(doomed, chunks);
        todo.want = std::mem::take(&mut todo.want).without(&self.have, chunks);
        todo.passed_on = std::mem::take(&mut todo.passed_on).and(&todo.want);
        (todo.looks, todo.recalled) = (false, false);
        todo.doubted.clear();
        if gained && !todo.want.is_none() {
            todo.moved = Some(now);
            todo.told = todo.told.map(|_| now);
        }
        gained
    }

    /// It is to keep these, too.
    pub(super) fn is_given(&mut self, runs: &[Range<u32>], chunks: u32) {
        let have = std::mem::take(&mut self.have);
        let todo = self.todo();
        runs.iter().for_each(|run| todo.want.add(run.clone(), &have, chunks));
        (todo.moved, todo.told) = (None, None);
        self.have = have;
    }

    /// It is to keep these, too, so that another store need not.
    pub(super) fn is_passed_on(&mut self, runs: &[Range<u32>], chunks: u32) {
        self.is_given(runs, chunks);
        let todo = self.todo();
        runs.iter().for_each(|run| todo.passed_on.add(run.clone(), &Part::None, chunks));
    }

    /// It is not to keep these after all, but for what is passed on to it; or none for `None`.
    pub(super) fn is_relieved(&mut self, runs: Option<&[Range<u32>]>, chunks: u32) {
        let Some(todo) = self.todo.as_mut().filter(|todo| !todo.want.is_none()) else { return };
        let left = match runs {
            Some(runs) => {
                let mut left = todo.want.clone();
                runs.iter().for_each(|run| left.remove(run.clone(), chunks));
                left.or(&todo.want.and(&todo.passed_on))
            }
            None => Part::None,
        };
        if left == todo.want {
            return;
        }
        todo.passed_on = std::mem::take(&mut todo.passed_on).and(&left);
        todo.want = left;
        // Who was told all of a duty forgets it only when told otherwise.
        todo.recalled |= todo.moved.is_some();
        todo.told = None;
    }

    /// It is told to give these up, which count no more from now on.
    pub(super) fn gives_up(&mut self, given_up: &Part, chunks: u32, now: Instant) {
        let left = self.have.without(given_up, chunks);
        self.have = left;
        let todo = self.todo();
        let before = todo.doomed.take().map_or(Part::None, |doomed| doomed.chunks);
        todo.surplus = todo.surplus.without(given_up, chunks);
        todo.doomed = Some(Doomed { chunks: given_up.or(&before), told: now, settled: false });
    }

    /// What it has and is to have.
    pub(super) fn target(&self) -> Part {
        self.have.or(self.want())
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.have.is_none() && self.todo.as_ref().is_none_or(|todo| todo.is_done(now))
    }

    pub(super) fn is_unwilling(&self, now: Instant) -> bool {
        let unwilling = self.todo.as_ref().and_then(|todo| todo.unwilling);
        unwilling.is_some_and(|(until, _)| until > now)
    }
}

/// What the records promise of a content: nothing, or that so many losses are survived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Promised(Option<u8>);

impl Promised {
    pub(super) fn new(promise: Option<&Promise>) -> Promised {
        Promised(promise.map(|promise| promise.policy.m()))
    }

    pub(super) fn promises(self) -> bool {
        self.0.is_some()
    }

    /// How many losses are to be survived.
    pub(super) fn m(self) -> u8 {
        self.0.unwrap_or(0)
    }
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) size: u64,
    pub(super) total: u64,
    pub(super) chunks: u32,
    /// What the records promise.
    pub(super) promised: Promised,
    /// The code that it is a part of, if copies are not what is asked for; in a box, for most have none.
    pub(super) code: Option<Box<Coding>>,
    /// Copies that uploads under way ask for.
    pub(super) asked: u8,
    /// How many copies there are of what fewest stores have, when that was looked at.
    pub(super) fewest: u8,
    pub(super) holders: Vec<Holder>,
    /// Since when nothing refers to it.
    pub(super) idle_since: Option<Instant>,
    /// True once it has been so for long enough: what is held of it is to be given up.
    pub(super) given_up: bool,
}

impl Row {
    /// One of which nothing is known but its chunks.
    pub(super) fn found(chunks: u32, now: Instant) -> Row {
        Row {
            size: 0,
            total: 0,
            chunks,
            promised: Promised::new(None),
            code: None,
            asked: 0,
            fewest: 0,
            holders: Vec::new(),
            idle_since: Some(now),
            given_up: false,
        }
    }

    /// Takes over what a promise says of the content.
    pub(super) fn becomes(&mut self, promise: &Promise) {
        (self.size, self.total, self.chunks) = (promise.size, promise.total, promise.chunks);
    }

    /// How many copies there are to be; of what is a part of a code one, each shard in a place of its own.
    pub(super) fn copies(&self) -> u8 {
        let promised = match self.promised.promises() {
            true if self.code.is_some() => 1,
            true => self.promised.m() + 1,
            false => 0,
        };
        promised.max(self.asked)
    }

    /// True if it has nothing that could be kept: an empty file.
    pub(super) fn is_nothing(&self, content: Content) -> bool {
        self.chunks == 0 && content.1 == View::Bytes
    }

    /// Bytes of one chunk, about; with the share of the listing that each store keeps where chunks are few.
    pub(super) fn chunk_bytes(&self) -> u64 {
        match self.chunks {
            0 => self.size,
            chunks => self.total.div_ceil(chunks.into()),
        }
    }

    /// Bytes of so many chunks, in proportion.
    pub(super) fn bytes_of(&self, chunks: u64) -> u64 {
        let all = u128::from(if self.chunks == 0 { self.size } else { self.total });
        (all * u128::from(chunks) / u128::from(weight(self.chunks))) as u64
    }

    /// Bytes of one unit, at most.
    pub(super) fn unit_bytes(&self) -> u64 {
        self.chunk_bytes() * u64::from(PROOF_RUN.min(weight(self.chunks)))
    }

    /// Stores that hold some of it, or are to.
    pub(super) fn stores(&self) -> impl Iterator<Item = StoreRow> + '_ {
        self.holders.iter().map(|holder| holder.store)
    }

    pub(super) fn holder(&self, store: StoreRow) -> Option<&Holder> {
        self.holders.iter().find(|holder| holder.store == store)
    }

    /// The holder for this store, made if there is none.
    pub(super) fn holder_mut(&mut self, store: StoreRow) -> &mut Holder {
        let at = self.holders.iter().position(|holder| holder.store == store).unwrap_or_else(|| {
            self.holders.reserve_exact(1);
            self.holders.push(Holder::new(store));
            self.holders.len() - 1
        });
        &mut self.holders[at]
    }

    /// Forgets what there is nothing to say of; true if the store is not among the holders any more.
    pub(super) fn tidy(&mut self, store: StoreRow, now: Instant) -> bool {
        if let Some(holder) = self.holders.iter_mut().find(|holder| holder.store == store) {
            holder.todo = holder.todo.take().filter(|todo| !todo.is_done(now));
        }
        self.holders.retain(|holder| holder.store != store || !holder.is_idle(now));
        self.holder(store).is_none()
    }

    /// How many chunks at least one of these stores holds, at least two, and so on up to `most`; with `place` stores
    /// in one place count once.
    pub(super) fn safe(&self, place: impl Fn(StoreRow) -> Option<u32>, most: u8) -> Vec<u32> {
        copies(&self.parts(place), self.chunks, most.into())
    }

    /// What these stores hold, each with its place, and those in one place next to each other.
    pub(super) fn parts(&self, place: impl Fn(StoreRow) -> Option<u32>) -> Vec<(u32, &Part)> {
        let placed = self.holders.iter().filter_map(|holder| Some((place(holder.store)?, &holder.have)));
        let mut parts: Vec<(u32, &Part)> = placed.collect();
        parts.sort_by_key(|(place, _)| *place);
        parts
    }
}
