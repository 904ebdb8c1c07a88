//! The socket of a connection that carries chunks: non-blocking, one thread, woken by other threads.
//!
//! Owns buffers and readiness, knows nothing of what the messages mean. A thread that runs such a
//! connection never blocks in a read or write; it waits in [`Bulk::wait`] for the socket, for
//! [`Wake`], or for a deadline.

use std::io;
use std::marker::PhantomData;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::sendfile;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::dial::close_gently;
use super::error::NetError;
use super::handshake::Session;
use super::outbox::Outbox;
use super::sealing::{Inbox, Sealing, Watch};
use super::secure::{Opener, RECORD_OVERHEAD};
use super::trace::{self, Direction, Side};
use super::wake::{Wake, wait_for};
use crate::wire::limits::{MAX_PEER_FRAME_BYTES, MAX_RECORD_BYTES};
use crate::wire::{Common, FrameError, HEADER_BYTES, Hello, Message, RawHeader};

/// The read buffer: a few blocks, so that one read serves many small messages and hashing finds
/// its bytes in cache.
const READ_BUFFER_BYTES: usize = 512 << 10;
/// The read buffer of a side that only hears requests, but while one is longer: a stranger costs little. It grows with what
/// has come, not with what was said to come.
const SMALL_BUFFER_BYTES: usize = 16 << 10;
/// When less than this part is free at the end of the read buffer, what is left moves to its front.
const MIN_FREE: usize = 4;
const MIN_READ_BYTES: usize = READ_BUFFER_BYTES / MIN_FREE;
/// A whole frame other than CHUNK must fit, whatever is before it, and a record behind it.
const _: () =
    assert!(READ_BUFFER_BYTES - MIN_READ_BYTES > MAX_PEER_FRAME_BYTES + MAX_RECORD_BYTES + RECORD_OVERHEAD);

/// How often a connection on which nothing moves looks whether the other side was put out.
const WATCH_INTERVAL: Duration = Duration::from_secs(3);

/// A source for which more waits than this is given up: it asks, or refuses, and takes no answer.
pub(crate) const MAX_UNTAKEN_BYTES: usize = 1 << 20;

/// What a read found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filled {
    /// Nothing is there now, or there is no room for it.
    Nothing,
    /// All that was there: there was room for more.
    Drained,
    /// As much as there was room for; more may be there.
    ToTheBrim,
}

/// One connection that carries chunks; `S` is what this side sends.
#[derive(Debug)]
pub(crate) struct Bulk<S> {
    stream: Arc<TcpStream>,
    pub(crate) addr: SocketAddr,
    side: Side,
    wake: Arc<Wake>,
    read: Vec<u8>,
    /// When bytes last went in or out.
    moved: Instant,
    /// A wait found room to write, and nothing was written since.
    room: bool,
    /// What has arrived and was not consumed lies in `read[start..end]`, what has arrived and does not open yet in
    /// `read[sealed..filled]`.
    start: usize,
    end: usize,
    sealed: usize,
    filled: usize,
    opener: Option<Opener>,
    outbox: Option<Outbox>,
    watch: Option<Watch>,
    unsent: BytesMut,
    /// Messages that must wait until the data begun by the last frame of `unsent` has left.
    behind: Option<BytesMut>,
    sends: PhantomData<S>,
}

impl<S: Message + From<Common>> Bulk<S> {
    pub(crate) fn new(
        session: Session<Arc<TcpStream>>,
        side: Side,
        wake: Arc<Wake>,
    ) -> Result<(Bulk<S>, Hello), NetError> {
        session.stream.set_nonblocking(true)?;
        let bytes = if side == Side::Serve { SMALL_BUFFER_BYTES } else { READ_BUFFER_BYTES };
        let (opener, outbox, watch, arrived) = match session.sealing.map(|sealing| *sealing) {
            Some(Sealing { sealer, inbox: Inbox { opener, arrived }, watch, .. }) => {
                (Some(opener), Some(Outbox::new(sealer)), Some(watch), arrived)
            }
            None => (None, None, None, BytesMut::new()),
        };
        let (end, filled) = (session.rest.len(), session.rest.len() + arrived.len());
        let mut read = vec![0; bytes.max(filled)];
        read[..end].copy_from_slice(&session.rest);
        read[end..filled].copy_from_slice(&arrived);
        let bulk = Bulk {
            stream: session.stream,
            addr: session.addr,
            side,
            wake,
            read,
            moved: Instant::now(),
            room: false,
            start: 0,
            end,
            sealed: end,
            filled,
            opener,
            outbox,
            watch,
            unsent: BytesMut::new(),
            behind: None,
            sends: PhantomData,
        };
        Ok((bulk, session.theirs))
    }

    /// What has arrived and was not consumed.
    pub(crate) fn arrived(&self) -> &[u8] {
        &self.read[self.start..self.end]
    }

