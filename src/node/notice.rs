//! What the process of a role tells its agent: the messages of sd_notify(3), as it would tell systemd. The kernel says
//! which process a datagram is from, so no other can speak for a role.

use std::fs;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::sockopt::set_socket_passcred;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tempfile::TempDir;

/// Longest datagram; of a longer one the rest is lost.
const MAX_BYTES: usize = 4096;
/// Longest path of a socket.
const MAX_PATH_BYTES: usize = 107;
/// Longest status that is kept.
const MAX_STATUS_CHARS: usize = 200;

/// One thing that is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Notice {
    /// It is ready.
    Ready,
    /// What it says of itself.
    Status(String),
    /// It could answer a request just now.
    Alive,
    /// It needs so much longer to get ready.
    Extend(Duration),
}

/// Where a socket for notices is: those who send are given its path, which is no longer than that of any socket.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    /// It goes away with this.
    _folder: Option<TempDir>,
}

impl Place {
    /// There, or in a folder of its own if that is too long.
    pub(super) fn beside(path: &Path) -> io::Result<Place> {
        if path.as_os_str().len() <= MAX_PATH_BYTES {
            return Ok(Place { path: path.to_owned(), _folder: None });
        }
        let folder = tempfile::Builder::new().prefix("p2p-").tempdir()?;
        Ok(Place { path: folder.path().join("notify"), _folder: Some(folder) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// A socket there to be told things on; one left by a process that is gone is replaced.
pub(super) fn bind(path: &Path) -> io::Result<UnixDatagram> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = UnixDatagram::bind(path)?;
    set_socket_passcred(&socket, true)?;
    Ok(socket)
}

/// Waits for the next datagram: whose it is, and what it says.
pub(super) fn receive(socket: &UnixDatagram) -> io::Result<(u32, Vec<Notice>)> {
    let mut bytes = [0; MAX_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let read = recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let pid = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmCredentials(sender) => Some(sender.pid.as_raw_pid()),
        _ => None,
    });
    let text = String::from_utf8_lossy(&bytes[..read.bytes]);
    Ok((pid.map_or(0, |pid| pid as u32), notices(&text)))
}

/// What the lines say; unknown ones say nothing.
fn notices(text: &str) -> Vec<Notice> {
    let notice = |line: &str| match line.split_once('=')? {
        ("READY", "1") => Some(Notice::Ready),
        ("WATCHDOG", "1") => Some(Notice::Alive),
        ("STATUS", status) => {
            let plain = status.chars().map(|c| if c.is_control() { ' ' } else { c });
            Some(Notice::Status(plain.take(MAX_STATUS_CHARS).collect()))
        }
        ("EXTEND_TIMEOUT_USEC", time) => Some(Notice::Extend(Duration::from_micros(time.parse().ok()?))),
        _ => None,
    };
    text.lines().filter_map(notice).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_lines_of_which_unknown_ones_mean_nothing() {
        let text = "READY=1\nSTATUS=it = \x1bwell\nX=1\nMAINPID=7\nWATCHDOG=1\nWATCHDOG=trigger\nnonsense\n\
            EXTEND_TIMEOUT_USEC=1500000\nEXTEND_TIMEOUT_USEC=soon\n";
        let told = [
            Notice::Ready,
            Notice::Status("it =  well".to_owned()),
            Notice::Alive,
            Notice::Extend(Duration::from_millis(1500)),
        ];
        assert_eq!(notices(text), told);
        assert_eq!(notices(&format!("STATUS={}", "x".repeat(5000))), [Notice::Status("x".repeat(200))]);
    }

    #[test]
    fn a_socket_is_where_its_path_is_short() {
        let folder = tempfile::tempdir().unwrap();
        let near = folder.path().join("notify");
        for path in [near.clone(), folder.path().join("long".repeat(40)).join("notify")] {
            for _ in 0..2 {
                let place = Place::beside(&path).unwrap();
                bind(place.path()).unwrap();
                assert_eq!(place.path() == near, path == near);
            }
        }
    }

    #[test]
    fn the_kernel_says_who_tells_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("n");
        let socket = bind(&path).unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        sender.send_to(b"READY=1", &path).unwrap();
        sender.send_to(&[0xff; 2 * MAX_BYTES], &path).unwrap();
        assert_eq!(receive(&socket).unwrap(), (std::process::id(), vec![Notice::Ready]));
        assert_eq!(receive(&socket).unwrap(), (std::process::id(), vec![]));
    }
}
