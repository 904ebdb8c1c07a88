//! A member's peers have keys of their own, which the member enters in the roster: until it has, trackers refuse them.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::cli::reach::asking::{Wait, ask_each};
use crate::cli::reach::swarm;
use crate::cli::reach::tracker::Tracker;
use crate::cli::typed::values::Patience;
use crate::content::{PublicKey, shown};
use crate::net::secure::{IDENTITY_FILE, Keyring};
use crate::wire::{ClientId, Common, Enter, ErrorCode, FromTracker, Label, MemberRole, Name, Standing};
use crate::{say, threads};

/// How long it is until it is tried again.
const AGAIN: Duration = Duration::from_secs(3);

/// What has become of a key that was to be entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entered {
    /// There is nothing more to try.
    Done,
    /// It was put out of the swarm.
    PutOut,
}

/// The keys of a process that keeps its state in this folder, which are entered. A key that was put out, with the member whose
/// it was or alone, stays out: where a tracker says so, another is made in the place of that one.
///
/// # Errors
/// As of [`swarm::keyring_in`].
pub(crate) fn keys_in(state: &Path, name: &str, trackers: &[String]) -> io::Result<Keyring> {
    let keyring = swarm::keyring_in(Some(state))?;
    if enter(&keyring, name, trackers) == Entered::Done {
        return Ok(keyring);
    }
    fs::remove_file(state.join(IDENTITY_FILE))?;
    say::note(&format!(
        "the key in {} was put out of the swarm: another is made in its place",
        state.display()
    ));
    let keyring = swarm::keyring_in(Some(state))?;
    enter(&keyring, name, trackers);
    Ok(keyring)
}

/// The keys of a peer that keeps no state of its own, which are entered.
///
/// # Errors
/// As of [`swarm::spare_place`] and [`keys_in`].
pub(crate) fn spare_keys(name: &str, trackers: &[String]) -> io::Result<Keyring> {
    match swarm::spare_place()? {
        Some(place) => keys_in(&place, name, trackers),
        None => {
            let keyring = swarm::keyring_in(None)?;
            enter(&keyring, name, trackers);
            Ok(keyring)
        }
    }
}

/// Enters the key of a peer, now or as soon as a tracker can be reached.
fn enter(keyring: &Keyring, name: &str, trackers: &[String]) -> Entered {
    let Some(own) = keyring.identity().filter(|_| swarm::role().is_some()) else { return Entered::Done };
    let (key, name) = (own.public(), name.to_owned());
    if swarm::own_key().ok().flatten() == Some(key) {
        return Entered::Done;
    }
    let ask = move |tracker: &str| entered(tracker, key, &name);
    let Some(left) = all_but_entered(trackers, &ask) else { return Entered::PutOut };
    if left.is_empty() {
        return Entered::Done;
    }
    let again = move || {
        let mut left = left;
        while !left.is_empty() {
            std::thread::sleep(AGAIN);
            left = all_but_entered(&left, &ask).unwrap_or_else(|| {
                tracing::warn!(
                    "this peer's key was put out of the swarm; it gets another when it is started again"
                );
                Vec::new()
            });
        }
    };
    if let Err(error) = threads::named("enter").connection(again) {
        tracing::warn!("no thread to enter this peer's key: {error}");
    }
    Entered::Done
}

/// Asks all trackers at once; those at which it is to be tried again. `None` if one says that the key was put out.
fn all_but_entered(
    trackers: &[String],
    ask: &(impl Fn(&str) -> Result<Entered, String> + Clone + Send + 'static),
) -> Option<Vec<String>> {
    let (mut left, wait) = (trackers.to_vec(), Wait::new(Patience::For(Duration::ZERO)));
    let mut answers = ask_each(trackers, &wait, ask.clone());
    while let Some((tracker, answer)) = answers.next() {
        match answer {
            Ok(Entered::PutOut) => return None,
            Ok(Entered::Done) => {
                answers.hurry();
                left.retain(|other| *other != tracker);
            }
            Err(_) => {}
        }
    }
    Some(left)
}

/// What a tracker makes of it.
fn entered(tracker: &str, key: PublicKey, name: &str) -> Result<Entered, String> {
    let mut tracker = Tracker::connect(tracker)?;
    let standing = Standing { role: MemberRole::Reader, prefix: Name::default() };
    let (client, name) = (ClientId::random(), Label::new(name));
    let question = Enter { client, seq: 1, key, name, own: true, standing };
    match tracker.ask_once(&question.into()) {
        Some(FromTracker::Common(Common::Ok)) => Ok(Entered::Done),
        Some(FromTracker::Common(Common::Error(error))) if error.code == ErrorCode::Revoked => {
            Ok(Entered::PutOut)
        }
        // Where nobody may, it has no members, or the peer is told what it may not do.
        Some(FromTracker::Common(Common::Error(error))) if error.code == ErrorCode::NotAllowed => {
            Ok(Entered::Done)
        }
        Some(FromTracker::Common(Common::Error(error))) => {
            tracing::warn!("the tracker does not enter this peer's key: {}", shown(&error.detail));
            Ok(Entered::Done)
        }
        _ => Err("it went away".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trackers_that_do_not_answer_are_asked_again_and_none_after_one_says_that_the_key_was_put_out() {
        let ask = |tracker: &str| match tracker {
            "takes" => Ok(Entered::Done),
            "puts-out" => Ok(Entered::PutOut),
            _ => Err("it is away".to_owned()),
        };
        let left = |trackers: &[&str]| {
            let trackers: Vec<String> = trackers.iter().map(|tracker| (*tracker).to_owned()).collect();
            all_but_entered(&trackers, &ask)
        };
        for (trackers, again) in [
            (&["takes"][..], Some(&[][..])),
            (&[], Some(&[])),
            (&["away"], Some(&["away"])),
            (&["away", "takes", "far"], Some(&["away", "far"])),
            (&["puts-out"], None),
            (&["away", "puts-out"], None),
        ] {
            let again =
                again.map(|left| left.iter().map(|tracker| (*tracker).to_owned()).collect::<Vec<_>>());
            assert_eq!(left(trackers), again, "{trackers:?}");
        }
    }
}
