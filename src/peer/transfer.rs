//! One content on its way here: the scheduler behind its lock, its proofs, its sources and followers.
//!
//! Threads of source connections bring events and carry effects out; nothing here touches a socket.
//! Locks are taken one at a time and never while reading, writing or hashing, but for the short
//! write of a block under its chunk's own lock.

pub(super) mod connection;
mod follower;
mod ledger;
mod link;
pub(super) mod probe;
mod status;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use super::disk::{Disk, DiskError};
use super::share::read_chunk;
use crate::api::SourceReport;
use crate::content::{
    ChunkHash, ChunkSet, FileId, Layout, Looks, PeerId, Place, Proof, SafeName, hash_chunk, proof_run,
};
use crate::net::bulk::Wake;
use crate::swarm::neighbours::Neighbours;
use crate::swarm::scheduler::{
    Effect, Event, Limits, MAX_CORRUPT, Reason, Scheduler, SourceId, SourceLoad, SourceView,
};
use crate::threads::lock;
use crate::wire::View;
pub(super) use follower::Follower;
use follower::Followers;
pub(super) use ledger::{Ledger, add};
pub(super) use link::{Order, SourceLink, Trust};

/// How a transfer ended.
#[derive(Debug, Clone)]
pub(super) enum End {
    Done,
    Cancelled,
    Failed(Arc<DiskError>),
}

/// Who may write a chunk that is arriving, and which chunks nobody may write any more.
#[derive(Debug)]
struct Writers {
    kept: ChunkSet,
    owners: HashMap<u32, Arc<Mutex<SourceId>>>,
}

/// A transfer.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) id: FileId,
    pub(super) view: View,
    pub(super) name: SafeName,
    pub(super) layout: Arc<Layout>,
    pub(super) disk: Disk,
    pub(super) ledger: Ledger,
    pub(super) started: Instant,
    resumed_bytes: u64,
    scheduler: Mutex<Scheduler>,
    writers: Mutex<Writers>,
    proofs: Mutex<HashMap<(usize, u32), Arc<Proof>>>,
    /// Connections that are no sources yet.
    opening: Mutex<Vec<Weak<Wake>>>,
    sources: Mutex<BTreeMap<SourceId, Arc<SourceLink>>>,
    /// A source has left.
    left: Condvar,
    past_sources: Mutex<BTreeMap<SourceId, SourceReport>>,
    next_source: AtomicU32,
    followers: Followers,
    neighbours: Mutex<Neighbours>,
    /// Tells the driving thread that there is something to do before its next turn.
    news: Sender<()>,
    heard: Receiver<()>,
    end: Mutex<Option<(End, Instant)>>,
    /// What was known of each source when the transfer ended.
    last_views: Mutex<Vec<(SourceId, SourceView)>>,
    stopping: AtomicBool,
    /// What [`Scheduler::is_behind`] said when something was last to be done.
    behind: AtomicBool,
    /// Chunks that peers refused although they had announced them, for the trackers to know.
    missing: Mutex<Vec<(PeerId, u32)>>,
    /// Nobody is connected who has what is missing.
    alone: AtomicBool,
    /// A source has said that what it had has changed.
    changed: AtomicBool,
    /// A file of it is not what was fetched any more.
    spoilt: AtomicBool,
}

