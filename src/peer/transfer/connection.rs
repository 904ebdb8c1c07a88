//! The asking side of one connection: carries out orders, takes in chunks, proves and stores them.

use std::collections::HashMap;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::Transfer;
use super::ledger::add;
use super::link::{Order, SourceLink, Trust};
use crate::content::{ChunkHash, ChunkHasher, ChunkSet, FileId, Geometry, Place, chunk_hasher, runs};
use crate::net::bulk::{Bulk, Filled, Wake};
use crate::net::trace::{self, Direction, Side};
use crate::net::{NetError, Session};
use crate::peer::disk::DiskError;
use crate::swarm::scheduler::{Event, SourceId, SourceLoad};
use crate::swarm::silence::{Look, Silence};
use crate::swarm::throttle::Throttle;
use crate::threads;
use crate::threads::lock;
use crate::wire::limits::{MAX_RUN, MAX_TOLD};
use crate::wire::{
    ANY_CHUNK, AskerHas, Cancel, ChunkHead, Common, Corrupt, FromServer, GetChunk, GetLoad, HEADER_BYTES,
    List, Load, Message, Open, RawHeader, Refusal, ToServer,
};

/// Chunk data is hashed and written in multiples of this many bytes, but for a chunk's end.
const BLOCK_BYTES: usize = 64 << 10;
/// The request by which the content is opened; the one before it asks for the load.
const OPEN: u32 = 2;
/// The one content that this connection is for.
const SLOT: u16 = 0;
/// Missing chunks of one source that the trackers are told of.
const MAX_MISSING_TOLD: u32 = 16;
/// A source may take this long to answer OPEN.
const OPEN_PATIENCE: Duration = Duration::from_secs(10);

