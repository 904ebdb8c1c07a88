//! Where tokens and users are kept: of a peer in one file, for its owner's eyes alone, written anew beside the old one; of a
//! tracker in its records, beside the members.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::accounts::{Accounts, Kept, Role, Secret, Token, User};
use super::answer::Problem;
use super::house::House;
use crate::threads::lock;
use crate::tracker::Inside;
use crate::tracker::records::{AddToken, Command, EndToken, KeptPassword, Pages, RemoveUser, SetUser};
use crate::wire::Label;

/// The place, and whose turn it is to change what is there.
#[derive(Debug)]
pub(super) struct Keep {
    place: Place,
    turn: Mutex<()>,
}

#[derive(Debug)]
enum Place {
    /// Nowhere: they go with the process.
    Memory,
    File(PathBuf),
    Records(Inside),
}

/// The file, in the folder of the peer's state or the tracker's records.
pub(super) const FILE: &str = "page.json";
/// More than all that fits into it.
const MAX_BYTES: u64 = 1 << 20;

impl Keep {
    /// Of a page, which has this folder for what it keeps.
    pub(super) fn new(house: &House, folder: Option<&Path>) -> Keep {
        let place = match (house, folder) {
            (House::Tracker(tracker), _) => Place::Records(tracker.clone()),
            (House::Peer(_), Some(folder)) => Place::File(folder.join(FILE)),
            (House::Peer(_), None) => Place::Memory,
        };
        Keep { place, turn: Mutex::default() }
    }

    /// What is kept there.
    ///
    /// # Errors
    /// It cannot be read, or is not what was written: nobody's rights are guessed.
    pub(super) fn read(&self) -> Result<Kept, (PathBuf, io::Error)> {
        match &self.place {
            Place::Memory => Ok(Kept::default()),
            Place::File(path) => read(path).map_err(|error| (path.clone(), error)),
            Place::Records(tracker) => Ok(of_records(&tracker.pages())),
        }
    }

    /// Changes who may come in, and writes that. Others' changes wait meanwhile, for as long as other trackers may take;
    /// nobody else does.
    ///
    /// # Errors
    /// Those of `change`; or it cannot be kept: in a file, then it holds as long as the process; on record, then it does not
    /// hold.
    pub(super) fn change<T>(
        &self,
        accounts: &Mutex<Accounts>,
        change: impl FnOnce(&mut Accounts) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let _turn = lock(&self.turn);
        let (changed, written, kept) = {
            let mut accounts = lock(accounts);
            let changed = change(&mut accounts)?;
            (changed, accounts.written().clone(), accounts.kept().clone())
        };
        match &self.place {
            Place::Memory => {}
            Place::File(path) => put(path, &kept).map_err(|error| {
                let why = "what was changed holds until this process ends, for it cannot be kept";
                Problem::internal(format!("{why}: {error}"))
            })?,
            Place::Records(tracker) => {
                let recorded =
                    changes(&written, &kept).iter().try_for_each(|change| tracker.change_pages(change));
                recorded.map_err(|why| {
                    lock(accounts).renew(of_records(&tracker.pages()));
                    Problem::unreachable(format!("that is not on record: {why}"))
                })?;
            }
        }
        lock(accounts).is_written(kept);
        Ok(changed)
    }

    /// Takes in what others have changed in the records; not while something is written here, which is not all there yet.
    pub(super) fn refresh(&self, accounts: &Mutex<Accounts>) {
        if let Place::Records(tracker) = &self.place
            && let Ok(_turn) = self.turn.try_lock()
        {
            lock(accounts).renew(of_records(&tracker.pages()));
        }
    }
}

/// What makes the records say what is kept, as they said what was written last.
fn changes(written: &Kept, kept: &Kept) -> Vec<Command> {
    let label = |text: &str| Label::new(text);
    let users = kept.users.iter().filter(|user| !written.users.contains(user)).map(|user| {
        let password = KeptPassword(label(user.password.as_deref().unwrap_or_default()));
        Command::SetUser(SetUser { name: label(&user.name), role: user.role as u8, password })
    });
    let is_kept = |name: &str| kept.users.iter().any(|user| user.name == name);
    let gone = written.users.iter().filter(|user| !is_kept(&user.name));
    let gone = gone.map(|user| Command::RemoveUser(RemoveUser { name: label(&user.name) }));
    let tokens = kept.tokens.iter().filter(|token| !written.tokens.contains(token)).map(|token| {
        let (hash, name) = (label(&token.secret.hex()), label(&token.name));
        let (role, until_ms) = (token.role as u8, token.until);
        Command::AddToken(AddToken { hash, name, role, until_ms, now_ms: 0 })
    });
    let ended = written.tokens.iter().filter(|token| !kept.tokens.contains(token));
    let ended = ended.map(|token| Command::EndToken(EndToken { hash: label(&token.secret.hex()) }));
    gone.chain(users).chain(ended).chain(tokens).collect()
}

/// As a tracker's records have it; what they say of roles that there are not is left out.
fn of_records(pages: &Pages) -> Kept {
    let role = |number: u8| Role::ALL.into_iter().find(|role| *role as u8 == number);
    let users = pages.users.iter().filter_map(|(name, (number, password))| {
        let password = Some(password.0.to_string()).filter(|password| !password.is_empty());
        Some(User { name: name.clone(), role: role(*number)?, password })
    });
    let tokens = pages.tokens.iter().filter_map(|(hash, (name, (number, until)))| {
        let secret = Secret::of_hex(hash)?;
        Some(Token { secret, name: name.to_string(), role: role(*number)?, until: *until })
    });
    Kept { users: users.collect(), tokens: tokens.collect() }
}

/// What is kept in a file, nothing if there is none.
///
/// # Errors
/// It cannot be read, or is not what was written: nobody's rights are guessed.
pub(super) fn read(path: &Path) -> io::Result<Kept> {
    let mut text = String::new();
    match File::open(path) {
        Ok(file) => file.take(MAX_BYTES).read_to_string(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kept::default()),
        Err(error) => return Err(error),
    };
    serde_json::from_str(&text).map_err(io::Error::from)
}

fn put(path: &Path, kept: &Kept) -> io::Result<()> {
    let new = path.with_extension("new");
    let _ = fs::remove_file(&new); // left by a process that was killed
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(&serde_json::to_vec(kept)?)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::accounts::{Role, Secret};

    #[test]
    fn what_is_kept_is_read_again_and_what_is_damaged_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        assert_eq!(read(&path).unwrap(), Kept::default());
        let mut accounts = Accounts::default();
        assert!(accounts.add_token(Secret::of("t"), ("ci", Role::Reader), 9, 0));
        put(&path, accounts.kept()).unwrap();
        put(&path, accounts.kept()).unwrap();
        assert_eq!(&read(&path).unwrap(), accounts.kept());
        assert!(!fs::read_to_string(&path).unwrap().contains("\"t\""));
        fs::write(&path, "{").unwrap();
        assert!(read(&path).is_err());
    }
}
