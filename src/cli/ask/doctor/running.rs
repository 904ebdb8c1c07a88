//! The peer that shares a folder: whether trackers and others reach it, and what narrows its fetches.

use std::path::Path;

use super::check::Check;
use super::others;
use crate::api::{PeerStatus, SourceReason, SourceReport, TransferState, TransferStatus};
use crate::cli::reach::asking::{Wait, ask_each};
use crate::cli::reach::daemon::Daemon;
use crate::cli::reach::tracker::Tracker;
use crate::cli::show::words::{count, per_second, shown};
use crate::cli::typed::values::Patience;

/// A fetch that is this near to its limit is held by it.
const NEAR_LIMIT: f64 = 0.8;

/// How fast this machine is, in bytes a second, as far as that was measured.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Paces {
    /// Proves what came, on one core.
    pub(super) hash: Option<f64>,
    /// Puts it on the disk itself.
    pub(super) disk: Option<f64>,
}

/// The peer that shares the folder, if one runs: its trackers, whether others can dial it, its fetches.
pub(super) fn of_peer(folder: &Path, trackers: &[String], paces: Paces) -> Vec<Check> {
    let Some(mut daemon) = Daemon::of_folder(folder) else {
        return vec![Check::ok("peer", format!("none is sharing {}", folder.display()))];
    };
    let status = match daemon.status() {
        Ok(status) => status,
        Err(failure) => {
            return vec![Check::fail("peer", failure.to_string(), "end it, and start it again")];
        }
    };
    let away: Vec<&str> =
        status.trackers.iter().filter(|tracker| !tracker.connected).map(|tracker| &*tracker.addr).collect();
    let says = format!("{} listens on {}", shown(&status.name), status.addr);
    let mut checks = vec![match away.is_empty() {
        true => Check::ok("peer", format!("{says}, and its trackers know it")),
        false => Check::warn(
            "peer",
            format!("{says}; not connected: {}", away.join(", ")),
            "see the trackers above",
        ),
    }];
    checks.extend(dialled(&status, trackers));
    let underway = |transfer: &&TransferStatus| transfer.seconds > 0.0 && !has_ended(transfer.state);
    checks.extend(status.transfers.iter().filter(underway).map(|transfer| narrow(transfer, paces)));
    checks
}

/// Where the trackers say that others can dial it.
fn dialled(status: &PeerStatus, trackers: &[String]) -> Option<Check> {
    let wait = Wait::new(Patience::For(others::PATIENCE));
    let asked = |address: &str| {
        let mut tracker = Tracker::connect(address)?;
        tracker.peers().map_err(|failure| failure.to_string())
    };
    let all = ask_each(trackers, &wait, asked).filter_map(|(_, answer)| answer.ok()).flatten();
    let its: Vec<_> = all.filter(|peer| *peer.name == *status.name).collect();
    if its.is_empty() {
        return None;
    }
    let at: Vec<String> =
        its.iter().flat_map(|peer| peer.addresses.iter()).map(ToString::to_string).collect();
    Some(match at.is_empty() {
        false => Check::ok("reached", format!("others dial it at {}", at.join(", "))),
        true => Check::warn(
            "reached",
            "others cannot dial it; the tracker calls it when it is wanted".to_owned(),
            "open its port, or say where it is with --advertise: else two such peers cannot reach each other",
        ),
    })
}

fn has_ended(state: TransferState) -> bool {
    matches!(state, TransferState::Done | TransferState::Failed | TransferState::Cancelled)
}

/// The narrow place of a fetch, as far as that is seen from outside: nobody has it, its limit, this machine's proving or
/// disk, those who have it, or else what is between them and here.
fn narrow(transfer: &TransferStatus, paces: Paces) -> Check {
    let name = shown(&transfer.name);
    let sources: Vec<&SourceReport> = transfer.sources.iter().filter(|source| source.connected).collect();
    let lately: f64 = sources.iter().map(|source| source.rate).sum();
    let connected = sources.len() as u64;
    if transfer.state == TransferState::Paused {
        return Check::ok("fetch", format!("{name} is paused"));
    }
    if connected == 0 {
        let waiting = match transfer.waiting_for.is_empty() {
            true => "anybody who has it".to_owned(),
            false => transfer.waiting_for.join(", "),
        };
        let says = format!("{name} waits for {}", shown(&waiting));
        return Check::warn("fetch", says, "start who has it; `p2p find` shows who that is");
    }
    let from = format!("{name} gets {} from {}", per_second(lately), count(connected, "peer"));
    let near = |pace: Option<f64>| pace.filter(|pace| lately >= NEAR_LIMIT * pace).map(per_second);
    let limit = near(transfer.limit.map(|limit| limit as f64));
    let (proof, disk) = (near(paces.hash), near(paces.disk));
    let busy = sources.iter().filter(|source| serves_others(source)).count() as u64;
    let what = match (limit, proof, disk) {
        (Some(limit), ..) => format!("its limit of {limit} is what holds it"),
        (_, Some(pace), _) => format!("to prove what comes is what holds it, at {pace}"),
        (.., Some(pace)) => format!("the disk is what holds it, at {pace}"),
        _ if busy == connected => "they serve others as well, and that is what holds it".to_owned(),
        _ => format!(
            "the way from them is what holds it, or what they can send ({busy} of them {} others as well); `p2p why` shows \
             what each of them gives",
            if busy == 1 { "serves" } else { "serve" }
        ),
    };
    Check::ok("fetch", format!("{from}: {what}"))
}

/// True if a source says that it has much else to do.
fn serves_others(source: &SourceReport) -> bool {
    source.reason == SourceReason::Busy || source.uploads.is_some_and(|uploads| uploads > 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ask::doctor::check::Verdict;

    #[test]
    fn what_a_fetch_waits_for_is_said() {
        let alone = TransferStatus { seconds: 1.0, ..TransferStatus::of("a") };
        let none = Paces::default();
        assert_eq!(narrow(&alone, none).verdict, Verdict::Warn);
        assert!(narrow(&alone, none).says.ends_with("waits for anybody who has it"));
        let paused = TransferStatus { state: TransferState::Paused, ..alone.clone() };
        assert_eq!(narrow(&paused, none).says, "a is paused");
        let source = |uploads| SourceReport {
            peer: "00".to_owned(),
            name: "s".to_owned(),
            addr: "h:1".to_owned(),
            bytes: 0,
            chunks: 0,
            corrupt: 0,
            rate: 1e6,
            round_trip_ms: 1.0,
            cost_ms: 1.0,
            inflight_bytes: 0,
            useful: 1,
            connected: true,
            uploads: Some(uploads),
            reason: SourceReason::Cheapest,
            why: String::new(),
        };
        let fetch =
            |uploads, limit| TransferStatus { sources: vec![source(uploads)], limit, ..alone.clone() };
        let holds = |fetch: &TransferStatus, paces, what: &str| {
            let says = narrow(fetch, paces).says;
            assert!(says.starts_with("a gets ") && says.contains(what), "{what}: {says}");
        };
        let slow = Some(1.1e6);
        holds(&fetch(1, Some(1_000_000)), Paces { hash: slow, disk: slow }, "its limit of ");
        holds(&fetch(1, None), Paces { hash: slow, disk: slow }, "to prove what comes ");
        holds(&fetch(1, None), Paces { hash: None, disk: slow }, "the disk is ");
        holds(&fetch(2, None), Paces { hash: Some(9e9), disk: Some(9e9) }, "they serve others ");
        holds(&fetch(1, None), none, "the way from them ");
    }
}
