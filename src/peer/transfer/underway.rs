//! One content on its way here, as its connections, its driver and those who serve it see it.
//!
//! Each part has its own lock, held for a step; none is held while another is taken, nor while the disk is read or
//! written, but for the short write of a block ([`Intake`]).

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use super::end::{End, Ending};
use super::follower::{Follower, Followers};
use super::inlet::Inlet;
use super::intake::{Ended, Intake};
use super::landing::Landing;
use super::ledger::{Ledger, add};
use super::link::{Opened, SourceLink};
use super::outcome::Trust;
use super::sources::Sources;
use crate::content::{
    Address, Chunk, ChunkSet, FileId, Layout, Looks, PeerId, Place, Proof, Run, SafeName, hash_chunk,
};
use crate::peer::config::Limits;
use crate::peer::disk::{Disk, DiskError};
use crate::peer::share::read_at;
use crate::swarm::neighbours::Neighbours;
use crate::swarm::scheduler::{Event, Scheduler, SourceId};
use crate::threads::lock;
use crate::wire::{Urgency, View};

/// Of what was decoded: no source has this number.
const NOBODY: SourceId = SourceId(u32::MAX);

/// A transfer.
#[derive(Debug)]
pub(in crate::peer) struct Transfer {
    pub(in crate::peer) id: FileId,
    pub(in crate::peer) view: View,
    pub(in crate::peer) name: SafeName,
    pub(in crate::peer) layout: Arc<Layout>,
    /// The chunks that it is for.
    pub(super) wanted: ChunkSet,
    pub(in crate::peer) landing: Arc<dyn Landing>,
    pub(in crate::peer) ledger: Ledger,
    pub(in crate::peer) sources: Sources,
    pub(super) intake: Intake,
    followers: Followers,
    neighbours: Mutex<Neighbours>,
    /// Sources that send everything once.
    spared: Mutex<BTreeSet<PeerId>>,
    pub(super) ending: Ending,
    pub(super) started: Instant,
    pub(super) resumed_bytes: u64,
    /// Tells the driving thread that there is something to do before its next turn.
    news: Sender<()>,
    heard: Receiver<()>,
    /// Chunks that peers refused although they had announced them, for the trackers to know.
    missing: Mutex<Vec<(PeerId, Chunk)>>,
    /// Nobody is connected who has what is missing.
    alone: AtomicBool,
    /// A source has said that what it had has changed.
    changed: AtomicBool,
    /// A file of it is not what was fetched any more.
    spoilt: AtomicBool,
    /// Each of its files is a content of its own, of one chunk, and has a slot of its own at each source.
    apart: bool,
    /// It is told by and by which chunks it is for, and goes on when all of them are here.
    grows: bool,
}

impl Transfer {
    /// A transfer of the chunks `wanted` to `disk`; `had` are there already.
    pub(in crate::peer) fn new(
        id: FileId,
        view: View,
        name: SafeName,
        landing: impl Landing + 'static,
        (had, wanted): (ChunkSet, ChunkSet),
        limits: &Limits,
        inlets: Vec<Arc<Inlet>>,
    ) -> Transfer {
        let asked = wanted.clone();
        let transfer = Transfer::of(id, view, name, landing, (had, wanted, &asked), limits, inlets);
        if transfer.sources.is_done() {
            transfer.finish(End::Done);
        }
        transfer
    }

    /// A transfer of those chunks of a content that [`Transfer::grow`] will name, which goes on until it is ended.
    pub(in crate::peer) fn growing(
        (id, view): (FileId, View),
        name: SafeName,
        landing: impl Landing + 'static,
        limits: &Limits,
        inlets: Vec<Arc<Inlet>>,
    ) -> Transfer {
        let chunks = landing.layout().chunks();
        let (nothing, any) = (ChunkSet::empty(chunks), ChunkSet::full(chunks));
        let sets = (nothing.clone(), any, &nothing);
        let transfer = Transfer::of(id, view, name, landing, sets, limits, inlets);
        transfer.goes_in_order();
        Transfer { grows: true, ..transfer }
    }

    /// From now on neighbouring chunks are asked for one after the other.
    pub(in crate::peer) fn goes_in_order(&self) {
        self.sources.step([Event::InOrder], None);
    }

