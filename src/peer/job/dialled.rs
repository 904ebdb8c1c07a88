//! One connection to a neighbour of a transfer: from the dial to what its end says about the neighbour.

use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use super::means::Means;
use crate::content::{Chunk, PeerId};
use crate::net::trace::Side;
use crate::net::{NetError, Session, Unreached};
use crate::peer::dialling::{Missed, reach};
use crate::peer::transfer::connection as fetch;
use crate::peer::transfer::{FetchEnd, Transfer};
use crate::swarm::neighbours::Outcome;
use crate::threads::{self, lock};
use crate::wire::{Complaint, FromServer, Refusal, Report, Role};

/// Who was called has this long to say what for.
const HERE_PATIENCE: Duration = Duration::from_secs(5);

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
        first: &str,
    ) {
        let others = transfer.neighbours(|neighbours| neighbours.others(peer).to_vec());
        let all = std::iter::once(first).chain(others.iter().map(String::as_str));
        let addresses: Vec<SocketAddr> = all.filter_map(|addr| addr.parse().ok()).collect();
        let (means, dialling, gate) = (means.clone(), transfer.clone(), self.open.clone());
        let present = means.stop.enter();
        let spawned = threads::named("fetch-source").connection(move || {
            let _present = present;
            let end = threads::caught(|| source(&means, &dialling, (peer, &addresses), &gate))
                .unwrap_or_else(|panicked| Err(Ended::Fetch(NetError::Panicked(panicked).into())));
            let outcome = judge(&means, &dialling, peer, end);
            dialling.neighbours(|neighbours| neighbours.ended(peer, outcome, Instant::now()));
        });
        if spawned.is_err() {
            transfer.neighbours(|neighbours| neighbours.ended(peer, Outcome::Failed, Instant::now()));
        }
    }
}

/// Why a connection to a source came to an end.
enum Ended {
    /// There never was one.
    Missed(Missed),
    Fetch(FetchEnd),
}

impl From<FetchEnd> for Ended {
    fn from(end: FetchEnd) -> Ended {
        Ended::Fetch(end)
    }
}

/// One connection to a source, from dial to end.
fn source(
    means: &Means,
    transfer: &Transfer,
    peer: (PeerId, &[SocketAddr]),
    gate: &Mutex<Option<Sender<()>>>,
) -> Result<(), Ended> {
    threads::may_panic("fetch-source");
    let me = (&means.identity, Role::Ask);
    let (session, addr) = reach(&means.dials, peer, me, Side::Fetch).map_err(Ended::Missed)?;
    let through = lock(gate).clone();
    let _alive = through.ok_or(FetchEnd::from(NetError::Closed))?;
    Ok(fetch::run(transfer, session, &addr.to_string())?)
}

/// A source that was called, because it cannot be dialled, has dialled this peer and says what it has.
///
/// # Errors
/// It is of no use, or has said something else.
pub(in crate::peer) fn came(means: &Means, mut session: Session<Arc<TcpStream>>) -> Result<(), NetError> {
    if !means.holdings.is_fetching() {
        return Ok(());
    }
    let FromServer::Here(here) = session.hear(Side::Fetch, HERE_PATIENCE)? else {
        return Err(NetError::Unexpected("message before HERE"));
    };
    let Some(transfer) = means.holdings.wanting(here.id) else { return Ok(()) };
    let (peer, addr) = (session.theirs.peer, session.addr.to_string());
    if !transfer.neighbours(|neighbours| neighbours.comes(peer, &addr, Instant::now())) {
        return Ok(());
    }
    let end = fetch::run(&transfer, session, &addr);
    let outcome = judge(means, &transfer, peer, end.map_err(Ended::Fetch));
    transfer.neighbours(|neighbours| neighbours.ended(peer, outcome, Instant::now()));
    Ok(())
}

/// What it says about a neighbour that none of its addresses led to it. The trackers are told if nobody answers there.
fn unreached(means: &Means, transfer: &Transfer, who: PeerId, unreached: &Unreached) -> Outcome {
    tracing::debug!("peer {who} is not reached: {unreached}");
    transfer.neighbours(|neighbours| neighbours.is_unreached(who, unreached.to_string()));
    if unreached.is_silent() {
        let complaint = Complaint::Dead;
        means.trackers().report(&Report { peer: who, id: transfer.id, chunk: Chunk(0), complaint });
        Outcome::Failed
    } else if unreached.foreign().len() == unreached.0.len() {
        Outcome::Foreign
    } else if unreached.breaks_the_protocol() {
        tracing::warn!("peer {who} breaks the protocol; it is not asked any more");
        Outcome::Banned
    } else {
        Outcome::Failed
    }
}

