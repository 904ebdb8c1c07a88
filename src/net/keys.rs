//! The keys of a closed swarm, as its trackers tell a process that goes on: a peer, the agent of a node.

use std::time::{Duration, Instant};

use super::error::NetError;
use super::messages::Messages;
use super::secure::{Keyring, Opening, Psk, Purpose, Secret};
use crate::content::PublicKey;
use crate::wire::{Common, Epoch, ErrorCode, FromTracker, Grace, Keys, Renew, ToTracker};

/// From now on the process dials with the new key, takes those before it that the tracker names for as long as it says, and
/// no others; connections with who was put out end.
pub(crate) fn learn(keyring: &Keyring, keys: &Keys) {
    take(keyring, (&keys.epoch, &keys.before), &keys.revoked);
}

/// If an answer says that the key of this connection is over, asks for the one of now; true if there is one: it is to
/// dial again.
///
/// # Errors
/// When the connection is broken.
pub(crate) fn renew(
    line: &mut Messages<FromTracker, ToTracker>,
    keyring: &Keyring,
    answer: &FromTracker,
) -> Result<bool, NetError> {
    let over = |error: &crate::wire::Problem| error.code == ErrorCode::UnknownSwarm;
    if !matches!(answer, FromTracker::Common(Common::Error(error)) if over(error)) {
        return Ok(false);
    }
    match line.call(&Renew {}.into())? {
        FromTracker::Renewed(renewed) => {
            take(keyring, (&renewed.epoch, &renewed.before), &renewed.revoked);
            Ok(true)
        }
        FromTracker::Common(Common::Error(error)) => Err(error.into()),
        _ => Err(NetError::Unexpected("answer to RENEW")),
    }
}

fn take(keyring: &Keyring, (epoch, before): (&Epoch, &[Grace]), revoked: &[PublicKey]) {
    let (psk, now) = (|epoch: &Epoch| Psk::of_swarm(&Secret::from(*epoch.secret.expose())), Instant::now());
    let graces = before.iter().map(|grace| {
        let until = now.checked_add(Duration::from_millis(grace.left_ms)).unwrap_or(now);
        (Opening { psk: psk(&grace.epoch), purpose: Purpose::Member }, Some(until))
    });
    keyring.set(psk(epoch), graces);
    keyring.set_revoked(revoked.iter().copied());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::secure::Identity;
    use crate::wire::{List, SwarmSecret};

    fn psk(nth: u8) -> Psk {
        Psk::of_swarm(&Secret::from([nth; 32]))
    }

    #[test]
    fn a_member_takes_the_keys_that_its_trackers_name_and_no_other_that_was_good_before() {
        let keyring = Keyring::new(Identity::random().unwrap(), psk(1), Purpose::Member);
        let epoch = |nth| Epoch { number: u32::from(nth), secret: SwarmSecret::new([nth; 32]) };
        let taken = || [1, 2, 3].map(|nth| keyring.answers(psk(nth).id(), Instant::now()).is_some());
        let before = List::new(vec![Grace { epoch: epoch(1), left_ms: 3_600_000 }]);
        learn(&keyring, &Keys { epoch: epoch(2), before, revoked: List::default() });
        assert_eq!(taken(), [true, true, false]);
        // Somebody is put out who knows both.
        let revoked = List::new(vec![PublicKey([7; 32])]);
        learn(&keyring, &Keys { epoch: epoch(3), before: List::default(), revoked });
        assert_eq!(taken(), [false, false, true]);
        assert!(keyring.is_revoked(&PublicKey([7; 32])));
    }
}
