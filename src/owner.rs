//! Whose something is: this machine has other users, and what one of them made is neither believed nor obeyed.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The user who may do anything anyway.
const ROOT: u32 = 0;

/// True for this user, and for root.
pub(crate) fn is_ours(user: u32) -> bool {
    [rustix::process::geteuid().as_raw(), ROOT].contains(&user)
}

/// Whom a folder belongs to: he can put into it what he likes, and replace what others put there.
pub(crate) fn of_folder(folder: &Path) -> Option<u32> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    fs::metadata(folder).ok().map(|metadata| metadata.uid())
}

/// The user who made what has this name, or what a link of this name leads to, if that is a stranger: not we, and not
/// whom the folder belongs to that it lies in.
pub(crate) fn stranger(path: &Path) -> Option<u32> {
    let above = path.parent().and_then(of_folder);
    let made = [fs::symlink_metadata(path), fs::metadata(path)];
    made.into_iter().flatten().map(|metadata| metadata.uid()).find(|user| is_strange(*user, above))
}

/// True for a user who is not we, and not whom the folder belongs to.
pub(crate) fn is_strange(user: u32, of_folder: Option<u32>) -> bool {
    !is_ours(user) && Some(user) != of_folder
}

/// The user on the other side of a local socket. It is not told of a process that this one cannot see.
pub(crate) fn beyond(socket: impl AsFd) -> io::Result<u32> {
    Ok(rustix::net::sockopt::socket_peercred(socket)?.uid.as_raw())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn what_this_user_and_root_made_is_no_strangers() {
        let folder = tempfile::tempdir().unwrap();
        let (here, broken) = (folder.path().join("file"), folder.path().join("broken"));
        fs::write(&here, "").unwrap();
        std::os::unix::fs::symlink("nothing", &broken).unwrap();
        for path in [&*here, &*broken, Path::new("/"), folder.path(), &folder.path().join("none")] {
            assert_eq!(stranger(path), None, "{}", path.display());
        }
        let (us, other) = (rustix::process::geteuid().as_raw(), 4_000_000_000);
        assert!(is_ours(us) && is_ours(ROOT) && !is_ours(other));
        assert!(is_strange(other, None) && is_strange(other, Some(us)) && !is_strange(other, Some(other)));
        assert_eq!(beyond(UnixStream::pair().unwrap().0).unwrap(), us);
    }

    #[test]
    fn what_another_user_made_is_a_strangers_unless_the_folder_is_his() {
        const OTHER: u32 = 12_345;
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: this needs root");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        std::os::unix::fs::chown(&file, Some(OTHER), None).unwrap();
        assert_eq!((stranger(&file), stranger(&link)), (Some(OTHER), Some(OTHER)));
        std::os::unix::fs::chown(folder.path(), Some(OTHER), None).unwrap();
        assert_eq!((stranger(&file), of_folder(folder.path())), (None, Some(OTHER)));
        std::os::unix::fs::chown(folder.path(), Some(0), None).unwrap();
        std::os::unix::fs::chown(&file, Some(0), None).unwrap();
        std::os::unix::fs::lchown(&link, Some(OTHER), None).unwrap();
        assert_eq!(stranger(&link), Some(OTHER), "a link to what is ours");
    }
}
