//! A connection whose OPEN is not answered yet.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::link::Opened;
use super::outcome::FetchEnd;
use super::requests::{OPEN, SLOT};
use super::underway::Transfer;
use super::untold::Untold;
use crate::content::{Chunk, ChunkSet};
use crate::net::NetError;
use crate::net::bulk::{Bulk, Filled, MAX_UNTAKEN_BYTES};
use crate::swarm::scheduler::SourceLoad;
use crate::wire::{self, Common, FromServer, GetLoad, Load, Message, Open, Refusal, ToServer, Want};

/// A source may take this long to answer OPEN.
const OPEN_PATIENCE: Duration = Duration::from_secs(10);

/// By how many requests a transfer is opened.
pub(super) fn requests(transfer: &Transfer) -> u32 {
    if transfer.is_apart() { transfer.layout.files().len() as u32 } else { 1 }
}

/// Opens the content at a source, or each of several; what it has, and of what it does not know mode and time.
pub(super) fn open(bulk: &mut Bulk<ToServer>, transfer: &Transfer) -> Result<(Opened, Untold), FetchEnd> {
    if transfer.is_apart() { open_each(bulk, transfer) } else { open_one(bulk, transfer) }
}

fn open_one(bulk: &mut Bulk<ToServer>, transfer: &Transfer) -> Result<(Opened, Untold), FetchEnd> {
    let mut opening = Opening::new(bulk, transfer);
    opening.bulk.queue(OPEN, Open { slot: SLOT, id: transfer.id, view: transfer.view });
    let opened = match opening.next_answer()? {
        (_, Ok(opened)) => opened,
        (_, Err(reason)) => return Err(FetchEnd::Refused(reason)),
    };
    let fits = opened.chunks == transfer.layout.chunks() && opened.size == transfer.layout.size();
    let have = opened.have.to_set(transfer.layout.chunks());
    let have = have.filter(|_| fits).ok_or(FetchEnd::Geometry)?;
    if !transfer.wanted.is_full() {
        opening.bulk.queue(0, Want { slot: SLOT, chunks: (&transfer.wanted).into() });
    }
    let told = transfer.hear_looks(0, opened.looks, have.is_full());
    let untold = Untold::of((!told).then_some(0));
    // Who does not know what is wanted of it would choose anything.
    Ok(opening.end(have, untold, !transfer.grows()))
}

/// Opens contents of one chunk each, in slots of their own, all at once. One that the source does not have it may have
/// on its way: that is refused, and comes from another, or later.
fn open_each(bulk: &mut Bulk<ToServer>, transfer: &Transfer) -> Result<(Opened, Untold), FetchEnd> {
    let mut opening = Opening::new(bulk, transfer);
    let files = transfer.layout.files();
    for file in 0..files.len() {
        let (slot, id) = (SLOT + file as u16, transfer.landing.id_of(file));
        opening.bulk.queue(OPEN + file as u32, Open { slot, id, view: transfer.view });
    }
    let mut have = ChunkSet::empty(transfer.layout.chunks());
    let mut untold = Vec::new();
    for _ in files {
        let (request, answer) = opening.next_answer()?;
        let file = (request - OPEN) as usize;
        let Ok(opened) = answer else { continue };
        if opened.chunks != 1 || opened.size != files[file].size() {
            return Err(FetchEnd::Geometry);
        }
        let whole = opened.have.to_set(1).is_some_and(|have| have.is_full());
        if whole {
            have.insert(Chunk(file as u32));
        }
        if !transfer.hear_looks(file, opened.looks, whole) {
            untold.push(file);
        }
    }
    Ok(opening.end(have, Untold::of(untold), false))
}

/// What was asked by OPEN, and is not answered yet.
struct Opening<'a> {
    bulk: &'a mut Bulk<ToServer>,
    transfer: &'a Transfer,
    started: Instant,
    load: Option<SourceLoad>,
    answered: BTreeSet<u32>,
}

