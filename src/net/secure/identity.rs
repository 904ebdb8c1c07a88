//! Who a node is: a static key pair, kept in its state folder.

use std::io;
use std::path::Path;

use snow::params::DHChoice;
use snow::resolvers::{CryptoResolver, DefaultResolver};

use super::files;
use super::secret::Secret;
use crate::content::PublicKey;

/// Where the private key lies in a state folder: 32 bytes, raw, mode 0600.
pub const FILE: &str = "identity.key";

/// A static key pair (X25519).
#[derive(Debug, Clone)]
pub struct Identity {
    private: Secret,
    public: PublicKey,
}

impl Identity {
    /// The pair of a private key.
    pub fn new(private: Secret) -> Identity {
        let public = DefaultResolver.resolve_dh(&DHChoice::Curve25519).map(|mut pair| {
            pair.set(private.expose());
            pair.pubkey().try_into().unwrap_or_default()
        });
        Identity { private, public: PublicKey(public.unwrap_or_default()) }
    }

    /// A pair that nobody else has, for as long as this process runs.
    ///
    /// # Errors
    /// The system has no random bytes.
    pub fn random() -> io::Result<Identity> {
        Secret::random().map(Identity::new)
    }

    /// The pair that this folder keeps; one is made for it if it has none.
    ///
    /// # Errors
    /// The file cannot be read or made; others may read it; it is no key.
    pub fn load_or_make(folder: &Path) -> io::Result<Identity> {
        let path = folder.join(FILE);
        match Identity::load(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        std::fs::create_dir_all(folder)?;
        let made = Identity::random()?;
        match files::create_private(&path, made.private.expose()) {
            Ok(()) => Ok(made),
            // Another process was quicker: both are the same node.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Identity::load(&path),
            Err(error) => Err(error),
        }
    }

    fn load(path: &Path) -> io::Result<Identity> {
        let bytes = files::read_private(path)?;
        let no_key =
            || io::Error::new(io::ErrorKind::InvalidData, "it is no private key, which has 32 bytes");
        Secret::from_slice(&bytes).map(Identity::new).ok_or_else(no_key)
    }

    /// The half that others know.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    pub(super) fn private(&self) -> &Secret {
        &self.private
    }
}
