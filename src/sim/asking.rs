//! The asking side of a connection, as `peer::transfer` does it around the scheduler.

use std::time::Duration;

use super::connection::{Item, Load};
use super::happening::{Happening, Job, Message, Nanos};
use super::world::World;
use crate::content::{Chunk, PROOF_RUN};
use crate::swarm::neighbours::Outcome;
use crate::swarm::scheduler::{Effect, Event, SourceId};
use crate::wire::{ANY_CHUNK, Complaint};

/// A GET_CHUNK, a GET_LOAD, a CANCEL, a HAVE of one chunk.
const ASK_BYTES: u32 = 19;
const LOAD_BYTES: u32 = 9;
const CANCEL_BYTES: u32 = 13;
const TELL_BYTES: u32 = 21;

impl World<'_> {
    /// OPENED arrives: the source is of use from now on.
    pub(super) fn opened(&mut self, c: u32) {
        let connection = &mut self.connections[c as usize];
        let (p, who) = (connection.asker, super::peer::id_of(connection.server));
        let Some((have, load)) = connection.opening.take() else { return };
        if !connection.asker_open {
            return;
        }
        let round_trip = Duration::from_nanos(self.delay * 2);
        connection.wants_news = have.is_full();
        let Some(fetch) = &mut self.peers[p as usize].fetch else { return };
        let source = SourceId(fetch.connections.len() as u32);
        fetch.connections.push(c);
        fetch.neighbours.opened(who);
        if have.is_full() {
            fetch.neighbours.is_whole(who);
        }
        connection.source = Some(source);
        if connection.wants_news {
            let kept: Vec<Chunk> = fetch.kept.iter().collect();
            kept.into_iter().for_each(|chunk| self.tell_source(c, chunk, 8));
        }
        let may_choose = have.is_full().then_some(who);
        self.step(p, Event::Joined { source, have, may_choose, round_trip, load: Some(load) });
    }

    fn tell_source(&mut self, c: u32, chunk: Chunk, bytes: u32) {
        let (server, asker) = (self.connections[c as usize].server, self.connections[c as usize].asker);
        let at = self.short(asker, server, bytes);
        self.queue.push(at, Happening::Told(c, chunk));
    }

    /// Gives a peer's scheduler an event and carries out what follows.
    pub(super) fn step(&mut self, p: u32, event: Event) {
        let now = self.instant();
        let Some(fetch) = &mut self.peers[p as usize].fetch else { return };
        let effects = fetch.scheduler.step(event, now);
        assert_eq!(fetch.scheduler.had().count(), fetch.kept.count(), "what is had is what was delivered");
        let mut last = None;
        for effect in effects {
            let (source, bytes) = match effect {
                Effect::Ask(source, _) => (source, ASK_BYTES),
                Effect::AskAny(source) => (source, ASK_BYTES),
                Effect::AskLoad(source) => (source, LOAD_BYTES),
                Effect::Cancel(source, _) => (source, CANCEL_BYTES),
                Effect::Close(source) => (source, 9),
            };
            let Some(c) = self.connection_of(p, source) else { continue };
            // Orders that are given together leave in one segment, mostly as one run.
            let bytes = if last == Some(source) { 0 } else { bytes };
            last = Some(source);
            self.order(p, c, effect, bytes);
        }
    }

    fn connection_of(&self, p: u32, source: SourceId) -> Option<u32> {
        let c = *self.peers[p as usize].fetch.as_ref()?.connections.get(source.0 as usize)?;
        self.connections[c as usize].asker_open.then_some(c)
    }

    fn order(&mut self, p: u32, c: u32, effect: Effect, bytes: u32) {
        let server = self.connections[c as usize].server;
        let at = match bytes {
            0 => self.now + self.delay,
            bytes => self.short(p, server, bytes),
        };
        match effect {
            Effect::Ask(_, chunk) => self.ask(p, c, chunk, at),
            Effect::AskAny(_) => self.ask(p, c, ANY_CHUNK, at),
            Effect::AskLoad(_) => self.queue.push(at, Happening::LoadAsked(c)),
            Effect::Cancel(_, chunk) => self.queue.push(at, Happening::Cancelled(c, chunk)),
            Effect::Close(source) => self.close(p, c, source),
        }
    }

    fn ask(&mut self, p: u32, c: u32, chunk: Chunk, at: Nanos) {
        let Some(fetch) = &self.peers[p as usize].fetch else { return };
        let proof = chunk == ANY_CHUNK || !fetch.proved.contains(chunk.first_of(PROOF_RUN));
        let behind = fetch.scheduler.is_behind();
        self.queue.push(at, Happening::Asked(c, Job { chunk, proof, behind }));
    }

    /// The scheduler has had enough of a source.
    fn close(&mut self, p: u32, c: u32, source: SourceId) {
        let now = self.instant();
        let fetch = self.peers[p as usize].fetch.as_ref();
        let view = fetch.and_then(|fetch| fetch.scheduler.sources(now).find(|(id, _)| *id == source));
        let lies = view.is_some_and(|(_, view)| view.corrupt >= crate::swarm::scheduler::MAX_CORRUPT);
        if lies {
            let server = self.connections[c as usize].server;
            self.complain(p, server, Complaint::Corrupt);
        }
        self.asker_ends(c, if lies { Outcome::Banned } else { Outcome::Useless }, true);
    }

    /// The asker is done with a connection, or sees that it has ended.
    pub(super) fn asker_ends(&mut self, c: u32, outcome: Outcome, tell: bool) {
        let connection = &mut self.connections[c as usize];
        if !std::mem::take(&mut connection.asker_open) {
            return;
        }
        if tell {
            self.queue.push(self.now + self.delay, Happening::EndedForServer(c));
        }
        let (p, server, source) = (connection.asker, connection.server, connection.source);
        let now = self.instant();
        let Some(fetch) = &mut self.peers[p as usize].fetch else { return };
        fetch.neighbours.ended(super::peer::id_of(server), outcome, now);
        if let Some(source) = source {
            fetch.writers.retain(|_, writer| *writer != source);
            self.step(p, Event::Left(source));
        }
        self.turn_soon(p);
    }

    /// Bytes of a stream arrive at the asker.
    pub(super) fn take_in(&mut self, c: u32, mut bytes: u32) {
        while bytes > 0 {
            let Some(front) = self.connections[c as usize].items.front_mut() else { return };
            if !front.begun {
                front.begun = true;
                if let Load::Chunk { chunk, .. } = front.load {
                    let wanted = self.head(c, chunk);
                    match self.connections[c as usize].items.front_mut() {
                        Some(front) => front.wanted = wanted,
                        None => return,
                    }
                }
                continue;
            }
            let part = front.undelivered.min(bytes);
            front.undelivered -= part;
            bytes -= part;
            if front.undelivered == 0
                && let Some(item) = self.connections[c as usize].items.pop_front()
            {
                self.arrived(c, item);
            }
        }
    }

    /// The head of a chunk; true if its data is wanted.
    fn head(&mut self, c: u32, chunk: Chunk) -> bool {
        let (p, source) = (self.connections[c as usize].asker, self.connections[c as usize].source);
        let Some(source) = source else { return false };
        self.step(p, Event::Arriving(source, chunk));
        let Some(fetch) = &mut self.peers[p as usize].fetch else { return false };
        fetch.proved.insert(chunk.first_of(PROOF_RUN));
        let wanted = !fetch.kept.contains(chunk);
        if wanted {
            fetch.writers.insert(chunk, source);
        }
        wanted
    }

    /// All of a frame is here.
    fn arrived(&mut self, c: u32, item: Item) {
        let (p, source) = (self.connections[c as usize].asker, self.connections[c as usize].source);
        let Some(source) = source else { return };
        match item.load {
            Load::Message(message) => self.message(c, message),
            Load::Chunk { chunk, corrupt, bytes, .. } => {
                self.step(p, Event::Progress(source, u64::from(bytes)));
                self.whole(p, source, chunk, item.wanted, corrupt);
            }
        }
    }

    fn whole(&mut self, p: u32, source: SourceId, chunk: Chunk, wanted: bool, corrupt: bool) {
        let bytes = u64::from(self.bytes_of(chunk));
        let peer = &mut self.peers[p as usize];
        let Some(fetch) = &mut peer.fetch else { return };
        let writes = fetch.writers.get(&chunk) == Some(&source);
        if writes {
            fetch.writers.remove(&chunk);
        }
        if wanted && corrupt {
            peer.rejected += bytes;
            return self.step(p, Event::Corrupt(source, chunk));
        }
        if !wanted || !writes {
            peer.duplicate += bytes;
            return self.step(p, Event::Settled(source, chunk));
        }
        fetch.kept.insert(chunk);
        peer.useful += bytes;
        self.kept(p, source, chunk);
    }

    /// A chunk is here: tells sources and askers, and ends the transfer if it was the last.
    fn kept(&mut self, p: u32, source: SourceId, chunk: Chunk) {
        let server = self.connection_of(p, source).map(|c| self.connections[c as usize].server);
        let Some(fetch) = &mut self.peers[p as usize].fetch else { return };
        if let Some(server) = server {
            fetch.neighbours.gave(super::peer::id_of(server));
        }
        let seeders: Vec<u32> = fetch
            .connections
            .iter()
            .copied()
            .filter(|c| self.connections[*c as usize].wants_news && self.connections[*c as usize].asker_open)
            .collect();
        seeders.into_iter().for_each(|c| self.tell_source(c, chunk, TELL_BYTES));
        self.step(p, Event::Arrived(source, chunk));
        self.gained(p, chunk);
        self.count_kept(p, chunk);
        self.end_if_done(p);
    }

    /// A message of the server arrives.
    pub(super) fn message(&mut self, c: u32, message: Message) {
        let connection = &self.connections[c as usize];
        let (p, Some(source), true) = (connection.asker, connection.source, connection.asker_open) else {
            return;
        };
        match message {
            Message::Gains(gained) => self.step(p, Event::Gained(source, gained)),
            Message::Load(load) => self.step(p, Event::Loaded(source, load)),
            Message::Refused(chunk, reason) => {
                let chunk = (chunk != ANY_CHUNK).then_some(chunk);
                self.step(p, Event::Refused(source, chunk, reason));
            }
        }
    }
}
