//! The last line: how much came from how many peers, how long it took, at what rate.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::api::Exit;
use crate::api::Report;
use crate::cli::failure::Failure;
use crate::cli::show::output;
use crate::cli::show::words::{count, elapsed, rate, shown, size};
use crate::content::SafeName;
use crate::say;

/// Most files named of those that were left alone.
const MAX_NAMED: usize = 5;

/// What all transfers of one `get` come to.
#[derive(Debug)]
pub(super) struct Summary {
    name: SafeName,
    /// Where it was put, as it was typed.
    place: PathBuf,
    bytes: u64,
    /// Of `bytes`, what was here before.
    had: u64,
    peers: BTreeSet<String>,
    time: Duration,
    reports: Vec<Report>,
}

/// The last line of `get --json`.
#[derive(Debug, Serialize)]
struct Line<'a> {
    done: Vec<&'a Report>,
}

/// The last line of `get --json` after a failure.
#[derive(Debug, Serialize)]
pub(super) struct FaultLine {
    error: Fault,
}

#[derive(Debug, Serialize)]
struct Fault {
    code: u8,
    message: String,
    /// What there is to choose from.
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    choices: serde_json::Value,
}

/// A failure as JSON; the code is the exit code.
pub(super) fn fault(failure: &Failure) -> FaultLine {
    let choices = failure.choices().clone();
    FaultLine { error: Fault { code: failure.exit as u8, message: failure.to_string(), choices } }
}

/// Says all in JSON.
pub(super) fn print_json(summaries: &[Summary]) -> Result<(), Failure> {
    let done = summaries.iter().flat_map(|summary| summary.reports.iter()).collect();
    output::json(&Line { done })
}

