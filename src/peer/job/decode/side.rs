//! Fetches chunks that are needed to decode others: by a transfer like any other, whose chunks nobody else is told of.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};

use super::scratch::Scratch;
use crate::content::{ChunkSet, FileId, Geometry, SafeName};
use crate::peer::job::dialled::Gate;
use crate::peer::job::means::Means;
use crate::peer::transfer::{End, Inlet, Landing, Transfer};
use crate::swarm::errands::{Errand, Errands, holders_wanted};
use crate::swarm::scheduler::{Event, TICK};
use crate::wire::{List, Locate, Located, Name, Purpose, View};

/// What nobody has had for so long is looked for no more,
const STALLED_AFTER: Duration = Duration::from_secs(3);
/// or for so long, if all have said what they have whom trackers named.
const MISSING_AFTER: Duration = Duration::from_millis(50);

/// Chunks of one content that are on their way to a scratch file.
pub(super) struct Side<'a> {
    means: &'a Arc<Means>,
    size: u64,
    pub(super) transfer: Arc<Transfer>,
    errands: Errands,
    answers: Option<Receiver<Located>>,
    /// All trackers have answered.
    located: bool,
    gate: Gate,
    /// Since when nobody has been there who has what is missing.
    alone_since: Option<Instant>,
}

impl<'a> Side<'a> {
    /// Begins to fetch these chunks of a file, through these inlets; with a slow one others are served first.
    pub(super) fn begin(
        means: &'a Arc<Means>,
        folder: &Path,
        (id, geometry): (FileId, Geometry),
        wanted: ChunkSet,
        (inlets, slow): (Vec<Arc<Inlet>>, Option<Arc<Inlet>>),
    ) -> io::Result<Side<'a>> {
        let (limits, now) = (&means.limits, Instant::now());
        let scratch = Scratch::new(folder, id, geometry)?;
        let name = SafeName::new(id.to_string()).map_err(io::Error::other)?;
        let had = ChunkSet::empty(geometry.chunks());
        let mut transfer = Transfer::new(id, View::Bytes, name, scratch, (had, wanted), limits, inlets);
        transfer.set_background(slow.is_some());
        slow.into_iter().for_each(|slow| transfer.sources.slow_down(slow));
        Ok(Side {
            means,
            size: geometry.size(),
            transfer: Arc::new(transfer),
            errands: Errands::new(limits.max_neighbours, limits.refresh, geometry.chunks(), now),
            answers: None,
            located: false,
            gate: Gate::new(),
            alone_since: None,
        })
    }

    /// Waits a moment for what comes, and does what is to be done; false once nothing more will come.
    pub(super) fn turn(&mut self) -> bool {
        if self.transfer.wait_news(TICK).is_some() {
            return false;
        }
        let now = Instant::now();
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
        if self.transfer.sources.is_helped() {
            self.alone_since = None;
            return true;
        }
        let since = *self.alone_since.get_or_insert(now);
        let all_said = self.located && !self.transfer.neighbours(|neighbours| neighbours.expects());
        let patience = if all_said { MISSING_AFTER } else { STALLED_AFTER };
        now.saturating_duration_since(since) < patience
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
            for variant in variants.filter(|one| one.size == self.size && one.id == self.transfer.id) {
                for holder in self.means.others(&variant) {
                    self.transfer.suggest(holder.peer, &holder.addresses);
                }
            }
        }
    }

    /// The chunks that have come so far, and where they are.
    pub(super) fn so_far(&self) -> (ChunkSet, Arc<dyn Landing>) {
        (self.transfer.had(), self.transfer.landing.clone())
    }

    /// The chunks that have come; nothing more comes.
    pub(super) fn end(self) -> (ChunkSet, Arc<dyn Landing>) {
        self.transfer.finish(End::Cancelled);
        self.gate.close();
        self.transfer.sources.wait_for_all();
        self.so_far()
    }
}
