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
