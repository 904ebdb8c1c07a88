//! How a peer is reached that has several addresses: they are dialled side by side until it answers at one of them as
//! itself.

use std::fmt;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use rustix::io::Errno;

use super::error::NetError;
use super::handshake::{HELLO_TIMEOUT, Session, greet_by};
use super::identity::Identity;
use super::race::Race;
use super::secure::{Expected, Opening};
use super::trace::Side;
use crate::content::PeerId;
use crate::wire::{PrefaceError, Role};

/// What came of each address of a peer that was not reached.
#[derive(Debug)]
pub(crate) struct Unreached(pub(crate) Vec<(SocketAddr, NetError)>);

/// Dials `peer` and greets it as `role`; also says where it was found. Where it is not, another peer that answers will do,
/// unless this side has a key: it may have another id by now, and what comes of it is proved as everything is.
///
/// # Errors
/// [`Unreached`] when it answers nowhere that `may_dial` lets be dialled; each address has a few seconds.
pub(crate) fn reach(
    (peer, addresses): (PeerId, &[SocketAddr]),
    (me, role): (&Identity, Role),
    side: Side,
    may_dial: &mut dyn FnMut(SocketAddr) -> bool,
) -> Result<(Session<Arc<TcpStream>>, SocketAddr), Unreached> {
    let to = (peer, addresses);
    match reach_by(me.keyring.dials(), to, (me, role), side, may_dial) {
        // It has not heard of the swarm's new key yet. It still has to be who was dialled, and not put out.
        Err(unreached) if unreached.lacks_the_key() => match me.keyring.dials_before(Instant::now()) {
            Some(before) => reach_by(Some(before), to, (me, role), side, may_dial),
            None => Err(unreached),
        },
        reached => reached,
    }
}

fn reach_by(
    opening: Option<Opening>,
    (peer, addresses): (PeerId, &[SocketAddr]),
    (me, role): (&Identity, Role),
    side: Side,
    may_dial: &mut dyn FnMut(SocketAddr) -> bool,
) -> Result<(Session<Arc<TcpStream>>, SocketAddr), Unreached> {
    let mut race = Race::new(addresses.iter().copied(), may_dial);
    let mut tried: Vec<(SocketAddr, NetError)> = Vec::new();
    let mut another = None;
    while let Ok(Some((addr, stream))) = race.next() {
        let by = (Expected::Peer(peer), opening.clone());
        match greet_by(Arc::new(stream), (me, role), by, side, HELLO_TIMEOUT) {
            Ok(session) if session.theirs.peer == peer => return Ok((session, addr)),
            Ok(session) => drop(another.get_or_insert((session, addr))),
            Err(error) => tried.push((addr, error)),
        }
    }
    if let Some(another) = another {
        return Ok(another);
    }
    tried.extend(race.failed.into_iter().map(|(addr, error)| (addr, error.into())));
    Err(Unreached(tried))
}

/// What came of the first address that failed.
impl From<Unreached> for NetError {
    fn from(unreached: Unreached) -> NetError {
        unreached.0.into_iter().next().map_or(NetError::Closed, |(_, error)| error)
    }
}

impl Unreached {
    /// Addresses where something answers that is no peer.
    pub(crate) fn foreign(&self) -> Vec<SocketAddr> {
        let foreign =
            self.0.iter().filter(|(_, error)| matches!(error, NetError::Preface(PrefaceError::Magic)));
        foreign.map(|(addr, _)| *addr).collect()
    }

    /// True if it says somewhere that it does not know the key that it was dialled with.
    fn lacks_the_key(&self) -> bool {
        self.0.iter().any(|(_, error)| error.lacks_the_key())
    }

    /// True if something answers and all that does breaks the protocol.
    pub(crate) fn breaks_the_protocol(&self) -> bool {
        let mut all = self.0.iter().map(|(_, error)| error).filter(|error| !is_silence(error)).peekable();
        all.peek().is_some()
            && all.all(|error| {
                matches!(
                    error,
                    NetError::Decode(_)
                        | NetError::Frame(_)
                        | NetError::Unexpected(_)
                        | NetError::Preface(_)
                        | NetError::Secure(_)
                )
            })
    }

