//! The keys of the closed swarm that this process is a member of, if it is one.
//!
//! They are in a file that nobody else may read, named by `--swarm` or `P2P_SWARM_FILE`; who this process is lies beside its
//! state.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::cli::failure::Failure;
use crate::net::secure::{Identity, Keyring, Psk, PublicKey, Purpose, Secret, base32, files};

/// The keys in the file, read once at the start; none: this process is open.
static KEYS: OnceLock<Option<Keys>> = OnceLock::new();

#[derive(Debug)]
struct Keys {
    /// Of epochs, the newest last.
    epochs: Vec<Secret>,
    trackers: Vec<(String, PublicKey)>,
}

#[derive(Deserialize)]
struct Swarm {
    #[serde(default)]
    tracker: Vec<Tracker>,
    key: Vec<Key>,
}

#[derive(Deserialize)]
struct Tracker {
    addr: String,
    key: String,
}

#[derive(Deserialize)]
struct Key {
    epoch: u64,
    secret: String,
}

/// Reads the file, if there is one to be read. Whatever asks for keys afterwards has these.
///
/// # Errors
/// It cannot be read, others may read it, or it is no file of keys.
pub(crate) fn open(file: Option<&Path>) -> Result<(), Failure> {
    let refused = |file: &Path, why: String| {
        Failure::usage(format!("cannot use the keys in {}: {why}", file.display()))
    };
    let keys = match file.filter(|file| !file.as_os_str().is_empty()) {
        None => None,
        Some(file) => {
            let text = files::read_private(file).map_err(|error| refused(file, error.to_string()))?;
            Some(read(&text).ok_or_else(|| refused(file, "it is no swarm file".into()))?)
        }
    };
    let _ = KEYS.set(keys);
    Ok(())
}

fn read(text: &[u8]) -> Option<Keys> {
    // What is wrong is not shown: it may be a key.
    let Swarm { tracker, mut key } = toml::from_str(std::str::from_utf8(text).ok()?).ok()?;
    key.sort_by_key(|key| key.epoch);
    let secrets =
        key.into_iter().map(|key| Secret::from_slice(&base32::decode(&Zeroizing::new(key.secret))?));
    let epochs: Option<Vec<Secret>> = secrets.collect();
    let trackers = tracker.into_iter().map(|tracker| Some((tracker.addr, tracker.key.parse().ok()?)));
    Some(Keys {
        epochs: epochs.filter(|epochs| !epochs.is_empty())?,
        trackers: trackers.collect::<Option<_>>()?,
    })
}

/// True if this process speaks sealed only.
pub(crate) fn is_closed() -> bool {
    matches!(KEYS.get(), Some(Some(_)))
}

/// The secret of the newest epoch, if this process speaks sealed only.
pub(crate) fn secret() -> Option<&'static Secret> {
    KEYS.get()?.as_ref()?.epochs.last()
}

/// The keys of a tool, which is the same for all of this user's.
///
/// # Errors
/// As [`keyring_in`].
pub(crate) fn keyring() -> io::Result<Keyring> {
    let state = dirs::state_dir().or_else(dirs::data_local_dir).map(|folder: PathBuf| folder.join("p2p"));
    keyring_in(state.as_deref())
}

/// The keys of a process that keeps its state there; if nowhere, it is somebody else each time.
///
/// # Errors
/// The key that tells who it is can be neither read nor made.
pub(crate) fn keyring_in(state: Option<&Path>) -> io::Result<Keyring> {
    let Some(Some(Keys { epochs, trackers })) = KEYS.get() else { return Ok(Keyring::none()) };
    let Some((newest, older)) = epochs.split_last() else { return Ok(Keyring::none()) };
    let identity = match state {
        Some(folder) => Identity::load_or_make(folder).map_err(|error| {
            io::Error::new(error.kind(), format!("no key in {}: {error}", folder.display()))
        })?,
        None => Identity::random()?,
    };
    let keyring = Keyring::new(identity, Psk::of_swarm(newest), Purpose::Member);
    older.iter().for_each(|psk| keyring.allow(Psk::of_swarm(psk), Purpose::Member, None));
    trackers.iter().for_each(|(addr, key)| keyring.pin(addr, *key));
    Ok(keyring)
}