    pub(crate) fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        debug_assert!(self.start <= self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.start == self.end && self.sealed == self.filled {
            (self.sealed, self.filled) = (0, 0);
            if self.side == Side::Serve && self.read.len() > SMALL_BUFFER_BYTES {
                self.read = vec![0; SMALL_BUFFER_BYTES];
            }
        }
    }

    /// Bytes that the read buffer has grown by for a message that is long.
    pub(crate) fn grown_bytes(&self) -> usize {
        if self.side == Side::Serve { self.read.len().saturating_sub(SMALL_BUFFER_BYTES) } else { 0 }
    }

    /// When bytes last went in or out.
    pub(crate) fn moved(&self) -> Instant {
        self.moved
    }

    /// Bytes that wait to be sent.
    pub(crate) fn unsent_bytes(&self) -> usize {
        let sealed = self.outbox.as_ref().map_or(0, |outbox| outbox.waiting().len());
        sealed + self.unsent.len() + self.behind.as_ref().map_or(0, BytesMut::len)
    }

    /// Reads once, and says what it found.
    pub(crate) fn fill(&mut self) -> Result<Filled, NetError> {
        self.watch.as_ref().map_or(Ok(()), Watch::check)?;
        self.make_room();
        if self.filled == self.read.len() {
            return Ok(Filled::Nothing);
        }
        match recv(&self.stream, &mut self.read[self.filled..], RecvFlags::empty()) {
            Ok((_, 0)) => Err(NetError::Closed),
            Ok((_, got)) => {
                self.filled += got;
                self.moved = Instant::now();
                let brim = self.filled == self.read.len();
                self.open()?;
                Ok(if brim { Filled::ToTheBrim } else { Filled::Drained })
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(Filled::Nothing),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    /// Makes what has just arrived part of what can be consumed: where it is sealed, all whole records of it.
    fn open(&mut self) -> Result<(), NetError> {
        match &mut self.opener {
            Some(opener) => {
                opener.open(&mut self.read[..self.filled], &mut self.end, &mut self.sealed)?;
                if self.sealed == self.filled {
                    (self.sealed, self.filled) = (self.end, self.end);
                }
            }
            None => (self.end, self.sealed) = (self.filled, self.filled),
        }
        Ok(())
    }

    /// Moves what is left to the front when little is free behind it, and makes a small buffer twice as large when
    /// that is not enough.
    fn make_room(&mut self) {
        if self.read.len() - self.filled >= self.read.len() / MIN_FREE {
            return;
        }
        self.read.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        self.read.copy_within(self.sealed..self.filled, self.end);
        self.filled = self.end + (self.filled - self.sealed);
        self.sealed = self.end;
        if self.read.len() - self.filled < self.read.len() / MIN_FREE && self.read.len() < READ_BUFFER_BYTES {
            self.read.resize((self.read.len() * 2).min(READ_BUFFER_BYTES), 0);
        }
    }

    /// Puts a message behind those waiting.
    pub(crate) fn queue(&mut self, request: u32, message: impl Into<S>) {
        let message = message.into();
        let out = self.behind.as_mut().unwrap_or(&mut self.unsent);
        let start = out.len();
        message.put_frame(request, out);
        trace::message(self.side, Direction::Out, self.addr, request, &message, out.len() - start);
    }

    /// The last frame of what waits is a head whose data comes from a file: until
    /// [`Bulk::data_left`] nothing else may be put behind it.
    pub(crate) fn data_follows(&mut self) {
        self.behind = Some(BytesMut::new());
    }

    /// The data has left: what was queued meanwhile comes next.
    pub(crate) fn data_left(&mut self) {
        if let Some(behind) = self.behind.take() {
            self.unsent.unsplit(behind);
        }
    }

    /// The bytes waiting to be sent, to append to.
    pub(crate) fn unsent(&mut self) -> &mut BytesMut {
        &mut self.unsent
    }

    /// Sends what waits. True when all of it is with the system; `more` if a file's bytes follow.
    pub(crate) fn flush(&mut self, more: bool) -> Result<bool, NetError> {
        let flags = SendFlags::NOSIGNAL | if more { SendFlags::MORE } else { SendFlags::empty() };
        loop {
            let waiting = self.outbox.as_ref().map_or(&*self.unsent, Outbox::waiting);
            if waiting.is_empty() {
                match &mut self.outbox {
                    Some(outbox) if !self.unsent.is_empty() => {
                        let sealed = outbox.seal(&self.unsent)?;
                        self.unsent.advance(sealed);
                        continue;
                    }
                    _ => return Ok(true),
                }
            }
            match send(&self.stream, waiting, flags) {
                Ok(sent) => {
                    match &mut self.outbox {
                        Some(outbox) => outbox.took(sent),
                        None => self.unsent.advance(sent),
                    }
                    self.moved = Instant::now();
                    self.room = false;
                }
                Err(Errno::AGAIN) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
    }

    /// Sends up to `len` bytes of `file` from `offset`, which moves on. `None` if nothing can be sent now. Sealed bytes count
    /// as sent: what the system does not take of them waits.
    pub(crate) fn send_file(
        &mut self,
        file: impl AsFd,
        offset: &mut u64,
        len: usize,
    ) -> Result<Option<usize>, NetError> {
        if self.outbox.is_some() {
            return self.seal_file(file, offset, len);
        }
        match sendfile(&self.stream, file, Some(offset), len) {
            Ok(sent) => {
                self.moved = Instant::now();
                self.room = false;
                Ok(Some(sent))
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    fn seal_file(
        &mut self,
        file: impl AsFd,
        offset: &mut u64,
        len: usize,
    ) -> Result<Option<usize>, NetError> {
        debug_assert!(self.unsent.is_empty(), "it goes before what comes from a file");
        self.watch.as_ref().map_or(Ok(()), Watch::check)?;
        if !self.flush(true)? {
            return Ok(None);
        }
        let Some(outbox) = &mut self.outbox else { return Ok(None) };
        let sealed = outbox.seal_file(file, *offset, len)?;
        *offset += sealed as u64;
        self.flush(sealed < len)?;
        Ok(Some(sealed))
    }

    /// True if little enough waits in the socket that it should be given more. A write that the system takes
    /// does not tell: it looks at what waits only when it begins a new segment.
    pub(crate) fn has_room(&mut self) -> Result<bool, NetError> {
        if self.outbox.as_ref().is_some_and(|outbox| !outbox.waiting().is_empty()) {
            return Ok(false);
        }
        if !self.room {
            let mut ready = [PollFd::new(&self.stream, PollFlags::OUT)];
            wait_for(&mut ready, Duration::ZERO)?;
            self.room = !ready[0].revents().is_empty();
        }
        Ok(self.room)
    }

    /// Waits until there is something to read, room to write (if `write`), a wake or the deadline.
    /// True if there may be something to read.
    pub(crate) fn wait(&mut self, read: bool, write: bool, until: Option<Instant>) -> Result<bool, NetError> {
        const IDLE: Duration = Duration::from_secs(60);
        if let Some(outbox) = &mut self.outbox {
            outbox.rest();
        }
        let most = if self.watch.is_some() { WATCH_INTERVAL } else { IDLE };
        let timeout = until.map_or(most, |until| until.saturating_duration_since(Instant::now()).min(most));
        let mut interest = PollFlags::empty();
        interest.set(PollFlags::IN, read);
        interest.set(PollFlags::OUT, write);
        let mut ready = [PollFd::new(&self.stream, interest), self.wake.poll()];
        wait_for(&mut ready, timeout)?;
        let (found, called) = (ready[0].revents(), ready[1].revents());
        self.room = found.contains(PollFlags::OUT);
        self.wake.awake(called);
        self.watch.as_ref().map_or(Ok(()), Watch::check)?;
        Ok(!found.difference(PollFlags::OUT).is_empty())
    }

    /// The header of the next frame, if it is there. A length outside the limits is an error before
    /// the rest of the header has come; the body of `big`, if any, may be as long as `big_bytes`.
    pub(crate) fn header(&self, big: Option<u8>, big_bytes: usize) -> Result<Option<RawHeader>, NetError> {
        let Some((length, rest)) = self.arrived().split_first_chunk::<4>() else { return Ok(None) };
        let got = u32::from_be_bytes(*length) as usize;
        let limit = match rest.first() {
            Some(id) if big == Some(*id) => big_bytes,
            None if big.is_some() => big_bytes,
            _ => MAX_PEER_FRAME_BYTES,
        };
        if got > limit {
            return Err(NetError::Frame(FrameError::TooLarge { got, limit }));
        }
        if got < RawHeader::MIN_LENGTH {
            return Err(NetError::Frame(FrameError::TooSmall(got)));
        }
        Ok(RawHeader::peek(self.arrived())?)
    }

    /// The next message, if all of it is there.
    pub(crate) fn message<R: Message>(&mut self, header: RawHeader) -> Result<Option<R>, NetError> {
        let whole = HEADER_BYTES + header.body_bytes;
        let Some(body) = self.arrived().get(HEADER_BYTES..whole) else { return Ok(None) };
        let message = R::decode(header.id, Bytes::copy_from_slice(body))?;
        self.consume(whole);
        trace::message(self.side, Direction::In, self.addr, header.request, &message, whole);
        Ok(Some(message))
    }

    /// Tells the other side why the connection ends, if it should know, and closes it.
    pub(crate) fn end(mut self, error: &NetError) {
        if let Some(message) = error.to_message() {
            self.queue(0, message);
            let _ = self.flush(false);
            let _ = self.stream.set_nonblocking(false);
            close_gently(&self.stream);
        }
    }
}

#[cfg(test)]
mod tests;
