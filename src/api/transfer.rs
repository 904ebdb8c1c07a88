//! What is said of a transfer: how far it is, where it comes from, what it did.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::content::Missing;

/// How far a transfer is, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransferState {
    /// Trackers are asked who has it.
    Locating,
    /// The very same fetch is under way, and this waits for its end.
    Joined,
    /// It is being fetched.
    Fetching,
    /// It waits until it is to go on.
    Paused,
    /// It is here.
    Done,
    /// It was ended before it was here.
    Cancelled,
    /// It could not be fetched.
    Failed,
}

/// The same word for people.
impl fmt::Display for TransferState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TransferState::Locating => "locating",
            TransferState::Joined => "joined",
            TransferState::Fetching => "fetching",
            TransferState::Paused => "paused",
            TransferState::Done => "done",
            TransferState::Cancelled => "cancelled",
            TransferState::Failed => "failed",
        })
    }
}

/// Why a source is, or is not, asked, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceReason {
    /// A chunk asked of it would be here soonest.
    Cheapest,
    /// The cheaper ones have as much in flight as they can deliver in time.
    Helps,
    /// It has delivered, and owes nothing now.
    Delivered,
    /// A chunk would take longer than at the best other source.
    Slower,
    /// It has no chunk that is still wanted.
    NothingWanted,
    /// All was asked of others before.
    NotNeeded,
    /// It refused, and is left alone for a moment.
    Busy,
    /// It owes chunks and says nothing.
    Silent,
    /// It sent too many chunks that were wrong.
    Banned,
    /// The connection has ended.
    Gone,
}

/// Bytes of one transfer, by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerView {
    /// Bytes of chunks that were proved and kept.
    pub useful: u64,
    /// Bytes of chunks that were here already.
    pub duplicate: u64,
    /// Bytes of chunks that were not what they should be.
    pub rejected: u64,
    /// Bytes of everything that is not a chunk's data, both ways, without TCP and below.
    pub overhead: u64,
    /// Bytes of chunks sent to others.
    pub sent: u64,
}

/// One source of a transfer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// Why it is, or is not, asked.
    pub reason: SourceReason,
    /// The same in a sentence.
    #[serde(default)]
    pub why: String,
}

/// How far a transfer is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransferStatus {
    /// The content's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// How far it is, in a word.
    pub state: TransferState,
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
    /// Bytes a second that it may receive, if it has a limit of its own.
    #[serde(default)]
    pub limit: Option<u64>,
    /// Where it comes from.
    pub sources: Vec<SourceReport>,
    /// What the bytes were.
    pub ledger: LedgerView,
    /// Who is waited for while nobody who has what is missing can be reached: names, or addresses of
    /// those never met.
    #[serde(default)]
    pub waiting_for: Vec<String>,
    /// Who was dialled in vain.
    #[serde(default)]
    pub unreached: Vec<Unreached>,
}

/// A transfer of a running peer, in a list of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Underway {
    /// Which it is, from the start of the peer on.
    pub number: u64,
    /// Where it goes.
    pub path: String,
    /// Why it failed, if it did.
    pub error: Option<String>,
    /// How far it is.
    #[serde(flatten)]
    pub status: TransferStatus,
}

/// A peer that none of its addresses led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreached {
    /// The peer's id.
    pub peer: String,
    /// What was dialled and what came of it, in words: `ADDRESS: why`, several with `; ` between them.
    pub tried: String,
}

impl TransferStatus {
    /// Peers that it is connected to now; one peer may have several connections.
    pub fn connected(&self) -> u64 {
        let peers = self.sources.iter().filter(|source| source.connected).map(|source| &source.peer);
        peers.collect::<BTreeSet<_>>().len() as u64
    }

    /// Of a transfer of which no more than this is known.
    pub(crate) fn empty(id: String, state: TransferState) -> TransferStatus {
        TransferStatus {
            id,
            name: String::new(),
            state,
            bytes_total: 0,
            bytes_done: 0,
            bytes_resumed: 0,
            files_total: 0,
            files_done: 0,
            seconds: 0.0,
            rate: 0.0,
            limit: None,
            sources: Vec::new(),
            ledger: LedgerView::default(),
            waiting_for: Vec::new(),
            unreached: Vec::new(),
        }
    }
}

