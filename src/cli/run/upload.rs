//! `p2p upload`: has a file or folder shared until enough stores have it and its name is on record.

use std::fs;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use serde::Serialize;

use crate::api::control::Offered;
use crate::cli::failure::Failure;
use crate::cli::reach::client::{Client, strange};
use crate::cli::run::parity::Parity;
use crate::cli::run::share::link_name;
use crate::cli::run::sharer::Source;
use crate::cli::run::signals::Stop;
use crate::cli::show::output;
use crate::cli::show::words::{count, size};
use crate::cli::typed::published::UploadArgs;
use crate::cli::typed::sought::on_record;
use crate::cli::typed::what::as_kind;
use crate::content::code::{Stripes, of_folder};
use crate::content::{Claim, SafeName};
use crate::say;
use crate::threads;
use crate::wire::{FromTracker, Name, Policy, Store, Stored, Storing, ToTracker, Version};

/// How long a tracker lets one question wait: between two looks at signals.
const WAIT: Duration = Duration::from_millis(500);
/// Between two words on how far it is.
const TELL: Duration = Duration::from_secs(2);

/// `upload --json`, while it runs.
#[derive(Debug, Serialize)]
struct ProgressLine {
    progress: Progress,
}

#[derive(Debug, Serialize)]
struct Progress {
    name: String,
    /// Chunks that are safe, each counted once for every copy.
    covered: u32,
    needed: u32,
}

/// `upload --json`, at the end.
#[derive(Debug, Serialize)]
struct DoneLine {
    done: Done,
}

#[derive(Debug, Serialize)]
struct Done {
    name: String,
    version: u32,
    id: String,
    /// Bytes of all files.
    size: u64,
    copies: u8,
    /// The code that it is kept by, as `4+2`, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// False if the latest version was that already.
    fresh: bool,
    /// Bytes that left the peer that shares it.
    sent: u64,
    seconds: f64,
}

/// `p2p upload PATH`
pub(crate) fn upload(args: &UploadArgs) -> Result<(), Failure> {
    let stop = Stop::install()?;
    let start = Instant::now();
    let path = fs::canonicalize(&args.path)
        .map_err(|_| Failure::usage(format!("there is no file or folder {}", args.path.display())))?;
    let shared_as = link_name(&path)?;
    let name = called(args, &shared_as)?;
    let copies = args.code.map_or(args.copies, |shape| shape.m() as u8 + 1);
    let copies = Policy::copies(copies)
        .ok_or_else(|| Failure::usage(format!("{} copies are too many, or none", args.copies)))?;
    let source = Source::find(args, path, &shared_as)?;
    stop.graceful();
    let (policy, parity) = match parity_of(args, (&source, &shared_as), &stop) {
        Ok(None) => (copies, None),
        Ok(Some((policy, parity))) => (policy, Some(parity)),
        Err(failure) => {
            source.end();
            return Err(failure);
        }
    };
    source.registered(&stop);
    parity.iter().for_each(|parity| parity.source.registered(&stop));
    let stored = store(args, (&source, &name, policy), &stop);
    let offer = source.offer.clone();
    let sent = source.end() + parity.map_or(0, Parity::end);
    let stored = stored?;
    let code = policy.coding().map(|coding| coding.shape.to_string());
    let done = Done {
        name: name.as_str().to_owned(),
        version: stored.number,
        id: offer.id,
        size: offer.total,
        copies: if code.is_some() { 1 } else { policy.m() + 1 },
        code,
        fresh: stored.fresh,
        sent,
        seconds: start.elapsed().as_secs_f64(),
    };
    let words = said(&done);
    output::answer(args.asking.json, &DoneLine { done }, || words)
}

/// The parity of what is to be kept as a code, if that is better than copies, and what is promised with it.
fn parity_of(
    args: &UploadArgs,
    (source, name): (&Source, &SafeName),
    stop: &Stop,
) -> Result<Option<(Policy, Parity)>, Failure> {
    let Some(shape) = args.code else { return Ok(None) };
    let files = source.files(name)?;
    let stripes = if files.of_folder {
        match of_folder(shape, &files.layout) {
            Ok(stripes) => Some(stripes),
            Err(why) => {
                say::note(&format!("{name} is kept as {} copies: {why}", shape.m() + 1));
                None
            }
        }
    } else {
        Stripes::new(shape, source.offer.size)
    };
    let Some(stripes) = stripes else { return Ok(None) };
    let parity = Parity::share(args, &files, (name, &stripes), stop)?;
    Ok(Some((parity.policy(&stripes, &files), parity)))
}

fn said(done: &Done) -> String {
    let Done { name, version, size: bytes, copies, code, fresh, .. } = done;
    let copies = match code {
        Some(code) => format!("as shards of a code {code}"),
        None => count(u64::from(*copies), "copy").replace("copys", "copies"),
    };
    match fresh {
        true => format!("stored {name} as version {version}: {}, {copies}", size(*bytes)),
        false => format!("{name} is stored already, as version {version}: {}, {copies}", size(*bytes)),
    }
}

