//! A blocking connection that carries messages only.

use std::cell::Cell;
use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::BytesMut;
use rustix::event::{PollFd, PollFlags};
use tokio_util::codec::Decoder;

use super::dial::close_gently;
use super::error::NetError;
use super::handle::Handle;
use super::handshake::Session;
use super::sealing::{Inbox, Sealing};
use super::secure::Proven;
use super::trace::{self, Direction, Side};
use super::wake::wait_for;
use crate::wire::{self, Common, FrameCodec, Hello, Message};

/// Bytes read from a socket at once: every page of the buffer costs each idle connection a page of its
/// thread's stack.
const READ_BYTES: usize = 4 << 10;

/// A connection on which requests and answers alternate at leisure: everything but chunks.
///
/// `R` is what arrives, `S` is what is sent.
#[derive(Debug)]
pub struct Messages<R, S> {
    stream: Handle,
    /// The other side's address.
    pub addr: SocketAddr,
    /// What the other side said of itself.
    pub theirs: Hello,
    side: Side,
    /// What is proved of the other side, if the connection is closed.
    pub proven: Option<Proven>,
    codec: FrameCodec,
    read: BytesMut,
    /// Opens what arrives, if that is sealed.
    inbox: Option<Inbox>,
    write: BytesMut,
    /// The last notice that came while an answer was waited for.
    notice: Option<R>,
    next_request: u32,
    /// The timeout that the socket has, once it was set.
    timeout: Cell<Option<Option<Duration>>>,
    speaks: PhantomData<(R, S)>,
}

impl<R: Message, S: Message> Messages<R, S> {
    /// Continues a session.
    pub fn new(session: Session<impl Into<Handle>>, side: Side) -> Messages<R, S> {
        let mut codec = FrameCodec::before_hello();
        codec.hello_done();
        let stream: Handle = session.stream.into();
        let (inbox, proven) = match session.sealing.map(|sealing| *sealing) {
            Some(Sealing { sealer, inbox, proven, .. }) => {
                stream.seal_with(sealer);
                (Some(inbox), Some(proven))
            }
            None => (None, None),
        };
        Messages {
            stream,
            addr: session.addr,
            theirs: session.theirs,
            side,
            proven,
            codec,
            read: session.rest,
            inbox,
            write: BytesMut::new(),
            notice: None,
            next_request: 1,
            timeout: Cell::new(None),
            speaks: PhantomData,
        }
    }

    /// The socket, to wait for.
    pub fn socket(&self) -> &TcpStream {
        self.stream.stream()
    }

    /// The socket, for who sends or ends it elsewhere.
    pub fn handle(&self) -> Handle {
        self.stream.clone()
    }

