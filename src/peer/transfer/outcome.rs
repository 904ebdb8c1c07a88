//! What came of a connection to a source.

use crate::content::Chunk;
use crate::net::NetError;
use crate::peer::disk::DiskError;
use crate::wire::Refusal;

/// Why a connection to a source ended.
#[derive(Debug, thiserror::Error)]
pub(in crate::peer) enum FetchEnd {
    /// The connection failed, or the source broke the protocol.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The source does not have the content after all.
    #[error("refused: {}", .0.label())]
    Refused(Refusal),
    /// The source has another content under that id, or a wrong idea of its size.
    #[error("the source has another size for this content")]
    Geometry,
    /// It sent what cannot be this chunk, or wrong bytes too often, of this chunk last.
    #[error("what it sent as chunk {0} is wrong")]
    Lied(Chunk),
    /// This side's disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// What the connection showed of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// Nothing was wrong, and nothing came.
    Kept,
    /// Chunks came.
    Earned,
    /// It sent wrong bytes too often.
    Lost,
}
