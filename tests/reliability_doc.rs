//! Keeps `docs/RELIABILITY.md` true: every test and every constant it names exists.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const DOC: &str = include_str!("../docs/RELIABILITY.md");

/// All Rust files below a folder, by path.
fn sources(folder: &Path, out: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file");
            out.insert(path, text);
        }
    }
}

fn all_sources() -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut out = BTreeMap::new();
    ["src", "tests"].iter().for_each(|folder| sources(&root.join(folder), &mut out));
    out
}

/// What stands between code marks in the rows of tables.
fn marked() -> Vec<&'static str> {
    let rows = DOC.lines().filter(|line| line.starts_with('|'));
    rows.flat_map(|row| row.split('`').skip(1).step_by(2)).collect()
}

/// The files that a path of modules may mean: that of the last module, or of a program of tests.
fn files_of(modules: &[&str]) -> Vec<String> {
    let path = modules.join("/");
    let within = path.trim_end_matches("/tests");
    ["tests", "src"]
        .iter()
        .flat_map(|folder| {
            [
                format!("{folder}/{path}.rs"),
                format!("{folder}/{within}.rs"),
                format!("{folder}/{within}/tests.rs"),
            ]
        })
        .collect()
}

#[test]
fn every_test_named_exists() {
    let sources = all_sources();
    let tests: Vec<&str> = marked().into_iter().filter(|mark| mark.contains("::")).collect();
    assert!(tests.len() > 40, "the tables are read: {}", tests.len());
    for test in tests {
        let mut modules: Vec<&str> = test.split("::").collect();
        let name = modules.pop().expect("a name");
        let files = files_of(&modules);
        let found = sources.iter().any(|(path, text)| {
            files.iter().any(|file| path.ends_with(file))
                && text.split("#[test]").skip(1).any(|after| {
                    after.split_once("fn ").is_some_and(|(_, rest)| rest.starts_with(&format!("{name}(")))
                })
        });
        assert!(found, "{test} is in none of {files:?}");
    }
}

#[test]
fn every_constant_named_exists() {
    let sources = all_sources();
    let is_constant = |mark: &&str| {
        mark.len() > 2
            && mark.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let constants = marked().into_iter().filter(is_constant);
    for constant in constants {
        let declared = format!("const {constant}:");
        assert!(sources.values().any(|text| text.contains(&declared)), "there is no constant {constant}");
    }
}

#[test]
fn every_test_of_failures_is_named() {
    let sources = all_sources();
    let of_failures = sources
        .iter()
        .filter(|(path, _)| path.parent().is_some_and(|folder| folder.ends_with("tests/failures")));
    for (path, text) in of_failures {
        for after in text.split("#[test]").skip(1) {
            let name =
                after.split_once("fn ").and_then(|(_, rest)| rest.split_once('(')).expect("a function").0;
            assert!(DOC.contains(&format!("::{name}`")), "{name} of {} is not in the table", path.display());
        }
    }
}
