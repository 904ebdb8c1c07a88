//! The asking side of one connection: carries out orders, takes in chunks, proves and stores them.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use super::intake::{Arriving, Ended};
use super::ledger::add;
use super::link::{SourceLink, Who};
use super::opening::{self, is_passed_over, load_of, unexpected};
use super::outcome::{FetchEnd, Trust};
use super::requests::{Requests, SLOT, Send};
use super::underway::Transfer;
use super::untold::Untold;
use crate::content::{Chunk, Geometry, Rate, Run, runs};
use crate::net::bulk::{Bulk, Filled, MAX_UNTAKEN_BYTES};
use crate::net::trace::{self, Direction, Side};
use crate::net::wake::Wake;
use crate::net::{NetError, Session};
use crate::swarm::scheduler::{Event, SourceId};
use crate::swarm::silence::{Look, Silence};
use crate::swarm::throttle::Throttle;
use crate::threads;
use crate::wire::limits::MAX_TOLD;
use crate::wire::{
    AskerHas, Cancel, ChunkHead, Close, Common, Corrupt, DecodeError, FromServer, GetChunk, GetLoad,
    HEADER_BYTES, List, Open, RawHeader, Refusal, ToServer,
};

/// Missing chunks of one source that the trackers are told of.
const MAX_MISSING_TOLD: u32 = 16;

/// Fetches from the source behind `session`, dialled as `target`, until the transfer is over or the
/// connection ends.
pub(in crate::peer) fn run(
    transfer: &Transfer,
    session: Session<Arc<TcpStream>>,
    target: &str,
) -> Result<(), FetchEnd> {
    let wake = Arc::new(Wake::new().map_err(NetError::from)?);
    let (mut bulk, theirs) = Bulk::new(session, Side::Fetch, wake.clone())?;
    transfer.sources.opens(&wake);
    let (opened, untold) = opening::open(&mut bulk, transfer)?;
    let (id, peer) = (transfer.sources.number(), theirs.peer);
    let who = Who { peer, name: theirs.name.to_string(), addr: target.to_owned() };
    let link = Arc::new(SourceLink::new(id, who, wake, opened.one && opened.have.is_full()));
    let silence = Silence::new(Instant::now(), opened.round_trip);
    transfer.join(link.clone(), opened);
    let fetching = Fetching {
        bulk,
        transfer,
        link,
        id,
        requests: Requests::behind(opening::requests(transfer)),
        arriving: None,
        pace: None,
        paused_until: None,
        silence,
        untold,
        told: 0,
        missing: 0,
        wrong: None,
    };
    let (end, wrong) = fetching.run();
    let trust = transfer.leave(id, peer);
    match (end, wrong) {
        (Err(FetchEnd::Disk(error)), _) => transfer.fail(error),
        (_, Some(chunk)) if trust == Trust::Lost => return Err(FetchEnd::Lied(chunk)),
        (other, _) => other?,
    }
    Ok(())
}

/// Most bytes of a CHUNK after its length field.
pub(in crate::peer) const MAX_CHUNK_FRAME_BYTES: usize =
    RawHeader::MIN_LENGTH + ChunkHead::MAX_BYTES + Geometry::MAX_CHUNK_SIZE as usize;

/// The head of a CHUNK and how long it is, of what `arrived` from its frame's `header` on; none if more is needed.
pub(super) fn chunk_head(arrived: &[u8], header: RawHeader) -> Result<Option<(ChunkHead, usize)>, NetError> {
    let body = &arrived[HEADER_BYTES..arrived.len().min(HEADER_BYTES + header.body_bytes)];
    match ChunkHead::peek(body)? {
        None if body.len() == header.body_bytes => Err(DecodeError::Truncated.into()),
        head => Ok(head),
    }
}

