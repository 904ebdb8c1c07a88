//! Uploads under way: contents that are to be safe before they are published.

use std::time::{Duration, Instant};

use bytesize::ByteSize;

use crate::tracker::records::{Content, Promise};
use crate::wire::ClientId;

/// What has not been asked for again for so long is given up.
pub(super) const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// Most uploads under way.
pub(super) const MAX_UPLOADS: usize = 10_000;
/// Stores are waited for so long that may have most of what is to be kept, to say what they have.
pub(super) const LOOK_FOR: Duration = Duration::from_secs(3);
/// An upload that lacks stores or room waits for so long for them to come back.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Which upload: who asked, and the number of the change.
pub type UploadKey = (ClientId, u64);

#[derive(Debug)]
pub(super) struct Upload {
    pub(super) asked: Asked,
    /// When it was asked for last.
    pub(super) seen: Instant,
    /// The connection that waits for it.
    pub(super) waiting: Option<u64>,
    /// The content before it under its name: whoever holds a unit of that may have most of this one's.
    pub(super) base: Option<Content>,
    /// Until then stores are asked what they have of it before they are given any.
    pub(super) looks_until: Option<Instant>,
    /// Since when there have been too few stores or too little room.
    pub(super) short_since: Option<Instant>,
}

impl Upload {
    /// What is to be kept.
    pub(super) fn content(&self) -> Content {
        self.asked.promise.content
    }

    /// The same, and its parity if it is to be kept as a code.
    pub(super) fn contents(&self) -> impl Iterator<Item = Content> + use<> {
        self.asked.promises().map(|promise| promise.content)
    }
}

/// What an upload asks for.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// Which upload.
    pub key: UploadKey,
    /// What is to be kept.
    pub promise: Promise,
    /// True if fewer copies will do where there are too few stores.
    pub degraded: bool,
}

impl Asked {
    /// What is promised when it is safe: of the content, and of its parity if it is to be a code.
    pub(super) fn promises(&self) -> impl Iterator<Item = Promise> + use<> {
        std::iter::once(self.promise).chain(self.promise.of_parity())
    }

    /// How many stores are needed where so many are here, for each shard of a code or each copy.
    pub(super) fn stores(&self, here: usize) -> usize {
        match self.promise.code.map(|code| code.shape.shards() as usize) {
            Some(shards) if self.degraded => shards.min(here.max(1)),
            Some(shards) => shards,
            None => self.copies(here).into(),
        }
    }

    /// How many copies it is to have where so many stores are here: as many as were asked for, or as stores if fewer
    /// will do.
    pub(super) fn copies(&self, here: usize) -> u8 {
        let asked = self.promise.policy.m() + 1;
        if self.degraded { asked.min(here.clamp(1, usize::from(u8::MAX)) as u8) } else { asked }
    }
}

/// How far an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// So many chunks are safe of so many, each counted for every copy.
    Storing {
        /// Chunks that are safe.
        covered: u32,
        /// Chunks that are to be.
        needed: u32,
    },
    /// All is safe: it may be published.
    Safe,
    /// It cannot be kept now.
    Refused(Shortage),
}

/// Why stores cannot keep something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Shortage {
    /// There are too few of them.
    #[error("{needed} copies need {needed} stores, and {here} {} here", if *here == 1 { "is" } else { "are" })]
    Stores {
        /// Stores that are here.
        here: usize,
        /// Copies.
        needed: u8,
    },
    /// There are too few of them for a code.
    #[error("a code of {k} + {m} needs {} stores, and {here} {} here", k + m, if *here == 1 { "is" } else { "are" })]
    Shards {
        /// Stores that are here.
        here: usize,
        /// Shards of data.
        k: u32,
        /// Shards of parity.
        m: u32,
    },
    /// They have too little room.
    #[error("the stores have room for {} more, and {} are needed", ByteSize(*room), ByteSize(*needed))]
    Room {
        /// Bytes for which there is room.
        room: u64,
        /// Bytes needed, all copies or shards together.
        needed: u64,
    },
    /// Too many uploads are under way.
    #[error("too many uploads are under way")]
    Uploads,
}
