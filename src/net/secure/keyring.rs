//! All keys of a node: who it is, what it dials with, what it can be dialled with, and whom it shuns.
//!
//! One value for a process, which clones share and which changes while connections come and go. A handshake takes what it
//! needs when it begins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::expected::Expected;
use super::identity::Identity;
use super::psk::{KeyId, Opening, Psk, Purpose};
use crate::content::PublicKey;
use crate::threads::lock;

/// The keys of a node. Without any it is open: it speaks plain, and only with others that do.
#[derive(Debug, Clone, Default)]
pub struct Keyring(Option<Arc<Closed>>);

#[derive(Debug)]
struct Closed {
    identity: Identity,
    ring: Mutex<Ring>,
}

#[derive(Debug)]
struct Ring {
    /// What it dials with, and can be dialled with.
    newest: Opening,
    /// What it can be dialled with beside that, and until when, if that is not for ever.
    others: BTreeMap<KeyId, (Opening, Option<Instant>)>,
    revoked: BTreeSet<PublicKey>,
    /// The keys of trackers, by the address at which they are dialled.
    trackers: BTreeMap<String, PublicKey>,
}

impl Keyring {
    /// No keys: plain.
    pub fn none() -> Keyring {
        Keyring::default()
    }

    /// Of the node `identity`, which dials with this key. A member's is that of the newest epoch, with
    /// [`Purpose::Member`]; who joins has an invite's, with [`Purpose::Join`].
    pub fn new(identity: Identity, psk: Psk, purpose: Purpose) -> Keyring {
        let ring = Ring {
            newest: Opening { psk, purpose },
            others: BTreeMap::new(),
            revoked: BTreeSet::new(),
            trackers: BTreeMap::new(),
        };
        Keyring(Some(Arc::new(Closed { identity, ring: Mutex::new(ring) })))
    }

    /// True if it speaks only sealed.
    pub fn is_closed(&self) -> bool {
        self.0.is_some()
    }

    /// Who the node is, if it is closed.
    pub fn identity(&self) -> Option<&Identity> {
        self.0.as_deref().map(|closed| &closed.identity)
    }

    /// From now on it dials with `newest` and can be dialled with that and the others, until then or for ever, and with
    /// nothing else: a key of before that was still good is not when it is not named any more.
    pub fn set(&self, newest: Psk, others: impl IntoIterator<Item = (Opening, Option<Instant>)>) {
        let others =
            others.into_iter().map(|(opening, until)| (opening.psk.id(), (opening, until))).collect();
        self.change(|ring| {
            (ring.newest, ring.others) = (Opening { psk: newest, purpose: Purpose::Member }, others);
        });
    }

    /// It can be dialled with this key, too, until `until` or for ever.
    pub fn allow(&self, psk: Psk, purpose: Purpose, until: Option<Instant>) {
        self.change(|ring| {
            ring.others.insert(psk.id(), (Opening { psk, purpose }, until));
        });
    }

    /// From now on these, and no others, are revoked: a handshake with one of them fails. Connections that are open are not
    /// touched.
    pub fn set_revoked(&self, keys: impl IntoIterator<Item = PublicKey>) {
        self.change(|ring| ring.revoked = keys.into_iter().collect());
    }

    /// True if a node with this key is to be cut off.
    pub fn is_revoked(&self, key: &PublicKey) -> bool {
        self.look(|ring| ring.revoked.contains(key)).unwrap_or_default()
    }

    /// The tracker that is dialled at this address must have this key.
    pub fn pin(&self, address: &str, key: PublicKey) {
        self.change(|ring| {
            ring.trackers.insert(address.to_owned(), key);
        });
    }

    /// Who must answer where a tracker is dialled.
    pub fn tracker_at(&self, address: &str) -> Expected {
        let key = self.look(|ring| ring.trackers.get(address).copied());
        key.flatten().map_or(Expected::Anybody, Expected::Key)
    }

    /// What it begins with when it dials, if it is closed.
    pub fn dials(&self) -> Option<Opening> {
        self.look(|ring| ring.newest.clone())
    }

    /// What it may begin with at `now` where the newest key is not known yet: that before it, while that lets in.
    pub fn dials_before(&self, now: Instant) -> Option<Opening> {
        let member = |(opening, until): &&(Opening, Option<Instant>)| {
            opening.purpose == Purpose::Member && until.is_some_and(|until| now < until)
        };
        self.look(|ring| {
            let latest = ring.others.values().filter(member).max_by_key(|(_, until)| *until);
            latest.map(|(opening, _)| opening.clone())
        })
        .flatten()
    }

    /// What somebody dials with who names this key, if it is one that is taken at `now`.
    pub fn answers(&self, id: KeyId, now: Instant) -> Option<Opening> {
        self.look(|ring| {
            if ring.newest.psk.id() == id {
                return Some(ring.newest.clone());
            }
            let (opening, until) = ring.others.get(&id)?;
            until.is_none_or(|until| now < until).then(|| opening.clone())
        })
        .flatten()
    }

    fn look<T>(&self, look: impl FnOnce(&Ring) -> T) -> Option<T> {
        self.0.as_deref().map(|closed| look(&lock(&closed.ring)))
    }

    fn change(&self, change: impl FnOnce(&mut Ring)) {
        if let Some(closed) = self.0.as_deref() {
            change(&mut lock(&closed.ring));
        }
    }
}
