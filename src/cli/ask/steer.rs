//! `p2p cancel`, `pause`, `resume` and `limit`: how the fetches of a running peer go on, and how fast.

use std::path::Path;

use crate::api::control::{Limit, Order};
use crate::api::{PeerStatus, TransferState, TransferStatus};
use crate::cli::failure::Failure;
use crate::cli::reach::daemon::{Daemon, nobody_shares};
use crate::cli::show::output;
use crate::cli::show::words::{per_second, shown, size};
use crate::cli::typed::steering::{LimitArgs, SteerArgs};

/// `p2p cancel WHAT`, `p2p pause WHAT`, `p2p resume WHAT`
pub(crate) fn steer(args: &SteerArgs, order: Order) -> Result<(), Failure> {
    let steered = steered(&args.peer, args.what.as_deref(), order)?;
    output::answers(args.json, &steered, Clone::clone, words)
}

/// `p2p limit [WHAT] --down RATE --up RATE`
pub(crate) fn limit(args: &LimitArgs) -> Result<(), Failure> {
    let down = args.down.map(|rate| rate.0);
    let Some(what) = &args.what else {
        let up = args.up.map(|rate| rate.0);
        let status = running(&args.peer)?.limit(Limit { down, up })?;
        return output::answer(args.json, &status, || peer_words(&status));
    };
    if args.up.is_some() {
        is_no_folder(what)?;
        return Err(Failure::usage(
            "what is sent is limited for all that a peer sends: --up goes without the name of a fetch",
        ));
    }
    let Some(down) = down else {
        return Err(Failure::usage("say with --down at which rate, or `--down none` for no limit"));
    };
    let order = Order::Down(Some(down).filter(|rate| *rate != 0));
    let steered = steered(&args.peer, Some(what), order)?;
    output::answers(args.json, &steered, Clone::clone, words)
}

/// Fetches as they are once the peer of this folder has heard what is to become of them. What is typed as one of them and is
/// none may be meant as the folder.
fn steered(peer: &Path, what: Option<&str>, order: Order) -> Result<Vec<TransferStatus>, Failure> {
    let steered = running(peer).and_then(|mut daemon| daemon.steer(what, order));
    steered.or_else(|failure| what.map_or(Ok(()), is_no_folder).and(Err(failure)))
}

/// Who types the folder of a peer where the name of a fetch goes is told where it goes.
fn is_no_folder(what: &str) -> Result<(), Failure> {
    match Daemon::of_folder(Path::new(what)) {
        Some(_) => Err(Failure::usage(format!(
            "{what} is no fetch but the folder that a peer shares: `--peer {what}` says that this peer is meant",
            what = shown(what),
        ))),
        None => Ok(()),
    }
}

/// The peer that shares the folder, or one that it is in.
fn running(folder: &Path) -> Result<Daemon, Failure> {
    Daemon::around(folder).ok_or_else(|| nobody_shares(folder))
}

fn words(status: &TransferStatus) -> String {
    let (name, done, total) = (shown(&status.name), size(status.bytes_done), size(status.bytes_total));
    match (status.state, status.limit) {
        (state @ (TransferState::Cancelled | TransferState::Failed), _) => {
            format!("{name}: {state}, {done} of {total} kept for next time")
        }
        (state, Some(rate)) => {
            format!("{name}: {state}, {done} of {total}, at most {}", per_second(rate as f64))
        }
        (state, None) => format!("{name}: {state}, {done} of {total}"),
    }
}

fn peer_words(status: &PeerStatus) -> String {
    let rate = |limit: Option<u64>| {
        limit.map_or_else(
            || "without a limit".to_owned(),
            |rate| format!("at most {}", per_second(rate as f64)),
        )
    };
    format!("peer {} receives {} and sends {}", shown(&status.name), rate(status.down), rate(status.up))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_of_a_fetch_is_a_line() {
        let half = TransferStatus { bytes_total: 2048, bytes_done: 1024, ..TransferStatus::of("a\n") };
        assert_eq!(words(&half), "a\\n: fetching, 1.0 KiB of 2.0 KiB");
        let slow = TransferStatus { limit: Some(2048), state: TransferState::Paused, ..half.clone() };
        assert_eq!(words(&slow), "a\\n: paused, 1.0 KiB of 2.0 KiB, at most 2.0 KiB/s");
        let gone = TransferStatus { state: TransferState::Cancelled, ..slow };
        assert_eq!(words(&gone), "a\\n: cancelled, 1.0 KiB of 2.0 KiB kept for next time");
    }
}
