//! The sources of one transfer and what each is asked for: the scheduler and the connections, behind one lock.
//!
//! What is decided under the lock is handed to the connections under it, so it reaches each of them in the order
//! in which it was decided. Threads are woken when the lock is free again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::Instant;

use super::inlet::Inlet;
use super::link::{Opened, Order, SourceLink, Who};
use super::outcome::Trust;
use crate::content::{Chunk, ChunkSet, PeerId, Rate, Run};
use crate::net::wake::Wake;
use crate::swarm::errands::last_of;
use crate::swarm::scheduler::{Effect, Event, MAX_CORRUPT, Reason, Scheduler, SourceId, SourceView};
use crate::threads::lock;

/// The sources of a transfer.
#[derive(Debug)]
pub(in crate::peer) struct Sources {
    state: Mutex<State>,
    /// A source has left.
    left: Condvar,
    next: AtomicU32,
    /// What they may be asked for comes through all of these.
    inlets: Vec<Arc<Inlet>>,
    /// Through this one, too, while the transfer can wait.
    slow: Option<Arc<Inlet>>,
    /// It can wait while others are served.
    background: AtomicBool,
}

#[derive(Debug)]
struct State {
    scheduler: Scheduler,
    links: BTreeMap<SourceId, Arc<SourceLink>>,
    /// Connections that are no sources yet.
    opening: Vec<Weak<Wake>>,
    /// Who has left, as it was known then.
    past: BTreeMap<SourceId, (Who, SourceView)>,
    /// What was known of each source when the transfer ended.
    last: BTreeMap<SourceId, SourceView>,
    /// No more chunks are wanted, for whatever reason.
    over: bool,
}

impl State {
    /// Takes in events together and hands out what follows; who is to be woken then. `me` is the source whose
    /// thread calls, which needs no waking.
    fn step(
        &mut self,
        events: impl IntoIterator<Item = Event>,
        me: Option<SourceId>,
        now: Instant,
    ) -> Vec<Arc<Wake>> {
        let mut wakes = Vec::new();
        for event in events {
            for effect in self.scheduler.step(event, now) {
                let (id, order) = match effect {
                    Effect::Ask(id, chunk) => (id, Order::Ask(chunk)),
                    Effect::AskAny(id) => (id, Order::AskAny),
                    Effect::AskLoad(id) => (id, Order::AskLoad),
                    Effect::Cancel(id, chunk) => (id, Order::Cancel(chunk)),
                    Effect::Close(id) => (id, Order::Close),
                };
                let Some(link) = self.links.get(&id) else { continue };
                link.order(order);
                if Some(id) != me {
                    wakes.push(link.wake.clone());
                }
            }
        }
        wakes
    }

    /// What is to be remembered of a source that leaves.
    fn last_view(&self, id: SourceId, now: Instant) -> Option<SourceView> {
        if let Some(view) = self.last.get(&id) {
            return Some(*view);
        }
        let (_, view) = self.scheduler.sources(now).find(|(source, _)| *source == id)?;
        let banned = matches!(view.reason, Reason::Banned(_));
        Some(SourceView { reason: if banned { view.reason } else { Reason::Gone }, ..view })
    }
}

fn wake(all: Vec<Arc<Wake>>) {
    all.iter().for_each(|wake| wake.wake());
}

impl Sources {
    pub(super) fn new(scheduler: Scheduler, inlets: Vec<Arc<Inlet>>) -> Sources {
        let state = State {
            scheduler,
            links: BTreeMap::new(),
            opening: Vec::new(),
            past: BTreeMap::new(),
            last: BTreeMap::new(),
            over: false,
        };
        Sources {
            state: Mutex::new(state),
            left: Condvar::new(),
            next: AtomicU32::new(0),
            inlets,
            slow: None,
            background: AtomicBool::new(false),
        }
    }

    /// While the transfer can wait, what they may be asked for comes through this as well.
    pub(in crate::peer) fn slow_down(&mut self, slow: Arc<Inlet>) {
        self.slow = Some(slow);
    }

    pub(super) fn set_background(&self, background: bool) {
        self.background.store(background, Ordering::Relaxed);
    }

