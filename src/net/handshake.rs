//! Preface, the handshake of a closed connection, and HELLO, the same for both sides: afterwards each knows who the other
//! is.

use std::borrow::Borrow;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio_util::codec::Decoder;

use super::dial::{canonical, close_gently};
use super::error::NetError;
use super::identity::Identity;
use super::sealing::Sealing;
use super::secure::{
    ANSWER_BYTES, Accepting, Dialling, Expected, GREETING_BYTES, KeyId, Keyring, LAST_BYTES, Opening, Proven,
    SecureError, Suite, Tunnel, thinking,
};
use super::trace::{Direction, Side};
use super::{secure, trace};
use crate::wire::{
    self, Common, FrameCodec, Hello, Message, PREFACE_BYTES, Preface, PrefaceError, Role, limits,
};

/// How long everything up to HELLO may take.
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
    /// What becomes of the bytes behind that, if it is closed.
    pub(super) sealing: Option<Box<Sealing>>,
}

/// The dialling side: says `role`, expects its counterpart, who is `expected` if this side has a key, to say HELLO within
/// `patience`.
///
/// # Errors
/// [`NetError`]; the other side has been told where that makes sense.
pub fn greet<S: Borrow<TcpStream>>(
    stream: S,
    (me, role): (&Identity, Role),
    expected: Expected,
    side: Side,
    patience: Duration,
) -> Result<Session<S>, NetError> {
    greet_by(stream, (me, role), (expected, me.keyring.dials()), side, patience)
}

/// The same by a key that is not the newest.
pub(crate) fn greet_by<S: Borrow<TcpStream>>(
    stream: S,
    (me, role): (&Identity, Role),
    (expected, opening): (Expected, Option<Opening>),
    side: Side,
    patience: Duration,
) -> Result<Session<S>, NetError> {
    let wanted = role.counterpart();
    let settle = |theirs| if theirs == wanted { Ok(role) } else { Err(NetError::Role(wanted)) };
    Handshake::new(stream, side, patience)?.run(me, settle, Some((role, expected, opening)))
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
    Handshake::new(stream, side, HELLO_TIMEOUT)?.run(me, settle, None)
}

impl<S> Session<S> {
    /// A connection in the clear, behind its HELLO.
    pub fn plain(stream: S, addr: SocketAddr, theirs: Hello, rest: BytesMut) -> Session<S> {
        Session { stream, addr, theirs, rest, sealing: None }
    }

    /// What is proved of the other side, if the connection is closed.
    pub fn proven(&self) -> Option<Proven> {
        self.sealing.as_ref().map(|sealing| sealing.proven)
    }
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
            read_more(self.stream.borrow(), &mut self.rest, self.sealing.as_deref_mut(), deadline)?;
        }
    }
}

/// As what a dialler dials, whom, and what it begins with if it is closed.
type Dials = (Role, Expected, Option<Opening>);

/// How this side's messages are understood by the other.
#[derive(Debug)]
enum Voice {
    /// Not at all: a handshake is under way.
    None,
    /// In the clear.
    Plain,
    /// Sealed.
    Sealed(Box<Sealing>),
}

