//! Where a peer can be dialled, and what of that is told to whom.
//!
//! Owns the rule that what reaches no further than a machine is told to nobody on another one.

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv4Addr};

use crate::content::Address;
use crate::wire::limits::MAX_ADDRESSES;

/// Leading bits that two addresses of one site have in common, of IPv4 and of IPv6.
const SITE_BITS: (u32, u32) = (16, 48);

/// Where a connection comes from, as the tracker sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The address.
    pub ip: IpAddr,
    /// True if it is of the tracker's own machine.
    here: bool,
}

impl Origin {
    /// That of a connection between the two addresses. One like ::ffff:10.0.0.1 is the IPv4 one as a socket for both
    /// kinds sees it.
    pub fn new(theirs: IpAddr, ours: IpAddr) -> Origin {
        let ip = theirs.to_canonical();
        Origin { ip, here: ip.is_loopback() || ip == ours.to_canonical() }
    }

    fn is_same_machine(self, other: Origin) -> bool {
        self.ip == other.ip || (self.here && other.here)
    }

    /// True if an address is likely to be of the network that this one is in.
    fn is_near(self, other: IpAddr) -> bool {
        match (self.ip, other) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= SITE_BITS.0,
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= SITE_BITS.1,
            _ => false,
        }
    }
}

impl Default for Origin {
    fn default() -> Origin {
        Origin::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }
}

/// That of another machine.
impl From<IpAddr> for Origin {
    fn from(ip: IpAddr) -> Origin {
        Origin { ip, here: false }
    }
}

/// Where a peer listens.
#[derive(Debug, Clone, Default)]
pub struct Listens {
    /// The port at the address that its connection comes from; 0: it does not listen there.
    pub port: u16,
    /// Where it says it does, those to be tried first in front.
    pub stated: Vec<Address>,
}

impl Listens {
    /// At the address that its connection comes from: nobody can have the tracker dial somebody else.
    pub(super) fn seen(&self, from: Origin) -> Option<Address> {
        let stated = || self.stated.iter().copied().find(|address| address.ip() == from.ip);
        Address::new(from.ip, self.port).or_else(stated)
    }

    fn all(&self, from: Origin) -> impl Iterator<Item = Address> {
        self.stated.iter().copied().chain(self.seen(from))
    }

    /// True if somebody there could dial it, whose connection comes from `from`.
    pub(super) fn is_told(&self, from: Origin, to: Origin) -> bool {
        self.all(from).any(|address| may_be_told(address, from, to))
    }

    /// What is told to somebody there, those to be tried first in front: what is in the same place as the asker, then
    /// as the peer says, with what many networks have for themselves behind the rest.
    pub(super) fn told(&self, from: Origin, to: Origin) -> Vec<Address> {
        let mut told: Vec<Address> = Vec::new();
        for address in self.all(from).filter(|address| may_be_told(*address, from, to)) {
            if !told.contains(&address) {
                told.push(address);
            }
        }
        told.sort_by_key(|address| {
            let own = address.is_near_only();
            (Reverse(own || to.is_near(address.ip())), address.is_private())
        });
        told.truncate(MAX_ADDRESSES);
        told
    }
}

fn may_be_told(address: Address, from: Origin, to: Origin) -> bool {
    !address.is_near_only() || from.is_same_machine(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Address {
        let socket: std::net::SocketAddr = text.parse().unwrap();
        Address::new(socket.ip(), socket.port()).unwrap()
    }

    fn from(text: &str) -> Origin {
        Origin::from(text.parse::<IpAddr>().unwrap())
    }

    fn listens(port: u16, stated: &[&str]) -> Listens {
        Listens { port, stated: stated.iter().map(|text| at(text)).collect() }
    }

    fn told(listens: &Listens, holder: Origin, asker: Origin) -> Vec<String> {
        assert_eq!(listens.is_told(holder, asker), !listens.told(holder, asker).is_empty());
        listens.told(holder, asker).iter().map(Address::to_string).collect()
    }

    #[test]
    fn what_reaches_no_further_than_a_machine_is_told_to_nobody_on_another() {
        let here = Origin::new([127, 0, 0, 1].into(), [127, 0, 0, 1].into());
        let also_here = Origin::new([192, 168, 1, 5].into(), [192, 168, 1, 5].into());
        let peer = listens(7, &["192.168.1.5:7", "[fe80::1]:7"]);
        assert_eq!(told(&peer, here, from("192.168.1.9")), ["192.168.1.5:7"]);
        for same in [here, also_here] {
            assert_eq!(told(&peer, here, same).len(), 3, "{same:?}");
        }
        assert_eq!(told(&listens(7, &[]), here, from("10.0.0.1")), [""; 0]);
        assert_eq!(told(&listens(7, &[]), here, also_here), ["127.0.0.1:7"]);
        let elsewhere = from("10.0.0.1");
        assert_eq!(told(&listens(0, &["127.0.0.1:7"]), elsewhere, elsewhere), ["127.0.0.1:7"]);
        assert_eq!(told(&listens(0, &["127.0.0.1:7"]), elsewhere, here), [""; 0]);
    }

    #[test]
    fn what_is_in_the_same_place_comes_first_and_what_many_have_last() {
        let peer = listens(7, &["203.0.113.5:9", "192.168.1.5:7", "[2001:db8::5]:7"]);
        let seen = from("198.51.100.1");
        let far = ["203.0.113.5:9", "[2001:db8::5]:7", "198.51.100.1:7", "192.168.1.5:7"];
        assert_eq!(told(&peer, seen, from("192.0.2.1")), far);
        assert_eq!(told(&peer, seen, from("192.168.2.9"))[0], "192.168.1.5:7");
        assert_eq!(told(&peer, seen, from("2001:db8:0:9::1"))[0], "[2001:db8::5]:7");
    }

    #[test]
    fn each_address_is_told_once_and_only_so_many() {
        let stated: Vec<String> = (1..=9).map(|host| format!("203.0.113.{host}:7")).collect();
        let stated: Vec<&str> = stated.iter().map(String::as_str).collect();
        let peer = listens(7, &stated);
        assert_eq!(told(&peer, from("203.0.113.1"), from("192.0.2.1")), stated[..MAX_ADDRESSES]);
        assert_eq!(told(&listens(0, &[]), from("203.0.113.1"), from("192.0.2.1")), [""; 0]);
    }

    #[test]
    fn a_peer_is_dialled_back_where_it_comes_from_alone() {
        let somewhere = from("203.0.113.1");
        assert_eq!(listens(7, &["203.0.113.9:8"]).seen(somewhere), Some(at("203.0.113.1:7")));
        assert_eq!(
            listens(0, &["203.0.113.9:8", "203.0.113.1:9"]).seen(somewhere),
            Some(at("203.0.113.1:9"))
        );
        assert_eq!(listens(0, &["203.0.113.9:8"]).seen(somewhere), None);
    }
}
