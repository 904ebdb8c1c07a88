//! Who is measured: how each seeds, how each fetches, and how it says that it is done.
//!
//! Fetchers are held at a gate (a line on standard input) until all are ready, so that the clock
//! starts for everybody at once and does not count the loading of programs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::Value;

use crate::announce::Announce;
use crate::lab::{Host, Lab};
use crate::support::p2p::{self, Server};
use crate::support::process::{self, Running};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/swarm/torrent.py");

/// The programs that can be measured.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, ValueEnum)]
pub(crate) enum Contender {
    /// This project.
    P2p,
    /// The same in a closed swarm.
    Closed,
    /// aria2c, as a BitTorrent client.
    Aria2,
    /// libtorrent through its Python binding.
    Libtorrent,
    /// The same with super-seeding.
    Superseed,
}

/// The seeder's side of a running swarm. Dropped, it is gone.
pub(crate) struct Seeding {
    pub(crate) seeder: Running,
    /// Where fetchers ask: a tracker's address, or a torrent.
    meeting: PathBuf,
    /// Whatever else must live as long as the swarm.
    _tracker: Box<dyn std::any::Any>,
}

impl Contender {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::P2p => "p2p",
            Self::Closed => "p2p, closed",
            Self::Aria2 => "aria2",
            Self::Libtorrent => "libtorrent",
            Self::Superseed => "libtorrent, super-seeding",
        }
    }

    /// Why it cannot take part, if it cannot.
    pub(crate) fn missing(self) -> Option<&'static str> {
        match self {
            Self::P2p | Self::Closed => None,
            Self::Aria2 if process::find("aria2c").is_none() => Some("aria2c is not installed"),
            Self::Aria2 => python().is_none().then_some("python3 is not installed"),
            Self::Libtorrent | Self::Superseed => {
                let Some(program) = python() else { return Some("python3 is not installed") };
                let found = Command::new(program).args(["-c", "import libtorrent"]).output();
                (!found.is_ok_and(|output| output.status.success()))
                    .then_some("python3-libtorrent is not installed")
            }
        }
    }

    /// Starts the tracker and the seeder of `payload`, and waits until it is shared.
    pub(crate) fn seed(self, lab: &Lab, payload: &Path, scratch: &Path) -> Result<Seeding> {
        match self {
            Self::P2p => seed_p2p(lab, payload, scratch),
            Self::Closed => {
                p2p::close(scratch)?;
                seed_p2p(lab, payload, scratch)
            }
            _ => self.seed_torrent(lab, payload, scratch),
        }
    }

    fn seed_torrent(self, lab: &Lab, payload: &Path, scratch: &Path) -> Result<Seeding> {
        let announce = Announce::start(&lab.tracker)?;
        let torrent = scratch.join("payload.torrent");
        let mut make = Command::new(python().context("python3 is not installed")?);
        make.arg(SCRIPT).arg("make").arg(&torrent).arg(payload).arg(&announce.url);
        process::timed(&mut make)?;
        let folder = payload.parent().context("the payload's folder")?;
        let role = if self == Self::Superseed { "super" } else { "seed" };
        let mut seeder = self.start_torrent(&lab.hosts[0], &torrent, folder, role, "seeder", scratch)?;
        seeder.wait_line(Duration::from_secs(60), |line| line == "gate")?;
        seeder.release()?;
        announce.wait_for(1, Duration::from_secs(20))?;
        Ok(Seeding { seeder, meeting: torrent, _tracker: Box::new(announce) })
    }

    /// Starts a fetcher that waits at the gate.
    pub(crate) fn fetcher(
        self,
        host: &Host,
        seeding: &Seeding,
        payload: &Path,
        destination: &Path,
        scratch: &Path,
    ) -> Result<Running> {
        fs::create_dir_all(destination)?;
        let name = format!("fetcher-{}", host.address);
        if !self.is_ours() {
            return self.start_torrent(host, &seeding.meeting, destination, "fetch", &name, scratch);
        }
        let mut what = payload.file_name().context("the payload's name")?.to_string_lossy().into_owned();
        if payload.is_dir() {
            what.push('/');
        }
        let mut command = host.place().gated(&p2p::binary());
        command.arg("get").arg(what).arg(destination).arg("--tracker").arg(&seeding.meeting);
        command.args(["--json", "--seed"]);
        p2p::isolate(&mut command, scratch);
        Running::start(command, &name, scratch)
    }

    fn start_torrent(
        self,
        host: &Host,
        torrent: &Path,
        folder: &Path,
        role: &str,
        name: &str,
        scratch: &Path,
    ) -> Result<Running> {
        let mut command;
        if self == Self::Aria2 {
            command = host.place().gated(&process::find("aria2c").context("aria2c is not installed")?);
            command.arg(format!("--dir={}", folder.display())).args(ARIA2);
            command.arg(format!("--on-bt-download-complete={}", hook(scratch)?.display()));
            if role == "seed" {
                command.arg("--bt-seed-unverified=true");
            }
            command.arg(torrent);
        } else {
            command = host.place().command(&python().context("python3 is not installed")?);
            command.arg(SCRIPT).arg("peer").arg(torrent).arg(folder).arg(role);
        }
        Running::start(command, name, scratch)
    }

    /// Whether a line of a fetcher's standard output says that everything has arrived and is proved.
    pub(crate) fn is_done(self, line: &str) -> bool {
        if self.is_ours() {
            event(line).is_some_and(|event| event["done"].is_array())
        } else {
            line == "done"
        }
    }

    /// Whether it is this project's.
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::P2p | Self::Closed)
    }
}

