//! Takes what comes in: connections of other peers, and requests on the local socket; a thread each.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::node::Node;
use super::stop::Stop;
use super::{control, job, serve};
use crate::net::guests::{Guest, Guests};
use crate::net::trace::Side;
use crate::net::wake::Wake;
use crate::net::{self, NetError};
use crate::say;
use crate::threads;
use crate::wire::Role;

/// How long to wait before accepting again when the system has no more descriptors or threads.
const PAUSE: Duration = Duration::from_millis(50);
/// How often it is looked whether the peer stops, should nobody say so.
const LOOK: Duration = Duration::from_secs(60);

/// Takes connections until the peer stops.
pub(super) fn connections(node: &Arc<Node>, listener: &TcpListener, guests: &Arc<Guests>, wake: &Wake) {
    let accept = || net::accept(listener);
    until_stopped(&node.means.stop, wake, listener, accept, |(stream, addr)| {
        take_in(node, guests, stream, addr)
    });
}

/// Takes requests on the local socket in `home` until the peer stops, and then removes it.
pub(super) fn requests(node: &Arc<Node>, listener: &UnixListener, home: &Path, wake: &Wake) {
    until_stopped(
        &node.means.stop,
        wake,
        listener,
        || listener.accept(),
        |(stream, _)| {
            let (answering, present) = (node.clone(), node.means.stop.enter());
            threads::may_panic("control");
            let spawned = threads::named("control-answer").connection(move || {
                let _present = present;
                if let Err(error) = control::answer(&answering, stream) {
                    tracing::debug!("a request on the local socket ended: {error}");
                }
            });
            if let Err(error) = spawned {
                tracing::warn!("no thread for a request: {error}");
            }
        },
    );
    control::remove(home);
}

fn until_stopped<T>(
    stop: &Stop,
    wake: &Wake,
    listener: &impl AsFd,
    accept: impl Fn() -> io::Result<T>,
    take: impl Fn(T),
) {
    let mut said = say::Seldom::default();
    while !stop.is_stopping() {
        match accept() {
            Ok(came) => take(came),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let _ = wake.wait_with(listener, LOOK);
            }
            Err(error) => {
                // No descriptors left, most likely: others may close some.
                if said.is_due(Instant::now()) {
                    tracing::warn!("cannot accept a connection: {error}; trying again");
                }
                let _ = wake.wait_alone(PAUSE);
            }
        }
    }
}

fn take_in(node: &Arc<Node>, guests: &Arc<Guests>, stream: TcpStream, addr: SocketAddr) {
    // Without room it just closes, and the other side tries elsewhere.
    let Ok(guest) = guests.let_in(stream, addr) else { return };
    let (node, present) = (node.clone(), node.means.stop.enter());
    threads::may_panic("accept");
    let spawned = threads::named("serve").connection(move || {
        let _present = present;
        if let Err(error) = converse(&node, &guest) {
            tracing::debug!("a serving connection ended: {error}");
        }
    });
    if let Err(error) = spawned {
        tracing::warn!("no thread for a connection: {error}");
    }
}

fn converse(node: &Node, guest: &Guest) -> Result<(), NetError> {
    let part = |theirs| match theirs {
        Role::Ask => Some(Role::Serve),
        Role::Serve => Some(Role::Ask),
        Role::Member | Role::Tracker | Role::Node => None,
    };
    let stream = guest.handle.socket();
    stream.set_nonblocking(false)?;
    let session = net::welcome(stream, &node.means.identity, Side::Serve, part)?;
    guest.greeted();
    match session.theirs.role {
        Role::Serve => job::came(&node.means, session),
        _ => serve::run(node, session, None, &guest.activity, &|| node.means.stop.is_stopping()),
    }
}
