//! How a connection begins and ends: dialling, listening, closing.

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use socket2::{Domain, Socket, Type};

use super::race::Race;
use crate::content::Endpoint;

/// Connections that may wait to be accepted; the system may allow fewer.
const BACKLOG: i32 = 4096;

/// Opens a TCP connection to `host:port`, at whichever of the addresses it stands for answers first.
///
/// # Errors
/// The first address's error, or that there is no such host.
pub fn dial(target: &str) -> io::Result<TcpStream> {
    dial_any(&resolve(target)?)
}

/// Opens a TCP connection to whichever of these answers first.
///
/// # Errors
/// The first address's error, or that there is none.
pub fn dial_any(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut may_dial = |_| true;
    let mut race = Race::new(addresses.iter().copied(), &mut may_dial);
    match race.next()? {
        Some((_, stream)) => Ok(stream),
        None => Err(race.failed.into_iter().next().map_or_else(no_address, |(_, error)| error)),
    }
}

/// Listens on `host:port`, with room for many who dial at the same moment: a queue that is full makes
/// honest ones wait for a second and more. `[::]` stands for every address of both kinds, or of IPv4 where there is no
/// IPv6.
///
/// # Errors
/// The last address's error, or that there is no such host.
pub fn listen(target: &str) -> io::Result<TcpListener> {
    let mut last = no_address();
    for addr in resolve(target)? {
        match listen_on(addr) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
        if addr.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && lacks_ipv6(&last) {
            return listen_on(SocketAddr::from((Ipv4Addr::UNSPECIFIED, addr.port())));
        }
    }
    Err(last)
}

/// What `host:port` stands for; a zone behind an address is one of this machine's interfaces.
fn resolve(target: &str) -> io::Result<Vec<SocketAddr>> {
    match target.parse::<Endpoint>() {
        Ok(Endpoint { host, port }) => Ok((&*host, port).to_socket_addrs()?.collect()),
        Err(error) => Err(io::Error::new(io::ErrorKind::InvalidInput, error)),
    }
}

fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the host has no address")
}

fn lacks_ipv6(error: &io::Error) -> bool {
    let no_address = error.kind() == io::ErrorKind::AddrNotAvailable;
    no_address || Errno::from_io_error(error) == Some(Errno::AFNOSUPPORT)
}

fn listen_on(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    if addr.is_ipv6() {
        socket.set_only_v6(!addr.ip().is_unspecified())?;
    }
    // A port whose last connections are still in their last minute can be had again at once.
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The next connection of a listener. Who comes over IPv4 has an IPv4 address, whatever the listener's kind.
///
/// # Errors
/// As of the system's call.
pub fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, addr) = listener.accept()?;
    Ok((stream, canonical(addr)))
}

/// An address as it is shown: one like ::ffff:10.0.0.1 is the IPv4 one as a socket for both kinds sees it.
pub(super) fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, addr.port()),
        IpAddr::V6(_) => addr,
    }
}

/// Ends sending and swallows what is still coming for a moment, so that the last message is read
/// before a reset destroys it.
pub fn close_gently(stream: &TcpStream) {
    const PATIENCE: Duration = Duration::from_millis(200);
    let _ = stream.shutdown(Shutdown::Write);
    let until = Instant::now() + PATIENCE;
    let mut sink = [0; 4096];
    let mut stream = stream;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        // Whoever sends a byte now and then is not waited for any longer.
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            return;
        }
        if !matches!(stream.read(&mut sink), Ok(1..)) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// True if a listener there is reached at this address.
    fn reached(listener: &TcpListener, host: &str) -> bool {
        dial(&format!("{host}:{}", listener.local_addr().unwrap().port())).is_ok()
    }

    #[test]
    fn everywhere_is_both_kinds_of_addresses_and_who_comes_over_ipv4_has_one_of_ipv4() {
        let listener = listen("[::]:0").unwrap();
        assert!(reached(&listener, "127.0.0.1"));
        assert_eq!(accept(&listener).unwrap().1.ip(), IpAddr::V4(Ipv4Addr::LOCALHOST));
        if listen("[::1]:0").is_ok() {
            assert!(reached(&listener, "[::1]"));
            assert!(accept(&listener).unwrap().1.is_ipv6());
        }
    }

    #[test]
    fn one_address_is_that_alone() {
        let listener = listen("127.0.0.1:0").unwrap();
        assert!(reached(&listener, "127.0.0.1") && !reached(&listener, "[::1]"));
        let Ok(listener) = listen("[::1]:0") else { return };
        assert!(reached(&listener, "[::1]") && !reached(&listener, "127.0.0.1"));
    }

    #[test]
    fn an_address_may_have_a_zone() {
        let near = |ip: &IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        let interfaces = if_addrs::get_if_addrs().unwrap();
        let Some(interface) = interfaces.iter().find(|interface| near(&interface.ip())) else { return };
        let zoned = format!("[{}%{}]", interface.ip(), interface.name);
        let listener = listen(&format!("{zoned}:0")).unwrap();
        assert!(reached(&listener, &zoned));
    }

    #[test]
    fn what_is_no_address_is_told() {
        for target in ["", "a", "127.0.0.1", "[::1]", ":7", "[::1%nothing]:7"] {
            assert!(dial(target).is_err() && listen(target).is_err(), "{target}");
        }
    }
}
