//! The process of a role: how it is started, signalled, heard and waited for.

use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::role::End;
use super::service::ROLE_FOLDER;
use crate::threads;

/// Longest line that is taken as one.
const MAX_LINE_BYTES: u64 = 8 << 10;

/// What is heard of a process.
#[derive(Debug)]
pub(super) enum Heard {
    /// It wrote a line.
    Line(String),
    /// It has ended, and was waited for.
    Ended(End),
}

/// A process that runs. When this is dropped its lifeline ends, and so does it.
#[derive(Debug)]
pub(super) struct Process {
    pid: u32,
    /// What its signals go to: never to another process that has its number now.
    handle: OwnedFd,
    _lifeline: ChildStdin,
}

/// What a process is to be.
#[derive(Debug)]
pub(super) struct Order<'a> {
    pub(super) program: &'a Path,
    pub(super) args: &'a [String],
    /// Where it runs.
    pub(super) base: &'a Path,
    /// Where it locks out others of its role.
    pub(super) folder: &'a Path,
    /// Where it says how it is.
    pub(super) notices: &'a Path,
    /// How long it may be silent.
    pub(super) watchdog: Duration,
}

impl Process {
    /// Starts it; what is heard of it goes to `heard`, its end last.
    pub(super) fn start(
        order: &Order<'_>,
        heard: impl Fn(u32, Heard) + Clone + Send + 'static,
    ) -> io::Result<Process> {
        let mut child = Command::new(order.program)
            .args(order.args)
            .current_dir(order.base)
            .env(ROLE_FOLDER, order.folder)
            .env("NOTIFY_SOCKET", order.notices)
            .env("WATCHDOG_USEC", order.watchdog.as_micros().to_string())
            .env_remove("WATCHDOG_PID") // of the agent's own supervisor
            .process_group(0) // what a terminal sends to the agent is the agent's to pass on
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let pid = child.id();
        match Process::take(&mut child, &heard) {
            Ok(process) => {
                // Its last lines may come a moment later: who else holds its pipes is not waited for.
                let wait = move || heard(pid, Heard::Ended(child.wait().map_or(End::Code(1), end)));
                threads::small("role-wait").essential(wait)?;
                Ok(process)
            }
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    fn take(
        child: &mut Child,
        heard: &(impl Fn(u32, Heard) + Clone + Send + 'static),
    ) -> io::Result<Process> {
        let none = || io::Error::from(io::ErrorKind::BrokenPipe);
        let pid = child.id();
        let (out, err) = (child.stdout.take().ok_or_else(none)?, child.stderr.take().ok_or_else(none)?);
        let lifeline = child.stdin.take().ok_or_else(none)?;
        let number = Pid::from_raw(pid as i32).ok_or_else(none)?;
        let handle = pidfd_open(number, PidfdFlags::empty())?;
        read_lines(out, pid, heard.clone())?;
        read_lines(err, pid, heard.clone())?;
        Ok(Process { pid, handle, _lifeline: lifeline })
    }

    /// Its number.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends it a signal; one that has ended hears nothing.
    pub(super) fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.handle, signal);
    }
}

/// Passes on lines until there are no more.
pub(super) fn read_lines(
    pipe: impl Read + Send + 'static,
    pid: u32,
    heard: impl Fn(u32, Heard) + Send + 'static,
) -> io::Result<()> {
    let read = move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while matches!((&mut pipe).take(MAX_LINE_BYTES).read_until(b'\n', &mut line), Ok(1..)) {
            heard(pid, Heard::Line(String::from_utf8_lossy(&line).trim_end().to_owned()));
            line.clear();
        }
    };
    threads::small("role-log").essential(read).map(drop)
}

fn end(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Code(code),
        (None, signal) => End::Signal(signal.unwrap_or(0)),
    }
}
