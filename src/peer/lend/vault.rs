//! Where a store keeps what others gave it: slabs of equal slots, and one checked log that says what is in them.
//!
//! A chunk counts as kept when it lies in its slot on the disk and the log says so on the disk, in this order; what was
//! deleted is free when the log says so on the disk. So whenever the process or the power ends, what was reported is
//! there and right, and no slot has two chunks. What is lent is never exceeded: slots are taken before any byte comes.
//!
//! The parts, from below: [`slot`] and [`slab`] (where chunks lie), [`entry`] (what the log says), `pieces` and [`catalogue`] (what is
//! held, for whose sake), [`quota`], [`lot`] (what is asked for, and what waits for the log), [`plan`] (what the log is to
//! say of that), `shared`, [`grant`] (a transfer's way in), [`content`] (the way out), [`scrub`] (what rots), [`writer`], `opening`.

mod catalogue;
mod content;
mod entry;
mod error;
mod grant;
mod lot;
mod opening;
mod pieces;
mod plan;
mod quota;
mod scrub;
mod shared;
mod slab;
mod slot;
mod writer;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::content::{Chunk, ChunkSet, FileId, Geometry, runs};
use crate::threads::lock;
use catalogue::Root;

pub use content::Content;
pub use entry::{Kind, Owner, Scrubbed};
pub use error::VaultError;
pub use grant::Grant;
pub use lot::Lot;
pub use quota::{LEAST_QUOTA_BYTES, Space};
pub use scrub::Suspect;
pub use shared::Located;
pub use slab::Pin;

use entry::Entry;
use lot::Waiting;
use plan::{Encoded, Plan};
use shared::Shared;
use slot::Slot;
use writer::Writer;

/// An open vault. Nobody else has its folder meanwhile.
#[derive(Debug)]
pub struct Vault {
    shared: Arc<Shared>,
    writer: Mutex<Writer>,
}

/// What is kept of a content, all of it: what a store reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The content.
    pub id: FileId,
    /// Its bytes, or the members of its listing; of those the listing is kept too.
    pub kind: Kind,
    /// The chunks that are on the disk.
    pub chunks: ChunkSet,
}

impl Vault {
    /// Opens the vault in a folder, which is made if it is not there, to keep up to `quota` bytes of disk in it.
    ///
    /// # Errors
    /// [`VaultError`], one sentence: in use, damaged, read-only, another user's, or too little lent.
    pub fn open(path: &Path, quota: u64) -> Result<Vault, VaultError> {
        let (shared, writer) = opening::open(path, quota)?;
        Ok(Vault { shared: Arc::new(shared), writer: Mutex::new(writer) })
    }

    /// How much is lent and taken.
    pub fn space(&self) -> Space {
        self.shared.space()
    }

    /// How much can be lent in truth, and how much of that can still be promised, in bytes: no more than is taken and the
    /// disk has room for.
    pub fn lendable(&self) -> (u64, u64) {
        let (space, left) = (self.space(), self.shared.left_on_disk());
        (space.quota.min(space.used.saturating_add(left)), space.room().min(left))
    }

    /// Whom it serves, and their highest term that was heard.
    pub fn owner(&self) -> Option<Owner> {
        lock(&self.shared.index).catalogue.owner()
    }

    /// All that is kept: the full report.
    pub fn held(&self) -> Vec<Kept> {
        let index = lock(&self.shared.index);
        index.catalogue.roots().filter_map(|(_, root)| kept(root)).collect()
    }

    /// What is kept of one content; no chunks if nothing is.
    pub fn of(&self, id: FileId, kind: Kind) -> Option<Kept> {
        let index = lock(&self.shared.index);
        kept(index.catalogue.root(index.catalogue.root_number(id, kind)?)?)
    }