    /// How long [`Messages::receive`] waits; `None` waits for ever.
    ///
    /// # Errors
    /// When the socket is closed.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        if self.timeout.get() != Some(timeout) {
            self.stream.stream().set_read_timeout(timeout)?;
            self.timeout.set(Some(timeout));
        }
        Ok(())
    }

    /// The next message and its request number.
    ///
    /// # Errors
    /// [`NetError::TimedOut`] leaves the connection usable; after any other error it is not.
    pub fn receive(&mut self) -> Result<(u32, R), NetError> {
        loop {
            if let Some(received) = self.received()? {
                return Ok(received);
            }
            self.fill()?;
        }
    }

    /// A message that has already arrived, if there is a whole one.
    ///
    /// # Errors
    /// When the bytes are not a message of this direction.
    pub fn received(&mut self) -> Result<Option<(u32, R)>, NetError> {
        let Some(frame) = self.codec.decode(&mut self.read)? else {
            return Ok(None);
        };
        let size = frame.body.len() + wire::HEADER_BYTES;
        let message = R::decode(frame.id, frame.body)?;
        trace::message(self.side, Direction::In, self.addr, frame.request, &message, size);
        Ok(Some((frame.request, message)))
    }

    /// Bytes of a message that has not arrived whole.
    pub fn partial_bytes(&self) -> usize {
        self.read.len() + self.inbox.as_ref().map_or(0, |inbox| inbox.arrived.len())
    }

    /// Waits for more bytes of the next message.
    ///
    /// # Errors
    /// [`NetError::TimedOut`] leaves the connection usable; after any other error it is not.
    pub fn fill(&mut self) -> Result<(), NetError> {
        // The buffer lives on the stack, so that an idle connection keeps no memory for it; and it is
        // not cleared first, so that only the part that is used costs anything.
        let mut buffer = [MaybeUninit::<u8>::uninit(); READ_BYTES];
        if self.read.is_empty() {
            self.read = BytesMut::new();
        }
        let got = loop {
            match rustix::io::read(self.stream.stream(), &mut buffer) {
                Ok((got, _)) => break got,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
        };
        if got.is_empty() {
            return Err(NetError::Closed);
        }
        match &mut self.inbox {
            Some(inbox) => inbox.take(got, &mut self.read)?,
            None => self.read.extend_from_slice(got),
        }
        Ok(())
    }

    /// True if the other side will send no more: it is gone, and waits for nothing.
    pub fn is_cut(&self) -> bool {
        let mut state = [PollFd::new(self.stream.stream(), PollFlags::RDHUP)];
        let over = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        wait_for(&mut state, Duration::ZERO).is_ok_and(|()| state[0].revents().intersects(over))
    }

    /// Bytes of the messages waiting to be sent.
    pub fn queued_bytes(&self) -> usize {
        self.write.len()
    }

    /// Puts a message behind those waiting to be sent.
    pub fn queue(&mut self, request: u32, message: &S) {
        let start = self.write.len();
        message.put_frame(request, &mut self.write);
        trace::message(self.side, Direction::Out, self.addr, request, message, self.write.len() - start);
    }

    /// Sends all messages waiting.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn flush(&mut self) -> Result<(), NetError> {
        let sent = self.stream.write(&self.write);
        self.write = BytesMut::new();
        Ok(sent?)
    }

    /// Sends one message.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn send(&mut self, request: u32, message: &S) -> Result<(), NetError> {
        self.queue(request, message);
        self.flush()
    }

    /// Sends a request and returns its number.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn request(&mut self, message: &S) -> Result<u32, NetError> {
        let request = self.next_request;
        self.next_request = self.next_request.checked_add(1).unwrap_or(1);
        self.send(request, message)?;
        Ok(request)
    }

    /// Sends a request and waits for its answer; an ERROR becomes [`NetError::Refused`] at the caller
    /// who matches on it. An ERROR that ends the connection, which has the number 0, is the answer, too;
    /// a PING is answered, other messages with other numbers are passed over, but the last notice for
    /// [`Messages::take_notice`].
    ///
    /// # Errors
    /// When no answer comes within the timeout, or the connection is broken.
    pub fn call(&mut self, message: &S) -> Result<R, NetError>
    where
        S: From<Common>,
    {
        let request = self.request(message)?;
        loop {
            match self.receive()? {
                (ping, question) if question.id() == Common::Ping.id() => {
                    self.send(ping, &Common::Pong.into())?;
                }
                (number, answer) if number == request => return Ok(answer),
                (0, last_words) if last_words.label() == "ERROR" => return Ok(last_words),
                (0, notice) => self.notice = Some(notice),
                _ => {}
            }
        }
    }

    /// The last notice that came while an answer was waited for, unless it was taken.
    pub fn take_notice(&mut self) -> Option<R> {
        self.notice.take()
    }

    /// Tells the other side why the connection ends, if it should know, and closes it.
    pub fn end(mut self, error: &NetError)
    where
        S: From<Common>,
    {
        if let Some(message) = error.to_message() {
            let _ = self.send(0, &S::from(message));
            close_gently(self.stream.stream());
        }
    }
}
