//! Where a peer listens, as machines tell each other: a literal address and a port. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// An address that can be dialled, and a port. An IPv4 address is one, however it is written; zones mean nothing
/// elsewhere, so there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    ip: IpAddr,
    port: u16,
}

impl Address {
    /// Bytes of an address on the wire, without the port.
    pub const IP_BYTES: usize = 16;

    /// `None` if nobody can be dialled there: without a port, or at what stands for all or many.
    pub fn new(ip: IpAddr, port: u16) -> Option<Address> {
        let ip = ip.to_canonical();
        let nobody = port == 0 || ip.is_unspecified() || ip.is_multicast();
        (!nobody).then_some(Address { ip, port })
    }

    /// The address alone.
    pub fn ip(self) -> IpAddr {
        self.ip
    }

    /// As a socket has it.
    pub fn socket(self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port)
    }

    /// Both parts as they stand on the wire, where an IPv4 address is `::ffff:a.b.c.d`.
    pub fn to_bytes(self) -> ([u8; Address::IP_BYTES], u16) {
        let ip = match self.ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        (ip.octets(), self.port)
    }

    /// Reads what [`Address::to_bytes`] gives.
    pub fn from_bytes(ip: [u8; Address::IP_BYTES], port: u16) -> Option<Address> {
        Address::new(Ipv6Addr::from(ip).into(), port)
    }

    /// True if it means something on its own machine alone, or on the cable it is plugged to.
    pub fn is_near_only(self) -> bool {
        match self.ip {
            IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local(),
        }
    }

    /// True if it is of a range that many networks use for themselves.
    pub fn is_private(self) -> bool {
        match self.ip {
            IpAddr::V4(ip) => ip.is_private(),
            IpAddr::V6(ip) => ip.is_unique_local(),
        }
    }
}

/// As it is dialled, with brackets where it is an IPv6 address.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<Address> {
        let socket: SocketAddr = text.parse().unwrap();
        Address::new(socket.ip(), socket.port())
    }

    #[test]
    fn an_address_is_one_that_can_be_dialled_and_ipv4_has_one_form() {
        for text in ["10.0.0.1:7", "[2001:db8::1]:7", "127.0.0.1:65535"] {
            let address = at(text).unwrap();
            assert_eq!(address.to_string(), text);
            let (ip, port) = address.to_bytes();
            assert_eq!(Address::from_bytes(ip, port), Some(address));
        }
        assert_eq!(at("[::ffff:10.0.0.1]:7"), at("10.0.0.1:7"));
        for text in ["10.0.0.1:0", "0.0.0.0:7", "[::]:7", "224.0.0.1:7", "[ff02::1]:7", "[::ffff:0.0.0.0]:7"]
        {
            assert_eq!(at(text), None, "{text}");
        }
    }

    #[test]
    fn how_far_an_address_reaches() {
        let near = ["127.0.0.1:7", "169.254.1.1:7", "[::1]:7", "[fe80::1]:7", "[::ffff:127.0.0.1]:7"];
        let private = ["10.1.1.1:7", "192.168.1.1:7", "[fd00::1]:7"];
        let far = ["192.0.2.1:7", "[2001:db8::1]:7"];
        let is = |text: &&str| at(text).map(|address| (address.is_near_only(), address.is_private()));
        assert!(near.iter().all(|text| is(text) == Some((true, false))));
        assert!(private.iter().all(|text| is(text) == Some((false, true))));
        assert!(far.iter().all(|text| is(text) == Some((false, false))));
    }
}
