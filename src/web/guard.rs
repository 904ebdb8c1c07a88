//! May this request come in? Pure: what the request says and who it is from go in, a refusal comes out. It stands in front
//! of every route, those without a login too.
//!
//! - `Host` is one of the names that this page has: a name that a stranger's DNS points here (DNS rebinding) is none.
//! - What changes something, and the stream of events, comes from this page: `Sec-Fetch-Site`, else `Origin`, says so; a
//!   program that has neither shows a token.
//! - The role is that of the session or token.

use std::net::{IpAddr, SocketAddr};

use super::accounts::{Role, Who};

/// How this page is called.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    /// Names beside addresses, as `--web-host` has them: with or without a port.
    pub(super) hosts: Vec<String>,
    /// Who passes requests of others on.
    pub(super) proxy: Option<IpAddr>,
    /// True if nobody else may come from other machines.
    pub(super) is_alone: bool,
}

/// What a request says of where it comes from.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Facts<'a> {
    pub(super) host: Option<&'a str>,
    pub(super) origin: Option<&'a str>,
    pub(super) fetch_site: Option<&'a str>,
    /// True of GET and HEAD.
    pub(super) is_safe: bool,
    /// True if it came with a token instead of a session.
    pub(super) has_token: bool,
}

/// What a route wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wants {
    /// The least role; none: anybody who knows the way here.
    pub(super) role: Option<Role>,
    /// True if it must come from this page even though it changes nothing.
    pub(super) same_origin: bool,
}

/// Why a request is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is for a host that is none of ours.
    Misdirected,
    /// It comes from somewhere else than the proxy that is to pass all on.
    PastProxy,
    /// It comes from the page of somebody else.
    CrossSite,
    /// Nobody is logged in.
    NoLogin,
    /// The role may not do that.
    Role,
}

impl Names {
    /// True if this page is called so on a connection that came to `ours`.
    fn has(&self, host: &str, ours: SocketAddr) -> bool {
        let ip = ours.ip().to_canonical();
        let port = ours.port();
        let literal = SocketAddr::new(ip, port).to_string();
        let is = |name: &str| {
            let with_port = format!("{name}:{port}");
            host.eq_ignore_ascii_case(&with_port) || (port == 80 && host.eq_ignore_ascii_case(name))
        };
        let near = ip.is_loopback() && is("localhost");
        // Behind a proxy the port is the proxy's, so any will do with the name.
        let bare = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
        let bare = bare.map_or(host, |(bare, _)| bare);
        let named = self.hosts.iter().any(|name| {
            is(name)
                || name.eq_ignore_ascii_case(host)
                || (self.proxy.is_some() && name.eq_ignore_ascii_case(bare))
        });
        host == literal || near || named || (port == 80 && host == ip.to_string())
    }

    /// Turns away what did not come to one of our names.
    pub(super) fn check_way(
        &self,
        facts: Facts<'_>,
        theirs: SocketAddr,
        ours: SocketAddr,
    ) -> Result<(), Refusal> {
        let from = theirs.ip().to_canonical();
        let is_near = from.is_loopback() || Some(from) == self.proxy.map(|proxy| proxy.to_canonical());
        if self.is_alone && !is_near && !ours.ip().is_loopback() {
            return Err(Refusal::PastProxy);
        }
        match facts.host {
            Some(host) if self.has(host, ours) => Ok(()),
            _ => Err(Refusal::Misdirected),
        }
    }
}

/// Turns away who may not do this.
pub(super) fn check(facts: Facts<'_>, who: Option<&Who>, wants: Wants) -> Result<(), Refusal> {
    if (!facts.is_safe || wants.same_origin) && !is_ours(facts) {
        return Err(Refusal::CrossSite);
    }
    let Some(least) = wants.role else { return Ok(()) };
    match who {
        None => Err(Refusal::NoLogin),
        Some(who) if who.role < least => Err(Refusal::Role),
        Some(_) => Ok(()),
    }
}

