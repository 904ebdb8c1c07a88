//! `p2p status`: what the peer of a folder is doing, or what the trackers see.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::api::{PeerStatus, TrackerReport, TransferStatus};
use crate::cli::failure::Failure;
use crate::cli::reach::asking::{Wait, ask_each};
use crate::cli::reach::daemon::{Daemon, nobody_shares};
use crate::cli::reach::tracker::{Tracker, nobody};
use crate::cli::show::output;
use crate::cli::show::table::{Align, Table};
use crate::cli::show::words::{count, elapsed, per_second, shown, size};
use crate::cli::typed::args::StatusArgs;
use crate::cli::typed::values::Patience;

/// How long a tracker may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(5);

/// `p2p status [FOLDER]`
pub(crate) fn status(args: &StatusArgs) -> Result<(), Failure> {
    match &args.folder {
        Some(folder) => of_folder(folder, args.json),
        None => of_trackers(&args.trackers.trackers, args.json),
    }
}

/// Every tracker that answers, in the order in which they were named; a failure only if none does.
fn of_trackers(trackers: &[String], json: bool) -> Result<(), Failure> {
    let wait = Wait::new(Patience::For(PATIENCE));
    let mut answers: BTreeMap<String, Result<TrackerReport, String>> =
        ask_each(trackers, &wait, ask).collect();
    let mut failures = Vec::new();
    let mut answered = false;
    for (address, answer) in trackers.iter().filter_map(|address| answers.remove_entry(address)) {
        match answer {
            Ok(report) => {
                answered = true;
                output::answer(json, &report, || render(&report))?;
            }
            Err(reason) => failures.push(format!("{address} ({reason})")),
        }
    }
    if failures.is_empty() {
        return Ok(());
    }
    let failure = nobody(&failures.join(", "));
    if answered {
        failure.print();
        return Ok(());
    }
    Err(failure)
}

/// What one tracker says.
fn ask(address: &str) -> Result<TrackerReport, String> {
    let mut tracker = Tracker::connect(address)?;
    let said = tracker.status().and_then(|status| Ok((status, tracker.peers()?)));
    let (status, peers) = said.map_err(|failure| failure.to_string())?;
    Ok(TrackerReport::new(address, &status, &peers))
}

fn render(line: &TrackerReport) -> String {
    let columns = [
        ("PEER", Align::Left),
        ("ADDRESS", Align::Left),
        ("CONTENTS", Align::Right),
        ("UPLOADS", Align::Right),
        ("DOWNLOADS", Align::Right),
        ("SILENT", Align::Right),
    ];
    let mut table = Table::new(columns);
    let mut peers: Vec<_> = line.peers.iter().collect();
    peers.sort_by_key(|peer| (&peer.name, &peer.peer));
    for peer in peers {
        let address = peer.address.clone().unwrap_or_else(|| "cannot be dialled".into());
        let [offers, uploads, downloads] = [peer.offers, u32::from(peer.uploads), u32::from(peer.downloads)]
            .map(|number| number.to_string());
        let silent = elapsed(Duration::from_millis(u64::from(peer.silent_ms)));
        table.row([shown(&peer.name), shown(&address), offers, uploads, downloads, silent]);
    }
    format!(
        "tracker {}: up {}{}, {}, {}, {}, {} answered\n{}",
        line.tracker,
        elapsed(Duration::from_millis(line.uptime_ms)),
        if line.settling_ms > 0 { " (peers that it had may still come back)" } else { "" },
        count(line.peers.len() as u64, "peer"),
        count(u64::from(line.names), "name"),
        count(line.registrations, "registration"),
        count(line.located, "question"),
        table.render(output::columns()),
    )
}

fn of_folder(folder: &Path, json: bool) -> Result<(), Failure> {
    if !folder.is_dir() {
        return Err(Failure::usage(format!("there is no folder {}", folder.display())));
    }
    let status = Daemon::of_folder(folder).ok_or_else(|| nobody_shares(folder))?.status()?;
    output::answer(json, &status, || render_peer(&status))
}

