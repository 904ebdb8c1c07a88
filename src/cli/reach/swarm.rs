//! The closed swarm that this process is in, if it is in one: its keys, read once at the start, and written again when
//! there are newer ones.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use crate::cli::failure::{Failure, reason};
use crate::cli::typed::swarm::SwarmArgs;
use crate::cli::typed::swarm_file::SwarmFile;
use crate::content::PublicKey;
use crate::net::secure::Code;
use crate::net::secure::{IDENTITY_FILE as FILE, Identity, Keyring, Psk, Purpose, Secret, files};
use crate::storage::{Owned, OwnedError};
use crate::threads::lock;
use crate::wire::{Epoch, MemberRole};

/// The folder of this user's state for keys of peers that keep nothing, one for each that runs at a time.
const SPARES: &str = "peers";
/// So many of them at most; with those that share folders they are fewer than a member may enter.
const MAX_SPARES: usize = 32;

static SWARM: OnceLock<Swarm> = OnceLock::new();

/// What this process knows of the swarm it is in.
#[derive(Debug)]
struct Swarm {
    args: SwarmArgs,
    keys: Mutex<Keys>,
    /// The keys of a tool, made when they are needed first.
    tool: OnceLock<Keyring>,
    /// Where the keys of its peers without a folder are, which no other process has meanwhile.
    spares: Mutex<Vec<Owned>>,
}

#[derive(Debug)]
enum Keys {
    /// There are none: this process speaks in the clear.
    None,
    /// Those of a member.
    Member(PathBuf, SwarmFile),
    /// That of one share.
    Share(Code),
}

/// Finds the keys. Whatever asks for keys afterwards has these.
///
/// # Errors
/// As of [`SwarmArgs::member`].
pub(crate) fn settle(args: &SwarmArgs) -> Result<(), Failure> {
    let keys = args.member()?.map_or(Keys::None, |(path, file)| Keys::Member(path, file));
    let _ = SWARM.set(Swarm {
        args: args.clone(),
        keys: Mutex::new(keys),
        tool: OnceLock::new(),
        spares: Mutex::default(),
    });
    Ok(())
}

/// Finds keys that were not there when it was looked first: a tracker of this user may have founded its swarm since.
pub(crate) fn look_again() {
    let Some(swarm) = SWARM.get() else { return };
    let mut keys = lock(&swarm.keys);
    if let (Keys::None, Ok(Some((path, file)))) = (&*keys, swarm.args.member()) {
        *keys = Keys::Member(path, file);
    }
}

/// This process has to do with one share alone.
pub(crate) fn of_share(code: Code) {
    if let Some(swarm) = SWARM.get() {
        *lock(&swarm.keys) = Keys::Share(code);
    }
}

/// True if it was typed that everything may be in the clear.
pub(crate) fn is_open() -> bool {
    SWARM.get().is_some_and(|swarm| swarm.args.open)
}

/// True if this process speaks sealed alone.
pub(crate) fn is_closed() -> bool {
    SWARM.get().is_some_and(|swarm| !matches!(*lock(&swarm.keys), Keys::None))
}

/// What this member may do, as far as its file says; `None` if it is none.
pub(crate) fn role() -> Option<MemberRole> {
    member(|_, file| file.role)?
}

/// Looks at the file of this member, if it is one.
pub(crate) fn member<T>(look: impl FnOnce(&Path, &SwarmFile) -> T) -> Option<T> {
    match &*lock(&SWARM.get()?.keys) {
        Keys::Member(path, file) => Some(look(path, file)),
        Keys::None | Keys::Share(_) => None,
    }
}

/// Where this user's tools keep who they are.
pub(crate) fn state() -> Option<PathBuf> {
    dirs::state_dir().or_else(dirs::data_local_dir).map(|folder| folder.join("p2p"))
}

/// Where a closed tracker of this user keeps its records, if no other folder is named.
pub(crate) fn tracker_folder() -> Option<PathBuf> {
    state().map(|state| state.join("tracker"))
}

/// The secret of the newest epoch, if this process is a member's.
pub(crate) fn secret() -> Option<Secret> {
    member(|_, file| file.newest().map(|(_, secret)| secret.clone()))?
}

/// The keys of a tool, which is the same for all of this user's.
///
/// # Errors
/// As [`keyring_in`].
pub(crate) fn keyring() -> io::Result<Keyring> {
    let Some(swarm) = SWARM.get() else { return Ok(Keyring::none()) };
    if let Some(keyring) = swarm.tool.get() {
        return Ok(keyring.clone());
    }
    let made = keyring_in(state().as_deref())?;
    Ok(if made.is_closed() { swarm.tool.get_or_init(|| made).clone() } else { made })
}

