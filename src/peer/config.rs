//! How a peer is set up: its limits, where its state is kept, what it is called and dialled at.

use crate::net::secure::Keyring;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::mischief::{FaultPlan, Latencies};
use super::share;
use super::state_folder::make_own_folder;
use crate::content::{FileId, Rate, SafeName};
use crate::owner;
use crate::swarm::errands::REFRESH;

/// Most connections accepted at once where nobody asks for another number.
pub const MAX_CONNECTIONS: usize = 512;

/// What a peer may use.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections accepted at once; none: [`MAX_CONNECTIONS`], or as many as open files allow.
    pub max_connections: Option<usize>,
    /// Sources of one transfer.
    pub max_neighbours: usize,
    /// Bytes asked for and not yet here, of one transfer.
    pub max_inflight_bytes: u64,
    /// How fast is sent, of all uploads; none: no limit.
    pub up: Option<Rate>,
    /// How fast is received, of all downloads; none: no limit.
    pub down: Option<Rate>,
    /// How often the tracker is asked for other sources while a transfer runs.
    pub refresh: Duration,
    /// A finished file is on the disk before it gets its name, so that it survives a power cut.
    pub fsync: bool,
    /// How long unfinished files are kept that nobody goes on with.
    pub keep_partial: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_connections: None,
            max_neighbours: 16,
            max_inflight_bytes: 64 << 20,
            up: None,
            down: None,
            refresh: REFRESH,
            fsync: false,
            keep_partial: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}

/// What a peer lends to others.
#[derive(Debug, Clone)]
pub struct Lending {
    /// Bytes of disk, all told.
    pub bytes: u64,
    /// The zone that it is in, if there are several.
    pub zone: String,
    /// The machine that it runs on.
    pub machine: String,
    /// It goes over from the trackers that it served before to those that it has now.
    pub adopts: bool,
    /// In what time all that is kept is read and proved again.
    pub scrub: Duration,
    /// How fast what nobody waits for may come in, if there is a limit.
    pub repair_rate: Option<Rate>,
}

/// How a peer is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder or file to share; none: only what is fetched.
    pub folder: Option<PathBuf>,
    /// Names of what is shared begin with the folder's own name.
    pub prefix: bool,
    /// What of the folder is shared.
    pub selection: share::Selection,
    /// Where the peer keeps its state; none: `FOLDER/.p2p`, or beside what is fetched.
    pub state: Option<PathBuf>,
    /// The trackers, `host:port`.
    pub trackers: Vec<String>,
    /// Where to accept connections, `host:port`; port 0 takes a free one.
    pub listen: String,
    /// The peer's name.
    pub name: String,
    /// What it dials with and can be dialled with, and who it is then.
    pub keyring: Keyring,
    /// `HOST`, `HOST:PORT` or `:PORT` that others should dial first; none: the addresses of this machine.
    pub advertise: Option<String>,
    /// Whether changes in the folder are noticed while running.
    pub watch: bool,
    /// What it may use.
    pub limits: Limits,
    /// What it lends; none: nothing.
    pub lending: Option<Lending>,
    /// How it misbehaves on purpose; none: not at all.
    pub faults: Option<FaultPlan>,
    /// How much later its answers reach others, for experiments on one machine.
    pub latencies: Latencies,
}

/// Why a peer cannot run.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The address is in use, or is not one of this machine.
    #[error("cannot listen on {0}: {1}")]
    Listen(String, io::Error),
    /// The folder cannot be shared.
    #[error(transparent)]
    Share(#[from] share::ShareError),
    /// The state folder cannot be written.
    #[error("cannot keep this peer's state in {}: {error}", path.display())]
    State {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// What is lent cannot be had.
    #[error("cannot lend: {0}")]
    Lend(String),
    /// What others should dial is no address and no host name.
    #[error("{0:?} is not a HOST or HOST:PORT that others could dial; give --advertise another")]
    Advertise(String),
    /// The system has no room for another thread or descriptor.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Where the state of a shared folder is kept: inside it, or, for a file or a folder that cannot be
/// written, in the cache of this user.
///
/// # Errors
/// The folder cannot be made, or the cache is another user's.
pub fn state_of(folder: &Path) -> io::Result<PathBuf> {
    let [inside, cached] = control_folders(folder);
    if folder.is_dir() && make_own_folder(&inside).is_ok() {
        return Ok(inside);
    }
    refuse_strangers_cache(&cached)?;
    Ok(cached)
}

/// All users write where the cache is of one who has no home: what another one made there is not used.
fn refuse_strangers_cache(cached: &Path) -> io::Result<()> {
    match cached.parent().filter(|caches| owner::stranger(caches).is_some()) {
        None => Ok(()),
        Some(caches) => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("{} belongs to another user", caches.display()),
        )),
    }
}

/// Where the state of a fetch into `folder` is kept: beside what is fetched, unless another user has his there.
pub(super) fn state_beside(folder: &Path) -> io::Result<PathBuf> {
    let inside = folder.join(SafeName::STATE_FOLDER);
    if owner::stranger(&inside).is_none() { Ok(inside) } else { state_of(folder) }
}

/// Where the local socket of the peer that shares `folder` can be, wherever it keeps its state: inside the
/// folder, or in this user's cache, by the folder's path.
pub fn control_folders(folder: &Path) -> [PathBuf; 2] {
    let path = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let key = FileId::of(path.as_os_str().as_encoded_bytes()).to_string();
    let cache = dirs::cache_dir().unwrap_or_else(std::env::temp_dir);
    [folder.join(SafeName::STATE_FOLDER), cache.join("p2p").join(&key[..16])]
}

/// Which of them it is, for a peer that keeps its state in `state`; made if need be.
pub(super) fn control_folder(folder: &Path, state: &Path) -> io::Result<PathBuf> {
    let [inside, cached] = control_folders(folder);
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    if real(&inside).is_some_and(|inside| real(state) == Some(inside)) {
        return Ok(inside);
    }
    // Whoever can get at the socket can have this peer fetch.
    refuse_strangers_cache(&cached)?;
    make_own_folder(&cached)?;
    std::fs::set_permissions(&cached, Permissions::from_mode(0o700))?;
    Ok(cached)
}
