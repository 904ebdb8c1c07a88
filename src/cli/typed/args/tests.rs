//! That what can be typed is consistent, and that docs/CLI.md speaks of all of it, and of nothing else.

use std::collections::BTreeSet;

use clap::{Command, CommandFactory};

use super::*;

const DOCUMENT: &str = include_str!("../../../../docs/CLI.md");

#[test]
fn the_definitions_are_consistent() {
    Cli::command().debug_assert();
}

/// Every long option, with the commands that have it.
fn options(command: &Command, all: &mut BTreeSet<String>) {
    let seen = command.get_arguments().filter(|argument| !argument.is_hide_set());
    all.extend(seen.filter_map(|argument| argument.get_long()).map(str::to_owned));
    command.get_subcommands().for_each(|below| options(below, all));
}

/// Every long option that a text speaks of.
fn spoken_of(text: &str) -> BTreeSet<String> {
    let starts = text.match_indices("--").map(|(at, _)| (text[..at].chars().next_back(), &text[at + 2..]));
    let stands_alone =
        |before: Option<char>| before.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '-' && c != '|');
    let name =
        |rest: &str| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect::<String>();
    let names = starts.filter(|(before, _)| stands_alone(*before)).map(|(_, rest)| name(rest));
    names.map(|name| name.trim_end_matches('-').to_owned()).filter(|name| !name.is_empty()).collect()
}

#[test]
fn the_document_speaks_of_every_option_and_of_no_other() {
    let mut command = Cli::command();
    command.build();
    let mut there = BTreeSet::new();
    options(&command, &mut there);
    let spoken_of = spoken_of(DOCUMENT);
    let silent: Vec<_> = there.difference(&spoken_of).collect();
    assert!(silent.is_empty(), "docs/CLI.md says nothing of {silent:?}");
    let unknown: Vec<_> = spoken_of.difference(&there).collect();
    assert!(unknown.is_empty(), "docs/CLI.md speaks of {unknown:?}, which no command has");
}
