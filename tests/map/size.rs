//! How long files and functions are: who reads one has all of it before the eyes, or nearly.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file, and of a function.
const OF_A_FILE: usize = 500;
const OF_A_FUNCTION: usize = 70;
/// Files that are longer, and how long each may be. Tables are long by nature; the others are to be cut where they grow.
const LONG_FILES: &[(&str, usize)] = &[
    ("src/tracker/keeping/tests/random.rs", 560),
    ("src/swarm/scheduler.rs", 540),
    ("src/swarm/scheduler/tests/twin.rs", 540),
];
/// Functions that are longer, by their files: a row for each message.
const LONG_FUNCTIONS: &[(&str, usize)] = &[("src/tracker/session.rs", 120), ("src/tracker/roles.rs", 90)];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// How long the longest function is: in formatted source it ends where it is indented as at its beginning.
fn longest_function(text: &str) -> (usize, &str) {
    let lines: Vec<&str> = text.lines().collect();
    let begins = |line: &str| {
        let words = line.trim_start().split('(').next().unwrap_or_default();
        words.starts_with("fn ") || (words.contains(" fn ") && !words.contains("//"))
    };
    let length = |at: usize| {
        let indent = lines[at].len() - lines[at].trim_start().len();
        let ends = |line: &str| {
            line.ends_with(';') && line.len() - line.trim_start().len() == indent
                || line.get(indent..).is_some_and(|rest| rest.starts_with('}'))
                    && line[..indent].trim().is_empty()
        };
        1 + lines[at..].iter().take_while(|line| !ends(line)).count()
    };
    let functions = (0..lines.len()).filter(|at| begins(lines[*at]));
    functions.map(|at| (length(at), lines[at].trim())).max().unwrap_or_default()
}

/// The most for this file.
fn most(of: &[(&str, usize)], path: &str, usual: usize) -> usize {
    of.iter().find(|(long, _)| *long == path).map_or(usual, |(_, most)| *most)
}

#[test]
fn files_and_functions_are_short_and_say_what_they_are() {
    let mut all = Vec::new();
    files(Path::new("src"), &mut all);
    let mut found = Vec::new();
    for path in all {
        let (text, path) = (fs::read_to_string(&path).unwrap(), path.display().to_string());
        let lines = text.lines().count();
        if lines > most(LONG_FILES, &path, OF_A_FILE) {
            found.push(format!("{path} has {lines} lines"));
        }
        let (longest, name) = longest_function(&text);
        if longest > most(LONG_FUNCTIONS, &path, OF_A_FUNCTION) {
            found.push(format!("{path}: `{name}` has {longest} lines"));
        }
        if !text.starts_with("//!") {
            found.push(format!("{path} does not say what it is"));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
