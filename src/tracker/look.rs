//! Dials back peers that others call dead, to see for itself.
//!
//! Owns two threads and the sockets they open; which peers are looked at, where and how often, is the
//! directory's decision. Where many are waiting, more are left out: a look makes answers better, no more.

use std::net::TcpStream;
use std::sync::Weak;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::directory::Look;
use super::server::{STACK_BYTES, Server};
use crate::net::{self, Identity, trace::Side};
use crate::threads;
use crate::wire::Role;

/// How long a peer may take to accept the connection, and then to say HELLO.
const PATIENCE: Duration = Duration::from_secs(1);
/// Threads: one that waits for a silent peer must not hold up the next look.
const LOOKERS: usize = 2;
/// Looks waiting.
const MAX_WAITING: usize = 64;

/// Where looks are ordered.
#[derive(Debug)]
pub(super) struct Looks(Sender<Look>, Receiver<Look>);

impl Looks {
    pub(super) fn new() -> Looks {
        let (order, orders) = bounded(MAX_WAITING);
        Looks(order, orders)
    }

    /// Has a peer looked at soon, if there is room.
    pub(super) fn order(&self, look: Look) {
        if let Err(TrySendError::Full(look)) = self.0.try_send(look) {
            tracing::debug!("no time to look at peer {}", look.of.peer);
        }
    }

    /// Starts the threads. They end by themselves when the server is gone: none is waited for, because a
    /// dial cannot be broken off.
    pub(super) fn spawn(&self, server: &Weak<Server>) -> std::io::Result<()> {
        for _ in 0..LOOKERS {
            let (orders, server) = (self.1.clone(), server.clone());
            threads::named("tracker-look").stack(STACK_BYTES).essential(move || look_on(&orders, &server))?;
        }
        Ok(())
    }
}

fn look_on(orders: &Receiver<Look>, server: &Weak<Server>) {
    for look in orders {
        let Some(me) = server.upgrade().map(|server| server.identity().clone()) else { return };
        let answered = answers(&look, &me);
        tracing::debug!(
            "peer {} at {} {}",
            look.of.peer,
            look.addr,
            if answered { "answers" } else { "is silent" }
        );
        let Some(server) = server.upgrade() else { return };
        server.shared().lock().looked(&look, answered, Instant::now());
    }
}

/// True if the peer answers at the address, as itself.
fn answers(look: &Look, me: &Identity) -> bool {
    let Ok(stream) = TcpStream::connect_timeout(&look.addr, PATIENCE) else { return false };
    let session = net::greet_within(PATIENCE, stream, me, Role::Ask, Role::Serve, Side::Tracker);
    session.is_ok_and(|session| session.theirs.peer == look.of.peer)
}
