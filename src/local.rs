//! Local sockets: where a process of this machine is spoken to by others, of the same user and of no other.
//!
//! A socket's address has little room, so a folder with a long path is reached through a descriptor of it. Where all
//! users write, anybody could wait for those who look for a socket: one of a stranger is none.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, fchmod};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::owner;

/// Longest path of a local socket.
const MAX_PATH_BYTES: usize = 107;
/// Most requests that wait to be taken.
const BACKLOG: i32 = 128;
/// Between two tries to connect to one that has no room.
const RETRY: Duration = Duration::from_millis(50);

/// Listens on the socket of this name in a folder, without blocking; one left by a process that is gone is replaced.
pub(crate) fn listen(folder: &Path, name: &str) -> io::Result<UnixListener> {
    let folder = File::open(folder)?;
    let path = format!("/proc/self/fd/{}/{name}", folder.as_raw_fd());
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Before it has a name: there is no moment in which others could connect.
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    socket.bind(&SockAddr::unix(&path)?)?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(UnixListener::from(OwnedFd::from(socket)))
}

/// Connects to the socket of this name in a folder, if somebody listens there who may: this user, root, or `owner`. No
/// wait takes longer than `patience`. One that hangs has no room for us after a while: then the socket is not connected,
/// which shows when something is said on it.
pub(crate) fn connect(
    folder: &Path,
    name: &str,
    owner: Option<u32>,
    patience: Duration,
) -> Option<UnixStream> {
    let socket = folder.join(name);
    let is_strange = |user| owner::is_strange(user, owner);
    if is_strange(fs::symlink_metadata(&socket).ok()?.uid()) {
        return None;
    }
    let stream = if socket.as_os_str().len() <= MAX_PATH_BYTES {
        dial(&socket, patience)
    } else {
        let folder = File::open(folder).ok()?;
        dial(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd()).as_ref(), patience)
    };
    // One that hangs is not connected to, and of none either.
    let is_another = |stream: &UnixStream| {
        stream.peer_addr().is_ok() && !owner::beyond(stream).is_ok_and(|user| !is_strange(user))
    };
    stream.ok().filter(|stream| !is_another(stream))
}

fn dial(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let path = SockAddr::unix(path)?;
    let until = Instant::now() + patience;
    socket.set_nonblocking(true)?;
    while let Err(error) = socket.connect(&path) {
        match error.kind() {
            io::ErrorKind::WouldBlock if Instant::now() < until => thread::sleep(RETRY),
            io::ErrorKind::WouldBlock => break,
            _ => return Err(error),
        }
    }
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(patience))?;
    socket.set_write_timeout(Some(patience))?;
    Ok(UnixStream::from(OwnedFd::from(socket)))
}

/// Says something to who listens. Where it has hung up that is no failure yet: it may have answered before it was asked, that
/// it does nothing for this user, and its answer is still to be read.
pub(crate) fn say(mut stream: &UnixStream, line: &[u8]) -> io::Result<()> {
    match stream.write_all(line) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        said => said,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn what_was_answered_before_it_was_asked_is_heard() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"not for you").unwrap();
        drop(theirs);
        say(&ours, b"a question").unwrap();
        let mut answer = String::new();
        ours.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "not for you");
    }

    #[test]
    fn a_socket_is_found_in_a_folder_of_any_depth_and_a_dead_one_is_replaced() {
        let place = tempfile::tempdir().unwrap();
        let deep = place.path().join("a-folder-with-a-long-name".repeat(9));
        fs::create_dir(&deep).unwrap();
        for folder in [place.path(), &deep] {
            let patience = Duration::from_secs(60);
            assert!(connect(folder, "s", None, patience).is_none());
            drop(listen(folder, "s").unwrap());
            assert!(connect(folder, "s", None, patience).is_none(), "nobody listens");
            let listener = listen(folder, "s").unwrap();
            let mut stream = connect(folder, "s", None, patience).unwrap();
            stream.write_all(b"x").unwrap();
            drop(stream);
            let mut said = String::new();
            listener.accept().unwrap().0.read_to_string(&mut said).unwrap();
            assert_eq!(said, "x");
        }
    }
}
