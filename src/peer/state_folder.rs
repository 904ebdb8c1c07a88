//! Files of our own: in `.p2p` of a folder, or wherever else a peer keeps its state. What lies in the place of one and is
//! not what it should be is renamed, never followed, waited for or deleted.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use crate::content::SafeName;
use crate::descriptors::patiently;
use crate::owner;

/// By it git leaves a folder alone.
const IGNORE: &str = ".gitignore";
/// Who may see into a folder of our own, and change what is in it: this user.
const PRIVATE: u32 = 0o700;
/// What a copy is called until it is whole; a random number follows.
const COPY: &str = "new-";

/// Renames what lies in the way of a file of our own, because it `what`, so that nothing of somebody else's
/// is lost. True if the way is free.
pub(super) fn set_aside(path: &Path, what: &str) -> bool {
    const MOST: u32 = 100;
    let name = |number: u32| format!("{}.damaged{}", path.display(), number);
    let Some(aside) = (1..=MOST).map(name).find(|aside| fs::symlink_metadata(aside).is_err()) else {
        return false;
    };
    let renamed = fs::rename(path, &aside).is_ok();
    if renamed {
        tracing::warn!("{} {what}; it is called {aside} now, and begun anew", path.display());
    }
    renamed
}

/// Makes a folder of our own, for this user alone, with those above it; anything else in its place is set aside. A `.p2p`
/// that is new tells git to leave it alone.
///
/// # Errors
/// Where another user has made a `.p2p`, it is his: who can write there could put in what we believe.
pub(super) fn make_own_folder(path: &Path) -> io::Result<()> {
    let is_folder = fs::symlink_metadata(path).map(|metadata| metadata.is_dir());
    if matches!(is_folder, Ok(false)) {
        set_aside(path, "is not a folder");
    } else if !is_state(path) && owner::stranger(path).is_some() {
        set_aside(path, "is another user's");
    }
    let state = path.ancestors().find(|above| is_state(above));
    refuse_strangers(path, state)?;
    let new = state.filter(|state| {
        fs::read_dir(state).is_ok_and(|mut inside| inside.next().is_none()) || !state.exists()
    });
    // All that is above was made if need be: a file system like that of /proc says so of what it lets nobody make.
    DirBuilder::new().recursive(true).mode(PRIVATE).create(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => io::ErrorKind::Unsupported.into(),
        _ => error,
    })?;
    refuse_strangers(path, state)?; // somebody may have come meanwhile
    state.map_or(Ok(()), close)?;
    if let Some(state) = new {
        ignore(state);
    }
    Ok(())
}

/// Refuses a folder that another user made, and one in a state folder of his.
fn refuse_strangers(path: &Path, state: Option<&Path>) -> io::Result<()> {
    for path in [state, Some(path)].into_iter().flatten() {
        if let Some(user) = owner::stranger(path) {
            let what = format!("{} belongs to another user ({user})", path.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
        }
    }
    Ok(())
}

/// A folder that was made with rights for others, by another version or by hand, has none any more.
fn close(folder: &Path) -> io::Result<()> {
    let metadata = fs::metadata(folder)?;
    let is_open = metadata.mode() & 0o077 != 0;
    if is_open && metadata.uid() == rustix::process::geteuid().as_raw() {
        // Where that cannot be, on a file system without modes, nobody is kept out of anything.
        let _ = fs::set_permissions(folder, Permissions::from_mode(PRIVATE));
    }
    Ok(())
}

fn is_state(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name == SafeName::STATE_FOLDER)
}

/// Tells git to leave a folder alone. It is of no harm where that cannot be told.
fn ignore(folder: &Path) {
    let _ = File::create_new(folder.join(IGNORE)).and_then(|mut file| file.write_all(b"*\n"));
}

/// Opens a plain file to read and to write; made if need be. Anything else in its place is set aside.
pub(super) fn open_plain(path: &Path) -> io::Result<File> {
    open_or_set_aside(path, OpenOptions::new().read(true).write(true))
}

/// Opens a plain file to read and to append to; made if need be. Anything else in its place is set aside. One that has
/// another name, which a backup may have given it, becomes a copy: the other is not written to.
pub(super) fn open_log(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true);
    let mut file = open_or_set_aside(path, &mut options)?;
    if file.metadata()?.nlink() <= 1 {
        return Ok(file);
    }
    let copy = path.with_extension(format!("{COPY}{:016x}", fastrand::u64(..)));
    let copied = File::create_new(&copy).and_then(|mut to| io::copy(&mut file, &mut to));
    match copied.and_then(|_| fs::rename(&copy, path)) {
        Ok(()) => open_or_set_aside(path, &mut options),
        Err(error) => {
            let _ = fs::remove_file(&copy);
            Err(error)
        }
    }
}

