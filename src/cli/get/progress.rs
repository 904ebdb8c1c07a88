//! How far a transfer is: a bar on a terminal, a line now and then elsewhere, JSON if asked for.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::api::{TransferState, TransferStatus};
use crate::cli::show::output;
use crate::cli::show::words::{count, shown, size};
use crate::cli::typed::values::{Patience, Period};
use crate::content::SafeName;
use crate::say;

/// Between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(2);
/// Between two JSON lines.
const JSON_EVERY: Duration = Duration::from_secs(1);

/// Where and how progress is shown.
#[derive(Debug)]
pub(super) struct Progress {
    form: Form,
    last: Instant,
    wait: Patience,
    /// It has been said whom the transfer waits for.
    told: bool,
}

#[derive(Debug)]
enum Form {
    Bar(ProgressBar),
    Lines,
    Json,
}

/// A line of `get --json` while it runs.
#[derive(Debug, Serialize)]
struct Line<'a> {
    progress: &'a TransferStatus,
}

impl Progress {
    pub(super) fn new(json: bool, name: &SafeName, wait: Patience) -> Progress {
        let form = match (json, say::to_a_terminal()) {
            (true, _) => Form::Json,
            (false, true) => Form::Bar(bar(name)),
            (false, false) => Form::Lines,
        };
        Progress { form, last: Instant::now(), wait, told: false }
    }

    /// Shows `status`, if it is time to.
    pub(super) fn show(&mut self, status: &TransferStatus) {
        self.tell_of_waiting(status);
        match &self.form {
            Form::Bar(bar) => {
                bar.set_length(status.bytes_total);
                bar.set_position(status.bytes_done);
                bar.set_message(describe(status));
            }
            Form::Lines if self.last.elapsed() >= LINE_EVERY => {
                self.last = Instant::now();
                say::line(&format!("{}: {}", shown(&status.name), describe(status)));
            }
            Form::Json if self.last.elapsed() >= JSON_EVERY => {
                self.last = Instant::now();
                // Nobody may want to hear of it; the end is another thing.
                let _ = output::json(&Line { progress: status });
            }
            Form::Lines | Form::Json => {}
        }
    }
}

impl Progress {
    /// Says whom the transfer waits for, once each time.
    fn tell_of_waiting(&mut self, status: &TransferStatus) {
        let joined = status.state == TransferState::Joined;
        let waits = joined || !status.waiting_for.is_empty();
        if waits && !self.told {
            let line = if joined {
                format!(
                    "{} is being fetched to the same place already; waiting for that",
                    shown(&status.name)
                )
            } else {
                waiting(status, self.wait)
            };
            match &self.form {
                Form::Bar(bar) => bar.suspend(|| say::line(&line)),
                Form::Lines | Form::Json => say::line(&line),
            }
        }
        self.told = waits;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Form::Bar(bar) = &self.form {
            bar.finish_and_clear();
        }
    }
}

fn bar(name: &SafeName) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} [{bar:24}] {percent:>3}% {msg}");
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr())
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
    bar.set_prefix(name.to_string());
    bar
}

/// Whom a transfer waits for, and how long.
fn waiting(status: &TransferStatus, wait: Patience) -> String {
    const MOST_NAMES: usize = 5;
    let names: Vec<String> = status.waiting_for.iter().take(MOST_NAMES).map(|name| shown(name)).collect();
    let more = match status.waiting_for.len().saturating_sub(MOST_NAMES) {
        0 => String::new(),
        more => format!(" and {}", count(more as u64, "other")),
    };
    format!(
        "nobody who has what is missing of {} can be reached; waiting for {}{more}, --wait is {wait}",
        shown(&status.name),
        names.join(", "),
    )
}

/// Bytes, rate, time left, sources.
fn describe(status: &TransferStatus) -> String {
    let left = status.bytes_total.saturating_sub(status.bytes_done);
    let rate = status.rate as u64;
    let time = match left.checked_div(rate) {
        Some(seconds) => format!("{} left", Period(Duration::from_secs(seconds))),
        None => "time left unknown".into(),
    };
    format!(
        "{} of {}, {}/s, {time}, {}",
        size(status.bytes_done),
        size(status.bytes_total),
        size(rate),
        count(status.connected(), "peer"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::SourceReport;

    #[test]
    fn progress_is_bytes_rate_time_left_and_peers() {
        let sources = vec![SourceReport::of("a"), SourceReport::of("b")];
        let status =
            TransferStatus { bytes_total: 3072, bytes_done: 1024, sources, ..TransferStatus::of("a") };
        assert_eq!(describe(&status), "1.0 KiB of 3.0 KiB, 0 B/s, time left unknown, 2 peers");
        let status = TransferStatus { rate: 1024.9, ..status };
        assert_eq!(describe(&status), "1.0 KiB of 3.0 KiB, 1.0 KiB/s, 2s left, 2 peers");
    }

    #[test]
    fn only_some_are_named_of_those_that_are_waited_for() {
        let waiting_for = |names: usize| {
            let waiting_for = (0..names).map(|name| format!("p{name}")).collect();
            let status = TransferStatus { waiting_for, ..TransferStatus::of("a") };
            waiting(&status, Patience::Forever)
        };
        let head = "nobody who has what is missing of a can be reached; waiting for";
        assert_eq!(waiting_for(1), format!("{head} p0, --wait is forever"));
        assert_eq!(waiting_for(5), format!("{head} p0, p1, p2, p3, p4, --wait is forever"));
        assert_eq!(waiting_for(7), format!("{head} p0, p1, p2, p3, p4 and 2 others, --wait is forever"));
    }
}