    /// True if nobody answers at any of them.
    pub(crate) fn is_silent(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|(_, error)| is_silence(error))
    }
}

/// True if this host has no addresses of the kind, or no way from them.
fn is_of_another_kind((_, error): &(SocketAddr, NetError)) -> bool {
    let NetError::Io(error) = error else { return false };
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| [Errno::NETUNREACH, Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL].contains(&errno))
}

fn is_silence(error: &NetError) -> bool {
    matches!(error, NetError::Io(_) | NetError::TimedOut | NetError::Closed)
}

/// `10.0.0.1:9701: connection refused; [2001:db8::1]:9701: no answer came in time`
impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("it has no address");
        }
        self.0.iter().enumerate().try_for_each(|(nth, (addr, error))| {
            let gap = if nth == 0 { "" } else { "; " };
            write!(f, "{gap}{addr}: {error}")
        })?;
        let kind = if self.0.iter().all(|(addr, _)| addr.is_ipv6()) { "IPv6" } else { "IPv4" };
        let alike = self.0.iter().all(|(addr, _)| addr.is_ipv6() == (kind == "IPv6"));
        if alike && self.0.iter().all(is_of_another_kind) {
            write!(
                f,
                "; this host has no way to {kind} addresses, and that peer no others: one that has both kinds can pass it on"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_addresses_of_another_kind_alone_is_reached_by_a_third() {
        let unreached = |all: &[(&str, Errno)]| {
            let of = |(addr, errno): &(&str, Errno)| {
                (addr.parse().unwrap(), NetError::Io(std::io::Error::from(*errno)))
            };
            Unreached(all.iter().map(of).collect()).to_string()
        };
        let six = ("[2001:db8::1]:9701", Errno::NETUNREACH);
        let said = unreached(&[six, ("[2001:db8::2]:9701", Errno::AFNOSUPPORT)]);
        let words = "this host has no way to IPv6 addresses, and that peer no others";
        assert!(said.starts_with("[2001:db8::1]:9701: ") && said.contains(words), "{said}");
        assert!(unreached(&[("10.0.0.1:9701", Errno::NETUNREACH)]).contains("no way to IPv4"));
        for more in [("10.0.0.1:9701", Errno::NETUNREACH), ("[2001:db8::2]:9701", Errno::CONNREFUSED)] {
            assert!(!unreached(&[six, more]).contains("no way"), "{more:?}");
        }
    }

    #[test]
    fn what_came_of_addresses_is_silence_somebody_else_or_a_broken_protocol() {
        let refused = || NetError::Io(std::io::Error::from(Errno::CONNREFUSED));
        let foreign = || NetError::Preface(PrefaceError::Magic);
        let breaks = || NetError::Unexpected("CHUNK");
        let says = || NetError::Role(Role::Ask);
        for (what, errors, silent, broken, others) in [
            ("nothing was dialled", vec![], false, false, 0),
            ("nobody", vec![refused(), NetError::TimedOut, NetError::Closed], true, false, 0),
            ("no peer", vec![refused(), foreign()], false, true, 1),
            ("a peer that is none", vec![breaks(), foreign()], false, true, 1),
            ("one that says why", vec![says()], false, false, 0),
            ("one that says why beside one that is none", vec![says(), breaks()], false, false, 0),
        ] {
            let port = |nth: usize| SocketAddr::from(([10, 0, 0, 1], 1 + nth as u16));
            let all = errors.into_iter().enumerate().map(|(nth, error)| (port(nth), error)).collect();
            let unreached = Unreached(all);
            assert_eq!(unreached.is_silent(), silent, "{what}");
            assert_eq!(unreached.breaks_the_protocol(), broken, "{what}");
            assert_eq!(unreached.foreign().len(), others, "{what}");
            assert!(!unreached.lacks_the_key(), "{what}");
        }
    }
}