fn open_or_set_aside(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    options.create(true).truncate(false).custom_flags(flags);
    let open = || {
        let file = patiently(|| options.open(path))?;
        let metadata = file.metadata()?;
        let above = path.parent().and_then(owner::of_folder);
        if metadata.is_file() && !owner::is_strange(metadata.uid(), above) {
            Ok(file)
        } else {
            Err(io::ErrorKind::InvalidInput.into())
        }
    };
    open().or_else(|error: io::Error| match error.kind() {
        // Its folder is not there.
        io::ErrorKind::NotFound => Err(error),
        _ if set_aside(path, "is not a file of this user") => open(),
        _ => Err(error),
    })
}

/// Removes folders, innermost first, up to the first that something is in. What is said to git does not count.
pub(super) fn remove_if_empty<'a>(folders: impl IntoIterator<Item = &'a Path>) {
    let _ = folders.into_iter().try_for_each(|folder| {
        let inside = || fs::read_dir(folder).into_iter().flatten().flatten();
        let ignored =
            is_state(folder) && inside().count() == 1 && inside().all(|entry| entry.file_name() == IGNORE);
        if ignored {
            fs::remove_file(folder.join(IGNORE))?;
        }
        let removed = fs::remove_dir(folder);
        if ignored && removed.is_err() {
            ignore(folder); // somebody came meanwhile
        }
        removed
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nobody_can_make_a_folder_that_is_said() {
        let refused = make_own_folder(Path::new("/proc/.p2p/partial")).unwrap_err().kind();
        let is_root = rustix::process::geteuid().is_root();
        let expected = if is_root { io::ErrorKind::Unsupported } else { io::ErrorKind::PermissionDenied };
        assert_eq!(refused, expected, "not that there is no such folder");
    }

    #[test]
    fn a_new_state_folder_is_left_alone_by_git_and_goes_when_nothing_else_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join(".p2p");
        let partial = state.join("partial");
        make_own_folder(&partial).unwrap();
        assert_eq!(fs::read(state.join(".gitignore")).unwrap(), b"*\n");
        assert!(!partial.join(".gitignore").exists());
        fs::write(state.join("got"), "").unwrap();
        remove_if_empty([&*partial, &*state]);
        assert!(!partial.exists() && state.join(".gitignore").exists(), "something is in it");
        fs::remove_file(state.join(".gitignore")).unwrap();
        make_own_folder(&partial).unwrap();
        assert!(!state.join(".gitignore").exists(), "who removed it meant it");
        fs::remove_file(state.join("got")).unwrap();
        remove_if_empty([&*partial, &*state]);
        assert!(!state.exists());
        fs::create_dir(&state).unwrap();
        make_own_folder(&state).unwrap();
        remove_if_empty([&*state]);
        assert!(!state.exists() && folder.path().exists());
    }

    #[test]
    fn a_state_folder_is_for_this_user_alone_and_what_another_one_made_is_not_used() {
        const OTHER: u32 = 12_345;
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join(".p2p");
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        make_own_folder(&state.join("partial")).unwrap();
        assert_eq!((mode(&state), mode(&state.join("partial"))), (PRIVATE, PRIVATE));
        fs::set_permissions(&state, Permissions::from_mode(0o777)).unwrap();
        make_own_folder(&state).unwrap();
        assert_eq!(mode(&state), PRIVATE, "as another version made it");
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: the rest needs root");
            return;
        }
        let give = |path: &Path| std::os::unix::fs::chown(path, Some(OTHER), None).unwrap();
        give(&state.join("partial"));
        make_own_folder(&state.join("partial")).unwrap();
        assert!(fs::metadata(state.join("partial")).unwrap().uid() != OTHER, "it was set aside");
        fs::write(state.join("log"), "believe me").unwrap();
        give(&state.join("log"));
        assert_eq!(open_log(&state.join("log")).unwrap().metadata().unwrap().len(), 0);
        give(&state);
        for path in [state.clone(), state.join("new"), state.join("new/er")] {
            let refused = make_own_folder(&path).unwrap_err().to_string();
            assert_eq!(refused, format!("{} belongs to another user ({OTHER})", state.display()));
        }
        assert!(!state.join("new").exists(), "nothing is made in it");
        give(folder.path());
        make_own_folder(&state.join("new")).unwrap();
    }

    #[test]
    fn a_folder_that_somebody_named_is_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        make_own_folder(&state.join("partial")).unwrap();
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1);
        fs::write(state.join(".gitignore"), "").unwrap();
        remove_if_empty([&*state.join("partial"), &*state]);
        assert!(state.join(".gitignore").exists(), "it is not ours");
    }
}
