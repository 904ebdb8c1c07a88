//! How a peer comes, carries out its [`Errands`], and goes.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::connection::Connection;
use super::happening::{Happening, Nanos};
use super::peer::{Fetch, address_of, id_of, number_of};
use super::scenario::Fate;
use super::world::{LEASE_INTERVAL, World, content};
use crate::content::{Chunk, ChunkSet, PeerId, Run};
use crate::net::DIAL_TIMEOUT;
use crate::swarm::errands::{Errand, Errands, REFRESH, holders_wanted, last_of};
use crate::swarm::neighbours::{Neighbours, Outcome};
use crate::swarm::scheduler::{Event, Scheduler, SourceId, TICK};
use crate::tracker::directory::{Listens, Load, Origin, Profile, Query, Sender, Wanted};
use crate::wire::{Complaint, Name, Offer, Purpose, View};

/// Round trips until OPEN arrives: the connection, HELLO, and half of the question itself.
const OPEN_TRIPS: u64 = 5;

fn nanos(duration: Duration) -> Nanos {
    duration.as_nanos() as u64
}

/// Where everybody is: on one machine, to whom all addresses mean something.
fn origin() -> Origin {
    Origin::from(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

impl World<'_> {
    fn sender(p: u32) -> Sender {
        Sender { connection: u64::from(p) + 1, peer: id_of(p) }
    }

    /// Enters a peer into the directory, with the file as whole or as wanted.
    pub(super) fn register(&mut self, p: u32, complete: bool) {
        let now = self.instant();
        let listens = Listens { port: 1, ..Listens::default() };
        let profile = Profile { name: format!("peer {p}"), listens, from: origin() };
        let registered = self.directory.register(World::sender(p), profile, now);
        debug_assert!(registered.is_ok());
        let (size, chunks) = (self.layout.size(), self.chunks);
        let name = Name::new("file");
        let offer = Offer {
            name,
            id: content(),
            size,
            total: size,
            chunks,
            complete,
            original: complete,
            modified: 0,
        };
        let entered = self.directory.update(World::sender(p), &[], &[offer], now);
        debug_assert_eq!(entered, Ok(()));
    }

    /// A fetcher starts.
    pub(super) fn join(&mut self, p: u32) {
        let (now, instant) = (self.now, self.instant());
        let seed = self.rng.u64(..);
        let most = crate::peer::Limits::default().max_inflight_bytes;
        let none = ChunkSet::empty(self.chunks);
        let all = ChunkSet::full(self.chunks);
        let peer = &mut self.peers[p as usize];
        peer.alive = true;
        peer.joined = now;
        peer.idle_since = Some(now);
        peer.fetch = Some(Box::new(Fetch {
            scheduler: Scheduler::new(self.layout.clone(), none.clone(), &all, most, seed),
            neighbours: Neighbours::new(self.scenario.degree, seed),
            connections: Vec::new(),
            kept: none,
            writers: Default::default(),
            proved: ChunkSet::empty(self.chunks),
            errands: Errands::new(self.scenario.degree, REFRESH, self.chunks, instant),
            located: Vec::new(),
            turn_due: false,
        }));
        self.ask_tracker(p, &[]);
        self.register(p, false);
        self.queue.push(now + nanos(TICK), Happening::Turn(p));
    }

    fn ask_tracker(&mut self, p: u32, missing: &[Run]) {
        let now = self.instant();
        let missing = (!missing.is_empty()).then(|| {
            let mut chunks = ChunkSet::empty(self.chunks);
            chunks.add_runs(missing);
            chunks
        });
        let query = Query {
            wanted: Wanted::Id(content()),
            purpose: Purpose::Fetch,
            max: holders_wanted(self.scenario.degree),
            missing: missing.as_ref(),
            asker: id_of(p),
            from: origin(),
        };
        let found = self.directory.locate(&query, now);
        let Some(fetch) = &mut self.peers[p as usize].fetch else { return };
        let holders = found.iter().flat_map(|variant| variant.holders.iter());
        fetch.located = holders.map(|holder| number_of(holder.peer)).collect();
        self.queue.push(self.now + 2 * self.delay, Happening::Located(p));
    }

    /// The tracker's answer is here.
    pub(super) fn located(&mut self, p: u32) {
        let Some(fetch) = &mut self.peers[p as usize].fetch else { return };
        for holder in std::mem::take(&mut fetch.located) {
            fetch.neighbours.suggest(id_of(holder), address_of(holder).to_string());
        }
        self.turn_soon(p);
    }

    /// The driving thread is woken before its time.
    pub(super) fn turn_soon(&mut self, p: u32) {
        let peer = &mut self.peers[p as usize];
        let (alive, done) = (peer.alive, peer.done.is_some());
        if let Some(fetch) = &mut peer.fetch
            && alive
            && !done
            && !std::mem::replace(&mut fetch.turn_due, true)
        {
            self.queue.push(self.now, Happening::Turn(p));
        }
    }

    /// The driving thread of a transfer has its turn.
    pub(super) fn turn(&mut self, p: u32) {
        let peer = &mut self.peers[p as usize];
        if !peer.alive || peer.done.is_some() {
            return;
        }
        let Some(fetch) = &mut peer.fetch else { return };
        if !std::mem::take(&mut fetch.turn_due) {
            self.queue.push(self.now + nanos(TICK), Happening::Turn(p));
        }
        self.step(p, Event::Tick);
        let now = self.instant();
        let Some(fetch) = self.peers[p as usize].fetch.as_deref_mut() else { return };
        for errand in fetch.errands.turn(&mut fetch.neighbours, now) {
            match errand {
                Errand::Dial(peer, _) => self.dial(p, number_of(peer)),
                Errand::Close(peer) => self.close_last(p, peer),
                Errand::Announce => self.announce(p),
                Errand::Locate => self.locate(p),
                Errand::Exchange => self.exchange(p),
            }
        }
    }

    fn close_last(&mut self, p: u32, peer: PeerId) {
        let Some(fetch) = &self.peers[p as usize].fetch else { return };
        let open = fetch.connections.iter().enumerate().filter_map(|(source, c)| {
            let connection = &self.connections[*c as usize];
            connection.asker_open.then(|| (SourceId(source as u32), id_of(connection.server)))
        });
        if let Some(source) = last_of(open, peer) {
            self.asker_ends(fetch.connections[source.0 as usize], Outcome::Useless, true);
        }
    }

    fn dial(&mut self, p: u32, server: u32) {
        let c = self.connections.len() as u32;
        self.connections.push(Connection::new(server, p, self.chunks));
        self.queue.push(self.now + OPEN_TRIPS * self.delay, Happening::Open(c));
        if self.peers[server as usize].vanished {
            self.queue.push(self.now + nanos(DIAL_TIMEOUT), Happening::EndedForAsker(c));
        }
    }

    /// Tells the tracker which chunks came since last time.
    pub(super) fn announce(&mut self, p: u32) {
        let Some(fetch) = &mut self.peers[p as usize].fetch else { return };
        let gained = fetch.errands.gained(&fetch.kept);
        if gained.is_empty() {
            return;
        }
        let told = self.directory.have(World::sender(p), (content(), View::Bytes), &gained, self.instant());
        debug_assert_eq!(told, Ok(()));
    }

    fn locate(&mut self, p: u32) {
        let Some(fetch) = &self.peers[p as usize].fetch else { return };
        let missing = fetch.scheduler.unavailable();
        self.ask_tracker(p, &missing);
    }

    fn exchange(&mut self, p: u32) {
        let now = self.instant();
        let Some(fetch) = &self.peers[p as usize].fetch else { return };
        let sources = fetch.scheduler.sources(now).map(|(source, view)| (source, view.useful));
        let useless = fetch.errands.useless(sources, &fetch.neighbours, now);
        if let Some(c) = useless.and_then(|source| fetch.connections.get(source.0 as usize).copied()) {
            self.asker_ends(c, Outcome::Useless, true);
        }
    }

    pub(super) fn complain(&mut self, p: u32, about: u32, complaint: Complaint) {
        let now = self.instant();
        let _ = self.directory.report(World::sender(p), id_of(about), complaint, (content(), Chunk(0)), now);
    }

    /// The asker sees that a connection has ended, or that nobody answers its dial.
    pub(super) fn ended_for_asker(&mut self, c: u32) {
        let connection = &self.connections[c as usize];
        let (p, server) = (connection.asker, connection.server);
        if connection.source.is_some() && self.peers[server as usize].vanished {
            return; // it was the dial's clock, and the dial had worked
        }
        if connection.asker_open && connection.source.is_none() && !self.peers[server as usize].alive {
            self.complain(p, server, Complaint::Dead);
        }
        self.asker_ends(c, Outcome::Failed, false);
    }

    /// A transfer that is complete closes its sources, and tells the tracker.
    pub(super) fn end_if_done(&mut self, p: u32) {
        let now = self.now;
        let peer = &mut self.peers[p as usize];
        let Some(fetch) = &peer.fetch else { return };
        // What was on its way when a peer was killed may still arrive; it changes nothing any more.
        if !fetch.scheduler.is_done() || peer.done.is_some() || !peer.alive {
            return;
        }
        peer.done = Some(now);
        let connections = fetch.connections.clone();
        self.announce(p);
        for c in connections {
            self.asker_ends(c, Outcome::Useless, true);
        }
        self.count_done(p);
    }

    /// A peer ends.
    pub(super) fn end(&mut self, p: u32, fate: Fate) {
        let peer = &mut self.peers[p as usize];
        if !std::mem::take(&mut peer.alive) {
            return;
        }
        peer.vanished = fate == Fate::Vanishes;
        if peer.vanished {
            return;
        }
        self.directory.leave(World::sender(p));
        let at = self.now + self.delay;
        for (c, connection) in self.connections.iter().enumerate() {
            if connection.server == p && connection.asker_open {
                self.queue.push(at, Happening::EndedForAsker(c as u32));
            }
            if connection.asker == p && connection.server_open {
                self.queue.push(at, Happening::EndedForServer(c as u32));
            }
        }
    }

    /// Signs of life reach the tracker, and leases end.
    pub(super) fn leases(&mut self) {
        let now = self.instant();
        for p in 0..self.peers.len() as u32 {
            let peer = &self.peers[p as usize];
            if peer.alive {
                let downloads = u16::from(peer.fetch.is_some() && peer.done.is_none());
                let load = Load { uploads: peer.desk.busy(None) as u16, downloads, space: 0 };
                let _ = self.directory.heartbeat(World::sender(p), load, now);
            }
        }
        self.directory.expire(now);
        self.queue.push(self.now + nanos(LEASE_INTERVAL), Happening::Leases);
    }
}
