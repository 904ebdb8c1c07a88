//! By which keys a closed tracker can be dialled: as its roster has it.

use super::records::{Key, Roster};
use crate::net::secure::{Keyring, Opening, Psk, Purpose, Secret};
use crate::wire::SwarmSecret;

/// From now on the tracker can be dialled by what the roster says, and nothing else.
pub(super) fn renew(keyring: &Keyring, roster: &Roster, now_ms: u64) {
    let (newest, others) = openings(roster, now_ms);
    if let Some(newest) = newest {
        keyring.set(newest, others.into_iter().map(|opening| (opening, None)));
        keyring.set_revoked(roster.revoked());
    }
}

/// The key of now, and all others with what they are for.
pub(super) fn openings(roster: &Roster, now_ms: u64) -> (Option<Psk>, Vec<Opening>) {
    let secret = |secret: &SwarmSecret| Secret::from(*secret.expose());
    let mut openings = roster.keys(now_ms).map(|key| match key {
        Key::Member(epoch) => {
            Opening { psk: Psk::of_swarm(&secret(&epoch.secret)), purpose: Purpose::Member }
        }
        Key::Renew(epoch) => Opening { psk: Psk::of_swarm(&secret(&epoch.secret)), purpose: Purpose::Renew },
        Key::Join(_, key) => Opening { psk: Psk::of_key(secret(key)), purpose: Purpose::Join },
    });
    let newest = roster.is_closed().then(|| openings.next()).flatten();
    (newest.map(|opening| opening.psk), openings.collect())
}
