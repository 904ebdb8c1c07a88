//! The serving side of a connection, as `peer::serve` does it around the policy of `swarm::turns`.

use std::time::Instant;

use super::connection::Load;
use super::happening::{Happening, Job, Message};
use super::scenario::Manner;
use super::world::World;
use crate::content::{ChunkSet, PROOF_RUN, runs};
use crate::swarm::turns::{Hold, Rank, Seed};
use crate::swarm::uplink::piece_bytes;
use crate::wire::{ANY_CHUNK, Refusal};

/// Frame header and head of a CHUNK without its proof.
const HEAD_BYTES: u32 = 9 + 11;
/// What a socket takes, sent or not, until it is acknowledged.
const SOCKET_BYTES: u32 = 128 << 10;
/// A REFUSED.
const REFUSED_BYTES: u32 = 10;
/// A HAVE without its runs, and each of its runs.
const HAVE_BYTES: u32 = 9 + 4;
const RUN_BYTES: u32 = 8;

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
        peer.askers.push(c);
        let connection = &mut self.connections[c as usize];
        connection.server_open = true;
        if have.is_full() {
            peer.seed.get_or_insert_with(|| Seed::new(self.chunks)).askers += 1;
            connection.given = Some(ChunkSet::empty(self.chunks));
            connection.told = ChunkSet::empty(self.chunks);
        }
        connection.opening = Some(have);
        if let Some(fetch) = &mut peer.fetch {
            fetch.neighbours.met(super::peer::id_of(asker), String::new());
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

    pub(super) fn cancelled(&mut self, c: u32, chunk: u32) {
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
    pub(super) fn told(&mut self, c: u32, chunk: u32) {
        let connection = &mut self.connections[c as usize];
        connection.told.insert(chunk);
        if let Some(given) = &mut connection.given
            && given.insert(chunk)
            && let Some(seed) = &mut self.peers[connection.server as usize].seed
        {
            seed.give(chunk);
        }
    }

    /// Starts the next answer if it is this connection's turn.
    pub(super) fn pump(&mut self, c: u32) {
        let connection = &mut self.connections[c as usize];
        if connection.writing {
            return;
        }
        let granted = std::mem::take(&mut connection.granted);
        let server = connection.server;
        if connection.jobs.is_empty() || !connection.server_open {
            if granted {
                self.pass_on(server);
            }
            return self.tell(c);
        }
        if !granted && !self.peers[server as usize].turns.take(c) {
            return;
        }
        self.tell_news(c);
        while let Some(job) = self.connections[c as usize].jobs.pop_front() {
            if self.begin(c, job) {
                return self.written(c, 0);
            }
        }
        self.pass_on(server);
    }

    /// Writes a chunk to the stream; false if it was refused.
    fn begin(&mut self, c: u32, job: Job) -> bool {
        let now = self.instant();
        let length = |chunk| self.layout.place(chunk).map_or(0, |place| place.len as u32);
        let connection = &mut self.connections[c as usize];
        let peer = &mut self.peers[connection.server as usize];
        let (any, asker) = (job.chunk == ANY_CHUNK, connection.asker);
        let chunk = match (any, &mut peer.seed) {
            (false, _) => Some(job.chunk),
            (true, Some(seed)) if connection.given.is_some() => {
                connection.last_choice = seed.choose(connection.last_choice);
                connection.last_choice
            }
            (true, _) => None,
        };
        let Some(chunk) = chunk else {
            self.say(c, Message::Refused(ANY_CHUNK, Refusal::NothingBetter), REFUSED_BYTES);
            return false;
        };
        if let (Some(given), Some(seed)) = (&mut connection.given, &mut peer.seed)
            && given.insert(chunk)
        {
            match any {
                true => seed.give_first(chunk, asker),
                false => seed.give(chunk),
            }
        }
        if !peer.has(chunk) {
            assert!(!peer.is_honest(), "an honest peer was asked for a chunk that it never announced");
            self.say(c, Message::Refused(job.chunk, Refusal::NotHere), REFUSED_BYTES);
            return false;
        }
        let corrupt = match peer.manner {
            Manner::Corrupts(share) => self.rng.f64() < share,
            _ => false,
        };
        let proof = match job.proof && connection.proved.insert(chunk / PROOF_RUN) {
            true => self.proof_bytes,
            false => 0,
        };
        let bytes = length(chunk);
        peer.sent += u64::from(bytes);
        connection.writing = true;
        connection.taken = match piece_bytes(peer.uplink.rate()) {
            Some(_) => 0, // and it waits until it has left
            None => bytes.min(SOCKET_BYTES),
        };
        connection.turn = true;
        connection.hold = Some(Hold::begin(now));
        peer.uplink.begun(bytes as usize, now);
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
            let rate = self.peers[connection.server as usize].uplink.rate();
            let Some(hold) = connection.hold.as_mut().filter(|_| connection.turn) else { return };
            hold.sent(u64::from(bytes), rate, now);
            let ends = hold.ends();
            return self.look_again(c, ends);
        }
        connection.writing = false;
        let server = connection.server;
        if std::mem::take(&mut connection.turn) {
            self.pass_on(server);
        }
        self.pump(c);
    }

    pub(super) fn patience(&mut self, c: u32) {
        let now = self.instant();
        let connection = &mut self.connections[c as usize];
        connection.patience_due = false;
        let Some(hold) = connection.hold.as_mut().filter(|_| connection.turn) else { return };
        let server = connection.server;
        if hold.is_over(now, || self.peers[server as usize].uplink.give_up(now)) {
            connection.turn = false;
            return self.pass_on(server);
        }
        let ends = hold.ends();
        self.look_again(c, ends);
    }

    /// Looks when it ends whether a turn is over, once however often it moves.
    fn look_again(&mut self, c: u32, ends: Instant) {
        if !std::mem::replace(&mut self.connections[c as usize].patience_due, true) {
            let at = self.nanos(ends);
            self.queue.push(at, Happening::Patience(c));
        }
    }

    fn pass_on(&mut self, server: u32) {
        let (peer, connections) = (&mut self.peers[server as usize], &self.connections);
        let seed = peer.seed.as_ref();
        let rank = |c: &u32| {
            let connection = &connections[*c as usize];
            let job = connection.jobs.front();
            let seed = seed.filter(|_| job.is_some_and(|job| job.chunk == ANY_CHUNK));
            let unspread = seed.map_or(0, |seed| seed.unspread(connection.asker));
            Rank::new(unspread, job.is_some_and(|job| job.behind))
        };
        if let Some(next) = peer.turns.pass_on(rank) {
            self.connections[next as usize].granted = true;
            self.pump(next);
        } else {
            peer.uplink.has_spare();
        }
    }

    /// A peer has a chunk: its askers will hear of it.
    pub(super) fn gained(&mut self, p: u32, chunk: u32) {
        for nth in 0..self.peers[p as usize].askers.len() {
            let c = self.peers[p as usize].askers[nth];
            let connection = &mut self.connections[c as usize];
            if connection.given.is_none() {
                connection.news.push(chunk);
                self.tell(c);
            }
        }
    }

    pub(super) fn news(&mut self, c: u32) {
        self.connections[c as usize].news_due = false;
        self.tell(c);
    }

    fn tell(&mut self, c: u32) {
        let connection = &mut self.connections[c as usize];
        if connection.news.is_empty() || !connection.server_open {
            return;
        }
        let has_requests = connection.writing || !connection.jobs.is_empty();
        let askers = self.peers[connection.server as usize].askers.len() as u32;
        let due = connection.telling.due(has_requests, askers);
        let due = due.map_or(0, |due| self.nanos(due));
        if self.now < due {
            let connection = &mut self.connections[c as usize];
            if !std::mem::replace(&mut connection.news_due, true) {
                self.queue.push(due, Happening::News(c));
            }
            return;
        }
        self.tell_news(c);
    }

    fn tell_news(&mut self, c: u32) {
        let now = self.instant();
        let connection = &mut self.connections[c as usize];
        if connection.news.is_empty() {
            return;
        }
        connection.telling.told(now);
        connection.news.sort_unstable();
        let gained = runs::ranges(connection.news.drain(..));
        let bytes = HAVE_BYTES + RUN_BYTES * gained.len() as u32;
        self.say(c, Message::Gains(gained), bytes);
    }

    /// The server is done with a connection.
    pub(super) fn server_ends(&mut self, c: u32) {
        let connection = &mut self.connections[c as usize];
        if !std::mem::take(&mut connection.server_open) {
            return;
        }
        let server = connection.server;
        let given = connection.given.take();
        let orderly = !connection.asker_open && self.peers[connection.asker as usize].alive;
        let kept = if orderly { connection.told.clone() } else { ChunkSet::empty(self.chunks) };
        let turns = u32::from(std::mem::take(&mut connection.turn))
            + u32::from(std::mem::take(&mut connection.granted));
        connection.clear();
        connection.writing = false;
        let peer = &mut self.peers[server as usize];
        peer.askers.retain(|asker| *asker != c);
        peer.turns.forget(&c);
        if let (Some(given), Some(seed)) = (given, &mut peer.seed) {
            given.iter().filter(|chunk| !kept.contains(*chunk)).for_each(|chunk| seed.take_back(chunk));
            seed.askers -= 1;
            if seed.askers == 0 {
                peer.seed = None;
            }
        }
        for _ in 0..turns {
            self.pass_on(server);
        }
    }
}
