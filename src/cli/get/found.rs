//! What was found of what is meant, before anything is fetched.

use std::path::Path;

use super::choice::{self, Choice, Wish};
use super::summary::Summary;
use crate::cli::failure::Failure;
use crate::cli::reach::daemon::Daemon;
use crate::cli::reach::locate::resolve;
use crate::cli::reach::{named, short};
use crate::cli::typed::args::GetArgs;
use crate::cli::typed::what::{What, as_kind};
use crate::clock::since_1970;
use crate::content::{Filter, SafeName};
use crate::wire::{List, Name, Variant};

/// One of the things to fetch.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) what: What,
    /// How it is called in sentences.
    pub(super) label: String,
    /// What it can be, by kind: what to try first, and then.
    pub(super) kinds: Vec<Vec<Variant>>,
    /// What of it is wanted, if not all: the path in it.
    pub(super) part: Option<SafeName>,
}

/// Everything that is meant by these texts; a pattern means all names that match it.
pub(super) fn all(args: &GetArgs, texts: &[String], dest: &Path) -> Result<Vec<Found>, Failure> {
    let trackers = &args.trackers.trackers;
    let mut whats: Vec<What> = Vec::new();
    for text in texts {
        let meant = match named::pattern(text) {
            Some(pattern) => {
                named::matching(&pattern, trackers, args.wait)?.into_iter().map(What::Name).collect()
            }
            None => vec![short::what(text, trackers, args.wait)?],
        };
        for what in meant {
            if !whats.contains(&what) {
                whats.push(what);
            }
        }
    }
    whats.into_iter().map(|what| one(args, what, dest)).collect()
}

fn one(args: &GetArgs, what: What, dest: &Path) -> Result<Found, Failure> {
    let variants = match here(&what, args, dest)? {
        Some(variant) => vec![variant],
        None => resolve(&what, &args.trackers.trackers, args.wait)?,
    };
    let variants = choice::of_whom(&what, &wish(args), variants)?;
    let kinds = choice::by_kind(&what, variants);
    Ok(Found { label: what.label(), what, kinds, part: None })
}

impl Found {
    /// What is chosen of it at first.
    pub(super) fn choice(&self, args: &GetArgs) -> Result<Option<Choice>, Failure> {
        let first = self.kinds.first();
        first.map(|variants| self.choose(args, variants)).transpose()
    }

    fn choose(&self, args: &GetArgs, variants: &[Variant]) -> Result<Choice, Failure> {
        let choice = choice::choose(&self.what, &wish(args), variants)?;
        let choice = match &self.part {
            Some(inside) => part_of(choice, args, inside)?,
            None => choice,
        };
        let filter = if choice.name.is_tree() { args.filter() } else { Filter::default() };
        Ok(Choice { filter, ..choice })
    }

    /// Fetches what is chosen of each kind, until one is what it is said to be.
    pub(super) fn try_kinds(
        &self,
        args: &GetArgs,
        mut fetch: impl FnMut(Choice) -> Result<Option<Summary>, Failure>,
    ) -> Result<Option<Summary>, Failure> {
        let mut kinds = self.kinds.iter().peekable();
        while let Some(variants) = kinds.next() {
            match fetch(self.choose(args, variants)?) {
                Err(failure) if failure.is_no_folder() && kinds.peek().is_some() => {}
                outcome => return outcome,
            }
        }
        Ok(None)
    }
}

/// A part of what was chosen, which is called as the path to it, or as it was asked for.
fn part_of(choice: Choice, args: &GetArgs, inside: &SafeName) -> Result<Choice, Failure> {
    let (tree, name) = match &args.called {
        Some(called) => (choice.name, as_kind(called, inside.is_tree())?),
        None => {
            let name = SafeName::new(format!("{}{inside}", choice.name));
            let name = name.map_err(|error| Failure::usage(format!("that is no name: {error}")))?;
            (choice.name.clone(), name)
        }
    };
    Ok(Choice { name, bytes: None, part: Some((inside.clone(), tree)), ..choice })
}

fn wish(args: &GetArgs) -> Wish {
    let now = since_1970().as_secs();
    let GetArgs { from, newest, union, called, .. } = args;
    Wish { from: from.clone(), newest: *newest, union: *union, called: called.clone(), now }
}

/// What the peer that shares DEST's folder has already, told as a tracker would: none needs to be asked for it.
fn here(what: &What, args: &GetArgs, dest: &Path) -> Result<Option<Variant>, Failure> {
    let (id, said) = match what {
        What::Id(id) => (*id, None),
        What::Link(link) => (link.id, link.name.as_ref()),
        _ => return Ok(None),
    };
    if args.from.is_some() {
        return Ok(None);
    }
    let Some(mut daemon) = Daemon::around(dest) else { return Ok(None) };
    let Some(held) = daemon.holds(id)? else { return Ok(None) };
    // A file may be wanted as the folder that it lists, and the other way round.
    if said.is_some_and(|said| said.is_tree() != held.is_tree()) {
        return Ok(None);
    }
    Ok(Some(Variant {
        name: Name::new(held.as_str()),
        id,
        size: 0,
        total: 0,
        chunks: 0,
        seeders: 0,
        leechers: 0,
        original: true,
        agreed: true,
        modified: 0,
        version: 0,
        code: None,
        holders: List::default(),
    }))
}
