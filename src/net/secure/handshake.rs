//! The handshake of a closed connection: three messages of Noise XXpsk0, after which each side knows the other's key.
//!
//! Pure: each step takes what arrived and gives what is to be sent. Message 1 proves that the dialler knows the key of the
//! swarm, before the accepter computes anything that is dear; message 2 proves who the accepter is, and only then the
//! dialler says who it is.

use snow::resolvers::{DefaultResolver, FallbackResolver, RingResolver};
use snow::{Builder, HandshakeState};
use zeroize::Zeroizing;

use super::expected::Expected;
use super::identity::Identity;
use super::psk::{KeyId, Opening, Purpose};
use super::records::{Broken, Opener, Sealer};
use super::suite::Suite;
use crate::content::PublicKey;
use crate::wire::PREFACE_BYTES;

/// What the handshake's first message is bound to: the dialler's preface and key id.
const PROLOGUE_BYTES: usize = PREFACE_BYTES + KeyId::BYTES;
/// Message 1, 2 and 3 with their lengths.
pub const GREETING_BYTES: usize = LENGTH_BYTES + MESSAGE_BYTES[0];
/// As [`GREETING_BYTES`].
pub const ANSWER_BYTES: usize = LENGTH_BYTES + MESSAGE_BYTES[1];
/// As [`GREETING_BYTES`].
pub const LAST_BYTES: usize = LENGTH_BYTES + MESSAGE_BYTES[2];
/// The messages, none of which carries anything for us: an ephemeral key and a tag; that, a static key and a tag, and a tag;
/// a static key and a tag, and a tag.
const MESSAGE_BYTES: [usize; 3] = [48, 96, 64];
const LENGTH_BYTES: usize = 2;

/// Why a handshake, or a connection behind it, is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecureError {
    /// The dialler begins with a key that is not known here, or does not have the key it names.
    #[error("the key of another swarm, or of one that has changed its key")]
    UnknownSwarm,
    /// The other side is not who was dialled, or says that it is somebody else than its key says.
    #[error("the other side's key is not that of who it should be")]
    Impostor,
    /// The other side's key was revoked.
    #[error("the other side's key was revoked")]
    Revoked,
    /// The bytes are not those of a handshake, or not those that the other side sent.
    #[error("the handshake went wrong: it was changed on its way, or is none")]
    Handshake,
    /// As [`Broken`].
    #[error(transparent)]
    Record(#[from] Broken),
}

/// What a handshake has proved of the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proven {
    /// Its static key.
    pub key: PublicKey,
    /// What the connection may be used for.
    pub purpose: Purpose,
    /// With which key the dialler began.
    pub psk: KeyId,
    /// How it is sealed.
    pub suite: Suite,
}

/// A connection whose handshake is done.
#[derive(Debug)]
pub struct Tunnel {
    /// Seals what is sent.
    pub sealer: Sealer,
    /// Opens what arrives.
    pub opener: Opener,
    /// Who the other side is.
    pub proven: Proven,
}

/// The dialling side. Boxed: most connections of a process are behind their handshake.
pub struct Dialling {
    noise: Box<HandshakeState>,
    suite: Suite,
    purpose: Purpose,
    psk: KeyId,
    expected: Expected,
}

impl Dialling {
    /// Begins: what is to be sent is preface, key id and message 1.
    ///
    /// # Errors
    /// The system has no random bytes.
    pub fn begin(
        preface: [u8; PREFACE_BYTES],
        suite: Suite,
        (me, opening): (&Identity, &Opening),
        expected: Expected,
    ) -> Result<(Dialling, Vec<u8>), SecureError> {
        Dialling::begin_with(preface, suite, (me, opening), expected, None)
    }

    pub(super) fn begin_with(
        preface: [u8; PREFACE_BYTES],
        suite: Suite,
        (me, opening): (&Identity, &Opening),
        expected: Expected,
        ephemeral: Option<&[u8; 32]>,
    ) -> Result<(Dialling, Vec<u8>), SecureError> {
        let mut sent = Vec::with_capacity(PROLOGUE_BYTES + LENGTH_BYTES + MESSAGE_BYTES[0]);
        sent.extend_from_slice(&preface);
        sent.extend_from_slice(&opening.psk.id().0);
        let begun = builder(suite, me, opening, &sent, ephemeral)?.build_initiator().map_err(failed)?;
        let mut noise = Box::new(begun);
        write(&mut noise, 0, &mut sent)?;
        let psk = opening.psk.id();
        Ok((Dialling { noise, suite, purpose: opening.purpose, psk, expected }, sent))
    }

    /// Takes message 2, which is preceded by its length, off the front of what arrived; none if it has not come whole. Gives
    /// message 3, which is to be sent, and the connection.
    ///
    /// # Errors
    /// [`SecureError::Impostor`] when somebody else answers than was expected, who then does not learn who dialled;
    /// [`SecureError::Handshake`].
    pub fn finish(&mut self, arrived: &[u8]) -> Result<Option<(usize, Vec<u8>, Tunnel)>, SecureError> {
        let Some(taken) = read(&mut self.noise, 1, arrived)? else { return Ok(None) };
        let key = static_key(&self.noise)?;
        if !self.expected.is_met_by(&key) {
            return Err(SecureError::Impostor);
        }
        let mut sent = Vec::with_capacity(LENGTH_BYTES + MESSAGE_BYTES[2]);
        write(&mut self.noise, 2, &mut sent)?;
        let proven = Proven { key, purpose: self.purpose, psk: self.psk, suite: self.suite };
        let tunnel = tunnel(&mut self.noise, proven, true)?;
        Ok(Some((taken, sent, tunnel)))
    }
}

