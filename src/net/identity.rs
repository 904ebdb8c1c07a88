//! Who this process is, as others hear it.

use std::sync::{Arc, Mutex};

use crate::content::PeerId;
use crate::threads::lock;
use crate::wire::{self, Hello, Role, limits};

/// The id of this process, which all clones share. Anybody can know it and take it first, so it can be given up.
#[derive(Debug, Clone)]
pub struct OwnId(Arc<Mutex<PeerId>>);

impl OwnId {
    /// One that nobody else has.
    pub fn random() -> OwnId {
        OwnId::from(PeerId::random())
    }

    /// The id now.
    pub fn get(&self) -> PeerId {
        *lock(&self.0)
    }

    /// Takes another in place of `old`, unless that has been done.
    pub fn give_up(&self, old: PeerId) {
        let mut id = lock(&self.0);
        if *id == old {
            *id = PeerId::random();
        }
    }
}

impl From<PeerId> for OwnId {
    fn from(id: PeerId) -> OwnId {
        OwnId(Arc::new(Mutex::new(id)))
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
}

impl Identity {
    /// An identity for a tool that serves nothing: a random id.
    pub fn tool() -> Identity {
        Identity { peer: OwnId::random(), name: String::new(), listen_port: 0 }
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
            software: wire::Label::new(concat!("p2p/", env!("CARGO_PKG_VERSION"))),
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
        mine.give_up(old);
        assert_eq!(clone.get(), new);
    }
}
