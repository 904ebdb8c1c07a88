//! How far a transfer is, for people and programs.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::LedgerView;
use super::{End, SourceLink, Transfer};
use crate::swarm::scheduler::{MAX_CORRUPT, SourceView};
use crate::threads::lock;

/// One source of a transfer, for people.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SourceReport {
    /// The peer's id.
    pub peer: String,
    /// Its name.
    pub name: String,
    /// Where it was dialled.
    pub addr: String,
    /// Bytes taken from it.
    pub bytes: u64,
    /// Chunks taken from it.
    pub chunks: u64,
    /// Chunks of it thrown away because they were wrong.
    pub corrupt: u32,
    /// Bytes a second it delivered lately.
    pub rate: f64,
    /// Milliseconds it took to answer.
    pub round_trip_ms: f64,
    /// Milliseconds that a chunk asked of it now would take.
    pub cost_ms: f64,
    /// Bytes asked of it and not yet here.
    pub inflight_bytes: u64,
    /// Wanted chunks that it has.
    pub useful: u32,
    /// True while connected.
    pub connected: bool,
    /// Uploads to others that it served when it was asked last, if it said so.
    #[serde(default)]
    pub uploads: Option<u16>,
    /// Why it is, or is not, asked: a word.
    #[serde(default)]
    pub reason: String,
    /// The same in a sentence.
    #[serde(default)]
    pub why: String,
}

/// How far a transfer is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TransferStatus {
    /// The content's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `locating`, `joined` (the very same fetch is under way, and this waits for its end), `fetching`, `done`,
    /// `cancelled` or `failed`.
    pub state: String,
    /// Bytes of all files.
    pub bytes_total: u64,
    /// Bytes that are here and proved.
    pub bytes_done: u64,
    /// Of these, what was here before.
    pub bytes_resumed: u64,
    /// Files of the transfer.
    pub files_total: usize,
    /// Files that have their names.
    pub files_done: usize,
    /// Seconds since the start.
    pub seconds: f64,
    /// Bytes a second since the start.
    pub rate: f64,
    /// Where it comes from.
    pub sources: Vec<SourceReport>,
    /// What the bytes were.
    pub ledger: LedgerView,
    /// Who is waited for while nobody who has what is missing can be reached: names, or addresses of
    /// those never met.
    #[serde(default)]
    pub waiting_for: Vec<String>,
}

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
            reason: view.reason.label().to_owned(),
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
                None => "fetching",
                Some((End::Done, _)) => "done",
                Some((End::Cancelled, _)) => "cancelled",
                Some((End::Failed(_), _)) => "failed",
            }
            .to_owned(),
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