/// Why a connection to a source ended.
#[derive(Debug, thiserror::Error)]
pub(in crate::peer) enum FetchEnd {
    /// The connection failed, or the source broke the protocol.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The source does not have the content after all.
    #[error("refused: {}", .0.label())]
    Refused(Refusal),
    /// The source has another content under that id, or a wrong idea of its size.
    #[error("the source has another size for this content")]
    Geometry,
    /// This side's disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Fetches from the source behind `session`, dialled as `target`, until the transfer is over or the
/// connection ends.
pub(in crate::peer) fn run(
    transfer: &Transfer,
    session: Session<Arc<TcpStream>>,
    target: &str,
    throttle: Option<&Mutex<Throttle>>,
) -> Result<Trust, FetchEnd> {
    let wake = Arc::new(Wake::new().map_err(NetError::from)?);
    let (bulk, theirs) = Bulk::new(session, Side::Fetch, wake.clone())?;
    transfer.opens(&wake);
    let mut opening = Opening { bulk, started: Instant::now() };
    let (have, load) = opening.open(transfer)?;
    let id = transfer.new_source();
    let name = theirs.name.to_string();
    let link = Arc::new(SourceLink::new(id, theirs.peer, name, target.to_owned(), wake, have.is_full()));
    let round_trip = opening.started.elapsed();
    transfer.join(link.clone(), have, round_trip, load);
    let (requests, incoming) = (HashMap::new(), None);
    let fetching = Fetching {
        bulk: opening.bulk,
        transfer,
        link,
        id,
        requests,
        next_request: OPEN + 1,
        incoming,
        throttle,
        paused_until: None,
        silence: Silence::new(Instant::now(), opening.started.elapsed()),
        told: 0,
        missing: 0,
    };
    let end = fetching.run();
    let trust = transfer.leave(id);
    match end {
        Err(FetchEnd::Disk(error)) => transfer.fail(error),
        other => other?,
    }
    Ok(trust)
}

/// A connection whose OPEN is not answered yet.
struct Opening {
    bulk: Bulk<ToServer>,
    started: Instant,
}

impl Opening {
    fn open(&mut self, transfer: &Transfer) -> Result<(ChunkSet, Option<SourceLoad>), FetchEnd> {
        let mut load = None;
        let open = Open { slot: SLOT, id: transfer.id, view: transfer.view };
        self.bulk.queue(OPEN - 1, GetLoad {});
        self.bulk.queue(OPEN, open);
        loop {
            let flushed = self.bulk.flush(false)?;
            if transfer.is_over() {
                return Err(NetError::Closed.into());
            }
            if let Some(header) = self.bulk.header(None, 0)?
                && let Some(message) = self.bulk.message(header)?
            {
                return match message {
                    FromServer::Opened(opened) => {
                        let fits = opened.chunks == transfer.layout.chunks()
                            && opened.size == transfer.layout.size();
                        let have = opened.have.to_set(transfer.layout.chunks());
                        let have = have.filter(|_| fits).ok_or(FetchEnd::Geometry)?;
                        transfer.hear_looks(opened.looks, have.is_full());
                        Ok((have, load))
                    }
                    FromServer::Load(told) => {
                        load = Some(load_of(&told));
                        continue;
                    }
                    FromServer::Refused(refused) => Err(FetchEnd::Refused(refused.reason)),
                    other => Err(unexpected(other).into()),
                };
            }
            let until = self.started + OPEN_PATIENCE;
            if Instant::now() >= until {
                return Err(NetError::TimedOut.into());
            }
            if self.bulk.fill()? == Filled::Nothing {
                // The end of the transfer wakes this too ([`Transfer::opens`]).
                self.bulk.wait(true, !flushed, Some(until))?;
            }
        }
    }
}

fn load_of(load: &Load) -> SourceLoad {
    SourceLoad { uploads: load.uploads, rate: load.rate }
}

fn unexpected(message: FromServer) -> NetError {
    match message {
        FromServer::Common(Common::Error(error)) => {
            NetError::Refused { code: error.code, detail: error.detail.into_string() }
        }
        FromServer::Common(Common::Leave) => NetError::Closed,
        other => NetError::Unexpected(other.label()),
    }
}

/// Most bytes of a CHUNK after its length field.
pub(in crate::peer) const MAX_CHUNK_FRAME_BYTES: usize =
    RawHeader::MIN_LENGTH + ChunkHead::MAX_BYTES + Geometry::MAX_CHUNK_SIZE as usize;

/// A chunk whose data is arriving.
struct Incoming {
    number: u32,
    place: Place,
    hasher: ChunkHasher,
    /// What the chunk should be; none: the data is thrown away.
    wanted: Option<Wanted>,
    within: u64,
}

struct Wanted {
    hash: ChunkHash,
    owner: Arc<Mutex<SourceId>>,
}

struct Fetching<'a> {
    bulk: Bulk<ToServer>,
    transfer: &'a Transfer,
    link: Arc<SourceLink>,
    id: SourceId,
    /// Chunks asked for, by request; none for "whichever".
    requests: HashMap<u32, Option<u32>>,
    next_request: u32,
    incoming: Option<Incoming>,
    throttle: Option<&'a Mutex<Throttle>>,
    /// The rate limit's pause: nothing is read before.
    paused_until: Option<Instant>,
    silence: Silence,
    /// Chunks that the source has said it gained, with repetitions.
    told: u64,
    /// Chunks reported as missing.
    missing: u32,
}