/// The keys of a process that keeps its state there; if nowhere, it is somebody else each time.
///
/// # Errors
/// The key that tells who it is can be neither read nor made.
pub(crate) fn keyring_in(state: Option<&Path>) -> io::Result<Keyring> {
    let Some(swarm) = SWARM.get() else { return Ok(Keyring::none()) };
    match &*lock(&swarm.keys) {
        Keys::None => Ok(Keyring::none()),
        Keys::Share(code) => Ok(Keyring::new(Identity::random()?, code.share(), Purpose::Member)),
        Keys::Member(_, file) => {
            let identity = identity_in(state)?;
            let mut psks = file.psks();
            let Some(newest) = psks.next() else { return Ok(Keyring::none()) };
            let keyring = Keyring::new(identity, newest, Purpose::Member);
            psks.for_each(|psk| keyring.allow(psk, Purpose::Member, None));
            file.trackers.iter().for_each(|(addr, key)| keyring.pin(addr, *key));
            Ok(keyring)
        }
    }
}

/// The folder with the keys of a peer of this process that keeps no state of its own, so that it is nobody else's: trackers know
/// each id once. They are kept for the next one, for a tracker has them in its roster. None where this process is no member's.
///
/// # Errors
/// The key of this user can be neither read nor made; this user runs too many peers at a time.
pub(crate) fn spare_place() -> io::Result<Option<PathBuf>> {
    let (Some(swarm), Some(own)) = (SWARM.get(), own_key()?) else { return Ok(None) };
    let Some(state) = state().filter(|_| member(|_, _| ()).is_some()) else { return Ok(None) };
    // Those of a member that was put out are of no use to the one it becomes.
    let folder = state.join(SPARES).join(own.to_string());
    for nth in 1..=MAX_SPARES {
        match Owned::claim(&folder.join(nth.to_string())) {
            Ok(owned) => {
                let place = owned.path().to_owned();
                lock(&swarm.spares).push(owned);
                return Ok(Some(place));
            }
            Err(OwnedError::Busy(_)) => {}
            Err(error) => return Err(io::Error::other(error.to_string())),
        }
    }
    Err(io::Error::other(format!("{MAX_SPARES} peers of this user run already; wait until one has ended")))
}

/// Who somebody is that keeps his state there; if nowhere, somebody else each time.
///
/// # Errors
/// As of the files.
pub(crate) fn identity_in(state: Option<&Path>) -> io::Result<Identity> {
    let Some(folder) = state else { return Identity::random() };
    Identity::load_or_make(folder).map_err(|error| {
        io::Error::new(error.kind(), format!("no key in {}: {}", folder.display(), reason(&error)))
    })
}

/// The public key by which this user's tools are known.
pub(crate) fn own_key() -> io::Result<Option<PublicKey>> {
    Ok(keyring()?.identity().map(Identity::public))
}

/// The swarm has another key: tools dial with it from now on, and so does whoever reads the file.
pub(crate) fn renewed(role: Option<MemberRole>, epoch: &Epoch) {
    let secret = Secret::from(*epoch.secret.expose());
    if let Ok(keyring) = keyring() {
        keyring.set(Psk::of_swarm(&secret), []);
    }
    let Some(swarm) = SWARM.get() else { return };
    let mut keys = lock(&swarm.keys);
    if let Keys::Member(path, file) = &mut *keys {
        *file = file.renewed(role, (epoch.number, secret));
        if let Err(error) = write(path, file) {
            tracing::warn!(
                "the new key of the swarm cannot be written to {}: {}",
                path.display(),
                reason(&error)
            );
        }
    }
}

/// Writes the file of a new member: never over another.
///
/// # Errors
/// There is one, or it cannot be written.
pub(crate) fn create(path: &Path, file: &SwarmFile) -> Result<(), Failure> {
    if let Some(folder) = path.parent() {
        let _ = fs::create_dir_all(folder); // what is wrong with it, writing there says
    }
    files::create_private(path, file.reveal().as_bytes()).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => is_member_already(path),
        _ => Failure::other(format!("cannot write {}: {}", path.display(), reason(&error))),
    })
}

/// The failure of who was put out of the swarm.
pub(crate) fn is_put_out() -> Failure {
    let key = state().map_or_else(|| Path::new(FILE).to_owned(), |state| state.join(FILE));
    Failure::unreachable(format!(
        "this user was put out of the swarm; to be somebody else, delete {} and the file with the swarm's keys, and join \
         with a new link",
        key.display()
    ))
}

/// The failure of who is a member of a swarm already.
pub(crate) fn is_member_already(path: &Path) -> Failure {
    Failure::usage(format!(
        "{} has the keys of a swarm already; keep those of another beside it with --swarm FILE",
        path.display()
    ))
}

/// Writes the file of a member in the place of the one that it has.
///
/// # Errors
/// As of the files.
pub(crate) fn write(path: &Path, file: &SwarmFile) -> io::Result<()> {
    let beside = path.with_added_extension("new");
    let _ = fs::remove_file(&beside); // of a process that died
    files::create_private(&beside, file.reveal().as_bytes())?;
    fs::rename(&beside, path)
}