    pub(super) fn is_background(&self) -> bool {
        self.background.load(Ordering::Relaxed)
    }

    fn inlets(&self) -> impl Iterator<Item = &Arc<Inlet>> {
        self.inlets.iter().chain(self.slow.iter().filter(|_| self.is_background()))
    }

    /// A number for a new source.
    pub(super) fn number(&self) -> SourceId {
        SourceId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Takes in events together, and orders what follows from them. `me` is the source whose thread
    /// calls, which needs no waking.
    pub(in crate::peer) fn step(&self, events: impl IntoIterator<Item = Event>, me: Option<SourceId>) {
        let wakes = self.under_limits(|state, now| state.step(events, me, now));
        wake(wakes);
    }

    /// Does something of which requests may follow: no more than the limits let in.
    fn under_limits<T>(&self, change: impl FnOnce(&mut State, Instant) -> T) -> T {
        let now = Instant::now();
        let room = self.inlets().filter_map(|inlet| inlet.room(now)).min();
        let (changed, spent) = {
            let mut state = lock(&self.state);
            state.scheduler.allow(room);
            let changed = change(&mut state, now);
            (changed, state.scheduler.spent())
        };
        if spent != 0 {
            self.inlets().for_each(|inlet| inlet.spend(spent, now));
        }
        changed
    }

    /// Somebody waits for these chunks: they are asked for first.
    pub(super) fn press(&self, run: Run) {
        lock(&self.state).scheduler.press(run);
    }

    /// How fast bytes may come, if there is a limit.
    pub(super) fn limit(&self) -> Option<Rate> {
        self.inlets().filter_map(|inlet| inlet.rate()).min()
    }

    /// A connection is being opened; the end of the transfer wakes it.
    pub(super) fn opens(&self, wake: &Arc<Wake>) {
        let opening = &mut lock(&self.state).opening;
        opening.retain(|wake| wake.strong_count() > 0);
        opening.push(Arc::downgrade(wake));
    }

    /// A source has answered; one that wants to know what is here is told all of it, and of each chunk that
    /// arrives from now on.
    pub(super) fn join(&self, link: Arc<SourceLink>, opened: Opened, spare: bool) {
        let Opened { have, load, round_trip, .. } = opened;
        let wakes = self.under_limits(|state, now| {
            if link.wants_news {
                state.scheduler.had().iter().for_each(|chunk| link.order(Order::Tell(chunk)));
            }
            if state.over {
                link.order(Order::Close);
            }
            let (source, may_choose) = (link.id, link.wants_news.then_some(link.who.peer));
            state.links.insert(source, link);
            let joined = Event::Joined { source, have, may_choose, round_trip, load };
            let spare = spare.then_some(Event::Spare(source));
            state.step(spare.into_iter().chain([joined]), Some(source), now)
        });
        wake(wakes);
    }

    /// A chunk of `source` is here, proved and stored. True if it was the last that was wanted.
    pub(super) fn arrived(&self, chunk: Chunk, source: SourceId) -> bool {
        let (wakes, done) = self.under_limits(|state, now| {
            // They hear of it along with what they are told next.
            let listening = state.links.values().filter(|link| link.wants_news);
            listening.for_each(|link| link.order(Order::Tell(chunk)));
            let wakes = state.step([Event::Arrived(source, chunk)], Some(source), now);
            (wakes, state.scheduler.is_done())
        });
        wake(wakes);
        done
    }

    /// The connection of a source has ended, or is about to.
    pub(super) fn leave(&self, id: SourceId) -> Trust {
        let (view, wakes) = self.under_limits(|state, now| {
            let view = state.last_view(id, now);
            if let (Some(view), Some(link)) = (view, state.links.remove(&id)) {
                state.past.insert(id, (link.who.clone(), view));
            }
            (view, state.step([Event::Left(id)], None, now))
        });
        wake(wakes);
        self.left.notify_all();
        match view {
            Some(view) if view.corrupt >= MAX_CORRUPT => Trust::Lost,
            Some(view) if view.chunks > 0 => Trust::Earned,
            _ => Trust::Kept,
        }
    }

    /// Waits until the last source has left, once the transfer is over.
    pub(in crate::peer) fn wait_for_all(&self) {
        let state = lock(&self.state);
        drop(self.left.wait_while(state, |state| !state.links.is_empty()));
    }

    /// True if anybody is connected.
    pub(in crate::peer) fn any(&self) -> bool {
        !lock(&self.state).links.is_empty()
    }

    /// Peers that are connected now.
    fn connected(&self) -> Vec<(SourceId, PeerId)> {
        lock(&self.state).links.values().map(|link| (link.id, link.who.peer)).collect()
    }

    /// Closes the last of the connections to a peer.
    pub(in crate::peer) fn close_last_of(&self, peer: PeerId) {
        if let Some(source) = last_of(self.connected().into_iter(), peer) {
            self.close(source);
        }
    }

    /// Closes a source that others should take the place of.
    pub(in crate::peer) fn close(&self, id: SourceId) {
        let link = lock(&self.state).links.get(&id).cloned();
        if let Some(link) = link {
            link.order(Order::Close);
            link.wake.wake();
        }
    }

    /// The transfer ends: from now on this is what was known of each source, whatever becomes of it.
    pub(super) fn remember(&self) {
        let mut state = lock(&self.state);
        if state.last.is_empty() && !state.over {
            state.last = state.scheduler.sources(Instant::now()).collect();
        }
    }

    /// Closes all, and who comes later.
    pub(super) fn close_all(&self) {
        let wakes: Vec<Arc<Wake>> = {
            let mut state = lock(&self.state);
            state.over = true;
            state.links.values().for_each(|link| link.order(Order::Close));
            let opening = state.opening.iter().filter_map(Weak::upgrade);
            state.links.values().map(|link| link.wake.clone()).chain(opening).collect()
        };
        wake(wakes);
    }

    /// What is known of each source.
    pub(in crate::peer) fn views(&self) -> Vec<(SourceId, SourceView)> {
        lock(&self.state).scheduler.sources(Instant::now()).collect()
    }

    /// Who was a source, and who is: true for those.
    pub(super) fn all(&self) -> Vec<(Who, SourceView, bool)> {
        let state = lock(&self.state);
        let past = state.past.values().map(|(who, view)| (who.clone(), *view, false));
        let views = state.scheduler.sources(Instant::now());
        let now = views.filter_map(|(id, view)| Some((state.links.get(&id)?.who.clone(), view, true)));
        past.chain(now).collect()
    }

    /// True if sources sent chunks, and none of these was right.
    pub(in crate::peer) fn gave_only_wrong_bytes(&self) -> bool {
        let all = self.all();
        all.iter().any(|(_, view, _)| view.corrupt > 0) && all.iter().all(|(_, view, _)| view.chunks == 0)
    }

    /// True if others get on faster than this transfer.
    pub(super) fn is_behind(&self) -> bool {
        lock(&self.state).scheduler.is_behind()
    }

    /// True if that peer owes chunks and is silent for long, or has not what it says it has.
    pub(super) fn is_failed_by(&self, peer: PeerId) -> bool {
        let (now, state) = (Instant::now(), lock(&self.state));
        let of_peer = state.links.values().filter(|link| link.who.peer == peer);
        of_peer.map(|link| link.id).any(|id| state.scheduler.is_failed_by(id, now))
    }

    /// True if any source has a wanted chunk.
    pub(in crate::peer) fn is_helped(&self) -> bool {
        lock(&self.state).scheduler.is_helped()
    }

    /// True if nothing is wanted any more.
    pub(super) fn is_done(&self) -> bool {
        lock(&self.state).scheduler.is_done()
    }

    /// Wanted chunks that no source has.
    pub(in crate::peer) fn unavailable(&self) -> Vec<Run> {
        lock(&self.state).scheduler.unavailable()
    }

    /// True if `chunk` is here, proved and written.
    pub(super) fn has(&self, chunk: Chunk) -> bool {
        lock(&self.state).scheduler.had().contains(chunk)
    }

    /// The chunks that are here.
    pub(super) fn had(&self) -> ChunkSet {
        lock(&self.state).scheduler.had().clone()
    }
}

#[cfg(test)]
mod tests;
