//! The tracker: its configuration, its start and its end.
//!
//! Owns the threads, through `server`; what they answer is decided by `session` from the `directory`,
//! both without a socket or a clock. A tracker keeps nothing on disk: peers tell it all again.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{fmt, io};

use crate::descriptors;
use crate::net::{self, Identity};
use directory::{Bounds, Directory};
use server::Server;
use session::Shared;

pub mod directory;
mod look;
mod server;
pub mod session;
mod tables;

/// What a tracker needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen, as `host:port`; port 0 takes a free one.
    pub listen: String,
    /// The tracker's name, as others see it in HELLO.
    pub name: String,
    /// How long a registration lives without a sign of life.
    pub lease: Duration,
    /// How long a connection may be silent before it is closed; at least twice the lease is wise.
    pub idle: Duration,
    /// Most connections at once; past it a connection is told LIMIT and closed.
    pub max_connections: usize,
    /// What the directory may grow to.
    pub bounds: Bounds,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: "127.0.0.1:9700".to_owned(),
            name: "tracker".to_owned(),
            lease: Duration::from_secs(30),
            idle: Duration::from_secs(300),
            max_connections: 16_384,
            bounds: Bounds::default(),
        }
    }
}

/// Why a tracker does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {listen}: {source}")]
    Listen {
        /// The address as configured.
        listen: String,
        /// What the system says.
        source: io::Error,
    },
    /// The system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

/// A connection is a socket.
const DESCRIPTORS_EACH: usize = 1;

/// A running tracker; stops when it is dropped.
pub struct Tracker {
    addr: SocketAddr,
    server: Arc<Server>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Starts a tracker. When this returns, it can be connected to.
///
/// # Errors
/// [`StartError`] says what the system refused.
pub fn start(config: Config) -> Result<Tracker, StartError> {
    let refused = |source| StartError::Listen { listen: config.listen.clone(), source };
    let listener = net::listen(&config.listen).map_err(refused)?;
    let addr = listener.local_addr().map_err(refused)?;
    let max_connections = descriptors::carried(config.max_connections, DESCRIPTORS_EACH);
    let config = Config { max_connections, ..config };
    let directory = Directory::new(config.lease, config.bounds, fastrand::u64(..), Instant::now());
    let identity =
        Identity { peer: net::OwnId::random(), name: config.name.clone(), listen_port: addr.port() };
    let server = Arc::new(Server::new(config, identity, Shared::new(directory), listener));
    let threads = server::spawn(&server).map_err(StartError::Thread)?;
    Ok(Tracker { addr, server, threads: Mutex::new(threads) })
}

impl Tracker {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The directory, to look into.
    pub fn directory(&self) -> &Shared {
        self.server.shared()
    }

    /// Tells every connection that the tracker is stopping, closes them and waits for all threads.
    /// Takes about half a second if the other sides do not read; calling it twice does no harm.
    pub fn stop(&self) {
        self.server.stop();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
    }

    /// Blocks until the tracker has been stopped by another thread.
    pub fn wait(&self) {
        self.server.wait();
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Tracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracker").field("addr", &self.addr).finish_non_exhaustive()
    }
}
