//! What a job may use of its peer.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::jobs::Jobs;
use crate::net::Identity;
use crate::peer::config::Limits;
use crate::peer::holdings::Holdings;
use crate::peer::news::Board;
use crate::peer::share::Share;
use crate::peer::stop::Stop;
use crate::peer::trackers::Trackers;
use crate::peer::transfer::{Inlet, Transfer};
use crate::swarm::dials::Dials;
use crate::wire::{Complaint, Holder, Report, Variant};

/// What the jobs of a peer share, and have from it.
#[derive(Debug)]
pub(in crate::peer) struct Means {
    pub(in crate::peer) identity: Identity,
    pub(in crate::peer) limits: Limits,
    /// Where unfinished files are; none: beside what is fetched.
    pub(in crate::peer) state: Option<PathBuf>,
    /// What all fetches together may take in.
    pub(in crate::peer) inlet: Arc<Inlet>,
    pub(in crate::peer) dials: Mutex<Dials>,
    pub(in crate::peer) holdings: Holdings,
    pub(in crate::peer) jobs: Jobs,
    pub(in crate::peer) stop: Arc<Stop>,
    pub(in crate::peer) news: Board,
}

impl Means {
    pub(in crate::peer) fn trackers(&self) -> &Trackers {
        &self.holdings.trackers
    }

    /// Tells the trackers of chunks that peers have announced and do not have.
    pub(in crate::peer) fn report_missing(&self, transfer: &Transfer) {
        for (peer, chunk) in transfer.take_missing() {
            let complaint = Complaint::Missing;
            let (id, chunk) = transfer.content_of(chunk);
            self.trackers().report(&Report { peer, id, chunk, complaint });
        }
    }

    pub(super) fn share(&self) -> Option<&Arc<Share>> {
        self.holdings.share.as_ref()
    }

    /// Those who have it that can be dialled, but for this peer.
    pub(in crate::peer) fn others<'a>(
        &self,
        variant: &'a Variant,
    ) -> impl Iterator<Item = &'a Holder> + use<'a> {
        let me = self.identity.peer.get();
        variant.holders.iter().filter(move |holder| !holder.addresses.is_empty() && holder.peer != me)
    }
}

/// A peer that knows nobody and has nothing.
#[cfg(test)]
pub(in crate::peer) fn alone() -> Means {
    Means {
        identity: Identity::tool(crate::net::secure::Keyring::none()),
        limits: Limits::default(),
        state: None,
        inlet: Arc::default(),
        dials: Mutex::default(),
        holdings: Holdings::new(None, Trackers::new(&[]).unwrap()),
        jobs: Jobs::default(),
        stop: Stop::new(),
        news: Board::default(),
    }
}
