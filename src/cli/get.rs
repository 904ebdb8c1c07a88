//! `p2p get` and `p2p download`: find it, fetch it, say how it went.
//!
//! The fetch is done by the peer that shares the destination's folder, if one is running, else by a peer
//! inside this process, which shares what it has while it runs.

mod choice;
mod dest;
mod download;
mod fetchers;
mod follow;
mod found;
mod job;
mod listing;
mod part;
mod progress;
mod stream;
mod summary;
mod table;
mod union;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use zeroize::Zeroizing;

use crate::api::Exit;
use crate::cli::failure::Failure;
use crate::cli::reach::swarm;
use crate::cli::run::signals::Stop;
use crate::cli::show::output;
use crate::cli::typed::args::GetArgs;
use crate::net::join_link::without_share_key;
use crate::net::secure::Code;
use crate::say;
use fetchers::Fetchers;
use found::Found;
use job::Job;
use summary::Summary;

/// Most bytes of a link on standard input, and what stands for that.
const MAX_LINK_BYTES: u64 = 64 << 10;
const INPUT: &str = "-";

/// `p2p get WHAT… [DEST]`
pub(crate) fn get(mut args: GetArgs) -> Result<(), Failure> {
    let outcome = keyed(&mut args.words).and_then(|()| fetch(&args, false));
    told(args.json, outcome)
}

/// Takes the key of a share off the links that are to be fetched: it is for this process alone. A link `-` is read from
/// standard input first.
fn keyed(words: &mut [OsString]) -> Result<(), Failure> {
    if let Some(first) = words.first_mut().filter(|first| *first == INPUT) {
        let mut link = Zeroizing::new(String::new());
        let read = std::io::stdin().take(MAX_LINK_BYTES).read_to_string(&mut link);
        read.map_err(|error| Failure::usage(format!("standard input cannot be read: {error}")))?;
        *first = link.trim().into();
    }
    let mut keys: Vec<Code> = Vec::new();
    for word in words.iter_mut() {
        let Some(text) = word.to_str().filter(|text| text.starts_with("p2p:")) else { continue };
        let (link, key) = without_share_key(text).map_err(|error| Failure::usage(error.to_string()))?;
        keys.extend(key.filter(|key| !keys.contains(key)));
        *word = link.to_owned().into();
    }
    match keys.len() {
        0 => Ok(()),
        1 => {
            keys.into_iter().for_each(swarm::of_share);
            Ok(())
        }
        _ => Err(Failure::usage("these links are of several shares; fetch from one after the other")),
    }
}

/// `p2p download NAME[@VERSION][/PATH]… [DEST]`
pub(crate) fn download(args: &GetArgs) -> Result<(), Failure> {
    told(args.json, fetch(args, true))
}

/// A failure is told in JSON too, if that was asked for.
fn told(json: bool, outcome: Result<(), Failure>) -> Result<(), Failure> {
    // What is there has been said, and what is not.
    if let Err(failure) = &outcome
        && json
        && failure.exit != Exit::Partial
    {
        let _ = output::json(&summary::fault(failure)); // the exit code tells it too
    }
    outcome
}

fn fetch(args: &GetArgs, published: bool) -> Result<(), Failure> {
    let stop = Stop::install()?;
    let (whats, dest) = args.places()?;
    if dest.as_os_str() == stream::DEST {
        return match published {
            true => Err(Failure::usage(
                "a download goes to a file or folder; `p2p get` can write to standard output",
            )),
            false => stream::fetch(args, &whats, &stop),
        };
    }
    let mut fetchers = Fetchers::new(args);
    let find = |fetchers: &mut Fetchers<'_>| match published {
        true => download::all(args, &whats, &stop, fetchers),
        false => found::all(args, &whats, &dest),
    };
    let outcome = fetch_into(args, &dest, &stop, &mut fetchers, find);
    fetchers.stop();
    outcome
}

/// Finds all that is meant before anything is fetched, then fetches one after the other.
fn fetch_into<'a>(
    args: &'a GetArgs,
    dest: &Path,
    stop: &Stop,
    fetchers: &mut Fetchers<'a>,
    find: impl FnOnce(&mut Fetchers<'a>) -> Result<Vec<Found>, Failure>,
) -> Result<(), Failure> {
    dest::check(dest)?;
    let start = Instant::now();
    let found = find(fetchers)?;
    dest::check_room_for(dest, found.len())?;
    check_apart(&found, args, dest)?;
    let mut done = Vec::new();
    for one in &found {
        let waited = start.elapsed();
        let summary = one.try_kinds(args, |choice| {
            let job = Job { what: &one.what, choice, stop, args, dest, waited };
            let (path, daemon) = job.place()?;
            job.fetch(&path, daemon, fetchers)
        })?;
        done.extend(summary);
        if let (false, Some(summary)) = (args.json, done.last()) {
            summary.print()?;
        }
    }
    if args.dry_run {
        return Ok(());
    }
    if args.json {
        summary::print_json(&done)?;
    }
    seed(args, &done, stop, fetchers);
    done.iter().try_for_each(|summary| summary.verdict(args.allow_partial))
}

/// Refuses two contents that would go to one place, before anything is there.
fn check_apart(found: &[Found], args: &GetArgs, dest: &Path) -> Result<(), Failure> {
    let mut places: BTreeMap<PathBuf, &str> = BTreeMap::new();
    for one in found.iter().filter(|_| found.len() > 1) {
        let Some(choice) = one.choice(args)? else { continue };
        let path = dest::path(dest, &choice.name, &choice.ids)?;
        if let Some(other) = places.insert(path.clone(), &one.label) {
            return Err(Failure::usage(format!(
                "{other} and {} would both be {}; fetch one of them to another place",
                one.label,
                path.display()
            )));
        }
    }
    Ok(())
}

/// Stays to share, if asked to and there is something of this process to share. A signal is how that ends as a rule,
/// so it is no failure.
fn seed(args: &GetArgs, done: &[Summary], stop: &Stop, fetchers: &Fetchers<'_>) {
    let until = match (args.seed, args.seed_for) {
        (true, _) => None,
        (false, Some(period)) => Some(Instant::now() + period.0),
        (false, None) => return,
    };
    if fetchers.is_empty() {
        return;
    }
    let what = match done {
        [one] => one.name().to_string(),
        several => format!("{} contents", several.len()),
    };
    let long = args.seed_for.map_or_else(|| "until stopped".to_owned(), |period| format!("for {period}"));
    say::note(&format!("sharing {what} {long}"));
    stop.wait_until(until);
}