impl<'a> Opening<'a> {
    /// Asks for the load before anything.
    fn new(bulk: &'a mut Bulk<ToServer>, transfer: &'a Transfer) -> Opening<'a> {
        bulk.queue(OPEN - 1, GetLoad {});
        Opening { bulk, transfer, started: Instant::now(), load: None, answered: BTreeSet::new() }
    }

    fn end(self, have: ChunkSet, untold: Untold, one: bool) -> (Opened, Untold) {
        (Opened { have, load: self.load, round_trip: self.started.elapsed(), one }, untold)
    }

    /// The next answer to an OPEN, and to which: OPENED, or why not.
    fn next_answer(&mut self) -> Result<(u32, Result<wire::Opened, Refusal>), FetchEnd> {
        let opens = OPEN..OPEN + requests(self.transfer);
        loop {
            let flushed = self.bulk.flush(false)?;
            if self.transfer.is_over() {
                return Err(NetError::Closed.into());
            }
            if let Some(header) = self.bulk.header(None, 0)?
                && let Some(message) = self.bulk.message(header)?
            {
                let request = header.request;
                let fresh = opens.contains(&request) && !self.answered.contains(&request);
                match message {
                    FromServer::Opened(opened) if fresh => {
                        self.answered.insert(request);
                        return Ok((request, Ok(opened)));
                    }
                    FromServer::Refused(refused) if fresh => {
                        self.answered.insert(request);
                        return Ok((request, Err(refused.reason)));
                    }
                    FromServer::Load(told) => self.load = Some(load_of(&told)),
                    FromServer::Common(Common::Ping) if self.bulk.unsent_bytes() <= MAX_UNTAKEN_BYTES => {
                        self.bulk.queue(request, Common::Pong);
                    }
                    // Of a slot that is not open yet.
                    FromServer::ServerHas(_) => {}
                    other if !fresh && is_passed_over(request, &other) => {}
                    other => return Err(unexpected(other).into()),
                }
                continue;
            }
            let until = self.started + OPEN_PATIENCE;
            if Instant::now() >= until {
                return Err(NetError::TimedOut.into());
            }
            if self.bulk.fill()? == Filled::Nothing {
                // The end of the transfer wakes this too (`Sources::opens`).
                self.bulk.wait(true, !flushed, Some(until))?;
            }
        }
    }
}

pub(super) fn load_of(load: &Load) -> SourceLoad {
    SourceLoad { uploads: load.uploads, rate: load.rate }
}

/// True of an answer that carries nothing: whether or not somebody waits for it, it costs as much as it says.
/// An ERROR with a number answers a request; one without ends the connection.
pub(super) fn is_passed_over(request: u32, message: &FromServer) -> bool {
    match message {
        FromServer::Common(Common::Ok | Common::Pong) | FromServer::Load(_) => true,
        FromServer::Common(Common::Error(_)) => request != 0,
        _ => false,
    }
}

pub(super) fn unexpected(message: FromServer) -> NetError {
    match message {
        FromServer::Common(Common::Error(error)) => error.into(),
        FromServer::Common(Common::Leave) => NetError::Closed,
        other => NetError::Unexpected(other.label()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{ErrorCode, Refused};

    #[test]
    fn only_answers_that_carry_nothing_are_passed_over_and_others_end_the_connection() {
        let error = || FromServer::from(Common::error(ErrorCode::Limit, "too much"));
        let refused = || FromServer::from(Refused { reason: Refusal::Gone });
        let load = Load { uploads: 1, downloads: 2, queued: 3, rate: None };
        for idle in [FromServer::from(Common::Ok), Common::Pong.into(), load.into()] {
            assert!(is_passed_over(0, &idle) && is_passed_over(9, &idle), "{idle:?}");
        }
        assert!(is_passed_over(9, &error()) && !is_passed_over(0, &error()), "it answers nothing");
        for other in [FromServer::from(Common::Leave), Common::Ping.into(), refused()] {
            assert!(!is_passed_over(0, &other) && !is_passed_over(9, &other), "{other:?}");
        }
        assert!(matches!(unexpected(Common::Leave.into()), NetError::Closed));
        assert!(matches!(unexpected(refused()), NetError::Unexpected("REFUSED")));
        assert!(matches!(unexpected(error()), NetError::Refused { .. }));
    }
}
