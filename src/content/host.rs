//! Where somebody listens, as strangers write it: text that ends up in dials, so one place decides about it.

use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;

/// An address or a host name: letters, digits and `.`, `-`, `_`, `:`, `%` of ASCII; or nothing, for the
/// address that a connection comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Host(String);

impl Host {
    /// Longest host, in bytes.
    pub const MAX_BYTES: usize = 255;

    /// Checks `text`; `None` if no host is written so.
    pub fn new(text: &str) -> Option<Host> {
        let fits = text.len() <= Host::MAX_BYTES && text.bytes().all(may_be_in_a_host);
        fits.then(|| Host(text.to_owned()))
    }

    /// `host:port` as it can be dialled, with brackets where the host is an IPv6 address.
    pub fn endpoint(&self, port: u16) -> String {
        match self.contains(':') {
            true => format!("[{self}]:{port}"),
            false => format!("{self}:{port}"),
        }
    }

    /// True if `text` is `HOST:PORT`, with brackets around a host that has a `:`.
    pub fn is_endpoint(text: &str) -> bool {
        let Some((host, port)) = text.rsplit_once(':') else { return false };
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = inner.or_else(|| (!host.contains(':')).then_some(host)).and_then(Host::new);
        host.is_some_and(|host| !host.is_empty()) && port.parse::<u16>().is_ok()
    }
}

fn may_be_in_a_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte)
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Host {
        Host(address.to_string())
    }
}

impl Deref for Host {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_are_hosts_and_other_text_is_not() {
        for host in ["", "10.0.0.1", "2001:db8::1", "fe80::1%eth0.5", "peer-7.lab_3.example", "::1"] {
            assert_eq!(Host::new(host).as_deref(), Some(host));
        }
        for text in ["a\0b", "a b", "a\nb", "a/b", "ü", "\u{202e}", "[::1]", "\x1b[2J"] {
            assert_eq!(Host::new(text), None, "{text:?}");
        }
        assert_eq!(Host::new(&"a".repeat(Host::MAX_BYTES + 1)), None);
    }

    #[test]
    fn an_ipv6_address_is_dialled_in_brackets() {
        assert_eq!(Host::from(IpAddr::from([0_u16, 0, 0, 0, 0, 0, 0, 1])).endpoint(7), "[::1]:7");
        assert_eq!(Host::new("h.example").unwrap().endpoint(7), "h.example:7");
    }

    #[test]
    fn an_endpoint_has_a_host_and_a_port() {
        for endpoint in ["a:1", "[::1]:9700", "10.0.0.1:65535"] {
            assert!(Host::is_endpoint(endpoint), "{endpoint:?}");
        }
        for text in ["", "a", ":1", "a:", "a:65536", "::1:1", "[]:1", "a\0:1", "a b:1", "[a:1"] {
            assert!(!Host::is_endpoint(text), "{text:?}");
        }
    }
}
