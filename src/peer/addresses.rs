//! Where others can dial this peer: what is advertised, and what its interfaces have.
//!
//! Asked anew for each registration: machines move, and names may come to mean something else.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use super::config::PeerError;
use crate::content::{Address, Host};

/// Where a peer listens, and what its user says of that.
#[derive(Debug)]
pub(super) struct Addresses {
    /// Where it listens.
    listens: SocketAddr,
    /// What others should dial; an empty host is the address that they see.
    advertised: Option<(Host, u16)>,
}

impl Addresses {
    /// Of a peer that listens there, with `HOST`, `HOST:PORT` or `:PORT` as what others should dial.
    ///
    /// # Errors
    /// [`PeerError::Advertise`] if that is none of them.
    pub(super) fn new(listens: SocketAddr, advertise: Option<&str>) -> Result<Addresses, PeerError> {
        let advertised = advertise.map(|text| {
            let (host, port) = Host::with_port(text).ok_or_else(|| PeerError::Advertise(text.to_owned()))?;
            Ok::<_, PeerError>((host, port.unwrap_or(listens.port())))
        });
        Ok(Addresses { listens, advertised: advertised.transpose()? })
    }

    /// The port that others should dial at an address of this peer that they see.
    pub(super) fn port(&self) -> u16 {
        self.advertised.as_ref().map_or(self.listens.port(), |(_, port)| *port)
    }

    /// The port at the address that a tracker sees, 0 if that is not listened on; and the other addresses, those to be
    /// tried first in front. Who listens at one address alone has that one, or what is advertised in its place.
    pub(super) fn now(&self) -> (u16, Vec<Address>) {
        let mut all = self.advertised.as_ref().map_or_else(Vec::new, resolved);
        let seen = self.advertised.as_ref().is_some_and(|(host, _)| host.is_empty());
        if !self.listens.ip().is_unspecified() {
            if self.advertised.is_none() {
                all.extend(Address::new(self.listens.ip(), self.listens.port()));
            }
            return (if seen { self.port() } else { 0 }, all);
        }
        let both = self.listens.is_ipv6();
        let mut own: Vec<Address> = interfaces()
            .filter(|ip| both || ip.is_ipv4())
            .filter_map(|ip| Address::new(ip, self.listens.port()))
            .filter(|address| !address.is_near_only())
            .collect();
        own.sort_by_key(|address| address.is_private());
        all.extend(own);
        (if seen { self.port() } else { self.listens.port() }, all)
    }
}

/// What a name stands for now.
fn resolved((host, port): &(Host, u16)) -> Vec<Address> {
    if host.is_empty() {
        return Vec::new();
    }
    match (&**host, *port).to_socket_addrs() {
        Ok(found) => found.filter_map(|addr| Address::new(addr.ip(), addr.port())).collect(),
        Err(error) => {
            tracing::warn!("what is advertised, {host}, has no address: {error}");
            Vec::new()
        }
    }
}

fn interfaces() -> impl Iterator<Item = IpAddr> {
    let listed = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::debug!("the interfaces cannot be listed: {error}");
        Vec::new()
    });
    listed.into_iter().map(|interface| interface.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(listens: &str, advertise: Option<&str>) -> (u16, Vec<String>) {
        let (port, addresses) = Addresses::new(listens.parse().unwrap(), advertise).unwrap().now();
        (port, addresses.iter().map(Address::to_string).collect())
    }

    #[test]
    fn who_listens_at_one_address_has_that_or_what_is_advertised() {
        for (advertise, port, addresses) in [
            (None, 0, vec!["127.0.0.1:7"]),
            (Some("192.0.2.1"), 0, vec!["192.0.2.1:7"]),
            (Some("192.0.2.1:9"), 0, vec!["192.0.2.1:9"]),
            (Some("[2001:db8::1]:9"), 0, vec!["[2001:db8::1]:9"]),
            (Some("2001:db8::1"), 0, vec!["[2001:db8::1]:7"]),
            (Some(":9"), 9, vec![]),
        ] {
            let told = now("127.0.0.1:7", advertise);
            assert_eq!(
                (told.0, told.1.iter().map(String::as_str).collect()),
                (port, addresses),
                "{advertise:?}"
            );
        }
    }

    #[test]
    fn who_listens_everywhere_has_the_one_seen_and_all_that_reach_further_than_this_machine() {
        let (port, addresses) = now("[::]:7", Some("192.0.2.1:9"));
        assert_eq!((port, &*addresses[0]), (7, "192.0.2.1:9"));
        let near = |text: &String| {
            let addr: SocketAddr = text.parse().unwrap();
            Address::new(addr.ip(), addr.port()).unwrap().is_near_only()
        };
        assert!(!addresses.iter().any(near), "{addresses:?}");
        let (_, addresses) = now("0.0.0.0:7", None);
        assert!(addresses.iter().all(|text| !text.starts_with('[')), "{addresses:?}");
        assert_eq!(now("0.0.0.0:7", Some(":9")).0, 9);
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in ["h example", "h:x"] {
            let addresses = Addresses::new(([0, 0, 0, 0], 7).into(), Some(text));
            assert!(matches!(addresses, Err(PeerError::Advertise(told)) if told == text));
        }
    }
}
