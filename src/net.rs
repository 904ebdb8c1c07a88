//! Connections: preface, HELLO, framing and tracing; blocking calls for everything but chunks.
//!
//! Owns sockets, decides nothing. The bulk connections between peers start here with [`greet`] and
//! [`welcome`], and then run their own non-blocking loop.

use std::borrow::Borrow;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::content::PeerId;
use crate::descriptors::patiently;
use crate::threads::{Panicked, lock};
use crate::wire::{self, ErrorCode, FrameError, Hello, PrefaceError, Role, limits};

pub(crate) mod backoff;
pub(crate) mod bulk;
mod control;
pub mod door;
pub(crate) mod guests;
mod handle;
mod handshake;
pub mod trace;

pub use control::Control;
pub use handle::Handle;
use handshake::Handshake;
use trace::Side;

/// Bytes read from a socket at once on connections that carry no chunks: every page of the buffer
/// costs each idle connection a page of its thread's stack.
const READ_BYTES: usize = 4 << 10;
/// How long HELLO may take.
const HELLO_TIMEOUT: Duration = Duration::from_millis(limits::HELLO_TIMEOUT_MS as u64);
/// How long a dial may take before the next address is tried.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that may wait to be accepted; the system may allow fewer.
const BACKLOG: i32 = 4096;
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
    /// This side has a fault, which has been told.
    #[error("an internal error ended it: {0}")]
    Panicked(Panicked),
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
            NetError::Closed | NetError::Io(_) | NetError::Refused { .. } | NetError::Panicked(_) => None,
        }
    }
}

/// The id of this process, which all clones share. Anybody can know it and take it first, so it can be given up.
#[derive(Debug, Clone)]
pub struct OwnId(Arc<Mutex<PeerId>>);

impl OwnId {
    /// One that nobody else has.
    pub fn random() -> OwnId {
        OwnId::from(random_id())
    }

    /// The id now.
    pub fn get(&self) -> PeerId {
        *lock(&self.0)
    }

    /// Takes another in place of `old`, unless that has been done.
    pub fn give_up(&self, old: PeerId) {
        let mut id = lock(&self.0);
        if *id == old {
            *id = random_id();
        }
    }
}

impl From<PeerId> for OwnId {
    fn from(id: PeerId) -> OwnId {
        OwnId(Arc::new(Mutex::new(id)))
    }
}

/// An id that nobody else has.
pub fn random_id() -> PeerId {
    PeerId(std::array::from_fn(|_| fastrand::u8(..)))
}

/// Who this process is, as it says in HELLO.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its id.
    pub peer: OwnId,
    /// Its name.
    pub name: String,
    /// Where it accepts connections; 0 if nowhere.
    pub listen_port: u16,
}

impl Identity {
    /// An identity for a tool that serves nothing: a random id.
    pub fn tool() -> Identity {
        Identity { peer: OwnId::random(), name: String::new(), listen_port: 0 }
    }

    fn hello(&self, role: Role) -> Hello {
        Hello {
            min_version: limits::MIN_VERSION,
            max_version: limits::MAX_VERSION,
            features: 0,
            role,
            peer: self.peer.get(),
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
        match patiently(|| TcpStream::connect_timeout(&addr, DIAL_TIMEOUT)) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Listens on `host:port`, with room for many who dial at the same moment: a queue that is full makes
/// honest ones wait for a second and more.
///
/// # Errors
/// The last address's error, or that there is no such host.
pub fn listen(target: &str) -> io::Result<TcpListener> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for addr in target.to_socket_addrs()? {
        match listen_on(addr) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn listen_on(addr: SocketAddr) -> io::Result<TcpListener> {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    // A port whose last connections are still in their last minute can be had again at once.
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
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
    greet_within(HELLO_TIMEOUT, stream, me, role, wanted, side)
}

/// The same with another patience for the other side's HELLO.
///
/// # Errors
/// As [`greet`].
pub fn greet_within<S: Borrow<TcpStream>>(
    patience: Duration,
    stream: S,
    me: &Identity,
    role: Role,
    wanted: Role,
    side: Side,
) -> Result<Session<S>, NetError> {
    Handshake::new(stream, side, patience)?.run(
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
    Handshake::new(stream, side, HELLO_TIMEOUT)?.run(
        me,
        Role::Tracker,
        |theirs| choose(theirs).ok_or(NetError::Unexpected("HELLO role")),
        false,
    )
}

/// Ends sending and swallows what is still coming for a moment, so that the last message is read
/// before a reset destroys it.
pub fn close_gently(stream: &TcpStream) {
    const PATIENCE: Duration = Duration::from_millis(200);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let until = Instant::now() + PATIENCE;
    let mut sink = [0; 4096];
    let mut stream = stream;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        // Whoever sends a byte now and then is not waited for any longer.
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            return;
        }
        if !matches!(stream.read(&mut sink), Ok(1..)) {
            return;
        }
    }
}
