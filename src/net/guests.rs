//! The connections that others have made: who may come in, how one is cut, and how all of them end.
//!
//! Every open connection is in one table from before its thread starts until it ends, so that a stop reaches all of
//! them. The table says, too, whether this process is stopping: who waits for that waits here. What is said on a
//! connection is none of its business.

use std::collections::BTreeMap;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::door::{Activity, Door, Entry};
use super::handle::Handle;
use crate::threads::lock;

/// How long connections may take to read the last message when this process stops.
const STOP_PATIENCE: Duration = Duration::from_millis(500);

/// All connections.
#[derive(Debug)]
pub(crate) struct Guests {
    state: Mutex<State>,
    /// Told when a connection ends and when nobody may come in any more.
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    open: BTreeMap<u64, Handle>,
    door: Door,
    accepted: u64,
    closing: bool,
}

/// A connection that came in. It is out when this is dropped, however its thread ends.
#[derive(Debug)]
pub(crate) struct Guest {
    guests: Arc<Guests>,
    pub(crate) number: u64,
    pub(crate) addr: SocketAddr,
    pub(crate) handle: Handle,
    pub(crate) activity: Activity,
}

impl Guests {
    /// Room for so many; who has been silent for `patience` makes room when there is none.
    pub(crate) fn new(max: usize, patience: Duration) -> Arc<Guests> {
        let door = Door::new(max, patience, Instant::now());
        let state = State { open: BTreeMap::new(), door, accepted: 0, closing: false };
        Arc::new(Guests { state: Mutex::new(state), changed: Condvar::new() })
    }

    /// Takes a connection in, if there is room; else gives the socket back.
    pub(crate) fn let_in(self: &Arc<Self>, stream: TcpStream, addr: SocketAddr) -> Result<Guest, TcpStream> {
        let mut state = lock(&self.state);
        if state.closing {
            return Err(stream);
        }
        let number = state.accepted + 1;
        let entry = state.door.enter(number, addr.ip(), Instant::now());
        let Entry::Welcome { activity, instead_of } = entry else { return Err(stream) };
        if let Some(gone) = instead_of {
            state.cut(gone);
        }
        state.accepted = number;
        let handle = Handle::from(stream);
        state.open.insert(number, handle.clone());
        Ok(Guest { guests: Arc::clone(self), number, addr, handle, activity })
    }

    /// Cuts a connection: its thread sees the end and clears up.
    pub(crate) fn cut(&self, number: u64) {
        lock(&self.state).cut(number);
    }

    /// The socket of an open connection.
    pub(crate) fn handle(&self, number: u64) -> Option<Handle> {
        lock(&self.state).open.get(&number).cloned()
    }

    /// True from the moment on when nobody may come in any more.
    pub(crate) fn is_closing(&self) -> bool {
        lock(&self.state).closing
    }

    /// True if nobody is here.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.state).open.is_empty()
    }

    /// Waits for a while. Returns false as soon as nobody may come in any more.
    pub(crate) fn pause(&self, time: Duration) -> bool {
        let running = |state: &mut State| !state.closing;
        let waited = self.changed.wait_timeout_while(lock(&self.state), time, running);
        !waited.unwrap_or_else(PoisonError::into_inner).0.closing
    }

    /// Lets nobody in any more, and lets everybody have a last word: the thread of each connection wakes up with
    /// "closed".
    pub(crate) fn begin_to_close(&self) {
        let mut state = lock(&self.state);
        state.closing = true;
        state.shutdown(Shutdown::Read);
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until all connections have ended, and cuts those for which that takes long.
    pub(crate) fn close(&self) {
        let busy = |state: &mut State| !state.open.is_empty();
        let waited = self.changed.wait_timeout_while(lock(&self.state), STOP_PATIENCE, busy);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.shutdown(Shutdown::Both);
        drop(self.until(state, |state| state.open.is_empty()));
    }

    /// Blocks until the last connection has ended after [`Guests::begin_to_close`].
    pub(crate) fn wait(&self) {
        drop(self.until(lock(&self.state), |state| state.closing && state.open.is_empty()));
    }

    fn until<'a>(
        &self,
        state: MutexGuard<'a, State>,
        mut done: impl FnMut(&mut State) -> bool,
    ) -> MutexGuard<'a, State> {
        self.changed.wait_while(state, |state| !done(state)).unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn cut(&self, number: u64) {
        if let Some(handle) = self.open.get(&number) {
            handle.shutdown(Shutdown::Both);
        }
    }

    fn shutdown(&self, how: Shutdown) {
        self.open.values().for_each(|handle| handle.shutdown(how));
    }
}