    /// Of the chunks `wanted`, of which only those `asked` are to be asked for at once.
    fn of(
        id: FileId,
        view: View,
        name: SafeName,
        landing: impl Landing + 'static,
        (had, wanted, asked): (ChunkSet, ChunkSet, &ChunkSet),
        limits: &Limits,
        inlets: Vec<Arc<Inlet>>,
    ) -> Transfer {
        let landing: Arc<dyn Landing> = Arc::new(landing);
        let layout = landing.layout().clone();
        let resumed = had.iter().filter(|chunk| wanted.contains(*chunk));
        let resumed_bytes = bytes_of(resumed, &layout);
        let seed = fastrand::u64(..);
        let scheduler = Scheduler::new(layout.clone(), had.clone(), asked, limits.max_inflight_bytes, seed);
        let (news, heard) = crossbeam_channel::bounded(1);
        Transfer {
            id,
            view,
            name,
            layout,
            intake: Intake::new(landing.clone(), had.or_not(&wanted)),
            wanted,
            landing,
            ledger: Ledger::default(),
            sources: Sources::new(scheduler, inlets),
            followers: Followers::default(),
            neighbours: Mutex::new(Neighbours::new(limits.max_neighbours, seed)),
            spared: Mutex::default(),
            ending: Ending::default(),
            started: Instant::now(),
            resumed_bytes,
            news,
            heard,
            missing: Mutex::new(Vec::new()),
            alone: AtomicBool::new(false),
            changed: AtomicBool::new(false),
            spoilt: AtomicBool::new(false),
            apart: false,
            grows: false,
        }
    }

    /// It is for these chunks, too.
    pub(in crate::peer) fn grow(&self, more: ChunkSet) {
        self.sources.step([Event::Wanted(more)], None);
    }

    /// True if sources do not know which chunks it is for.
    pub(super) fn grows(&self) -> bool {
        self.grows
    }

    /// Its files are contents of their own, which have one chunk each: they come together, and are opened one by one.
    pub(in crate::peer) fn comes_apart(&mut self) {
        self.apart = true;
    }

    pub(super) fn is_apart(&self) -> bool {
        self.apart
    }

    /// The content that a chunk is of, and which one it is of that.
    pub(in crate::peer) fn content_of(&self, chunk: Chunk) -> (FileId, Chunk) {
        match self.apart {
            true => (self.landing.id_of(chunk.0 as usize), Chunk(0)),
            false => (self.id, chunk),
        }
    }

    /// The files and folders that it becomes, if it does.
    pub(in crate::peer) fn disk(&self) -> Option<&Disk> {
        self.landing.disk()
    }

    /// What it fetches, as the wire names it.
    pub(in crate::peer) fn content(&self) -> (FileId, View) {
        (self.id, self.view)
    }

    /// A source says what mode and time the file has, or of several contents one; before any of its bytes are taken. False
    /// if it does not know, of what somebody may have told.
    pub(super) fn hear_looks(&self, file: usize, looks: Option<Looks>, whole: bool) -> bool {
        if self.view != View::Bytes {
            return true;
        }
        if let Some(looks) = looks {
            self.landing.hear_looks(file, looks, whole);
        }
        looks.is_some()
    }

    // Sources.

    /// A source has answered OPEN.
    pub(super) fn join(&self, link: Arc<SourceLink>, opened: Opened) {
        self.neighbours(|neighbours| {
            neighbours.opened(link.who.peer);
            if opened.have.is_full() {
                neighbours.is_whole(link.who.peer);
            }
        });
        let spare = lock(&self.spared).contains(&link.who.peer);
        self.sources.join(link, opened, spare);
    }

    /// The connection of a source has ended, or is about to.
    pub(super) fn leave(&self, id: SourceId, peer: PeerId) -> Trust {
        let trust = self.sources.leave(id);
        if trust == Trust::Earned {
            self.neighbours(|neighbours| neighbours.gave(peer));
        }
        self.tell_driver();
        trust
    }

    /// A chunk of `source` is stored: tells sources and followers, and ends the transfer if it was the last.
    pub(super) fn kept(&self, chunk: Chunk, source: SourceId) {
        let done = self.sources.arrived(chunk, source);
        // Also those who told us of it: it is how they see that what they passed on has arrived.
        self.followers.gain(chunk);
        if done && !self.grows {
            self.finish(End::Done);
        }
    }

