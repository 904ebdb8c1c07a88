//! The local socket by which other processes on this machine speak to a running peer.
//!
//! It lies in one of [`super::control_folders`]; what is said on it is in [`crate::api::control`].

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Component, Path};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::job::{self, Dest, Job, Want};
use super::node::Node;
use super::trackers::Registry;
use crate::api::control::{Answer, Fault, Get, Limit, Offered, Order, Request, SOCKET, Steer};
use crate::api::{Exit, PeerStatus, TrackerStatus, TransferStatus};
use crate::content::{Filter, Rate, SafeName};
use crate::local;
use crate::owner;
use crate::threads;

/// Longest request, in bytes.
const MAX_REQUEST_BYTES: u64 = 64 << 10;
/// How long the end of fetches that are cancelled is waited for.
const END_PATIENCE: Duration = Duration::from_secs(3);
/// The fewest digits of an id that stand for it.
const LEAST_OF_ID: usize = 6;
/// How often the state of a transfer is told.
const TELL_INTERVAL: Duration = Duration::from_millis(200);

/// Listens on the socket in this folder; one left by a process that is gone is replaced.
pub(super) fn listen(home: &Path) -> io::Result<UnixListener> {
    local::listen(home, SOCKET)
}

/// Removes the socket, so that others see at once that nobody listens.
pub(super) fn remove(home: &Path) {
    let _ = std::fs::remove_file(home.join(SOCKET));
}

/// Answers one request.
pub(super) fn answer(peer: &Arc<Node>, stream: UnixStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    if !owner::beyond(&stream).is_ok_and(owner::is_ours) {
        let refusal = "this peer is another user's, and does nothing for others".to_owned();
        return say(&stream, &Answer::Error(fault(Exit::Other, refusal)));
    }
    let mut line = String::new();
    BufReader::new(&stream).take(MAX_REQUEST_BYTES).read_line(&mut line)?;
    threads::may_panic("control-answer");
    match serde_json::from_str(&line) {
        Err(error) => say(&stream, &Answer::Error(fault(Exit::Usage, format!("not a request: {error}")))),
        Ok(Request::Status {}) => say(&stream, &Answer::Status(status(peer))),
        Ok(Request::Holds { id }) => {
            let offers = id.parse().map_or_else(|_| Vec::new(), |id| peer.means.holdings.shared(id));
            say(&stream, &Answer::Holds(offers.first().map(|offer| offer.name.to_string())))
        }
        Ok(Request::Offer { path }) => {
            let offer = peer.means.holdings.share.as_ref().and_then(|share| share.offer_at(&path));
            say(&stream, &Answer::Offer(offer.as_ref().map(Offered::of)))
        }
        Ok(Request::Steer(order)) => {
            say(&stream, &steer(peer, &order).map_or_else(Answer::Error, Answer::Steered))
        }
        Ok(Request::Limit(limit)) => {
            set_limits(peer, &limit);
            say(&stream, &Answer::Status(status(peer)))
        }
        Ok(Request::Get(get)) => match start(peer, get) {
            Ok(job) => follow(&job, &stream),
            Err(fault) => say(&stream, &Answer::Error(fault)),
        },
    }
}

fn fault(code: Exit, message: String) -> Fault {
    Fault { code, message, no_folder: false }
}

/// Starts the fetch, or says why not.
fn start(peer: &Arc<Node>, get: Get) -> Result<Job, Fault> {
    let Get { id, name, size, inside, include, exclude, dest: path, force, own, delete, .. } = get;
    let inside = inside.map(SafeName::new).transpose();
    let patterns = |texts: Vec<String>| texts.iter().map(|text| text.parse()).collect::<Result<_, _>>();
    let (Ok(id), Ok(name), Ok(inside), Ok(include), Ok(exclude)) =
        (id.parse(), SafeName::new(name), inside, patterns(include), patterns(exclude))
    else {
        return Err(fault(Exit::Usage, "the id, the name or a pattern is not one".to_owned()));
    };
    let filter = Filter { include, exclude };
    let shared = peer.means.holdings.share.as_ref().map(|share| share.place());
    if !shared.is_some_and(|shared| is_within(&shared, &path)) {
        let refusal = format!("{} is not in what this peer shares", path.display());
        return Err(fault(Exit::Usage, refusal));
    }
    let Get { wait_ms, waited_ms, down, refresh_ms, .. } = get;
    let (wait, waited) = (wait_ms.map(Duration::from_millis), Duration::from_millis(waited_ms));
    let refresh = refresh_ms.map(Duration::from_millis);
    let down = down.and_then(Rate::new);
    let dest = Dest { path, force, own, delete, wait, waited, down, refresh };
    job::start(&peer.means, Want { id, name, size, inside, filter }, dest)
        .map_err(|error| fault(Exit::Other, format!("cannot start the fetch: {error}")))
}

