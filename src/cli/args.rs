//! What can be typed: every command, option and default. Defaults of a role come from the role.

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

use super::fault::{Fault, latency_file, policy};
use super::units::{Bytes, Patience, Period};
use super::{Exit, Failure, output};
use crate::content::SafeName;
use crate::net::trace;
use crate::peer::Latencies;
use crate::swarm::scheduler::Policy;
use crate::{peer, tracker};

/// Where a tracker is looked for if nobody says anything else.
pub(super) const DEFAULT_TRACKER: &str = "127.0.0.1:9700";
/// Where a tracker listens: everywhere, since others are to reach it.
pub(super) const TRACKER_LISTEN: &str = "0.0.0.0:9700";
/// The port of a tracker whose address has none.
pub(super) const TRACKER_PORT: u16 = 9700;

const EXPERIMENTS: &str = "For tests and experiments";
const LOGS: &str = "Logs and traces (on standard error)";

const PRECEDENCE: &str = "Options beat the environment (P2P_TRACKER, a comma-separated list), which beats \
    the configuration file (p2p/config.toml in the configuration directory, ~/.config as a rule), which \
    beats the defaults.";

/// Shares folders and files between machines: chunked, swarmed, every byte proved.
#[derive(Debug, Parser)]
#[command(name = "p2p", version, after_help = format!("{PRECEDENCE}\n\n{}", Exit::HELP), max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub(super) logs: LogArgs,
}

/// The commands.
#[derive(Debug, Subcommand)]
#[allow(private_interfaces)] // the arguments of a command are the command's own
pub enum Command {
    /// Run a tracker: it knows who has what
    Tracker(TrackerArgs),
    /// Share a folder, and fetch for it, until stopped
    Peer(PeerArgs),
    /// Share a file or folder at once, with a tracker built in
    Share(ShareArgs),
    /// List what the swarm has
    Ls(LsArgs),
    /// Show who has something
    Find(FindArgs),
    /// Fetch a file or folder
    Get(GetArgs),
    /// Write a descriptor (NAME.p2p) of a file or folder, and print its link
    Create(CreateArgs),
    /// Ask a peer how many uploads and downloads it serves now
    Load(LoadArgs),
    /// Show what a peer is doing, or what the tracker sees
    Status(StatusArgs),
    /// Show what a peer knows of each source of its transfers, and why it asks it or not
    Why(WhyArgs),
    /// Print completions for a shell
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// Trace messages of a side: tracker, serve or fetch; `=1` all but chunk traffic, `=2` every one
    /// [default level: 1]
    #[arg(long, value_name = "SIDE[=LEVEL]", global = true, value_parser = trace_of, help_heading = LOGS)]
    pub(super) trace: Vec<(trace::Side, u8)>,
    /// Trace messages of all sides; twice: chunk traffic too
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = LOGS)]
    pub(super) verbose: u8,
    /// Log errors only; otherwise warnings too, or what RUST_LOG says
    #[arg(short, long, global = true, help_heading = LOGS)]
    pub(super) quiet: bool,
}

/// Where trackers are.
#[derive(Debug, Clone, Args)]
pub(super) struct TrackerList {
    /// The tracker to ask; give several, or a comma-separated list, for several
    #[arg(long = "tracker", value_name = "HOST[:PORT]", env = "P2P_TRACKER", value_delimiter = ',',
          default_value = DEFAULT_TRACKER, value_parser = tracker_address)]
    pub(super) trackers: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct TrackerArgs {
    /// Where to listen; port 0 takes any free one
    #[arg(long, value_name = "HOST:PORT", default_value = TRACKER_LISTEN)]
    pub(super) listen: String,
    /// How long a peer may be silent before it is forgotten
    #[arg(long, value_name = "TIME", default_value_t = Period(tracker::Config::default().lease))]
    pub(super) lease: Period,
    /// Most connections at once
    #[arg(long, value_name = "N", default_value_t = tracker::Config::default().max_connections)]
    pub(super) max_connections: usize,
}

#[derive(Debug, Args)]
pub(super) struct PeerArgs {
    /// The folder to share; what is fetched into it is shared too
    pub(super) folder: PathBuf,
    #[command(flatten)]
    pub(super) trackers: TrackerList,
    #[command(flatten)]
    pub(super) engine: EngineArgs,
    /// Misbehave on purpose, for tests: corrupt=P, drop=P, delay=TIME, refuse=P, lie[=P], stall=P, with
    /// the probability P for each chunk [default: none]
    #[arg(long, value_name = "KIND[=VALUE]", value_delimiter = ',', help_heading = EXPERIMENTS)]
    pub(super) fault: Vec<Fault>,
    /// Decides which chunks the faults hit
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = EXPERIMENTS)]
    pub(super) fault_seed: u64,
}

