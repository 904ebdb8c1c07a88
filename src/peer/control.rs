//! The local socket by which other processes on this machine speak to a running peer.
//!
//! It lies in one of [`super::control_folders`]; what is said on it is in [`crate::api::control`], what is done then in
//! `ops`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::job::Job;
use super::node::Node;
use super::ops;
use crate::api::Exit;
use crate::api::control::{Answer, Fault, Offered, Request, SOCKET};
use crate::local;
use crate::owner;
use crate::threads;

/// Longest request, in bytes.
const MAX_REQUEST_BYTES: u64 = 64 << 10;
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
        return say(&stream, &Answer::Error(ops::fault(Exit::Other, refusal)));
    }
    let mut line = String::new();
    BufReader::new(&stream).take(MAX_REQUEST_BYTES).read_line(&mut line)?;
    threads::may_panic("control-answer");
    match serde_json::from_str(&line) {
        Err(error) => {
            say(&stream, &Answer::Error(ops::fault(Exit::Usage, format!("not a request: {error}"))))
        }
        Ok(Request::Status {}) => say(&stream, &Answer::Status(ops::status(peer))),
        Ok(Request::Holds { id }) => say(&stream, &Answer::Holds(ops::holds(peer, &id))),
        Ok(Request::Offer { path }) => {
            let offer = peer.means.holdings.share.as_ref().and_then(|share| share.offer_at(&path));
            say(&stream, &Answer::Offer(offer.as_ref().map(Offered::of)))
        }
        Ok(Request::Login {}) => say(&stream, &ops::login(peer).map_or_else(Answer::Error, Answer::Login)),
        Ok(Request::Steer(order)) => {
            say(&stream, &ops::steer(peer, &order).map_or_else(Answer::Error, Answer::Steered))
        }
        Ok(Request::Limit(limit)) => {
            ops::limit(peer, &limit);
            say(&stream, &Answer::Status(ops::status(peer)))
        }
        Ok(Request::Get(get)) => match ops::get(peer, *get) {
            Ok(job) => follow(&job, &stream),
            Err(fault) => say(&stream, &Answer::Error(fault)),
        },
    }
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

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
