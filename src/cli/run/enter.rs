//! A member's peers have keys of their own, which the member enters in the roster: until it has, they may only help to
//! serve.

use std::time::Duration;

use crate::cli::reach::swarm;
use crate::cli::reach::tracker::Tracker;
use crate::net::secure::Keyring;
use crate::threads;
use crate::wire::{ClientId, Common, Enter, FromTracker, Label, MemberKey, MemberRole, Name, Standing};

/// How long it is until it is tried again.
const AGAIN: Duration = Duration::from_secs(3);

/// Enters the key of a peer, now or as soon as a tracker can be reached.
pub(crate) fn enter(keyring: &Keyring, name: &str, trackers: &[String]) {
    let may = matches!(swarm::role(), Some(MemberRole::Publisher | MemberRole::Admin | MemberRole::Reader));
    let Some(identity) = keyring.identity().filter(|_| may) else { return };
    let key = MemberKey(identity.public().0);
    if swarm::own_key().ok().flatten() == Some(key) {
        return;
    }
    let (name, mut left) = (name.to_owned(), trackers.to_vec());
    left.retain(|tracker| !entered(tracker, key, &name));
    if left.is_empty() {
        return;
    }
    let again = move || {
        while !left.is_empty() {
            std::thread::sleep(AGAIN);
            left.retain(|tracker| !entered(tracker, key, &name));
        }
    };
    if let Err(error) = threads::named("enter").connection(again) {
        tracing::warn!("no thread to enter this peer's key: {error}");
    }
}

/// True if there is nothing more to try at this tracker.
fn entered(tracker: &str, key: MemberKey, name: &str) -> bool {
    let Ok(mut tracker) = Tracker::connect(tracker) else { return false };
    let standing = Standing { role: MemberRole::Reader, prefix: Name::default() };
    let (client, name) = (ClientId::random(), Label::new(name));
    let question = Enter { client, seq: 1, key, name, own: true, standing };
    match tracker.ask_once(&question.into()) {
        Some(FromTracker::Common(Common::Ok)) => true,
        Some(FromTracker::Common(Common::Error(error))) => {
            tracing::warn!(
                "the tracker does not enter this peer's key: {}",
                crate::content::shown(&error.detail)
            );
            true
        }
        _ => false,
    }
}