/// The accepting side, from when the key that the dialler names was found.
pub struct Accepting {
    noise: Box<HandshakeState>,
    suite: Suite,
    purpose: Purpose,
    psk: KeyId,
    answered: bool,
}

impl Accepting {
    /// Begins with the dialler's preface, and with what is known under its key id.
    ///
    /// # Errors
    /// [`SecureError::Handshake`]: never, with keys that are keys.
    pub fn begin(
        preface: [u8; PREFACE_BYTES],
        suite: Suite,
        (me, opening): (&Identity, &Opening),
    ) -> Result<Accepting, SecureError> {
        Accepting::begin_with(preface, suite, (me, opening), None)
    }

    pub(super) fn begin_with(
        preface: [u8; PREFACE_BYTES],
        suite: Suite,
        (me, opening): (&Identity, &Opening),
        ephemeral: Option<&[u8; 32]>,
    ) -> Result<Accepting, SecureError> {
        let prologue = [&preface[..], &opening.psk.id().0].concat();
        let begun = builder(suite, me, opening, &prologue, ephemeral)?.build_responder().map_err(failed)?;
        let psk = opening.psk.id();
        Ok(Accepting { noise: Box::new(begun), suite, purpose: opening.purpose, psk, answered: false })
    }

    /// Takes message 1 and its length off the front of what arrived behind the key id; none if it has not come whole. Gives
    /// message 2, which is to be sent behind a preface.
    ///
    /// # Errors
    /// [`SecureError::UnknownSwarm`] when the dialler does not know the key that it names: before anything dear was computed.
    pub fn answer(&mut self, arrived: &[u8]) -> Result<Option<(usize, Vec<u8>)>, SecureError> {
        let read = read(&mut self.noise, 0, arrived).map_err(|_| SecureError::UnknownSwarm)?;
        let Some(taken) = read else { return Ok(None) };
        let mut sent = Vec::with_capacity(LENGTH_BYTES + MESSAGE_BYTES[1]);
        write(&mut self.noise, 1, &mut sent)?;
        self.answered = true;
        Ok(Some((taken, sent)))
    }

    /// Takes message 3 and its length off the front of what arrived behind message 1; none if it has not come whole.
    ///
    /// # Errors
    /// [`SecureError::Handshake`].
    pub fn finish(&mut self, arrived: &[u8]) -> Result<Option<(usize, Tunnel)>, SecureError> {
        if !self.answered {
            return Err(SecureError::Handshake);
        }
        let Some(taken) = read(&mut self.noise, 2, arrived)? else { return Ok(None) };
        let key = static_key(&self.noise)?;
        let proven = Proven { key, purpose: self.purpose, psk: self.psk, suite: self.suite };
        Ok(Some((taken, tunnel(&mut self.noise, proven, false)?)))
    }
}

fn builder<'a>(
    suite: Suite,
    me: &'a Identity,
    opening: &'a Opening,
    prologue: &'a [u8],
    ephemeral: Option<&'a [u8; 32]>,
) -> Result<Builder<'a>, SecureError> {
    // SHA-256 and the ciphers are ring's; X25519 is what ring keeps to itself.
    let crypto = FallbackResolver::new(Box::new(RingResolver), Box::new(DefaultResolver));
    let pattern = suite.noise().parse().map_err(failed)?;
    let built = Builder::with_resolver(pattern, Box::new(crypto))
        .psk(0, opening.psk.key().expose())
        .and_then(|built| built.local_private_key(me.private().expose()))
        .and_then(|built| built.prologue(prologue))
        .map_err(failed)?;
    Ok(match ephemeral {
        Some(key) => built.fixed_ephemeral_key_for_testing_only(key),
        None => built,
    })
}

/// Puts a message behind `out`, and its length before it.
fn write(noise: &mut HandshakeState, nth: usize, out: &mut Vec<u8>) -> Result<(), SecureError> {
    let mut message = [0; MESSAGE_BYTES[1]];
    let written = noise.write_message(&[], &mut message).map_err(failed)?;
    debug_assert_eq!(written, MESSAGE_BYTES[nth]);
    out.extend_from_slice(&(written as u16).to_be_bytes());
    out.extend_from_slice(&message[..written]);
    Ok(())
}

/// Reads a message of the length that it must have; how many bytes it was, with its length.
fn read(noise: &mut HandshakeState, nth: usize, arrived: &[u8]) -> Result<Option<usize>, SecureError> {
    let Some((length, rest)) = arrived.split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let expected = MESSAGE_BYTES[nth];
    if usize::from(u16::from_be_bytes(*length)) != expected {
        return Err(SecureError::Handshake);
    }
    let Some(message) = rest.get(..expected) else { return Ok(None) };
    noise.read_message(message, &mut []).map_err(failed)?;
    Ok(Some(LENGTH_BYTES + expected))
}

fn static_key(noise: &HandshakeState) -> Result<PublicKey, SecureError> {
    let key = noise.get_remote_static().and_then(|key| key.try_into().ok());
    key.map(PublicKey).ok_or(SecureError::Handshake)
}

fn tunnel(noise: &mut HandshakeState, proven: Proven, dialled: bool) -> Result<Tunnel, SecureError> {
    let (forth, back) = noise.dangerously_get_raw_split();
    let (forth, back) = (Zeroizing::new(forth), Zeroizing::new(back));
    let (ours, theirs) = if dialled { (&forth, &back) } else { (&back, &forth) };
    Ok(Tunnel {
        sealer: Sealer::new(proven.suite, ours)?,
        opener: Opener::new(proven.suite, theirs)?,
        proven,
    })
}

fn failed(_: snow::Error) -> SecureError {
    SecureError::Handshake
}
