//! What the messages of an asker mean, and what is answered. Knows no socket: messages in, answers out.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;

use super::asker::Asker;
use super::held::Held;
use super::host::Host;
use super::sending::FilePart;
use super::slot::{Request, Slot};
use super::uploads::Content;
use crate::content::{Chunk, ChunkSet, PeerId, Place, Run, runs};
use crate::net::NetError;
use crate::peer::mischief::Fate;
use crate::peer::transfer::Follower;
use crate::swarm::desk::Wish;
use crate::wire::limits::{
    MAX_CHUNKS, MAX_PROOF_RUN, MAX_QUEUED_CHUNKS, MAX_RANGES, MAX_RUN, MAX_SLOTS, MAX_TOLD,
};
use crate::wire::{
    ANY_CHUNK, Common, Corrupt, ErrorCode, FromServer, GetChunk, GetManifest, List, Load, Manifest, Open,
    Opened, Refusal, Refused, ServerHas, ToServer, Urgency, Want,
};

/// A message to the asker, with the number of the request that it answers; 0 if it answers none.
pub(super) type Answer = (u32, FromServer);

/// A chunk that begins to leave.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) chunk: Chunk,
    pub(super) bytes: usize,
    /// The part of a file that is to follow.
    pub(super) part: Option<FilePart>,
}

/// What one asker has open, and what it asked for.
pub(super) struct Session<'a> {
    host: &'a dyn Host,
    peer: PeerId,
    ip: IpAddr,
    /// Where it listens, if it does.
    listen: Option<SocketAddr>,
    asker: Asker,
    /// What it is to hear of, from the transfers whose contents it opened.
    follower: Arc<Follower>,
    /// All that is on its way here is said to be here.
    lies: bool,
    slots: BTreeMap<u16, Slot>,
    queue: VecDeque<Request>,
    /// It said LEAVE.
    left: bool,
}

fn answer(request: u32, message: impl Into<FromServer>) -> Vec<Answer> {
    vec![(request, message.into())]
}

fn refuse(request: u32, reason: Refusal) -> Answer {
    (request, Refused { reason }.into())
}

/// True of what needs an answer, which needs a number. LEAVE may be a notice.
fn is_request(message: &ToServer) -> bool {
    match message {
        ToServer::Open(_) | ToServer::Close(_) | ToServer::GetManifest(_) => true,
        ToServer::GetChunk(_) | ToServer::GetLoad(_) | ToServer::Common(Common::Ping) => true,
        ToServer::Cancel(_) | ToServer::AskerHas(_) | ToServer::Want(_) => false,
        ToServer::Corrupt(_) | ToServer::Common(_) => false,
    }
}