/// What it is to be called: a folder's name ends with `/`, a file's does not.
fn called(args: &UploadArgs, shared_as: &SafeName) -> Result<SafeName, Failure> {
    let called = args.called.as_ref();
    on_record(called.map_or_else(|| Ok(shared_as.clone()), |called| as_kind(called, shared_as.is_tree()))?)
}

/// Asks for it to be stored until it is.
fn store(
    args: &UploadArgs,
    (source, name, policy): (&Source, &SafeName, Policy),
    stop: &Stop,
) -> Result<Stored, Failure> {
    let mut client = Client::new(&args.asking.trackers.trackers, args.asking.wait);
    let (id, seq) = client.change();
    let Offered { size, total, chunks, .. } = source.offer;
    let claim = Claim { size, total, chunks, tree: name.is_tree() };
    let question = Store {
        client: id,
        seq,
        name: Name::new(name.as_str()),
        version: Version::asked_for((source.id, claim), policy, source.sharer()),
        expect: 0,
        degraded: args.allow_degraded,
        wait_ms: WAIT.as_millis() as u32,
    };
    let answers = asked(client, question.into())?;
    let mut told = Instant::now();
    let mut last = None;
    loop {
        match answers.recv_timeout(WAIT) {
            Ok(Ok(FromTracker::Stored(stored))) => return Ok(stored),
            Ok(Ok(FromTracker::Storing(storing))) => {
                if told.elapsed() >= TELL {
                    told = Instant::now();
                    source.check()?;
                    // A tracker that still hears from its stores does not know what is needed.
                    if storing.needed > 0 && last.replace(storing.covered) != Some(storing.covered) {
                        tell(args.asking.json, name, &storing);
                    }
                }
            }
            Ok(other) => return Err(strange(&other?)),
            Err(RecvTimeoutError::Timeout) => {} // nobody who answers is there
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::other("who asks the tracker is gone"));
            }
        }
        if stop.asked() {
            return Err(Failure::new(
                crate::api::Exit::Interrupted,
                format!(
                    "{name} is not stored yet; what stores have of it is kept for an hour, the same command goes on with it"
                ),
            ));
        }
    }
}

/// Asks again and again, in a thread of its own: signals are heard here, however long no tracker answers. What is no
/// [`FromTracker::Storing`] is the last.
fn asked(mut client: Client, question: ToTracker) -> Result<Receiver<Result<FromTracker, Failure>>, Failure> {
    let (tell, told) = bounded(0);
    let ask = move || {
        loop {
            let answer = client.ask(&question);
            let is_last = !matches!(answer, Ok(FromTracker::Storing(_)));
            if tell.send(answer).is_err() || is_last {
                return;
            }
        }
    };
    threads::named("ask").connection(ask).map_err(Failure::cannot_start)?;
    Ok(told)
}

fn tell(json: bool, name: &SafeName, storing: &Storing) {
    let Storing { covered, needed } = *storing;
    if json {
        let progress = Progress { name: name.as_str().to_owned(), covered, needed };
        // Nobody may want to hear of it; the end is another thing.
        let _ = output::json(&ProgressLine { progress });
    } else {
        let percent = u64::from(covered) * 100 / u64::from(needed.max(1));
        say::note(&format!("{name}: {percent} % is where it is to be"));
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::typed::args::{Cli, Command};

    fn args(line: &str) -> UploadArgs {
        let words = ["p2p", "upload", "x"].into_iter().chain(line.split_whitespace());
        let Command::Upload(args) = Cli::parse_from(words).command else { panic!("{line}") };
        args
    }

    #[test]
    fn what_is_stored_is_said_with_how_it_is_kept() {
        let said = |copies, code: Option<&str>, fresh| {
            said(&Done {
                name: "a/".into(),
                version: 3,
                id: String::new(),
                size: 2048,
                copies,
                code: code.map(str::to_owned),
                fresh,
                sent: 0,
                seconds: 1.0,
            })
        };
        assert_eq!(said(1, None, true), "stored a/ as version 3: 2.0 KiB, 1 copy");
        assert_eq!(said(3, None, true), "stored a/ as version 3: 2.0 KiB, 3 copies");
        assert_eq!(
            said(1, Some("4+2"), false),
            "a/ is stored already, as version 3: 2.0 KiB, as shards of a code 4+2"
        );
    }

    #[test]
    fn it_is_called_as_it_is_shared_or_as_was_typed_with_the_end_of_its_kind() {
        let (file, folder) = (SafeName::new("a").unwrap(), SafeName::new("a/").unwrap());
        for (line, shared_as, name) in [
            ("", &file, "a"),
            ("", &folder, "a/"),
            ("--as b/c", &file, "b/c"),
            ("--as b", &folder, "b/"),
            ("--as b/", &folder, "b/"),
            ("--as b/", &file, "b"),
        ] {
            let called = called(&args(line), shared_as);
            assert_eq!(called.unwrap().as_str(), name, "{line} of {shared_as}");
        }
    }
}
