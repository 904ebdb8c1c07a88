//! `p2p find`: who has something, how much of it, and how busy they are.

use crate::api::{Found, HolderReport};
use crate::cli::failure::Failure;
use crate::cli::reach::locate::resolve;
use crate::cli::reach::{named, short};
use crate::cli::show::output;
use crate::cli::show::table::{Align, Table};
use crate::cli::show::words::{count, shown, size};
use crate::cli::typed::args::FindArgs;
use crate::cli::typed::what::{What, typed};
use crate::wire::Variant;

/// `p2p find WHAT`
pub(crate) fn find(args: &FindArgs) -> Result<(), Failure> {
    let (trackers, wait) = (&args.asking.trackers.trackers, args.asking.wait);
    let whats = match named::pattern(&args.what) {
        Some(pattern) => named::matching(&pattern, trackers, wait)?.into_iter().map(What::Name).collect(),
        None => vec![short::what(&args.what, trackers, wait)?],
    };
    let found = whats.iter().map(|what| resolve(what, trackers, wait)).collect::<Result<Vec<_>, _>>()?;
    let variants = found.concat();
    output::answers(args.asking.json, &variants, |variant| Found::from(variant), render)
}

fn render(variant: &Variant) -> String {
    let columns = [
        ("PEER", Align::Left),
        ("ADDRESS", Align::Left),
        ("HAS", Align::Right),
        ("KIND", Align::Left),
        ("UPLOADS", Align::Right),
        ("DOWNLOADS", Align::Right),
    ];
    let mut table = Table::new(columns);
    for holder in variant.holders.iter() {
        let line = HolderReport::from(holder);
        let address = line.address.unwrap_or_else(|| "cannot be dialled".into());
        let kind = if line.original { "original" } else { "copy" }.to_owned();
        let [uploads, downloads] = [line.uploads, line.downloads].map(|number| number.to_string());
        table.row([
            shown(&line.name),
            shown(&address),
            share(line.have, variant.chunks),
            kind,
            uploads,
            downloads,
        ]);
    }
    let (seeders, leechers) = (u64::from(variant.seeders), u64::from(variant.leechers));
    let more = (seeders + leechers).saturating_sub(variant.holders.len() as u64);
    let rest = if more > 0 { format!("\nand {} more", count(more, "peer")) } else { String::new() };
    format!(
        "{}{}  {}, {}\n{}\n{}{rest}",
        name(variant),
        size(variant.total),
        count(seeders, "seeder"),
        count(leechers, "leecher"),
        variant.id,
        table.render(output::columns()),
    )
}

/// Its name, and room behind it; nothing if it has none but its id, as what is found by that and only stores keep.
fn name(variant: &Variant) -> String {
    match variant.name.starts_with(&variant.id.to_string()) {
        true => String::new(),
        false => typed(&variant.name) + "  ",
    }
}

/// `have` of `chunks` in percent; all of nothing is all.
fn share(have: u32, chunks: u32) -> String {
    match u64::from(have) * 100 {
        _ if have >= chunks => "100%".into(),
        hundredfold => format!("{}%", hundredfold / u64::from(chunks)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{Address, FileId, PeerId};
    use crate::wire::{Holder, Label, List, Name};

    #[test]
    fn only_all_is_a_hundred_percent() {
        assert_eq!(share(0, 0), "100%");
        assert_eq!(share(0, 3), "0%");
        assert_eq!(share(999, 1000), "99%");
        assert_eq!(share(3, 3), "100%");
    }

    #[test]
    fn holders_are_rows_and_those_not_named_are_counted() {
        let holder = |name: &str, have, port, original| Holder {
            peer: PeerId([7; 16]),
            name: Label::new(name),
            addresses: List::new(Address::new([10, 0, 0, 1].into(), port).into_iter().collect()),
            have,
            uploads: 1,
            downloads: 0,
            original,
        };
        let holders = vec![holder("alice", 4, 9, true), holder("bob", 1, 0, false)];
        let variant = Variant {
            name: Name::new("p2p:x"),
            id: FileId::of(b"x"),
            size: 100,
            total: 2048,
            chunks: 4,
            seeders: 1,
            leechers: 3,
            original: true,
            agreed: true,
            modified: 0,
            version: 0,
            code: None,
            holders: List::new(holders),
        };
        let id = FileId::of(b"x").to_string();
        let lines = [
            "name:p2p:x  2.0 KiB  1 seeder, 3 leechers",
            &id,
            "PEER   ADDRESS             HAS  KIND      UPLOADS  DOWNLOADS",
            "alice  10.0.0.1:9         100%  original        1          0",
            "bob    cannot be dialled   25%  copy            1          0",
            "and 2 peers more",
        ];
        assert_eq!(render(&variant).lines().collect::<Vec<_>>(), lines);
        let kept = Variant { name: Name::new(&*id), ..variant };
        let lines = ["2.0 KiB  1 seeder, 3 leechers", &id];
        assert_eq!(render(&kept).lines().take(2).collect::<Vec<_>>(), lines, "only stores have it");
    }
}