struct Handshake<S> {
    stream: S,
    addr: SocketAddr,
    side: Side,
    deadline: Instant,
    read: BytesMut,
    codec: FrameCodec,
    voice: Voice,
    /// What is sent before the next message.
    ahead: Vec<u8>,
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
            voice: Voice::Plain,
            ahead: Preface::OURS.encode().to_vec(),
        })
    }

    /// The dialler speaks first; the other side answers once it knows what the dialler wants to be.
    fn run(
        mut self,
        me: &Identity,
        settle: impl FnOnce(Role) -> Result<Role, NetError>,
        dials: Option<Dials>,
    ) -> Result<Session<S>, NetError> {
        match self.exchange(me, settle, dials) {
            Ok(theirs) => {
                self.stream.borrow().set_read_timeout(None)?;
                let sealing = match self.voice {
                    Voice::Sealed(sealing) => Some(sealing),
                    Voice::None | Voice::Plain => None,
                };
                Ok(Session { stream: self.stream, addr: self.addr, theirs, rest: self.read, sealing })
            }
            Err(error) => {
                self.tell(&error);
                Err(error)
            }
        }
    }

    fn exchange(
        &mut self,
        me: &Identity,
        settle: impl FnOnce(Role) -> Result<Role, NetError>,
        dials: Option<Dials>,
    ) -> Result<Hello, NetError> {
        let answers = dials.is_none();
        match dials {
            Some(dials) => self.dial(me, dials)?,
            None => self.accept(&me.keyring)?,
        }
        let theirs = self.hear()?;
        let agreed = settle(theirs.role);
        if theirs.max_version < limits::MIN_VERSION || theirs.min_version > limits::MAX_VERSION {
            return Err(NetError::Version(theirs.min_version, theirs.max_version));
        }
        if let Voice::Sealed(sealing) = &self.voice
            && sealing.proven.key.peer_id() != theirs.peer
        {
            return Err(SecureError::Impostor.into());
        }
        if theirs.peer == me.peer.get() {
            return Err(NetError::Myself);
        }
        let role = agreed?;
        if answers {
            self.say(&me.hello(role).into())?;
        }
        Ok(theirs)
    }

    /// The dialler's part up to the other side's HELLO.
    fn dial(&mut self, me: &Identity, (role, expected, opening): Dials) -> Result<(), NetError> {
        let hello = me.hello(role).into();
        let Some((identity, opening)) = me.keyring.identity().zip(opening) else {
            self.say(&hello)?;
            let theirs = self.take::<PREFACE_BYTES>()?;
            return Ok(Preface::check(theirs)?);
        };
        self.voice = Voice::None;
        let suite = Suite::best();
        let preface = Preface::of_mode(suite.mode()).encode();
        let (mut noise, first) = Dialling::begin(preface, suite, (identity, &opening), expected)?;
        self.stream.borrow().write_all(&first)?;
        let theirs = self.take::<PREFACE_BYTES>()?;
        if theirs == Preface::OURS.encode() {
            return Err(self.refusal()); // said in the clear: it is believed as far as giving up goes
        }
        if Preface::mode_of(theirs)? != suite.mode() {
            return Err(PrefaceError::Mode(theirs[6]).into());
        }
        self.need(ANSWER_BYTES)?;
        let Some((taken, third, tunnel)) = noise.finish(&self.read)? else {
            return Err(SecureError::Handshake.into());
        };
        if me.keyring.is_revoked(&tunnel.proven.key) {
            return Err(SecureError::Revoked.into());
        }
        self.ahead = third;
        self.seal(tunnel, taken, &me.keyring)?;
        self.say(&hello)
    }

    /// The accepter's part up to the other side's HELLO.
    fn accept(&mut self, keyring: &Keyring) -> Result<(), NetError> {
        let preface = self.take::<PREFACE_BYTES>()?;
        let mode = Preface::mode_of(preface)?;
        if mode == Preface::OURS.mode {
            return if keyring.is_closed() { Err(NetError::SwarmIsClosed) } else { Ok(()) };
        }
        self.accept_sealed(keyring, (preface, mode))
    }

    /// The same behind a preface of a closed connection. Apart, for what it needs on the stack nobody is to cost who sends
    /// nothing.
    fn accept_sealed(
        &mut self,
        keyring: &Keyring,
        (preface, mode): ([u8; PREFACE_BYTES], u8),
    ) -> Result<(), NetError> {
        let suite = Suite::of_mode(mode).ok_or(PrefaceError::Mode(mode))?;
        let identity = keyring.identity().ok_or(NetError::SwarmIsOpen)?;
        let id = KeyId(self.take()?);
        let opening = keyring.answers(id, Instant::now()).ok_or(SecureError::UnknownSwarm)?;
        self.need(GREETING_BYTES)?;
        let (mut noise, taken, second) = answer(&self.read, preface, suite, (identity, &opening))?;
        let _ = self.read.split_to(taken);
        self.voice = Voice::None;
        self.ahead.clear();
        self.stream.borrow().write_all(&[&preface[..], &second].concat())?;
        self.need(LAST_BYTES)?;
        let Some((taken, tunnel)) = thinking(|| noise.finish(&self.read))? else {
            return Err(SecureError::Handshake.into());
        };
        let key = tunnel.proven.key;
        self.seal(tunnel, taken, keyring)?;
        if keyring.is_revoked(&key) { Err(SecureError::Revoked.into()) } else { Ok(()) }
    }

    /// From now on everything is sealed, also what has arrived behind so many bytes.
    fn seal(&mut self, tunnel: Tunnel, taken: usize, keyring: &Keyring) -> Result<(), NetError> {
        let behind = self.read.split_off(taken);
        self.read = BytesMut::new();
        let mut sealing = Sealing::new(tunnel, BytesMut::new(), keyring);
        sealing.inbox.take(&behind, &mut self.read)?;
        self.voice = Voice::Sealed(Box::new(sealing));
        Ok(())
    }

    /// Why the other side does not want this one, who is not understood otherwise.
    fn refusal(&mut self) -> NetError {
        match self.hear() {
            Ok(_) => NetError::Unexpected("HELLO in the clear"),
            Err(error) => error,
        }
    }

    fn say(&mut self, message: &Common) -> Result<(), NetError> {
        let mut frame = BytesMut::new();
        message.put_frame(1, &mut frame);
        trace::message(self.side, Direction::Out, self.addr, 1, message, frame.len());
        let mut out = BytesMut::from(&*std::mem::take(&mut self.ahead));
        match &mut self.voice {
            Voice::Sealed(sealing) => sealing.sealer.seal(&frame, &mut out)?,
            Voice::None | Voice::Plain => out.unsplit(frame),
        }
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
            self.more()?;
        }
    }

    /// The next bytes.
    fn take<const N: usize>(&mut self) -> Result<[u8; N], NetError> {
        loop {
            if let Some(bytes) = self.read.first_chunk::<N>().copied() {
                let _ = self.read.split_to(N);
                return Ok(bytes);
            }
            self.more()?;
        }
    }

    fn need(&mut self, bytes: usize) -> Result<(), NetError> {
        while self.read.len() < bytes {
            self.more()?;
        }
        Ok(())
    }

    fn more(&mut self) -> Result<(), NetError> {
        let sealing = match &mut self.voice {
            Voice::Sealed(sealing) => Some(&mut **sealing),
            Voice::None | Voice::Plain => None,
        };
        read_more(self.stream.borrow(), &mut self.read, sealing, self.deadline)
    }

    /// Tells the other side what was wrong, if it is something to tell and there is a way. The preface goes first, so
    /// that even a stranger can find the frame.
    fn tell(&mut self, error: &NetError) {
        if let Some(message) = error.to_message()
            && !matches!(self.voice, Voice::None)
        {
            let _ = self.say(&message);
            close_gently(self.stream.borrow());
        }
    }
}

