//! Dials another peer, at all its addresses, as far as the pace of dials allows.

use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::content::PeerId;
use crate::net::trace::Side;
use crate::net::{self, Identity, Session, Unreached};
use crate::swarm::dials::{Dials, Leave};
use crate::threads::lock;
use crate::wire::Role;

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum Missed {
    /// Too many dials to these hosts went unanswered: it is to be tried later.
    Later,
    /// Nothing was dialled, for what listens there is no peer.
    Foreign,
    /// What was dialled led nowhere.
    Unreached(Unreached),
}

/// Dials `peer` and greets it as `role`; also says where it was found.
///
/// # Errors
/// [`Missed`] says why it was not.
pub(super) fn reach(
    dials: &Mutex<Dials>,
    peer: (PeerId, &[SocketAddr]),
    (me, role): (&Identity, Role),
    side: Side,
) -> Result<(Session<Arc<TcpStream>>, SocketAddr), Missed> {
    let mut later = false;
    let mut may_dial = |addr: SocketAddr| {
        let leave = lock(dials).take(&addr.to_string(), Instant::now());
        later |= leave == Leave::Later;
        leave == Leave::Now
    };
    match net::reach(peer, (me, role), side, &mut may_dial) {
        Ok((session, addr)) => {
            lock(dials).answered(&addr.to_string());
            Ok((session, addr))
        }
        Err(Unreached(tried)) if tried.is_empty() => Err(if later { Missed::Later } else { Missed::Foreign }),
        Err(unreached) => {
            for addr in unreached.foreign() {
                lock(dials).is_foreign(&addr.to_string(), Instant::now());
            }
            Err(Missed::Unreached(unreached))
        }
    }
}
