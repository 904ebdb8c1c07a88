//! A connection whose OPEN is not answered yet.

use std::time::{Duration, Instant};

use super::link::Opened;
use super::outcome::FetchEnd;
use super::requests::{OPEN, SLOT};
use super::underway::Transfer;
use crate::net::NetError;
use crate::net::bulk::{Bulk, Filled, MAX_UNTAKEN_BYTES};
use crate::swarm::scheduler::SourceLoad;
use crate::wire::{Common, FromServer, GetLoad, Load, Message, Open, ToServer, Want};

/// A source may take this long to answer OPEN.
const OPEN_PATIENCE: Duration = Duration::from_secs(10);

/// Opens the content at a source.
pub(super) fn open(bulk: &mut Bulk<ToServer>, transfer: &Transfer) -> Result<Opened, FetchEnd> {
    let started = Instant::now();
    let mut load = None;
    bulk.queue(OPEN - 1, GetLoad {});
    bulk.queue(OPEN, Open { slot: SLOT, id: transfer.id, view: transfer.view });
    loop {
        let flushed = bulk.flush(false)?;
        if transfer.is_over() {
            return Err(NetError::Closed.into());
        }
        if let Some(header) = bulk.header(None, 0)?
            && let Some(message) = bulk.message(header)?
        {
            return match message {
                FromServer::Opened(opened) if header.request == OPEN => {
                    let fits =
                        opened.chunks == transfer.layout.chunks() && opened.size == transfer.layout.size();
                    let have = opened.have.to_set(transfer.layout.chunks());
                    let have = have.filter(|_| fits).ok_or(FetchEnd::Geometry)?;
                    if !transfer.wanted.is_full() {
                        bulk.queue(0, Want { slot: SLOT, chunks: (&transfer.wanted).into() });
                    }
                    transfer.hear_looks(opened.looks, have.is_full());
                    Ok(Opened { have, load, round_trip: started.elapsed() })
                }
                FromServer::Load(told) => {
                    load = Some(load_of(&told));
                    continue;
                }
                FromServer::Refused(refused) if header.request == OPEN => {
                    Err(FetchEnd::Refused(refused.reason))
                }
                FromServer::Common(Common::Ping) if bulk.unsent_bytes() <= MAX_UNTAKEN_BYTES => {
                    bulk.queue(header.request, Common::Pong);
                    continue;
                }
                // Of a slot that is not open yet.
                FromServer::ServerHas(_) => continue,
                other if header.request != OPEN && is_passed_over(header.request, &other) => continue,
                other => Err(unexpected(other).into()),
            };
        }
        let until = started + OPEN_PATIENCE;
        if Instant::now() >= until {
            return Err(NetError::TimedOut.into());
        }
        if bulk.fill()? == Filled::Nothing {
            // The end of the transfer wakes this too (`Sources::opens`).
            bulk.wait(true, !flushed, Some(until))?;
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
