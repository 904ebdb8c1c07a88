//! The local socket by which other processes on this machine speak to a running peer.
//!
//! `control.sock` in one of [`super::control_folders`]; one JSON request on a line, JSON answers on lines:
//! `{"status":{}}` is answered with one [`PeerStatus`], `{"holds":{"id"}}` with the name that the shared folder
//! has for it, `{"get":{…}}` with a [`TransferStatus`] now and then, and at the end with
//! `{"done":Report}` or `{"error":{"code","message","no_folder"}}`, the code being the exit code of the tool.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Inner;
use super::job::{Dest, FetchError, Job, Report, Want};
use super::transfer::TransferStatus;
use crate::content::SafeName;
use crate::threads;

/// The socket's name in its folder.
const SOCKET: &str = "control.sock";
/// Longest request, in bytes.
const MAX_REQUEST_BYTES: u64 = 64 << 10;
/// How often the state of a transfer is told.
const TELL_INTERVAL: Duration = Duration::from_millis(200);

/// What a running peer says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub addr: String,
    /// Files it shares from its folder.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Uploads served now.
    pub uploads: u16,
    /// Downloads running now.
    pub downloads: u16,
    /// Bytes of chunks sent since the start.
    pub sent: u64,
    /// How it misbehaves on purpose, if it does.
    #[serde(default)]
    pub faults: Option<String>,
    /// The trackers.
    pub trackers: Vec<TrackerStatus>,
    /// Fetches under way, and the last that ended.
    pub transfers: Vec<TransferStatus>,
}

/// A tracker as a peer sees it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TrackerStatus {
    /// Its address.
    pub addr: String,
    /// Whether the peer is connected to it now.
    pub connected: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Request {
    Status {},
    /// What the shared folder calls a content.
    Holds {
        id: String,
    },
    Get {
        id: String,
        name: String,
        size: Option<u64>,
        dest: PathBuf,
        force: bool,
        #[serde(default)]
        own: bool,
        #[serde(default)]
        delete: bool,
        wait_ms: Option<u64>,
        #[serde(default)]
        waited_ms: u64,
    },
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Answer<'a> {
    Done(&'a Report),
    Holds(Option<String>),
    Error {
        code: u8,
        message: String,
        /// What was to be a folder is none.
        no_folder: bool,
    },
}

/// Listens on the socket in this folder; one left by a process that is gone is replaced.
pub(super) fn listen(home: &Path) -> io::Result<UnixListener> {
    // A socket's address has little room: reach the directory through a descriptor of it.
    let folder = File::open(home)?;
    let path = format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd());
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Removes the socket, so that others see at once that nobody listens.
pub(super) fn remove(home: &Path) {
    let _ = std::fs::remove_file(home.join(SOCKET));
}

/// Answers one request.
pub(super) fn answer(peer: &Arc<Inner>, stream: UnixStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    let mut line = String::new();
    BufReader::new(&stream).take(MAX_REQUEST_BYTES).read_line(&mut line)?;
    threads::may_panic("control-answer");
    let refuse = |message: String| say(&stream, &Answer::Error { code: 2, message, no_folder: false });
    match serde_json::from_str(&line) {
        Err(error) => refuse(format!("not a request: {error}")),
        Ok(Request::Status {}) => say(&stream, &status(peer)),
        Ok(Request::Holds { id }) => {
            let offers = id.parse().map_or_else(|_| Vec::new(), |id| peer.shared(id));
            say(&stream, &Answer::Holds(offers.first().map(|offer| offer.name.to_string())))
        }
        Ok(Request::Get { id, name, size, dest: path, force, own, delete, wait_ms, waited_ms }) => {
            let (Ok(id), Ok(name)) = (id.parse(), SafeName::new(name)) else {
                return refuse("the id or the name is not one".to_owned());
            };
            let (wait, waited) = (wait_ms.map(Duration::from_millis), Duration::from_millis(waited_ms));
            let dest = Dest { path, force, own, delete, wait, waited };
            match Job::start(peer, Want { id, name, size }, dest) {
                Ok(job) => follow(&job, &stream),
                Err(error) => {
                    let message = format!("cannot start the fetch: {error}");
                    say(&stream, &Answer::Error { code: 1, message, no_folder: false })
                }
            }
        }
    }
}

fn follow(job: &Job, stream: &UnixStream) -> io::Result<()> {
    loop {
        match job.wait(TELL_INTERVAL) {
            None => say(stream, &job.status())?,
            Some(Ok(report)) => return say(stream, &Answer::Done(&report)),
            Some(Err(error)) => {
                let (code, message) = (error.exit_code(), error.to_string());
                let no_folder = error.is_no_folder();
                return say(stream, &Answer::Error { code, message, no_folder });
            }
        }
    }
}

fn say(mut stream: &UnixStream, answer: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    stream.write_all(&line)
}

fn status(peer: &Inner) -> PeerStatus {
    use super::Registry;
    let summary = peer.share.as_ref().map_or_else(Default::default, |share| share.summary());
    let (uploads, downloads) = peer.load();
    PeerStatus {
        name: peer.identity.name.clone(),
        addr: peer.addr.to_string(),
        files: summary.files,
        bytes: summary.bytes,
        uploads,
        downloads,
        sent: peer.uploads.sent.load(std::sync::atomic::Ordering::Relaxed),
        faults: peer.faults.as_ref().map(ToString::to_string),
        trackers: peer
            .trackers()
            .states()
            .into_iter()
            .map(|(addr, connected)| TrackerStatus { addr, connected })
            .collect(),
        transfers: peer.jobs.statuses(),
    }
}

impl FetchError {
    /// The exit code of a tool that fails with this, as in the README.
    pub fn exit_code(&self) -> u8 {
        match self {
            FetchError::NotFound(_) => 3,
            FetchError::NobodyReached(_) | FetchError::Changed { .. } => 4,
            FetchError::Integrity(_) | FetchError::BadTree(_) => 5,
            FetchError::Exists(_) | FetchError::Disk(_) | FetchError::Internal(_) => 1,
            FetchError::Interrupted => 130,
        }
    }
}