/// Has fetches that are under way go on in another way; how they are then.
fn steer(peer: &Node, Steer { which, order }: &Steer) -> Result<Vec<TransferStatus>, Fault> {
    let mut jobs = peer.means.jobs.live();
    jobs.retain(|job| {
        job.is_under_way() && which.as_deref().is_none_or(|which| is_called(job.want(), which))
    });
    if jobs.is_empty() {
        let what = which
            .as_ref()
            .map_or_else(String::new, |which| format!(" that is called {which} or has that id"));
        return Err(fault(Exit::NotFound, format!("this peer is fetching nothing{what}")));
    }
    for job in &jobs {
        match order {
            Order::Cancel => job.cancel(),
            Order::Pause => job.inlet().hold(true),
            Order::Resume => job.inlet().hold(false),
            Order::Down(rate) => job.inlet().set_rate(rate.and_then(Rate::new)),
        }
    }
    let until = Instant::now() + END_PATIENCE;
    Ok(jobs
        .iter()
        .map(|job| {
            if *order == Order::Cancel {
                let _ = job.wait(until.saturating_duration_since(Instant::now()));
            }
            job.status()
        })
        .collect())
}

/// True if it has this name, with or without a folder's `/`, or an id that begins so.
fn is_called(want: &Want, which: &str) -> bool {
    let name = want.name.as_str();
    let begins = which.len() >= LEAST_OF_ID && want.id.to_string().starts_with(&which.to_ascii_lowercase());
    name == which || name.strip_suffix('/') == Some(which) || begins
}

fn set_limits(peer: &Node, Limit { down, up }: &Limit) {
    if let Some(rate) = down {
        peer.means.inlet.set_rate(Rate::new(*rate));
    }
    if let Some(rate) = up {
        peer.uploads.set_limit(Rate::new(*rate));
    }
}

/// True if an absolute path is in `folder`, wherever links on the way to it lead.
fn is_within(folder: &Path, path: &Path) -> bool {
    let there = path.ancestors().find_map(|part| Some((part, fs::canonicalize(part).ok()?)));
    let Some((part, real)) = there.filter(|_| path.is_absolute()) else { return false };
    let new = path.strip_prefix(part).unwrap_or(path);
    real.starts_with(folder) && new.components().all(|part| matches!(part, Component::Normal(_)))
}

/// Tells how far a fetch is until it has ended.
fn follow(job: &Job, stream: &UnixStream) -> io::Result<()> {
    loop {
        let last = match job.wait(TELL_INTERVAL) {
            None => {
                say(stream, &Answer::Fetching(job.status()))?;
                continue;
            }
            Some(Ok(report)) => Answer::Done(report),
            Some(Err(error)) => Answer::Error(Fault {
                code: error.exit(),
                message: error.to_string(),
                no_folder: error.is_no_folder(),
            }),
        };
        return say(stream, &last);
    }
}

fn say(mut stream: &UnixStream, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    stream.write_all(&line)
}

fn status(peer: &Node) -> PeerStatus {
    let holdings = &peer.means.holdings;
    let summary = holdings.share.as_ref().map_or_else(Default::default, |share| share.summary());
    let (uploads, downloads) = peer.load();
    PeerStatus {
        name: peer.means.identity.name.clone(),
        addr: peer.addr.to_string(),
        files: summary.files,
        bytes: summary.bytes,
        uploads,
        downloads,
        sent: peer.uploads.sent.load(std::sync::atomic::Ordering::Relaxed),
        down: peer.means.inlet.rate().map(Rate::get),
        up: peer.uploads.limit().map(Rate::get),
        faults: peer.faults.as_ref().map(ToString::to_string),
        trackers: holdings
            .trackers
            .states()
            .into_iter()
            .map(|(addr, connected)| TrackerStatus { addr, connected })
            .collect(),
        transfers: peer.means.jobs.statuses(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_fetch_goes_into_what_is_shared_and_nowhere_else() {
        let place = tempfile::tempdir().unwrap();
        let place = fs::canonicalize(place.path()).unwrap();
        let at = |path: &str| place.join(path);
        fs::create_dir_all(at("share/d")).unwrap();
        fs::create_dir(at("secret")).unwrap();
        fs::write(at("secret/file"), "").unwrap();
        symlink("../secret", at("share/out")).unwrap();
        symlink("../secret/file", at("share/file")).unwrap();
        symlink("d", at("share/in")).unwrap();
        let is_within = |path: &str| is_within(&at("share"), &at(path));
        for path in ["share", "share/new", "share/d/e/f", "share/in/f", "share/d/../f", "secret/../share/x"] {
            assert!(is_within(path), "{path}");
        }
        for path in [
            "secret/x",
            "share/out/x",
            "share/out",
            "share/file",
            "share/../x",
            "share/new/../../x",
            "sharex",
            "/",
        ] {
            assert!(!is_within(path), "{path}");
        }
        assert!(!super::is_within(&at("share"), Path::new("new")));
    }

    #[test]
    fn the_socket_is_for_this_user_alone() {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join(SOCKET);
        for _ in 0..2 {
            let _listener = listen(home.path()).unwrap();
            assert_eq!(fs::symlink_metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
            UnixStream::connect(&socket).unwrap();
        }
        remove(home.path());
        assert!(!socket.exists());
    }
}