impl<'a> Session<'a> {
    pub(super) fn new(
        host: &'a dyn Host,
        peer: PeerId,
        ip: IpAddr,
        listen: Option<SocketAddr>,
        asker: Asker,
        follower: Arc<Follower>,
        lies: bool,
    ) -> Session<'a> {
        let (slots, queue) = (BTreeMap::new(), VecDeque::new());
        Session { host, peer, ip, listen, asker, follower, lies, slots, queue, left: false }
    }

    pub(super) fn asker(&self) -> &Asker {
        &self.asker
    }

    /// True if so many bytes wait for the asker that it is not asked on.
    pub(super) fn is_choked(&mut self, unsent: usize) -> bool {
        self.asker.is_choked(unsent)
    }

    /// True once the asker has said LEAVE.
    pub(super) fn is_left(&self) -> bool {
        self.left
    }

    /// The asker leaves in order: it goes on to share what it said it has.
    pub(super) fn leaves(&mut self) {
        self.left = true;
        self.asker.leaves();
    }

    /// Closes what is open; of what the asker has all by now, if it has left in order.
    pub(super) fn finish(&mut self) -> Vec<Content> {
        let slots = std::mem::take(&mut self.slots).into_iter();
        slots.filter(|(number, _)| self.asker.close(*number)).map(|(_, slot)| slot.content).collect()
    }

    // Messages.

    /// Takes in a message; what is answered to it at once.
    pub(super) fn take(&mut self, request: u32, message: ToServer) -> Result<Vec<Answer>, NetError> {
        if request == 0 && is_request(&message) {
            return Err(NetError::Unexpected("request number 0"));
        }
        match message {
            ToServer::Open(open) => Ok(vec![(request, self.open(&open))]),
            ToServer::Close(close) => {
                let slot = self
                    .slots
                    .remove(&close.slot)
                    .ok_or(NetError::Unexpected("CLOSE of a slot that is not open"))?;
                if let Held::Fetching(transfer) = &slot.held {
                    transfer.unsubscribe(&self.follower, close.slot);
                }
                self.asker.close(close.slot);
                let mut answers = self.drop_requests(|request| request.slot == close.slot);
                answers.push((request, Common::Ok.into()));
                Ok(answers)
            }
            ToServer::GetManifest(get) => Ok(vec![(request, self.manifest(&get)?)]),
            ToServer::GetChunk(get) => self.enqueue(request, &get),
            ToServer::Cancel(cancel) => Ok(self.drop_requests(|request| request.number == cancel.target)),
            ToServer::GetLoad(_) => {
                self.asker.set_queued(self.queue.len());
                let (uploads, queued, rate) = self.asker.load();
                Ok(answer(request, Load { uploads, downloads: self.host.downloads(), queued, rate }))
            }
            ToServer::AskerHas(has) => self.asker_has(has.slot, &has.gained).map(|()| Vec::new()),
            ToServer::Want(want) => self.asker_wants(&want).map(|()| Vec::new()),
            ToServer::Corrupt(corrupt) => {
                self.complaint(&corrupt);
                Ok(Vec::new())
            }
            ToServer::Common(common) => self.common(request, common),
        }
    }

    fn common(&mut self, request: u32, message: Common) -> Result<Vec<Answer>, NetError> {
        match message {
            Common::Ping => Ok(answer(request, Common::Pong)),
            Common::Leave => {
                self.leaves();
                let mut answers = self.drop_requests(|_| true);
                // A notice has no answer.
                answers.extend((request != 0).then(|| (request, Common::Ok.into())));
                Ok(answers)
            }
            Common::Ok | Common::Pong => Ok(Vec::new()),
            Common::Error(error) => Err(error.into()),
            Common::Hello(_) => Err(NetError::Unexpected("HELLO")),
        }
    }

    fn open(&mut self, open: &Open) -> FromServer {
        if self.slots.contains_key(&open.slot) || self.slots.len() >= MAX_SLOTS {
            return Common::error(ErrorCode::Limit, "the slot is open already, or too many are").into();
        }
        let held = self.host.find(open.id, open.view).filter(|held| held.layout().chunks() <= MAX_CHUNKS);
        let Some(held) = held else { return Refused { reason: Refusal::NotHere }.into() };
        if let Held::Fetching(transfer) = &held {
            // Before what is had is read, so that no gain is missed.
            transfer.subscribe(&self.follower, open.slot);
            if let Some(addr) = self.listen {
                self.host.met(open.id, open.view, self.peer, addr.to_string());
            }
        }
        let chunks = held.layout().chunks();
        let have = if self.lies { ChunkSet::full(chunks) } else { held.have() };
        let opened = Opened { size: held.layout().size(), chunks, have: (&have).into(), looks: held.looks() };
        if have.is_full() {
            self.asker.open(open.slot, (open.id, open.view), chunks);
        }
        self.slots.insert(open.slot, Slot::new(held, (open.id, open.view)));
        opened.into()
    }

    fn manifest(&mut self, get: &GetManifest) -> Result<FromServer, NetError> {
        let slot = self
            .slots
            .get(&get.slot)
            .ok_or(NetError::Unexpected("GET_MANIFEST of a slot that is not open"))?;
        let file = slot.held.layout().files().get(get.file as usize).copied();
        let fits = file.is_some_and(|file| get.first < file.chunks() && get.count as usize <= MAX_PROOF_RUN);
        if !fits {
            return Err(NetError::Unexpected("GET_MANIFEST of chunks that are not there"));
        }
        let run = get.first..get.first.saturating_add(get.count);
        Ok(match slot.held.manifest_run(get.file as usize, run) {
            Some(proof) => Manifest { proof }.into(),
            None => Refused { reason: Refusal::NotYet }.into(),
        })
    }

    /// Requests for chunks wait; those that are too many are refused.
    fn enqueue(&mut self, request: u32, get: &GetChunk) -> Result<Vec<Answer>, NetError> {
        let slot =
            self.slots.get(&get.slot).ok_or(NetError::Unexpected("GET_CHUNK of a slot that is not open"))?;
        let (any, chunks) = (get.first == ANY_CHUNK, slot.held.layout().chunks());
        let fits = any || Run::new(get.first, u32::from(get.count)).end() <= chunks;
        if !fits
            || get.count == 0
            || get.count > MAX_RUN
            || request.checked_add(u32::from(get.count)).is_none()
        {
            return Err(NetError::Unexpected("GET_CHUNK of chunks that are not there"));
        }
        let room = MAX_QUEUED_CHUNKS.saturating_sub(self.queue.len());
        let requests = (0..u32::from(get.count)).map(|at| Request {
            number: request + at,
            slot: get.slot,
            chunk: if any { ANY_CHUNK } else { get.first.plus(at) },
            proof: get.proof,
            urgency: get.urgency,
        });
        self.queue.extend(requests.clone().take(room));
        Ok(requests.skip(room).map(|request| refuse(request.number, Refusal::Busy)).collect())
    }

    fn drop_requests(&mut self, which: impl Fn(&Request) -> bool) -> Vec<Answer> {
        let (dropped, kept): (VecDeque<Request>, VecDeque<Request>) = self.queue.drain(..).partition(which);
        self.queue = kept;
        dropped.into_iter().map(|request| refuse(request.number, Refusal::Cancelled)).collect()
    }

    fn asker_has(&mut self, number: u16, gained: &[Run]) -> Result<(), NetError> {
        let Some(slot) = self.slots.get_mut(&number) else { return Ok(()) };
        let chunks = slot.held.layout().chunks();
        slot.told_chunks += runs::named(gained, chunks);
        if slot.told_chunks > u64::from(MAX_TOLD) * u64::from(chunks.max(1)) {
            return Err(NetError::Unexpected("HAVE of more chunks than there are"));
        }
        self.asker.has(number, runs::chunks(gained, chunks));
        Ok(())
    }

    /// The asker says which chunks it will ask for; once, for it costs more here than there.
    fn asker_wants(&mut self, want: &Want) -> Result<(), NetError> {
        let Some(slot) = self.slots.get_mut(&want.slot) else { return Ok(()) };
        let wanted = want.chunks.to_set(slot.held.layout().chunks());
        let wanted = wanted.ok_or(NetError::Unexpected("WANT of chunks that are not there"))?;
        if std::mem::replace(&mut slot.narrowed, true) {
            return Err(NetError::Unexpected("a second WANT"));
        }
        if !wanted.is_full() {
            self.asker.wants(want.slot, wanted.iter());
        }
        Ok(())
    }

    /// A chunk from here did not prove over there: it is read again, which alone decides.
    fn complaint(&self, corrupt: &Corrupt) {
        let Some(slot) = self.slots.get(&corrupt.slot) else { return };
        let Some(place) = slot.held.layout().place(corrupt.chunk) else { return };
        if self.host.hears(self.ip) {
            slot.held.check(place);
        }
    }

    // Requests that wait.

    /// Notes whether there are requests that are not answered, while a chunk is being sent (`sending`) or not. True
    /// if the last one has just been answered.
    pub(super) fn note_requests(&mut self, sending: bool) -> bool {
        let busy = sending || !self.queue.is_empty();
        self.asker.set_queued(self.queue.len());
        self.follower.set_requests(busy) && !busy
    }

    /// What is to be sent next, if anything is.
    pub(super) fn wish(&self) -> Option<Wish> {
        let request = self.queue.front()?;
        let is_failed = self.slots.get(&request.slot).is_some_and(|slot| slot.held.is_failed_by(self.peer));
        let urgency = if is_failed { Urgency::Background } else { request.urgency };
        let choice = (request.chunk == ANY_CHUNK).then_some(request.slot);
        Some(Wish { choice, urgency })
    }

    /// How long the next chunk is; near enough, if it is whichever.
    pub(super) fn next_bytes(&self) -> Option<usize> {
        let request = self.queue.front()?;
        let layout = self.slots.get(&request.slot)?.held.layout();
        let whichever = layout.size() / u64::from(layout.chunks().max(1));
        Some(layout.place(request.chunk).map_or(whichever, |place| place.len) as usize)
    }

    pub(super) fn next_request(&mut self) -> Option<Request> {
        self.queue.pop_front()
    }

    /// Begins to answer a request: puts a chunk, or its head if it is long, behind `unsent`; or says why it is refused.
    pub(super) fn begin(
        &mut self,
        request: Request,
        fate: Fate,
        unsent: &mut BytesMut,
    ) -> Result<Begun, Refusal> {
        let now = Instant::now();
        let chunk = match request.chunk {
            ANY_CHUNK => self.asker.choose(request.slot, now).ok_or(Refusal::NothingBetter)?,
            chunk => chunk,
        };
        let slot = self.slots.get_mut(&request.slot).ok_or(Refusal::NotHere)?;
        let place = slot.held.layout().place(chunk).ok_or(Refusal::NotHere)?;
        let part = slot.begin(request, chunk, place, fate, unsent, now)?;
        let bytes = place.len as usize;
        slot.held.count_sent(bytes);
        self.asker.begin(request.slot, chunk, bytes, now);
        Ok(Begun { chunk, bytes, part })
    }

    /// A chunk could not be read to its end.
    pub(super) fn check(&self, slot: u16, place: Place) {
        if let Some(slot) = self.slots.get(&slot) {
            slot.held.check(place);
        }
    }

    // What is told unasked.

    /// Gains, if it is time to tell of them.
    pub(super) fn due_gains(&self, now: Instant) -> Vec<Answer> {
        if self.follower.is_due(now) { self.gains(now) } else { Vec::new() }
    }

    /// All gains that were not told yet.
    pub(super) fn gains(&self, now: Instant) -> Vec<Answer> {
        let has = |(slot, gained)| (0, ServerHas { slot, gained: List::new(gained) }.into());
        self.follower.take(now).into_iter().map(has).collect()
    }

    /// What was refused as gone and is here again.
    pub(super) fn restate(&mut self, now: Instant) -> Vec<Answer> {
        let mut answers = Vec::new();
        for (number, slot) in &mut self.slots {
            let back = slot.gone.come_back(&mut slot.held, now);
            for gained in runs::of(back).chunks(MAX_RANGES) {
                answers.push((0, ServerHas { slot: *number, gained: List::new(gained.to_vec()) }.into()));
            }
        }
        answers
    }

    /// When to look again at what was refused.
    pub(super) fn next_restating(&self) -> Option<Instant> {
        self.slots.values().filter_map(|slot| slot.gone.next()).min()
    }
}

#[cfg(test)]
mod tests;
