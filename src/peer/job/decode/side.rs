//! Fetches chunks that are needed to decode others: by a transfer whose chunks nobody else is told of, and which is told by and
//! by what is needed.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};

use super::scratch::Scratch;
use crate::content::{Chunk, ChunkSet, FileId, Layout, Place, SafeName};
use crate::peer::job::dialled::Gate;
use crate::peer::job::means::Means;
use crate::peer::transfer::{End, Inlet, Landing, Lying, Transfer};
use crate::swarm::errands::{Errand, Errands, holders_wanted};
use crate::swarm::scheduler::Event;
use crate::wire::{List, Locate, Located, Name, Purpose, Variant, Version, View};

/// What nobody has had for so long is looked for no more,
const STALLED_AFTER: Duration = Duration::from_secs(3);
/// or for so long, if all have said what they have whom trackers named.
const MISSING_AFTER: Duration = Duration::from_millis(50);

/// What something is fetched of.
#[derive(Debug, Clone)]
pub(super) struct Of {
    pub(super) id: FileId,
    pub(super) view: View,
    /// Bytes of the content: of the file, or of the folder's listing.
    pub(super) size: u64,
    /// Its files, and how their chunks lie in them.
    pub(super) ids: Arc<[FileId]>,
    pub(super) layout: Arc<Layout>,
}

/// Chunks of one content that are on their way to a scratch file, or there until they were decoded with.
pub(super) struct Side<'a> {
    means: &'a Arc<Means>,
    of: Of,
    scratch: Scratch,
    transfer: Arc<Transfer>,
    errands: Errands,
    answers: Option<Receiver<Located>>,
    /// All trackers have answered.
    located: bool,
    gate: Gate,
    /// All that was ever to be fetched.
    wanted: ChunkSet,
    /// What was decoded with, and is not kept any more.
    spent: ChunkSet,
    /// Since when nobody has been there who has some of what is missing.
    missing_since: Option<Instant>,
}

impl<'a> Side<'a> {
    /// Begins to look for who has some of a content, of which what is wanted comes through these inlets; with a slow one others are
    /// served first.
    pub(super) fn begin(
        means: &'a Arc<Means>,
        folder: &Path,
        of: Of,
        (inlets, slow): (Vec<Arc<Inlet>>, Option<Arc<Inlet>>),
    ) -> io::Result<Side<'a>> {
        let (limits, now, chunks) = (&means.limits, Instant::now(), of.layout.chunks());
        let scratch = Scratch::new(folder, of.ids.clone(), of.layout.clone())?;
        let end = if of.view == View::Members { "/" } else { "" };
        let name = SafeName::new(format!("{}{end}", of.id)).map_err(io::Error::other)?;
        let mut transfer = Transfer::growing((of.id, of.view), name, scratch.clone(), limits, inlets);
        transfer.set_background(slow.is_some());
        slow.into_iter().for_each(|slow| transfer.sources.slow_down(slow));
        Ok(Side {
            means,
            of,
            scratch,
            transfer: Arc::new(transfer),
            errands: Errands::new(limits.max_neighbours, limits.refresh, chunks, now),
            answers: None,
            located: false,
            gate: Gate::new(),
            wanted: ChunkSet::empty(chunks),
            spent: ChunkSet::empty(chunks),
            missing_since: None,
        })
    }

    /// Fetches these, too.
    pub(super) fn want(&mut self, more: ChunkSet) {
        let more = more.difference(&self.wanted);
        if !more.is_empty() {
            self.wanted = self.wanted.union(&more);
            self.transfer.grow(more);
        }
    }

    /// Does what is to be done now. How it failed, if it did.
    pub(super) fn turn(&mut self, now: Instant) -> Result<(), String> {
        if let Some(End::Failed(error)) = self.transfer.end() {
            return Err(error.to_string());
        }
        self.transfer.sources.step([Event::Tick], None);
        self.hear();
        for errand in self.transfer.neighbours(|neighbours| self.errands.turn(neighbours, now)) {
            match errand {
                Errand::Dial(peer, addr) => self.gate.dial(self.means, &self.transfer, peer, &addr),
                Errand::Close(peer) => self.transfer.sources.close_last_of(peer),
                Errand::Locate => self.locate(),
                Errand::Announce | Errand::Exchange => {}
            }
        }
        self.means.report_missing(&self.transfer);
        Ok(())
    }

    /// Chunks that are wanted and that nobody has.
    pub(super) fn missing(&mut self, now: Instant) -> ChunkSet {
        let missing = match self.transfer.sources.any() {
            true => self.transfer.lacks_of_sources(),
            false => self.wanted.difference(&self.transfer.had()),
        };
        if missing.is_empty() {
            self.missing_since = None;
            return missing;
        }
        let since = *self.missing_since.get_or_insert(now);
        let all_said = self.located && !self.transfer.neighbours(|neighbours| neighbours.expects());
        let patience = if all_said { MISSING_AFTER } else { STALLED_AFTER };
        match now.saturating_duration_since(since) < patience {
            true => ChunkSet::empty(self.of.layout.chunks()),
            false => missing,
        }
    }

    fn locate(&mut self) {
        let max = holders_wanted(self.means.limits.max_neighbours) as u16;
        let missing = List::new(self.transfer.sources.unavailable());
        let (name, purpose) = (Name::default(), Purpose::Fetch);
        let question = Locate { name, id: self.transfer.id, purpose, max, missing };
        self.answers = Some(self.means.trackers().locate(&question));
    }

    fn hear(&mut self) {
        while let Some(answers) = &self.answers {
            let located = match answers.try_recv() {
                Ok(located) => located,
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    (self.answers, self.located) = (None, true);
                    return;
                }
            };
            let variants = located.variants.into_vec().into_iter();
            for variant in variants.filter(|one| is_of(one, &self.of)) {
                for holder in self.means.others(&variant) {
                    self.transfer.suggest(holder.peer, &holder.addresses);
                }
            }
        }
    }

    /// The chunks that have come and are kept.
    pub(super) fn here(&self) -> ChunkSet {
        self.transfer.had().difference(&self.spent)
    }

    /// True if some of these were here, and are not kept any more.
    pub(super) fn has_spent(&self, chunks: &ChunkSet) -> bool {
        !self.spent.intersection(chunks).is_empty()
    }

    /// Where a chunk lies that is here.
    pub(super) fn bytes(&self, place: Place) -> io::Result<Lying> {
        self.scratch.bytes(place)
    }

    /// Keeps these no more.
    pub(super) fn spend(&mut self, chunks: Range<u32>) -> io::Result<()> {
        for chunk in chunks.map(Chunk) {
            if !self.transfer.has(chunk) || !self.spent.insert(chunk) {
                continue;
            }
            self.scratch.forget(chunk)?;
        }
        Ok(())
    }
}

/// True if who has this has some of the content: who has members of a folder has its listing.
pub(super) fn is_of(variant: &Variant, of: &Of) -> bool {
    let has = |view| view == of.view || view == View::Members;
    variant.size == of.size && variant.id == of.id && has(Version::view(&variant.name))
}

impl Drop for Side<'_> {
    /// Nothing more comes when it is gone.
    fn drop(&mut self) {
        self.transfer.finish(End::Cancelled);
        self.gate.close();
        self.transfer.sources.wait_for_all();
    }
}
