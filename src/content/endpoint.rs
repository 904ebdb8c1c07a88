//! Where somebody listens, as strangers write it: text that ends up in dials, so one place decides about it.

use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::str::FromStr;

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

    /// This host with a port, to be dialled.
    pub fn endpoint(&self, port: u16) -> Endpoint {
        Endpoint { host: self.clone(), port }
    }

    /// Reads `HOST` or `HOST:PORT`, where a host with a `:` in it stands in brackets if a port follows. The host
    /// may be missing.
    pub fn with_port(text: &str) -> Option<(Host, Option<u16>)> {
        let (host, port) = if let Some(text) = text.strip_prefix('[') {
            let (host, behind) = text.split_once(']')?;
            (host, if behind.is_empty() { None } else { Some(behind.strip_prefix(':')?) })
        } else {
            match text.split_once(':') {
                Some((host, port)) if !port.contains(':') => (host, Some(port)),
                _ => (text, None),
            }
        };
        let port = port.map(str::parse).transpose().ok()?;
        Some((Host::new(host)?, port))
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

/// A host and a port: what can be dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where.
    pub host: Host,
    /// On which port.
    pub port: u16,
}

/// A text that is not `HOST:PORT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an address is HOST:PORT")]
pub struct EndpointError;

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Endpoint, EndpointError> {
        match Host::with_port(text) {
            Some((host, Some(port))) if !host.is_empty() => Ok(Endpoint { host, port }),
            _ => Err(EndpointError),
        }
    }
}

/// As it is dialled, with brackets where the host is an IPv6 address.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Endpoint { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
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
    fn a_host_may_have_a_port() {
        let read = |text| Host::with_port(text).map(|(host, port)| (host.to_string(), port));
        for (text, host, port) in [
            ("", "", None),
            (":7", "", Some(7)),
            ("lab", "lab", None),
            ("lab:0", "lab", Some(0)),
            ("10.0.0.1:65535", "10.0.0.1", Some(65_535)),
            ("::1", "::1", None),
            ("fe80::1%eth0", "fe80::1%eth0", None),
            ("[::1]", "::1", None),
            ("[::1]:9700", "::1", Some(9700)),
        ] {
            assert_eq!(read(text), Some((host.to_owned(), port)), "{text:?}");
        }
        for text in ["a:", "a:x", "a:65536", "a b:1", "a\0:1", "[::1", "[::1]9", "[::1]:", "::1]:9"] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_endpoint_has_a_host_and_a_port_and_reads_back() {
        for text in ["a:1", "[::1]:9700", "10.0.0.1:65535"] {
            assert_eq!(text.parse::<Endpoint>().map(|endpoint| endpoint.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "a", ":1", "a:", "a:65536", "::1:1", "[]:1", "a\0:1", "a b:1", "[a:1"] {
            assert_eq!(text.parse::<Endpoint>(), Err(EndpointError), "{text:?}");
        }
        assert_eq!(Host::from(IpAddr::from([0_u16, 0, 0, 0, 0, 0, 0, 1])).endpoint(7).to_string(), "[::1]:7");
        assert_eq!(Host::new("h.example").unwrap().endpoint(7).to_string(), "h.example:7");
    }
}
