//! The connections that others have made: who may come in, how one is cut, and how all of them end.
//!
//! Every open connection is in one table from before its thread starts until it ends, so that a stop reaches all of
//! them. The table says, too, whether the tracker is stopping: who waits for that waits here.

use std::collections::BTreeMap;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::net::Handle;
use crate::net::door::{Activity, Door, Entry};
use crate::threads::lock;

/// How long connections may take to read the last message when the tracker stops.
const STOP_PATIENCE: Duration = Duration::from_millis(500);

/// All connections.
#[derive(Debug)]
pub(super) struct Connections {
    state: Mutex<State>,
    /// Told when a connection ends and when the tracker begins to stop.
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    open: BTreeMap<u64, Handle>,
    door: Door,
    accepted: u64,
    stopping: bool,
}

/// A connection that came in. It is out when this is dropped, however its thread ends.
#[derive(Debug)]
pub(super) struct Open {
    connections: Arc<Connections>,
    pub(super) number: u64,
    pub(super) addr: SocketAddr,
    pub(super) handle: Handle,
    pub(super) activity: Activity,
}

impl Connections {
    /// Room for so many; who has been silent for `patience` makes room when there is none.
    pub(super) fn new(max: usize, patience: Duration) -> Arc<Connections> {
        let door = Door::new(max, patience, Instant::now());
        let state = State { open: BTreeMap::new(), door, accepted: 0, stopping: false };
        Arc::new(Connections { state: Mutex::new(state), changed: Condvar::new() })
    }

    /// Takes a connection in, if there is room; else gives the socket back.
    pub(super) fn let_in(self: &Arc<Self>, stream: TcpStream, addr: SocketAddr) -> Result<Open, TcpStream> {
        let mut state = lock(&self.state);
        if state.stopping {
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
        Ok(Open { connections: Arc::clone(self), number, addr, handle, activity })
    }

    /// Cuts a connection: its thread sees the end and clears up.
    pub(super) fn cut(&self, number: u64) {
        lock(&self.state).cut(number);
    }

    /// The socket of an open connection.
    pub(super) fn handle(&self, number: u64) -> Option<Handle> {
        lock(&self.state).open.get(&number).cloned()
    }

    /// True from the moment on when the tracker is to stop.
    pub(super) fn are_closing(&self) -> bool {
        lock(&self.state).stopping
    }

    /// True if nobody is here.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        lock(&self.state).open.is_empty()
    }

    /// Waits for a while. Returns false as soon as the tracker is stopping.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let running = |state: &mut State| !state.stopping;
        let waited = self.changed.wait_timeout_while(lock(&self.state), time, running);
        !waited.unwrap_or_else(PoisonError::into_inner).0.stopping
    }

    /// Lets nobody in any more, and lets everybody have a last word: the thread of each connection wakes up with
    /// "closed".
    pub(super) fn begin_to_close(&self) {
        let mut state = lock(&self.state);
        state.stopping = true;
        state.shutdown(Shutdown::Read);
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until all connections have ended, and cuts those for which that takes long.
    pub(super) fn close(&self) {
        let busy = |state: &mut State| !state.open.is_empty();
        let waited = self.changed.wait_timeout_while(lock(&self.state), STOP_PATIENCE, busy);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.shutdown(Shutdown::Both);
        drop(self.until(state, |state| state.open.is_empty()));
    }

    /// Blocks until the last connection of a stopping tracker has ended.
    pub(super) fn wait(&self) {
        drop(self.until(lock(&self.state), |state| state.stopping && state.open.is_empty()));
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

impl Open {
    /// The connection has finished HELLO.
    pub(super) fn greeted(&self) {
        lock(&self.connections.state).door.greeted(self.number, Instant::now());
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = lock(&self.connections.state);
        state.open.remove(&self.number);
        state.door.leave(self.number);
        drop(state);
        self.connections.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    /// Both ends of a connection, and where it comes from.
    fn pair() -> (TcpStream, TcpStream, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (ours, addr) = listener.accept().unwrap();
        (ours, theirs, addr)
    }

    /// The end of the other side, once the connection was taken in.
    fn enter(connections: &Arc<Connections>) -> (Result<Open, TcpStream>, TcpStream) {
        let (ours, theirs, addr) = pair();
        (connections.let_in(ours, addr), theirs)
    }

    fn is_over(mut stream: &TcpStream) -> bool {
        matches!(stream.read(&mut [0]), Ok(0))
    }

    #[test]
    fn who_finds_no_room_is_given_back_and_who_leaves_makes_room() {
        let connections = Connections::new(1, LONG);
        let (first, _theirs) = enter(&connections);
        let first = first.unwrap();
        first.greeted();
        assert!(connections.handle(first.number).is_some());
        let (refused, theirs) = enter(&connections);
        drop(refused.unwrap_err());
        assert!(is_over(&theirs));
        let number = first.number;
        drop(first);
        assert!(connections.handle(number).is_none());
        let (next, _theirs) = enter(&connections);
        assert_eq!(next.unwrap().number, number + 1, "never the same number twice");
    }

    #[test]
    fn who_has_been_silent_for_long_is_cut_for_who_comes() {
        let connections = Connections::new(1, Duration::ZERO);
        let (silent, theirs) = enter(&connections);
        let silent = silent.unwrap();
        silent.greeted();
        let (next, _theirs) = enter(&connections);
        assert!(next.is_ok() && is_over(&theirs));
        assert!(connections.handle(silent.number).is_some(), "its thread has not ended");
    }

    #[test]
    fn closing_lets_nobody_in_wakes_everybody_and_waits_for_the_last() {
        let connections = Connections::new(9, LONG);
        let (open, mut theirs) = enter(&connections);
        let open = open.unwrap();
        assert!(!connections.are_closing() && connections.pause(Duration::ZERO));
        connections.begin_to_close();
        assert!(connections.are_closing() && !connections.pause(LONG));
        assert!(enter(&connections).0.is_err());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| connections.wait());
            let closing = scope.spawn(|| connections.close());
            // Its thread: woken by the end of what it reads, it still has its last word.
            assert!(is_over(open.handle.stream()));
            std::io::Write::write_all(&mut open.handle.stream(), b"x").unwrap();
            assert!(!waiting.is_finished() && !closing.is_finished());
            drop(open);
        });
        let mut last_word = Vec::new();
        theirs.read_to_end(&mut last_word).unwrap();
        assert_eq!(last_word, b"x");
    }

    #[test]
    fn who_does_not_end_is_cut() {
        let connections = Connections::new(9, LONG);
        let (open, theirs) = enter(&connections);
        let open = open.unwrap();
        connections.begin_to_close();
        std::thread::scope(|scope| {
            scope.spawn(|| connections.close());
            assert!(is_over(&theirs), "nothing was said and nothing closed but by force");
            drop(open);
        });
    }
}
