//! The messages between two peers: one asks, the other serves.

use bytes::{Bytes, BytesMut};

use super::codes::{Refusal, Urgency, View};
use super::common::{Common, FIRST_DIRECTED_ID};
use super::field::{Bits, Cursor, DecodeError, Field, Ranges};
use super::frame::RawHeader;
use super::limits::{MAX_PROOF_PATH, MAX_PROOF_RUN};
use super::macros::{layout, messages};
use super::message::Message;
use crate::content::{Chunk, ChunkHash, FileId, Looks, Proof, Rate};

/// In [`GetChunk::first`]: whichever chunk the serving side thinks best.
pub const ANY_CHUNK: Chunk = Chunk(u32::MAX);

messages! {
    /// What the asking side of a peer connection sends.
    ToServer {
        /// Opens a content under a slot number of the asker's choice; answered with OPENED or REFUSED.
        0x50 "OPEN" Open {
            /// The number that stands for the content on this connection.
            slot: u16,
            /// The content.
            id: FileId,
            /// Its bytes, or the files it lists.
            view: View,
        }
        /// Closes a slot; answered with OK.
        0x51 "CLOSE" Close {
            /// The slot.
            slot: u16,
        }
        /// Asks for chunk hashes with their proof; answered with MANIFEST or REFUSED.
        0x52 "GET_MANIFEST" GetManifest {
            /// The slot.
            slot: u16,
            /// Which file of the view: its place in the listing, 0 for a view of bytes.
            file: u32,
            /// The first chunk of the run, counted within the file.
            first: u32,
            /// Chunks in the run.
            count: u32,
        }
        /// Asks for a run of chunks; chunk `first + i` is answered with CHUNK or REFUSED as request `request + i`.
        0x53 "GET_CHUNK" GetChunk {
            /// The slot.
            slot: u16,
            /// The first chunk, or [`ANY_CHUNK`] for whichever the server thinks best.
            first: Chunk,
            /// How many chunks.
            count: u16,
            /// True if a CHUNK should carry the proof of its run, unless one on this slot already has.
            proof: bool,
            /// How soon it is wanted.
            urgency: Urgency,
        }
        /// Notice: the answer to a chunk request is no longer wanted; if it has not begun it is REFUSED as cancelled.
        0x54 "CANCEL" Cancel {
            /// The number of the request.
            target: u32,
        }
        /// Asks how busy the server is; answered with LOAD.
        0x55 "GET_LOAD" GetLoad {}
        /// Notice: a chunk that came did not prove; the server may want to look at its file again.
        0x57 "CORRUPT" Corrupt {
            /// The slot.
            slot: u16,
            /// The chunk, numbered in the view.
            chunk: Chunk,
        }
        /// Notice: the chunks that the asker will ask for, once behind OPEN, so that "whichever you think best" leaves
        /// out others.
        0x58 "WANT" Want {
            /// The slot.
            slot: u16,
            /// The chunks, numbered in the view.
            chunks: Bits,
        }
        /// Notice: chunks that the asker has, so that "whichever you think best" leaves them out.
        0x56 "HAVE" AskerHas {
            /// The slot.
            slot: u16,
            /// Chunks gained.
            gained: Ranges,
        }
    }
}

messages! {
    /// What the serving side of a peer connection sends. CHUNK is in the table, but its body is framed apart ([`ChunkHead`]).
    FromServer {
        /// The answer to OPEN.
        0x70 "OPENED" Opened {
            /// Bytes of the view: of the content, or of all its members.
            size: u64,
            /// Chunks of the view.
            chunks: u32,
            /// The chunks that the server holds now; HAVE tells of more.
            have: Bits,
            /// Of a single file: its mode and time at the server, or as the server was told. Nothing proves them.
            looks: Option<Looks>,
        }
        /// The answer to GET_MANIFEST.
        0x71 "MANIFEST" Manifest {
            /// Hashes of the run, and what proves them.
            proof: Proof,
        }
        /// A chunk: the start of it, as it stands before the chunk's bytes.
        0x72 "CHUNK" ChunkHead {
            /// The chunk, numbered in the view.
            index: Chunk,
            /// Hashes around the chunk that prove it, if asked for; else empty.
            proof: Proof,
        }
        /// The answer to a request for something that is not given.
        0x73 "REFUSED" Refused {
            /// Why.
            reason: Refusal,
        }
        /// The answer to GET_LOAD.
        0x74 "LOAD" Load {
            /// Uploads served now, without one on the connection that asks.
            uploads: u16,
            /// Downloads running now.
            downloads: u16,
            /// Chunk requests waiting, of all connections.
            queued: u32,
            /// What all uploads together can get, if that is known yet.
            rate: Option<Rate>,
        }
        /// Notice: what the server was called for, right behind HELLO on a connection that it dialled.
        0x77 "HERE" Here {
            /// The content.
            id: FileId,
            /// As what the server has it: a file, or a tree with its members.
            view: View,
        }
        /// Notice: chunks that the server has gained.
        0x75 "HAVE" ServerHas {
            /// The slot.
            slot: u16,
            /// Chunks gained.
            gained: Ranges,
        }
    }
}

impl ChunkHead {
    /// Least bytes of a head: index, and a proof without hashes.
    pub const MIN_BYTES: usize = 4 + 7;
    /// Most bytes of a head.
    pub const MAX_BYTES: usize = ChunkHead::MIN_BYTES + (MAX_PROOF_RUN + MAX_PROOF_PATH) * ChunkHash::BYTES;

    /// Reads a head off the front of a CHUNK's body, with its length, if all of it is there.
    ///
    /// # Errors
    /// When the proof's counts are above their limits.
    pub fn peek(body: &[u8]) -> Result<Option<(ChunkHead, usize)>, DecodeError> {
        let Some(&[.., h0, h1, path]) = body.get(..ChunkHead::MIN_BYTES) else {
            return Ok(None);
        };
        let hashes = usize::from(u16::from_be_bytes([h0, h1])) + usize::from(path);
        let len = ChunkHead::MIN_BYTES + hashes * ChunkHash::BYTES;
        if len > ChunkHead::MAX_BYTES {
            return Err(DecodeError::OverLimit { what: "a proof", got: len, limit: ChunkHead::MAX_BYTES });
        }
        let Some(head) = body.get(..len) else {
            return Ok(None);
        };
        let mut from = Cursor::new(Bytes::copy_from_slice(head));
        Ok(Some((ChunkHead::take(&mut from)?, len)))
    }

    /// Appends the frame header and head of a CHUNK whose `data_bytes` follow.
    pub fn put_frame(&self, request: u32, data_bytes: usize, out: &mut BytesMut) {
        let head_bytes =
            ChunkHead::MIN_BYTES + (self.proof.hashes.len() + self.proof.path.len()) * ChunkHash::BYTES;
        RawHeader { body_bytes: head_bytes + data_bytes, id: ChunkHead::ID, request }.put(out);
        self.put(out);
    }
}
