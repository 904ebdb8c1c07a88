//! `p2p why`: what a running peer knows of each source of its transfers, and why it asks it or not.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::api::{SourceReport, TransferState, TransferStatus, Unreached};
use crate::cli::failure::Failure;
use crate::cli::reach::daemon::{Daemon, nobody_shares};
use crate::cli::show::output;
use crate::cli::show::table::{Align, Table};
use crate::cli::show::words::{elapsed, per_second, shown, size};
use crate::cli::typed::args::WhyArgs;
use crate::content::FileId;

/// `why --json`, a line for each transfer.
#[derive(Debug, Serialize)]
struct Line<'a> {
    id: &'a str,
    name: &'a str,
    state: TransferState,
    sources: &'a [SourceReport],
    unreached: &'a [Unreached],
}

/// `p2p why [FOLDER|ID]`
pub(crate) fn why(args: &WhyArgs) -> Result<(), Failure> {
    let id = args.what.parse::<FileId>().ok();
    let folder = Path::new(if id.is_some() { "." } else { args.what.as_str() });
    if !folder.is_dir() {
        return Err(Failure::usage(format!("there is no folder {}, and it is no id", folder.display())));
    }
    let transfers = Daemon::around(folder).ok_or_else(|| nobody_shares(folder))?.status()?.transfers;
    let wanted: Vec<&TransferStatus> =
        transfers.iter().filter(|transfer| id.is_none_or(|id| transfer.id == id.to_string())).collect();
    if wanted.is_empty() {
        let what = id.map_or_else(|| "anything".to_owned(), |id| id.to_string());
        return Err(Failure::not_found(format!("this peer has not fetched {what} lately")));
    }
    output::answers(args.json, &wanted, |transfer| line(transfer), |transfer| render(transfer))
}

fn line(TransferStatus { id, name, state, sources, unreached, .. }: &TransferStatus) -> Line<'_> {
    Line { id, name, state: *state, sources, unreached }
}

fn render(transfer: &TransferStatus) -> String {
    let columns = [
        ("SOURCE", Align::Left),
        ("LATENCY", Align::Right),
        ("LOAD", Align::Right),
        ("RATE", Align::Right),
        ("QUEUE", Align::Right),
        ("COST", Align::Right),
        ("CHUNKS", Align::Right),
        ("WHY", Align::Left),
    ];
    let mut table = Table::new(columns);
    // Each stands in its place whatever it costs by now.
    let mut sources: Vec<_> = transfer.sources.iter().collect();
    sources.sort_by_key(|source| (&source.name, &source.peer, &source.addr));
    for source in sources {
        table.row([
            shown(&source.name),
            time(source.round_trip_ms),
            source.uploads.map_or_else(|| "?".to_owned(), |uploads| uploads.to_string()),
            if source.rate > 0.0 { per_second(source.rate) } else { "?".to_owned() },
            size(source.inflight_bytes),
            time(source.cost_ms),
            source.chunks.to_string(),
            shown(&source.why),
        ]);
    }
    let head = format!("{}: {}", shown(&transfer.name), transfer.state);
    let mut words = match transfer.sources.is_empty() {
        true => format!("{head}, no source yet"),
        false => format!("{head}\n{}", table.render(output::columns())),
    };
    for Unreached { tried, .. } in &transfer.unreached {
        words.push_str(&format!("\nnot reached: {}", shown(tried)));
    }
    words
}

fn time(ms: f64) -> String {
    elapsed(Duration::from_secs_f64((ms / 1e3).clamp(0.0, 86_400.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_is_a_row_with_what_is_not_known_as_a_question() {
        let near = SourceReport {
            name: "near".to_owned(),
            rate: 2048.0,
            round_trip_ms: 0.2,
            cost_ms: 6.1,
            inflight_bytes: 1024,
            chunks: 5,
            uploads: Some(2),
            why: "cheapest".to_owned(),
            ..SourceReport::of("1")
        };
        let far = SourceReport { name: "far".to_owned(), why: "busy".to_owned(), ..SourceReport::of("2") };
        let status = TransferStatus { sources: vec![near, far], ..TransferStatus::of("big.iso") };
        let words = render(&status);
        let rows: Vec<Vec<&str>> = words.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["big.iso:", "fetching"]);
        assert_eq!(rows[1], ["SOURCE", "LATENCY", "LOAD", "RATE", "QUEUE", "COST", "CHUNKS", "WHY"]);
        assert_eq!(
            rows[3],
            ["near", "200", "µs", "2", "2.0", "KiB/s", "1.0", "KiB", "6.1", "ms", "5", "cheapest"]
        );
        assert_eq!(rows[2], ["far", "0", "µs", "?", "?", "0", "B", "0", "µs", "0", "busy"]);
        assert_eq!(render(&TransferStatus::of("a")), "a: fetching, no source yet");
        let tried = "10.0.0.1:7: connection refused".to_owned();
        let unreached = vec![Unreached { peer: "1".to_owned(), tried }];
        assert_eq!(
            render(&TransferStatus { unreached, ..TransferStatus::of("a") }),
            "a: fetching, no source yet\nnot reached: 10.0.0.1:7: connection refused"
        );
    }

    #[test]
    fn no_time_is_below_none_or_longer_than_a_day() {
        assert_eq!((time(-1.0), time(1e12)), ("0 µs".to_owned(), "1day".to_owned()));
    }
}
