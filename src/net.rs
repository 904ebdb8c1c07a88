//! Connections: preface, HELLO, framing and tracing; blocking calls for everything but chunks.
//!
//! Owns sockets, decides nothing. The bulk connections between peers start here with [`greet`] and
//! [`welcome`], and then run their own non-blocking loop.

use std::borrow::Borrow;
use std::io::{self, Read, Write};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio_util::codec::Decoder;

use crate::content::PeerId;
use crate::wire::{
    self, Common, ErrorCode, FrameCodec, FrameError, Hello, Message, PREFACE_BYTES, Preface, PrefaceError,
    Role, limits,
};

pub mod trace;

use trace::{Direction, Side};

/// Bytes read from a socket at once on connections that carry no chunks: every page of the buffer
/// costs each idle connection a page of its thread's stack.
const READ_BYTES: usize = 4 << 10;
/// How long a dial may take before the next address is tried.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a write may be stuck before the connection counts as broken.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a connection is of no use any more.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The other side closed the connection.
    #[error("the connection was closed")]
    Closed,
    /// Nothing came in time.
    #[error("no answer came in time")]
    TimedOut,
    /// The socket failed.
    #[error("{0}")]
    Io(io::Error),
    /// The bytes are not frames.
    #[error("{0}")]
    Frame(FrameError),
    /// A frame is not a message.
    #[error("{0}")]
    Decode(#[from] wire::DecodeError),
    /// The preface is not ours.
    #[error("{0}")]
    Preface(#[from] PrefaceError),
    /// No version in common: theirs.
    #[error("the other side speaks protocol versions {0} to {1}, this one {min} to {max}", min = limits::MIN_VERSION, max = limits::MAX_VERSION)]
    Version(u16, u16),
    /// The message is not allowed now.
    #[error("unexpected {0}")]
    Unexpected(&'static str),
    /// The other side plays another part than the one dialled for.
    #[error("the other side is not a {}", .0.label())]
    Role(Role),
    /// The other side said ERROR.
    #[error("the other side says {}: {detail}", code.label())]
    Refused {
        /// Its code.
        code: ErrorCode,
        /// Its words.
        detail: String,
    },
    /// Both ends are the same peer.
    #[error("the other side is this very peer")]
    Myself,
}

impl From<io::Error> for NetError {
    fn from(error: io::Error) -> NetError {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => NetError::TimedOut,
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                NetError::Closed
            }
            _ => NetError::Io(error),
        }
    }
}

impl From<FrameError> for NetError {
    fn from(error: FrameError) -> NetError {
        match error {
            FrameError::Io(error) => error.into(),
            other => NetError::Frame(other),
        }
    }
}

impl NetError {
    /// The code with which the other side is told, if it should be.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            NetError::Frame(FrameError::TooLarge { .. }) => Some(ErrorCode::TooLarge),
            NetError::Frame(_) => Some(ErrorCode::Malformed),
            NetError::Decode(wire::DecodeError::UnknownMessage(_))
            | NetError::Unexpected(_)
            | NetError::Role(_) => Some(ErrorCode::Unexpected),
            NetError::Decode(_) => Some(ErrorCode::Malformed),
            NetError::Preface(PrefaceError::Magic) => Some(ErrorCode::BadMagic),
            NetError::Preface(PrefaceError::Version(_)) | NetError::Version(..) => {
                Some(ErrorCode::UnsupportedVersion)
            }
            NetError::Preface(PrefaceError::Mode(_)) => Some(ErrorCode::UnsupportedMode),
            NetError::TimedOut => Some(ErrorCode::TimedOut),
            NetError::Myself => Some(ErrorCode::Myself),
            NetError::Closed | NetError::Io(_) | NetError::Refused { .. } => None,
        }
    }
}

/// Who this process is, as it says in HELLO.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its id.
    pub peer: PeerId,
    /// Its name.
    pub name: String,
    /// Where it accepts connections; 0 if nowhere.
    pub listen_port: u16,
}

impl Identity {
    /// An identity for a tool that serves nothing: a random id.
    pub fn tool() -> Identity {
        Identity {
            peer: PeerId(std::array::from_fn(|_| fastrand::u8(..))),
            name: String::new(),
            listen_port: 0,
        }
    }

    fn hello(&self, role: Role) -> Hello {
        Hello {
            min_version: limits::MIN_VERSION,
            max_version: limits::MAX_VERSION,
            features: 0,
            role,
            peer: self.peer,
            listen_port: self.listen_port,
            name: wire::Label::new(&*self.name),
            software: wire::Label::new(concat!("p2p/", env!("CARGO_PKG_VERSION"))),
        }
    }
}

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

