//! Takes connections, and gives each a thread or turns it away.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::crew::Crew;
use super::member::Service;
use super::refuse::Refusals;
use crate::net;
use crate::say;
use crate::threads::{self, Thread};

/// How long to wait before accepting again when the system has no more descriptors or threads.
const PAUSE: Duration = Duration::from_millis(50);

/// Who comes to a tracker, and where they go.
#[derive(Debug)]
pub(super) struct Acceptor {
    pub(super) service: Arc<Service>,
    pub(super) crew: Arc<Crew>,
    pub(super) refusals: Refusals,
    /// Makes the thread of a connection.
    pub(super) member: fn() -> Thread,
}

impl Acceptor {
    pub(super) fn new(service: Arc<Service>, crew: Arc<Crew>, refusals: Refusals) -> Acceptor {
        Acceptor { service, crew, refusals, member: || threads::small("tracker-member") }
    }

    /// Takes connections until the tracker stops and the listener is shut down.
    pub(super) fn run(&self, listener: &TcpListener) {
        let mut said = say::Seldom::default();
        loop {
            let outcome = net::accept(listener).and_then(|(stream, addr)| self.admit(stream, addr));
            if let Err(error) = outcome {
                if !self.service.guests.pause(PAUSE) {
                    return;
                }
                if said.is_due(Instant::now()) {
                    tracing::warn!("cannot take a connection: {error}; trying again");
                }
            }
        }
    }

    /// Starts the thread of a new connection, or turns it away.
    pub(super) fn admit(&self, stream: TcpStream, addr: SocketAddr) -> io::Result<()> {
        threads::may_panic("tracker-accept");
        let guest = match self.service.guests.let_in(stream, addr) {
            Ok(guest) => guest,
            Err(stream) => {
                self.refusals.turn_away(stream);
                return Ok(());
            }
        };
        let (service, number) = (Arc::clone(&self.service), guest.number);
        self.crew.start((self.member)(), number, move || service.serve(&guest))
    }
}
