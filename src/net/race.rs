//! Dials several addresses of one host side by side: the next one is begun when all before have failed, or have not
//! answered for a moment. One thread, and no more sockets than addresses.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};

use super::wake::wait_for;
use crate::descriptors::patiently;

/// How long a dial may take.
pub(crate) const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// An address that has not answered for so long has the next one tried beside it.
const STAGGER: Duration = Duration::from_millis(250);

/// The dials of one host.
pub(super) struct Race<'a> {
    waiting: VecDeque<SocketAddr>,
    under_way: Vec<Dial>,
    /// When the next one is begun, unless all under way fail before.
    next: Instant,
    /// What came of those that failed, in the order in which they did.
    pub(super) failed: Vec<(SocketAddr, io::Error)>,
    /// Whether an address may be dialled now; else it is passed over.
    may_dial: &'a mut dyn FnMut(SocketAddr) -> bool,
}

#[derive(Debug)]
struct Dial {
    addr: SocketAddr,
    socket: Socket,
    until: Instant,
}

impl<'a> Race<'a> {
    /// Addresses, those to be tried first in front.
    pub(super) fn new(
        addresses: impl IntoIterator<Item = SocketAddr>,
        may_dial: &'a mut dyn FnMut(SocketAddr) -> bool,
    ) -> Race<'a> {
        let waiting = addresses.into_iter().collect();
        Race { waiting, under_way: Vec::new(), next: Instant::now(), failed: Vec::new(), may_dial }
    }

    /// The next connection that is made; `None` when there is no address left.
    ///
    /// # Errors
    /// The system cannot wait.
    pub(super) fn next(&mut self) -> io::Result<Option<(SocketAddr, TcpStream)>> {
        loop {
            let now = Instant::now();
            if let Some(made) = self.settle(now)? {
                return Ok(Some(made));
            }
            if self.under_way.is_empty() || now >= self.next {
                if let Some(addr) = self.waiting.pop_front() {
                    if (self.may_dial)(addr) {
                        self.next = now + STAGGER;
                        self.begin(addr, now);
                    }
                    continue;
                }
                if self.under_way.is_empty() {
                    return Ok(None);
                }
            }
            let next = (!self.waiting.is_empty()).then_some(self.next);
            let until = self.under_way.iter().map(|dial| dial.until).chain(next).min().unwrap_or(now);
            let sockets = self.under_way.iter().map(|dial| PollFd::new(&dial.socket, PollFlags::OUT));
            wait_for(&mut sockets.collect::<Vec<_>>(), until.saturating_duration_since(now))?;
        }
    }

    fn begin(&mut self, addr: SocketAddr, now: Instant) {
        let begun =
            patiently(|| Socket::new(Domain::for_address(addr), Type::STREAM, None)).and_then(|socket| {
                socket.set_nonblocking(true)?;
                match socket.connect(&addr.into()) {
                    Err(error) if Errno::from_io_error(&error) != Some(Errno::INPROGRESS) => Err(error),
                    _ => Ok(socket),
                }
            });
        match begun {
            Ok(socket) => self.under_way.push(Dial { addr, socket, until: now + DIAL_TIMEOUT }),
            Err(error) => self.failed.push((addr, error)),
        }
    }

    /// Takes out those that have come to an end, up to the first that has a connection.
    fn settle(&mut self, now: Instant) -> io::Result<Option<(SocketAddr, TcpStream)>> {
        let sockets = self.under_way.iter().map(|dial| PollFd::new(&dial.socket, PollFlags::OUT));
        let mut sockets: Vec<_> = sockets.collect();
        wait_for(&mut sockets, Duration::ZERO)?;
        let ready: Vec<bool> = sockets.iter().map(|socket| !socket.revents().is_empty()).collect();
        for (nth, ready) in ready.into_iter().enumerate().rev() {
            if !ready && now < self.under_way[nth].until {
                continue;
            }
            let Dial { addr, socket, .. } = self.under_way.remove(nth);
            match if ready { outcome(&socket) } else { Err(io::ErrorKind::TimedOut.into()) } {
                Ok(()) => return Ok(Some((addr, socket.into()))),
                Err(error) => self.failed.push((addr, error)),
            }
        }
        Ok(None)
    }
}

/// What came of a dial that has come to an end; the socket blocks from now on.
fn outcome(socket: &Socket) -> io::Result<()> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    socket.set_nonblocking(false)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn at(listener: &TcpListener) -> SocketAddr {
        listener.local_addr().unwrap()
    }

    /// Where nobody listens.
    fn closed() -> SocketAddr {
        at(&TcpListener::bind("127.0.0.1:0").unwrap())
    }

    /// One that lets nobody in: whoever comes is left to wait.
    fn full() -> (TcpListener, Vec<TcpStream>) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let listener = TcpListener::from(socket);
        let here = at(&listener);
        let waiting = (0..8).map_while(|_| TcpStream::connect_timeout(&here, Duration::from_millis(50)).ok());
        let waiting = waiting.collect();
        (listener, waiting)
    }

    #[test]
    fn one_that_refuses_costs_nothing_and_one_that_is_silent_a_moment() {
        let here = TcpListener::bind("127.0.0.1:0").unwrap();
        let (silent, _waiting) = full();
        let began = Instant::now();
        let passed_over = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut may_dial = |addr| addr != at(&passed_over);
        let all = [at(&passed_over), closed(), at(&silent), at(&here), at(&here)];
        let mut race = Race::new(all, &mut may_dial);
        let (addr, stream) = race.next().unwrap().unwrap();
        assert!(began.elapsed() >= STAGGER && began.elapsed() < DIAL_TIMEOUT);
        assert_eq!((addr, stream.peer_addr().unwrap()), (at(&here), at(&here)));
        assert_eq!(race.failed.len(), 1);
        assert_eq!(race.failed[0].1.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(race.next().unwrap().unwrap().0, at(&here), "the next one, should that be of no use");
    }

    #[test]
    fn when_all_have_failed_it_is_known_of_each() {
        let nobody = [closed(), closed()];
        let mut may_dial = |_| true;
        let mut race = Race::new(nobody, &mut may_dial);
        assert!(race.next().unwrap().is_none());
        assert_eq!(race.failed.iter().map(|(addr, _)| *addr).collect::<Vec<_>>(), nobody);
        assert!(Race::new([], &mut |_| true).next().unwrap().is_none());
    }
}
