//! `p2p versions`: what is on record under a name.

use std::cmp::Reverse;
use std::time::Duration;

use crate::api::PublishedVersion;
use crate::cli::failure::Failure;
use crate::cli::reach::client::{Client, strange};
use crate::cli::reach::tracker::in_pages;
use crate::cli::show::output;
use crate::cli::show::table::{Align, Table};
use crate::cli::show::words::{age, shown, size};
use crate::cli::typed::published::PublishedArgs;
use crate::cli::typed::sought::Sought;
use crate::clock::since_1970;
use crate::content::SafeName;
use crate::wire::{FromTracker, GetVersions, Name, Version, limits};

/// `p2p versions NAME`
pub(crate) fn versions(args: &PublishedArgs) -> Result<(), Failure> {
    let sought = Sought::parse(&args.what);
    if sought.number != 0 {
        return Err(Failure::usage(format!("`{}` is one version; give its name alone", shown(&args.what))));
    }
    let mut client = Client::new(&args.asking.trackers.trackers, args.asking.wait);
    let name = client.named(&sought)?;
    tell(args.asking.json, &name, &all_of(&mut client, &name)?)
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
        return versions
            .iter()
            .try_for_each(|version| output::json(&PublishedVersion::new(name.as_str(), version)));
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
    let now = since_1970();
    for version in versions {
        let PublishedVersion {
            version: number, id, size: bytes, copies, code, published_ms, publisher, ..
        } = PublishedVersion::new(name.as_str(), version);
        let since = now.saturating_sub(Duration::from_millis(published_ms));
        table.row([
            number.to_string(),
            size(bytes),
            code.unwrap_or_else(|| copies.to_string()),
            format!("{} ago", age(since.as_secs())),
            shown(&publisher),
            id,
        ]);
    }
    output::line(&table.render(output::columns()))
}
