//! Closed swarms' transport: keys and their files, the handshake, sealed records. Bytes in, bytes out: no socket, no
//! clock; `docs/PROTOCOL.md` has the bytes.
//!
//! - `secret`: what is secret; `psk`: what a handshake needs to begin; `code`: a secret that people hand each other;
//!   `files`: private files; `identity`: the static key pair of a node; `expected`: whose key a dialler wants to meet.
//! - `keyring`: all that a node dials with and can be dialled with, changed while it runs.
//! - `vectors`: an exchange for the document.
//! - `turnstile`: how many threads may compute at a time for those who dial.
//! - `handshake`: three messages of Noise, after which both sides have `records`: a [`Sealer`] and an [`Opener`], over `cipher`.

mod cipher;
mod code;
mod expected;
pub mod files;
mod handshake;
mod identity;
mod keyring;
mod psk;
mod records;
mod secret;
mod suite;
mod turnstile;
#[cfg(feature = "lab")]
pub mod vectors;

pub(crate) use code::Code;
pub use expected::Expected;
pub use handshake::{
    ANSWER_BYTES, Accepting, Dialling, GREETING_BYTES, LAST_BYTES, Proven, SecureError, Tunnel,
};
pub use identity::{FILE as IDENTITY_FILE, Identity};
pub use keyring::Keyring;
pub use psk::{KeyId, Opening, Psk, Purpose};
pub use records::{Broken, Opener, RECORD_OVERHEAD, Sealer, sealed_len};
pub use secret::Secret;
pub use suite::Suite;
pub(crate) use turnstile::thinking;

#[cfg(test)]
mod tests;