impl Guest {
    /// The connection has finished HELLO.
    pub(crate) fn greeted(&self) {
        lock(&self.guests.state).door.greeted(self.number, Instant::now());
    }

    /// The connection has more to lose than others of its network, and its place before them.
    pub(crate) fn keep(&self) {
        lock(&self.guests.state).door.keep(self.number);
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut state = lock(&self.guests.state);
        state.open.remove(&self.number);
        state.door.leave(self.number);
        drop(state);
        self.guests.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::net::tests::pair;

    const LONG: Duration = Duration::from_secs(3600);

    /// The end of the other side, once the connection was taken in.
    fn enter(guests: &Arc<Guests>) -> (Result<Guest, TcpStream>, TcpStream) {
        let (theirs, ours, addr) = pair();
        (guests.let_in(ours, addr), theirs)
    }

    fn is_over(mut stream: &TcpStream) -> bool {
        matches!(stream.read(&mut [0]), Ok(0))
    }

    #[test]
    fn who_finds_no_room_is_given_back_and_who_leaves_makes_room() {
        let guests = Guests::new(1, LONG);
        let (first, _theirs) = enter(&guests);
        let first = first.unwrap();
        first.greeted();
        assert!(guests.handle(first.number).is_some());
        let (refused, theirs) = enter(&guests);
        drop(refused.unwrap_err());
        assert!(is_over(&theirs));
        let number = first.number;
        drop(first);
        assert!(guests.handle(number).is_none());
        let (next, _theirs) = enter(&guests);
        assert_eq!(next.unwrap().number, number + 1, "never the same number twice");
    }

    #[test]
    fn who_has_been_silent_for_long_is_cut_for_who_comes() {
        let guests = Guests::new(1, Duration::ZERO);
        let (silent, theirs) = enter(&guests);
        let silent = silent.unwrap();
        silent.greeted();
        let (next, _theirs) = enter(&guests);
        assert!(next.is_ok() && is_over(&theirs));
        assert!(guests.handle(silent.number).is_some(), "its thread has not ended");
    }

    #[test]
    fn closing_lets_nobody_in_wakes_everybody_and_waits_for_the_last() {
        let guests = Guests::new(9, LONG);
        let (guest, mut theirs) = enter(&guests);
        let guest = guest.unwrap();
        assert!(!guests.is_closing() && guests.pause(Duration::ZERO));
        guests.begin_to_close();
        assert!(guests.is_closing() && !guests.pause(LONG));
        assert!(enter(&guests).0.is_err());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| guests.wait());
            let closing = scope.spawn(|| guests.close());
            // Its thread: woken by the end of what it reads, it still has its last word.
            assert!(is_over(guest.handle.stream()));
            std::io::Write::write_all(&mut guest.handle.stream(), b"x").unwrap();
            assert!(!waiting.is_finished() && !closing.is_finished());
            drop(guest);
        });
        let mut last_word = Vec::new();
        theirs.read_to_end(&mut last_word).unwrap();
        assert_eq!(last_word, b"x");
    }

    #[test]
    fn who_does_not_end_is_cut() {
        let guests = Guests::new(9, LONG);
        let (guest, theirs) = enter(&guests);
        let guest = guest.unwrap();
        guests.begin_to_close();
        std::thread::scope(|scope| {
            scope.spawn(|| guests.close());
            assert!(is_over(&theirs), "nothing was said and nothing closed but by force");
            drop(guest);
        });
    }
}