    /// What trackers wanted to be remembered with a content.
    pub fn records(&self, id: FileId, kind: Kind) -> Option<Vec<u8>> {
        let index = lock(&self.shared.index);
        let extent = index.catalogue.root(index.catalogue.root_number(id, kind)?)?.records?;
        let log = index.log.clone();
        drop(index);
        // The number of the content comes first.
        Some(extent.read(&log).ok()?.split_off(4))
    }

    /// Remembers something with a content, in place of what was remembered with it before; nothing if it is not kept.
    ///
    /// # Errors
    /// As of writing.
    pub fn remember(&self, id: FileId, kind: Kind, records: &[u8]) -> Result<(), VaultError> {
        let mut writer = lock(&self.writer);
        let Some(root) = lock(&self.shared.index).catalogue.root_number(id, kind) else { return Ok(()) };
        let units = [vec![Entry::Records { root, records }.encode()]];
        self.make_room(&mut writer, &units)?;
        writer.enter(&self.shared, &units, || ()).map(drop)
    }

    /// Takes slots for those chunks of a content that are wanted and not held, with their room on the disk.
    ///
    /// The listing of members comes first, as a lot of [`Kind::Listing`], and is committed before they are reserved.
    ///
    /// # Errors
    /// [`VaultError::is_no_space`]: nothing is taken then. [`VaultError::NoListing`], [`VaultError::Contradiction`].
    pub fn reserve(&self, lot: Lot, wanted: &ChunkSet) -> Result<Grant, VaultError> {
        let (id, kind) = (lot.id, lot.kind);
        let granted = Grant::reserve(&self.shared, lot, wanted);
        if granted.as_ref().is_err_and(VaultError::is_no_space) && kind == Kind::Members {
            self.forget_listing(id);
        }
        granted
    }

    /// A listing without members goes: there is no room for those.
    fn forget_listing(&self, id: FileId) {
        let mut writer = lock(&self.writer);
        if self.of(id, Kind::Members).is_some() {
            return;
        }
        let units = self.going(id, Kind::Listing, None);
        let gone = writer.enter(&self.shared, &units, || ()).map(|freed| self.free(freed));
        if let Err(error) = gone {
            tracing::debug!("a listing without members stays until the next start: {error}");
        }
    }

    fn free(&self, freed: impl IntoIterator<Item = (Slot, u32)>) {
        freed.into_iter().for_each(|(slot, count)| self.shared.slabs.free(slot, count));
    }

    /// True if chunks of another file than `id` are held that are as large as those of a file of this geometry: then it is
    /// worth to know its hashes ([`Lot::know`]).
    pub fn may_have_versions(&self, id: FileId, geometry: Geometry) -> bool {
        let index = lock(&self.shared.index);
        index.catalogue.has_others(id, geometry)
    }

    /// Waits until something should be committed: much was written, or something some time ago. False if there is nothing
    /// within `timeout`.
    pub fn wait_due(&self, timeout: Duration) -> bool {
        self.shared.queue.wait_due(timeout)
    }

    /// Puts on the disk all that grants have kept, and then into the log. What is kept now of the contents that it
    /// belongs to; listings that are held for their members' sake are not told of.
    ///
    /// # Errors
    /// As of writing: what could not be put into the log is given up, so that a full disk has room again.
    pub fn commit(&self) -> Result<Vec<Kept>, VaultError> {
        let mut writer = lock(&self.writer);
        writer.refuse_if_failed(&self.shared)?;
        let waiting = self.shared.queue.take();
        if waiting.is_empty() {
            return Ok(Vec::new());
        }
        if let Err(error) = self.shared.slabs.sync() {
            // What a second sync says of these pages is not to be believed.
            writer.fail();
            self.give_up(&waiting);
            return Err(self.shared.failed(error));
        }
        let plan = Plan::of(&lock(&self.shared.index).catalogue, &waiting);
        let freed = match writer.enter(&self.shared, &plan.units, || waiting.are_settled()) {
            Ok(freed) => freed,
            Err(error) => {
                self.give_up(&waiting);
                return Err(error);
            }
        };
        let surplus = plan.surplus.into_iter().map(|slot| (slot, 1));
        self.free(freed.into_iter().chain(surplus));
        writer.tidy(&self.shared, false);
        Ok(plan.contents.into_iter().filter_map(|(id, kind)| self.of(id, kind)).collect())
    }

