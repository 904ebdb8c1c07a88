//! The keys of a closed swarm, as its trackers tell a process that goes on: a peer, the agent of a node.

use std::time::{Duration, Instant};

use super::error::NetError;
use super::messages::Messages;
use super::secure::{Keyring, Psk, Secret};
use crate::content::PublicKey;
use crate::wire::{Common, Epoch, ErrorCode, FromTracker, Keys, Renew, ToTracker};

/// From now on the process dials with the new key, and takes that before for as long as the tracker says; connections with
/// who was put out end.
pub(crate) fn learn(keyring: &Keyring, keys: &Keys) {
    let grace = Duration::from_millis(keys.grace_ms);
    take(keyring, &keys.epoch, Instant::now().checked_add(grace).unwrap_or_else(Instant::now), &keys.revoked);
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
            take(keyring, &renewed.epoch, Instant::now(), &renewed.revoked);
            Ok(true)
        }
        FromTracker::Common(Common::Error(error)) => Err(error.into()),
        _ => Err(NetError::Unexpected("answer to RENEW")),
    }
}

fn take(keyring: &Keyring, epoch: &Epoch, grace: Instant, revoked: &[PublicKey]) {
    keyring.rotate(Psk::of_swarm(&Secret::from(*epoch.secret.expose())), grace);
    keyring.set_revoked(revoked.iter().copied());
}
