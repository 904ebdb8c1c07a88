//! What is to be said to another tracker, until its connection has sent it.

use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};

use crate::net::Handle;

/// Frames and bytes that may wait; with more the other side does not take what it is sent, and its connection ends. The
/// largest frame, a log of an epoch, must fit.
const MAX_WAITING: usize = 1024;
const MAX_WAITING_BYTES: usize = 96 << 20;

/// Where the recorder puts what is to be said on one connection.
#[derive(Debug)]
pub struct Outlet {
    /// The number of the connection.
    pub id: u64,
    frames: Sender<Bytes>,
    waiting: Arc<AtomicUsize>,
    socket: Handle,
}

/// Where it is taken from.
#[derive(Debug)]
pub struct Inlet {
    frames: Receiver<Bytes>,
    waiting: Arc<AtomicUsize>,
}

/// For the connection of this number, which has this socket.
pub fn outlet(id: u64, socket: Handle) -> (Outlet, Inlet) {
    let (sender, frames) = bounded(MAX_WAITING);
    let waiting = Arc::new(AtomicUsize::new(0));
    (Outlet { id, frames: sender, waiting: Arc::clone(&waiting), socket }, Inlet { frames, waiting })
}

impl Outlet {
    /// Puts a frame behind the others; the connection ends if there are too many.
    pub(super) fn say(&self, frame: Bytes) {
        let before = self.waiting.fetch_add(frame.len(), Ordering::Relaxed);
        if before > MAX_WAITING_BYTES || self.frames.try_send(frame).is_err() {
            self.end();
        }
    }

    pub(super) fn end(&self) {
        self.socket.shutdown(Shutdown::Both);
    }
}

impl Inlet {
    /// The next frame; none when the recorder has done with the connection.
    pub fn next(&self) -> Option<Bytes> {
        let frame = self.frames.recv().ok()?;
        self.waiting.fetch_sub(frame.len(), Ordering::Relaxed);
        Some(frame)
    }
}
