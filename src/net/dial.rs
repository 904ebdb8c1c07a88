//! How a connection begins and ends: dialling, listening, closing.

use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::descriptors::patiently;

/// How long a dial may take before the next address is tried.
pub(crate) const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that may wait to be accepted; the system may allow fewer.
const BACKLOG: i32 = 4096;

/// Opens a TCP connection to `host:port`, trying each address it stands for.
///
/// # Errors
/// The last address's error, or that there is no such host.
pub fn dial(target: &str) -> io::Result<TcpStream> {
    with_any_of(target, |addr| patiently(|| TcpStream::connect_timeout(&addr, DIAL_TIMEOUT)))
}

/// Listens on `host:port`, with room for many who dial at the same moment: a queue that is full makes
/// honest ones wait for a second and more.
///
/// # Errors
/// The last address's error, or that there is no such host.
pub fn listen(target: &str) -> io::Result<TcpListener> {
    with_any_of(target, listen_on)
}

/// Tries the addresses that `target` stands for, until it works with one.
fn with_any_of<T>(target: &str, attempt: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for addr in target.to_socket_addrs()? {
        match attempt(addr) {
            Ok(done) => return Ok(done),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn listen_on(addr: SocketAddr) -> io::Result<TcpListener> {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    // A port whose last connections are still in their last minute can be had again at once.
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
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
