//! The serving side of one connection: opens contents, queues requests, sends chunks, tells of gains.
//!
//! One thread, one non-blocking socket. Chunks go from the file to the socket inside the kernel; only
//! short ones are copied, so that many fit one write. Requests are read while a chunk is being sent,
//! so that a cancel comes in time.

mod asker;
mod complaints;
mod faulty;
mod held;
mod restate;
mod sending;
mod slot;
mod uploads;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::content::{ChunkSet, FileId, PeerId, runs};
use crate::net::bulk::{Bulk, Filled, MAX_UNSENT_BYTES, Wake};
use crate::net::door::Activity;
use crate::net::trace::Side;
use crate::net::{NetError, Session};
use crate::peer::mischief::Line;
use crate::peer::mischief::{FaultPlan, Faults};
use crate::peer::transfer::Follower;
use crate::swarm::turns::UNSENT_AHEAD;
use crate::threads;
use crate::wire::limits::{MAX_CHUNKS, MAX_PROOF_RUN, MAX_QUEUED_CHUNKS, MAX_RUN, MAX_SLOTS, MAX_TOLD};
use crate::wire::{
    ANY_CHUNK, Common, Corrupt, ErrorCode, FromServer, GetChunk, GetManifest, List, Load, Manifest, Open,
    Opened, Refusal, Refused, ServerHas, Text, ToServer, View,
};
use asker::Asker;
pub(super) use complaints::Complaints;
pub(super) use held::Held;
pub(super) use held::Shared;
use restate::Gone;
use sending::{Pace, Sending};
use slot::Slot;
pub(super) use uploads::Uploads;

/// A connection on which nothing has moved either way for so long is closed.
const IDLE_PATIENCE: Duration = Duration::from_secs(60);

/// What a serving connection needs from its peer.
pub(super) trait Host: Sync {
    /// The content, if it is here.
    fn find(&self, id: FileId, view: View) -> Option<Held>;
    /// A connection from a peer that listens on `addr` opened a content that is on its way here too.
    fn met(&self, id: FileId, view: View, peer: PeerId, addr: String);
    /// A serving connection has begun; it is woken when the peer stops.
    fn join(&self, wake: &Arc<Wake>);
    /// The state shared by all serving connections.
    fn uploads(&self) -> &Arc<Uploads>;
    /// Downloads that run now.
    fn downloads(&self) -> u16;
    /// How this peer misbehaves, if it is told to.
    fn faults(&self) -> Option<&FaultPlan>;
    /// True if a complaint of this address about a chunk is to be looked into.
    fn hears(&self, addr: IpAddr) -> bool;
    /// How much later than they could this peer's answers reach the peer of this name.
    fn latency(&self, name: &str) -> Duration;
}

/// Serves one connection until it ends.
pub(super) fn run(
    host: &dyn Host,
    session: Session<Arc<TcpStream>>,
    activity: &Activity,
    stop: &dyn Fn() -> bool,
) -> Result<(), NetError> {
    let wake = Arc::new(Wake::new()?);
    let listen = session.theirs.listen_port;
    socket2::SockRef::from(&session.stream).set_tcp_notsent_lowat(UNSENT_AHEAD)?;
    let (bulk, theirs) = Bulk::new(session, Side::Serve, wake.clone())?;
    host.join(&wake);
    let follower = Arc::new(Follower::new(wake.clone()));
    let asker = Asker::join(host.uploads(), theirs.peer, wake);
    let faults = host.faults().map(|plan| Faults::new(plan, asker.number()));
    let mut serving = Serving {
        host,
        peer: theirs.peer,
        listen: (listen != 0).then(|| std::net::SocketAddr::new(bulk.addr.ip(), listen).to_string()),
        bulk,
        asker,
        follower,
        slots: BTreeMap::new(),
        queue: VecDeque::new(),
        sending: None,
        turn: false,
        turn_ends: None,
        held_until: None,
        paid: false,
        leaving: false,
        faults,
        late: Line::of(host.latency(&theirs.name)),
    };
    let outcome = threads::caught(|| serving.work(activity, stop))
        .unwrap_or_else(|panicked| Err(NetError::Panicked(panicked)));
    serving.close_all();
    match outcome {
        Err(error) => {
            serving.bulk.end(&error);
            Err(error)
        }
        Ok(()) => Ok(()),
    }
}

#[derive(Debug, Clone, Copy)]
struct Job {
    request: u32,
    slot: u16,
    chunk: u32,
    proof: bool,
    behind: bool,
}

struct Serving<'a> {
    host: &'a dyn Host,
    bulk: Bulk<FromServer>,
    peer: PeerId,
    listen: Option<String>,
    asker: Asker,
    /// What its asker is to hear of, from the transfers whose contents it opened.
    follower: Arc<Follower>,
    slots: BTreeMap<u16, Slot>,
    queue: VecDeque<Job>,
    sending: Option<Sending>,
    /// It has a turn.
    turn: bool,
    /// Until when it keeps it, should the socket take nothing more.
    turn_ends: Option<Instant>,
    /// The rate limit's pause.
    held_until: Option<Instant>,
    /// The next chunk has waited for its share of the rate.
    paid: bool,
    leaving: bool,
    faults: Option<Faults>,
    /// Requests that a latency keeps from being here yet.
    late: Option<Line<(u32, ToServer)>>,
}

