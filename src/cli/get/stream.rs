//! DEST `-`: a file that goes to standard output, once all of it is here and proved.

use std::path::Path;
use std::time::Instant;

use super::fetchers::Fetchers;
use super::found;
use super::job::Job;
use crate::api::Exit;
use crate::cli::failure::Failure;
use crate::cli::run::scratch;
use crate::cli::run::signals::Stop;
use crate::cli::typed::args::GetArgs;
use crate::say;

/// How it is typed.
pub(super) const DEST: &str = "-";

/// Fetches one file, and writes its bytes.
pub(super) fn fetch(args: &GetArgs, whats: &[String], stop: &Stop) -> Result<(), Failure> {
    if args.json || args.seed || args.seed_for.is_some() {
        return Err(Failure::usage(
            "standard output is for the file's bytes: not with --json, --seed or --seed-for",
        ));
    }
    let mut fetchers = Fetchers::new(args);
    let outcome = fetch_with(args, whats, stop, &mut fetchers);
    fetchers.stop();
    outcome.map_err(|failure| match failure.exit {
        Exit::Interrupted if args.engine.temp.is_none() => Failure::new(
            Exit::Interrupted,
            "stopped; of what is for standard output what arrived is kept only with --temp",
        ),
        _ => failure,
    })
}

fn fetch_with(
    args: &GetArgs,
    whats: &[String],
    stop: &Stop,
    fetchers: &mut Fetchers<'_>,
) -> Result<(), Failure> {
    let start = Instant::now();
    let folder = scratch::folder()?;
    let dest = folder.path();
    let found = found::all(args, whats, dest)?;
    let [one] = &found[..] else {
        return Err(Failure::usage(format!(
            "{} contents are meant, and standard output takes one file",
            found.len()
        )));
    };
    let summary = one.try_kinds(args, |choice| {
        if choice.name.is_tree() {
            return Err(Failure::usage(format!(
                "{} is a folder, and standard output takes a file",
                choice.name
            )));
        }
        let job = Job { what: &one.what, choice, stop, args, dest, waited: start.elapsed() };
        let (path, daemon) = job.place()?;
        job.fetch(&path, daemon, fetchers)
    })?;
    let Some(summary) = summary else { return Ok(()) };
    write(summary.place())?;
    let summary = summary.at("standard output");
    say::note(&summary.words());
    summary.verdict(args.allow_partial)
}

fn write(path: &Path) -> Result<(), Failure> {
    Ok(say::copy(&mut std::fs::File::open(path)?)?)
}
