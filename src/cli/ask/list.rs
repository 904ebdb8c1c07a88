//! `p2p ls`: what the swarm has.

use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::reach::tracker;
use crate::cli::show::output;
use crate::cli::show::table::{Align, Table};
use crate::cli::show::words::size;
use crate::cli::typed::args::LsArgs;
use crate::cli::typed::what::typed;
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
pub(crate) fn ls(args: &LsArgs) -> Result<(), Failure> {
    let mut tracker = tracker::connect(&args.trackers.trackers, args.wait)?;
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
    output::line(&table.render(output::columns()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::FileId;
    use crate::wire::Name;

    #[test]
    fn a_line_has_the_bytes_of_all_files() {
        let id = FileId::of(b"x");
        let entry = Entry { name: Name::new("d/"), id, size: 40, total: 500, seeders: 2, leechers: 1 };
        let expected = format!(r#"{{"name":"d/","id":"{id}","size":500,"seeders":2,"leechers":1}}"#);
        assert_eq!(serde_json::to_string(&line(&entry)).unwrap(), expected);
    }
}
