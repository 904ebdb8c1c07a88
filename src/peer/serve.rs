//! The serving side of one connection: opens contents, queues requests, sends chunks, tells of gains.
//!
//! One thread, one non-blocking socket. Chunks go from the file to the socket inside the kernel; only
//! short ones are copied, so that many fit one write. Requests are read while a chunk is being sent,
//! so that a cancel comes in time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::bulk::{Bulk, MAX_UNSENT_BYTES, Wake};
use super::chunk_set::{self, ChunkSet};
use super::held::{Data, Held};
use super::ledger::add;
use super::lock;
use super::serving::{TURN_PATIENCE, UNSENT_AHEAD};
use super::uploads::{Granted, Turn, Uploads};
use crate::content::{FileId, Place, Proof, proof_run};
use crate::net::trace::{self, Direction, Side};
use crate::net::{NetError, Session};
use crate::wire::limits::{MAX_CHUNKS, MAX_PROOF_RUN, MAX_QUEUED_CHUNKS, MAX_RUN, MAX_SLOTS};
use crate::wire::{
    ANY_CHUNK, ChunkHead, Common, DecodeError, ErrorCode, FromServer, GetChunk, GetManifest, HEADER_BYTES,
    List, Load, Manifest, Open, Opened, Refusal, Refused, ServerHas, Text, ToServer, View,
};

/// Chunks up to this size are copied into the buffer of messages instead of sent from the file.
const COPY_BYTES: u64 = 32 << 10;
/// Short chunks are gathered until this much waits to be sent.
const GATHER_BYTES: usize = 256 << 10;
/// Bytes of one sendfile call, between which requests are read.
const SEND_BYTES: usize = 1 << 20;

/// What a serving connection needs from its peer.
pub(super) trait Host: Sync {
    /// The content, if it is here.
    fn find(&self, id: FileId, view: View) -> Option<Held>;
    /// A connection from a peer that listens on `addr` opened a content that is on its way here too.
    fn met(&self, id: FileId, view: View, peer: crate::content::PeerId, addr: String);
    /// A serving connection has begun; it is woken when the peer stops.
    fn join(&self, asker: &Arc<Asker>);
    /// The state shared by all serving connections.
    fn uploads(&self) -> &Arc<Uploads>;
    /// Downloads that run now.
    fn downloads(&self) -> u16;
}

/// A serving connection as other threads see it.
#[derive(Debug)]
pub(super) struct Asker {
    /// Its number among all connections that were served.
    pub(super) number: u32,
    pub(super) wake: Arc<Wake>,
    /// It is this connection's turn to send.
    pub(super) granted: Granted,
    news: Mutex<Vec<(u16, u32)>>,
}

/// A connection is itself and no other.
impl PartialEq for Asker {
    fn eq(&self, other: &Asker) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Asker {
    /// These chunks of the content open as `slot` are here from now on.
    pub(super) fn gain(&self, slot: u16, chunks: &[u32]) {
        lock(&self.news).extend(chunks.iter().map(|chunk| (slot, *chunk)));
        self.wake.wake();
    }
}

/// Serves one connection until it ends.
pub(super) fn run(host: &dyn Host, session: Session, stop: &dyn Fn() -> bool) -> Result<(), NetError> {
    let wake = Arc::new(Wake::new()?);
    let listen = session.theirs.listen_port;
    socket2::SockRef::from(&session.stream).set_tcp_notsent_lowat(UNSENT_AHEAD)?;
    let (bulk, theirs) = Bulk::new(session, Side::Serve, wake.clone())?;
    let number = host.uploads().number();
    let asker = Arc::new(Asker { number, wake, granted: Granted::new(false), news: Mutex::new(Vec::new()) });
    host.join(&asker);
    let mut serving = Serving {
        host,
        peer: theirs.peer,
        listen: (listen != 0).then(|| std::net::SocketAddr::new(bulk.addr.ip(), listen).to_string()),
        bulk,
        asker,
        slots: BTreeMap::new(),
        queue: VecDeque::new(),
        sending: None,
        busy: false,
        held_until: None,
        leaving: false,
    };
    let outcome = serving.work(stop);
    serving.close_all();
    match outcome {
        Err(error) => {
            serving.bulk.end(&error);
            Err(error)
        }
        Ok(()) => Ok(()),
    }
}

struct Slot {
    id: FileId,
    held: Held,
    chunks: u32,
    /// For a whole content: what the asker has or is being sent.
    given: Option<ChunkSet>,
    /// For a whole content: what the asker says it has.
    told: ChunkSet,
    /// The last chunk that was given by this side's choice.
    last_choice: Option<u32>,
    /// Runs, by file and first chunk, whose proof has been sent.
    proved: BTreeSet<(usize, u32)>,
}

impl Slot {
    /// The proof of a chunk's run, unless this connection has carried it.
    fn proof(&mut self, place: Place) -> Option<Arc<Proof>> {
        let (first, _) = proof_run(self.held.layout().files()[place.file], place.chunk);
        if self.proved.contains(&(place.file, first)) {
            return None;
        }
        let proof = self.held.proof(place)?;
        self.proved.insert((place.file, first));
        Some(proof)
    }

