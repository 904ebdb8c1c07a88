//! Runs the real binary for tests: starts daemons on free ports, waits for their ready line with a
//! deadline, kills them when dropped, and prints what they said when a test fails.
//!
//! Nothing here sleeps to be in step with a process: it waits for lines, for the end of a pipe, or
//! asks again until a deadline ([`eventually`]). Every process gets an empty configuration folder
//! and none of the caller's `P2P_…` or `RUST_LOG` variables.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(unreachable_pub, reason = "shared by several test programs")]

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use p2p::wire::Status;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT};
use signal_hook::flag;
use tempfile::TempDir;

mod deadline;
mod folder;
mod mounts;
mod port;
mod proxy;

pub use deadline::DEADLINE;
#[allow(unused_imports, reason = "each test program uses a part of it")]
pub use folder::{Sample, pattern};
#[allow(unused_imports, reason = "each test program uses a part of it")]
pub use mounts::private_mounts;
#[allow(unused_imports, reason = "each test program uses a part of it")]
pub use port::Port;
#[allow(unused_imports, reason = "each test program uses a part of it")]
pub use proxy::{Cut, Faults, Later, Proxy, Way};

/// The pause between two questions of [`eventually`].
const ASK_AGAIN: Duration = Duration::from_millis(5);

/// The binary with `args`, in an environment that holds nothing of the caller's.
pub fn command(args: &[&str], home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_p2p"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ours = |name: &str| name.starts_with("P2P_") || ["RUST_LOG", "RUST_BACKTRACE"].contains(&name);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(ours)) {
        command.env_remove(name);
    }
    command.env("XDG_CONFIG_HOME", home).env("XDG_CACHE_HOME", home).env("HOME", home);
    unignore_signals();
    command
}

/// What a shell that runs tests in the background, or `nohup`, has them ignore, they would have their children ignore:
/// those get it as it is by default, for what has a handler here is begun anew there.
fn unignore_signals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let status = std::fs::read_to_string("/proc/self/status").expect("this process");
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a mask");
        let mask = u64::from_str_radix(mask.trim(), 16).expect("a mask");
        for signal in [SIGHUP, SIGINT].into_iter().filter(|signal| mask >> (signal - 1) & 1 == 1) {
            flag::register(signal, Arc::default()).expect("a handler");
        }
    });
}

/// How a process ended and what it said.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

impl Output {
    /// The exit code; -1 if a signal ended it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }

    /// Fails the test, showing everything, unless the exit code is `code`.
    #[track_caller]
    pub fn expect(self, code: i32) -> Output {
        assert_eq!(self.code(), code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// Runs the binary to its end.
///
/// # Panics
/// If it is not done within [`DEADLINE`].
#[track_caller]
pub fn run(args: &[&str]) -> Output {
    run_with(args, |_| {})
}

/// [`run`], with a chance to set variables or the working directory first.
#[track_caller]
pub fn run_with(args: &[&str], prepare: impl FnOnce(&mut Command)) -> Output {
    let mut process = Process::spawn(args, prepare);
    process.wait(DEADLINE).unwrap_or_else(|| panic!("p2p {args:?} does not end"))
}

/// Asks until there is an answer.
///
/// # Panics
/// If there is none within [`DEADLINE`].
#[track_caller]
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let mut left = DEADLINE;
    loop {
        let begun = Instant::now();
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(!left.is_zero(), "{what}: not within {DEADLINE:?}");
        thread::sleep(ASK_AGAIN);
        // As below: not the time in which this process was stopped.
        left = left.saturating_sub(begun.elapsed().min(Duration::from_secs(1)));
    }
}

/// What a process has said on one pipe so far.
#[derive(Debug, Default)]
struct Said {
    text: Mutex<(String, bool)>,
    more: Condvar,
}

impl Said {
    fn lock(&self) -> MutexGuard<'_, (String, bool)> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, text: &str) {
        self.lock().0.push_str(text);
        self.more.notify_all();
    }

    fn end(&self) {
        self.lock().1 = true;
        self.more.notify_all();
    }

    fn so_far(&self) -> String {
        self.lock().0.clone()
    }

    /// Waits until `found` finds something, the pipe ends, or the deadline passes.
    fn wait<T>(&self, deadline: Duration, found: impl Fn(&str) -> Option<T>) -> Option<T> {
        let state = self.wait_while(deadline, |state| !state.1 && found(&state.0).is_none());
        found(&state.0)
    }

    fn has_ended(&self, deadline: Duration) -> bool {
        self.wait_while(deadline, |state| !state.1).1
    }

    /// Time in which this process was stopped, together with those it waits for, hardly counts.
    fn wait_while(
        &self,
        deadline: Duration,
        goes_on: impl Fn(&(String, bool)) -> bool,
    ) -> MutexGuard<'_, (String, bool)> {
        const LOOK: Duration = Duration::from_millis(200);
        let mut left = deadline;
        let mut state = self.lock();
        while goes_on(&state) && !left.is_zero() {
            let begun = Instant::now();
            let waited = self.more.wait_timeout(state, LOOK.min(left));
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            left = left.saturating_sub(begun.elapsed().min(2 * LOOK));
        }
        state
    }
}