impl Transfer {
    pub(super) fn new(
        id: FileId,
        view: View,
        name: SafeName,
        disk: Disk,
        had: ChunkSet,
        limits: &super::Limits,
    ) -> Transfer {
        let layout = disk.plan().layout.clone();
        let resumed_bytes = had.iter().filter_map(|chunk| layout.place(chunk)).map(|place| place.len).sum();
        let wanted = ChunkSet::full(layout.chunks());
        let seed = fastrand::u64(..);
        let scheduler = Scheduler::new(
            layout.clone(),
            had.clone(),
            &wanted,
            Limits { max_inflight_bytes: limits.max_inflight_bytes, policy: limits.policy },
            seed,
        );
        let (news, heard) = crossbeam_channel::bounded(1);
        let transfer = Transfer {
            id,
            view,
            name,
            layout,
            disk,
            ledger: Ledger::default(),
            started: Instant::now(),
            resumed_bytes,
            scheduler: Mutex::new(scheduler),
            writers: Mutex::new(Writers { kept: had, owners: HashMap::new() }),
            proofs: Mutex::new(HashMap::new()),
            opening: Mutex::new(Vec::new()),
            sources: Mutex::new(BTreeMap::new()),
            left: Condvar::new(),
            past_sources: Mutex::new(BTreeMap::new()),
            next_source: AtomicU32::new(0),
            followers: Followers::default(),
            neighbours: Mutex::new(Neighbours::new(limits.max_neighbours, seed)),
            news,
            heard,
            end: Mutex::new(None),
            last_views: Mutex::new(Vec::new()),
            stopping: AtomicBool::new(false),
            behind: AtomicBool::new(false),
            missing: Mutex::new(Vec::new()),
            alone: AtomicBool::new(false),
            changed: AtomicBool::new(false),
            spoilt: AtomicBool::new(false),
        };
        transfer.end_if_done();
        transfer
    }

    /// What it fetches, as the wire names it.
    pub(super) fn content(&self) -> (FileId, View) {
        (self.id, self.view)
    }

    /// A source says what mode and time the file has; before any of its bytes are taken.
    pub(super) fn hear_looks(&self, looks: Option<Looks>, whole: bool) {
        if let Some(looks) = looks.filter(|_| self.view == View::Bytes) {
            self.disk.hear_looks(looks, whole);
        }
    }

    // Scheduling.

    pub(super) fn new_source(&self) -> SourceId {
        SourceId(self.next_source.fetch_add(1, Ordering::Relaxed))
    }

    /// Takes in events together, and orders what follows from them. `me` is the source whose thread
    /// calls, which needs no waking.
    pub(super) fn step(&self, events: impl IntoIterator<Item = Event>, me: Option<SourceId>) {
        let now = Instant::now();
        let effects = {
            let mut scheduler = lock(&self.scheduler);
            let effects: Vec<Effect> =
                events.into_iter().flat_map(|event| scheduler.step(event, now)).collect();
            if effects.is_empty() {
                return;
            }
            self.behind.store(scheduler.is_behind(), Ordering::Relaxed);
            effects
        };
        let sources = lock(&self.sources);
        for effect in effects {
            let (id, order) = match effect {
                Effect::Ask(id, chunk) => (id, Order::Ask(chunk)),
                Effect::AskAny(id) => (id, Order::AskAny),
                Effect::AskLoad(id) => (id, Order::AskLoad),
                Effect::Cancel(id, chunk) => (id, Order::Cancel(chunk)),
                Effect::Close(id) => (id, Order::Close),
            };
            if let Some(link) = sources.get(&id) {
                link.order(order);
                if Some(id) != me {
                    link.wake.wake();
                }
            }
        }
    }

