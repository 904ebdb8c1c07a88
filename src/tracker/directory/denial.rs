//! Why a request changes nothing.

use crate::content::{FileId, NameError};

/// Why a request changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// This connection has no registration, or no longer.
    #[error("this needs REGISTER first")]
    NotRegistered,
    /// The sender did not register that content.
    #[error("the content {0} is not registered by this peer")]
    NotOffered(FileId),
    /// A name is not a safe relative path.
    #[error("the name {0:?} is not allowed: {1}")]
    BadName(String, NameError),
    /// What an offer says of its content cannot be.
    #[error("the offer of {0:?} cannot be true: id, size, total and chunks do not fit")]
    BadOffer(String),
    /// Chunk numbers beyond the content.
    #[error("there are fewer chunks in the content")]
    BadChunks,
    /// A bound is reached; the text says which.
    #[error("this tracker takes no more {0}")]
    Full(&'static str),
}
