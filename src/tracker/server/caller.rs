//! Who calls, by what the handshake of his connection has proved.

use crate::net::secure::{Proven, Psk, Purpose, Secret};
use crate::tracker::records::Roster;
use crate::tracker::session::Caller;
use crate::wire::Epoch;

/// Who it is, and which epoch of the swarm's key he knows of; everybody is anybody where there are no members.
pub(super) fn caller(roster: &Roster, proven: Option<Proven>) -> (Caller, u32) {
    let Some(proven) = proven.filter(|_| roster.is_closed()) else { return (Caller::Anybody, 0) };
    let key = proven.key;
    match proven.purpose {
        Purpose::Member => {
            let id = |epoch: &&Epoch| Psk::of_swarm(&Secret::from(*epoch.secret.expose())).id();
            let known = roster.epoch().filter(|epoch| id(epoch) == proven.psk);
            (Caller::Member(key), known.map_or(0, |epoch| epoch.number))
        }
        Purpose::Join => (Caller::Invited(key, u64::from_be_bytes(proven.psk.0)), 0),
        Purpose::Renew => (Caller::Late(key), 0),
    }
}
