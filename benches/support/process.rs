//! Child processes of a benchmark: started, listened to, measured, and never left behind.
//!
//! Invariant: a `Running` that is dropped has ended. Waits have deadlines and end on a signal.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use crossbeam_channel::{Receiver, RecvTimeoutError, unbounded};
use rustix::process::{Pid, Signal, kill_process};

use super::interrupt;

/// A line of a child's standard output, stamped when it was read.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) at: Instant,
    pub(crate) text: String,
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub(crate) struct Usage {
    /// User and system time.
    pub(crate) cpu_seconds: f64,
    /// `VmHWM`: the highest resident size.
    pub(crate) peak_kib: u64,
}

/// A running child.
pub(crate) struct Running {
    child: Child,
    name: String,
    log: PathBuf,
    lines: Receiver<Line>,
}

impl Running {
    /// Starts `command`; standard error goes to `NAME.log` in `logs`.
    pub(crate) fn start(mut command: Command, name: &str, logs: &Path) -> Result<Self> {
        let log = logs.join(format!("{name}.log"));
        let stderr = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        let stdout = child.stdout.take().context("the child's standard output")?;
        let (send, lines) = unbounded();
        thread::spawn(move || {
            for text in BufReader::new(stdout).lines().map_while(Result::ok) {
                if send.send(Line { at: Instant::now(), text }).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, name: name.to_owned(), log, lines })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lines of standard output as they come; closed when the child has closed it.
    pub(crate) fn lines(&self) -> &Receiver<Line> {
        &self.lines
    }

    /// Writes a line to the child's standard input: how one held at a gate is let go.
    pub(crate) fn release(&mut self) -> Result<()> {
        let stdin = self.child.stdin.as_mut().context("the child's standard input")?;
        stdin.write_all(b"go\n").with_context(|| format!("releasing {}", self.name))
    }

    /// The first line that `wanted` accepts, or an error with the child's log.
    pub(crate) fn wait_line(&self, limit: Duration, wanted: impl Fn(&str) -> bool) -> Result<Line> {
        let deadline = Instant::now() + limit;
        loop {
            interrupt::check()?;
            match self.lines.recv_timeout(Duration::from_millis(100)) {
                Ok(line) if wanted(&line.text) => return Ok(line),
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("{} ended before it said what was expected:\n{}", self.name, self.log_tail())
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() > deadline => {
                    bail!("{} did not say what was expected in {limit:?}:\n{}", self.name, self.log_tail())
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    pub(crate) fn usage(&self) -> Usage {
        usage(self.pid())
    }

    /// SIGTERM, five seconds of patience, then SIGKILL.
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(5)); // std waits for a child without a deadline or not at all
        }
        self.kill();
    }

    /// SIGKILL, and the end awaited.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(crate) fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// The last lines of standard error, for a failure's report.
    pub(crate) fn log_tail(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.pid()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs `command` to its end and returns what it took; a failure carries its standard error.
pub(crate) fn timed(command: &mut Command) -> Result<f64> {
    interrupt::check()?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let begin = Instant::now();
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    let seconds = begin.elapsed().as_secs_f64();
    if !output.status.success() {
        bail!("{command:?} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(seconds)
}

/// Runs `command` to its end and returns its highest resident size. Slows it a little: not for timed runs.
pub(crate) fn peak_of(command: &mut Command) -> Result<u64> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
    let mut peak = 0;
    loop {
        peak = peak.max(usage(child.id()).peak_kib);
        if let Some(status) = child.try_wait()? {
            return if status.success() { Ok(peak) } else { bail!("{command:?} failed: {status}") };
        }
        thread::sleep(Duration::from_millis(1)); // the peak is gone with the process: the last look must be fresh
    }
}

/// CPU seconds of all processes that this one has started and that have ended.
pub(crate) fn cpu_of_ended() -> f64 {
    ticks_of("/proc/self/stat", 13)
}

/// Two fields of a `stat`, the first of which is so many behind the process's name: user and system time.
fn ticks_of(path: &str, skip: usize) -> f64 {
    let stat = fs::read_to_string(path).unwrap_or_default();
    // The name (field 2) may hold spaces.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks: u64 = fields.skip(skip).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// Reads /proc; zeros for a process that has ended.
pub(crate) fn usage(pid: u32) -> Usage {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next());
    Usage {
        cpu_seconds: ticks_of(&format!("/proc/{pid}/stat"), 11),
        peak_kib: peak.and_then(|kib| kib.parse().ok()).unwrap_or(0),
    }
}

/// Whether `program` can be started: on PATH, in /usr/sbin, or in cargo's folder of programs.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let home = dirs::home_dir().map(|home| home.join(".cargo/bin"));
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut folders = std::env::split_paths(&path).chain(more).chain(home);
    folders.find_map(|folder| Some(folder.join(program)).filter(|file| file.is_file()))
}

/// A port that was free a moment ago, for programs that cannot choose and say one themselves.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Waits until something accepts connections on `port` of the loopback.
pub(crate) fn wait_port(port: u16, limit: Duration) -> Result<()> {
    let listens = || Ok(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    ensure!(
        interrupt::poll(limit, Duration::from_millis(10), listens)?,
        "nothing listens on port {port} after {limit:?}"
    );
    Ok(())
}
