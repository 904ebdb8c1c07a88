//! The running peer of a folder, asked over its local socket.
//!
//! One request a connection: a line of JSON; answers are lines of JSON too.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use socket2::{Domain, SockAddr, Socket, Type};

use super::units::{Period, count, shown, size};
use super::{Exit, Failure};
use crate::content::{FileId, SafeName};
use crate::peer::{Dest, Report, TransferStatus, Want, control_folders};

/// The socket's name inside the state folder.
const SOCKET: &str = "control.sock";
/// How long a running peer may be silent: it answers at once, and tells of a transfer several times a second.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two tries to connect to one that has no room.
const RETRY: Duration = Duration::from_millis(50);
/// Longest path of a local socket.
const MAX_SOCKET_PATH_BYTES: usize = 107;

/// A connection to a running peer.
#[derive(Debug)]
pub(super) struct Daemon {
    stream: BufReader<UnixStream>,
}

/// What a running peer tells about a transfer.
#[derive(Debug)]
pub(super) enum Told {
    /// How far it is.
    Status(TransferStatus),
    /// It is done.
    Done(Report),
}

#[derive(Debug, Deserialize)]
struct Fault {
    code: u8,
    message: String,
    #[serde(default)]
    no_folder: bool,
}

impl Daemon {
    /// The peer that is sharing `folder` itself, if one is running.
    pub(super) fn of_folder(folder: &Path) -> Option<Daemon> {
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
    pub(super) fn around(path: &Path) -> Option<Daemon> {
        let path = existing(path)?;
        path.ancestors().find_map(Daemon::of_folder)
    }

    /// What the peer is doing.
    pub(super) fn status(&mut self) -> Result<Value, Failure> {
        self.say(&json!({ "status": {} }))?;
        let answer = self.hear()?;
        match fault(&answer) {
            Some(failure) => Err(failure),
            None => Ok(answer),
        }
    }

    /// What the peer has fetched since its start, or is fetching.
    pub(super) fn transfers(&mut self) -> Result<Vec<TransferStatus>, Failure> {
        let mut status = self.status()?;
        let transfers = status.get_mut("transfers").map(Value::take).unwrap_or_default();
        serde_json::from_value(transfers)
            .map_err(|error| Failure::other(format!("the running peer answered strangely: {error}")))
    }

    /// What the peer's shared folder calls a content, if it is in it.
    pub(super) fn holds(&mut self, id: FileId) -> Result<Option<SafeName>, Failure> {
        self.say(&json!({ "holds": { "id": id.to_string() } }))?;
        let answer = self.hear()?;
        Ok(answer.get("holds").and_then(Value::as_str).and_then(|name| SafeName::new(name).ok()))
    }

    /// Hands a fetch over; [`Daemon::told`] tells how it goes. Hanging up does not stop it.
    pub(super) fn get(&mut self, want: &Want, dest: Dest) -> Result<(), Failure> {
        let path = std::path::absolute(&dest.path).unwrap_or(dest.path);
        let request = json!({ "get": {
            "id": want.id.to_string(),
            "name": want.name.as_str(),
            "size": want.size,
            "dest": path,
            "force": dest.force,
            "own": dest.own,
            "delete": dest.delete,
            "wait_ms": dest.wait.map(|wait| wait.as_millis() as u64),
            "waited_ms": dest.waited.as_millis() as u64,
        }});
        self.say(&request)
    }

    /// The next that the peer tells of the fetch.
    pub(super) fn told(&mut self) -> Result<Told, Failure> {
        let mut answer = self.hear()?;
        if let Some(failure) = fault(&answer) {
            return Err(failure);
        }
        let told = match answer.get_mut("done") {
            Some(done) => serde_json::from_value(done.take()).map(Told::Done),
            None => serde_json::from_value(answer).map(Told::Status),
        };
        told.map_err(|error| Failure::other(format!("the running peer answered strangely: {error}")))
    }

    /// A handle that hangs up from another thread.
    pub(super) fn handle(&self) -> Option<UnixStream> {
        self.stream.get_ref().try_clone().ok()
    }

    fn say(&mut self, request: &Value) -> Result<(), Failure> {
        let line = format!("{request}\n");
        self.stream.get_mut().write_all(line.as_bytes()).map_err(|error| lost(&error))
    }

    fn hear(&mut self) -> Result<Value, Failure> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(1..) => serde_json::from_str(&line)
                .map_err(|error| Failure::other(format!("the running peer answered strangely: {error}"))),
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

pub(super) fn went_away() -> Failure {
    Failure::unreachable("the running peer went away; what it has proved is kept, start it again to go on")
}

/// The failure in an answer, if it is one; its code is an exit code.
fn fault(answer: &Value) -> Option<Failure> {
    let fault: Fault = serde_json::from_value(answer.get("error")?.clone()).ok()?;
    Some(Failure::new(Exit::of(fault.code), fault.message).with_no_folder(fault.no_folder))
}

/// The nearest part of `path` that exists, resolved.
fn existing(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    path.ancestors().find_map(|part| fs::canonicalize(part).ok())
}

/// A peer's status for people.
pub(super) fn render(status: &Value) -> String {
    let text = |key: &str| shown(status.get(key).and_then(Value::as_str).unwrap_or("?"));
    let number = |key: &str| status.get(key).and_then(Value::as_u64).unwrap_or(0);
    let mut lines = vec![format!(
        "peer {} listening on {}, sharing {} ({}); {}, {}",
        text("name"),
        text("addr"),
        count(number("files"), "file"),
        size(number("bytes")),
        count(number("uploads"), "upload"),
        count(number("downloads"), "download"),
    )];
    if let Some(faults) = status.get("faults").and_then(Value::as_str) {
        lines.push(format!("  it misbehaves on purpose: {}", shown(faults)));
    }
    let transfers = status.get("transfers").and_then(Value::as_array);
    lines.extend(transfers.into_iter().flatten().filter_map(transfer_line));
    lines.join("\n")
}

fn transfer_line(transfer: &Value) -> Option<String> {
    let status: TransferStatus = serde_json::from_value(transfer.clone()).ok()?;
    let (name, state) = (shown(&status.name), shown(&status.state));
    let (done, total) = (size(status.bytes_done), size(status.bytes_total));
    if status.bytes_done == status.bytes_total {
        return Some(format!("  {name}: {state}, {total}"));
    }
    let peers = count(connected(&status), "peer");
    Some(format!("  {name}: {state}, {done} of {total}, {}/s from {peers}", size(status.rate as u64)))
}

/// Peers that a transfer is connected to now; one peer may have several connections.
pub(super) fn connected(status: &TransferStatus) -> u64 {
    let peers = status.sources.iter().filter(|source| source.connected).map(|source| &source.peer);
    peers.collect::<BTreeSet<_>>().len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peers_error_code_is_an_exit_code() {
        let failure = fault(&json!({ "error": { "code": 5, "message": "bad bytes" } })).unwrap();
        assert_eq!((failure.exit, failure.to_string()), (Exit::Integrity, "bad bytes".into()));
        assert_eq!(fault(&json!({ "error": { "code": 77, "message": "" } })).unwrap().exit, Exit::Other);
        assert!(fault(&json!({ "done": {} })).is_none());
    }
}
