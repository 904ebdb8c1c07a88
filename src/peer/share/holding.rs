//! What a share has of a content, as the serving side needs it, and what it is given that was fetched.

use std::fs::File;
use std::sync::Arc;

use super::record::Source;
use crate::content::{ChunkHash, FileId, Geometry, SafeName, TreeLayout};
use crate::peer::stamp::Stamp;

/// What the serving side needs to serve a content.
#[derive(Debug, Clone)]
pub enum Holding {
    /// A file: its chunks, and where they lie.
    File(Geometry, Source),
    /// A listing, in memory.
    Listing(Geometry, Arc<[u8]>),
    /// The files of a tree.
    Members(Arc<Members>),
}

/// The files of a tree, and where they lie.
#[derive(Debug)]
pub struct Members {
    /// How their chunks are numbered.
    pub layout: TreeLayout,
    /// For each file of the layout, a place where it lies.
    pub sources: Vec<Source>,
}

/// A finished download in the shared folder.
#[derive(Debug)]
pub struct Adopted {
    /// The path below the folder.
    pub path: SafeName,
    /// The content.
    pub id: FileId,
    /// Its chunk hashes.
    pub hashes: Vec<ChunkHash>,
    /// How the file looked when it had been proved and put in place.
    pub stamp: Stamp,
}

/// A file that was opened to be served.
#[derive(Debug)]
pub enum Standing {
    /// It looks as it did when it was hashed.
    Sound(File, Stamp),
    /// It may be what was hashed, or begin with it: only proved chunks of it may be served.
    Doubted(File),
    /// It is something else, or the path has another content by now.
    Gone,
}
