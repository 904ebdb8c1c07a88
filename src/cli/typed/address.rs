//! Addresses as people type them: `HOST`, `HOST:PORT`, `[V6]:PORT`.

use std::net::{IpAddr, SocketAddr};

/// The port of a tracker whose address has none.
const TRACKER_PORT: u16 = 9700;

/// `HOST[:PORT]` of a tracker, with its port.
pub(crate) fn tracker_address(text: &str) -> Result<String, String> {
    let bare_v6 = text.matches(':').count() > 1 && !text.starts_with('[');
    let has_port = text.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    let address = match (bare_v6, has_port) {
        (true, _) => format!("[{text}]:{TRACKER_PORT}"),
        (_, true) => text.to_owned(),
        (_, false) => format!("{text}:{TRACKER_PORT}"),
    };
    match address.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0) => {
            Ok(address)
        }
        _ => Err("an address is HOST or HOST:PORT".into()),
    }
}

/// `addr`, with `host` in the place of an address that stands for all.
pub(crate) fn reachable(addr: SocketAddr, host: IpAddr) -> SocketAddr {
    match addr.ip().is_unspecified() {
        true => SocketAddr::new(host, addr.port()),
        false => addr,
    }
}

/// The host of `HOST[:PORT]`, with its brackets if it has some.
pub(crate) fn host_of(address: &str) -> &str {
    match address.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_cut_from_addresses() {
        assert_eq!(host_of("lab"), "lab");
        assert_eq!(host_of("lab:5"), "lab");
        assert_eq!(host_of("[::1]:5"), "[::1]");
        assert_eq!(host_of("[::1]"), "[::1]");
    }

    #[test]
    fn an_address_for_all_is_replaced() {
        let host = IpAddr::from([10, 0, 0, 1]);
        let replaced = |addr: &str| reachable(addr.parse().unwrap(), host).to_string();
        assert_eq!(replaced("0.0.0.0:7"), "10.0.0.1:7");
        assert_eq!(replaced("127.0.0.1:7"), "127.0.0.1:7");
    }

    #[test]
    fn a_tracker_has_a_port() {
        assert_eq!(tracker_address("lab"), Ok("lab:9700".into()));
        assert_eq!(tracker_address("lab:1"), Ok("lab:1".into()));
        assert_eq!(tracker_address("::1"), Ok("[::1]:9700".into()));
        assert_eq!(tracker_address("[::1]"), Ok("[::1]:9700".into()));
        assert_eq!(tracker_address("[::1]:5"), Ok("[::1]:5".into()));
        for bad in ["", ":5", "lab:x", "lab:0", "lab:70000"] {
            assert!(tracker_address(bad).is_err(), "{bad:?}");
        }
    }
}
