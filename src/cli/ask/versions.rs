//! `p2p versions`: what is on record under a name.

use std::cmp::Reverse;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::reach::client::{Client, strange};
use crate::cli::reach::tracker::in_pages;
use crate::cli::show::output;
use crate::cli::show::table::{Align, Table};
use crate::cli::show::words::{age, shown, size};
use crate::cli::typed::published::PublishedArgs;
use crate::cli::typed::sought::Sought;
use crate::content::SafeName;
use crate::wire::{FromTracker, GetVersions, Name, Version, limits};

/// One line of `versions --json`.
#[derive(Debug, Serialize)]
struct Line<'a> {
    name: &'a str,
    version: u32,
    id: String,
    /// Bytes of all files.
    size: u64,
    /// How many stores keep each part of it; 0 if none promised to.
    copies: u8,
    /// When it was published, in milliseconds since 1970.
    published_ms: u64,
    publisher: &'a str,
}

/// `p2p versions NAME`
pub(crate) fn versions(args: &PublishedArgs) -> Result<(), Failure> {
    let sought = Sought::parse(&args.what);
    if sought.number != 0 {
        return Err(Failure::usage(format!("`{}` is one version; give its name alone", shown(&args.what))));
    }
    let mut client = Client::new(&args.trackers.trackers, args.wait);
    let name = client.named(&sought)?;
    tell(args.json, &name, &all_of(&mut client, &name)?)
}

/// The versions under a name, the latest first.
fn all_of(client: &mut Client, name: &SafeName) -> Result<Vec<Version>, Failure> {
    let limit = limits::MAX_RECORDS as u16;
    in_pages(
        |version: &Version| Reverse(version.number),
        |last| {
            let before = last.map_or(0, |Reverse(number)| number);
            match client.ask(&GetVersions { name: Name::new(name.as_str()), before, limit }.into())? {
                FromTracker::Versions(page) => Ok((page.versions.into_vec(), page.more)),
                other => Err(strange(&other)),
            }
        },
    )
}

fn tell(json: bool, name: &SafeName, versions: &[Version]) -> Result<(), Failure> {
    if json {
        return versions.iter().try_for_each(|version| output::json(&line(name, version)));
    }
    let columns = [
        ("VERSION", Align::Right),
        ("SIZE", Align::Right),
        ("COPIES", Align::Right),
        ("PUBLISHED", Align::Left),
        ("BY", Align::Left),
        ("ID", Align::Left),
    ];
    let mut table = Table::new(columns);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    for version in versions {
        let Line { version: number, id, size: bytes, copies, published_ms, publisher, .. } =
            line(name, version);
        let since = now.saturating_sub(Duration::from_millis(published_ms));
        table.row([
            number.to_string(),
            size(bytes),
            copies.to_string(),
            format!("{} ago", age(since.as_secs())),
            shown(publisher),
            id,
        ]);
    }
    output::line(&table.render(output::columns()))
}

fn line<'a>(name: &'a SafeName, version: &'a Version) -> Line<'a> {
    Line {
        name: name.as_str(),
        version: version.number,
        id: version.id.to_string(),
        size: version.total,
        copies: if version.policy.promises() { version.policy.m() + 1 } else { 0 },
        published_ms: version.stamp_ms,
        publisher: &version.publisher,
    }
}
