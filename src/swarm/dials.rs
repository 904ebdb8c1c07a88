//! How often this peer dials a host, for whatever fetch and whoever names it: dials that no peer answers are paced, and
//! where something else listens than a peer is left alone. Pure.
//!
//! One value for all that a peer fetches. Whoever names many ports of a host, in many contents, gets no more dials to it
//! than who names one. Dials that a peer answers cost nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::shunned::Shunned;
use crate::content::{Endpoint, Network};

/// An address where something else listens than a peer is left alone this long: whoever named it may mean harm to that.
pub(crate) const FOREIGN: Duration = Duration::from_secs(3600);
/// Dials of one host that no peer has answered yet: so many at once, and then so many a second.
const AT_ONCE: f64 = 32.0;
const A_SECOND: f64 = 8.0;
/// Hosts of which such dials are remembered.
const MAX_HOSTS: usize = 4096;

/// Whether an address may be dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// It may, and is taken to be dialled now.
    Now,
    /// Not yet: too many dials of its host went unanswered.
    Later,
    /// What listens there is no peer.
    Foreign,
}

/// A host: names are as many as their owner likes, and each is one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Network(Network),
    Name(String),
}

impl Place {
    fn of(addr: &str) -> Place {
        let host = addr.parse::<Endpoint>().map_or_else(|_| addr.to_owned(), |at| at.host.to_string());
        let address = host.split_once('%').map_or(host.as_str(), |(address, _zone)| address);
        match address.parse::<IpAddr>() {
            Ok(address) => Place::Network(Network::of(address)),
            Err(_) => Place::Name(host),
        }
    }
}

/// Dials that no peer has answered, less what time has forgiven.
#[derive(Debug)]
struct Unanswered {
    count: f64,
    at: Instant,
}

impl Unanswered {
    fn left(&self, now: Instant) -> f64 {
        self.count - now.saturating_duration_since(self.at).as_secs_f64() * A_SECOND
    }
}

/// The dials of a peer.
#[derive(Debug, Default)]
pub(crate) struct Dials {
    hosts: BTreeMap<Place, Unanswered>,
    foreign: Shunned,
}

impl Dials {
    /// Leave to dial an address now. It counts as unanswered until it is [`answered`](Dials::answered).
    #[must_use]
    pub(crate) fn take(&mut self, addr: &str, now: Instant) -> Leave {
        self.foreign.turn(now);
        if self.foreign.has(addr) {
            return Leave::Foreign;
        }
        let place = Place::of(addr);
        let count = self.hosts.get(&place).map_or(0.0, |host| host.left(now).max(0.0)) + 1.0;
        if count > AT_ONCE || !self.has_room(&place, now) {
            return Leave::Later;
        }
        self.hosts.insert(place, Unanswered { count, at: now });
        Leave::Now
    }

    fn has_room(&mut self, place: &Place, now: Instant) -> bool {
        if self.hosts.contains_key(place) {
            return true;
        }
        if self.hosts.len() >= MAX_HOSTS {
            self.hosts.retain(|_, host| host.left(now) > 0.0);
        }
        self.hosts.len() < MAX_HOSTS
    }

    /// A peer has answered there.
    pub(crate) fn answered(&mut self, addr: &str) {
        let place = Place::of(addr);
        if let Some(host) = self.hosts.get_mut(&place) {
            host.count -= 1.0;
            if host.count <= 0.0 {
                self.hosts.remove(&place);
            }
        }
    }

    /// What listens there is no peer.
    pub(crate) fn is_foreign(&mut self, addr: &str, now: Instant) {
        self.foreign.add(addr.to_owned(), now + FOREIGN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How many of these may be dialled now.
    fn dialled(dials: &mut Dials, addrs: impl Iterator<Item = String>, now: Instant) -> usize {
        addrs.filter(|addr| dials.take(addr, now) == Leave::Now).count()
    }

    fn ports(host: &'static str) -> impl Iterator<Item = String> {
        (1..1000).map(move |port| format!("{host}:{port}"))
    }

    #[test]
    fn the_ports_of_a_host_share_the_dials_that_nobody_answers() {
        let (mut dials, start) = (Dials::default(), Instant::now());
        assert_eq!(dialled(&mut dials, ports("10.0.0.1"), start), 32);
        assert_eq!(dialled(&mut dials, ports("10.0.0.1"), start + SECOND), 8);
        assert_eq!(dialled(&mut dials, ports("10.0.0.1"), start + SECOND), 0);
        assert_eq!(dialled(&mut dials, ports("10.0.0.2"), start + SECOND), 32, "another host");
        assert_eq!(dialled(&mut dials, ports("10.0.0.1"), start + 60 * SECOND), 32);
    }

    #[test]
    fn an_ipv6_network_is_a_host_however_it_is_written() {
        let (mut dials, start) = (Dials::default(), Instant::now());
        assert_eq!(dialled(&mut dials, ports("[2001:db8::1]"), start), 32);
        assert_eq!(dialled(&mut dials, ports("[2001:db8::2%eth0]"), start), 0);
        assert_eq!(dialled(&mut dials, ports("[2001:db8:0:1::2]"), start), 32);
        assert_eq!(dialled(&mut dials, ports("[::ffff:10.0.0.1]"), start), 32);
        assert_eq!(dialled(&mut dials, ports("10.0.0.1"), start), 0);
        assert_eq!(dialled(&mut dials, ports("a.example"), start), 32);
        assert_eq!(dialled(&mut dials, ports("a.example"), start), 0);
    }

    #[test]
    fn dials_that_peers_answer_cost_nothing() {
        let (mut dials, now) = (Dials::default(), Instant::now());
        for addr in ports("10.0.0.1") {
            assert_eq!(dials.take(&addr, now), Leave::Now);
            dials.answered(&addr);
        }
        assert!(dials.hosts.is_empty());
        dials.answered("10.0.0.1:1");
        assert_eq!(dialled(&mut dials, ports("10.0.0.1"), now), 32, "and are no credit");
    }

    #[test]
    fn where_something_else_listens_nobody_dials_for_an_hour() {
        let (mut dials, now) = (Dials::default(), Instant::now());
        assert_eq!(dials.take("10.0.0.1:80", now), Leave::Now);
        dials.is_foreign("10.0.0.1:80", now);
        assert_eq!(dials.take("10.0.0.1:80", now + FOREIGN - SECOND), Leave::Foreign);
        assert_eq!(dials.take("10.0.0.1:81", now), Leave::Now);
        assert_eq!(dials.take("10.0.0.1:80", now + FOREIGN), Leave::Now);
    }

    #[test]
    fn only_so_many_hosts_are_remembered_and_what_is_forgiven_makes_room() {
        let (mut dials, now) = (Dials::default(), Instant::now());
        let hosts = |from: u32| (from..).map(|nth| format!("{}:1", std::net::Ipv4Addr::from_bits(nth)));
        assert_eq!(dialled(&mut dials, hosts(1).take(5000), now), MAX_HOSTS);
        assert_eq!(dials.take("0.0.0.1:1", now), Leave::Now, "it is one of those");
        let forgiven = SECOND.div_f64(A_SECOND);
        assert_eq!(dials.take("0.1.0.0:1", now + forgiven / 2), Leave::Later);
        let new = dialled(&mut dials, hosts(9000).take(5000), now + forgiven);
        assert_eq!(new, MAX_HOSTS - 1, "the one that was dialled twice is not forgiven yet");
    }
}
