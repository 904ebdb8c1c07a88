//! A port for a program that goes away and comes back.

use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// A free port that nobody else is given while this lives: it is bound, without listening. A program that
/// allows an address to be used again can listen on it; while none does, dials are refused.
#[derive(Debug)]
pub struct Port {
    _held: Socket,
    addr: SocketAddr,
}

impl Port {
    /// Takes a free port.
    pub fn reserve() -> Port {
        let held = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        held.set_reuse_address(true).expect("an open socket");
        held.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
        let addr = held.local_addr().ok().and_then(|addr| addr.as_socket()).expect("its address");
        Port { _held: held, addr }
    }

    /// The address, as an argument.
    pub fn target(&self) -> String {
        self.addr.to_string()
    }
}
