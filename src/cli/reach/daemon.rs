//! The running peer of a folder, asked over its local socket.
//!
//! One request a connection: a line of JSON; answers are lines of JSON too.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::api::control::{Answer, Fault, Get, Request, SOCKET};
use crate::api::{PeerStatus, Report, TransferStatus};
use crate::cli::failure::Failure;
use crate::cli::typed::values::Period;
use crate::content::{FileId, SafeName};
use crate::peer::{Dest, Want, control_folders};

/// How long a running peer may be silent: it answers at once, and tells of a transfer several times a second.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two tries to connect to one that has no room.
const RETRY: Duration = Duration::from_millis(50);
/// Longest path of a local socket.
const MAX_SOCKET_PATH_BYTES: usize = 107;

/// A connection to a running peer.
#[derive(Debug)]
pub(crate) struct Daemon {
    stream: BufReader<UnixStream>,
}

/// What a running peer tells about a transfer.
#[derive(Debug)]
pub(crate) enum Told {
    /// How far it is.
    Status(TransferStatus),
    /// It is done.
    Done(Report),
}

impl Daemon {
    /// The peer that is sharing `folder` itself, if one is running.
    pub(crate) fn of_folder(folder: &Path) -> Option<Daemon> {
        let [inside, cached] = control_folders(folder);
        Daemon::listening_in(&inside).or_else(|| Daemon::listening_in(&cached).filter(|_| is_ours(&cached)))
    }

    fn listening_in(state: &Path) -> Option<Daemon> {
        let socket = state.join(SOCKET);
        let stream = match socket.as_os_str().len() <= MAX_SOCKET_PATH_BYTES {
            true => connect(&socket),
            false => {
                // A socket's address has little room: reach the folder through a descriptor of it.
                let folder = File::open(state).ok()?;
                connect(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()).as_ref())
            }
        };
        stream.ok().map(|stream| Daemon { stream: BufReader::new(stream) })
    }

    /// The peer that is sharing the folder that `path` is in, nearest first.
    pub(crate) fn around(path: &Path) -> Option<Daemon> {
        let path = existing(path)?;
        path.ancestors().find_map(Daemon::of_folder)
    }

    /// What the peer is doing.
    pub(crate) fn status(&mut self) -> Result<PeerStatus, Failure> {
        match self.ask(&Request::Status {})? {
            Answer::Status(status) => Ok(status),
            _ => Err(strange("to another question")),
        }
    }

    /// What the peer's shared folder calls a content, if it is in it.
    pub(crate) fn holds(&mut self, id: FileId) -> Result<Option<SafeName>, Failure> {
        match self.ask(&Request::Holds { id: id.to_string() })? {
            Answer::Holds(name) => Ok(name.and_then(|name| SafeName::new(name).ok())),
            _ => Err(strange("to another question")),
        }
    }

    /// Hands a fetch over; [`Daemon::told`] tells how it goes. Hanging up does not stop it.
    pub(crate) fn get(&mut self, want: &Want, dest: Dest) -> Result<(), Failure> {
        self.say(&Request::Get(Get {
            id: want.id.to_string(),
            name: want.name.as_str().to_owned(),
            size: want.size,
            dest: std::path::absolute(&dest.path).unwrap_or(dest.path),
            force: dest.force,
            own: dest.own,
            delete: dest.delete,
            wait_ms: dest.wait.map(|wait| wait.as_millis() as u64),
            waited_ms: dest.waited.as_millis() as u64,
        }))
    }

    /// The next that the peer tells of the fetch.
    pub(crate) fn told(&mut self) -> Result<Told, Failure> {
        match self.hear()? {
            Answer::Fetching(status) => Ok(Told::Status(status)),
            Answer::Done(report) => Ok(Told::Done(report)),
            _ => Err(strange("to another question")),
        }
    }

    /// A handle that hangs up from another thread.
    pub(crate) fn handle(&self) -> Option<UnixStream> {
        self.stream.get_ref().try_clone().ok()
    }

    fn ask(&mut self, request: &Request) -> Result<Answer, Failure> {
        self.say(request)?;
        self.hear()
    }

    fn say(&mut self, request: &Request) -> Result<(), Failure> {
        let mut line = serde_json::to_vec(request)
            .map_err(|error| Failure::usage(format!("the running peer cannot be told that: {error}")))?;
        line.push(b'\n');
        self.stream.get_mut().write_all(&line).map_err(|error| lost(&error))
    }

    /// An answer; a fault is this command's own.
    fn hear(&mut self) -> Result<Answer, Failure> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(1..) => match serde_json::from_str(&line) {
                Ok(Answer::Error(fault)) => Err(failure(fault)),
                Ok(answer) => Ok(answer),
                Err(error) => Err(strange(&error.to_string())),
            },
            Ok(0) => Err(went_away()),
            Err(error) => Err(lost(&error)),
        }
    }
}

/// Connects to a running peer. One that hangs has no room for us after a while: then the socket is not
/// connected, which shows when something is said on it.
fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let path = SockAddr::unix(path)?;
    let until = Instant::now() + PATIENCE;
    socket.set_nonblocking(true)?;
    while let Err(error) = socket.connect(&path) {
        match error.kind() {
            io::ErrorKind::WouldBlock if Instant::now() < until => thread::sleep(RETRY),
            io::ErrorKind::WouldBlock => break,
            _ => return Err(error),
        }
    }
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(UnixStream::from(OwnedFd::from(socket)))
}

/// What it means that the running peer could not be spoken to or heard.
fn lost(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::NotConnected => {
            Failure::unreachable(format!(
                "the running peer has not answered for {}: it hangs or was stopped; wake it up or end it, then try again",
                Period(PATIENCE)
            ))
        }
        _ => went_away(),
    }
}

/// True if nobody but this user made it: where there is no home, the cache is where all users write.
fn is_ours(folder: &Path) -> bool {
    fs::metadata(folder).is_ok_and(|metadata| metadata.uid() == rustix::process::geteuid().as_raw())
}

pub(crate) fn went_away() -> Failure {
    Failure::unreachable("the running peer went away; what it has proved is kept, start it again to go on")
}

fn strange(what: &str) -> Failure {
    Failure::other(format!("the running peer answered strangely: {what}; is it of another version?"))
}

fn failure(Fault { code, message, no_folder }: Fault) -> Failure {
    Failure::new(code, message).with_no_folder(no_folder)
}

/// The nearest part of `path` that exists, resolved.
fn existing(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    path.ancestors().find_map(|part| fs::canonicalize(part).ok())
}
