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
    /// What it can be dialled with beside that.
    others: BTreeMap<KeyId, Other>,
    revoked: BTreeSet<PublicKey>,
    /// The keys of trackers, by the address at which they are dialled.
    trackers: BTreeMap<String, PublicKey>,
}

/// A key with which a node can be dialled, and which is not the newest.
#[derive(Debug)]
struct Other {
    opening: Opening,
    /// Until when, if that is not for ever.
    until: Option<Instant>,
    /// Its place in the order in which they were named.
    place: usize,
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
    /// nothing else: a key of before that was still good is not when it is not named any more. The latest are named first.
    pub fn set(&self, newest: Psk, others: impl IntoIterator<Item = (Opening, Option<Instant>)>) {
        let other = |(place, (opening, until)): (usize, (Opening, _))| {
            (opening.psk.id(), Other { opening, until, place })
        };
        let others = others.into_iter().enumerate().map(other).collect();
        self.change(|ring| {
            (ring.newest, ring.others) = (Opening { psk: newest, purpose: Purpose::Member }, others);
        });
    }

    /// It can be dialled with this key, too, until `until` or for ever.
    pub fn allow(&self, psk: Psk, purpose: Purpose, until: Option<Instant>) {
        self.change(|ring| {
            let (opening, place) = (Opening { psk, purpose }, ring.others.len());
            ring.others.insert(opening.psk.id(), Other { opening, until, place });
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

    /// True if this is the key of a tracker it was told of, or it was told of none.
    pub fn is_told_of(&self, tracker: Option<PublicKey>) -> bool {
        let told = self.look(|ring| {
            let mut keys = ring.trackers.values();
            keys.len() == 0 || keys.any(|key| Some(*key) == tracker)
        });
        told.unwrap_or(true)
    }

    /// What it begins with when it dials, if it is closed.
    pub fn dials(&self) -> Option<Opening> {
        self.look(|ring| ring.newest.clone())
    }

    /// What it may begin with at `now` where the newest key is not known yet: that before it, while that lets in.
    pub fn dials_before(&self, now: Instant) -> Option<Opening> {
        let member = |other: &&Other| {
            other.opening.purpose == Purpose::Member && other.until.is_some_and(|until| now < until)
        };
        self.look(|ring| {
            let latest = ring.others.values().filter(member).max_by_key(|other| other.until);
            latest.map(|other| other.opening.clone())
        })
        .flatten()
    }

    /// The swarm's keys before the newest, at most so many, the latest first: somebody who was away while it got others knows none
    /// but one of these. Who answers by it has to be proved, for others know it, too, who are not to come in any more.
    pub fn before(&self, most: usize) -> Vec<Opening> {
        let of_swarm = |other: &&Other| other.opening.purpose != Purpose::Join;
        let before = self.look(|ring| {
            let mut before: Vec<&Other> = ring.others.values().filter(of_swarm).collect();
            before.sort_by_key(|other| other.place);
            before.into_iter().take(most).map(|other| other.opening.clone()).collect()
        });
        before.unwrap_or_default()
    }

    /// What somebody dials with who names this key, if it is one that is taken at `now`.
    pub fn answers(&self, id: KeyId, now: Instant) -> Option<Opening> {
        self.look(|ring| {
            if ring.newest.psk.id() == id {
                return Some(ring.newest.clone());
            }
            let Other { opening, until, .. } = ring.others.get(&id)?;
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
