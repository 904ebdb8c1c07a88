//! Preface and HELLO, the same for both sides: afterwards each knows who the other is.

use std::borrow::Borrow;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio_util::codec::Decoder;

use super::dial::{canonical, close_gently};
use super::error::NetError;
use super::identity::Identity;
use super::trace::{self, Direction, Side};
use crate::wire::{self, Common, FrameCodec, Hello, Message, PREFACE_BYTES, Preface, Role, limits};

/// How long HELLO may take.
pub const HELLO_TIMEOUT: Duration = Duration::from_millis(limits::HELLO_TIMEOUT_MS as u64);
/// How long a write may be stuck before the connection counts as broken.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection whose HELLO is done. `S` is how the socket is held: as it is, or in an `Arc` with
/// which another thread can shut it down.
#[derive(Debug)]
pub struct Session<S = TcpStream> {
    /// The socket, blocking, with write timeouts set.
    pub stream: S,
    /// The other side's address.
    pub addr: SocketAddr,
    /// What the other side said of itself.
    pub theirs: Hello,
    /// What arrived behind the other side's HELLO.
    pub rest: BytesMut,
}

/// The dialling side of preface and HELLO: says `role`, expects its counterpart to say HELLO within `patience`.
///
/// # Errors
/// [`NetError`]; the other side has been told where that makes sense.
pub fn greet<S: Borrow<TcpStream>>(
    stream: S,
    me: &Identity,
    role: Role,
    side: Side,
    patience: Duration,
) -> Result<Session<S>, NetError> {
    let wanted = role.counterpart();
    let settle = |theirs| if theirs == wanted { Ok(role) } else { Err(NetError::Role(wanted)) };
    Handshake::new(stream, side, patience)?.run(me, role, settle, true)
}

/// The accepting side: `choose` says which part to play given the dialler's, if any.
///
/// # Errors
/// [`NetError`]; the other side has been told where that makes sense.
pub fn welcome<S: Borrow<TcpStream>>(
    stream: S,
    me: &Identity,
    side: Side,
    choose: impl FnOnce(Role) -> Option<Role>,
) -> Result<Session<S>, NetError> {
    let settle = |theirs| choose(theirs).ok_or(NetError::Unexpected("HELLO role"));
    Handshake::new(stream, side, HELLO_TIMEOUT)?.run(me, Role::Tracker, settle, false)
}

impl<S: Borrow<TcpStream>> Session<S> {
    /// The next message, before the connection is given to what carries all others: a short one.
    ///
    /// # Errors
    /// Nothing comes in time, or nothing that is a message of this direction.
    pub fn hear<R: Message>(&mut self, side: Side, patience: Duration) -> Result<R, NetError> {
        let (mut codec, deadline) = (FrameCodec::before_hello(), Instant::now() + patience);
        loop {
            if let Some(frame) = codec.decode(&mut self.rest)? {
                let size = frame.body.len() + wire::HEADER_BYTES;
                let message = R::decode(frame.id, frame.body)?;
                trace::message(side, Direction::In, self.addr, frame.request, &message, size);
                self.stream.borrow().set_read_timeout(None)?;
                return Ok(message);
            }
            read_more(self.stream.borrow(), &mut self.rest, deadline)?;
        }
    }
}

struct Handshake<S> {
    stream: S,
    addr: SocketAddr,
    side: Side,
    deadline: Instant,
    read: BytesMut,
    codec: FrameCodec,
}

impl<S: Borrow<TcpStream>> Handshake<S> {
    fn new(stream: S, side: Side, patience: Duration) -> Result<Handshake<S>, NetError> {
        let socket = stream.borrow();
        let addr = canonical(socket.peer_addr()?);
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let deadline = Instant::now() + patience;
        Ok(Handshake {
            stream,
            addr,
            side,
            deadline,
            read: BytesMut::new(),
            codec: FrameCodec::before_hello(),
        })
    }

