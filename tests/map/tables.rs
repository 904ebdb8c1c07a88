//! The tables of ARCHITECTURE.md: each thing has one row, and what a row names is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Folders in which what the tables name may lie; those of `src` need not be written from its root.
const ROOTS: &[&str] = &["src", "tests", "web", "docs", "packaging"];
/// How names of files end.
const ENDINGS: &[&str] = &[".rs", ".md", ".js", "/"];

/// The cells of each row of a table, without the lines over and under its head.
fn rows(document: &str) -> Vec<Vec<&str>> {
    let lines: Vec<&str> = document.lines().collect();
    let is_row = |at: &usize| {
        let is_head = lines.get(at + 1).is_some_and(|next| next.starts_with("|---"));
        lines[*at].starts_with('|') && !lines[*at].starts_with("|---") && !is_head
    };
    let cells = |at: usize| lines[at].trim_matches('|').split('|').map(str::trim).collect();
    (0..lines.len()).filter(is_row).map(cells).collect()
}

/// All files and, with a `/` at their ends, folders.
fn there_is(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.display();
        if path.is_dir() {
            found.insert(format!("/{name}/"));
            there_is(&path, found);
        } else {
            found.insert(format!("/{name}"));
        }
    }
}

/// What a cell puts between backticks and is named as a file or folder is.
fn named(cell: &str) -> impl Iterator<Item = &str> {
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted.filter(|word| !word.contains([' ', '*', ':']) && ENDINGS.iter().any(|end| word.ends_with(end)))
}

#[test]
fn each_thing_has_one_row_and_what_a_row_names_is_there() {
    let document = fs::read_to_string("ARCHITECTURE.md").unwrap();
    let rows = rows(&document);
    assert!(rows.len() > 60, "{} rows", rows.len());
    let mut seen = BTreeSet::new();
    let twice: Vec<&str> = rows.iter().map(|row| row[0]).filter(|thing| !seen.insert(*thing)).collect();
    assert!(twice.is_empty(), "these stand twice: {twice:#?}");

    let mut there = BTreeSet::new();
    ROOTS.iter().for_each(|root| there_is(Path::new(root), &mut there));
    let is_there = |name: &str| there.iter().any(|path| path.ends_with(&format!("/{name}")));
    let gone = rows.iter().flatten().flat_map(|cell| named(cell)).filter(|name| !is_there(name));
    let gone: Vec<&str> = gone.collect();
    assert!(gone.is_empty(), "these are gone: {gone:#?}");
}
