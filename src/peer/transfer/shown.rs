//! What people see of a transfer.

use std::time::Instant;

use super::end::End;
use super::status::report;
use super::underway::{Transfer, bytes_of};
use crate::api::{SourceReport, TransferState, TransferStatus, Unreached};
use crate::swarm::scheduler::MAX_CORRUPT;

impl Transfer {
    pub(in crate::peer) fn status(&self) -> TransferStatus {
        let all = self.sources.all();
        let sources: Vec<SourceReport> =
            all.iter().map(|(who, view, connected)| report(who, view, *connected)).collect();
        let ledger = self.ledger.view();
        let end = self.ending.get();
        let until = end.as_ref().map_or_else(Instant::now, |(_, at)| *at);
        let (files_done, files_total) = self.landing.files();
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
            bytes_total: bytes_of(self.wanted.iter(), &self.layout),
            bytes_done: self.resumed_bytes + ledger.useful,
            bytes_resumed: self.resumed_bytes,
            files_total,
            files_done,
            seconds,
            rate: ledger.useful as f64 / seconds.max(1e-6),
            limit: None,
            waiting_for: self.waiting_for(&sources),
            unreached: self.unreached(),
            sources,
            ledger,
        }
    }

    /// Who was dialled in vain.
    pub(in crate::peer) fn unreached(&self) -> Vec<Unreached> {
        let unreached = self.neighbours(|neighbours| neighbours.unreached());
        unreached.into_iter().map(|(peer, tried)| Unreached { peer: peer.to_string(), tried }).collect()
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
