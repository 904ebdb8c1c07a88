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

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::net::tests::pair;

    /// An outlet of a connection, and the other end of that.
    fn connected() -> (Outlet, Inlet, std::net::TcpStream) {
        let (near, far, _) = pair();
        far.set_nonblocking(true).unwrap();
        let (outlet, inlet) = outlet(7, near.into());
        (outlet, inlet, far)
    }

    /// True if the connection has ended.
    fn has_ended(mut far: &std::net::TcpStream) -> bool {
        matches!(far.read(&mut [0]), Ok(0))
    }

    #[test]
    fn what_is_said_is_sent_in_order_until_the_recorder_has_done() {
        let (outlet, inlet, far) = connected();
        for frame in ["a", "b"] {
            outlet.say(Bytes::from_static(frame.as_bytes()));
        }
        assert!(!has_ended(&far));
        drop(outlet);
        let said: Vec<Bytes> = std::iter::from_fn(|| inlet.next()).collect();
        assert_eq!(said, ["a", "b"]);
    }

    #[test]
    fn who_takes_nothing_is_sent_so_many_frames_and_then_none() {
        let (outlet, inlet, far) = connected();
        (0..MAX_WAITING).for_each(|_| outlet.say(Bytes::from_static(b"frame")));
        assert!(!has_ended(&far));
        inlet.next().unwrap();
        outlet.say(Bytes::from_static(b"there is room again"));
        assert!(!has_ended(&far));
        outlet.say(Bytes::from_static(b"one too many"));
        assert!(has_ended(&far));
    }

    #[test]
    fn the_largest_frame_fits_and_more_than_may_wait_ends_the_connection() {
        let large = Bytes::from(vec![0; MAX_WAITING_BYTES / 2 + 1]);
        let (outlet, inlet, far) = connected();
        outlet.say(large.clone());
        outlet.say(large.clone());
        assert!(!has_ended(&far));
        inlet.next().unwrap();
        outlet.say(large.clone());
        assert!(!has_ended(&far), "what was sent waits no more");
        outlet.say(large);
        assert!(has_ended(&far));
    }
}
