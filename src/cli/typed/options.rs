//! Options that several commands have: where trackers are, what of a folder is shared, how a peer appears, what is logged.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::failure::Failure;
use crate::cli::typed::address::{advertised, listened, tracker_address};
use crate::cli::typed::fault::latency_file;
use crate::cli::typed::values::{Bytes, Patience, Period, interval, some, some_bytes};
use crate::content::{Pattern, Rate, SafeName};
use crate::net::trace;
use crate::peer;
use crate::peer::Latencies;
use crate::peer::share::Selection;

/// Where a tracker is looked for if nobody says anything else.
pub(crate) const DEFAULT_TRACKER: &str = "127.0.0.1:9700";

pub(crate) const EXPERIMENTS: &str = "For tests and experiments";
const LOGS: &str = "Logs and traces (on standard error)";

/// Where trackers are.
#[derive(Debug, Clone, Args)]
pub(crate) struct TrackerList {
    /// The tracker to ask; give several, or a comma-separated list, for several
    #[arg(long = "tracker", value_name = "HOST[:PORT]", env = "P2P_TRACKER", value_delimiter = ',',
          default_value = DEFAULT_TRACKER, value_parser = tracker_address)]
    pub(crate) trackers: Vec<String>,
}

/// Whom to ask, for how long, and how to answer.
#[derive(Debug, Args)]
pub(crate) struct Asking {
    #[command(flatten)]
    pub(crate) trackers: TrackerList,
    /// How long to wait for a tracker: a time, 0 or `forever`
    #[arg(long, value_name = "TIME", default_value = "0")]
    pub(crate) wait: Patience,
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// What of a folder is shared.
#[derive(Debug, Clone, Args)]
pub(crate) struct SelectionArgs {
    /// Share hidden files, what is named like a key (`id_rsa`, `*.pem`, …), and a home folder, too
    #[arg(long)]
    all: bool,
    /// Do not share what matches, with all that is in it, as a line of FOLDER/.p2pignore says it; give several for several
    /// [default: nothing]
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<Pattern>,
}

impl SelectionArgs {
    /// What is to be shared of `folder`.
    ///
    /// # Errors
    /// It is a home folder, or has one in it, and nobody said that all of it is meant.
    pub(crate) fn of(&self, folder: &Path) -> Result<Selection, Failure> {
        let real = |path: &Path| std::fs::canonicalize(path).ok();
        let home = dirs::home_dir().and_then(|home| real(&home));
        let is_home = home.zip(real(folder)).is_some_and(|(home, folder)| home.starts_with(folder));
        if is_home && !self.all {
            return Err(Failure::usage(format!(
                "{} is your home folder, or has it in it; name a folder in it, or share all of it with --all",
                folder.display()
            )));
        }
        Ok(Selection::new(self.all, self.exclude.clone()))
    }
}

/// How this process appears to others and what it may use.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Peer options")]
pub(crate) struct EngineArgs {
    /// Where to accept other peers; port 0 takes any free one [default: any free one, at every address; of this machine
    /// alone without a key of a closed swarm and without --open]
    #[arg(long, value_name = "HOST:PORT", value_parser = listened)]
    pub(crate) listen: Option<String>,
    /// The peer's name [default: FOLDER@HOST]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The address others should dial; `:PORT` is that port at the address that the tracker sees
    /// [default: the one the tracker sees]
    #[arg(long, value_name = "HOST[:PORT]", value_parser = advertised)]
    pub(crate) advertise: Option<String>,
    /// Where unfinished downloads and the index are kept [default: .p2p in the folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) temp: Option<PathBuf>,
    /// How often locations are asked for again
    #[arg(long, value_name = "TIME", default_value_t = Period(peer::Limits::default().refresh),
          value_parser = interval)]
    pub(crate) refresh: Period,
    #[arg(long, value_name = "N", help = format!("Most connections accepted at once; 0 serves nobody [default: {}, or as \
          many as open files allow]", peer::MAX_CONNECTIONS))]
    pub(crate) max_connections: Option<usize>,
    /// Most bytes asked for and not yet here, for each transfer
    #[arg(long, value_name = "SIZE", default_value_t = Bytes(peer::Limits::default().max_inflight_bytes),
          value_parser = some_bytes)]
    pub(crate) max_in_flight: Bytes,
    /// Most peers a transfer is connected to
    #[arg(long, value_name = "N", default_value_t = peer::Limits::default().max_neighbours,
          value_parser = some)]
    pub(crate) max_neighbours: usize,
    /// Send at most this much a second [default: no limit]
    #[arg(long, value_name = "RATE")]
    pub(crate) up: Option<Rate>,
    /// Receive at most this much a second [default: no limit]
    #[arg(long, value_name = "RATE")]
    pub(crate) down: Option<Rate>,
    /// Wait until finished files are on the disk itself
    #[arg(long, value_name = "BOOL", default_value_t = peer::Limits::default().fsync,
          action = clap::ArgAction::Set)]
    pub(crate) fsync: bool,
    /// How long unfinished downloads are kept that nobody goes on with; with 0 the next start removes them
    #[arg(long, value_name = "TIME", default_value_t = Period(peer::Limits::default().keep_partial))]
    pub(crate) keep_partial: Period,
    /// Answer each peer so much later as this TOML file says: default = MS,
    /// pairs = [["A", "B", MS], …] [default: no latency]
    #[arg(long, value_name = "FILE", value_parser = latency_file, help_heading = EXPERIMENTS)]
    pub(crate) latency_file: Option<Latencies>,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// For programs
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// Trace messages of a side: tracker, serve or fetch; `=1` all but chunk traffic, `=2` every one
    /// [default level: 1]
    #[arg(long, value_name = "SIDE[=LEVEL]", global = true, value_parser = trace_of, help_heading = LOGS)]
    pub(crate) trace: Vec<(trace::Side, u8)>,
    /// Trace messages of all sides; twice: chunk traffic too
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = LOGS)]
    pub(crate) verbose: u8,
    /// How logs are written: as text, or as JSON, one object a line
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text", global = true, help_heading = LOGS)]
    pub(crate) log_format: LogFormat,
    /// Say nothing but answers and errors: no progress, no warnings, and of a `get` that is done no word
    #[arg(short, long, global = true, help_heading = LOGS)]
    pub(crate) quiet: bool,
}

/// A name, as it may be given to something.
pub(crate) fn name(text: &str) -> Result<SafeName, String> {
    SafeName::new(text).map_err(|error| error.to_string())
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
    fn traces_have_a_side_and_a_level() {
        assert_eq!(trace_of("fetch"), Ok((trace::Side::Fetch, trace::CALM)));
        assert_eq!(trace_of("serve=2"), Ok((trace::Side::Serve, trace::ALL)));
        assert!(trace_of("serve=3").is_err());
        assert!(trace_of("all").is_err());
    }
}
