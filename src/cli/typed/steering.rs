//! What can be typed to tell a running peer how its fetches go on, and how fast.

use std::path::PathBuf;

use clap::Args;

use crate::cli::typed::values::{Bytes, limit};

#[derive(Debug, Args)]
pub(crate) struct SteerArgs {
    /// Which fetch: its name, or the beginning of its id, six digits or more
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub(crate) what: Option<String>,
    /// All fetches that are under way
    #[arg(long)]
    pub(crate) all: bool,
    /// The folder that the peer is sharing, or one in it
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub(crate) peer: PathBuf,
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LimitArgs {
    /// One fetch: its name, or the beginning of its id, six digits or more [default: all that the peer does]
    pub(crate) what: Option<String>,
    /// Receive at most this much a second, or `none` for no limit [default: as before]
    #[arg(long, value_name = "RATE", value_parser = limit)]
    pub(crate) down: Option<Bytes>,
    /// Send at most this much a second, or `none` for no limit [default: as before]
    #[arg(long, value_name = "RATE", value_parser = limit)]
    pub(crate) up: Option<Bytes>,
    /// The folder that the peer is sharing, or one in it
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub(crate) peer: PathBuf,
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}