impl Serving<'_> {
    fn work(&mut self, activity: &Activity, stop: &dyn Fn() -> bool) -> Result<(), NetError> {
        loop {
            self.take_in()?;
            self.tell_due_news();
            self.restate(Instant::now());
            let pace = self.send()?;
            let rested = self.note_busy();
            if stop() {
                self.bulk.queue(0, Common::Leave);
                let _ = self.bulk.flush(false);
                return Ok(());
            }
            if self.leaving && matches!(pace, Pace::Idle) {
                return Ok(());
            }
            if matches!(pace, Pace::More) {
                if self.bulk.fill()? != Filled::Nothing {
                    activity.note(Instant::now());
                }
                continue;
            }
            if rested {
                continue; // what was not told while there were requests is told now
            }
            let idle = self.bulk.moved() + IDLE_PATIENCE;
            if Instant::now() >= idle {
                return Err(NetError::TimedOut);
            }
            let patience = self.turn_ends.filter(|_| self.turn);
            let late = self.late.as_ref().and_then(Line::next_due);
            let restating = self.next_restating();
            let until = [patience, self.held_until, late, restating, Some(idle)].into_iter().flatten().min();
            // Who does not take answers is not asked for more questions.
            let hears = !self.is_choked();
            if self.bulk.wait(hears, !hears || matches!(pace, Pace::Full), until)? && hears {
                self.bulk.fill()?;
                activity.note(Instant::now());
            }
        }
    }

    /// True while more waits to be sent than may.
    fn is_choked(&self) -> bool {
        self.bulk.unsent_bytes() > MAX_UNSENT_BYTES
    }

    /// True if the last request has just been answered.
    fn note_busy(&mut self) -> bool {
        let busy = self.sending.is_some() || !self.queue.is_empty();
        self.asker.set_queued(self.queue.len());
        self.follower.set_requests(busy) && !busy
    }

    fn close_all(&mut self) {
        let leave = |(_, message): &(u32, ToServer)| matches!(message, ToServer::Common(Common::Leave));
        if self.late.iter().flat_map(Line::lost).any(leave) {
            self.asker.leaves();
        }
    }

    // Requests.

    fn take_in(&mut self) -> Result<(), NetError> {
        while !self.is_choked() {
            let Some((request, message)) = self.next_message()? else { break };
            self.take_message(request, message)?;
        }
        Ok(())
    }

    /// The next message; where a latency is imposed, when its time has come.
    fn next_message(&mut self) -> Result<Option<(u32, ToServer)>, NetError> {
        let Some(mut late) = self.late.take() else { return self.arrived_message() };
        let now = Instant::now();
        while let Some(message) = self.arrived_message()? {
            late.push(message, now).map_err(|_| NetError::Unexpected("so many requests at once"))?;
        }
        let next = late.pop(now);
        self.late = Some(late);
        Ok(next)
    }

    fn arrived_message(&mut self) -> Result<Option<(u32, ToServer)>, NetError> {
        let Some(header) = self.bulk.header(None, 0)? else { return Ok(None) };
        let message = self.bulk.message(header)?;
        Ok(message.map(|message| (header.request, message)))
    }

    fn take_message(&mut self, request: u32, message: ToServer) -> Result<(), NetError> {
        match message {
            ToServer::Open(open) => self.open(request, &open),
            ToServer::Close(close) => {
                self.slots
                    .remove(&close.slot)
                    .ok_or(NetError::Unexpected("CLOSE of a slot that is not open"))?;
                self.asker.close(close.slot);
                self.drop_jobs(|job| job.slot == close.slot);
                self.bulk.queue(request, Common::Ok);
            }
            ToServer::GetManifest(get) => self.manifest(request, &get)?,
            ToServer::GetChunk(get) => self.enqueue(request, &get)?,
            ToServer::Cancel(cancel) => self.drop_jobs(|job| job.request == cancel.target),
            ToServer::GetLoad(_) => {
                self.asker.set_queued(self.queue.len());
                let (uploads, queued, rate) = self.asker.load();
                self.bulk.queue(request, Load { uploads, downloads: self.host.downloads(), queued, rate });
            }
            ToServer::AskerHas(has) => self.asker_has(has.slot, &has.gained)?,
            ToServer::Corrupt(corrupt) => self.complaint(&corrupt),
            ToServer::Common(Common::Ping) => self.bulk.queue(request, Common::Pong),
            ToServer::Common(Common::Leave) => {
                self.bulk.queue(request, Common::Ok);
                self.drop_jobs(|_| true);
                self.leaving = true;
                self.asker.leaves();
            }
            ToServer::Common(Common::Ok | Common::Pong) => {}
            ToServer::Common(Common::Error(error)) => {
                return Err(NetError::Refused { code: error.code, detail: error.detail.into_string() });
            }
            ToServer::Common(Common::Hello(_)) => return Err(NetError::Unexpected("HELLO")),
        }
        Ok(())
    }

    fn open(&mut self, request: u32, open: &Open) {
        if self.slots.contains_key(&open.slot) || self.slots.len() >= MAX_SLOTS {
            let detail = Text::new("the slot is open already, or too many are");
            let error = crate::wire::Error { code: ErrorCode::Limit, detail };
            return self.bulk.queue(request, Common::Error(error));
        }
        let held = self.host.find(open.id, open.view).filter(|held| held.layout().chunks() <= MAX_CHUNKS);
        let Some(held) = held else { return self.refuse(request, Refusal::NotHere) };
        if let Held::Fetching(transfer) = &held {
            transfer.subscribe(&self.follower, open.slot);
            if let Some(addr) = &self.listen {
                self.host.met(open.id, open.view, self.peer, addr.clone());
            }
        }
        let chunks = held.layout().chunks();
        let lies = self.faults.as_ref().is_some_and(Faults::lies);
        let have = if lies { ChunkSet::full(chunks) } else { held.have() };
        let opened = Opened { size: held.layout().size(), chunks, have: (&have).into(), looks: held.looks() };
        let whole = have.is_full();
        let content = (open.id, open.view);
        if whole {
            self.asker.open(open.slot, content, chunks);
        }
        self.slots.insert(
            open.slot,
            Slot { held, chunks, told_chunks: 0, proved: BTreeSet::new(), gone: Gone::default() },
        );
        self.bulk.queue(request, opened);
    }

    fn manifest(&mut self, request: u32, get: &GetManifest) -> Result<(), NetError> {
        let slot = self
            .slots
            .get(&get.slot)
            .ok_or(NetError::Unexpected("GET_MANIFEST of a slot that is not open"))?;
        let file = slot.held.layout().files().get(get.file as usize).copied();
        let fits = file.is_some_and(|file| get.first < file.chunks() && get.count as usize <= MAX_PROOF_RUN);
        if !fits {
            return Err(NetError::Unexpected("GET_MANIFEST of chunks that are not there"));
        }
        match slot.held.manifest_run(get.file as usize, get.first, get.count) {
            Some(proof) => self.bulk.queue(request, Manifest { proof }),
            None => self.refuse(request, Refusal::NotYet),
        }
        Ok(())
    }

    fn enqueue(&mut self, request: u32, get: &GetChunk) -> Result<(), NetError> {
        let slot =
            self.slots.get(&get.slot).ok_or(NetError::Unexpected("GET_CHUNK of a slot that is not open"))?;
        let any = get.first == ANY_CHUNK;
        let fits = any || get.first.checked_add(u32::from(get.count)).is_some_and(|end| end <= slot.chunks);
        if !fits
            || get.count == 0
            || get.count > MAX_RUN
            || request.checked_add(u32::from(get.count)).is_none()
        {
            return Err(NetError::Unexpected("GET_CHUNK of chunks that are not there"));
        }
        for at in 0..u32::from(get.count) {
            let chunk = if any { ANY_CHUNK } else { get.first + at };
            if self.queue.len() >= MAX_QUEUED_CHUNKS {
                self.refuse(request + at, Refusal::Busy);
                continue;
            }
            let (request, slot) = (request + at, get.slot);
            self.queue.push_back(Job { request, slot, chunk, proof: get.proof, behind: get.behind });
        }
        Ok(())
    }

    fn drop_jobs(&mut self, which: impl Fn(&Job) -> bool) {
        let (dropped, kept): (VecDeque<Job>, VecDeque<Job>) = self.queue.drain(..).partition(which);
        self.queue = kept;
        for job in dropped {
            self.refuse(job.request, Refusal::Cancelled);
        }
    }

    fn asker_has(&mut self, number: u16, gained: &[(u32, u32)]) -> Result<(), NetError> {
        let Some(slot) = self.slots.get_mut(&number) else { return Ok(()) };
        slot.told_chunks += runs::named(gained, slot.chunks);
        if slot.told_chunks > u64::from(MAX_TOLD) * u64::from(slot.chunks) {
            return Err(NetError::Unexpected("HAVE of more chunks than there are"));
        }
        self.asker.has(number, runs::numbers(gained, slot.chunks));
        Ok(())
    }

    /// A chunk from here did not prove over there: it is read again, which alone decides.
    fn complaint(&self, corrupt: &Corrupt) {
        let Some(slot) = self.slots.get(&corrupt.slot) else { return };
        let Some(place) = slot.held.layout().place(corrupt.chunk) else { return };
        if self.host.hears(self.bulk.addr.ip()) {
            slot.held.check(place);
        }
    }

    fn refuse(&mut self, request: u32, reason: Refusal) {
        self.bulk.queue(request, Refused { reason });
    }

    // News.

    /// Tells of gains if it is time.
    fn tell_due_news(&mut self) {
        if self.follower.is_due(Instant::now()) {
            self.tell_news();
        }
    }

    fn tell_news(&mut self) {
        for (slot, gained) in self.follower.take(Instant::now()) {
            self.bulk.queue(0, ServerHas { slot, gained: List::new(gained) });
        }
    }
}