    /// The proof did not leave after all.
    fn forget_proof(&mut self, place: Place) {
        let (first, _) = proof_run(self.held.layout().files()[place.file], place.chunk);
        self.proved.remove(&(place.file, first));
    }
}

#[derive(Debug, Clone, Copy)]
struct Job {
    request: u32,
    slot: u16,
    chunk: u32,
    proof: bool,
}

struct Sending {
    file: Arc<File>,
    offset: u64,
    left: usize,
    turn: Option<Turn>,
    since: Instant,
}

/// What a pass over the queue ended with.
enum Pace {
    /// Nothing to send.
    Idle,
    /// More can be sent at once.
    More,
    /// The socket has no room.
    Full,
    /// Another connection's turn, or the rate limit's pause.
    NotNow,
}

struct Serving<'a> {
    host: &'a dyn Host,
    bulk: Bulk<FromServer>,
    peer: crate::content::PeerId,
    listen: Option<String>,
    asker: Arc<Asker>,
    slots: BTreeMap<u16, Slot>,
    queue: VecDeque<Job>,
    sending: Option<Sending>,
    busy: bool,
    /// The rate limit's pause.
    held_until: Option<Instant>,
    leaving: bool,
}

impl Serving<'_> {
    fn work(&mut self, stop: &dyn Fn() -> bool) -> Result<(), NetError> {
        loop {
            self.take_in()?;
            self.tell_news();
            let pace = self.send()?;
            self.note_busy();
            if stop() {
                self.bulk.queue(0, Common::Leave);
                let _ = self.bulk.flush(false);
                return Ok(());
            }
            if self.leaving && matches!(pace, Pace::Idle) {
                return Ok(());
            }
            if matches!(pace, Pace::More) {
                self.bulk.fill()?;
                continue;
            }
            let patience = self
                .sending
                .as_ref()
                .filter(|sending| sending.turn.is_some())
                .map(|sending| sending.since + TURN_PATIENCE);
            let until = [patience, self.held_until].into_iter().flatten().min();
            if self.bulk.wait(true, matches!(pace, Pace::Full), until)? {
                self.bulk.fill()?;
            }
        }
    }

    fn note_busy(&mut self) {
        let busy = self.sending.is_some() || !self.queue.is_empty();
        if busy != self.busy {
            self.busy = busy;
            let count = &self.host.uploads().busy;
            if busy {
                count.fetch_add(1, Ordering::Relaxed)
            } else {
                count.fetch_sub(1, Ordering::Relaxed)
            };
        }
    }

    fn close_all(&mut self) {
        self.host.uploads().queued.fetch_sub(self.queue.len() as u32, Ordering::Relaxed);
        self.queue.clear();
        self.sending = None;
        self.note_busy();
        self.host.uploads().forget(&self.asker);
        for slot in std::mem::take(&mut self.slots).into_values() {
            self.closed(&slot, self.leaving);
        }
    }

    /// An asker that leaves in order goes on to share what it said it has.
    fn closed(&self, slot: &Slot, orderly: bool) {
        if let Some(given) = &slot.given {
            let nothing = ChunkSet::empty(0);
            self.host.uploads().seed_closed(slot.id, given, if orderly { &slot.told } else { &nothing });
        }
    }

    // Requests.

    fn take_in(&mut self) -> Result<(), NetError> {
        while let Some(header) = self.bulk.header(None, 0)? {
            let Some(message) = self.bulk.message(header)? else { break };
            self.take_message(header.request, message)?;
        }
        Ok(())
    }

    fn take_message(&mut self, request: u32, message: ToServer) -> Result<(), NetError> {
        match message {
            ToServer::Open(open) => self.open(request, &open),
            ToServer::Close(close) => {
                let slot = self
                    .slots
                    .remove(&close.slot)
                    .ok_or(NetError::Unexpected("CLOSE of a slot that is not open"))?;
                self.closed(&slot, self.leaving);
                self.drop_jobs(|job| job.slot == close.slot);
                self.bulk.queue(request, Common::Ok);
            }
            ToServer::GetManifest(get) => self.manifest(request, &get)?,
            ToServer::GetChunk(get) => self.enqueue(request, &get)?,
            ToServer::Cancel(cancel) => self.drop_jobs(|job| job.request == cancel.target),
            ToServer::GetLoad(_) => {
                let uploads = self.host.uploads();
                let load = Load {
                    uploads: uploads.busy.load(Ordering::Relaxed).min(u32::from(u16::MAX)) as u16,
                    downloads: self.host.downloads(),
                    queued: uploads.queued.load(Ordering::Relaxed),
                };
                self.bulk.queue(request, load);
            }
            ToServer::AskerHas(has) => self.asker_has(has.slot, &has.gained),
            ToServer::Common(Common::Ping) => self.bulk.queue(request, Common::Pong),
            ToServer::Common(Common::Leave) => {
                self.bulk.queue(request, Common::Ok);
                self.drop_jobs(|_| true);
                self.leaving = true;
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
            transfer.subscribe(&self.asker, open.slot);
            if let Some(addr) = &self.listen {
                self.host.met(open.id, open.view, self.peer, addr.clone());
            }
        }
        let have = held.have();
        let chunks = held.layout().chunks();
        let opened = Opened { size: held.layout().size(), chunks, have: have.to_bits() };
        let whole = have.is_full();
        if whole {
            self.host.uploads().seed_opened(open.id, chunks);
        }
        let given = whole.then(|| ChunkSet::empty(chunks));
        let told = ChunkSet::empty(if whole { chunks } else { 0 });
        self.slots.insert(
            open.slot,
            Slot { id: open.id, held, chunks, given, told, last_choice: None, proved: BTreeSet::new() },
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
            self.queue.push_back(Job { request: request + at, slot: get.slot, chunk, proof: get.proof });
            self.host.uploads().queued.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn drop_jobs(&mut self, which: impl Fn(&Job) -> bool) {
        let (dropped, kept): (VecDeque<Job>, VecDeque<Job>) = self.queue.drain(..).partition(which);
        self.queue = kept;
        self.host.uploads().queued.fetch_sub(dropped.len() as u32, Ordering::Relaxed);
        for job in dropped {
            self.refuse(job.request, Refusal::Cancelled);
        }
    }

    fn asker_has(&mut self, number: u16, gained: &[(u32, u32)]) {
        let Some(slot) = self.slots.get_mut(&number) else { return };
        let Some(given) = &mut slot.given else { return };
        let uploads = self.host.uploads();
        for (first, count) in gained {
            for chunk in *first..first.saturating_add(*count).min(slot.chunks) {
                slot.told.insert(chunk);
                if given.insert(chunk) {
                    uploads.seed_gave(slot.id, chunk);
                }
            }
        }
    }

    fn refuse(&mut self, request: u32, reason: Refusal) {
        self.bulk.queue(request, Refused { reason });
    }

    // News.

    /// Tells of gains. They come gathered ([`Transfer::tell_news`]), so there is nothing to wait for.
    fn tell_news(&mut self) {
        let mut news = std::mem::take(&mut *lock(&self.asker.news));
        news.sort_unstable();
        for of_slot in news.chunk_by(|a, b| a.0 == b.0) {
            let slot = of_slot[0].0;
            let gained = List::new(chunk_set::ranges(of_slot.iter().map(|(_, chunk)| *chunk)));
            self.bulk.queue(0, ServerHas { slot, gained });
        }
    }

    // Chunks.

    fn send(&mut self) -> Result<Pace, NetError> {
        if let Some(until) = self.held_until {
            if Instant::now() < until {
                return Ok(if self.bulk.flush(false)? { Pace::NotNow } else { Pace::Full });
            }
            self.held_until = None;
        }
        if self.sending.is_some() {
            return self.send_on();
        }
        if self.queue.is_empty() {
            self.host.uploads().decline(&self.asker);
            return Ok(if self.bulk.flush(false)? { Pace::Idle } else { Pace::Full });
        }
        if self.bulk.unsent().len() > MAX_UNSENT_BYTES && !self.bulk.flush(false)? {
            return Ok(Pace::Full);
        }
        let Some(turn) = self.host.uploads().turn(&self.asker, self.next_choice()) else {
            return Ok(if self.bulk.flush(false)? { Pace::NotNow } else { Pace::Full });
        };
        let mut turn = Some(turn);
        while self.sending.is_none() && self.bulk.unsent().len() < GATHER_BYTES {
            let Some(job) = self.queue.pop_front() else { break };
            self.host.uploads().queued.fetch_sub(1, Ordering::Relaxed);
            self.begin(job, &mut turn)?;
        }
        match self.sending.is_some() {
            true => self.send_on(),
            false => Ok(if self.bulk.flush(false)? { Pace::More } else { Pace::Full }),
        }
    }

    /// The content of which whichever chunk is asked for next, if so.
    fn next_choice(&self) -> Option<FileId> {
        let job = self.queue.front().filter(|job| job.chunk == ANY_CHUNK)?;
        self.slots.get(&job.slot).map(|slot| slot.id)
    }

    /// Begins to answer a job: refuses, copies a short chunk, or sets up a long one to be sent.
    fn begin(&mut self, job: Job, turn: &mut Option<Turn>) -> Result<(), NetError> {
        let Some(slot) = self.slots.get_mut(&job.slot) else { return Ok(()) };
        let number = match job.chunk {
            ANY_CHUNK if slot.given.is_some() => {
                slot.last_choice = self.host.uploads().seed_choice(slot.id, slot.last_choice);
                slot.last_choice
            }
            ANY_CHUNK => None,
            number => Some(number),
        };
        let Some((number, place)) =
            number.and_then(|number| Some((number, slot.held.layout().place(number)?)))
        else {
            self.refuse(job.request, Refusal::NothingBetter);
            return Ok(());
        };
        let data = match slot.held.data(number, place) {
            Ok(data) => data,
            Err(reason) => {
                self.refuse(job.request, reason);
                return Ok(());
            }
        };
        if let Some(given) = &mut slot.given
            && given.insert(number)
        {
            match job.chunk {
                ANY_CHUNK => self.host.uploads().seed_gave_first(slot.id, number, self.asker.number),
                _ => self.host.uploads().seed_gave(slot.id, number),
            }
        }
        let proof = if job.proof { slot.proof(place) } else { None };
        slot.held.count_sent(place.len as usize);
        let head = ChunkHead {
            index: number,
            proof: proof.map_or_else(Proof::default, |proof| Proof::clone(&proof)),
        };
        let len = place.len as usize;
        let uploads = self.host.uploads();
        add(&uploads.sent, len);
        if let Some(throttle) = &uploads.throttle {
            let now = Instant::now();
            self.held_until = Some(now + throttle.take(len, now));
        }
        if trace::on(Side::Serve, true) {
            let fields = format!("chunk {number} of {len} B");
            trace::line(
                Side::Serve,
                Direction::Out,
                self.bulk.addr,
                job.request,
                "CHUNK",
                &fields,
                len + HEADER_BYTES,
            );
        }
        let unsent = self.bulk.unsent();
        let start = unsent.len();
        head.put_frame(job.request, len, unsent);
        match data {
            Data::Memory(bytes) => {
                unsent.extend_from_slice(&bytes[place.offset as usize..place.offset as usize + len])
            }
            Data::File(file) if place.len <= COPY_BYTES => {
                let at = unsent.len();
                unsent.resize(at + len, 0);
                if file.read_exact_at(&mut unsent[at..], place.offset).is_err() {
                    unsent.truncate(start);
                    slot.forget_proof(place);
                    self.refuse(job.request, Refusal::Gone);
                }
            }
            Data::File(file) => {
                self.sending = Some(Sending {
                    file,
                    offset: place.offset,
                    left: len,
                    turn: turn.take(),
                    since: Instant::now(),
                });
                self.bulk.data_follows();
            }
        }
        Ok(())
    }

    /// Sends on with the chunk that was begun.
    fn send_on(&mut self) -> Result<Pace, NetError> {
        if !self.bulk.flush(true)? {
            return Ok(self.blocked());
        }
        let Some(sending) = &mut self.sending else { return Ok(Pace::More) };
        while sending.left > 0 {
            let part = sending.left.min(SEND_BYTES);
            match self.bulk.send_file(&sending.file, &mut sending.offset, part)? {
                None => return Ok(self.blocked()),
                // The file became shorter under our feet: the asker sees the connection end.
                Some(0) => return Err(NetError::Decode(DecodeError::Truncated)),
                Some(sent) => {
                    sending.left -= sent;
                    sending.since = Instant::now();
                }
            }
        }
        self.sending = None;
        self.bulk.data_left();
        Ok(Pace::More)
    }

    fn blocked(&mut self) -> Pace {
        if let Some(sending) = &mut self.sending
            && sending.since.elapsed() >= TURN_PATIENCE
        {
            sending.turn = None;
        }
        Pace::Full
    }
}
