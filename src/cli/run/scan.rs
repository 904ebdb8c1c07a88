//! How far the hashing of a large folder is, on standard error.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::cli::show::words::{count, size};
use crate::peer::share::Progress;
use crate::say;

/// How long a scan is quiet, and between two words of it.
const TELL: Duration = Duration::from_secs(2);

/// Tells of a scan that takes its time.
#[derive(Debug)]
pub(crate) struct Scan {
    terminal: bool,
    last: Instant,
    told: bool,
}

impl Scan {
    pub(crate) fn new() -> Scan {
        Scan { terminal: say::to_a_terminal(), last: Instant::now(), told: false }
    }

    /// Hears how far it is.
    pub(crate) fn tell(&mut self, progress: Progress) -> ControlFlow<()> {
        if self.last.elapsed() >= TELL && !say::is_quiet() {
            self.write(progress);
        }
        ControlFlow::Continue(())
    }

    fn write(&mut self, progress: Progress) {
        self.last = Instant::now();
        self.told = true;
        let (start, end) = if self.terminal { ("\r\x1b[K", "") } else { ("", "\n") };
        let Progress { files, files_done, bytes, bytes_done } = progress;
        say::text(&format!(
            "{start}hashed {files_done} of {} ({} of {}){end}",
            count(files, "file"),
            size(bytes_done),
            size(bytes)
        ));
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        if self.told && self.terminal {
            say::line("");
        }
    }
}