    /// A chunk that no source brought, with the proof of its run, none of a file of one chunk: it counts if it is what it
    /// should be. False if it is not, or if that is not known.
    pub(in crate::peer) fn supply(&self, chunk: Chunk, place: Place, proof: Proof, data: &[u8]) -> bool {
        let mut arriving = self.intake.begin(chunk, place, proof, NOBODY);
        match arriving.take(data).and_then(|_| arriving.end(data)) {
            Ok(Ended::Kept) => {
                add(&self.ledger.useful, data.len());
                self.kept(chunk, NOBODY);
                true
            }
            Ok(Ended::Had) => true,
            Ok(Ended::Wrong | Ended::Unproved) => false,
            Err(error) => {
                self.fail(error);
                true
            }
        }
    }

    /// The chunks that this is for and that are not here.
    pub(in crate::peer) fn lacks_all(&self) -> ChunkSet {
        self.wanted.difference(&self.sources.had())
    }

    /// Those that none of its sources has; none while it has no source.
    pub(in crate::peer) fn lacks_of_sources(&self) -> ChunkSet {
        let mut lacking = ChunkSet::empty(self.layout.chunks());
        lacking.add_runs(&self.sources.unavailable());
        lacking
    }

    /// True if a chunk is one that this is for.
    pub(in crate::peer) fn wants(&self, chunk: Chunk) -> bool {
        self.wanted.contains(chunk)
    }

    /// Notes whether nobody is connected who has what is missing, and has not been for a moment.
    pub(in crate::peer) fn set_alone(&self, alone: bool) {
        self.alone.store(alone, Ordering::Relaxed);
    }

    pub(in crate::peer) fn is_alone(&self) -> bool {
        self.alone.load(Ordering::Relaxed)
    }

    /// True if a chunk has been proved in this run or an earlier one.
    pub(in crate::peer) fn has_proved(&self) -> bool {
        !self.sources.had().is_empty()
    }

    /// True if the last chunk of a single file is here: its hash depends on where the file ends.
    pub(in crate::peer) fn has_proved_its_size(&self) -> bool {
        let last = self.layout.chunks().checked_sub(1).map(Chunk);
        self.view == View::Bytes && last.is_none_or(|last| self.has(last))
    }

    /// A peer does not have a chunk that it announced.
    pub(super) fn lacks(&self, peer: PeerId, chunk: Chunk) {
        lock(&self.missing).push((peer, chunk));
    }

    /// What was found missing since last time.
    pub(in crate::peer) fn take_missing(&self) -> Vec<(PeerId, Chunk)> {
        std::mem::take(&mut lock(&self.missing))
    }

    /// A source says that what it had has changed.
    pub(super) fn note_change(&self) {
        self.changed.store(true, Ordering::Relaxed);
    }

    /// True if a source has said that what it had has changed.
    pub(in crate::peer) fn has_changed(&self) -> bool {
        self.changed.load(Ordering::Relaxed)
    }

    /// True if `chunk` is here, proved and written.
    pub(in crate::peer) fn has(&self, chunk: Chunk) -> bool {
        self.sources.has(chunk)
    }

    /// The chunks that are here.
    pub(in crate::peer) fn had(&self) -> ChunkSet {
        self.sources.had()
    }

    /// Somebody waits for these chunks: they are asked for first.
    pub(in crate::peer) fn press(&self, run: Run) {
        self.sources.press(run);
    }

    /// The proof of the run that a chunk lies in, if it is known.
    pub(in crate::peer) fn proof_of(&self, place: Place) -> Option<Arc<Proof>> {
        self.intake.proof_of(place).or_else(|| self.landing.proof(place))
    }

    // Who hears of gains.

    /// Wakes the followers for whom it is time to hear of gains.
    pub(in crate::peer) fn tell_news(&self) {
        self.followers.nudge();
    }

    /// From now on `follower` hears of gains. Call it before reading what is had, so that none is missed.
    pub(in crate::peer) fn subscribe(&self, follower: &Arc<Follower>, slot: u16) {
        self.followers.add(follower, slot);
    }

    /// `follower` has closed the slot.
    pub(in crate::peer) fn unsubscribe(&self, follower: &Arc<Follower>, slot: u16) {
        self.followers.remove(follower, slot);
    }

    /// So many bytes of it went to others.
    pub(in crate::peer) fn count_sent(&self, bytes: usize) {
        add(&self.ledger.sent, bytes);
    }

    // The end.

    pub(super) fn fail(&self, error: DiskError) {
        self.finish(End::Failed(Arc::new(error)));
    }

