//! What is known of a source, for people and programs.

use super::link::Who;
use crate::api::{SourceReason, SourceReport};
use crate::swarm::scheduler::{Reason, SourceView};

/// What is said of a source, which is still connected or was.
pub(super) fn report(who: &Who, view: &SourceView, connected: bool) -> SourceReport {
    SourceReport {
        peer: who.peer.to_string(),
        name: who.name.clone(),
        addr: who.addr.clone(),
        bytes: view.bytes,
        chunks: view.chunks,
        corrupt: view.corrupt,
        rate: view.rate.map_or(0.0, |rate| rate.get() as f64),
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
