//! `p2p web login`: a link that opens the page of a running peer.

use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::reach::daemon::{Daemon, nobody_shares};
use crate::cli::show::output;
use crate::cli::typed::page::{WebArgs, WebCommand};

/// What `web login --json` prints.
#[derive(Debug, Serialize)]
struct Line {
    link: String,
}

/// `p2p web login [FOLDER]`
pub(crate) fn web(args: &WebArgs) -> Result<(), Failure> {
    let WebCommand::Login { folder, json } = &args.command;
    let link = Daemon::around(folder).ok_or_else(|| nobody_shares(folder))?.login()?;
    output::answer(*json, &Line { link: link.clone() }, || link)
}
