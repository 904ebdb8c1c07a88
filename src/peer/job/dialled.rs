//! One connection to a neighbour of a transfer: from the dial to what its end says about the neighbour.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};

use super::means::Means;
use crate::content::PeerId;
use crate::net::trace::Side;
use crate::net::{self, NetError};
use crate::peer::transfer::connection as fetch;
use crate::peer::transfer::{FetchEnd, Transfer};
use crate::swarm::dials::Leave;
use crate::swarm::neighbours::Outcome;
use crate::threads::{self, lock};
use crate::wire::{Complaint, PrefaceError, Refusal, Report, Role};

/// Connections come through it for as long as it is open, and whoever closes it waits for those that did. Nobody waits
/// for what hangs in a name, a dial or a HELLO: it is closed when that comes.
#[derive(Debug)]
pub(in crate::peer) struct Gate {
    open: Arc<Mutex<Option<Sender<()>>>>,
    /// Ends when the last connection that came through does.
    ended: Receiver<()>,
}

impl Gate {
    pub(in crate::peer) fn new() -> Gate {
        let (alive, ended) = crossbeam_channel::bounded(0);
        Gate { open: Arc::new(Mutex::new(Some(alive))), ended }
    }

    /// Lets nobody through any more, and waits for those that came; each sees soon that its transfer has ended.
    pub(in crate::peer) fn close(&self) {
        drop(lock(&self.open).take());
        let _ = self.ended.recv();
    }

    /// Dials a neighbour in a thread, which fetches from it and tells the transfer's neighbours how that ended.
    pub(in crate::peer) fn dial(
        &self,
        means: &Arc<Means>,
        transfer: &Arc<Transfer>,
        peer: PeerId,
        addr: String,
    ) {
        let ended = |outcome| {
            transfer.neighbours(|neighbours| neighbours.ended(peer, outcome, Instant::now()));
        };
        match lock(&means.dials).take(&addr, Instant::now()) {
            Leave::Now => {}
            Leave::Later => return ended(Outcome::NotYet),
            Leave::Foreign => return ended(Outcome::Foreign),
        }
        let (means, dialling, gate) = (means.clone(), transfer.clone(), self.open.clone());
        let present = means.stop.enter();
        let spawned = threads::named("fetch-source").connection(move || {
            let _present = present;
            let end = threads::caught(|| source(&means, &dialling, &addr, &gate))
                .unwrap_or_else(|panicked| Err(NetError::Panicked(panicked).into()));
            let outcome = judge(&means, &dialling, peer, &addr, end);
            dialling.neighbours(|neighbours| neighbours.ended(peer, outcome, Instant::now()));
        });
        if spawned.is_err() {
            ended(Outcome::Failed);
        }
    }
}

/// One connection to a source, from dial to end.
fn source(
    means: &Means,
    transfer: &Transfer,
    addr: &str,
    gate: &Mutex<Option<Sender<()>>>,
) -> Result<(), FetchEnd> {
    threads::may_panic("fetch-source");
    let stream = net::dial(addr).map_err(NetError::from)?;
    let session = net::greet(Arc::new(stream), &means.identity, Role::Ask, Side::Fetch, net::HELLO_TIMEOUT)?;
    lock(&means.dials).answered(addr);
    let through = lock(gate).clone();
    let _alive = through.ok_or(NetError::Closed)?;
    fetch::run(transfer, session, addr)
}

/// What the end of a connection says about the neighbour; complaints go to the trackers.
fn judge(means: &Means, transfer: &Transfer, who: PeerId, addr: &str, end: Result<(), FetchEnd>) -> Outcome {
    let complain = |complaint, chunk| {
        means.trackers().report(&Report { peer: who, id: transfer.id, chunk, complaint });
    };
    match end {
        Ok(()) => Outcome::Useless,
        Err(FetchEnd::Lied(chunk)) => {
            complain(Complaint::Corrupt, chunk);
            tracing::warn!("{addr} sent wrong bytes; it is not asked any more");
            Outcome::Banned
        }
        Err(FetchEnd::Net(NetError::Io(error))) if error.kind() == io::ErrorKind::ConnectionRefused => {
            complain(Complaint::Dead, 0);
            Outcome::Failed
        }
        Err(
            FetchEnd::Net(NetError::Decode(_) | NetError::Frame(_) | NetError::Unexpected(_))
            | FetchEnd::Geometry,
        ) => {
            tracing::warn!("{addr} breaks the protocol; it is not asked any more");
            Outcome::Banned
        }
        Err(FetchEnd::Net(NetError::Preface(PrefaceError::Magic))) => {
            tracing::debug!("{addr} is no peer; it is left alone");
            lock(&means.dials).is_foreign(addr, Instant::now());
            Outcome::Foreign
        }
        Err(FetchEnd::Refused(Refusal::NotHere)) => Outcome::NotHere,
        Err(error) => {
            tracing::debug!("{addr}: {error}");
            Outcome::Failed
        }
    }
}
