//! What becomes of a connection's bytes behind its handshake, where it has one: sealed records.

use crate::content::PublicKey;
use bytes::{Buf, BytesMut};

use super::secure::{Broken, Keyring, Opener, Proven, Sealer, SecureError, Tunnel};

/// A closed connection, as its session has it.
#[derive(Debug)]
pub(super) struct Sealing {
    pub(super) sealer: Sealer,
    pub(super) inbox: Inbox,
    pub(super) proven: Proven,
    pub(super) watch: Watch,
}

/// Ends a connection once the key of the other side is revoked.
#[derive(Debug)]
pub(super) struct Watch {
    keyring: Keyring,
    key: PublicKey,
}

impl Watch {
    /// # Errors
    /// It is.
    pub(super) fn check(&self) -> Result<(), SecureError> {
        if self.keyring.is_revoked(&self.key) { Err(SecureError::Revoked) } else { Ok(()) }
    }
}

impl Sealing {
    /// Behind a handshake, with what has arrived behind that.
    pub(super) fn new(tunnel: Tunnel, arrived: BytesMut, keyring: &Keyring) -> Sealing {
        let Tunnel { sealer, opener, proven } = tunnel;
        let watch = Watch { keyring: keyring.clone(), key: proven.key };
        Sealing { sealer, inbox: Inbox { opener, arrived }, proven, watch }
    }
}

/// Opens what arrives in pieces.
#[derive(Debug)]
pub(super) struct Inbox {
    pub(super) opener: Opener,
    /// The beginning of a record.
    pub(super) arrived: BytesMut,
}

impl Inbox {
    /// Takes what has just arrived, and puts what opens behind `into`.
    pub(super) fn take(&mut self, arrived: &[u8], into: &mut BytesMut) -> Result<(), Broken> {
        self.arrived.extend_from_slice(arrived);
        let (mut end, mut sealed) = (0, 0);
        self.opener.open(&mut self.arrived, &mut end, &mut sealed)?;
        into.extend_from_slice(&self.arrived[..end]);
        if sealed == self.arrived.len() {
            self.arrived = BytesMut::new(); // an idle connection keeps no memory for it
        } else {
            self.arrived.advance(sealed);
        }
        Ok(())
    }
}