/// No local discovery, no waiting, everybody a peer. Chosen by reasoning: no other set was compared.
const ARIA2: [&str; 13] = [
    "--seed-ratio=0",
    "--enable-dht=false",
    "--enable-dht6=false",
    "--bt-enable-lpd=false",
    "--listen-port=6881",
    "--file-allocation=none",
    "--summary-interval=0",
    "--console-log-level=notice",
    "--show-console-readout=false",
    "--bt-max-peers=0",
    "--bt-request-peer-speed-limit=1000M",
    "--bt-tracker-interval=2",
    "--disable-ipv6=true",
];

/// A program that aria2 starts when it has everything: it speaks on aria2's own standard output.
fn hook(scratch: &Path) -> Result<PathBuf> {
    let path = scratch.join("done.sh");
    if !path.exists() {
        fs::write(&path, "#!/bin/sh\necho done\n")?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(path)
}

fn seed_p2p(lab: &Lab, payload: &Path, scratch: &Path) -> Result<Seeding> {
    let tracker = Server::tracker(&lab.tracker.place(), &lab.tracker.address.to_string(), scratch)?;
    let folder = payload.parent().context("the payload's folder")?;
    let host = &lab.hosts[0];
    let peer =
        Server::peer(&host.place(), &host.address.to_string(), folder, &tracker.address, "seeder", scratch)?;
    Ok(Seeding {
        seeder: peer.process,
        meeting: PathBuf::from(&tracker.address),
        _tracker: Box::new(tracker),
    })
}

/// What a `p2p get --json` counted: the ledger of its last line.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub(crate) struct Ledger {
    pub(crate) bytes: u64,
    pub(crate) duplicate: u64,
    pub(crate) rejected: u64,
    pub(crate) overhead: u64,
}

impl Ledger {
    /// The sum over the contents that the last line reports; None for any other line.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let event = event(line)?;
        let reports = event["done"].as_array()?;
        let sum = |field: &str| {
            reports.iter().filter_map(|report| report["status"]["ledger"][field].as_u64()).sum::<u64>()
        };
        Some(Self {
            bytes: sum("useful"),
            duplicate: sum("duplicate"),
            rejected: sum("rejected"),
            overhead: sum("overhead"),
        })
    }
}

fn event(line: &str) -> Option<Value> {
    line.starts_with('{').then(|| serde_json::from_str(line).ok())?
}

/// The system's Python first: distributions put the binding of libtorrent there and nowhere else.
fn python() -> Option<PathBuf> {
    let system = PathBuf::from("/usr/bin/python3");
    if system.is_file() { Some(system) } else { process::find("python3") }
}
