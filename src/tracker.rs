//! The tracker: its start and its end.
//!
//! `server` owns the threads and sockets; what they answer is decided by `session` from the `directory`, both
//! without a socket or a clock. The directory is not kept on disk: peers tell it all again. The `records` are, if that is
//! asked for.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::content::PeerId;
use crate::descriptors;
use crate::net::{self, Identity};
use directory::Directory;
use records::{Journal, Recorder};
use server::Server;
use shared::Shared;

pub mod cluster;
mod config;
pub mod directory;
pub mod keeping;
mod presence;
pub mod records;
pub mod roles;
mod server;
pub mod session;
pub mod shared;
mod tables;

pub use config::{Config, StartError};
pub use shared::Delays;

/// A connection is a socket, and what wakes its thread while an answer waits.
const DESCRIPTORS_EACH: usize = 2;

/// How long a tracker that has no records of its own waits for stores to say what they remember, before it changes any.
const SETTLING: Duration = Duration::from_secs(5);

/// A running tracker; stops when it is dropped.
pub struct Tracker {
    addr: SocketAddr,
    server: Server,
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
    let now = Instant::now();
    let directory = Directory::new(config.lease, config.bounds, fastrand::u64(..), now);
    let recorder = recorder(&config)?;
    let settled = recorder.wants_records().then(|| now + SETTLING);
    let keyring = config.keyring.clone();
    let identity = Identity::new(keyring, PeerId::random(), config.name.clone(), addr.port());
    let shared = Shared::with_records(directory, (recorder, settled), config.delays);
    let server = Server::start(&config, identity, shared, listener);
    Ok(Tracker { addr, server: server.map_err(StartError::Thread)? })
}

/// The records of this tracker: those in its folder, or new ones.
fn recorder(config: &Config) -> Result<Recorder, StartError> {
    let Some(folder) = &config.data else { return Ok(Recorder::forgetful()) };
    let (journal, records) = Journal::open(folder)?;
    Recorder::start(journal, records, config.recover).map_err(StartError::Journal)
}

impl Tracker {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Tells every connection that the tracker is stopping, closes them and waits for all threads.
    /// Takes about half a second if the other sides do not read; calling it twice does no harm.
    pub fn stop(&self) {
        self.server.stop();
    }

    /// What returns only while requests can be answered.
    pub fn touch(&self) -> impl Fn() + Send + use<> {
        self.server.touch()
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
