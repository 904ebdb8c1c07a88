//! What can be typed of nodes: their agent, how it is asked, and how a machine is looked at.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::typed::options::TrackerList;
use crate::cli::typed::values::{Period, interval};

/// How many nodes a demonstration may have.
const MOST_NODES: u16 = 16;

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// The configuration: what this node is [default: node.toml here, else in the configuration directory, else
    /// /etc/p2p/node.toml]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Instead: so many nodes of a tracker and a store each, on free ports of this machine, in a temporary folder
    #[arg(long, value_name = "N", conflicts_with = "file",
          value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_NODES)))]
    pub(crate) demo: Option<u16>,
}

#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    #[command(subcommand)]
    pub(crate) act: NodeAct,
    /// The node's configuration [default: as of `p2p up`]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) file: Option<PathBuf>,
    /// Where the node's agent keeps its state [default: as the configuration says]
    #[arg(long, value_name = "DIR", global = true, conflicts_with = "file")]
    pub(crate) state: Option<PathBuf>,
    /// How long to wait for what was asked to be so
    #[arg(long, value_name = "TIME", global = true, default_value = "90s", value_parser = interval)]
    pub(crate) wait: Period,
    /// One JSON object
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// The folder that is shared, or fetched into [default: none is looked at]
    pub(crate) folder: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) trackers: TrackerList,
    /// Leave out what takes a moment: how fast this machine hashes and writes
    #[arg(long)]
    pub(crate) quick: bool,
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct HookArgs {
    /// Until then, in nanoseconds of the machine's clock that never goes back
    #[arg(long, value_name = "NS")]
    pub(crate) until: u64,
    /// The program, and its arguments
    #[arg(last = true, required = true)]
    pub(crate) argv: Vec<String>,
}

/// What a node is asked.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum NodeAct {
    /// Show the roles of a node: whether they are up, since when, how often they were started
    Status,
    /// Start a role anew, or all of them, one after the other
    Restart {
        /// Its name [default: all]
        role: Option<String>,
    },
    /// Have a role down until it is started
    Stop {
        /// Its name
        role: String,
    },
    /// Have a role up; one that waits after it ended is started at once
    Start {
        /// Its name
        role: String,
    },
    /// Have all roles down until undrained, over restarts of the agent too
    Drain,
    /// Have the roles up again that were before
    Undrain,
    /// Read the configuration again; only roles whose lines changed are started anew
    Reload,
    /// Show what a role wrote last
    Logs {
        /// Its name
        role: String,
    },
}
