//! What is said to people: one writer for standard error, one for standard output.
//!
//! Logs, traces, warnings and last words all go through [`line`]. Standard error that cannot be written, because
//! the disk is full or the reader is gone or stopped, costs the line and nothing else: nobody fails or
//! waits for it for long.

#![allow(clippy::disallowed_methods, reason = "this is the one place")]

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Map, Value};

use crate::threads::lock;

/// How long a line waits for a reader that is slow; one that has stopped is not waited for again.
const PATIENCE: Duration = Duration::from_millis(200);
/// A pipe that has room takes so many bytes at once.
const PIECE_BYTES: usize = 4096;

/// What became of what was said last on standard error.
#[derive(Debug)]
struct Last {
    /// Nobody read: no line waits until somebody does.
    stuck: bool,
    /// A line was left without its end.
    torn: bool,
}

static LAST: Mutex<Last> = Mutex::new(Last { stuck: false, torn: false });

/// Nothing is to be said but what was asked for and what went wrong.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Every line on standard error is a JSON object.
static JSON: AtomicBool = AtomicBool::new(false);

/// From now on every line on standard error is a JSON object.
pub(crate) fn speak_json() {
    JSON.store(true, Ordering::Relaxed);
}

/// True if it is.
pub(crate) fn is_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

/// What is said now, as an object: when, how bad it is, and what.
pub(crate) fn object(level: &str, message: &str) -> Map<String, Value> {
    let now = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    let said = [("ts", now.as_str()), ("level", level), ("msg", message)];
    said.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect()
}

/// From now on only errors, answers and traces are written.
pub(crate) fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// True if only errors, answers and traces are to be written.
pub(crate) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Writes a line that nobody needs on standard error, unless it is to be quiet.
pub(crate) fn note(text: &str) {
    if !is_quiet() {
        line(text);
    }
}

/// Writes a line on standard error, or loses it.
pub(crate) fn line(text: &str) {
    said("info", text);
}

/// The same of what went wrong.
pub(crate) fn failure(text: &str) {
    said("error", text);
}

fn said(level: &str, text: &str) {
    match is_json() {
        true => raw_line(&Value::Object(object(level, text)).to_string()),
        false => raw_line(text),
    }
}

/// Writes a line that has the form that is asked for.
pub(crate) fn raw_line(text: &str) {
    text_of(format!("{text}\n").as_bytes());
}

/// Writes text that has its own line ends, if any, on standard error, or loses it.
pub(crate) fn text(text: &str) {
    match is_json() {
        true => text.lines().for_each(line), // what moves on a terminal is for people
        false => text_of(text.as_bytes()),
    }
}

fn text_of(bytes: &[u8]) {
    let mut last = lock(&LAST);
    let torn = std::mem::replace(&mut last.torn, false);
    if torn && !write(b"\n", &mut last) {
        last.torn = true;
        return;
    }
    for (number, piece) in bytes.chunks(PIECE_BYTES).enumerate() {
        if !write(piece, &mut last) {
            last.torn = number > 0;
            return;
        }
    }
}

/// Writes one piece, if it is taken.
fn write(piece: &[u8], last: &mut Last) -> bool {
    let mut error = io::stderr();
    let patience = if last.stuck { Duration::ZERO } else { PATIENCE };
    last.stuck = !has_room(&error, patience);
    !last.stuck && error.write_all(piece).is_ok()
}

/// True unless a write would wait for longer than this.
fn has_room(output: &impl AsFd, patience: Duration) -> bool {
    let patience = Timespec { tv_sec: 0, tv_nsec: i64::from(patience.subsec_nanos()) };
    let mut ready = [PollFd::new(output, PollFlags::OUT)];
    // What cannot be waited for is written without.
    poll(&mut ready, Some(&patience)).map_or(true, |ready| ready > 0)
}

/// Standard error for those who want something to write to: each write is a whole line.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        text_of(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// True if a person reads standard error as it comes.
pub(crate) fn to_a_terminal() -> bool {
    io::stderr().is_terminal()
}

/// True if colours are wanted on standard error: a person reads it, and has not said no (<https://no-color.org>).
pub(crate) fn in_colour() -> bool {
    to_a_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Columns of the terminal on which answers are read, if it is one.
pub(crate) fn answer_columns() -> Option<u16> {
    columns(io::stdout())
}

/// The same of standard error.
pub(crate) fn error_columns() -> Option<u16> {
    columns(io::stderr())
}

fn columns(output: impl AsFd) -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(output).ok()?;
    Some(size.ws_col).filter(|columns| *columns > 0)
}

/// Something that may be said once a minute, however often it happens.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Option<Instant>);

impl Seldom {
    /// True if it may be said now, which is taken to be done.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        const EVERY: Duration = Duration::from_secs(60);
        let due = self.0.is_none_or(|last| now.saturating_duration_since(last) >= EVERY);
        if due {
            self.0 = Some(now);
        }
        due
    }
}

/// Writes all bytes of something on standard output.
///
/// # Errors
/// When they cannot be read, or are not taken.
pub(crate) fn copy(from: &mut impl io::Read) -> io::Result<()> {
    let mut out = io::stdout().lock();
    io::copy(from, &mut out)?;
    out.flush()
}

/// Writes an answer and its line end on standard output, and sends it off.
///
/// # Errors
/// When it is not taken: an answer that nobody gets is a failure.
pub(crate) fn answer(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_often_is_said_once_a_minute() {
        let (mut said, start) = (Seldom::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let due = [1, 1, 60, 61, 62, 200, 0].map(|seconds| said.is_due(at(seconds)));
        assert_eq!(due, [true, false, false, true, false, true, false]);
    }

    #[test]
    fn an_object_has_when_how_bad_and_what() {
        let said = object("warn", "a \"name\"");
        assert_eq!((&said["level"], &said["msg"]), (&"warn".into(), &"a \"name\"".into()));
        assert!(humantime::parse_rfc3339(said["ts"].as_str().unwrap()).is_ok());
        assert_eq!(said.len(), 3);
    }

    #[test]
    fn who_does_not_read_is_not_waited_for() {
        let (reader, writer) = io::pipe().unwrap();
        assert!(has_room(&writer, Duration::ZERO));
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        while (&writer).write(&[0; PIECE_BYTES]).is_ok() {}
        assert!(!has_room(&writer, Duration::ZERO));
        drop(reader);
        assert!(has_room(&writer, Duration::ZERO), "that nobody reads any more is said at once");
    }
}