#[derive(Debug, Args)]
pub(super) struct ShareArgs {
    /// The file or folder to share
    pub(super) path: PathBuf,
    /// Use this tracker [default: one is built in]
    #[arg(long = "tracker", value_name = "HOST[:PORT]", env = "P2P_TRACKER", value_delimiter = ',',
          value_parser = tracker_address)]
    pub(super) trackers: Vec<String>,
    /// Where the built-in tracker listens; another free port is taken if this one is busy
    #[arg(long, value_name = "HOST:PORT", default_value = TRACKER_LISTEN)]
    pub(super) tracker_listen: String,
    #[command(flatten)]
    pub(super) engine: EngineArgs,
}

/// How this process appears to others and what it may use.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Peer options")]
pub(super) struct EngineArgs {
    /// Where to accept other peers; port 0 takes any free one
    #[arg(long, value_name = "HOST:PORT", default_value = "0.0.0.0:0")]
    pub(super) listen: String,
    /// The peer's name [default: FOLDER@HOST]
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// The address others should dial [default: the one the tracker sees]
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(super) advertise: Option<String>,
    /// Where unfinished downloads and the index are kept [default: .p2p in the folder]
    #[arg(long, value_name = "DIR")]
    pub(super) temp: Option<PathBuf>,
    /// How often locations are asked for again
    #[arg(long, value_name = "TIME", default_value_t = Period(peer::Limits::default().refresh))]
    pub(super) refresh: Period,
    /// Most connections accepted at once
    #[arg(long, value_name = "N", default_value_t = peer::Limits::default().max_connections)]
    pub(super) max_connections: usize,
    /// Most bytes asked for and not yet here, for each transfer
    #[arg(long, value_name = "SIZE", default_value_t = Bytes(peer::Limits::default().max_inflight_bytes))]
    pub(super) max_in_flight: Bytes,
    /// Most peers a transfer is connected to
    #[arg(long, value_name = "N", default_value_t = peer::Limits::default().max_neighbours)]
    pub(super) max_neighbours: usize,
    /// Send at most this much a second [default: no limit]
    #[arg(long, value_name = "RATE")]
    pub(super) up: Option<Bytes>,
    /// Receive at most this much a second [default: no limit]
    #[arg(long, value_name = "RATE")]
    pub(super) down: Option<Bytes>,
    /// Wait until finished files are on the disk itself
    #[arg(long, value_name = "BOOL", default_value_t = peer::Limits::default().fsync,
          action = clap::ArgAction::Set)]
    pub(super) fsync: bool,
    /// How long unfinished downloads are kept that nobody goes on with
    #[arg(long, value_name = "TIME", default_value_t = Period(peer::Limits::default().keep_partial))]
    pub(super) keep_partial: Period,
    /// How sources are chosen, to compare: both, latency, load or random
    #[arg(long, value_name = "POLICY", default_value = "both", value_parser = policy, hide = true)]
    pub(super) policy: Policy,
    /// Answer each peer so much later as this TOML file says: default = MS,
    /// pairs = [["A", "B", MS], …] [default: no latency]
    #[arg(long, value_name = "FILE", value_parser = latency_file, help_heading = EXPERIMENTS)]
    pub(super) latency_file: Option<Latencies>,
}

