//! What a tracker needs to know to start, and why it does not.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::delays::Delays;
use super::directory::Bounds;
use super::founding::Closed;
use super::recorder::{Founders, JoinError, Unrecorded};
use super::records::JournalError;
use super::spares::SpareTerms;
use crate::net::secure::Keyring;

/// Most connections at once where nobody asks for another number. A thread each: as systems come, a process can have some 16,000
/// (`vm.max_map_count`), and must not run out of threads before the door is full and the heaviest makes room.
pub const MAX_CONNECTIONS: usize = 12_000;

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
    /// Most connections at once; past it a connection is told LIMIT and closed. None: [`MAX_CONNECTIONS`], or as many as open
    /// files allow.
    pub max_connections: Option<usize>,
    /// What the directory may grow to.
    pub bounds: Bounds,
    /// The folder where published names are kept; without one they are forgotten with the tracker, but for what stores
    /// remember.
    pub data: Option<PathBuf>,
    /// Makes it one of several, which agree on what is in that folder.
    pub cluster: Option<Founders>,
    /// Who takes the place of one of them that stays away.
    pub spares: SpareTerms,
    /// True if what stores remember is taken in beside what is in the folder.
    pub recover: bool,
    /// What it can be dialled with, and who it is then.
    pub keyring: Keyring,
    /// How long it waits before others keep what a store had, and before what nothing refers to is given up.
    pub delays: Delays,
    /// Makes it one of a swarm whose members are on its records, by which it can be dialled then.
    pub closed: Option<Closed>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: "127.0.0.1:9700".to_owned(),
            name: "tracker".to_owned(),
            lease: Duration::from_secs(30),
            idle: Duration::from_secs(300),
            max_connections: None,
            bounds: Bounds::default(),
            data: None,
            cluster: None,
            spares: SpareTerms::default(),
            recover: false,
            keyring: Keyring::none(),
            delays: Delays::default(),
            closed: None,
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
    /// What it is to know of published names cannot be read.
    #[error("cannot read the tracker's records: {0}")]
    Records(#[from] JournalError),
    /// The journal cannot be written.
    #[error("cannot write the tracker's records: {0}")]
    Journal(io::Error),
    /// It cannot be one of several.
    #[error("cannot be a tracker of the cluster: {0}")]
    Join(#[from] JoinError),
    /// It was one of several, and is to be alone.
    #[error("{} has the records of a tracker of a cluster: start it with --node and --cluster", .0.display())]
    OfCluster(PathBuf),
    /// The swarm cannot be founded.
    #[error("cannot found the swarm: {0}")]
    Found(#[from] Unrecorded),
    /// The system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}