/// True if it comes from this page, or from a program. What a browser says of itself no page can change.
fn is_ours(facts: Facts<'_>) -> bool {
    match (facts.fetch_site, facts.origin) {
        (Some("same-origin" | "none"), _) => true,
        (Some(_), _) => false,
        (None, Some(origin)) => {
            let of = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            of.is_some_and(|of| facts.host.is_some_and(|host| of.eq_ignore_ascii_case(host)))
        }
        (None, None) => facts.has_token,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(addr: &str) -> SocketAddr {
        addr.parse().unwrap()
    }

    fn way(names: &Names, host: Option<&str>, theirs: &str, ours: &str) -> Result<(), Refusal> {
        names.check_way(Facts { host, ..Facts::default() }, at(theirs), at(ours))
    }

    #[test]
    fn a_host_is_an_address_of_ours_or_a_name_that_was_given() {
        let names = Names::default();
        let near = |host| way(&names, Some(host), "127.0.0.1:5", "127.0.0.1:9781");
        for host in ["127.0.0.1:9781", "localhost:9781", "LocalHost:9781"] {
            assert_eq!(near(host), Ok(()), "{host}");
        }
        for host in [
            "evil.example:9781",
            "127.0.0.1",
            "localhost",
            "127.0.0.1:9782",
            "127.0.0.2:9781",
            "localhost.evil.example:9781",
            "",
            ":9781",
        ] {
            assert_eq!(near(host), Err(Refusal::Misdirected), "{host}");
        }
        assert_eq!(way(&names, None, "127.0.0.1:5", "127.0.0.1:9781"), Err(Refusal::Misdirected));
        assert_eq!(way(&names, Some("[::1]:9781"), "[::1]:5", "[::1]:9781"), Ok(()));
        let mapped = way(&names, Some("127.0.0.1:9781"), "[::ffff:127.0.0.1]:5", "[::ffff:127.0.0.1]:9781");
        assert_eq!(mapped, Ok(()));
    }

    #[test]
    fn beyond_this_machine_all_comes_through_the_proxy() {
        let proxy = Some(IpAddr::from([10, 0, 0, 9]));
        let names = Names { hosts: vec!["p2p.example".to_owned()], proxy, is_alone: true };
        let come = |host, theirs| way(&names, Some(host), theirs, "10.0.0.1:9781");
        assert_eq!(come("p2p.example", "10.0.0.9:1"), Ok(()));
        assert_eq!(come("p2p.example:443", "10.0.0.9:1"), Ok(()));
        assert_eq!(come("10.0.0.1:9781", "10.0.0.9:1"), Ok(()));
        assert_eq!(come("p2p.example.evil", "10.0.0.9:1"), Err(Refusal::Misdirected));
        assert_eq!(come("p2p.example", "10.0.0.8:1"), Err(Refusal::PastProxy));
        let sealed = Names { is_alone: false, ..names.clone() };
        assert_eq!(
            way(&sealed, Some("p2p.example"), "10.0.0.8:1", "10.0.0.1:9781"),
            Ok(()),
            "with TLS of its own"
        );
        let bare = Names { proxy: None, ..names };
        assert_eq!(
            way(&bare, Some("p2p.example:443"), "127.0.0.1:1", "127.0.0.1:9781"),
            Err(Refusal::Misdirected)
        );
        assert_eq!(way(&bare, Some("p2p.example:9781"), "127.0.0.1:1", "127.0.0.1:9781"), Ok(()));
    }

    #[test]
    fn what_changes_something_comes_from_this_page_or_with_a_token() {
        let host = Some("h:1");
        let wants = Wants { role: None, same_origin: false };
        let come = |facts| check(Facts { host, ..facts }, None, wants).is_ok();
        let none = Facts::default();
        assert!(come(Facts { is_safe: true, fetch_site: Some("cross-site"), ..none }));
        for (fetch_site, origin, has_token, good) in [
            (Some("same-origin"), None, false, true),
            (Some("none"), None, false, true),
            (Some("same-site"), Some("http://h:1"), false, false),
            (Some("cross-site"), Some("http://h:1"), true, false),
            (None, Some("http://h:1"), false, true),
            (None, Some("https://h:1"), false, true),
            (None, Some("http://h:2"), true, false),
            (None, Some("null"), true, false),
            (None, None, true, true),
            (None, None, false, false),
        ] {
            let facts = Facts { fetch_site, origin, has_token, ..none };
            assert_eq!(come(facts), good, "{facts:?}");
        }
        let events = Wants { role: None, same_origin: true };
        let facts = Facts { is_safe: true, fetch_site: Some("cross-site"), ..none };
        assert_eq!(check(facts, None, events), Err(Refusal::CrossSite));
    }

    #[test]
    fn a_role_may_what_those_below_it_may() {
        let roles = [Role::Metrics, Role::Reader, Role::Publisher, Role::Admin];
        let facts = Facts { is_safe: true, ..Facts::default() };
        for (number, least) in roles.into_iter().enumerate() {
            let wants = Wants { role: Some(least), same_origin: false };
            assert_eq!(check(facts, None, wants), Err(Refusal::NoLogin));
            for (other, role) in roles.into_iter().enumerate() {
                let who = Who { account: String::new(), role, session: None };
                let expected = if other >= number { Ok(()) } else { Err(Refusal::Role) };
                assert_eq!(check(facts, Some(&who), wants), expected);
            }
        }
    }
}