#[derive(Debug, Args)]
pub(super) struct LsArgs {
    /// What the names look like: `*` and `?` as in a shell; without either, a part of the name
    #[arg(default_value = "*")]
    pub(super) pattern: String,
    #[command(flatten)]
    pub(super) trackers: TrackerList,
    /// How long to wait for a tracker: a time, 0 or `forever`
    #[arg(long, value_name = "TIME", default_value = "0")]
    pub(super) wait: Patience,
    /// One JSON object a line
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct FindArgs {
    /// A name, a folder (`photos/`), an id, a `p2p:` link or a NAME.p2p file; `name:…` is always a name
    pub(super) what: String,
    #[command(flatten)]
    pub(super) trackers: TrackerList,
    /// How long to wait for a tracker: a time, 0 or `forever`
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub(super) wait: Patience,
    /// One JSON object a line
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct GetArgs {
    /// A name, a folder (`photos/`), an id, a `p2p:` link or a NAME.p2p file; `name:…` is always a name
    pub(super) what: String,
    /// A folder that exists, or a path that ends with `/`: put it inside; any other path: the file
    /// or folder to make
    #[arg(default_value = ".")]
    pub(super) dest: PathBuf,
    #[command(flatten)]
    pub(super) trackers: TrackerList,
    /// How long to wait for a tracker or for somebody who has it: a time, 0 or `forever`
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub(super) wait: Patience,
    /// Of several contents under a name: the one that this peer made; its name, or the start of its id
    /// [default: they are listed]
    #[arg(long, value_name = "PEER", conflicts_with = "union")]
    pub(super) from: Option<String>,
    /// Of several contents under a name: the one that was changed last
    #[arg(long, conflicts_with = "union")]
    pub(super) newest: bool,
    /// Make one folder of several under a name, if no path in them contradicts another
    #[arg(long)]
    pub(super) union: bool,
    /// What to call it inside DEST [default: as it was asked for; by id, as those who made it agree, else
    /// its id]
    #[arg(long = "as", value_name = "NAME", value_parser = name)]
    pub(super) called: Option<SafeName>,
    /// Overwrite existing files that differ
    #[arg(long)]
    pub(super) force: bool,
    /// Of a folder that was fetched before: move what the new version lacks, and nobody changed, to
    /// DEST/.p2p/trash, which is never shared
    #[arg(long, conflicts_with = "union")]
    pub(super) delete: bool,
    /// A folder that its source could not list in full is a success too
    #[arg(long)]
    pub(super) allow_partial: bool,
    /// Stay and share it until stopped
    #[arg(long)]
    pub(super) seed: bool,
    /// Stay and share it for so long
    #[arg(long, value_name = "TIME", conflicts_with = "seed")]
    pub(super) seed_for: Option<Period>,
    /// Progress and outcome as one JSON object a line
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) engine: EngineArgs,
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// The file or folder to describe
    pub(super) path: PathBuf,
    /// The descriptor to write [default: NAME.p2p in the current folder]
    #[arg(short, long, value_name = "FILE.p2p")]
    pub(super) output: Option<PathBuf>,
    #[command(flatten)]
    pub(super) trackers: TrackerList,
    /// Overwrite an existing descriptor
    #[arg(long)]
    pub(super) force: bool,
    /// One JSON object
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct LoadArgs {
    /// The peer: its name at the tracker, or HOST:PORT
    pub(super) peer: String,
    #[command(flatten)]
    pub(super) trackers: TrackerList,
    /// One JSON object
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// The folder that a peer is sharing; without it, the trackers are asked
    pub(super) folder: Option<PathBuf>,
    #[command(flatten)]
    pub(super) trackers: TrackerList,
    /// One JSON object a line
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct WhyArgs {
    /// The folder that a peer is sharing, or the id of what the peer of this folder fetches
    #[arg(value_name = "FOLDER|ID", default_value = ".")]
    pub(super) what: String,
    /// One JSON object a line
    #[arg(long)]
    pub(super) json: bool,
}

/// `p2p completions SHELL`
pub(super) fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    // Through a buffer: the generator panics when its output is closed early.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "p2p", &mut script);
    output::line(String::from_utf8_lossy(&script).trim_end())
}

fn name(text: &str) -> Result<SafeName, String> {
    SafeName::new(text).map_err(|error| error.to_string())
}

/// `HOST[:PORT]` of a tracker, with its port.
fn tracker_address(text: &str) -> Result<String, String> {
    let bare_v6 = text.matches(':').count() > 1 && !text.starts_with('[');
    let has_port = text.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    let address = match (bare_v6, has_port) {
        (true, _) => format!("[{text}]:{TRACKER_PORT}"),
        (_, true) => text.to_owned(),
        (_, false) => format!("{text}:{TRACKER_PORT}"),
    };
    match address.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0) => {
            Ok(address)
        }
        _ => Err("an address is HOST or HOST:PORT".into()),
    }
}

/// `SIDE[=LEVEL]`
fn trace_of(text: &str) -> Result<(trace::Side, u8), String> {
    let (side, level) = text.split_once('=').unwrap_or((text, "1"));
    let side = match side {
        "tracker" => trace::Side::Tracker,
        "serve" => trace::Side::Serve,
        "fetch" => trace::Side::Fetch,
        _ => return Err("the sides are tracker, serve and fetch".into()),
    };
    match level {
        "0" => Ok((side, trace::OFF)),
        "1" => Ok((side, trace::CALM)),
        "2" => Ok((side, trace::ALL)),
        _ => Err("the levels are 0, 1 and 2".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_tracker_has_a_port() {
        assert_eq!(tracker_address("lab"), Ok("lab:9700".into()));
        assert_eq!(tracker_address("lab:1"), Ok("lab:1".into()));
        assert_eq!(tracker_address("::1"), Ok("[::1]:9700".into()));
        assert_eq!(tracker_address("[::1]"), Ok("[::1]:9700".into()));
        assert_eq!(tracker_address("[::1]:5"), Ok("[::1]:5".into()));
        for bad in ["", ":5", "lab:x", "lab:0", "lab:70000"] {
            assert!(tracker_address(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn traces_have_a_side_and_a_level() {
        assert_eq!(trace_of("fetch"), Ok((trace::Side::Fetch, trace::CALM)));
        assert_eq!(trace_of("serve=2"), Ok((trace::Side::Serve, trace::ALL)));
        assert!(trace_of("serve=3").is_err());
        assert!(trace_of("all").is_err());
    }
}
