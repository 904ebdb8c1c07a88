//! From a queued request to bytes in the socket.

use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use rustix::io::Errno;

use super::held::Data;
use super::{Job, Serving};
use crate::content::Place;
use crate::net::NetError;
use crate::net::trace::{self, Direction, Side};
use crate::peer::mischief::{Fate, Faults};
use crate::peer::share::{is_passing, read_at};
use crate::swarm::desk::Wish;
use crate::threads;
use crate::wire::{ANY_CHUNK, ChunkHead, DecodeError, HEADER_BYTES, Refusal};

/// Chunks up to this size are copied into the buffer of messages instead of sent from the file.
const COPY_BYTES: u64 = 32 << 10;
/// Short chunks are gathered until this much waits to be sent: one turn's worth.
const GATHER_BYTES: usize = 64 << 10;
/// Bytes of one sendfile call to a fast uplink, between which requests are read.
const SEND_BYTES: usize = 1 << 20;

/// A chunk whose data comes from a file, on its way out.
pub(super) struct Sending {
    file: Arc<File>,
    offset: u64,
    left: usize,
    slot: u16,
    place: Place,
}

/// What a pass over the queue ended with.
pub(super) enum Pace {
    /// Nothing to send.
    Idle,
    /// More can be sent at once.
    More,
    /// The socket has no room.
    Full,
    /// Another connection's turn, or the rate limit's pause.
    NotNow,
}