    /// The dialler speaks first; the other side answers once it knows what the dialler wants to be.
    fn run(
        mut self,
        me: &Identity,
        role: Role,
        settle: impl FnOnce(Role) -> Result<Role, NetError>,
        first: bool,
    ) -> Result<Session<S>, NetError> {
        let outcome = self.exchange(me, role, settle, first);
        match outcome {
            Ok(theirs) => {
                self.stream.borrow().set_read_timeout(None)?;
                Ok(Session { stream: self.stream, addr: self.addr, theirs, rest: self.read })
            }
            Err(error) => {
                self.tell(&error, first);
                Err(error)
            }
        }
    }

    fn exchange(
        &mut self,
        me: &Identity,
        role: Role,
        settle: impl FnOnce(Role) -> Result<Role, NetError>,
        first: bool,
    ) -> Result<Hello, NetError> {
        if first {
            self.say(&me.hello(role).into(), true)?;
        }
        self.need(PREFACE_BYTES)?;
        if let Some(preface) = self.read.first_chunk::<PREFACE_BYTES>() {
            Preface::check(*preface)?;
        }
        let _ = self.read.split_to(PREFACE_BYTES);
        let theirs = self.hear()?;
        let agreed = settle(theirs.role);
        if theirs.max_version < limits::MIN_VERSION || theirs.min_version > limits::MAX_VERSION {
            return Err(NetError::Version(theirs.min_version, theirs.max_version));
        }
        if theirs.peer == me.peer.get() {
            return Err(NetError::Myself);
        }
        let role = agreed?;
        if !first {
            self.say(&me.hello(role).into(), true)?;
        }
        Ok(theirs)
    }

    fn say(&mut self, message: &Common, preface: bool) -> Result<(), NetError> {
        let mut out = BytesMut::new();
        if preface {
            out.extend_from_slice(&Preface::OURS.encode());
        }
        message.put_frame(1, &mut out);
        trace::message(self.side, Direction::Out, self.addr, 1, message, out.len());
        self.stream.borrow().write_all(&out)?;
        Ok(())
    }

    fn hear(&mut self) -> Result<Hello, NetError> {
        loop {
            if let Some(frame) = self.codec.decode(&mut self.read)? {
                let size = frame.body.len() + wire::HEADER_BYTES;
                let message = Common::decode(frame.id, frame.body)?;
                trace::message(self.side, Direction::In, self.addr, frame.request, &message, size);
                return match message {
                    Common::Hello(hello) => Ok(hello),
                    Common::Error(error) => Err(error.into()),
                    other => Err(NetError::Unexpected(other.label())),
                };
            }
            let have = self.read.len();
            self.need(have + 1)?;
        }
    }

    fn need(&mut self, bytes: usize) -> Result<(), NetError> {
        while self.read.len() < bytes {
            read_more(self.stream.borrow(), &mut self.read, self.deadline)?;
        }
        Ok(())
    }

    /// Tells the other side what was wrong, if it is something to tell. The preface goes first, so
    /// that even a stranger can find the frame.
    fn tell(&mut self, error: &NetError, preface_sent: bool) {
        if let Some(message) = error.to_message() {
            let _ = self.say(&message, !preface_sent);
            close_gently(self.stream.borrow());
        }
    }
}

/// Reads something, before the deadline.
fn read_more(mut stream: &TcpStream, into: &mut BytesMut, deadline: Instant) -> Result<(), NetError> {
    let mut buffer = [0; limits::MAX_HELLO_FRAME_BYTES];
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(NetError::TimedOut);
    }
    stream.set_read_timeout(Some(left))?;
    match stream.read(&mut buffer) {
        Ok(0) => Err(NetError::Closed),
        Ok(got) => {
            into.extend_from_slice(&buffer[..got]);
            Ok(())
        }
        // As after a process was stopped and goes on.
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        Err(error) => Err(error.into()),
    }
}
