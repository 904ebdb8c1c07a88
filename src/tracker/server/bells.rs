//! Connections whose answers wait for something to happen, and how the threads of others let them go on.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::net::wake::Wake;
use crate::threads::lock;

/// The bells of all connections that wait.
#[derive(Debug, Default)]
pub(super) struct Bells(Mutex<BTreeMap<u64, Arc<Wake>>>);

/// What wakes one connection; it is taken down when this is dropped.
#[derive(Debug)]
pub(super) struct Bell<'a> {
    bells: &'a Bells,
    connection: u64,
    wake: Arc<Wake>,
}

impl Bells {
    /// Hangs one up for a connection. What happened before that nobody rings for, so look for it afterwards.
    ///
    /// # Errors
    /// The system has no descriptor for it.
    pub(super) fn hang(&self, connection: u64) -> io::Result<Bell<'_>> {
        let wake = Arc::new(Wake::new()?);
        lock(&self.0).insert(connection, Arc::clone(&wake));
        Ok(Bell { bells: self, connection, wake })
    }

    /// Lets those of these connections go on that wait.
    pub(super) fn ring(&self, connections: &[u64]) {
        let bells = lock(&self.0);
        connections.iter().filter_map(|connection| bells.get(connection)).for_each(|wake| wake.wake());
    }
}

impl Bell<'_> {
    /// Waits until it rings, or did since the last wait, or the time is over; or until the other side is gone or cut.
    ///
    /// # Errors
    /// The system cannot wait.
    pub(super) fn wait(&self, socket: &TcpStream, time: Duration) -> io::Result<()> {
        self.wake.wait_unless_cut(socket, time)
    }
}

impl Drop for Bell<'_> {
    fn drop(&mut self) {
        lock(&self.bells.0).remove(&self.connection);
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);
    const SHORT: Duration = Duration::from_millis(20);

    #[test]
    fn a_bell_is_heard_by_the_one_it_hangs_for_until_it_is_taken_down() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = listener.accept().unwrap().0;
        let bells = Bells::default();
        let (bell, other) = (bells.hang(1).unwrap(), bells.hang(2).unwrap());
        bells.ring(&[1, 9]);
        bell.wait(&socket, LONG).unwrap();
        for silent in [&bell, &other] {
            let begun = Instant::now();
            silent.wait(&socket, SHORT).unwrap();
            assert!(begun.elapsed() >= SHORT);
        }
        drop((bell, other));
        assert!(lock(&bells.0).is_empty());
        let bell = bells.hang(1).unwrap();
        drop(theirs);
        bell.wait(&socket, LONG).unwrap();
    }
}
