//! A transfer into the vault, from whom the tracker has named to its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::store::Store;
use super::vault::VaultError;
use crate::peer::disk::DiskError;
use crate::peer::job::{Decoding, Gate};
use crate::peer::transfer::{End, Transfer};
use crate::swarm::errands::{Company, Errand, Errands};
use crate::swarm::patience::Patience;
use crate::swarm::scheduler::{Event, TICK};
use crate::wire::{DutySource, Keep, Reluctance};

/// How long nobody may be there who has what is missing. The tracker knows others by then.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why something is not kept.
pub(super) enum Failed {
    /// What the tracker is told.
    Declined(Reluctance),
    /// The peer stops.
    Stopped,
}

impl From<VaultError> for Failed {
    fn from(error: VaultError) -> Failed {
        match error.is_no_space() {
            true => Failed::Declined(Reluctance::NoSpace),
            false => {
                tracing::warn!("{error}");
                Failed::Declined(Reluctance::Damaged)
            }
        }
    }
}

/// Those whom the tracker has named are asked.
pub(super) fn suggest(store: &Store, transfer: &Transfer, keep: &Keep) {
    let me = store.means.identity.peer.get();
    let others = keep.sources.iter().filter(|source| source.peer != me);
    for DutySource { peer, addresses, spare } in others {
        if *spare {
            transfer.spare(*peer);
        }
        transfer.suggest(*peer, addresses);
    }
}

/// What the end of a transfer means for what it was to bring.
pub(super) fn outcome(store: &Store, end: End) -> Result<(), Failed> {
    match end {
        End::Done => Ok(()),
        End::Cancelled if store.means.stop.is_stopping() => Err(Failed::Stopped),
        End::Cancelled => Err(Failed::Declined(Reluctance::NoSource)),
        End::Failed(error) => Err(Failed::Declined(match &*error {
            DiskError::Full(path) => {
                tracing::warn!("the disk is full: {path}");
                Reluctance::NoSpace
            }
            other => {
                tracing::warn!("{other}");
                Reluctance::Damaged
            }
        })),
    }
}

/// Sees a transfer to its end.
pub(super) fn drive(store: &Store, transfer: &Arc<Transfer>, decoding: Option<&Decoding>) -> End {
    let (means, now) = (&store.means, Instant::now());
    let limits = &means.limits;
    let mut errands = Errands::new(limits.max_neighbours, limits.refresh, transfer.layout.chunks(), now);
    let mut patience = Patience::new(Some(PATIENCE), Duration::ZERO, now);
    let gate = Gate::new();
    let end = loop {
        if let Some(end) = transfer.wait_news(TICK) {
            break end;
        }
        let now = Instant::now();
        transfer.tell_news();
        transfer.sources.step([Event::Tick], None);
        for errand in transfer.neighbours(|neighbours| errands.turn(neighbours, now)) {
            match errand {
                Errand::Dial(peer, addr) => gate.dial(means, transfer, peer, &addr),
                Errand::Close(peer) => transfer.sources.close_last_of(peer),
                // The tracker that gave the duty sees to that.
                Errand::Announce | Errand::Locate | Errand::Exchange => {}
            }
        }
        means.report_missing(transfer);
        let arrived = transfer.ledger.useful.load(Ordering::Relaxed);
        let helped = transfer.sources.is_helped() || decoding.is_some_and(Decoding::works);
        let Company { alone, over } = errands.company(&mut patience, helped, arrived, now);
        transfer.set_alone(alone);
        if over || means.stop.is_stopping() {
            transfer.finish(End::Cancelled);
        }
    };
    transfer.tell_news();
    gate.close();
    transfer.sources.wait_for_all();
    end
}
