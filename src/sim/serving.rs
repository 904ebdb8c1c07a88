//! The serving side of a connection: what `peer::serve` does around the same `swarm::desk`.

use std::time::Instant;

use super::connection::{Connection, Load};
use super::happening::{Happening, Job, Message};
use super::scenario::Manner;
use super::world::World;
use crate::content::{Chunk, ChunkSet, Network, PROOF_RUN};
use crate::swarm::desk::{Effect, Wish};
use crate::swarm::scheduler::SourceId;
use crate::wire::{ANY_CHUNK, Refusal, Urgency};

/// Frame header and head of a CHUNK without its proof.
const HEAD_BYTES: u32 = 9 + 11;
/// What a socket takes, sent or not, until it is acknowledged.
const SOCKET_BYTES: u32 = 128 << 10;
/// A REFUSED.
const REFUSED_BYTES: u32 = 10;
/// A LOAD.
const LOAD_BYTES: u32 = 9 + 16;
/// A HAVE without its runs, and each of its runs.
const HAVE_BYTES: u32 = 9 + 4;
const RUN_BYTES: u32 = 8;
/// The slot in which all open the one content.
const SLOT: u16 = 0;

impl World<'_> {
    /// OPEN arrives at the server.
    pub(super) fn open(&mut self, c: u32) {
        let connection = &self.connections[c as usize];
        let (server, asker) = (connection.server, connection.asker);
        if !self.peers[server as usize].alive {
            if !self.peers[server as usize].vanished {
                self.queue.push(self.now + self.delay, Happening::EndedForAsker(c));
            }
            return; // an asker of nobody gives up by its own clock
        }
        if self.peers[server as usize].askers.len() >= self.scenario.max_askers {
            self.queue.push(self.now + self.delay, Happening::EndedForAsker(c));
            return;
        }
        let have = match self.peers[server as usize].manner {
            Manner::Boasts => ChunkSet::full(self.chunks),
            _ => self.peers[server as usize].have(self.chunks),
        };
        let bitmap = if have.is_full() || have.is_empty() { 0 } else { self.chunks.div_ceil(8) };
        let peer = &mut self.peers[server as usize];
        let load = peer.load_for(c);
        peer.askers.push(c);
        let connection = &mut self.connections[c as usize];
        connection.server_open = true;
        connection.whole = have.is_full();
        peer.desk.join(c, super::peer::id_of(asker), Network::of(super::peer::address_of(asker)));
        if have.is_full() {
            peer.desk.open(c, SLOT, (), self.chunks);
        }
        connection.opening = Some((have, load));
        if let Some(fetch) = &mut peer.fetch {
            fetch.neighbours.met(super::peer::id_of(asker), super::peer::address_of(asker).to_string());
            self.turn_soon(server);
        }
        let at = self.short(server, asker, 25 + bitmap);
        self.queue.push(at, Happening::Opened(c));
    }

    /// A request arrives.
    pub(super) fn asked(&mut self, c: u32, job: Job) {
        let connection = &mut self.connections[c as usize];
        let server = &self.peers[connection.server as usize];
        if !connection.server_open || !server.alive || server.manner == Manner::Silent {
            return;
        }
        connection.jobs.push_back(job);
        self.pump(c);
    }

    pub(super) fn cancelled(&mut self, c: u32, chunk: Chunk) {
        let connection = &mut self.connections[c as usize];
        if !connection.server_open {
            return;
        }
        let before = connection.jobs.len();
        connection.jobs.retain(|job| job.chunk != chunk);
        if connection.jobs.len() < before {
            self.say(c, Message::Refused(chunk, Refusal::Cancelled), REFUSED_BYTES);
        }
        self.pump(c);
    }

    /// The asker has a chunk now.
    pub(super) fn told(&mut self, c: u32, chunk: Chunk) {
        let server = self.connections[c as usize].server;
        self.peers[server as usize].desk.has(c, SLOT, [chunk]);
    }

    /// GET_LOAD arrives.
    pub(super) fn load_asked(&mut self, c: u32) {
        let connection = &self.connections[c as usize];
        let server = &self.peers[connection.server as usize];
        if connection.server_open && server.alive && server.manner != Manner::Silent {
            self.say(c, Message::Load(server.load_for(c)), LOAD_BYTES);
        }
    }

    /// Starts the next answer if it is this connection's turn.
    pub(super) fn pump(&mut self, c: u32) {
        let now = self.instant();
        let connection = &self.connections[c as usize];
        if connection.writing {
            return;
        }
        let server = connection.server as usize;
        let Some(job) = connection.jobs.front().copied().filter(|_| connection.server_open) else {
            let effects = self.peers[server].desk.rest(c);
            self.carry_out(effects);
            return self.tell(c);
        };
        let urgency = match job.behind {
            _ if self.is_failed_by_asker(c) => Urgency::Background,
            true => Urgency::Behind,
            false => Urgency::Normal,
        };
        let choice = (job.chunk == ANY_CHUNK).then_some(SLOT);
        if !self.peers[server].desk.turn(c, Wish { choice, urgency }, now) {
            return;
        }
        self.tell_news(c);
        while let Some(job) = self.connections[c as usize].jobs.pop_front() {
            if self.begin(c, job) {
                return self.written(c, 0);
            }
        }
        self.done(c);
    }

    /// True if the asker, as a source of the server, is banned or fails it.
    fn is_failed_by_asker(&self, c: u32) -> bool {
        let Connection { server, asker, .. } = self.connections[c as usize];
        let (now, Some(fetch)) = (self.instant(), &self.peers[server as usize].fetch) else { return false };
        let fails = |(source, other): (usize, &u32)| {
            let other = &self.connections[*other as usize];
            other.server == asker
                && other.asker_open
                && fetch.scheduler.is_failed_by(SourceId(source as u32), now)
        };
        fetch.neighbours.is_shunned(super::peer::id_of(asker))
            || fetch.connections.iter().enumerate().any(fails)
    }

    /// Nothing is left to be sent of what was begun.
    fn done(&mut self, c: u32) {
        let server = self.connections[c as usize].server;
        let effects = self.peers[server as usize].desk.done(c);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for Effect::Wake(next) in effects {
            self.pump(next);
        }
    }

    /// Writes a chunk to the stream; false if it was refused.
    fn begin(&mut self, c: u32, job: Job) -> bool {
        let now = self.instant();
        let length = |chunk| self.layout.place(chunk).map_or(0, |place| place.len as u32);
        let connection = &mut self.connections[c as usize];
        let peer = &mut self.peers[connection.server as usize];
        let chunk = match job.chunk {
            ANY_CHUNK => peer.desk.choose(c, SLOT, now),
            chunk => Some(chunk),
        };
        let Some(chunk) = chunk else {
            self.say(c, Message::Refused(ANY_CHUNK, Refusal::NothingBetter), REFUSED_BYTES);
            return false;
        };
        if !peer.has(chunk) {
            assert!(!peer.is_honest(), "an honest peer was asked for a chunk that it never announced");
            self.say(c, Message::Refused(job.chunk, Refusal::NotHere), REFUSED_BYTES);
            return false;
        }
        let corrupt = match peer.manner {
            Manner::Corrupts(share) => self.rng.f64() < share,
            _ => false,
        };
        let proof = match job.proof && connection.proved.insert(chunk.first_of(PROOF_RUN)) {
            true => self.proof_bytes,
            false => 0,
        };
        let bytes = length(chunk);
        peer.sent += u64::from(bytes);
        connection.writing = true;
        connection.taken = match peer.desk.piece() {
            Some(_) => 0, // and it waits until it has left
            None => bytes.min(SOCKET_BYTES),
        };
        peer.desk.begin(c, SLOT, chunk, bytes as usize, now);
        let server = connection.server;
        self.peers[server as usize].overhead += u64::from(HEAD_BYTES + proof);
        self.write(c, Load::Chunk { chunk, corrupt, bytes }, HEAD_BYTES + proof + bytes);
        if server == 0 {
            self.seeder_has_sent();
        }
        true
    }

    /// The network took bytes of a stream: when the last are with the system, the turn is over.
    pub(super) fn written(&mut self, c: u32, bytes: u32) {
        let now = self.instant();
        let connection = &mut self.connections[c as usize];
        if !connection.writing {
            return;
        }
        let ahead = match self.scenario.unsent_ahead {
            Some(most) => connection.unsent > most + connection.taken,
            None => connection.unsent + connection.in_network > SOCKET_BYTES,
        };
        if ahead {
            let ends = self.peers[connection.server as usize].desk.sent(c, u64::from(bytes), now);
            return self.look_again(c, ends);
        }
        connection.writing = false;
        self.done(c);
        self.pump(c);
    }

    pub(super) fn patience(&mut self, c: u32) {
        let now = self.instant();
        let connection = &mut self.connections[c as usize];
        connection.patience_due = false;
        let (ends, effects) = self.peers[connection.server as usize].desk.stuck(c, now);
        self.carry_out(effects);
        self.look_again(c, ends);
    }

    /// Looks when it ends whether a turn is over, once however often it moves.
    fn look_again(&mut self, c: u32, ends: Option<Instant>) {
        if let Some(ends) = ends
            && !std::mem::replace(&mut self.connections[c as usize].patience_due, true)
        {
            let at = self.nanos(ends);
            self.queue.push(at, Happening::Patience(c));
        }
    }

    /// A peer has a chunk: its askers will hear of it.
    pub(super) fn gained(&mut self, p: u32, chunk: Chunk) {
        let askers = self.peers[p as usize].askers.len();
        for nth in 0..askers {
            let c = self.peers[p as usize].askers[nth];
            let connection = &mut self.connections[c as usize];
            if !connection.whole {
                connection.telling.gain(SLOT, chunk, askers as u32);
                self.tell(c);
            }
        }
    }

    pub(super) fn news(&mut self, c: u32) {
        self.connections[c as usize].news_due = false;
        self.tell(c);
    }

    fn tell(&mut self, c: u32) {
        let now = self.instant();
        let connection = &mut self.connections[c as usize];
        if !connection.server_open {
            return;
        }
        connection.telling.set_requests(connection.writing || !connection.jobs.is_empty());
        let Some(due) = connection.telling.due(now) else { return };
        if due <= now {
            return self.tell_news(c);
        }
        if !std::mem::replace(&mut connection.news_due, true) {
            let at = self.nanos(due);
            self.queue.push(at, Happening::News(c));
        }
    }

    fn tell_news(&mut self, c: u32) {
        let now = self.instant();
        for (_, gained) in self.connections[c as usize].telling.take(now) {
            let bytes = HAVE_BYTES + RUN_BYTES * gained.len() as u32;
            self.say(c, Message::Gains(gained), bytes);
        }
    }

    /// The server is done with a connection.
    pub(super) fn server_ends(&mut self, c: u32) {
        let connection = &mut self.connections[c as usize];
        if !std::mem::take(&mut connection.server_open) {
            return;
        }
        let server = connection.server;
        let orderly = !connection.asker_open && self.peers[connection.asker as usize].alive;
        connection.clear();
        connection.writing = false;
        let peer = &mut self.peers[server as usize];
        peer.askers.retain(|asker| *asker != c);
        let effects = peer.desk.leave(c, orderly);
        self.carry_out(effects);
    }
}