    /// What could not be put into the log has to be brought once more.
    fn give_up(&self, waiting: &Waiting) {
        let index = lock(&self.shared.index);
        waiting.are_settled();
        drop(index);
        self.free(waiting.written.iter().map(|written| (written.slot, 1)));
    }

    /// Hears of the term of a tracker: a higher one of the authority that this vault serves is remembered, on the disk.
    /// A vault that serves nobody yet serves this authority from now on.
    ///
    /// # Errors
    /// [`VaultError::Foreign`], [`VaultError::Stale`]; else as of writing.
    pub fn hear(&self, owner: Owner) -> Result<(), VaultError> {
        let mut writer = lock(&self.writer);
        match self.owner() {
            Some(ours) if ours.authority != owner.authority => Err(VaultError::Foreign),
            Some(ours) if ours.term > owner.term => Err(VaultError::Stale),
            Some(ours) if ours.term == owner.term => Ok(()),
            _ => self.write_owner(&mut writer, owner),
        }
    }

    /// Serves another authority from now on.
    ///
    /// # Errors
    /// As of writing.
    pub fn adopt(&self, owner: Owner) -> Result<(), VaultError> {
        self.write_owner(&mut lock(&self.writer), owner)
    }

    fn write_owner(&self, writer: &mut Writer, owner: Owner) -> Result<(), VaultError> {
        writer.enter(&self.shared, &[vec![Entry::Owner(owner).encode()]], || ()).map(drop)
    }

    /// Deletes chunks of a content, as the authority that this vault serves says in its highest term that was heard.
    /// What is still kept of it then.
    ///
    /// # Errors
    /// [`VaultError::Foreign`], [`VaultError::Stale`]; else as of writing. Nothing is deleted then.
    pub fn delete(&self, by: Owner, id: FileId, kind: Kind, chunks: &ChunkSet) -> Result<Kept, VaultError> {
        let mut writer = lock(&self.writer);
        match self.owner() {
            Some(ours) if ours.authority != by.authority => return Err(VaultError::Foreign),
            Some(ours) if ours.term != by.term => return Err(VaultError::Stale),
            None => return Err(VaultError::Foreign),
            Some(_) => {}
        }
        let units = self.going(id, kind, Some(chunks));
        self.make_room(&mut writer, &units)?;
        let freed = writer.enter(&self.shared, &units, || ())?;
        self.free(freed);
        writer.tidy(&self.shared, false);
        Ok(self.of(id, kind).unwrap_or_else(|| Kept { id, kind, chunks: ChunkSet::empty(chunks.len()) }))
    }

    /// Sees to it that this has room in the log: of what is never promised, or of what is gone.
    fn make_room(&self, writer: &mut Writer, units: &[Vec<Encoded>]) -> Result<(), VaultError> {
        let needed = Writer::bytes_of(units);
        let has_spare = || {
            let log = self.shared.log_bytes.load(Ordering::Acquire);
            lock(&self.shared.quota).has_spare(needed, self.shared.slabs.charge(), log)
        };
        if !has_spare() {
            writer.tidy(&self.shared, true);
        }
        if has_spare() { Ok(()) } else { Err(VaultError::NoSpace { needed, room: self.space().room() }) }
    }

