//! `p2p status`: what the peer of a folder is doing, or what the trackers see.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::api::{PeerStatus, TransferStatus};
use crate::cli::failure::{Failure, net_reason};
use crate::cli::reach::daemon::Daemon;
use crate::cli::reach::tracker::Tracker;
use crate::cli::show::output;
use crate::cli::show::table::{Align, Table};
use crate::cli::show::words::{count, elapsed, shown, size};
use crate::cli::typed::args::StatusArgs;
use crate::say;
use crate::wire::{PeerInfo, Status};

/// One line of `status --json` without a folder.
#[derive(Debug, Serialize)]
struct Line {
    tracker: String,
    uptime_ms: u64,
    peers: Vec<PeerLine>,
    /// Pairs of name and content.
    names: u32,
    /// Registrations: a name and content at a peer.
    registrations: u64,
    /// Questions for contents answered since the start.
    located: u64,
}

#[derive(Debug, Serialize)]
struct PeerLine {
    peer: String,
    name: String,
    /// `host:port`, or nothing if it cannot be dialled.
    address: Option<String>,
    offers: u32,
    uploads: u16,
    downloads: u16,
    /// Since its last sign of life.
    silent_ms: u32,
}

/// `p2p status [FOLDER]`
pub(crate) fn status(args: &StatusArgs) -> Result<(), Failure> {
    match &args.folder {
        Some(folder) => of_folder(folder, args.json),
        None => of_trackers(&args.trackers.trackers, args.json),
    }
}

/// Every tracker that can be reached; a failure only if none can.
fn of_trackers(trackers: &[String], json: bool) -> Result<(), Failure> {
    let mut failures = Vec::new();
    for address in trackers {
        let mut tracker = match Tracker::connect(address) {
            Ok(tracker) => tracker,
            Err(error) => {
                failures.push(format!("{address} ({})", net_reason(&error)));
                continue;
            }
        };
        let line = line(address, &tracker.status()?, &tracker.peers()?);
        match json {
            true => output::json(&line)?,
            false => output::line(&render(&line))?,
        }
    }
    let sentence = format!(
        "no tracker at {}; start one with `p2p tracker`, or name another with --tracker",
        failures.join(", ")
    );
    match failures.len() {
        0 => Ok(()),
        some if some < trackers.len() => {
            say::line(&format!("p2p: {sentence}"));
            Ok(())
        }
        _ => Err(Failure::unreachable(sentence)),
    }
}

fn line(address: &str, status: &Status, peers: &[PeerInfo]) -> Line {
    let peer_line = |peer: &PeerInfo| PeerLine {
        peer: peer.peer.to_string(),
        name: peer.name.to_string(),
        address: (peer.port > 0).then(|| peer.host.endpoint(peer.port)),
        offers: peer.offers,
        uploads: peer.uploads,
        downloads: peer.downloads,
        silent_ms: peer.silent_ms,
    };
    Line {
        tracker: address.to_owned(),
        uptime_ms: status.uptime_ms,
        peers: peers.iter().map(peer_line).collect(),
        names: status.names,
        registrations: status.registrations,
        located: status.located,
    }
}

fn render(line: &Line) -> String {
    let columns = [
        ("PEER", Align::Left),
        ("ADDRESS", Align::Left),
        ("CONTENTS", Align::Right),
        ("UPLOADS", Align::Right),
        ("DOWNLOADS", Align::Right),
        ("SILENT", Align::Right),
    ];
    let mut table = Table::new(columns);
    for peer in &line.peers {
        let address = peer.address.clone().unwrap_or_else(|| "cannot be dialled".into());
        let [offers, uploads, downloads] = [peer.offers, u32::from(peer.uploads), u32::from(peer.downloads)]
            .map(|number| number.to_string());
        let silent = elapsed(Duration::from_millis(u64::from(peer.silent_ms)));
        table.row([shown(&peer.name), shown(&address), offers, uploads, downloads, silent]);
    }
    format!(
        "tracker {}: up {}, {}, {}, {}, {} answered\n{}",
        line.tracker,
        elapsed(Duration::from_millis(line.uptime_ms)),
        count(line.peers.len() as u64, "peer"),
        count(u64::from(line.names), "name"),
        count(line.registrations, "registration"),
        count(line.located, "question"),
        table.render(),
    )
}

fn of_folder(folder: &Path, json: bool) -> Result<(), Failure> {
    if !folder.is_dir() {
        return Err(Failure::usage(format!("there is no folder {}", folder.display())));
    }
    let Some(mut daemon) = Daemon::of_folder(folder) else {
        let remedy = format!("start one with `p2p peer {}`", folder.display());
        return Err(Failure::unreachable(format!("no peer is sharing {}; {remedy}", folder.display())));
    };
    let status = daemon.status()?;
    match json {
        true => output::json(&status),
        false => output::line(&render_peer(&status)),
    }
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
    format!("  {name}: {state}, {done} of {total}, {}/s from {peers}", size(status.rate as u64))
}
