//! Who this process is, as others hear it.

use std::sync::{Arc, Mutex};

use super::secure::Keyring;
use crate::content::{PeerId, PublicKey};
use crate::threads::lock;
use crate::wire::{self, Hello, Role, limits};

/// Program and version, as this process says in HELLO.
pub const SOFTWARE: &str = concat!("p2p/", env!("CARGO_PKG_VERSION"));

/// The id of this process, which all clones share. Where it is not proved anybody can know it and take it first, so it
/// can be given up.
#[derive(Debug, Clone)]
pub struct OwnId {
    id: Arc<Mutex<PeerId>>,
    /// It is that of a key, which nobody else has.
    proved: bool,
}

impl OwnId {
    /// One that nobody else has.
    pub fn random() -> OwnId {
        OwnId::from(PeerId::random())
    }

    /// The id now.
    pub fn get(&self) -> PeerId {
        *lock(&self.id)
    }

    /// Takes another in place of `old`, unless that has been done. False if it cannot: it is that of its key.
    pub fn give_up(&self, old: PeerId) -> bool {
        let mut id = lock(&self.id);
        if !self.proved && *id == old {
            *id = PeerId::random();
        }
        !self.proved
    }
}

impl From<PeerId> for OwnId {
    fn from(id: PeerId) -> OwnId {
        OwnId { id: Arc::new(Mutex::new(id)), proved: false }
    }
}

impl From<PublicKey> for OwnId {
    fn from(key: PublicKey) -> OwnId {
        OwnId { proved: true, ..OwnId::from(key.peer_id()) }
    }
}

/// Who this process is, as it says in HELLO.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its id.
    pub peer: OwnId,
    /// Its name.
    pub name: String,
    /// Where it accepts connections; 0 if nowhere.
    pub listen_port: u16,
    /// What it dials with and can be dialled with.
    pub keyring: Keyring,
}

impl Identity {
    /// Of a process that is called `name` and can be dialled at this port, if any. Its id is that of its key, or `otherwise`.
    pub fn new(keyring: Keyring, otherwise: PeerId, name: String, listen_port: u16) -> Identity {
        let peer = keyring.identity().map_or(otherwise.into(), |identity| identity.public().into());
        Identity { peer, name, listen_port, keyring }
    }

    /// An identity for a tool that serves nothing: a random id, if it has no key.
    pub fn tool(keyring: Keyring) -> Identity {
        Identity::new(keyring, PeerId::random(), String::new(), 0)
    }

    pub(super) fn hello(&self, role: Role) -> Hello {
        Hello {
            min_version: limits::MIN_VERSION,
            max_version: limits::MAX_VERSION,
            features: 0,
            role,
            peer: self.peer.get(),
            listen_port: self.listen_port,
            name: wire::Label::new(&*self.name),
            software: wire::Label::new(SOFTWARE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_given_up_once_by_whoever_still_has_it() {
        let (old, mine) = (PeerId([1; 16]), OwnId::from(PeerId([1; 16])));
        let clone = mine.clone();
        clone.give_up(PeerId([2; 16]));
        assert_eq!(mine.get(), old, "that one was given up before");
        clone.give_up(old);
        let new = mine.get();
        assert_ne!(new, old);
        let proved = OwnId::from(PublicKey([1; 32]));
        assert!(!proved.give_up(proved.get()) && proved.get() == PublicKey([1; 32]).peer_id());
        mine.give_up(old);
        assert_eq!(clone.get(), new);
    }
}