/// A peer's status for people.
fn render_peer(status: &PeerStatus) -> String {
    let mut lines = vec![format!(
        "peer {} listening on {}, sharing {} ({}); {}, {}",
        shown(&status.name),
        shown(&status.addr),
        count(status.files, "file"),
        size(status.bytes),
        count(u64::from(status.uploads), "upload"),
        count(u64::from(status.downloads), "download"),
    )];
    let limits = [("receives", status.down), ("sends", status.up)];
    for (does, rate) in limits.into_iter().filter_map(|(does, rate)| Some((does, rate?))) {
        lines.push(format!("  it {does} at most {}", per_second(rate as f64)));
    }
    if let Some(faults) = &status.faults {
        lines.push(format!("  it misbehaves on purpose: {}", shown(faults)));
    }
    lines.extend(status.transfers.iter().map(transfer_line));
    lines.join("\n")
}

fn transfer_line(status: &TransferStatus) -> String {
    let (name, state) = (shown(&status.name), status.state);
    let (done, total) = (size(status.bytes_done), size(status.bytes_total));
    if status.bytes_done == status.bytes_total {
        return format!("  {name}: {state}, {total}");
    }
    let peers = count(status.connected(), "peer");
    format!("  {name}: {state}, {done} of {total}, {} from {peers}", per_second(status.rate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Member;

    #[test]
    fn a_tracker_is_a_line_and_a_table() {
        let member = Member {
            peer: String::new(),
            name: "alice".to_owned(),
            address: None,
            addresses: Vec::new(),
            offers: 3,
            uploads: 2,
            downloads: 1,
            silent_ms: 900,
        };
        let report = TrackerReport {
            tracker: "t:1".to_owned(),
            uptime_ms: 61_000,
            names: 1,
            registrations: 2,
            located: 0,
            settling_ms: 0,
            clock_ms: 0,
            peers: vec![member],
        };
        let words = render(&report);
        let lines: Vec<&str> = words.lines().collect();
        assert_eq!(lines[0], "tracker t:1: up 61.0 s, 1 peer, 1 name, 2 registrations, 0 questions answered");
        assert_eq!(lines[1], "PEER   ADDRESS            CONTENTS  UPLOADS  DOWNLOADS  SILENT");
        assert_eq!(lines[2], "alice  cannot be dialled         3        2          1  0.90 s");
        assert_eq!(lines.len(), 3);
        let words = render(&TrackerReport { settling_ms: 1, ..report });
        let begin = "tracker t:1: up 61.0 s (peers that it had may still come back), 1 peer";
        assert!(words.starts_with(begin), "{words}");
    }

    #[test]
    fn a_peer_is_a_line_and_one_for_each_transfer() {
        let done = TransferStatus { bytes_total: 2048, bytes_done: 2048, ..TransferStatus::of("a") };
        let half =
            TransferStatus { bytes_total: 2048, bytes_done: 1024, rate: 512.0, ..TransferStatus::of("b\n") };
        let status = PeerStatus {
            name: "alice".to_owned(),
            addr: "h:1".to_owned(),
            files: 1,
            bytes: 10,
            uploads: 2,
            downloads: 1,
            sent: 0,
            down: Some(2048),
            up: None,
            faults: Some("lie=1".to_owned()),
            trackers: Vec::new(),
            transfers: vec![done, half],
        };
        let lines = [
            "peer alice listening on h:1, sharing 1 file (10 B); 2 uploads, 1 download",
            "  it receives at most 2.0 KiB/s",
            "  it misbehaves on purpose: lie=1",
            "  a: fetching, 2.0 KiB",
            "  b\\n: fetching, 1.0 KiB of 2.0 KiB, 512 B/s from 0 peers",
        ];
        assert_eq!(render_peer(&status).lines().collect::<Vec<_>>(), lines);
    }
}
