//! A hook: what an agent runs to bring a lost node back. It is run by a process of its own, which ends it at the end of its
//! lease whatever becomes of the agent: whoever is stopped, or dies, leaves no hook behind that goes on when another begins.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use crossbeam_channel::Sender;
use rustix::process::{Pid, Signal, kill_process_group};
use rustix::time::{ClockId, clock_gettime};

use super::news::News;
use super::process::{self, Heard};
use super::service::ROLE_FOLDER;
use crate::rescue::Duty;
use crate::threads;

/// The command of this program that runs a hook.
pub const COMMAND: &str = "hook";
/// The option that says until when, by [`clock`].
pub const UNTIL: &str = "until";
/// What a hook is told: the number of the duty, the node, and where that is.
const DUTY: &str = "P2P_DUTY";
const NODE: &str = "P2P_NODE";
const HOST: &str = "P2P_HOST";

/// Nanoseconds of the machine's clock that never goes back; the same in all its processes.
pub(super) fn clock() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64)
}

/// A hook that runs. When this is dropped it ends, with all that it started in its process group.
#[derive(Debug)]
pub(super) struct Hook {
    lifeline: Option<ChildStdin>,
}

/// What a hook is for, and until when.
#[derive(Debug)]
pub(super) struct Order<'a> {
    pub(super) program: &'a Path,
    pub(super) base: &'a Path,
    pub(super) argv: &'a [String],
    pub(super) duty: Duty,
    pub(super) node: &'a str,
    pub(super) host: &'a str,
    pub(super) until: u64,
}

impl Hook {
    /// Starts it; its lines and its end are heard as news.
    ///
    /// # Errors
    /// The system refuses a process or thread.
    pub(super) fn start(order: &Order<'_>, tell: &Sender<News>) -> io::Result<Hook> {
        let Order { duty, .. } = *order;
        let mut child = Command::new(order.program)
            .args([COMMAND, &format!("--{UNTIL}"), &order.until.to_string(), "--"])
            .args(order.argv)
            .current_dir(order.base)
            .env(DUTY, duty.to_string())
            .env(NODE, order.node)
            .env(HOST, order.host)
            // What the agent's own supervisor has told it is not for what a hook starts.
            .env_remove(ROLE_FOLDER)
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .env_remove("WATCHDOG_PID")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        match Hook::take(&mut child, duty, tell) {
            Ok(hook) => {
                let tell = tell.clone();
                let wait = move || {
                    let how =
                        child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
                    let _ = tell.send(News::HookEnded(duty, how)); // the agent may be gone
                };
                threads::small("node-hook").essential(wait)?;
                Ok(hook)
            }
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// Ends it; that it has ended is heard.
    pub(super) fn end(&mut self) {
        self.lifeline = None;
    }

    fn take(child: &mut Child, duty: Duty, tell: &Sender<News>) -> io::Result<Hook> {
        let none = || io::Error::from(io::ErrorKind::BrokenPipe);
        let lifeline = child.stdin.take().ok_or_else(none)?;
        let (out, err) = (child.stdout.take().ok_or_else(none)?, child.stderr.take().ok_or_else(none)?);
        let tell = tell.clone();
        let heard = move |_, heard| {
            if let Heard::Line(line) = heard {
                let _ = tell.send(News::HookSaid(duty, line));
            }
        };
        process::read_lines(out, child.id(), heard.clone())?;
        process::read_lines(err, child.id(), heard)?;
        Ok(Hook { lifeline: Some(lifeline) })
    }
}

/// Runs a hook until then at the latest, and as long as standard input is open; how it ended.
///
/// # Errors
/// The system refuses a process or thread; or it is too late to begin.
pub fn run(until: u64, argv: &[String]) -> io::Result<ExitStatus> {
    let none = || io::Error::from(io::ErrorKind::InvalidInput);
    let (program, args) = argv.split_first().ok_or_else(none)?;
    let left = until.saturating_sub(clock());
    if left == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let mut child = Command::new(program).args(args).process_group(0).stdin(Stdio::null()).spawn()?;
    let group = Pid::from_child(&child);
    let end = move || {
        let _ = kill_process_group(group, Signal::KILL); // it may have ended just now
    };
    let lifeline = move || {
        let _ = io::copy(&mut io::stdin().lock().by_ref(), &mut io::sink());
        end();
    };
    threads::small("lifeline").essential(lifeline)?;
    let lease = move || {
        thread::sleep(Duration::from_nanos(left));
        end();
    };
    threads::small("lease").essential(lease)?;
    child.wait()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_too_late_or_says_nothing_runs_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let made = folder.path().join("made");
        let argv = ["touch", made.to_str().unwrap()].map(str::to_owned);
        for until in [0, clock()] {
            assert_eq!(run(until, &argv).unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
        assert!(!made.exists(), "another may bring the node back by now");
        assert_eq!(run(u64::MAX, &[]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