struct Fetching<'a> {
    bulk: Bulk<ToServer>,
    transfer: &'a Transfer,
    link: Arc<SourceLink>,
    id: SourceId,
    requests: Requests,
    arriving: Option<Arriving<'a>>,
    /// How fast this connection is read under a rate limit: a long chunk comes no faster than many short ones would.
    pace: Option<(Rate, Throttle)>,
    /// The rate limit's pause: nothing is read before.
    paused_until: Option<Instant>,
    silence: Silence,
    untold: Untold,
    /// Chunks that the source has said it gained, with repetitions.
    told: u64,
    /// Chunks reported as missing.
    missing: u32,
    /// The last chunk of which what came was wrong.
    wrong: Option<Chunk>,
}

impl Fetching<'_> {
    /// How it ended, and the last chunk of which what came was wrong.
    fn run(mut self) -> (Result<(), FetchEnd>, Option<Chunk>) {
        let outcome = threads::caught(|| self.work())
            .unwrap_or_else(|panicked| Err(NetError::Panicked(panicked).into()));
        let end = match outcome {
            Err(FetchEnd::Net(NetError::Closed)) if self.transfer.is_over() => Ok(()),
            Err(FetchEnd::Net(error)) => {
                self.bulk.end(&error);
                Err(error.into())
            }
            Err(FetchEnd::Lied(chunk)) => {
                self.bulk.end(&NetError::Unexpected("chunk number or length"));
                Err(FetchEnd::Lied(chunk))
            }
            other => other,
        };
        (end, self.wrong)
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
            if self.bulk.unsent_bytes() > MAX_UNTAKEN_BYTES {
                return Err(NetError::Unexpected("messages of a source that takes none").into());
            }
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
        let owes = self.arriving.is_some() || !self.requests.is_empty();
        match self.silence.look(owes, Instant::now()) {
            Look::Again(at) => Ok(at),
            Look::Ask(at) => {
                self.bulk.queue(self.requests.number(), Common::Ping);
                self.bulk.flush(false)?;
                Ok(at)
            }
            Look::Lost => Err(NetError::TimedOut),
        }
    }

    /// Carries out orders. True if the connection is to end.
    fn obey(&mut self) -> Result<bool, FetchEnd> {
        let orders = self.link.take_orders();
        if orders.is_empty() {
            return Ok(false);
        }
        let before = self.bulk.unsent().len();
        let transfer = self.transfer;
        let needs_proof = |chunk| {
            transfer.layout.place(chunk).is_some_and(|place| transfer.intake.hash_of(place).is_none())
        };
        let urgency = transfer.urgency();
        for send in self.requests.obey(&orders, needs_proof) {
            match send {
                Send::Ask { request, first, count, .. } if transfer.is_apart() => {
                    for at in 0..u32::from(count) {
                        let slot = first.plus(at).0 as u16;
                        let get = GetChunk { slot, first: Chunk(0), count: 1, proof: false, urgency };
                        self.bulk.queue(request + at, get);
                    }
                }
                Send::Ask { request, first, count, proof } => {
                    self.bulk.queue(request, GetChunk { slot: SLOT, first, count, proof, urgency });
                }
                Send::Cancel(target) => self.bulk.queue(0, Cancel { target }),
                Send::Load(request) => self.bulk.queue(request, GetLoad {}),
                Send::Tell(gained) => {
                    self.bulk.queue(0, AskerHas { slot: SLOT, gained: List::new(gained) });
                }
                Send::Leave(request) => {
                    self.bulk.queue(request, Common::Leave);
                    let _ = self.bulk.flush(false);
                    return Ok(true);
                }
            }
        }
        let sent = self.bulk.unsent().len() - before;
        add(&self.transfer.ledger.overhead, sent);
        Ok(false)
    }

    fn step(&self, event: Event) {
        self.transfer.sources.step([event], Some(self.id));
    }

    /// Takes in all that has arrived and can be used.
    fn take_in(&mut self) -> Result<(), FetchEnd> {
        loop {
            if self.arriving.is_some() {
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
        if let Some(file) = self.untold.answered(request) {
            self.hear_again(file, &message);
            return Ok(());
        }
        match message {
            FromServer::Refused(refused) => {
                let chunk = self.requests.answered(request).ok_or(NetError::Unexpected("REFUSED"))?;
                match (chunk, refused.reason) {
                    (Some(chunk), Refusal::NotHere) => self.tell_of_missing(chunk),
                    // It has said so itself.
                    (_, Refusal::Gone) => self.transfer.note_change(),
                    _ => {}
                }
                if let Refusal::NotHere | Refusal::NotYet | Refusal::Gone = refused.reason {
                    self.told = self.told.saturating_sub(1); // it may tell of that one again
                }
                self.step(Event::Refused(self.id, chunk, refused.reason));
            }
            FromServer::ServerHas(mut has) if has.slot == SLOT || self.transfer.is_apart() => {
                let chunks = self.transfer.layout.chunks();
                if self.transfer.is_apart() {
                    let gained =
                        has.gained.iter().any(|run| run.first == Chunk(0)).then(|| Chunk(has.slot.into()));
                    let ours = gained.filter(|chunk| chunk.0 < chunks);
                    has.gained = List::new(ours.map(|chunk| Run::new(chunk, 1)).into_iter().collect());
                }
                self.told += runs::named(&has.gained, chunks);
                if self.told > u64::from(MAX_TOLD) * u64::from(chunks.max(1)) {
                    return Err(NetError::Unexpected("HAVE of more chunks than there are").into());
                }
                if !has.gained.is_empty() {
                    let apart = self.transfer.is_apart();
                    self.ask_again(if apart { has.slot.into() } else { 0 });
                }
                self.step(Event::Gained(self.id, has.gained.into_vec()));
            }
            FromServer::Load(load) => {
                self.step(Event::Loaded(self.id, load_of(&load)));
            }
            // Of a slot that is not open.
            FromServer::ServerHas(_) => {}
            FromServer::Common(Common::Ping) => self.bulk.queue(request, Common::Pong),
            FromServer::Common(Common::Error(_)) if request != 0 => {
                // The server failed at this one, or has too much to do: later, or elsewhere.
                if let Some(chunk) = self.requests.answered(request) {
                    self.step(Event::Refused(self.id, chunk, Refusal::Busy));
                }
            }
            other if is_passed_over(request, &other) => {}
            other => return Err(unexpected(other).into()),
        }
        Ok(())
    }

    /// The source gained chunks of a file: of that it can know mode and time now. The answer comes before any chunk that is
    /// asked for behind this.
    fn ask_again(&mut self, file: usize) {
        if self.untold.gains(file) {
            let (transfer, request) = (self.transfer, self.requests.number());
            let (slot, (id, _)) = (self.slot_again(file), transfer.content_of(Chunk(file as u32)));
            self.bulk.queue(request, Open { slot, id, view: transfer.view });
            self.untold.asks(request, file);
        }
    }

    /// It has answered, and the second slot is not needed any more.
    fn hear_again(&mut self, file: usize, answer: &FromServer) {
        if let FromServer::Opened(opened) = answer {
            let chunks = if self.transfer.is_apart() { 1 } else { self.transfer.layout.chunks() };
            let whole = opened.have.to_set(chunks).is_some_and(|have| have.is_full());
            self.transfer.hear_looks(file, opened.looks, whole);
            let request = self.requests.number();
            self.bulk.queue(request, Close { slot: self.slot_again(file) });
        }
    }

    /// Where a file is opened once more: behind the slots of the transfer.
    fn slot_again(&self, file: usize) -> u16 {
        SLOT + (opening::requests(self.transfer) as usize + file) as u16
    }

    /// The source has said it has `chunk`, and has not; a few such cases tell the trackers enough.
    fn tell_of_missing(&mut self, chunk: Chunk) {
        if self.missing < MAX_MISSING_TOLD {
            self.missing += 1;
            self.transfer.lacks(self.link.who.peer, chunk);
        }
    }

    /// Its chunk did not prove, which the source is told: it may not know what has become of its file.
    fn complain(&mut self, chunk: Chunk) {
        self.wrong = Some(chunk);
        let corrupt = match self.transfer.is_apart() {
            true => Corrupt { slot: chunk.0 as u16, chunk: Chunk(0) },
            false => Corrupt { slot: SLOT, chunk },
        };
        self.bulk.queue(0, corrupt);
        self.step(Event::Corrupt(self.id, chunk));
    }

    /// Takes the head of a CHUNK, and settles what becomes of its data. False if more bytes are needed.
    fn take_head(&mut self, header: RawHeader) -> Result<bool, FetchEnd> {
        let Some((mut head, head_bytes)) = chunk_head(self.bulk.arrived(), header)? else { return Ok(false) };
        let asked = self.requests.answered(header.request).ok_or(NetError::Unexpected("CHUNK"))?;
        if let Some(chunk) = asked.filter(|_| self.transfer.is_apart() && head.index == Chunk(0)) {
            head.index = chunk;
        }
        let place = self.transfer.layout.place(head.index);
        let data_bytes = (header.body_bytes - head_bytes) as u64;
        let place =
            place.filter(|place| place.len == data_bytes && asked.is_none_or(|chunk| chunk == head.index));
        let Some(place) = place else {
            let chunk = asked.unwrap_or(head.index);
            if asked.is_some() {
                self.step(Event::Corrupt(self.id, chunk));
            }
            return Err(FetchEnd::Lied(chunk));
        };
        if trace::on(Side::Fetch, true) {
            let fields = format!("chunk {} of {} B", head.index, place.len);
            let (addr, request) = (self.bulk.addr, header.request);
            trace::line(Side::Fetch, Direction::In, addr, request, "CHUNK", &fields, header.body_bytes);
        }
        let ledger = &self.transfer.ledger;
        add(&ledger.overhead, HEADER_BYTES + head_bytes);
        self.bulk.consume(HEADER_BYTES + head_bytes);
        self.step(Event::Arriving(self.id, head.index));
        let arriving = self.transfer.intake.begin(head.index, place, head.proof, self.id);
        if arriving.is_unproved() {
            add(&ledger.rejected, place.len as usize);
            self.complain(head.index);
        } else if arriving.was_had() {
            add(&ledger.duplicate, place.len as usize);
        }
        self.arriving = Some(arriving);
        Ok(true)
    }

    /// Takes data of the chunk that is arriving. False if more bytes are needed.
    fn take_data(&mut self) -> Result<bool, FetchEnd> {
        let Some(mut arriving) = self.arriving.take() else { return Ok(true) };
        let portion = arriving.portion(self.bulk.arrived().len());
        if portion == 0 {
            self.arriving = Some(arriving);
            return Ok(false);
        }
        let whole = arriving.take(&self.bulk.arrived()[..portion])?;
        self.keep_pace(portion);
        self.step(Event::Progress(self.id, portion as u64));
        if whole {
            self.finish_chunk(arriving, portion)?;
        } else {
            self.arriving = Some(arriving);
        }
        self.bulk.consume(portion);
        Ok(true)
    }

    /// Reads on only when a rate limit lets so much in. Each connection for itself: what all of them are sent is limited
    /// where it is asked for.
    fn keep_pace(&mut self, bytes: usize) {
        let (limit, now) = (self.transfer.sources.limit(), Instant::now());
        if self.pace.as_ref().map(|(rate, _)| *rate) != limit {
            self.pace = limit.map(|rate| (rate, Throttle::new(rate, now)));
        }
        self.paused_until = self.pace.as_mut().map(|(_, throttle)| now + throttle.take(bytes, now));
    }

    /// All data of the chunk was taken in; `last` bytes of it are still in the buffer.
    fn finish_chunk(&mut self, arriving: Arriving<'_>, last: usize) -> Result<(), FetchEnd> {
        let (chunk, bytes, was_had) = (arriving.chunk(), arriving.bytes() as usize, arriving.was_had());
        let ledger = &self.transfer.ledger;
        match arriving.end(&self.bulk.arrived()[..last])? {
            Ended::Kept => {
                add(&ledger.useful, bytes);
                self.transfer.kept(chunk, self.id);
            }
            Ended::Had => {
                // What was here when it began has been counted then.
                add(&ledger.duplicate, if was_had { 0 } else { bytes });
                self.step(Event::Settled(self.id, chunk));
            }
            Ended::Wrong => {
                add(&ledger.rejected, bytes);
                self.complain(chunk);
            }
            Ended::Unproved => {}
        }
        Ok(())
    }
}
