//! A socket that other threads than its connection's own may shut down, or say a word on.

use std::borrow::Borrow;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rustix::net::SendFlags;

use crate::wire::{Common, Message};

/// How long to wait for the connection's own thread to be done with writing.
const PATIENCE: Duration = Duration::from_millis(200);
/// How often to look whether it is.
const LOOK: Duration = Duration::from_millis(5);

/// A connection's socket; clones are the same one.
#[derive(Debug, Clone)]
pub struct Handle {
    stream: Arc<TcpStream>,
    /// Held while a message is being written, so that another does not come in between.
    writing: Arc<Mutex<()>>,
}

impl Handle {
    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Shuts the connection down, or one direction of it.
    pub fn shutdown(&self, how: Shutdown) {
        let _ = self.stream.shutdown(how);
    }

    /// Sends a short message between two others, without waiting for room. False if that was not
    /// possible: the other side does not take what it was sent before.
    pub fn interject(&self, request: u32, message: &Common) -> bool {
        let give_up = Instant::now() + PATIENCE;
        let _writing = loop {
            match self.writing.try_lock() {
                Ok(writing) => break writing,
                Err(TryLockError::Poisoned(writing)) => break writing.into_inner(),
                Err(TryLockError::WouldBlock) if Instant::now() >= give_up => return false,
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK),
            }
        };
        let mut bytes = BytesMut::new();
        message.put_frame(request, &mut bytes);
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match rustix::net::send(&self.stream, &bytes, flags) {
            Ok(sent) if sent == bytes.len() => true,
            // Half a message cannot be taken back.
            Ok(1..) => {
                self.shutdown(Shutdown::Both);
                false
            }
            Ok(0) | Err(_) => false,
        }
    }

    /// While the guard lives, no other thread writes.
    pub(super) fn write(&self) -> std::sync::MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Arc<TcpStream>> for Handle {
    fn from(stream: Arc<TcpStream>) -> Handle {
        Handle { stream, writing: Arc::default() }
    }
}

impl From<TcpStream> for Handle {
    fn from(stream: TcpStream) -> Handle {
        Arc::new(stream).into()
    }
}

impl Borrow<TcpStream> for Handle {
    fn borrow(&self) -> &TcpStream {
        &self.stream
    }
}
