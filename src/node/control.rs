//! The local socket on which an agent is asked: a thread takes each request to the agent, and its answer back.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::news::News;
use crate::api::Exit;
use crate::api::control::Fault;
use crate::api::node::{AGENT_SOCKET, NodeAnswer};
use crate::threads;
use crate::{local, owner, say};

/// Longest request, in bytes.
const MAX_REQUEST_BYTES: u64 = 64 << 10;
/// How long a request may take to come, and its answer to be taken.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait before accepting again when the system has no more descriptors or threads.
const PAUSE: Duration = Duration::from_millis(50);

/// Takes requests in this folder from now on.
pub(super) fn start(state: &Path, agent: &Sender<News>) -> io::Result<()> {
    let listener = local::listen(state, AGENT_SOCKET)?;
    listener.set_nonblocking(false)?;
    let agent = agent.clone();
    threads::small("node-control").essential(move || take(&listener, &agent)).map(drop)
}

/// Removes the socket, so that others see at once that nobody listens.
pub(super) fn remove(state: &Path) {
    let _ = fs::remove_file(state.join(AGENT_SOCKET));
}

fn take(listener: &UnixListener, agent: &Sender<News>) {
    let mut said = say::Seldom::default();
    loop {
        let taken = listener.accept().and_then(|(stream, _)| {
            let agent = agent.clone();
            let answer = move || {
                if let Err(error) = answer(stream, &agent) {
                    tracing::debug!("a request on the local socket ended: {error}");
                }
            };
            threads::small("node-answer").connection(answer)
        });
        if let Err(error) = taken {
            if said.is_due(Instant::now()) {
                tracing::warn!("cannot take a request: {error}; trying again");
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// Answers one request.
fn answer(mut stream: UnixStream, agent: &Sender<News>) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(&ask(&stream, agent)?)?;
    line.push(b'\n');
    stream.write_all(&line)
}

fn ask(stream: &UnixStream, agent: &Sender<News>) -> io::Result<NodeAnswer> {
    let fault = |code, message: String| NodeAnswer::Error(Fault { code, message, no_folder: false });
    if !owner::beyond(stream).is_ok_and(owner::is_ours) {
        return Ok(fault(Exit::Other, "this node is another user's, and does nothing for others".to_owned()));
    }
    let mut line = String::new();
    BufReader::new(stream).take(MAX_REQUEST_BYTES).read_line(&mut line)?;
    let request = match serde_json::from_str(&line) {
        Ok(request) => request,
        Err(error) => return Ok(fault(Exit::Usage, format!("not a request: {error}"))),
    };
    let (answer, answered) = crossbeam_channel::bounded(1);
    let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
    agent.send(News::Asked(request, answer)).map_err(|_| gone())?;
    answered.recv().map_err(|_| gone())
}
