//! How far a transfer is: a bar on a terminal, a line now and then elsewhere, JSON if asked for.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::cli::daemon::connected;
use crate::cli::units::{Period, count, size};
use crate::cli::{Failure, output};
use crate::content::SafeName;
use crate::peer::TransferStatus;

/// Between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(2);
/// Between two JSON lines.
const JSON_EVERY: Duration = Duration::from_secs(1);

/// Where and how progress is shown.
#[derive(Debug)]
pub(super) struct Progress {
    form: Form,
    last: Instant,
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
    pub(super) fn new(json: bool, name: &SafeName) -> Progress {
        let form = match (json, io::stderr().is_terminal()) {
            (true, _) => Form::Json,
            (false, true) => Form::Bar(bar(name)),
            (false, false) => Form::Lines,
        };
        Progress { form, last: Instant::now() }
    }

    /// Shows `status`, if it is time to.
    pub(super) fn show(&mut self, status: &TransferStatus) -> Result<(), Failure> {
        match &self.form {
            Form::Bar(bar) => {
                bar.set_length(status.bytes_total);
                bar.set_position(status.bytes_done);
                bar.set_message(describe(status));
            }
            Form::Lines if self.last.elapsed() >= LINE_EVERY => {
                self.last = Instant::now();
                eprintln!("{}: {}", crate::cli::units::shown(&status.name), describe(status));
            }
            Form::Json if self.last.elapsed() >= JSON_EVERY => {
                self.last = Instant::now();
                output::json(&Line { progress: status })?;
            }
            Form::Lines | Form::Json => {}
        }
        Ok(())
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
        count(connected(status), "peer"),
    )
}
