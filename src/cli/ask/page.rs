//! `p2p web login`: a link that opens the page of a running peer or tracker.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::reach::daemon::Daemon;
use crate::cli::reach::swarm;
use crate::cli::show::output;
use crate::cli::typed::page::{WebArgs, WebCommand};
use crate::local;
use crate::owner;
use crate::web::SOCKET;

/// How long a tracker may take to hand out a link: it looks every second whether somebody wants one.
const PATIENCE: Duration = Duration::from_secs(5);

/// What `web login --json` prints.
#[derive(Debug, Serialize)]
struct Line {
    link: String,
}

/// `p2p web login [FOLDER]`
pub(crate) fn web(args: &WebArgs) -> Result<(), Failure> {
    let WebCommand::Login { folder, json } = &args.command;
    let here = folder.clone().unwrap_or_else(|| PathBuf::from("."));
    let link = match Daemon::around(&here) {
        Some(mut peer) => peer.login()?,
        None => places(folder.as_deref()).iter().find_map(|place| of_tracker(place)).ok_or_else(|| {
            Failure::unreachable(format!(
                "no peer is sharing {0}, and no tracker with a page has its records there; `p2p peer {0} --web` and \
                 `p2p tracker --web` serve one",
                here.display()
            ))
        })?,
    };
    output::answer(*json, &Line { link: link.clone() }, || link)
}

/// Where a tracker listens for who wants a link: in the folder of its records, if one is named.
fn places(folder: Option<&Path>) -> Vec<PathBuf> {
    match folder {
        Some(folder) => vec![folder.to_owned()],
        None => swarm::tracker_folder().into_iter().chain(swarm::state()).collect(),
    }
}

/// A link of the tracker whose socket is there.
fn of_tracker(place: &Path) -> Option<String> {
    let stream = local::connect(place, SOCKET, owner::of_folder(place), PATIENCE)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    Some(line.trim().to_owned()).filter(|link| !link.is_empty())
}
