//! How far the hashing of a large folder is, on standard error.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use super::units::{count, size};
use crate::peer::share::ScanProgress;

/// How long a scan is quiet, and between two words of it.
const TELL: Duration = Duration::from_secs(2);

/// Tells of a scan that takes its time.
#[derive(Debug)]
pub(super) struct Scan {
    terminal: bool,
    last: Instant,
    told: bool,
}

impl Scan {
    pub(super) fn new() -> Scan {
        Scan { terminal: io::stderr().is_terminal(), last: Instant::now(), told: false }
    }

    /// Hears how far it is.
    pub(super) fn tell(&mut self, progress: &ScanProgress) {
        if self.last.elapsed() < TELL {
            return;
        }
        self.last = Instant::now();
        self.told = true;
        let (start, end) = if self.terminal { ("\r\x1b[K", "") } else { ("", "\n") };
        eprint!("{start}hashed {} ({}){end}", count(progress.files as u64, "file"), size(progress.bytes));
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        if self.told && self.terminal {
            eprintln!();
        }
    }
}