impl Serving<'_> {
    pub(super) fn send(&mut self) -> Result<Pace, NetError> {
        if let Some(until) = self.held_until {
            if Instant::now() < until {
                return Ok(if self.bulk.flush(false)? { Pace::NotNow } else { Pace::Full });
            }
            self.held_until = None;
        }
        if self.sending.is_some() || self.turn {
            return self.send_on();
        }
        if self.faults.as_ref().is_some_and(Faults::has_cut) {
            return self.cut_off();
        }
        if self.queue.is_empty() {
            self.asker.rest();
            return Ok(if self.bulk.flush(false)? { Pace::Idle } else { Pace::Full });
        }
        if self.bulk.unsent().len() >= GATHER_BYTES && !self.bulk.flush(false)? {
            return Ok(Pace::Full);
        }
        if self.must_wait() {
            return Ok(if self.bulk.flush(false)? { Pace::NotNow } else { Pace::Full });
        }
        if !self.asker.turn(self.wish(), Instant::now()) {
            return Ok(if self.bulk.flush(false)? { Pace::NotNow } else { Pace::Full });
        }
        threads::may_panic("serve");
        self.turn = true;
        self.tell_news(); // it goes along
        while self.sending.is_none() && self.bulk.unsent().len() < GATHER_BYTES {
            let Some(job) = self.queue.pop_front() else { break };
            match self.fate() {
                Fate::Sound => self.begin(job),
                fate => self.misbehave(fate, job),
            }
            if std::mem::take(&mut self.paid) {
                break; // the next one has to wait for itself
            }
        }
        self.send_on()
    }

    /// Under a rate limit, a chunk leaves when all of it could have left at that rate, behind those that
    /// were next before it. True if that is not yet.
    fn must_wait(&mut self) -> bool {
        if self.paid {
            return false;
        }
        let Some(job) = self.queue.front() else { return false };
        let Some(slot) = self.slots.get(&job.slot) else { return false };
        let layout = slot.held.layout();
        let len = match layout.place(job.chunk) {
            Some(place) => place.len,
            None => layout.size() / u64::from(layout.chunks().max(1)), // whichever
        };
        let now = Instant::now();
        let Some(wait) = self.asker.pay(len as usize, now) else { return false };
        self.paid = true;
        self.held_until = (!wait.is_zero()).then(|| now + wait);
        self.held_until.is_some()
    }

    /// What is to be sent next.
    fn wish(&self) -> Wish {
        let job = self.queue.front();
        let choice = job.filter(|job| job.chunk == ANY_CHUNK).map(|job| job.slot);
        Wish { choice, behind: job.is_some_and(|job| job.behind) }
    }

    /// Begins to answer a job: refuses, copies a short chunk, or sets up a long one to be sent.
    fn begin(&mut self, job: Job) {
        let Some(number) = self.choose(job) else { return self.refuse(job.request, Refusal::NothingBetter) };
        let Some(slot) = self.slots.get_mut(&job.slot) else { return };
        let Some(place) = slot.held.layout().place(number) else { return };
        let data = match slot.held.data(number, place) {
            Ok(data) => data,
            Err(reason) => {
                if reason == Refusal::Gone {
                    slot.gone.note(number, Instant::now());
                }
                return self.refuse(job.request, reason);
            }
        };
        let len = place.len as usize;
        let unsent = self.bulk.unsent();
        let start = unsent.len();
        let proof = slot.proof(job.proof, place);
        ChunkHead { index: number, proof }.put_frame(job.request, len, unsent);
        match data {
            Data::Memory(bytes, at) => unsent.extend_from_slice(&bytes[at..at + len]),
            Data::File(file) if place.len <= COPY_BYTES => {
                let at = unsent.len();
                unsent.resize(at + len, 0);
                let read = read_at(&file, &mut unsent[at..], place.offset);
                // It may have been written to while it was read.
                if read.is_err() || matches!(slot.held.data(number, place), Err(Refusal::Gone)) {
                    unsent.truncate(start);
                    slot.forget_proof(place);
                    slot.held.check(place);
                    if read.is_err_and(|error| is_passing(&error)) {
                        return self.refuse(job.request, Refusal::Busy);
                    }
                    slot.gone.note(number, Instant::now());
                    return self.refuse(job.request, Refusal::Gone);
                }
            }
            Data::File(file) => {
                self.sending = Some(Sending { file, offset: place.offset, left: len, slot: job.slot, place });
                self.bulk.data_follows();
            }
        }
        self.count(job, number, len);
    }

    /// The chunk to answer with: the one that was asked for, or our choice.
    pub(super) fn choose(&mut self, job: Job) -> Option<u32> {
        if job.chunk != ANY_CHUNK {
            return Some(job.chunk);
        }
        self.asker.choose(job.slot)
    }

    /// Counts a chunk that is on its way out.
    pub(super) fn count(&mut self, job: Job, number: u32, len: usize) {
        if let Some(slot) = self.slots.get(&job.slot) {
            slot.held.count_sent(len);
        }
        self.asker.begin(job.slot, number, len, Instant::now());
        if trace::on(Side::Serve, true) {
            let fields = format!("chunk {number} of {len} B");
            let whole = len + HEADER_BYTES;
            trace::line(Side::Serve, Direction::Out, self.bulk.addr, job.request, "CHUNK", &fields, whole);
        }
    }

    /// Sends on with what was begun.
    fn send_on(&mut self) -> Result<Pace, NetError> {
        if !self.bulk.flush(self.sending.is_some())? {
            return Ok(self.blocked());
        }
        let piece = self.asker.piece();
        if let Some(sending) = &mut self.sending {
            while sending.left > 0 {
                if piece.is_some() && !self.bulk.has_room()? {
                    return Ok(self.blocked());
                }
                let part = sending.left.min(piece.unwrap_or(SEND_BYTES));
                let sent = self.bulk.send_file(&sending.file, &mut sending.offset, part);
                if is_failure_of_the_file(&sent)
                    && let Some(slot) = self.slots.get(&sending.slot)
                {
                    slot.held.check(sending.place);
                }
                match sent? {
                    None => return Ok(self.blocked()),
                    // The file became shorter under our feet: the asker sees the connection end.
                    Some(0) => return Err(NetError::Decode(DecodeError::Truncated)),
                    Some(sent) => {
                        sending.left -= sent;
                        self.asker.sent(sent, Instant::now());
                    }
                }
            }
            self.sending = None;
            self.bulk.data_left();
        }
        if self.turn && piece.is_some() && !self.bulk.has_room()? {
            return Ok(self.blocked()); // the next one's chunk would only share the uplink with this one
        }
        self.turn = false;
        self.asker.done();
        Ok(Pace::More)
    }

    fn blocked(&mut self) -> Pace {
        if self.turn {
            self.turn_ends = self.asker.stuck(Instant::now());
            self.turn = self.turn_ends.is_some();
        }
        Pace::Full
    }
}

/// True if the file is shorter than it was, or the disk fails under it; not if the socket does.
fn is_failure_of_the_file(sent: &Result<Option<usize>, NetError>) -> bool {
    match sent {
        Ok(sent) => *sent == Some(0),
        Err(NetError::Io(error)) => Errno::from_io_error(error) == Some(Errno::IO),
        Err(_) => false,
    }
}
