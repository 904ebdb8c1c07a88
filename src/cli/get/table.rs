//! The table of several contents under one name: who has which, how large and how old, in words and JSON.

use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::show::table::{Align, Table};
use crate::cli::show::words::{age, shown, size};
use crate::content::{FileId, SafeName};
use crate::wire::Variant;

/// Most holders named in a row.
const MAX_NAMED: usize = 3;

/// One of several contents under a name.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Choosable {
    #[serde(skip)]
    id: FileId,
    #[serde(rename = "id")]
    id_text: String,
    /// Bytes of all files.
    size: u64,
    /// Seconds since it was last changed; none if nobody says.
    age: Option<u64>,
    /// When that was, in seconds since 1970, but no time to come.
    modified: u64,
    /// Who has it as an original; any holder, if nobody has.
    holders: Vec<String>,
}

impl Choosable {
    /// From all claims about one id.
    pub(super) fn new(claims: &[&Variant], now: u64) -> Choosable {
        let modified = claims.iter().map(|claim| claim.modified).max().unwrap_or_default().min(now);
        let made = claims.iter().any(|claim| claim.original);
        let holders = claims.iter().flat_map(|claim| claim.holders.iter());
        let holders = holders.filter(|holder| holder.original == made);
        let first = claims.first();
        let id = first.map_or(FileId::NONE, |claim| claim.id);
        Choosable {
            id,
            id_text: id.to_string(),
            size: first.map_or(0, |claim| claim.total),
            age: (modified > 0).then(|| now - modified),
            modified,
            holders: holders.map(|holder| holder.name.to_string()).collect(),
        }
    }

    pub(super) fn id(&self) -> FileId {
        self.id
    }

    pub(super) fn modified(&self) -> u64 {
        self.modified
    }

    fn cells(&self) -> [String; 4] {
        let mut names: Vec<String> = self.holders.iter().take(MAX_NAMED).map(|name| shown(name)).collect();
        let more = self.holders.len().saturating_sub(MAX_NAMED);
        names.extend((more > 0).then(|| format!("{more} more")));
        let age = self.age.map_or_else(|| "?".to_owned(), age);
        [names.join(", "), size(self.size), age, self.id_text.clone()]
    }
}

/// The failure that lists them.
pub(super) fn ambiguous(name: &SafeName, rows: &[Choosable]) -> Failure {
    let columns =
        [("HOLDER", Align::Left), ("SIZE", Align::Right), ("AGE", Align::Right), ("ID", Align::Left)];
    let mut table = Table::new(columns);
    rows.iter().for_each(|row| table.row(row.cells()));
    let unite = if name.is_tree() { ", or make one folder of them with --union" } else { "" };
    let sentence = format!(
        "several contents are called {name}; choose with --from HOLDER or --newest, or ask for one by its id{unite}:\n{}",
        table.render(None)
    );
    Failure::usage(sentence).with_choices(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Exit;
    use crate::content::PeerId;
    use crate::wire::{Holder, Label, List, Name};

    fn claim(names: &[&str], original: bool, modified: u64) -> Variant {
        let holder = |name: &&str| Holder {
            peer: PeerId([7; 16]),
            name: Label::new(*name),
            addresses: List::default(),
            have: 1,
            uploads: 0,
            downloads: 0,
            original,
        };
        Variant {
            name: Name::new("a"),
            id: FileId::of(b"x"),
            size: 10,
            total: 2048,
            chunks: 1,
            seeders: 1,
            leechers: 0,
            original,
            agreed: true,
            modified,
            version: 0,
            code: None,
            holders: List::new(names.iter().map(holder).collect()),
        }
    }

    #[test]
    fn who_made_it_is_named_and_the_last_change_is_none_to_come() {
        let (made, copied) = (claim(&["a", "b", "c", "d"], true, 40), claim(&["e"], false, 900));
        let row = Choosable::new(&[&made, &copied], 100);
        assert_eq!((row.modified(), row.age), (100, Some(0)));
        let cells =
            ["a, b, c, 1 more".to_owned(), "2.0 KiB".to_owned(), "0 s".to_owned(), row.id_text.clone()];
        assert_eq!(row.cells(), cells);
        let row = Choosable::new(&[&claim(&["e"], false, 0)], 100);
        assert_eq!((row.cells()[0].as_str(), row.cells()[2].as_str()), ("e", "?"));
    }

    #[test]
    fn several_contents_are_a_failure_with_a_table_and_choices() {
        let row = Choosable::new(&[&claim(&["a"], true, 40)], 100);
        let failure = |name: &str| ambiguous(&SafeName::new(name).unwrap(), std::slice::from_ref(&row));
        assert_eq!(failure("a").exit, Exit::Usage);
        assert!(
            !failure("a").to_string().contains("--union") && failure("a/").to_string().contains("--union")
        );
        assert_eq!(failure("a").choices()[0]["id"], row.id_text);
        assert_eq!(
            (&failure("a").choices()[0]["age"], failure("a").choices().as_array().unwrap().len()),
            (&60.into(), 1)
        );
    }
}
