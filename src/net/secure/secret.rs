//! A secret: its bytes are in no log, trace or message, and are overwritten when it is dropped.

use std::fmt;

use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

/// The secret of one epoch of a swarm, or a private key.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; Secret::BYTES]>);

impl Secret {
    /// Bytes of a secret.
    pub const BYTES: usize = 32;

    /// One that nobody knows.
    ///
    /// # Errors
    /// The system has no random bytes.
    pub fn random() -> std::io::Result<Secret> {
        let mut bytes = Zeroizing::new([0; Secret::BYTES]);
        SystemRandom::new().fill(&mut *bytes).map_err(|_| std::io::Error::other("no random bytes"))?;
        Ok(Secret(bytes))
    }

    /// The secret of these bytes; none if they are not as many as a secret has.
    pub fn from_slice(bytes: &[u8]) -> Option<Secret> {
        bytes.try_into().ok().map(|bytes| Secret(Zeroizing::new(bytes)))
    }

    /// The bytes, for what computes with them or writes them to a private place.
    pub fn expose(&self) -> &[u8; Secret::BYTES] {
        &self.0
    }
}

impl From<[u8; Secret::BYTES]> for Secret {
    fn from(bytes: [u8; Secret::BYTES]) -> Secret {
        Secret(Zeroizing::new(bytes))
    }
}

/// That there is one, and nothing of it.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
