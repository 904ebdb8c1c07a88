//! How far a transfer is: a bar on a terminal, a line now and then elsewhere, JSON if asked for.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::api::{TransferState, TransferStatus};
use crate::cli::show::output;
use crate::cli::show::words::{count, per_second, shown, size};
use crate::cli::typed::values::{Patience, Period};
use crate::content::SafeName;
use crate::say;

/// Between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(2);
/// Between two JSON lines.
const JSON_EVERY: Duration = Duration::from_secs(1);
/// Of a terminal that does not say how many it has.
const COLUMNS: u16 = 80;
/// So much is left of a name before less is said of the rest.
const LEAST_NAME: usize = 8;
/// The shortest bar that says something, and the longest, with what stands around them.
const LEAST_BAR: usize = 9;
const MOST_BAR: usize = 27;

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
    Quiet,
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
            (false, _) if say::is_quiet() => Form::Quiet,
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
                let columns = say::error_columns().unwrap_or(COLUMNS);
                bar.set_message(fitted(&bar.prefix(), status, usize::from(columns)));
            }
            Form::Lines if self.last.elapsed() >= LINE_EVERY => {
                self.last = Instant::now();
                say::note(&format!("{}: {}", shown(&status.name), describe(status)));
            }
            Form::Json if self.last.elapsed() >= JSON_EVERY => {
                self.last = Instant::now();
                // Nobody may want to hear of it; the end is another thing.
                let _ = output::json(&Line { progress: status });
            }
            Form::Lines | Form::Json | Form::Quiet => {}
        }
    }

    /// Says what the transfer waits for, once each time.
    fn tell_of_waiting(&mut self, status: &TransferStatus) {
        let line = waits(status, self.wait);
        let waits = line.is_some();
        if let Some(line) = line.filter(|_| !self.told) {
            match &self.form {
                Form::Bar(bar) => bar.suspend(|| say::note(&line)),
                Form::Lines | Form::Json | Form::Quiet => say::note(&line),
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
    let style = ProgressStyle::with_template("{wide_msg}");
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_prefix(name.to_string());
    bar
}

/// What a transfer waits for, if it does.
fn waits(status: &TransferStatus, wait: Patience) -> Option<String> {
    let name = shown(&status.name);
    match status.state {
        TransferState::Joined => {
            Some(format!("{name} is being fetched to the same place already; waiting for that"))
        }
        TransferState::Paused => Some(format!("{name} is paused; `p2p resume` has it go on")),
        _ => (!status.waiting_for.is_empty()).then(|| waiting(status, wait)),
    }
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

/// All of it in so many columns: less is said where there are fewer, a long name is shortened, and what room is left
/// then is the bar's.
fn fitted(name: &str, status: &TransferStatus, columns: usize) -> String {
    let percent = status.bytes_done.saturating_mul(100).checked_div(status.bytes_total).unwrap_or(0);
    let all = describe(status);
    let rate = per_second(status.rate);
    let tails = [all, format!("{rate}, {}", time_left(status)), rate, String::new()];
    let wanted = width(name).min(LEAST_NAME);
    // One is left free: some terminals go on in the next line when the last column is written.
    let room = |tail: &str| columns.checked_sub(1 + " 100% ".len() + tail.len());
    let fits = |tail: &&String| room(tail).is_some_and(|room| room >= wanted);
    let tail = tails.iter().find(fits).map_or("", String::as_str);
    let room = room(tail).unwrap_or(0);
    let name = shortened(name, room);
    let bar = match room - width(&name) {
        spare @ LEAST_BAR.. => format!(" {}", drawn(percent, spare.min(MOST_BAR) - " []".len())),
        _ => String::new(),
    };
    format!("{name}{bar} {percent:>3}% {tail}")
}

/// A bar of so many characters, without what stands around them.
fn drawn(percent: u64, length: usize) -> String {
    let done = length * percent.min(100) as usize / 100;
    let tip = if done < length { ">" } else { "" };
    format!("[{:<length$}]", "=".repeat(done) + tip)
}

/// A name in so many columns.
fn shortened(name: &str, columns: usize) -> String {
    if width(name) <= columns {
        return name.to_owned();
    }
    let mut left = columns.saturating_sub(1);
    let fits = |character: &char| {
        let fits = columns_of(*character) <= left;
        left = left.saturating_sub(columns_of(*character));
        fits
    };
    let end = if columns > 0 { "…" } else { "" };
    name.chars().take_while(fits).collect::<String>() + end
}

fn width(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// Columns of a character; two of all that may have two.
fn columns_of(character: char) -> usize {
    if matches!(u32::from(character), ..0x1100 | 0x2000..0x2e80) { 1 } else { 2 }
}

/// Bytes, rate, time left, sources.
fn describe(status: &TransferStatus) -> String {
    format!(
        "{} of {}, {}, {}, {}",
        size(status.bytes_done),
        size(status.bytes_total),
        per_second(status.rate),
        time_left(status),
        count(status.connected(), "peer"),
    )
}

fn time_left(status: &TransferStatus) -> String {
    let left = status.bytes_total.saturating_sub(status.bytes_done);
    match left.checked_div(status.rate as u64) {
        Some(seconds) => format!("{} left", Period(Duration::from_secs(seconds))),
        None => "time left unknown".into(),
    }
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
    fn progress_fits_the_terminal() {
        let sources = vec![SourceReport::of("a"), SourceReport::of("b")];
        let (bytes_total, bytes_done, rate) = (3 << 30, (1 << 30) + 5, 12_345_678.0);
        let status = TransferStatus { bytes_total, bytes_done, rate, sources, ..TransferStatus::of("a") };
        let long = "holiday pictures of last summer/day one.tar.zst";
        let at = |name: &str, columns| fitted(name, &status, columns);
        let all = "1.0 GiB of 3.0 GiB, 11.8 MiB/s, 2m 53s left, 2 peers";
        assert_eq!(at("a", 100), format!("a [=======>                ]  33% {all}"));
        assert_eq!(at("a", 80), format!("a [=====>           ]  33% {all}"));
        assert_eq!(at(long, 80), format!("holiday pictures of …  33% {all}"));
        assert_eq!(at(long, 60), "holiday pictures of last summ…  33% 11.8 MiB/s, 2m 53s left");
        assert_eq!(at(long, 40), "holiday p…  33% 11.8 MiB/s, 2m 53s left");
        assert_eq!(at("写真".repeat(9).as_str(), 40), "写真写真…  33% 11.8 MiB/s, 2m 53s left");
        let cut = format!("{}…  33% 11.8 MiB/s, 2m 53s left", "写真".repeat(7));
        assert_eq!(at("写真".repeat(9).as_str(), 60), cut, "each takes two columns");
        let taken = |line: &str| line.chars().map(|c| if "写真".contains(c) { 2 } else { 1 }).sum::<usize>();
        for columns in 0..200 {
            for name in ["a", long, &"写真".repeat(40)] {
                let line = at(name, columns);
                assert!(taken(&line) < columns.max(8), "{columns}: {line:?}");
            }
        }
        let done = TransferStatus { bytes_done: bytes_total, ..status.clone() };
        assert!(fitted("a", &done, 100).starts_with("a [========================] 100% 3.0 GiB of"));
        let nothing = TransferStatus { bytes_total: 0, bytes_done: 0, ..status };
        assert!(fitted("a", &nothing, 30).contains("  0% "));
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
