//! Addresses as people type them: `HOST`, `HOST:PORT`, `[V6]:PORT`.

use std::net::{IpAddr, SocketAddr};

use crate::content::{Endpoint, Host};

/// The port of a tracker whose address has none.
const TRACKER_PORT: u16 = 9700;

/// `HOST[:PORT]` of a tracker, with its port.
pub(crate) fn tracker_address(text: &str) -> Result<String, String> {
    let read = Host::with_port(text).map(|(host, port)| host.endpoint(port.unwrap_or(TRACKER_PORT)));
    match read.filter(|endpoint| !endpoint.host.is_empty() && endpoint.port > 0) {
        Some(endpoint) => Ok(endpoint.to_string()),
        None => Err("an address is HOST or HOST:PORT".into()),
    }
}

/// `HOST:PORT` where to listen; it may be that of no interface here, or taken.
pub(crate) fn listened(text: &str) -> Result<String, String> {
    text.parse::<Endpoint>().map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// `HOST[:PORT]` or `:PORT` that others are to dial.
pub(crate) fn advertised(text: &str) -> Result<String, String> {
    let stands_for_all = |host: &Host| host.parse::<IpAddr>().is_ok_and(|addr| addr.is_unspecified());
    let could_be_dialled = |(host, port): &(Host, Option<u16>)| {
        *port != Some(0) && !stands_for_all(host) && (port.is_some() || !host.is_empty())
    };
    match Host::with_port(text).filter(could_be_dialled) {
        Some(_) => Ok(text.to_owned()),
        None => {
            Err("others can dial a HOST, a HOST:PORT, or a :PORT at the address that the tracker sees".into())
        }
    }
}

/// True of an address at which others than this machine may dial, or be dialled.
pub(crate) fn is_far(address: &str) -> bool {
    let host = Host::with_port(address).map(|(host, _)| host);
    let is_near =
        |host: &Host| &**host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    !host.as_ref().is_some_and(is_near)
}

/// `addr`, with `host` in the place of an address that stands for all.
pub(crate) fn reachable(addr: SocketAddr, host: IpAddr) -> SocketAddr {
    match addr.ip().is_unspecified() {
        true => SocketAddr::new(host, addr.port()),
        false => addr,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_may_dial_is_far() {
        for near in ["127.0.0.1:0", "127.0.0.9", "[::1]:9700", "localhost:9700"] {
            assert!(!is_far(near), "{near}");
        }
        for far in ["[::]:9700", "0.0.0.0:0", "10.0.0.1:9", "lab:9700", ":9", ""] {
            assert!(is_far(far), "{far}");
        }
    }

    #[test]
    fn where_to_listen_has_a_port() {
        for place in ["127.0.0.1:0", "[::]:9700", "lab:9700", "[fe80::1%eth0]:9700"] {
            assert_eq!(listened(place).as_deref(), Ok(place));
        }
        for none in ["9700", ":9700", "lab", "[::]", "lab:x", "lab:70000", ""] {
            assert!(listened(none).is_err(), "{none}");
        }
    }

    #[test]
    fn an_address_for_all_is_replaced() {
        let host = IpAddr::from([10, 0, 0, 1]);
        let replaced = |addr: &str| reachable(addr.parse().unwrap(), host).to_string();
        assert_eq!(replaced("0.0.0.0:7"), "10.0.0.1:7");
        assert_eq!(replaced("127.0.0.1:7"), "127.0.0.1:7");
    }

    #[test]
    fn what_is_advertised_can_be_dialled() {
        for good in ["lab", "lab:9", "10.0.0.1", "::1", "[::1]:9", ":99"] {
            assert_eq!(advertised(good), Ok(good.into()));
        }
        for bad in ["", ":", ":0", "lab:0", "0.0.0.0", "0.0.0.0:9", "::", "[::]:9", "l ab", "lab:x"] {
            assert!(advertised(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_tracker_has_a_port() {
        assert_eq!(tracker_address("lab"), Ok("lab:9700".into()));
        assert_eq!(tracker_address("lab:1"), Ok("lab:1".into()));
        assert_eq!(tracker_address("::1"), Ok("[::1]:9700".into()));
        assert_eq!(tracker_address("[::1]"), Ok("[::1]:9700".into()));
        assert_eq!(tracker_address("[::1]:5"), Ok("[::1]:5".into()));
        for bad in ["", ":5", "lab:x", "lab:0", "lab:70000", "l ab"] {
            assert!(tracker_address(bad).is_err(), "{bad:?}");
        }
    }
}