    /// True if others get on faster than this transfer.
    pub(super) fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Relaxed)
    }

    /// A connection is being opened; the end of the transfer wakes it.
    pub(super) fn opens(&self, wake: &Arc<Wake>) {
        let mut opening = lock(&self.opening);
        opening.retain(|wake| wake.strong_count() > 0);
        opening.push(Arc::downgrade(wake));
    }

    pub(super) fn join(
        &self,
        link: Arc<SourceLink>,
        have: ChunkSet,
        round_trip: Duration,
        load: Option<SourceLoad>,
    ) {
        let id = link.id;
        if link.wants_news {
            let kept = lock(&self.writers).kept.clone();
            kept.iter().for_each(|chunk| link.order(Order::Tell(chunk)));
        }
        self.neighbours(|neighbours| {
            neighbours.works(link.peer);
            if have.is_full() {
                neighbours.is_whole(link.peer);
            }
        });
        let chooses = {
            let mut sources = lock(&self.sources);
            // Two that choose would choose the same chunks: only one is left free to.
            let only = sources.values().all(|other| other.peer == link.peer || !other.wants_news);
            // `finish` closes those that are in the map when it comes by, and says so before: one that comes
            // after it would never be told.
            if self.is_over() {
                link.order(Order::Close);
            }
            sources.insert(id, link);
            only && have.is_full()
        };
        self.step([Event::Joined { source: id, have, chooses, round_trip, load }], Some(id));
    }

    pub(super) fn leave(&self, id: SourceId) -> Trust {
        let over = lock(&self.last_views).iter().find(|(source, _)| *source == id).map(|(_, view)| *view);
        let view = over.or_else(|| {
            let views = self.source_views();
            let view = views.into_iter().find(|(source, _)| *source == id)?.1;
            let banned = matches!(view.reason, Reason::Banned(_));
            Some(SourceView { reason: if banned { view.reason } else { Reason::Gone }, ..view })
        });
        let link = lock(&self.sources).remove(&id);
        if let (Some(view), Some(link)) = (view, link) {
            let report = self.report(&link, &view, false);
            lock(&self.past_sources).insert(id, report);
        }
        self.step([Event::Left(id)], None);
        self.left.notify_all();
        let _ = self.news.try_send(());
        match view {
            Some(view) if view.corrupt >= MAX_CORRUPT => Trust::Lost,
            _ => Trust::Kept,
        }
    }

    /// Waits until nobody can write any more, once the transfer is over.
    pub(super) fn wait_for_writers(&self) {
        let sources = lock(&self.sources);
        drop(self.left.wait_while(sources, |sources| !sources.is_empty()));
    }

    /// Peers that are connected now.
    pub(super) fn connected(&self) -> Vec<(SourceId, PeerId)> {
        lock(&self.sources).values().map(|link| (link.id, link.peer)).collect()
    }

    /// Closes a source that others should take the place of.
    pub(super) fn close(&self, id: SourceId) {
        if let Some(link) = lock(&self.sources).get(&id) {
            link.order(Order::Close);
            link.wake.wake();
        }
    }

    /// What is known of each source.
    pub(super) fn source_views(&self) -> Vec<(SourceId, SourceView)> {
        lock(&self.scheduler).sources(Instant::now()).collect()
    }

    /// True if any source has a wanted chunk.
    pub(super) fn is_helped(&self) -> bool {
        lock(&self.scheduler).is_helped()
    }

    /// Wanted chunks that no source has.
    pub(super) fn unavailable(&self) -> Vec<(u32, u32)> {
        lock(&self.scheduler).unavailable()
    }

    /// Notes whether nobody is connected who has what is missing, and has not been for a moment.
    pub(super) fn set_alone(&self, alone: bool) {
        self.alone.store(alone, Ordering::Relaxed);
    }

    pub(super) fn is_alone(&self) -> bool {
        self.alone.load(Ordering::Relaxed)
    }

    /// True if a chunk has been proved in this run or an earlier one.
    pub(super) fn has_proved(&self) -> bool {
        !lock(&self.scheduler).had().is_empty()
    }

    /// True if the last chunk of a single file is here: its hash depends on where the file ends.
    pub(super) fn has_proved_its_size(&self) -> bool {
        let last = self.layout.chunks().checked_sub(1);
        self.view == View::Bytes && last.is_none_or(|last| self.has(last))
    }

    /// A peer does not have a chunk that it announced.
    pub(super) fn lacks(&self, peer: PeerId, chunk: u32) {
        lock(&self.missing).push((peer, chunk));
    }

    /// What was found missing since last time.
    pub(super) fn take_missing(&self) -> Vec<(PeerId, u32)> {
        std::mem::take(&mut lock(&self.missing))
    }

    /// A source says that what it had has changed.
    pub(super) fn note_change(&self) {
        self.changed.store(true, Ordering::Relaxed);
    }

    /// True if a source has said that what it had has changed.
    pub(super) fn has_changed(&self) -> bool {
        self.changed.load(Ordering::Relaxed)
    }

    /// True if `chunk` is here, proved and written.
    pub(super) fn has(&self, chunk: u32) -> bool {
        lock(&self.scheduler).had().contains(chunk)
    }

    /// The chunks that are here.
    pub(super) fn had(&self) -> ChunkSet {
        lock(&self.scheduler).had().clone()
    }

    // Proofs.

    /// The proved hash of a chunk, if it is known.
    pub(super) fn hash_of(&self, place: Place) -> Option<ChunkHash> {
        let geometry = self.layout.files()[place.file];
        if geometry.chunks() == 1 {
            return Some(ChunkHash(self.disk.plan().id_of(place.file).0));
        }
        let (first, _) = proof_run(geometry, place.chunk);
        let proof = lock(&self.proofs).get(&(place.file, first)).cloned()?;
        proof.hashes.get((place.chunk.get() - first) as usize).copied()
    }

    /// Takes in a proof; false if it proves nothing.
    pub(super) fn learn(&self, place: Place, proof: Proof) -> bool {
        let geometry = self.layout.files()[place.file];
        let (first, count) = proof_run(geometry, place.chunk);
        let fits = proof.first == first && proof.hashes.len() as u32 == count;
        let proved = fits && proof.check(self.disk.plan().id_of(place.file), geometry).is_ok();
        if proved {
            lock(&self.proofs).entry((place.file, first)).or_insert_with(|| Arc::new(proof));
        }
        proved
    }

    /// The proof of the run that a chunk lies in, if it is known.
    pub(super) fn proof_of(&self, place: Place) -> Option<Arc<Proof>> {
        let (first, _) = proof_run(self.layout.files()[place.file], place.chunk);
        lock(&self.proofs).get(&(place.file, first)).cloned()
    }

    // Writing. A chunk has one writer, the one that began last, and none once it is kept.

    /// Makes `source` the writer of `chunk`; `None` if the chunk is here already.
    pub(super) fn begin(&self, chunk: u32, source: SourceId) -> Option<Arc<Mutex<SourceId>>> {
        let mut writers = lock(&self.writers);
        if writers.kept.contains(chunk) {
            return None;
        }
        let owner = writers.owners.entry(chunk).or_insert_with(|| Arc::new(Mutex::new(source))).clone();
        // Still under `writers`: otherwise the chunk could be kept between the look and the taking.
        *lock(&owner) = source;
        Some(owner)
    }

    /// True if the caller, whose bytes were proved, is the one to keep the chunk.
    pub(super) fn claim(&self, chunk: u32, source: SourceId) -> bool {
        let mut writers = lock(&self.writers);
        let owns = writers.owners.get(&chunk).is_some_and(|owner| *lock(owner) == source);
        if owns {
            writers.owners.remove(&chunk);
        }
        owns && writers.kept.insert(chunk)
    }

    /// The caller's bytes were wrong or are not coming.
    pub(super) fn abandon(&self, chunk: u32, source: SourceId) {
        let mut writers = lock(&self.writers);
        if writers.owners.get(&chunk).is_some_and(|owner| *lock(owner) == source) {
            writers.owners.remove(&chunk);
        }
    }

    /// A chunk is stored: tells sources and followers, and ends the transfer if it was the last.
    pub(super) fn kept(&self, chunk: u32, source: SourceId) {
        for link in lock(&self.sources).values().filter(|link| link.wants_news) {
            link.order(Order::Tell(chunk));
        }
        self.step([Event::Arrived(source, chunk)], Some(source));
        // Also those who told us of it: it is how they see that what they passed on has arrived.
        self.followers.gain(chunk);
        self.end_if_done();
    }

    /// Wakes the followers for whom it is time to hear of gains.
    pub(super) fn tell_news(&self) {
        self.followers.nudge();
    }

    /// From now on `follower` hears of gains. Call it before reading what is had, so that none is missed.
    pub(super) fn subscribe(&self, follower: &Arc<Follower>, slot: u16) {
        self.followers.add(follower, slot);
    }

    // The end.

    fn end_if_done(&self) {
        if lock(&self.scheduler).is_done() {
            self.finish(End::Done);
        }
    }

    pub(super) fn fail(&self, error: DiskError) {
        self.finish(End::Failed(Arc::new(error)));
    }

    /// Ends the transfer, once; closes its sources.
    pub(super) fn finish(&self, how: End) {
        if !self.is_over() {
            let views = self.source_views();
            *lock(&self.last_views) = views;
        }
        let mut end = lock(&self.end);
        if end.is_none() {
            let finished = if matches!(how, End::Done) { self.disk.finish() } else { Ok(()) };
            let how = finished.map_or_else(|error| End::Failed(Arc::new(error)), |()| how);
            *end = Some((how, Instant::now()));
        }
        drop(end);
        self.stopping.store(true, Ordering::Release);
        let _ = self.news.try_send(());
        lock(&self.opening).iter().filter_map(Weak::upgrade).for_each(|wake| wake.wake());
        for link in lock(&self.sources).values() {
            link.order(Order::Close);
            link.wake.wake();
        }
    }

    pub(super) fn end(&self) -> Option<End> {
        lock(&self.end).as_ref().map(|(end, _)| end.clone())
    }

    /// True if others may have what is here of it.
    pub(super) fn is_servable(&self) -> bool {
        matches!(self.end(), None | Some(End::Done)) && !self.is_spoilt()
    }

    /// A file that was finished is not what it was: nothing of this is served from now on.
    pub(super) fn spoil(&self) {
        self.spoilt.store(true, Ordering::Release);
    }

    /// Reads a chunk that is here again; if it is not what came, nothing of this is served any more.
    pub(super) fn check(&self, place: Place) {
        let (geometry, Some(hash)) = (self.layout.files()[place.file], self.hash_of(place)) else { return };
        let read = self.disk.reader(place.file).and_then(|file| read_chunk(&file, place));
        if read.is_ok_and(|bytes| hash_chunk(geometry, place.chunk, &bytes) != hash) {
            tracing::warn!("{} is not what was fetched any more; it is no longer shared", self.name);
            self.spoil();
        }
    }

    pub(super) fn is_spoilt(&self) -> bool {
        self.spoilt.load(Ordering::Acquire)
    }

    /// True once no more chunks are wanted, for whatever reason.
    pub(super) fn is_over(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Waits until there is news for the driving thread or its next turn is due. How the transfer
    /// ended, if it did.
    pub(super) fn wait_news(&self, timeout: Duration) -> Option<End> {
        if self.end().is_none() {
            let _ = self.heard.recv_timeout(timeout);
        }
        self.end()
    }

    // Neighbours.

    /// Looks at, or changes, whom this transfer is connected to.
    pub(super) fn neighbours<T>(&self, with: impl FnOnce(&mut Neighbours) -> T) -> T {
        with(&mut lock(&self.neighbours))
    }

    /// Somebody has, or wants, the content.
    pub(super) fn suggest(&self, peer: PeerId, addr: String) {
        self.neighbours(|neighbours| neighbours.suggest(peer, addr));
        let _ = self.news.try_send(());
    }

    /// Somebody asks us for the content.
    pub(super) fn met(&self, peer: PeerId, addr: String) {
        self.neighbours(|neighbours| neighbours.met(peer, addr));
        let _ = self.news.try_send(());
    }
}

#[cfg(test)]
mod tests;
