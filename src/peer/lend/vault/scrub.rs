//! Reading again what is kept, one slot after the other as they lie on the disk, to find what rots.

use std::collections::{BTreeMap, BTreeSet};

use super::catalogue::Catalogue;
use super::entry::{Entry, Kind, Scrubbed};
use super::error::VaultError;
use super::shared::Shared;
use super::slot::Slot;
use super::writer::Writer;
use crate::content::FileId;
use crate::threads::lock;

/// A chunk that is to be read again.
#[derive(Debug, Clone, Copy)]
pub struct Suspect {
    slot: Slot,
    file: u32,
    chunk: u32,
}

impl Suspect {
    /// Its file and its number there.
    pub(super) fn place(&self) -> (u32, u32) {
        (self.file, self.chunk)
    }
}

impl Scrubbed {
    /// A round that begins now, in milliseconds since 1970.
    pub fn begin(begun_ms: u64) -> Scrubbed {
        Scrubbed { begun_ms, at: None }
    }

    /// One chunk further.
    #[must_use]
    pub fn past(self, suspect: &Suspect) -> Scrubbed {
        Scrubbed { at: Some(suspect.slot), ..self }
    }
}

impl Catalogue {
    /// The next chunks of a round, each slot once, and how many are left of it, these too.
    pub(super) fn next_to_scrub(&self, scrubbed: Scrubbed, most: usize) -> (Vec<Suspect>, u64) {
        let (mut next, mut left): (BTreeMap<Slot, Suspect>, u64) = (BTreeMap::new(), 0);
        for (file, run) in
            self.files().flat_map(|(number, file)| file.runs().iter().map(move |run| (number, run)))
        {
            // Those in front of where the round is, which is one of slots of one size.
            let read = match scrubbed.at {
                Some(at) if at.class == run.slot.class => (at.number + 1).saturating_sub(run.slot.number),
                Some(at) if at > run.slot => run.count,
                _ => 0,
            };
            left += u64::from(run.count.saturating_sub(read));
            for nth in (read..run.count).take(most) {
                let slot = run.slot.plus(nth);
                if next.len() == most && next.last_key_value().is_some_and(|(last, _)| *last < slot) {
                    break;
                }
                next.entry(slot).or_insert(Suspect { slot, file, chunk: run.first + nth });
                if next.len() > most {
                    next.pop_last();
                }
            }
        }
        (next.into_values().collect(), left)
    }
}

impl Shared {
    /// True if a chunk is not any more what it should be, though it still lies where it did.
    pub(super) fn is_rotten(&self, Suspect { slot, file, chunk }: Suspect) -> bool {
        let lies = || lock(&self.index).catalogue.file(file).and_then(|file| file.slot(chunk)) == Some(slot);
        // What memory has of it says nothing of the disk, and nobody is to miss there what is read here.
        self.slabs.forget_pages(slot);
        let is_rotten = lies() && !self.is_right(file, chunk) && lies();
        self.slabs.forget_pages(slot);
        is_rotten
    }

    /// Reads a chunk of a file again, if it is held. If it is not what it should be, it is not kept any more, and its slot
    /// is not used before the next start. The contents of which less is kept now.
    pub(super) fn check(
        &self,
        writer: &mut Writer,
        (file, chunk): (u32, u32),
    ) -> Result<BTreeSet<(Kind, FileId)>, VaultError> {
        let slot = lock(&self.index).catalogue.file(file).and_then(|file| file.slot(chunk));
        let Some(slot) = slot.filter(|_| !self.is_right(file, chunk)) else { return Ok(BTreeSet::new()) };
        let (lost, keepers) = {
            let index = lock(&self.index);
            // All that are said to be in this slot are not.
            let owners = index.catalogue.owners_of(slot);
            let keepers = owners.iter().flat_map(|(file, chunk)| index.catalogue.keepers(*file, *chunk));
            let keepers = keepers.map(|(id, kind)| (kind, id)).collect();
            let lost =
                owners.iter().map(|(file, chunk)| Entry::Lost { file: *file, first: *chunk, count: 1 });
            (lost.map(|entry| entry.encode()).collect::<Vec<_>>(), keepers)
        };
        writer.enter(self, &[lost], || ())?;
        Ok(keepers)
    }
}
