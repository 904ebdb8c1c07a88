//! The connections that others have made to this peer: who may come in, and how one is cut.
//!
//! Shares each of their sockets with the thread that serves it; what is said on them is none of its business.

use std::collections::BTreeMap;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::door::{Activity, Door, Entry};
use crate::threads::lock;

/// A guest that has been silent for so long makes room for another when there are too many.
const PATIENCE: Duration = Duration::from_secs(5);

/// The connections that others have made.
#[derive(Debug)]
pub(crate) struct Guests(Mutex<State>);

#[derive(Debug)]
struct State {
    door: Door,
    open: BTreeMap<u64, Arc<TcpStream>>,
    accepted: u64,
}

/// A connection that came in; it leaves when this is dropped.
#[derive(Debug)]
pub(crate) struct Guest {
    guests: Arc<Guests>,
    number: u64,
    pub(crate) activity: Activity,
}

impl Guests {
    pub(crate) fn new(max: usize) -> Arc<Guests> {
        let door = Door::new(max, PATIENCE, Instant::now());
        Arc::new(Guests(Mutex::new(State { door, open: BTreeMap::new(), accepted: 0 })))
    }

    /// Takes a connection in. `None` if there is no room; then it just closes, and the other side tries
    /// elsewhere.
    pub(crate) fn let_in(self: &Arc<Self>, stream: &Arc<TcpStream>, addr: SocketAddr) -> Option<Guest> {
        let mut state = lock(&self.0);
        let number = state.accepted + 1;
        let Entry::Welcome { activity, instead_of } = state.door.enter(number, addr.ip(), Instant::now())
        else {
            return None;
        };
        if let Some(gone) = instead_of.and_then(|gone| state.open.get(&gone)) {
            let _ = gone.shutdown(Shutdown::Both);
        }
        state.accepted = number;
        state.open.insert(number, stream.clone());
        Some(Guest { guests: self.clone(), number, activity })
    }
}

impl Guest {
    /// The connection has finished HELLO.
    pub(crate) fn greeted(&self) {
        lock(&self.guests.0).door.greeted(self.number, Instant::now());
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut state = lock(&self.guests.0);
        state.door.leave(self.number);
        state.open.remove(&self.number);
    }
}