/// What a finished fetch did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The state at the end.
    pub status: TransferStatus,
    /// Where it was put.
    pub path: String,
    /// What the source has and its listing has not, as one sentence; empty if it is whole.
    #[serde(default)]
    pub partial: String,
    /// The first of what was left out.
    #[serde(default)]
    pub left_out: Vec<Missing>,
    /// How many were left out besides.
    #[serde(default)]
    pub left_out_more: u32,
    /// What else is in a folder of which an older version was there.
    #[serde(default)]
    pub left_alone: Vec<String>,
    /// How many of these are of an older version.
    #[serde(default)]
    pub left_older: u64,
    /// What went to the trash, if that was asked for.
    #[serde(default)]
    pub trashed: Option<Trashed>,
}

/// What went to the trash.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trashed {
    /// The folder in which they lie, each at its path; empty if there are none.
    pub folder: String,
    /// How many files and symbolic links that is.
    pub files: u64,
    /// The first of their paths.
    pub paths: Vec<String>,
    /// No older version was known to be there, so nothing was.
    pub no_record: bool,
    /// Why something that should have gone did not; empty if there is no such thing.
    pub trouble: String,
}

#[cfg(test)]
impl SourceReport {
    /// One of which nothing is known but its id.
    pub(crate) fn of(peer: &str) -> SourceReport {
        SourceReport {
            peer: peer.to_owned(),
            name: String::new(),
            addr: String::new(),
            bytes: 0,
            chunks: 0,
            corrupt: 0,
            rate: 0.0,
            round_trip_ms: 0.0,
            cost_ms: 0.0,
            inflight_bytes: 0,
            useful: 0,
            connected: true,
            uploads: None,
            reason: SourceReason::NotNeeded,
            why: String::new(),
        }
    }
}

#[cfg(test)]
impl TransferStatus {
    /// One that has just begun.
    pub(crate) fn of(name: &str) -> TransferStatus {
        let begun = TransferStatus::empty(String::new(), TransferState::Fetching);
        TransferStatus { name: name.to_owned(), ..begun }
    }
}

#[cfg(test)]
impl Report {
    /// One of a fetch that left nothing out and nothing alone.
    pub(crate) fn of(name: &str) -> Report {
        Report {
            status: TransferStatus::of(name),
            path: name.to_owned(),
            partial: String::new(),
            left_out: Vec::new(),
            left_out_more: 0,
            left_alone: Vec::new(),
            left_older: 0,
            trashed: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Reason;

    #[test]
    fn a_peer_with_two_connections_is_one_and_who_has_left_is_none() {
        let source = |peer: &str, connected| SourceReport { connected, ..SourceReport::of(peer) };
        let sources = vec![source("a", true), source("b", false), source("a", true), source("c", true)];
        let status = TransferStatus { sources, ..TransferStatus::of("file") };
        assert_eq!(status.connected(), 2);
        let line = serde_json::to_string(&status).unwrap();
        assert_eq!(serde_json::from_str::<TransferStatus>(&line).unwrap(), status);
    }

    /// The words that programs read.
    #[test]
    fn words_are_what_they_were() {
        use SourceReason as Source;
        use TransferState as State;
        let word = |value: serde_json::Value| value.as_str().unwrap().to_owned();
        let states =
            [State::Locating, State::Joined, State::Fetching, State::Done, State::Cancelled, State::Failed];
        let said = states.map(|state| word(serde_json::to_value(state).unwrap()));
        assert_eq!(said, ["locating", "joined", "fetching", "done", "cancelled", "failed"]);
        assert_eq!(states.map(|state| state.to_string()), said);
        let reasons = [
            Source::Cheapest,
            Source::Helps,
            Source::Delivered,
            Source::Slower,
            Source::NothingWanted,
            Source::NotNeeded,
            Source::Busy,
            Source::Silent,
            Source::Banned,
            Source::Gone,
        ];
        let said = reasons.map(|reason| word(serde_json::to_value(reason).unwrap()));
        #[rustfmt::skip]
        let words = [
            "cheapest", "helps", "delivered", "slower", "nothing-wanted", "not-needed", "busy", "silent", "banned",
            "gone",
        ];
        assert_eq!(said, words);
        let left_out = [
            Reason::Unreadable,
            Reason::Special,
            Reason::Name,
            Reason::Outside,
            Reason::Changing,
            Reason::TooLarge,
        ];
        let said = left_out.map(|reason| word(serde_json::to_value(reason).unwrap()));
        assert_eq!(said, ["unreadable", "special", "name", "outside", "changing", "too-large"]);
    }
}
