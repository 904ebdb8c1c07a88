//! One content: what is promised of it, who waits for it, and which store holds or is to hold what of it.

use std::time::{Duration, Instant};

use super::part::{Part, copies, weight};
use super::store::StoreRow;
use crate::content::PROOF_RUN;
use crate::tracker::records::{Content, Promise};
use crate::wire::{Policy, Reluctance, View};

/// What a store says that it holds although it was told to give it up is not believed for so long: it may have said so
/// before it did.
const DOOMED_FOR: Duration = Duration::from_secs(60);

/// What one store is to keep.
#[derive(Debug, Clone)]
pub(super) struct Want {
    pub(super) chunks: Part,
    /// When the store was told, or last made some of it safe.
    pub(super) moved: Option<Instant>,
}

/// What a store was told to give up, and may have given up although it was heard to hold it.
#[derive(Debug, Clone)]
pub(super) struct Doomed {
    pub(super) chunks: Part,
    pub(super) told: Instant,
    /// True once the store has asked for duties again: it has done what it was told before, or will not.
    pub(super) settled: bool,
}

/// A store that holds some of a content, or is to.
#[derive(Debug, Clone)]
pub(super) struct Holder {
    pub(super) store: StoreRow,
    pub(super) have: Part,
    pub(super) want: Option<Want>,
    /// None of this is in `have`.
    pub(super) doomed: Option<Doomed>,
    /// The number of the report that named it last.
    pub(super) report: u32,
    /// When the store was last told of its errand here.
    pub(super) told: Option<Instant>,
    /// True until it is heard to remember what this stands for.
    pub(super) forgetful: bool,
    /// Until then it is not asked to keep anything of this, and why.
    pub(super) unwilling: Option<(Instant, Reluctance)>,
}

impl Holder {
    pub(super) fn new(store: StoreRow) -> Holder {
        Holder {
            store,
            have: Part::None,
            want: None,
            doomed: None,
            report: 0,
            told: None,
            forgetful: false,
            unwilling: None,
        }
    }

    /// Notes what it was heard to hold, as far as it can be relied on.
    pub(super) fn holds(&mut self, have: Part, chunks: u32, now: Instant) {
        let gone = |doomed: &Doomed| have.and(&doomed.chunks, chunks).is_none();
        let outlived = |doomed: &Doomed| doomed.settled && doomed.told + DOOMED_FOR <= now;
        self.doomed = self.doomed.take().filter(|doomed| !gone(doomed) && !outlived(doomed));
        self.have = self.doomed.as_ref().map_or(have.clone(), |doomed| have.without(&doomed.chunks, chunks));
    }

    /// It is told to give up all that it has, which counts no more from now on.
    pub(super) fn give_up(&mut self, chunks: u32, now: Instant) {
        let before = self.doomed.take().map_or(Part::None, |doomed| doomed.chunks);
        let chunks = std::mem::take(&mut self.have).or(&before, chunks);
        self.doomed = Some(Doomed { chunks, told: now, settled: false });
    }

    /// What it has and is to have.
    pub(super) fn target(&self, chunks: u32) -> Part {
        match &self.want {
            Some(want) => self.have.or(&want.chunks, chunks),
            None => self.have.clone(),
        }
    }

    /// Chunks that it is to keep and does not yet; of a content without chunks, its listing is one.
    pub(super) fn owes(&self, chunks: u32) -> u32 {
        match &self.want {
            Some(want) if chunks == 0 => u32::from(self.have.is_none() && !want.chunks.is_none()),
            Some(want) => want.chunks.without(&self.have, chunks).count(chunks),
            None => 0,
        }
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.have.is_none() && self.want.is_none() && self.doomed.is_none() && !self.is_unwilling(now)
    }

    pub(super) fn is_unwilling(&self, now: Instant) -> bool {
        self.unwilling.is_some_and(|(until, _)| until > now)
    }
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) content: Content,
    pub(super) size: u64,
    pub(super) total: u64,
    pub(super) chunks: u32,
    /// What the records promise.
    pub(super) promised: Policy,
    /// Copies that uploads under way ask for.
    pub(super) asked: u8,
    /// The content before it under its name: whoever holds a unit of that may have most of this one's.
    pub(super) base: Option<Content>,
    pub(super) holders: Vec<Holder>,
    /// Since when nothing refers to it.
    pub(super) idle_since: Option<Instant>,
    /// True once it has been so for long enough: what is held of it is to be given up.
    pub(super) given_up: bool,
}

impl Row {
    /// One of which nothing is known but its chunks.
    pub(super) fn found(content: Content, chunks: u32, now: Instant) -> Row {
        Row {
            content,
            size: 0,
            total: 0,
            chunks,
            promised: Policy::NONE,
            asked: 0,
            base: None,
            holders: Vec::new(),
            idle_since: Some(now),
            given_up: false,
        }
    }

    /// Takes over what a promise says of the content.
    pub(super) fn becomes(&mut self, promise: &Promise) {
        (self.size, self.total, self.chunks) = (promise.size, promise.total, promise.chunks);
    }

    /// How many copies there are to be.
    pub(super) fn copies(&self) -> u8 {
        let promised = if self.promised.promises() { self.promised.m() + 1 } else { 0 };
        promised.max(self.asked)
    }

    /// True if it has nothing that could be kept: an empty file.
    pub(super) fn is_nothing(&self) -> bool {
        self.chunks == 0 && self.content.1 == View::Bytes
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

    pub(super) fn holder(&self, store: StoreRow) -> Option<&Holder> {
        self.holders.iter().find(|holder| holder.store == store)
    }

    /// The holder for this store, made if there is none.
    pub(super) fn holder_mut(&mut self, store: StoreRow) -> &mut Holder {
        let at = self.holders.iter().position(|holder| holder.store == store).unwrap_or_else(|| {
            self.holders.push(Holder::new(store));
            self.holders.len() - 1
        });
        &mut self.holders[at]
    }

    /// Forgets holders of which there is nothing to say; true if the store is one of them.
    pub(super) fn tidy(&mut self, store: StoreRow, now: Instant) -> bool {
        self.holders.retain(|holder| !holder.is_idle(now));
        self.holder(store).is_none()
    }

    /// How many chunks at least one of these stores holds, at least two, and so on up to `most`.
    pub(super) fn safe(&self, counts: impl Fn(StoreRow) -> bool, most: u8) -> Vec<u32> {
        let parts: Vec<&Part> =
            self.holders.iter().filter(|holder| counts(holder.store)).map(|holder| &holder.have).collect();
        copies(&parts, self.chunks, most.into())
    }
}