/// Copies a pipe into `said`, line by line, until it ends.
fn listen(pipe: impl Read + Send + 'static, said: Arc<Said>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while matches!(pipe.read_until(b'\n', &mut line), Ok(1..)) {
            said.add(&String::from_utf8_lossy(&line));
            line.clear();
        }
        said.end();
    })
}

/// A process of the binary, killed when dropped.
#[derive(Debug)]
struct Process {
    args: String,
    child: Child,
    out: Arc<Said>,
    err: Arc<Said>,
    listeners: Vec<JoinHandle<()>>,
    status: Option<ExitStatus>,
    _home: TempDir,
}

impl Process {
    #[track_caller]
    fn spawn(args: &[&str], prepare: impl FnOnce(&mut Command)) -> Process {
        let home = TempDir::new().expect("a temporary folder");
        let mut command = command(args, home.path());
        prepare(&mut command);
        let mut child = command.spawn().expect("the binary starts");
        let (out, err) = (Arc::<Said>::default(), Arc::<Said>::default());
        let mut listeners = Vec::new();
        // A pipe that `prepare` replaced is not heard here.
        match child.stdout.take() {
            Some(pipe) => listeners.push(listen(pipe, Arc::clone(&out))),
            None => out.end(),
        }
        match child.stderr.take() {
            Some(pipe) => listeners.push(listen(pipe, Arc::clone(&err))),
            None => err.end(),
        }
        Process { args: args.join(" "), child, out, err, listeners, status: None, _home: home }
    }

    fn signal(&self, signal: Signal) {
        // Not after its end was seen: the number may belong to another process then.
        if self.status.is_none()
            && let Some(pid) = Pid::from_raw(self.child.id() as i32)
        {
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits for the end: both pipes end with the process.
    fn wait(&mut self, deadline: Duration) -> Option<Output> {
        let end = Instant::now() + deadline;
        for said in [&self.out, &self.err] {
            if !said.has_ended(end.saturating_duration_since(Instant::now())) {
                return None;
            }
        }
        let status = self.child.wait().ok()?;
        self.status = Some(status);
        Some(Output { status, stdout: self.out.so_far(), stderr: self.err.so_far() })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.status.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        for listener in self.listeners.drain(..) {
            let _ = listener.join();
        }
        if thread::panicking() {
            let (out, err) = (self.out.so_far(), self.err.so_far());
            eprintln!("--- p2p {}\n--- stdout\n{out}--- stderr\n{err}---", self.args);
        }
    }
}

/// A long-running command that has said it is ready.
#[derive(Debug)]
pub struct Daemon {
    process: Process,
    line: String,
    addr: SocketAddr,
}

impl Daemon {
    /// `p2p tracker` on a free port, unless `args` say where to listen.
    #[track_caller]
    pub fn tracker(args: &[&str]) -> Daemon {
        Daemon::start(&with_listen(&["tracker"], args))
    }

    /// `p2p peer FOLDER` on a free port, unless `args` say where to listen.
    #[track_caller]
    pub fn peer(folder: &Path, args: &[&str]) -> Daemon {
        let folder = folder.to_str().expect("a folder with a UTF-8 path");
        Daemon::start(&with_listen(&["peer", folder], args))
    }

    /// Any command that prints a ready line with `listening on ADDRESS`.
    #[track_caller]
    pub fn start(args: &[&str]) -> Daemon {
        Daemon::start_with(args, |_| {})
    }

    /// [`Daemon::start`], with a chance to set variables or the working directory first.
    #[track_caller]
    pub fn start_with(args: &[&str], prepare: impl FnOnce(&mut Command)) -> Daemon {
        let mut process = Process::spawn(args, prepare);
        let ready = |text: &str| {
            let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            lines.map(str::trim_end).find_map(|line| Some((line.to_owned(), listening_on(line)?)))
        };
        match process.out.wait(DEADLINE, ready) {
            Some((line, addr)) => Daemon { process, line, addr },
            None => {
                let end = process.wait(Duration::ZERO);
                panic!("p2p {args:?} does not become ready: {end:?}");
            }
        }
    }

    /// Any command that goes on for a while, as soon as its standard output has `text`. It has no address.
    #[track_caller]
    pub fn underway(args: &[&str], text: &str) -> Daemon {
        Daemon::underway_with(args, text, |_| {})
    }

    /// The same after `prepare` has seen to its process.
    #[track_caller]
    pub fn underway_with(args: &[&str], text: &str, prepare: impl FnOnce(&mut Command)) -> Daemon {
        let mut process = Process::spawn(args, prepare);
        let found = process.out.wait(DEADLINE, |said| said.contains(text).then_some(()));
        if found.is_none() {
            let end = process.wait(Duration::ZERO);
            panic!("p2p {args:?} does not say {text:?}: {end:?}");
        }
        let addr = SocketAddr::from(([0, 0, 0, 0], 0));
        Daemon { process, line: String::new(), addr }
    }

    /// Any command, without waiting for anything it says. It has no address.
    #[track_caller]
    pub fn launch(args: &[&str]) -> Daemon {
        Daemon::launch_with(args, |_| {})
    }

    /// [`Daemon::launch`], with a chance to set variables or outputs first.
    #[track_caller]
    pub fn launch_with(args: &[&str], prepare: impl FnOnce(&mut Command)) -> Daemon {
        let addr = SocketAddr::from(([0, 0, 0, 0], 0));
        Daemon { process: Process::spawn(args, prepare), line: String::new(), addr }
    }

    /// True if it has ended, whoever ended it.
    pub fn has_ended(&mut self) -> bool {
        // Not reaped here: `wait` does that, and until then its number is its own.
        self.process.out.has_ended(Duration::ZERO)
    }

    /// A line of `/proc/PID/status`: `VmRSS` in KiB, `Threads`.
    #[track_caller]
    pub fn proc_status(&self, key: &str) -> u64 {
        self.proc("status", key)
    }

    /// A line of `/proc/PID/io`: `rchar`, bytes that it has read.
    #[track_caller]
    pub fn proc_io(&self, key: &str) -> u64 {
        self.proc("io", key)
    }

    #[track_caller]
    fn proc(&self, file: &str, key: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.pid())).expect("a process");
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).expect(key);
        line.split_whitespace().next().and_then(|number| number.parse().ok()).expect(key)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where it listens, as an argument for another command.
    pub fn target(&self) -> String {
        self.addr.to_string()
    }

