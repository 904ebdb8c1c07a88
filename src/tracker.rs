//! The tracker: its start and its end.
//!
//! `server` owns the threads and sockets; what they answer is decided by `session` from the `directory`, both
//! without a socket or a clock. The directory is not kept on disk: peers tell it all again. The `records` are, if that is
//! asked for.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::content::PeerId;
use crate::descriptors;
use crate::net::guests::Guests;
use crate::net::{self, Identity};
use crate::wire::SwarmSecret;
use directory::Directory;
use recorder::{Recorder, Unrecorded};
use records::Journal;
use server::Server;
use shared::Shared;

mod allowance;
pub mod chronicle;
pub mod cluster;
mod config;
mod delays;
pub mod directory;
mod founding;
mod inside;
pub mod keeping;
mod keys;
pub mod nodes;
mod presence;
pub mod recorder;
pub mod records;
pub mod roles;
mod server;
pub mod session;
pub mod shared;
pub mod spares;
mod tables;

pub use config::{Config, MAX_CONNECTIONS, StartError};
pub use delays::Delays;
pub use founding::{Closed, Swarm};
pub use inside::Inside;
pub use spares::SpareTerms;

/// A connection is a socket, and what wakes its thread while an answer waits.
const DESCRIPTORS_EACH: usize = 2;

/// How long a tracker that has no records of its own waits for stores to say what they remember, before it changes any.
const SETTLING: Duration = Duration::from_secs(5);

/// A running tracker; stops when it is dropped.
pub struct Tracker {
    addr: SocketAddr,
    server: Server,
    /// It has just founded its swarm.
    is_new: bool,
}

/// Starts a tracker. When this returns, it can be connected to.
///
/// # Errors
/// [`StartError`] says what the system refused.
pub fn start(config: Config) -> Result<Tracker, StartError> {
    let refused = |source| StartError::Listen { listen: config.listen.clone(), source };
    let listener = net::listen(&config.listen).map_err(refused)?;
    let addr = listener.local_addr().map_err(refused)?;
    let places = descriptors::carried(config.max_connections, MAX_CONNECTIONS, DESCRIPTORS_EACH);
    let now = Instant::now();
    let directory = Directory::new(config.lease, config.bounds, fastrand::u64(..), now);
    let recorder = recorder(&config)?;
    let settled = recorder.wants_records().then(|| now + SETTLING);
    let (keyring, is_new) = match &config.closed {
        Some(closed) => founding::open(closed, &config.name, &recorder)?,
        None => (config.keyring.clone(), false),
    };
    let trackers = config.closed.iter().flat_map(|closed| closed.trackers(addr.port())).collect();
    let identity = Identity::new(keyring.clone(), PeerId::random(), config.name.clone(), addr.port());
    let shared = Shared::with_records(directory, (recorder, settled), config.delays);
    let shared = shared.of_swarm(keyring, trackers);
    let guests = Guests::new(places, config.lease);
    let server = Server::start(&config, identity, shared, (listener, guests));
    Ok(Tracker { addr, server: server.map_err(StartError::Thread)?, is_new })
}

/// The records of this tracker: those in its folder, or new ones.
fn recorder(config: &Config) -> Result<Recorder, StartError> {
    let Some(folder) = &config.data else { return Ok(Recorder::forgetful()) };
    if let Some(founders) = &config.cluster {
        return Ok(Recorder::join(folder, founders.clone())?);
    }
    if recorder::is_of_cluster(folder) {
        return Err(StartError::OfCluster(folder.clone()));
    }
    let (journal, records) = Journal::open(folder)?;
    Recorder::start(journal, records, config.recover).map_err(StartError::Journal)
}

/// True if the records in this folder are those of a closed tracker.
///
/// # Errors
/// They cannot be read.
pub fn is_closed_in(folder: &Path) -> Result<bool, StartError> {
    if recorder::is_of_cluster(folder) {
        return Ok(recorder::is_closed_cluster(folder)?);
    }
    if !Journal::is_in(folder) {
        return Ok(false);
    }
    let (_, records) = Journal::open(folder)?;
    Ok(records.roster().is_closed())
}

impl Tracker {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The tracker, to be asked from within its process.
    pub fn inside(&self) -> Inside {
        Inside::new(self.server.shared(), self.server.passing())
    }

    /// What its first admin has to know of its swarm, if it is a closed one.
    pub fn swarm(&self) -> Option<Swarm> {
        founding::swarm(&self.server.shared(), self.is_new)
    }

    /// Lets so many join with this key, by word of the first admin.
    ///
    /// # Errors
    /// It cannot be written down.
    pub fn invite(&self, key: SwarmSecret, uses: u32, valid: Duration) -> Result<(), Unrecorded> {
        founding::invite(&self.server.shared(), (key, uses, valid))
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