    /// Ends the transfer, once; closes its sources.
    pub(in crate::peer) fn finish(&self, how: End) {
        if !self.ending.begin() {
            return;
        }
        self.sources.remember();
        let finished = if matches!(how, End::Done) { self.landing.finish() } else { Ok(()) };
        self.ending.settle(finished.map_or_else(|error| End::Failed(Arc::new(error)), |()| how));
        self.tell_driver();
        self.sources.close_all();
    }

    pub(in crate::peer) fn end(&self) -> Option<End> {
        self.ending.get().map(|(end, _)| end)
    }

    /// True if others may have what is here of it.
    pub(in crate::peer) fn is_servable(&self) -> bool {
        matches!(self.end(), None | Some(End::Done)) && !self.is_spoilt()
    }

    /// A file that was finished is not what it was: nothing of this is served from now on.
    pub(in crate::peer) fn spoil(&self) {
        self.spoilt.store(true, Ordering::Release);
    }

    /// Reads a chunk that is here again; if it is not what came, nothing of this is served any more.
    pub(in crate::peer) fn check(&self, place: Place) {
        let (geometry, Some(hash)) = (self.layout.files()[place.file], self.intake.hash_of(place)) else {
            return;
        };
        let read = || {
            let (lying, mut bytes) = (self.landing.bytes(place)?, vec![0; place.len as usize]);
            read_at(&lying.file, &mut bytes, lying.offset).map(|()| bytes)
        };
        if read().is_ok_and(|bytes| hash_chunk(geometry, place.chunk, &bytes) != hash) {
            tracing::warn!("{} is not what was fetched any more; it is no longer shared", self.name);
            self.spoil();
        }
    }

    pub(in crate::peer) fn is_spoilt(&self) -> bool {
        self.spoilt.load(Ordering::Acquire)
    }

    /// True once no more chunks are wanted, for whatever reason.
    pub(in crate::peer) fn is_over(&self) -> bool {
        self.ending.is_settled()
    }

    /// Waits until there is news for the driving thread or its next turn is due. How the transfer
    /// ended, if it did.
    pub(in crate::peer) fn wait_news(&self, timeout: Duration) -> Option<End> {
        if self.end().is_none() {
            let _ = self.heard.recv_timeout(timeout);
        }
        self.end()
    }

    fn tell_driver(&self) {
        let _ = self.news.try_send(());
    }

    // Neighbours.

    /// Looks at, or changes, whom this transfer is connected to.
    pub(in crate::peer) fn neighbours<T>(&self, with: impl FnOnce(&mut Neighbours) -> T) -> T {
        with(&mut lock(&self.neighbours))
    }

    /// Somebody has, or wants, the content.
    pub(in crate::peer) fn suggest(&self, peer: PeerId, addresses: &[Address]) {
        let mut addresses = addresses.iter().map(Address::to_string);
        let Some(first) = addresses.next() else { return };
        self.neighbours(|neighbours| {
            neighbours.suggest(peer, first);
            neighbours.is_also_at(peer, addresses.collect());
        });
        self.tell_driver();
    }

    /// From now on it can wait while others are served, or not.
    pub(in crate::peer) fn set_background(&self, background: bool) {
        self.sources.set_background(background);
    }

    /// How soon what is asked for is wanted.
    pub(super) fn urgency(&self) -> Urgency {
        match self.sources.is_background() {
            true => Urgency::Background,
            false if self.sources.is_behind() => Urgency::Behind,
            false => Urgency::Normal,
        }
    }

    /// True if a peer sent wrong bytes or broke the protocol, owes chunks and is silent, or has not what it says it has.
    pub(in crate::peer) fn is_failed_by(&self, peer: PeerId) -> bool {
        self.sources.is_failed_by(peer) || self.neighbours(|neighbours| neighbours.is_shunned(peer))
    }

    /// A peer is to be asked only for what nobody else has or gets.
    pub(in crate::peer) fn spare(&self, peer: PeerId) {
        lock(&self.spared).insert(peer);
    }

    /// Somebody asks us for the content.
    pub(in crate::peer) fn met(&self, peer: PeerId, addr: String) {
        self.neighbours(|neighbours| neighbours.met(peer, addr));
        self.tell_driver();
    }
}

/// Bytes of these chunks.
pub(super) fn bytes_of(chunks: impl Iterator<Item = Chunk>, layout: &Layout) -> u64 {
    chunks.filter_map(|chunk| layout.place(chunk)).map(|place| place.len).sum()
}

#[cfg(test)]
pub(super) mod tests;
