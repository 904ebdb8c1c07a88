//! `p2p rm`: takes versions off the record; what no other version needs goes from the stores, too.

use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::reach::client::{Client, strange};
use crate::cli::show::output;
use crate::cli::show::words::count;
use crate::cli::typed::published::PublishedArgs;
use crate::cli::typed::sought::Sought;
use crate::wire::{FromTracker, Name, Remove};

/// `rm --json`.
#[derive(Debug, Serialize)]
struct Line<'a> {
    name: &'a str,
    /// How many versions went.
    removed: u32,
}

/// `p2p rm NAME[@VERSION]`
pub(crate) fn rm(args: &PublishedArgs) -> Result<(), Failure> {
    let sought = Sought::parse(&args.what);
    if let Some(inside) = &sought.inside {
        return Err(Failure::usage(format!(
            "{inside} cannot be taken out of a version; give the version alone"
        )));
    }
    let mut client = Client::new(&args.asking.trackers.trackers, args.asking.wait);
    let name = client.named(&sought)?;
    let (id, seq) = client.change();
    let question = Remove { client: id, seq, name: Name::new(name.as_str()), number: sought.number };
    let removed = match client.ask(&question.into())? {
        FromTracker::Removed(removed) => removed.count,
        other => return Err(strange(&other)),
    };
    let words = || format!("removed {} of {name}", count(u64::from(removed), "version"));
    output::answer(args.asking.json, &Line { name: name.as_str(), removed }, words)
}
