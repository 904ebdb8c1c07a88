//! Dials back peers that others call dead, to see for itself.
//!
//! Owns two threads and the sockets they open; which peers are looked at, where and how often, is the
//! directory's decision. Where many are waiting, more are left out: a look makes answers better, no more.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use socket2::{Domain, SockRef, Socket, Type};

use crate::net::secure::Expected;
use crate::net::{self, Handle, Identity, trace::Side};
use crate::threads::{self, lock};
use crate::tracker::directory::Look;
use crate::tracker::shared::Shared;
use crate::wire::Role;

/// How long a peer may take to accept the connection, and then to say HELLO.
const PATIENCE: Duration = Duration::from_secs(1);
/// Threads: one that waits for a silent peer must not hold up the next look.
const LOOKERS: usize = 2;
/// Looks waiting.
const MAX_WAITING: usize = 64;

/// Looks that were ordered, and those under way.
#[derive(Debug)]
pub(super) struct Looks {
    state: Mutex<State>,
    ordered: Receiver<Look>,
    /// How long a peer may take to accept the connection, and then to say HELLO.
    patience: Duration,
}

#[derive(Debug)]
struct State {
    /// None once it has stopped.
    order: Option<Sender<Look>>,
    /// The socket of each thread that is looking.
    under_way: [Option<Handle>; LOOKERS],
}

impl Looks {
    pub(super) fn new() -> Looks {
        Looks::with_patience(PATIENCE)
    }

    fn with_patience(patience: Duration) -> Looks {
        let (order, ordered) = bounded(MAX_WAITING);
        let state = State { order: Some(order), under_way: Default::default() };
        Looks { state: Mutex::new(state), ordered, patience }
    }

    /// Has a peer looked at soon, if there is room.
    pub(super) fn order(&self, look: Look) {
        if let Some(order) = &lock(&self.state).order
            && let Err(TrySendError::Full(look)) = order.try_send(look)
        {
            tracing::debug!("no time to look at peer {}", look.of.peer);
        }
    }

    /// Breaks off what is under way; the threads end.
    pub(super) fn stop(&self) {
        let mut state = lock(&self.state);
        state.order = None;
        state.under_way.iter().flatten().for_each(|handle| handle.shutdown(Shutdown::Both));
    }

    /// Looks at who is ordered until it is stopped, as the `nth` of those who do.
    fn look_on(&self, nth: usize, me: &Identity, shared: &Shared) {
        for look in &self.ordered {
            let answered = self.answers(nth, &look, me);
            lock(&self.state).under_way[nth] = None;
            if self.has_stopped() {
                return;
            }
            let found = if answered { "answers" } else { "is silent" };
            tracing::debug!("peer {} at {} {found}", look.of.peer, look.addr);
            shared.lock().looked(&look, answered, Instant::now());
        }
    }

    fn has_stopped(&self) -> bool {
        lock(&self.state).order.is_none()
    }

    /// True if the peer answers at the address, as itself.
    fn answers(&self, nth: usize, look: &Look, me: &Identity) -> bool {
        let Ok(socket) = Socket::new(Domain::for_address(look.addr), Type::STREAM, None) else {
            return false;
        };
        let handle = Handle::from(TcpStream::from(socket));
        {
            let mut state = lock(&self.state);
            if state.order.is_none() {
                return false;
            }
            state.under_way[nth] = Some(handle.clone());
        }
        if SockRef::from(handle.stream()).connect_timeout(&look.addr.into(), self.patience).is_err() {
            return false;
        }
        let session =
            net::greet(handle, (me, Role::Ask), Expected::Peer(look.of.peer), Side::Tracker, self.patience);
        session.is_ok_and(|session| session.theirs.peer == look.of.peer)
    }
}

/// Starts the threads, which end when `looks` are stopped; those that could be started are put into `threads`.
///
/// # Errors
/// The system gives no thread.
pub(super) fn start(
    looks: &Arc<Looks>,
    me: &Arc<Identity>,
    shared: &Arc<Shared>,
    threads: &mut Vec<JoinHandle<()>>,
) -> io::Result<()> {
    for nth in 0..LOOKERS {
        let (looks, me, shared) = (Arc::clone(looks), Arc::clone(me), Arc::clone(shared));
        threads.push(threads::small("tracker-look").essential(move || looks.look_on(nth, &me, &shared))?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};

    use super::*;
    use crate::content::PeerId;
    use crate::net::secure::Keyring;
    use crate::tracker::directory::{Bounds, Directory, Sender};
    use crate::tracker::server::crew;

    /// Longer than the test may take: whoever is not broken off is waited for.
    const LONG: Duration = Duration::from_secs(60);

    fn looking(at: SocketAddr) -> (Arc<Looks>, Vec<JoinHandle<()>>) {
        let me = Identity::tool(Keyring::none());
        let directory = Directory::new(Duration::from_secs(30), Bounds::default(), 1, Instant::now());
        let (looks, mut threads) = (Arc::new(Looks::with_patience(LONG)), Vec::new());
        start(&looks, &Arc::new(me), &Arc::new(Shared::new(directory)), &mut threads).unwrap();
        let of = Sender { connection: 1, peer: PeerId([1; 16]) };
        looks.order(Look { of, addr: at });
        (looks, threads)
    }

    /// Stops while a look is under way.
    fn stops(looks: &Looks, threads: Vec<JoinHandle<()>>) {
        while lock(&looks.state).under_way.iter().all(Option::is_none) {
            std::thread::yield_now();
        }
        let stopped = Instant::now();
        looks.stop();
        threads.into_iter().for_each(crew::join);
        assert!(stopped.elapsed() < LONG / 2, "the threads end before the look would have");
        looks.order(Look {
            of: Sender { connection: 1, peer: PeerId([1; 16]) },
            addr: ([127, 0, 0, 1], 1).into(),
        });
        assert!(looks.ordered.is_empty(), "nothing is ordered any more");
    }

    #[test]
    fn a_look_at_who_says_nothing_is_broken_off() {
        let mute = TcpListener::bind("127.0.0.1:0").unwrap();
        let (looks, threads) = looking(mute.local_addr().unwrap());
        let _accepted = mute.accept().unwrap();
        stops(&looks, threads);
    }

    #[test]
    fn a_look_at_who_does_not_even_accept_is_broken_off() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let full = TcpListener::from(socket);
        let at = full.local_addr().unwrap();
        // Whoever comes after these is left to wait.
        let _waiting: Vec<TcpStream> =
            (0..8).map_while(|_| TcpStream::connect_timeout(&at, Duration::from_millis(50)).ok()).collect();
        let (looks, threads) = looking(at);
        stops(&looks, threads);
    }
}