/// Message 2, once message 1 has proved that the dialler has the key.
fn answer(
    arrived: &[u8],
    preface: [u8; PREFACE_BYTES],
    suite: Suite,
    with: (&secure::Identity, &Opening),
) -> Result<(Accepting, usize, Vec<u8>), SecureError> {
    thinking(|| {
        let mut noise = Accepting::begin(preface, suite, with)?;
        let (taken, second) = noise.answer(arrived)?.ok_or(SecureError::UnknownSwarm)?;
        Ok((noise, taken, second))
    })
}

/// Reads something, before the deadline.
fn read_more(
    mut stream: &TcpStream,
    into: &mut BytesMut,
    sealing: Option<&mut Sealing>,
    deadline: Instant,
) -> Result<(), NetError> {
    let mut buffer = [0; limits::MAX_HELLO_FRAME_BYTES];
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(NetError::TimedOut);
    }
    stream.set_read_timeout(Some(left))?;
    match stream.read(&mut buffer) {
        Ok(0) => Err(NetError::Closed),
        Ok(got) => {
            match sealing {
                Some(sealing) => sealing.inbox.take(&buffer[..got], into)?,
                None => into.extend_from_slice(&buffer[..got]),
            }
            Ok(())
        }
        // As after a process was stopped and goes on.
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        Err(error) => Err(error.into()),
    }
}