    /// What the log is to say of chunks that go, or of all; with the last members goes their listing.
    fn going(&self, id: FileId, kind: Kind, chunks: Option<&ChunkSet>) -> Vec<Vec<Encoded>> {
        let index = lock(&self.shared.index);
        let catalogue = &index.catalogue;
        let numbered = |kind| {
            let number = catalogue.root_number(id, kind)?;
            Some((number, catalogue.root(number)?))
        };
        let Some((number, root)) = numbered(kind) else { return Vec::new() };
        let goes = |chunk: &Chunk| chunks.is_none_or(|chunks| chunks.contains(*chunk));
        let gone = runs::of(root.claimed.iter().filter(goes));
        let mut unit = vec![Entry::Gone { root: number, runs: gone }.encode()];
        let is_last = root.claimed.iter().all(|chunk| goes(&chunk));
        if let Some((root, listing)) = numbered(Kind::Listing).filter(|_| kind == Kind::Members && is_last) {
            unit.push(Entry::Gone { root, runs: listing.claimed.runs() }.encode());
        }
        vec![unit]
    }

    /// Reads a chunk of a content again. If it is not what it should be, it is not kept any more, and its slot is not
    /// used before the next start. The contents of which less is kept now.
    ///
    /// # Errors
    /// As of writing.
    pub fn check(&self, id: FileId, kind: Kind, chunk: Chunk) -> Result<Vec<Kept>, VaultError> {
        let mut writer = lock(&self.writer);
        let place = {
            let index = lock(&self.shared.index);
            let number = index.catalogue.root_number(id, kind);
            number.and_then(|number| Some(index.catalogue.by_file(number, &[chunk]).first()?.clone()))
        };
        let place = place.and_then(|(file, chunks)| Some((file, *chunks.first()?)));
        let lost = place.map(|place| self.shared.check(&mut writer, place)).transpose()?.unwrap_or_default();
        Ok(lost.into_iter().filter_map(|(kind, id)| self.of(id, kind)).collect())
    }

    /// How far all that is kept is read again.
    pub fn scrubbed(&self) -> Scrubbed {
        lock(&self.shared.index).catalogue.scrubbed()
    }

    /// The next chunks that are to be read again, up to so many, and how many are left of this round, these too.
    pub fn next_to_scrub(&self, scrubbed: Scrubbed, most: usize) -> (Vec<Suspect>, u64) {
        lock(&self.shared.index).catalogue.next_to_scrub(scrubbed, most)
    }

    /// Reads a chunk again, as [`Vault::check`] does.
    ///
    /// # Errors
    /// As of writing.
    pub fn read_again(&self, suspect: &Suspect) -> Result<Vec<Kept>, VaultError> {
        if !self.shared.is_rotten(*suspect) {
            return Ok(Vec::new());
        }
        let lost = self.shared.check(&mut lock(&self.writer), suspect.place())?;
        Ok(lost.into_iter().filter_map(|(kind, id)| self.of(id, kind)).collect())
    }

    /// Writes down how far all is read again.
    ///
    /// # Errors
    /// As of writing.
    pub fn note_scrubbed(&self, scrubbed: Scrubbed) -> Result<(), VaultError> {
        let mut writer = lock(&self.writer);
        let units = [vec![Entry::Scrubbed(scrubbed).encode()]];
        self.make_room(&mut writer, &units)?;
        writer.enter(&self.shared, &units, || ())?;
        writer.tidy(&self.shared, false);
        Ok(())
    }

    /// True if somebody is sent something from here just now.
    pub fn is_read_from(&self) -> bool {
        self.shared.slabs.are_read_from()
    }

    /// What is held of a content, to be served. The bytes of an id are served for whatever sake they are held: also a
    /// listing's, and a member's.
    pub fn serve(&self, id: FileId, kind: Kind) -> Option<Content> {
        Content::find(&self.shared, id, kind)
    }
}

/// What is to be reported of a content.
fn kept(root: &Root) -> Option<Kept> {
    (root.kind != Kind::Listing).then(|| Kept { id: root.id, kind: root.kind, chunks: root.claimed.clone() })
}

#[cfg(test)]
mod tests;
