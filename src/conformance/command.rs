//! The asker under test: a command that fetches, run anew for each check.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::check::{Checked, Fault, eventually};

/// Bytes of what a command said that are looked at for its last line.
const MAX_SAID_BYTES: u64 = 1 << 16;

/// A command line, and how long what it starts may take for anything.
#[derive(Debug)]
pub(super) struct Asker {
    /// Program and arguments, with words in braces for what differs from check to check.
    pub(super) command: Vec<String>,
    /// That of its swarm, if it speaks sealed.
    pub(super) secret: Option<[u8; 32]>,
    pub(super) patience: Duration,
}

impl Asker {
    /// Starts it with these words in place of those in braces.
    pub(super) fn start(&self, words: &[(&str, &str)]) -> Checked<Running> {
        let filled: Vec<String> = self.command.iter().map(|part| fill(part, words)).collect();
        let Some((program, arguments)) = filled.split_first() else {
            return Err(Fault::new("a command", "none"));
        };
        let failed =
            |error: std::io::Error| Fault::new(format!("that {program} can be run"), error.to_string());
        let said = tempfile::tempfile().map_err(failed)?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said.try_clone().map_err(failed)?)
            .spawn();
        Ok(Running { child: child.map_err(failed)?, said, patience: self.patience })
    }
}

fn fill(part: &str, words: &[(&str, &str)]) -> String {
    words.iter().fold(part.to_owned(), |part, (word, value)| part.replace(word, value))
}

/// One that is running; it is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    said: File,
    patience: Duration,
}

impl Running {
    /// Waits until it ends well.
    pub(super) fn ends_well(mut self) -> Checked {
        let status = self.status()?;
        match status.success() {
            true => Ok(()),
            false => Err(Fault::new("that the command succeeds", format!("{status}: {}", self.last_line()))),
        }
    }

    /// Waits until it fails, as it should.
    pub(super) fn fails(mut self) -> Checked {
        match self.status()?.success() {
            false => Ok(()),
            true => Err(Fault::new("that the command fails", "success")),
        }
    }

    fn status(&mut self) -> Checked<ExitStatus> {
        eventually("the end of the command", self.patience, || {
            self.child.try_wait().map_err(|error| Fault::new("the end of the command", error.to_string()))
        })
    }

    /// What it said last on standard error.
    fn last_line(&mut self) -> String {
        let mut text = Vec::new();
        let _ = self.said.rewind();
        let _ = (&self.said).take(MAX_SAID_BYTES).read_to_end(&mut text);
        String::from_utf8_lossy(&text).lines().last().unwrap_or_default().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads what was fetched.
pub(super) fn fetched(path: &Path) -> Checked<Vec<u8>> {
    std::fs::read(path)
        .map_err(|error| Fault::new(format!("what was fetched, as {}", path.display()), error.to_string()))
}