impl Fetching<'_> {
    fn run(mut self) -> Result<(), FetchEnd> {
        let outcome = threads::caught(|| self.work())
            .unwrap_or_else(|panicked| Err(NetError::Panicked(panicked).into()));
        if let Some(incoming) = &self.incoming {
            self.transfer.abandon(incoming.number, self.id);
        }
        match outcome {
            Err(FetchEnd::Net(NetError::Closed)) if self.transfer.is_over() => Ok(()),
            Err(FetchEnd::Net(error)) => {
                self.bulk.end(&error);
                Err(error.into())
            }
            other => other,
        }
    }

    fn work(&mut self) -> Result<(), FetchEnd> {
        let mut readable = true;
        loop {
            self.take_in()?;
            threads::may_panic("fetch-chunk");
            // Behind what was taken in: most orders follow from it.
            if self.obey()? {
                return Ok(());
            }
            let flushed = self.bulk.flush(false)?;
            if let Some(until) = self.paused_until.filter(|until| Instant::now() < *until) {
                // Whoever does not listen cannot complain of silence.
                self.silence.heard(until);
                self.bulk.wait(false, !flushed, Some(until))?;
            } else if readable {
                let filled = self.bulk.fill()?;
                if filled != Filled::Nothing {
                    self.silence.heard(Instant::now());
                }
                readable = filled == Filled::ToTheBrim;
            } else {
                let until = self.break_silence()?;
                readable = self.bulk.wait(true, !flushed, Some(until))?;
            }
        }
    }

    /// Asks a silent source whether it lives, and gives it up if it does not answer. When to look again.
    fn break_silence(&mut self) -> Result<Instant, NetError> {
        let owes = self.incoming.is_some() || !self.requests.is_empty();
        match self.silence.look(owes, Instant::now()) {
            Look::Again(at) => Ok(at),
            Look::Ask(at) => {
                self.bulk.queue(self.next_request, Common::Ping);
                self.bulk.flush(false)?;
                Ok(at)
            }
            Look::Lost => Err(NetError::TimedOut),
        }
    }

    /// Turns orders into requests, neighbouring chunks into runs. True if the connection is to end.
    fn obey(&mut self) -> Result<bool, FetchEnd> {
        let orders = self.link.take_orders();
        if orders.is_empty() {
            return Ok(false);
        }
        let before = self.bulk.unsent().len();
        let (mut news, mut load) = (Vec::new(), false);
        let mut runs: Vec<(u32, u16, bool)> = Vec::new();
        for order in orders {
            match order {
                Order::Ask(chunk) => join_runs(&mut runs, chunk, self.needs_proof(chunk)),
                Order::AskAny => match runs.last_mut() {
                    Some((ANY_CHUNK, count, _)) if *count < MAX_RUN => *count += 1,
                    _ => runs.push((ANY_CHUNK, 1, true)),
                },
                Order::Cancel(chunk) => self.cancel(chunk),
                Order::AskLoad => load = true,
                Order::Tell(chunk) => news.push(chunk),
                Order::Close => {
                    self.bulk.queue(self.next_request, Common::Leave);
                    let _ = self.bulk.flush(false);
                    return Ok(true);
                }
            }
        }
        for (first, count, proof) in runs {
            self.ask(first, count, proof);
        }
        if load {
            // Behind the chunks: the answer tells how many others are served before them.
            self.bulk.queue(self.next_request, GetLoad {});
            self.next_request = self.next_request.checked_add(1).unwrap_or(OPEN + 1);
        }
        if !news.is_empty() {
            news.sort_unstable();
            let gained = List::new(runs::ranges(news));
            self.bulk.queue(0, AskerHas { slot: SLOT, gained });
        }
        let sent = self.bulk.unsent().len() - before;
        add(&self.transfer.ledger.overhead, sent);
        Ok(false)
    }

    fn needs_proof(&self, chunk: u32) -> bool {
        self.transfer.layout.place(chunk).is_some_and(|place| self.transfer.hash_of(place).is_none())
    }

    fn ask(&mut self, first: u32, count: u16, proof: bool) {
        if self.next_request.checked_add(u32::from(count)).is_none() {
            self.next_request = OPEN + 1;
        }
        let request = self.next_request;
        for at in 0..u32::from(count) {
            let chunk = (first != ANY_CHUNK).then(|| first + at);
            self.requests.insert(request + at, chunk);
        }
        self.next_request += u32::from(count);
        let behind = self.transfer.is_behind();
        self.bulk.queue(request, GetChunk { slot: SLOT, first, count, proof, behind });
    }

    fn cancel(&mut self, chunk: u32) {
        let target =
            self.requests.iter().find(|(_, asked)| **asked == Some(chunk)).map(|(request, _)| *request);
        if let Some(target) = target {
            self.bulk.queue(0, Cancel { target });
        }
    }

    /// Takes in all that has arrived and can be used.
    fn take_in(&mut self) -> Result<(), FetchEnd> {
        loop {
            if self.incoming.is_some() {
                if !self.take_data()? {
                    return Ok(());
                }
                continue;
            }
            let header = self.bulk.header(Some(ChunkHead::ID), MAX_CHUNK_FRAME_BYTES)?;
            let Some(header) = header else { return Ok(()) };
            if header.id == ChunkHead::ID {
                if !self.take_head(header)? {
                    return Ok(());
                }
                continue;
            }
            let Some(message) = self.bulk.message(header)? else { return Ok(()) };
            add(&self.transfer.ledger.overhead, HEADER_BYTES + header.body_bytes);
            self.take_message(header.request, message)?;
        }
    }

    fn take_message(&mut self, request: u32, message: FromServer) -> Result<(), FetchEnd> {
        match message {
            FromServer::Refused(refused) => {
                let chunk = self.requests.remove(&request).ok_or(NetError::Unexpected("REFUSED"))?;
                match (chunk, refused.reason) {
                    (Some(chunk), Refusal::NotHere) => self.tell_of_missing(chunk),
                    // It has said so itself.
                    (_, Refusal::Gone) => self.transfer.note_change(),
                    _ => {}
                }
                if let Refusal::NotHere | Refusal::NotYet | Refusal::Gone = refused.reason {
                    self.told = self.told.saturating_sub(1); // it may tell of that one again
                }
                self.transfer.step([Event::Refused(self.id, chunk, refused.reason)], Some(self.id));
            }
            FromServer::ServerHas(has) if has.slot == SLOT => {
                let chunks = self.transfer.layout.chunks();
                self.told += runs::named(&has.gained, chunks);
                if self.told > u64::from(MAX_TOLD) * u64::from(chunks) {
                    return Err(NetError::Unexpected("HAVE of more chunks than there are").into());
                }
                self.transfer.step([Event::Gained(self.id, has.gained.into_vec())], Some(self.id));
            }
            FromServer::Load(load) => {
                self.transfer.step([Event::Loaded(self.id, load_of(&load))], Some(self.id));
            }
            FromServer::Common(Common::Ping) => self.bulk.queue(request, Common::Pong),
            FromServer::Common(Common::Ok | Common::Pong) => {}
            other => return Err(unexpected(other).into()),
        }
        Ok(())
    }

    /// The source has said it has `chunk`, and has not; a few such cases tell the trackers enough.
    fn tell_of_missing(&mut self, chunk: u32) {
        if self.missing < MAX_MISSING_TOLD {
            self.missing += 1;
            self.transfer.lacks(self.link.peer, chunk);
        }
    }

    /// The source is told that its chunk did not prove: it may not know what has become of its file.
    fn complain(&mut self, chunk: u32) {
        self.bulk.queue(0, Corrupt { slot: SLOT, chunk });
    }

    /// Takes the head of a CHUNK, and settles what becomes of its data. False if more bytes are needed.
    fn take_head(&mut self, header: RawHeader) -> Result<bool, FetchEnd> {
        let arrived = self.bulk.arrived();
        let body = &arrived[HEADER_BYTES..arrived.len().min(HEADER_BYTES + header.body_bytes)];
        let Some((head, head_bytes)) = ChunkHead::peek(body).map_err(NetError::from)? else {
            return match body.len() == header.body_bytes {
                true => Err(NetError::Decode(crate::wire::DecodeError::Truncated).into()),
                false => Ok(false),
            };
        };
        let asked = self.requests.remove(&header.request).ok_or(NetError::Unexpected("CHUNK"))?;
        let place = self.transfer.layout.place(head.index);
        let data_bytes = (header.body_bytes - head_bytes) as u64;
        let place =
            place.filter(|place| place.len == data_bytes && asked.is_none_or(|chunk| chunk == head.index));
        let Some(place) = place else { return Err(NetError::Unexpected("chunk number or length").into()) };
        if trace::on(Side::Fetch, true) {
            let fields = format!("chunk {} of {} B", head.index, place.len);
            trace::line(
                Side::Fetch,
                Direction::In,
                self.bulk.addr,
                header.request,
                "CHUNK",
                &fields,
                header.body_bytes,
            );
        }
        add(&self.transfer.ledger.overhead, HEADER_BYTES + head_bytes);
        self.bulk.consume(HEADER_BYTES + head_bytes);
        self.transfer.step([Event::Arriving(self.id, head.index)], Some(self.id));
        let proved = head.proof.hashes.is_empty() || self.transfer.learn(place, head.proof);
        let hash = self.transfer.hash_of(place).filter(|_| proved);
        let wanted = match hash {
            None => None,
            Some(hash) => self.transfer.begin(head.index, self.id).map(|owner| Wanted { hash, owner }),
        };
        if hash.is_none() {
            self.complain(head.index);
            self.transfer.step([Event::Corrupt(self.id, head.index)], Some(self.id));
            add(&self.transfer.ledger.rejected, place.len as usize);
        } else if wanted.is_none() {
            add(&self.transfer.ledger.duplicate, place.len as usize);
        }
        let hasher = chunk_hasher(self.transfer.layout.files()[place.file], place.chunk);
        self.incoming = Some(Incoming { number: head.index, place, hasher, wanted, within: 0 });
        Ok(true)
    }

    /// Takes data of the chunk that is arriving. False if more bytes are needed.
    fn take_data(&mut self) -> Result<bool, FetchEnd> {
        let Some(incoming) = &mut self.incoming else { return Ok(true) };
        let arrived = self.bulk.arrived();
        let left = (incoming.place.len - incoming.within) as usize;
        let small = self.transfer.layout.files()[incoming.place.file].chunks() == 1;
        let part = match arrived.len() {
            enough if enough >= left => left,
            some => some / BLOCK_BYTES * BLOCK_BYTES,
        };
        if part == 0 {
            return Ok(false);
        }
        let data = &arrived[..part];
        if let Some(wanted) = &incoming.wanted {
            incoming.hasher.update(data);
            if !small {
                let owner = lock(&wanted.owner);
                if *owner == self.id {
                    self.transfer.disk.write(incoming.place, incoming.within, data)?;
                }
            }
        }
        incoming.within += part as u64;
        let whole = incoming.within == incoming.place.len;
        if let Some(throttle) = self.throttle {
            let now = Instant::now();
            self.paused_until = Some(now + lock(throttle).take(part, now));
        }
        self.transfer.step([Event::Progress(self.id, part as u64)], Some(self.id));
        if whole {
            self.finish_chunk(part)?;
        }
        self.bulk.consume(part);
        Ok(true)
    }

    /// All data of the chunk has been hashed; `last` bytes of it are still in the buffer.
    fn finish_chunk(&mut self, last: usize) -> Result<(), FetchEnd> {
        let Some(incoming) = self.incoming.take() else { return Ok(()) };
        let Incoming { number, place, hasher, wanted, .. } = incoming;
        let Some(wanted) = wanted else {
            let settled = Event::Refused(self.id, Some(number), Refusal::Cancelled);
            self.transfer.step([settled], Some(self.id));
            return Ok(());
        };
        if hasher.finish() != wanted.hash {
            self.transfer.abandon(number, self.id);
            self.complain(number);
            add(&self.transfer.ledger.rejected, place.len as usize);
            self.transfer.step([Event::Corrupt(self.id, number)], Some(self.id));
            return Ok(());
        }
        if !self.transfer.claim(number, self.id) {
            add(&self.transfer.ledger.duplicate, place.len as usize);
            let settled = Event::Refused(self.id, Some(number), Refusal::Cancelled);
            self.transfer.step([settled], Some(self.id));
            return Ok(());
        }
        if self.transfer.layout.files()[place.file].chunks() == 1 {
            self.transfer.disk.write_small(
                place.file,
                &self.bulk.arrived()[..last],
                FileId(wanted.hash.0),
            )?;
        } else {
            self.transfer.disk.keep(number, place, wanted.hash)?;
        }
        add(&self.transfer.ledger.useful, place.len as usize);
        self.transfer.kept(number, self.id);
        Ok(())
    }
}

/// Adds `chunk` to the last run if it continues it and is asked for in the same way.
fn join_runs(runs: &mut Vec<(u32, u16, bool)>, chunk: u32, proof: bool) {
    match runs.last_mut() {
        Some((first, count, proofs))
            if *first != ANY_CHUNK
                && first.checked_add(u32::from(*count)) == Some(chunk)
                && *proofs == proof
                && *count < MAX_RUN =>
        {
            *count += 1;
        }
        _ => runs.push((chunk, 1, proof)),
    }
}
