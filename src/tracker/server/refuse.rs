//! Tells connections that find no room why they are closed.
//!
//! One thread for all of them, and a queue with an end: who is refused must cost less than who is served.

use std::io::{self, Write};
use std::net::TcpStream;
use std::thread::JoinHandle;

use bytes::BytesMut;
use crossbeam_channel::{Receiver, Sender, bounded};

use crate::net;
use crate::threads;
use crate::wire::{Common, ErrorCode, Message, Preface};

/// Connections waiting to be turned away; more are closed without a word.
const MAX_TURNED_AWAY: usize = 64;

/// Where connections are turned away.
#[derive(Debug)]
pub(super) struct Refusals(Sender<TcpStream>);

impl Refusals {
    /// Starts the thread, which ends when this is dropped; from when `is_late` on, nobody is told any more.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(
        is_late: impl Fn() -> bool + Send + 'static,
    ) -> io::Result<(Refusals, JoinHandle<()>)> {
        let (turn_away, turned_away) = bounded(MAX_TURNED_AWAY);
        let thread = threads::small("tracker-refuse");
        let thread = thread.essential(move || refuse_all(&turned_away, is_late))?;
        Ok((Refusals(turn_away), thread))
    }

    /// Turns a connection away. If even the queue is full, it just closes.
    pub(super) fn turn_away(&self, stream: TcpStream) {
        let _ = self.0.try_send(stream);
    }
}

fn refuse_all(turned_away: &Receiver<TcpStream>, is_late: impl Fn() -> bool) {
    let word = last_word();
    for mut stream in turned_away {
        threads::may_panic("tracker-refuse");
        if is_late() {
            continue;
        }
        // A new connection's buffer takes these few bytes at once; who does not read them loses them.
        if stream.set_nonblocking(true).is_ok() && stream.write_all(&word).is_ok() {
            let _ = stream.set_nonblocking(false);
            net::close_gently(&stream);
        }
    }
}

fn last_word() -> BytesMut {
    let message = Common::error(ErrorCode::Limit, "this tracker has as many connections as it takes");
    let mut bytes = BytesMut::from(&Preface::OURS.encode()[..]);
    message.put_frame(0, &mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener.accept().unwrap().0, theirs)
    }

    fn heard(late: bool) -> Vec<u8> {
        let (refusals, thread) = Refusals::start(move || late).unwrap();
        let (ours, mut theirs) = pair();
        refusals.turn_away(ours);
        let mut heard = Vec::new();
        theirs.read_to_end(&mut heard).unwrap();
        drop((refusals, theirs));
        thread.join().unwrap();
        heard
    }

    #[test]
    fn who_is_turned_away_is_told_unless_it_is_late() {
        assert_eq!(heard(false), last_word());
        assert_eq!(heard(true), b"");
    }
}