/// What the end of a connection says about the neighbour; complaints go to the trackers.
fn judge(means: &Means, transfer: &Transfer, who: PeerId, end: Result<(), Ended>) -> Outcome {
    let complain = |complaint, chunk| {
        let (id, chunk) = transfer.content_of(chunk);
        means.trackers().report(&Report { peer: who, id, chunk, complaint });
    };
    let end = match end {
        Ok(()) => return Outcome::Useless,
        Err(Ended::Missed(Missed::Later)) => return Outcome::NotYet,
        Err(Ended::Missed(Missed::Foreign)) => return Outcome::Foreign,
        Err(Ended::Missed(Missed::Unreached(tried))) => return unreached(means, transfer, who, &tried),
        Err(Ended::Fetch(end)) => end,
    };
    match end {
        FetchEnd::Lied(chunk) => {
            complain(Complaint::Corrupt, chunk);
            tracing::warn!("peer {who} sent wrong bytes; it is not asked any more");
            Outcome::Banned
        }
        FetchEnd::Net(NetError::Decode(_) | NetError::Frame(_) | NetError::Unexpected(_))
        | FetchEnd::Geometry => {
            tracing::warn!("peer {who} breaks the protocol; it is not asked any more");
            Outcome::Banned
        }
        FetchEnd::Refused(Refusal::NotHere) => Outcome::NotHere,
        error => {
            tracing::debug!("peer {who}: {error}");
            Outcome::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::means::alone;
    use super::*;
    use crate::peer::transfer::of_one_byte;
    use crate::wire::{DecodeError, PrefaceError};

    #[test]
    fn the_end_of_a_connection_says_whether_the_neighbour_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let (means, transfer) = (alone(), of_one_byte(folder.path()));
        let who = PeerId([1; 16]);
        let judged = |end: Result<(), Ended>| judge(&means, &transfer, who, end);
        let net = |error: NetError| judged(Err(Ended::Fetch(error.into())));
        let fetch = |end: FetchEnd| judged(Err(Ended::Fetch(end)));
        assert_eq!(judged(Ok(())), Outcome::Useless);
        for (missed, outcome) in [(Missed::Later, Outcome::NotYet), (Missed::Foreign, Outcome::Foreign)] {
            assert_eq!(judged(Err(Ended::Missed(missed))), outcome);
        }
        assert_eq!(fetch(FetchEnd::Lied(Chunk(0))), Outcome::Banned);
        assert_eq!(fetch(FetchEnd::Geometry), Outcome::Banned);
        assert_eq!(net(NetError::Unexpected("PONG")), Outcome::Banned);
        assert_eq!(net(NetError::Decode(DecodeError::Truncated)), Outcome::Banned);
        assert_eq!(fetch(FetchEnd::Refused(Refusal::NotHere)), Outcome::NotHere);
        assert_eq!(fetch(FetchEnd::Refused(Refusal::Busy)), Outcome::Failed);
        for error in [NetError::Closed, NetError::TimedOut] {
            assert_eq!(net(error), Outcome::Failed);
        }
        assert!(transfer.unreached().is_empty(), "all of them were there");
        let at = |port| SocketAddr::from(([10, 0, 0, 1], port));
        let silent = || (at(1), NetError::Io(io::ErrorKind::ConnectionRefused.into()));
        let foreign = || (at(2), NetError::Preface(PrefaceError::Magic));
        let broken = || (at(3), NetError::Unexpected("OK"));
        let says_why = || (at(4), NetError::Role(Role::Member));
        for (tried, outcome) in [
            (vec![silent()], Outcome::Failed),
            (vec![foreign()], Outcome::Foreign),
            (vec![foreign(), silent()], Outcome::Banned),
            (vec![broken(), silent()], Outcome::Banned),
            (vec![broken(), says_why()], Outcome::Failed),
            (vec![], Outcome::Foreign),
        ] {
            let words = format!("{tried:?}");
            assert_eq!(judged(Err(Ended::Missed(Missed::Unreached(Unreached(tried))))), outcome, "{words}");
        }
    }

    #[test]
    fn a_gate_that_is_closed_has_waited_for_who_came_through_and_lets_nobody_in() {
        let gate = Gate::new();
        let through = lock(&gate.open).clone().unwrap();
        let (told, ended) = crossbeam_channel::bounded(1);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                gate.close();
                told.send(()).unwrap();
            });
            while lock(&gate.open).is_some() {
                std::thread::yield_now();
            }
            assert!(ended.try_recv().is_err(), "somebody is there yet");
            drop(through);
            ended.recv_timeout(Duration::from_secs(60)).unwrap();
        });
        gate.close();
    }
}