impl Summary {
    pub(super) fn new(name: &SafeName, place: &Path) -> Summary {
        Summary {
            name: name.clone(),
            place: place.to_owned(),
            bytes: 0,
            had: 0,
            peers: BTreeSet::new(),
            time: Duration::ZERO,
            reports: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, report: &Report) {
        let status = &report.status;
        self.bytes += status.bytes_total;
        self.had += status.bytes_resumed;
        self.peers.extend(
            status.sources.iter().filter(|source| source.bytes > 0).map(|source| source.peer.clone()),
        );
        self.time += Duration::try_from_secs_f64(status.seconds).unwrap_or_default();
        self.reports.push(report.clone());
    }

    /// What was left out is said when all is over, whatever came in between.
    ///
    /// # Errors
    /// [`Exit::Partial`] if something was, and that is not allowed; if what was to go is still there.
    pub(super) fn verdict(&self, allowed: bool) -> Result<(), Failure> {
        let trashed = self.reports.iter().filter_map(|report| report.trashed.as_ref());
        if let Some(trouble) = trashed.map(|trashed| &trashed.trouble).find(|trouble| !trouble.is_empty()) {
            return Err(Failure::other(format!(
                "the new version is whole, but not all that it lacks could be moved to the trash: {trouble}"
            )));
        }
        let parts = self.reports.iter().filter(|report| !report.partial.is_empty());
        let parts: Vec<&str> = parts.map(|report| report.partial.as_str()).collect();
        if parts.is_empty() {
            return Ok(());
        }
        let sentence = format!("{} is not whole at its source; {}", self.name, parts.join("; "));
        if allowed {
            say::note(&sentence);
            Ok(())
        } else {
            Err(Failure::new(Exit::Partial, sentence))
        }
    }

    /// What it is a summary of.
    pub(super) fn name(&self) -> &SafeName {
        &self.name
    }

    /// Where it was put.
    pub(super) fn place(&self) -> &Path {
        &self.place
    }

    /// The same, of what went on to another place.
    pub(super) fn at(self, place: &str) -> Summary {
        Summary { place: place.into(), ..self }
    }

    /// Says it in words.
    pub(super) fn print(&self) -> Result<(), Failure> {
        if say::is_quiet() { Ok(()) } else { output::line(&self.words()) }
    }

    pub(super) fn words(&self) -> String {
        format!("{}{}{}", self.sentence(), self.trashed(), self.left_alone())
    }

    /// A line about what else is in a folder of which an older version was there; of several folders, each
    /// would be that to the other.
    fn left_alone(&self) -> String {
        let [Report { left_alone, left_older, trashed, .. }] = &self.reports[..] else {
            return String::new();
        };
        let named: Vec<String> = left_alone.iter().take(MAX_NAMED).map(|path| shown(path)).collect();
        let more = if left_alone.len() > MAX_NAMED { ", …" } else { "" };
        let files = count(left_alone.len() as u64, "file");
        let older = match (left_older, trashed) {
            (0, _) => String::new(),
            (older, None) => format!("; of an older version: {older} (`--delete` moves them to the trash)"),
            (older, Some(_)) => {
                format!("; of an older version, but changed here or left out at the source: {older}")
            }
        };
        if left_alone.is_empty() {
            String::new()
        } else {
            format!(
                "\nleft alone: {files} that this version does not have ({}{more}){older}",
                named.join(", ")
            )
        }
    }

    /// A line about what went to the trash, or why nothing did.
    fn trashed(&self) -> String {
        let [Report { trashed: Some(trashed), path, .. }] = &self.reports[..] else { return String::new() };
        match (trashed.no_record, trashed.files) {
            (true, _) => {
                format!("\nnothing deleted: no older version is noted in {}", shown(path))
            }
            (false, 0) => String::new(),
            (false, files) => format!(
                "\nmoved {} that this version does not have to {}",
                count(files, "file"),
                shown(&trashed.folder)
            ),
        }
    }

    fn sentence(&self) -> String {
        let fetched = self.bytes.saturating_sub(self.had);
        let before = match (self.had, fetched) {
            (0, _) => String::new(),
            (_, 0) => ", all of it already here".into(),
            (had, _) => format!(", {} of it already here", size(had)),
        };
        let from = match fetched {
            0 => String::new(),
            _ => format!(" from {}", count(self.peers.len() as u64, "peer")),
        };
        let speed = match fetched {
            0 => String::new(),
            bytes => format!(" ({})", rate(bytes, self.time)),
        };
        format!(
            "got {}, {}{before}{from} in {}{speed}, verified: {}",
            self.name,
            size(self.bytes),
            elapsed(self.time),
            shown(&self.place.to_string_lossy())
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{SourceReport, Trashed};

    fn summary(bytes: u64, had: u64) -> String {
        let mut summary = Summary::new(&SafeName::new("big.iso").unwrap(), Path::new("./big.iso"));
        (summary.bytes, summary.had, summary.time) = (bytes, had, Duration::from_millis(420));
        summary.peers.extend(["a".to_owned(), "b".to_owned(), "c".to_owned()]);
        summary.sentence()
    }

    #[test]
    fn says_it_in_one_line() {
        let all = "got big.iso, 1.0 GiB from 3 peers in 0.42 s (2.4 GiB/s), verified: ./big.iso";
        assert_eq!(summary(1 << 30, 0), all);
        let rest = "got big.iso, 1.0 GiB, 512.0 MiB of it already here from 3 peers in 0.42 s (1.2 GiB/s), verified: ./big.iso";
        assert_eq!(summary(1 << 30, 1 << 29), rest);
        assert_eq!(summary(5, 5), "got big.iso, 5 B, all of it already here in 0.42 s, verified: ./big.iso");
        assert_eq!(summary(0, 0), "got big.iso, 0 B in 0.42 s, verified: ./big.iso");
    }

    fn of(reports: &[Report]) -> Summary {
        let mut summary = Summary::new(&SafeName::new("d/").unwrap(), Path::new("d"));
        reports.iter().for_each(|report| summary.add(report));
        summary
    }

    #[test]
    fn who_gave_nothing_is_not_counted_and_who_gave_twice_is_counted_once() {
        let source = |peer: &str, bytes| SourceReport { bytes, ..SourceReport::of(peer) };
        let mut report = Report::of("d/");
        report.status.sources = vec![source("a", 5), source("b", 0), source("a", 7)];
        (report.status.bytes_total, report.status.bytes_resumed, report.status.seconds) = (20, 8, 1.5);
        let mut more = report.clone();
        more.status.sources = vec![source("a", 1), source("c", 1)];
        let summary = of(&[report, more]);
        assert_eq!((summary.bytes, summary.had, summary.time), (40, 16, Duration::from_secs(3)));
        assert_eq!(summary.peers.iter().collect::<Vec<_>>(), ["a", "c"]);
    }

    #[test]
    fn what_was_left_out_is_another_exit_unless_it_is_allowed() {
        let partial = Report { partial: "left out: pipe".to_owned(), ..Report::of("d/") };
        assert!(of(&[Report::of("d/")]).verdict(false).is_ok());
        let failure = of(&[Report::of("d/"), partial.clone()]).verdict(false).unwrap_err();
        assert_eq!(failure.exit, Exit::Partial);
        assert_eq!(failure.to_string(), "d/ is not whole at its source; left out: pipe");
        assert!(of(std::slice::from_ref(&partial)).verdict(true).is_ok());
        let trashed = Some(Trashed { trouble: "full".to_owned(), ..Trashed::default() });
        let failure = of(&[Report { trashed, ..partial }]).verdict(true).unwrap_err();
        assert_eq!(failure.exit, Exit::Other, "what should have gone did not, whatever is allowed");
    }

    #[test]
    fn what_else_is_in_the_folder_is_said_of_one_folder_alone() {
        let names = |count: usize| (0..count).map(|name| name.to_string()).collect::<Vec<_>>();
        let report = Report { left_alone: names(6), ..Report::of("d/") };
        let head = "\nleft alone: 6 files that this version does not have (0, 1, 2, 3, 4, …)";
        let said = |report: &Report| of(std::slice::from_ref(report)).left_alone();
        assert_eq!(said(&report), head);
        let older = Report { left_older: 2, ..report.clone() };
        assert_eq!(
            said(&older),
            format!("{head}; of an older version: 2 (`--delete` moves them to the trash)")
        );
        let trashed = Report { trashed: Some(Trashed::default()), ..older };
        assert!(said(&trashed).contains("but changed here or left out at the source: 2"));
        assert_eq!(said(&Report { left_alone: names(1), ..Report::of("d/") }).matches('…').count(), 0);
        assert_eq!(said(&Report::of("d/")), "");
        assert_eq!(of(&[report.clone(), report]).left_alone(), "", "each of several is that to the other");
    }

    #[test]
    fn what_went_to_the_trash_is_said_and_that_nothing_could() {
        let said = |trashed: Trashed| of(&[Report { trashed: Some(trashed), ..Report::of("d/") }]).trashed();
        let moved = Trashed { folder: "d/.p2p/trash/1".to_owned(), files: 2, ..Trashed::default() };
        assert_eq!(said(moved), "\nmoved 2 files that this version does not have to d/.p2p/trash/1");
        assert_eq!(said(Trashed::default()), "");
        let no_record = Trashed { no_record: true, ..Trashed::default() };
        assert_eq!(said(no_record), "\nnothing deleted: no older version is noted in d/");
        assert_eq!(of(&[Report::of("d/")]).trashed(), "");
    }
}
