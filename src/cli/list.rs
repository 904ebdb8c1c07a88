//! `p2p ls`: what the swarm has.

use serde::Serialize;

use super::args::LsArgs;
use super::table::{Align, Table};
use super::units::size;
use super::what::typed;
use super::{Failure, output, swarm};
use crate::wire::Entry;

/// One line of `ls --json`.
#[derive(Debug, Serialize)]
struct Line<'a> {
    name: &'a str,
    id: String,
    /// Bytes of all files.
    size: u64,
    seeders: u32,
    leechers: u32,
}

/// `p2p ls [PATTERN]`
pub(super) fn ls(args: &LsArgs) -> Result<(), Failure> {
    let mut tracker = swarm::connect(&args.trackers.trackers, args.wait)?;
    if args.json {
        return tracker.list(&args.pattern, |entry| output::json(&line(&entry)));
    }
    let columns = [
        ("NAME", Align::Left),
        ("SIZE", Align::Right),
        ("SEEDERS", Align::Right),
        ("LEECHERS", Align::Right),
        ("ID", Align::Left),
    ];
    let mut table = Table::new(columns);
    tracker.list(&args.pattern, |entry| {
        let line = line(&entry);
        let numbers = [size(line.size), line.seeders.to_string(), line.leechers.to_string()];
        let [bytes, seeders, leechers] = numbers;
        table.row([typed(line.name), bytes, seeders, leechers, line.id]);
        Ok(())
    })?;
    output::line(&table.render())
}

fn line(entry: &Entry) -> Line<'_> {
    Line {
        name: &entry.name,
        id: entry.id.to_string(),
        size: entry.total,
        seeders: entry.seeders,
        leechers: entry.leechers,
    }
}
