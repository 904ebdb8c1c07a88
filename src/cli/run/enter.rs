//! A member's peers have keys of their own, which the member enters in the roster: until it has, trackers refuse them.

use std::time::Duration;

use crate::cli::reach::asking::{Wait, ask_each};
use crate::cli::reach::swarm;
use crate::cli::reach::tracker::Tracker;
use crate::cli::typed::values::Patience;
use crate::content::{PublicKey, shown};
use crate::net::secure::Keyring;
use crate::threads;
use crate::wire::{ClientId, Common, Enter, ErrorCode, FromTracker, Label, MemberRole, Name, Standing};

/// How long it is until it is tried again.
const AGAIN: Duration = Duration::from_secs(3);

/// Enters the key of a peer, now or as soon as a tracker can be reached.
pub(crate) fn enter(keyring: &Keyring, name: &str, trackers: &[String]) {
    let Some(own) = keyring.identity().filter(|_| swarm::role().is_some()) else { return };
    let (key, name) = (own.public(), name.to_owned());
    if swarm::own_key().ok().flatten() == Some(key) {
        return;
    }
    let ask = move |tracker: &str| entered(tracker, key, &name);
    let left = all_but_entered(trackers, &ask);
    if left.is_empty() {
        return;
    }
    let again = move || {
        let mut left = left;
        while !left.is_empty() {
            std::thread::sleep(AGAIN);
            left = all_but_entered(&left, &ask);
        }
    };
    if let Err(error) = threads::named("enter").connection(again) {
        tracing::warn!("no thread to enter this peer's key: {error}");
    }
}

/// Asks all trackers at once; those at which it is to be tried again.
fn all_but_entered(
    trackers: &[String],
    ask: &(impl Fn(&str) -> Result<(), String> + Clone + Send + 'static),
) -> Vec<String> {
    let (mut left, wait) = (trackers.to_vec(), Wait::new(Patience::For(Duration::ZERO)));
    let mut answers = ask_each(trackers, &wait, ask.clone());
    while let Some((tracker, answer)) = answers.next() {
        if answer.is_ok() {
            answers.hurry();
            left.retain(|other| *other != tracker);
        }
    }
    left
}

/// That there is nothing more to try at this tracker.
fn entered(tracker: &str, key: PublicKey, name: &str) -> Result<(), String> {
    let mut tracker = Tracker::connect(tracker)?;
    let standing = Standing { role: MemberRole::Reader, prefix: Name::default() };
    let (client, name) = (ClientId::random(), Label::new(name));
    let question = Enter { client, seq: 1, key, name, own: true, standing };
    match tracker.ask_once(&question.into()) {
        Some(FromTracker::Common(Common::Ok)) => Ok(()),
        // Where nobody may, it has no members, or the peer is told what it may not do.
        Some(FromTracker::Common(Common::Error(error))) if error.code == ErrorCode::NotAllowed => Ok(()),
        Some(FromTracker::Common(Common::Error(error))) => {
            tracing::warn!("the tracker does not enter this peer's key: {}", shown(&error.detail));
            Ok(())
        }
        _ => Err("it went away".to_owned()),
    }
}
