//! A socket that other threads than its connection's own may shut down, or say a word on.

use std::borrow::Borrow;
use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use rustix::event::{PollFd, PollFlags};
use rustix::net::SendFlags;

use super::secure::Sealer;
use super::wake::wait_for;
use crate::threads::lock;
use crate::wire::{Common, Message};

/// Bytes of short messages that may wait for the connection's own thread to be done with writing.
const MAX_LEFT_BYTES: usize = 1 << 10;

/// A connection's socket; clones are the same one.
#[derive(Debug, Clone)]
pub struct Handle {
    stream: Arc<TcpStream>,
    pen: Arc<Mutex<Pen>>,
}

/// Who writes on a socket.
#[derive(Debug, Default)]
struct Pen {
    /// The connection's own thread is writing: nothing may come in between.
    busy: bool,
    /// What others want said, to be sent as soon as it is done.
    left: BytesMut,
    /// Seals what is sent, in the order in which it is.
    sealer: Option<Sealer>,
}

impl Handle {
    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// The socket, to share.
    pub fn socket(&self) -> Arc<TcpStream> {
        self.stream.clone()
    }

    /// Shuts the connection down, or one direction of it.
    pub fn shutdown(&self, how: Shutdown) {
        let _ = self.stream.shutdown(how);
    }

    /// Sends a short message between two others, without waiting: at once, or after the one being written. False
    /// if that is not possible, because the other side does not take what it was sent before.
    pub fn interject(&self, request: u32, message: &Common) -> bool {
        let mut bytes = BytesMut::new();
        message.put_frame(request, &mut bytes);
        let mut pen = lock(&self.pen);
        if !pen.busy {
            return self.send_now(&mut pen, &bytes);
        }
        let fits = pen.left.len() + bytes.len() <= MAX_LEFT_BYTES;
        if fits {
            pen.left.extend_from_slice(&bytes);
        }
        fits
    }

    /// Writes for the connection's own thread, or the one that sends for it; there is one. Waits for room.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let sealed = {
            let mut pen = lock(&self.pen);
            pen.busy = true;
            pen.seal(bytes)?
        };
        let written = self.stream().write_all(sealed.as_deref().unwrap_or(bytes));
        let mut pen = lock(&self.pen);
        pen.busy = false;
        let left = std::mem::take(&mut pen.left);
        if written.is_ok() && !left.is_empty() {
            self.send_now(&mut pen, &left);
        }
        written
    }

    /// From now on everything that is sent is sealed.
    pub(super) fn seal_with(&self, sealer: Sealer) {
        lock(&self.pen).sealer = Some(sealer);
    }

    fn send_now(&self, pen: &mut Pen, bytes: &[u8]) -> bool {
        // What is sealed must be sent, whatever comes: so there must be room for it.
        if pen.sealer.is_some() && !self.has_room() {
            return false;
        }
        let Ok(sealed) = pen.seal(bytes) else { return false };
        let bytes = sealed.as_deref().unwrap_or(bytes);
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let sent = rustix::net::send(&self.stream, bytes, flags).unwrap_or(0);
        // Half a message cannot be taken back, nor what was sealed.
        if sent < bytes.len() && (sent > 0 || sealed.is_some()) {
            self.shutdown(Shutdown::Both);
        }
        sent == bytes.len()
    }

    fn has_room(&self) -> bool {
        let mut ready = [PollFd::new(&self.stream, PollFlags::OUT)];
        wait_for(&mut ready, Duration::ZERO).is_ok_and(|()| ready[0].revents().contains(PollFlags::OUT))
    }
}

impl Pen {
    /// The bytes sealed, if they are to be.
    fn seal(&mut self, bytes: &[u8]) -> io::Result<Option<BytesMut>> {
        let Some(sealer) = &mut self.sealer else { return Ok(None) };
        let mut sealed = BytesMut::new();
        sealer.seal(bytes, &mut sealed).map_err(io::Error::other)?;
        Ok(Some(sealed))
    }
}

impl From<TcpStream> for Handle {
    fn from(stream: TcpStream) -> Handle {
        Arc::new(stream).into()
    }
}

impl From<Arc<TcpStream>> for Handle {
    fn from(stream: Arc<TcpStream>) -> Handle {
        Handle { stream, pen: Arc::default() }
    }
}

impl Borrow<TcpStream> for Handle {
    fn borrow(&self) -> &TcpStream {
        &self.stream
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::net::tests::pair;

    fn ping(request: u32) -> BytesMut {
        let mut bytes = BytesMut::new();
        Common::Ping.put_frame(request, &mut bytes);
        bytes
    }

    fn read(mut stream: &TcpStream, bytes: usize) -> Vec<u8> {
        let mut got = vec![0; bytes];
        stream.read_exact(&mut got).unwrap();
        got
    }

    #[test]
    fn a_word_is_said_at_once_or_after_what_is_being_written() {
        let (near, far, _) = pair();
        let handle = Handle::from(near);
        assert!(handle.interject(7, &Common::Ping));
        assert_eq!(read(&far, ping(7).len()), ping(7));
        lock(&handle.pen).busy = true;
        assert!(handle.interject(8, &Common::Ping));
        assert!(handle.clone().interject(9, &Common::Ping));
        handle.write(b"last").unwrap();
        let expected = [b"last", &ping(8)[..], &ping(9)[..]].concat();
        assert_eq!(read(&far, expected.len()), expected);
        assert!(handle.interject(1, &Common::Ping), "nobody writes any more");
        assert_eq!(read(&far, ping(1).len()), ping(1));
    }

    #[test]
    fn few_words_wait() {
        let handle = Handle::from(pair().0);
        lock(&handle.pen).busy = true;
        let taken = (0..1000).take_while(|number| handle.interject(*number, &Common::Ping)).count();
        assert_eq!(taken, MAX_LEFT_BYTES / ping(0).len());
    }

    #[test]
    fn what_cannot_be_sent_is_not_said() {
        let (near, far, _) = pair();
        let handle = Handle::from(near);
        handle.shutdown(Shutdown::Both);
        assert!(!handle.interject(1, &Common::Ping));
        assert!(handle.write(b"x").is_err());
        assert_eq!((&far).read(&mut [0; 8]).unwrap(), 0);
    }
}
