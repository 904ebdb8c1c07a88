//! How far a transfer is, for people and programs.

use std::time::Instant;

use super::{End, SourceLink, Transfer};
use crate::api::{SourceReason, SourceReport, TransferState, TransferStatus};
use crate::swarm::scheduler::Reason;
use crate::swarm::scheduler::{MAX_CORRUPT, SourceView};
use crate::threads::lock;

impl Transfer {
    pub(super) fn report(&self, link: &SourceLink, view: &SourceView, connected: bool) -> SourceReport {
        SourceReport {
            peer: link.peer.to_string(),
            name: link.name.clone(),
            addr: link.addr.clone(),
            bytes: view.bytes,
            chunks: view.chunks,
            corrupt: view.corrupt,
            rate: view.rate,
            round_trip_ms: view.round_trip.as_secs_f64() * 1e3,
            cost_ms: view.cost.as_secs_f64() * 1e3,
            inflight_bytes: view.inflight_bytes,
            useful: view.useful,
            connected,
            uploads: view.load.map(|load| load.uploads),
            reason: word(view.reason),
            why: view.reason.to_string(),
        }
    }

    pub(in crate::peer) fn status(&self) -> TransferStatus {
        let views = self.source_views();
        let mut sources: Vec<SourceReport> = lock(&self.past_sources).values().cloned().collect();
        {
            let links = lock(&self.sources);
            sources
                .extend(views.iter().filter_map(|(id, view)| Some(self.report(links.get(id)?, view, true))));
        }
        let ledger = self.ledger.view();
        let end = lock(&self.end).clone();
        let until = end.as_ref().map_or_else(Instant::now, |(_, at)| *at);
        let seconds = until.saturating_duration_since(self.started).as_secs_f64();
        TransferStatus {
            id: self.id.to_string(),
            name: self.name.as_str().to_owned(),
            state: match end {
                None => TransferState::Fetching,
                Some((End::Done, _)) => TransferState::Done,
                Some((End::Cancelled, _)) => TransferState::Cancelled,
                Some((End::Failed(_), _)) => TransferState::Failed,
            },
            bytes_total: self.layout.size(),
            bytes_done: self.resumed_bytes + ledger.useful,
            bytes_resumed: self.resumed_bytes,
            files_total: self.disk.plan().files(),
            files_done: self.disk.files_done(),
            seconds,
            rate: ledger.useful as f64 / seconds.max(1e-6),
            waiting_for: self.waiting_for(&sources),
            sources,
            ledger,
        }
    }

    /// Who could help if they came back.
    fn waiting_for(&self, sources: &[SourceReport]) -> Vec<String> {
        if self.end().is_some() || !self.is_alone() {
            return Vec::new();
        }
        let helped = sources.iter().filter(|source| source.corrupt < MAX_CORRUPT);
        let mut names: Vec<String> = helped.map(|source| source.name.clone()).collect();
        if names.is_empty() {
            names = self.neighbours(|neighbours| neighbours.addresses());
        }
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// What is said in a word.
fn word(reason: Reason) -> SourceReason {
    match reason {
        Reason::Cheapest => SourceReason::Cheapest,
        Reason::Helps => SourceReason::Helps,
        Reason::Delivered => SourceReason::Delivered,
        Reason::Slower(..) => SourceReason::Slower,
        Reason::NothingWanted => SourceReason::NothingWanted,
        Reason::NotNeeded => SourceReason::NotNeeded,
        Reason::Busy => SourceReason::Busy,
        Reason::Silent => SourceReason::Silent,
        Reason::Banned(_) => SourceReason::Banned,
        Reason::Gone => SourceReason::Gone,
    }
}
