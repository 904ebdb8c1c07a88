//! What the tests of connections share.

use std::net::{SocketAddr, TcpListener, TcpStream};

/// A connection, both of its ends, and where the first one seems to be.
pub(super) fn pair() -> (TcpStream, TcpStream, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, addr) = listener.accept().unwrap();
    (near, far, addr)
}
