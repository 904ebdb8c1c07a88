//! Asks one holder for the chunk hashes of files of a content, and proves them. No chunk is moved.

use std::net::SocketAddr;
use std::time::Duration;

use crate::content::{ChunkHash, FileId, Geometry, Manifest, PeerId};
use crate::net::trace::Side;
use crate::net::{self, Identity, Messages, NetError};
use crate::wire::limits::MAX_PROOF_RUN;
use crate::wire::{Common, FromServer, GetManifest, Open, Role, ToServer, View};

/// The one content of the connection.
const SLOT: u16 = 0;
/// A holder may be silent for so long.
const PATIENCE: Duration = Duration::from_secs(5);

/// A file of a content: its number in the view, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::peer) struct Listed {
    pub(in crate::peer) file: usize,
    pub(in crate::peer) id: FileId,
    pub(in crate::peer) geometry: Geometry,
}

/// A connection to a holder that has the content.
pub(in crate::peer) struct Holder(Messages<FromServer, ToServer>);

impl Holder {
    /// Opens the content at the peer that is to be found at one of these addresses.
    ///
    /// # Errors
    /// When the holder cannot be reached, or does not have it.
    pub(in crate::peer) fn open(
        me: &Identity,
        peer: (PeerId, &[SocketAddr]),
        (id, view): (FileId, View),
    ) -> Result<Holder, NetError> {
        let (session, _) = net::reach(peer, (me, Role::Ask), Side::Fetch, &mut |_| true)?;
        let mut holder = Holder(Messages::new(session, Side::Fetch));
        holder.0.set_timeout(Some(PATIENCE))?;
        match holder.0.call(&Open { slot: SLOT, id, view }.into())? {
            FromServer::Opened(_) => Ok(holder),
            other => Err(refused(other)),
        }
    }

    /// All chunk hashes of a file of more than one chunk.
    ///
    /// # Errors
    /// When the holder does not give them, or what it gives is not right.
    pub(in crate::peer) fn manifest(&mut self, listed: Listed) -> Result<Manifest, NetError> {
        let Listed { file, id, geometry } = listed;
        let mut hashes: Vec<ChunkHash> = Vec::new();
        while (hashes.len() as u64) < u64::from(geometry.chunks()) {
            let first = hashes.len() as u32;
            let count = (geometry.chunks() - first).min(MAX_PROOF_RUN as u32);
            let get = GetManifest { slot: SLOT, file: file as u32, first, count };
            match self.0.call(&get.into())? {
                FromServer::Manifest(answer) if answer.proof.hashes.len() == count as usize => {
                    hashes.extend(answer.proof.hashes);
                }
                FromServer::Manifest(_) => return Err(NetError::Unexpected("MANIFEST of another run")),
                other => return Err(refused(other)),
            }
        }
        match Manifest::new(geometry, hashes) {
            Ok((manifest, merged)) if merged == id => Ok(manifest),
            _ => Err(NetError::Unexpected("MANIFEST of another file")),
        }
    }

    /// Says that no more is wanted.
    pub(in crate::peer) fn leave(mut self) {
        let _ = self.0.send(0, &Common::Leave.into());
    }
}

/// What was answered instead.
fn refused(answer: FromServer) -> NetError {
    use crate::wire::Message;
    match answer {
        FromServer::Common(Common::Error(error)) => error.into(),
        FromServer::Refused(_) => NetError::Closed,
        other => NetError::Unexpected(other.label()),
    }
}