    /// Its ready line.
    pub fn line(&self) -> &str {
        &self.line
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// What it has said on standard error so far.
    pub fn log(&self) -> String {
        self.process.err.so_far()
    }

    /// What it has said on standard output so far.
    pub fn stdout(&self) -> String {
        self.process.out.so_far()
    }

    /// Waits until its log has `text`.
    ///
    /// # Panics
    /// If it does not within [`DEADLINE`].
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) {
        let found = self.process.err.wait(DEADLINE, |log| log.contains(text).then_some(()));
        assert!(found.is_some(), "{text:?} does not appear in the log");
    }

    /// Waits until its standard output has `text`.
    ///
    /// # Panics
    /// If it does not within [`DEADLINE`].
    #[track_caller]
    pub fn wait_for_stdout(&self, text: &str) {
        let found = self.process.out.wait(DEADLINE, |log| log.contains(text).then_some(()));
        assert!(found.is_some(), "{text:?} does not appear on standard output");
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it goes on for longer than [`DEADLINE`].
    #[track_caller]
    pub fn wait(mut self) -> Output {
        let args = self.process.args.clone();
        self.process.wait(DEADLINE).unwrap_or_else(|| panic!("p2p {args} does not end"))
    }

    /// Stops it as a person would, with SIGTERM, and waits for its end.
    #[track_caller]
    pub fn stop(self) -> Output {
        self.process.signal(Signal::TERM);
        self.wait()
    }

    /// Kills it without warning.
    #[track_caller]
    pub fn kill(self) -> Output {
        self.process.signal(Signal::KILL);
        self.wait()
    }
}

fn with_listen<'a>(command: &[&'a str], args: &[&'a str]) -> Vec<&'a str> {
    let said = args.iter().any(|arg| *arg == "--listen" || arg.starts_with("--listen="));
    let listen: &[&str] = if said { &[] } else { &["--listen", "127.0.0.1:0"] };
    [command, listen, args].concat()
}

/// The address in `… listening on 127.0.0.1:40123, …`.
fn listening_on(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening on ")?;
    rest.split([' ', ',']).next()?.parse().ok()
}

/// A channel end that fails the test instead of waiting for ever.
#[track_caller]
pub fn receive<T>(channel: &Receiver<T>, what: &str) -> T {
    channel.recv_timeout(DEADLINE).unwrap_or_else(|error: mpsc::RecvTimeoutError| panic!("{what}: {error}"))
}

/// What a tracker that a test plays says of itself: it has been there for a minute, so nothing is waited for.
pub fn status_of_a_minute() -> Status {
    Status {
        uptime_ms: 60_000,
        epoch: 1,
        peers: 1,
        names: 1,
        registrations: 1,
        located: 1,
        settling_ms: 0,
        clock_ms: 1_795_000_000_000,
    }
}