/// Opens a TCP connection to `host:port`, trying each address it stands for.
///
/// # Errors
/// The last address's error, or that there is no such host.
pub fn dial(target: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for addr in target.to_socket_addrs()? {
        match TcpStream::connect_timeout(&addr, DIAL_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The dialling side of preface and HELLO: says `role`, expects `wanted`.
///
/// # Errors
/// [`NetError`]; the other side has been told where that makes sense.
pub fn greet<S: Borrow<TcpStream>>(
    stream: S,
    me: &Identity,
    role: Role,
    wanted: Role,
    side: Side,
) -> Result<Session<S>, NetError> {
    Handshake::new(stream, side)?.run(
        me,
        role,
        |theirs| match theirs == wanted {
            true => Ok(role),
            false => Err(NetError::Role(wanted)),
        },
        true,
    )
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
    Handshake::new(stream, side)?.run(
        me,
        Role::Tracker,
        |theirs| choose(theirs).ok_or(NetError::Unexpected("HELLO role")),
        false,
    )
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
    fn new(stream: S, side: Side) -> Result<Handshake<S>, NetError> {
        let socket = stream.borrow();
        let addr = socket.peer_addr()?;
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let deadline = Instant::now() + Duration::from_millis(u64::from(limits::HELLO_TIMEOUT_MS));
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
        if theirs.peer == me.peer {
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
                    Common::Error(error) => {
                        Err(NetError::Refused { code: error.code, detail: error.detail.into_string() })
                    }
                    other => Err(NetError::Unexpected(other.label())),
                };
            }
            let have = self.read.len();
            self.need(have + 1)?;
        }
    }

    fn need(&mut self, bytes: usize) -> Result<(), NetError> {
        let mut buffer = [0; limits::MAX_HELLO_FRAME_BYTES];
        while self.read.len() < bytes {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(NetError::TimedOut);
            }
            self.stream.borrow().set_read_timeout(Some(left))?;
            match self.stream.borrow().read(&mut buffer)? {
                0 => return Err(NetError::Closed),
                got => self.read.extend_from_slice(&buffer[..got]),
            }
        }
        Ok(())
    }

    /// Tells the other side what was wrong, if it is something to tell. The preface goes first, so
    /// that even a stranger can find the frame.
    fn tell(&mut self, error: &NetError, preface_sent: bool) {
        if let Some(code) = error.code() {
            let message = Common::Error(wire::Error { code, detail: wire::Text::new(error.to_string()) });
            let _ = self.say(&message, !preface_sent);
            close_gently(self.stream.borrow());
        }
    }
}

/// Ends sending and swallows what is still coming for a moment, so that the last message is read
/// before a reset destroys it.
pub fn close_gently(stream: &TcpStream) {
    const PATIENCE: Duration = Duration::from_millis(200);
    const MOST_READS: usize = 64;
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let mut sink = [0; 4096];
    let mut stream = stream;
    for _ in 0..MOST_READS {
        if !matches!(stream.read(&mut sink), Ok(1..)) {
            return;
        }
    }
}

/// A connection on which requests and answers alternate at leisure: everything but chunks.
///
/// `R` is what arrives, `S` is what is sent.
#[derive(Debug)]
pub struct Control<R, S> {
    stream: Arc<TcpStream>,
    /// The other side's address.
    pub addr: SocketAddr,
    /// What the other side said of itself.
    pub theirs: Hello,
    side: Side,
    codec: FrameCodec,
    read: BytesMut,
    write: BytesMut,
    next_request: u32,
    speaks: PhantomData<(R, S)>,
}

impl<R: Message, S: Message> Control<R, S> {
    /// Continues a session.
    pub fn new(session: Session<impl Into<Arc<TcpStream>>>, side: Side) -> Control<R, S> {
        let mut codec = FrameCodec::before_hello();
        codec.hello_done();
        Control {
            stream: session.stream.into(),
            addr: session.addr,
            theirs: session.theirs,
            side,
            codec,
            read: session.rest,
            write: BytesMut::new(),
            next_request: 1,
            speaks: PhantomData,
        }
    }

    /// A handle with which another thread can shut the connection down.
    pub fn handle(&self) -> Arc<TcpStream> {
        Arc::clone(&self.stream)
    }

    /// The socket, to wait for.
    pub fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// How long [`Control::receive`] waits; `None` waits for ever.
    ///
    /// # Errors
    /// When the socket is closed.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(timeout)
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

    fn fill(&mut self) -> Result<(), NetError> {
        // The buffer lives on the stack, so that an idle connection keeps no memory for it; and it is
        // not cleared first, so that only the part that is used costs anything.
        let mut buffer = [MaybeUninit::<u8>::uninit(); READ_BYTES];
        if self.read.is_empty() {
            self.read = BytesMut::new();
        }
        let got = loop {
            match rustix::io::read(&self.stream, &mut buffer) {
                Ok((got, _)) => break got,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
        };
        if got.is_empty() {
            return Err(NetError::Closed);
        }
        self.read.extend_from_slice(got);
        Ok(())
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
        let sent = (&*self.stream).write_all(&self.write);
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
    /// other messages with other numbers are passed over.
    ///
    /// # Errors
    /// When no answer comes within the timeout, or the connection is broken.
    pub fn call(&mut self, message: &S) -> Result<R, NetError> {
        let request = self.request(message)?;
        loop {
            match self.receive()? {
                (number, answer) if number == request => return Ok(answer),
                (0, last_words) if last_words.label() == "ERROR" => return Ok(last_words),
                _ => {}
            }
        }
    }

    /// Tells the other side why the connection ends, if it should know, and closes it.
    pub fn end(mut self, error: &NetError)
    where
        S: From<Common>,
    {
        if let Some(code) = error.code() {
            let message = Common::Error(wire::Error { code, detail: wire::Text::new(error.to_string()) });
            let _ = self.send(0, &S::from(message));
            close_gently(&self.stream);
        }
    }
}
