//! The local socket at which a tracker's owner is handed another link that opens its page. To connect is to ask, and one line
//! is the answer; who can connect is this user, or root. (A peer has a socket for more than that.)

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::local;
use crate::owner;

/// What it is called in its folder.
pub(crate) const SOCKET: &str = "page.sock";
/// How many are answered at a time; the others a moment later.
const MAX_ANSWERED: usize = 16;
/// How long who has the name already may take to show that he lives.
const PATIENCE: Duration = Duration::from_secs(1);

/// The socket; its name goes with it.
#[derive(Debug)]
pub(super) struct Doorbell {
    listener: UnixListener,
    folder: PathBuf,
}

impl Doorbell {
    /// Listens in this folder, which is made if need be; a socket left by a process that is gone is replaced.
    ///
    /// # Errors
    /// Another process listens there, or it cannot be made.
    pub(super) fn hang(folder: &Path) -> io::Result<Doorbell> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        if local::connect(folder, SOCKET, None, PATIENCE).is_some() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another tracker's page has it"));
        }
        Ok(Doorbell { listener: local::listen(folder, SOCKET)?, folder: folder.to_owned() })
    }

    /// Hands everybody who rang a link.
    pub(super) fn answer(&self, link: impl Fn() -> String) {
        for _ in 0..MAX_ANSWERED {
            let Ok((mut stream, _)) = self.listener.accept() else { return };
            if stream.set_nonblocking(true).is_ok() && owner::beyond(&stream).is_ok_and(owner::is_ours) {
                let _ = writeln!(stream, "{}", link()); // who does not take it rings again
            }
        }
    }
}

impl Drop for Doorbell {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.folder.join(SOCKET)); // it may be gone already
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn who_rings_is_handed_a_link_and_nobody_takes_the_place_of_who_lives() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("new");
        let bell = Doorbell::hang(&folder).unwrap();
        assert_eq!(Doorbell::hang(&folder).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let mut ringing = local::connect(&folder, SOCKET, None, PATIENCE).unwrap();
        bell.answer(|| "http://a/#in=1".to_owned());
        let mut said = String::new();
        ringing.read_to_string(&mut said).unwrap();
        assert_eq!(said, "http://a/#in=1\n");
        drop(bell);
        assert!(!folder.join(SOCKET).exists());
        drop(Doorbell::hang(&folder).unwrap());
    }
}
