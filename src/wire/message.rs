//! The messages: one enum for what any side may send, and one for each direction.
//!
//! Requests have numbers other than 0 and get exactly one answer with the same number; notices
//! have the number 0 and get none.

use bytes::{Bytes, BytesMut};

use super::field::{Bits, Cursor, DecodeError, Field, List, Text};
use super::frame::{HEADER_BYTES, RawHeader};
use super::limits::*;
use super::macros::{code, layout, messages};
use crate::content::{ChunkHash, FileId, Host, Looks, PeerId, Proof};

/// Ids below this one are [`Common`], whatever the direction.
const FIRST_DIRECTED_ID: u8 = 0x10;
/// In [`GetChunk::first`]: whichever chunk the serving side thinks best.
pub const ANY_CHUNK: u32 = u32::MAX;

/// A name as people type it: a `/`-separated relative path; a tree's ends with `/`.
pub type Name = Text<MAX_NAME_BYTES>;
/// A peer's or program's name.
pub type Label = Text<MAX_LABEL_BYTES>;
/// Runs of chunks: first chunk and how many.
pub type Ranges = List<(u32, u32), MAX_RANGES>;

/// A message of one direction.
pub trait Message: Sized + std::fmt::Debug {
    /// The message id.
    fn id(&self) -> u8;
    /// The message's name in PROTOCOL.md.
    fn label(&self) -> &'static str;
    /// Appends the fields.
    fn put_body(&self, out: &mut BytesMut);
    /// Reads the message `id` from its body.
    ///
    /// # Errors
    /// When the id is unknown in this direction or the body is not exactly its fields.
    fn decode(id: u8, body: Bytes) -> Result<Self, DecodeError>;

    /// Appends the whole frame.
    fn put_frame(&self, request: u32, out: &mut BytesMut) {
        let start = out.len();
        let header = RawHeader { body_bytes: 0, id: self.id(), request };
        header.put(out);
        self.put_body(out);
        let body_bytes = out.len() - start - HEADER_BYTES;
        RawHeader { body_bytes, ..header }.put_over(&mut out[start..]);
    }
}

code! {
    /// Which part a side plays on a connection; settled in HELLO.
    Role: u8 {
        /// Asks for contents; a peer's dialling side as a rule.
        Ask = 1 "ASK",
        /// Serves contents.
        Serve = 2 "SERVE",
        /// Speaks to a tracker: a peer or a tool.
        Member = 3 "MEMBER",
        /// Is a tracker.
        Tracker = 4 "TRACKER",
    }
}

impl Role {
    /// What the other side of a connection must be.
    pub fn counterpart(self) -> Role {
        match self {
            Role::Ask => Role::Serve,
            Role::Serve => Role::Ask,
            Role::Member => Role::Tracker,
            Role::Tracker => Role::Member,
        }
    }
}

code! {
    /// Why a connection is about to close, or a request was not understood.
    ErrorCode: u16 {
        /// The preface is not ours.
        BadMagic = 1 "BAD_MAGIC",
        /// No version in common.
        UnsupportedVersion = 2 "UNSUPPORTED_VERSION",
        /// The transport mode is not supported.
        UnsupportedMode = 3 "UNSUPPORTED_MODE",
        /// The message is not allowed now or in this direction.
        Unexpected = 4 "UNEXPECTED",
        /// The body is not the message's fields.
        Malformed = 5 "MALFORMED",
        /// A frame is above its limit.
        TooLarge = 6 "TOO_LARGE",
        /// A limit of this side is reached: connections, contents, slots.
        Limit = 7 "LIMIT",
        /// The request needs REGISTER first.
        NotRegistered = 8 "NOT_REGISTERED",
        /// A name is not a safe relative path.
        BadName = 9 "BAD_NAME",
        /// HELLO did not come in time, or the lease ran out.
        TimedOut = 10 "TIMED_OUT",
        /// Both ends of the connection are the same peer.
        Myself = 11 "MYSELF",
        /// This side is stopping.
        Stopping = 12 "STOPPING",
        /// This side failed; the detail says how.
        Internal = 13 "INTERNAL",
        /// A peer of this id is registered on another connection, which lives.
        InUse = 14 "IN_USE",
    }
}

code! {
    /// Why a chunk or content is not given.
    Refusal: u8 {
        /// This side knows nothing of that content.
        NotHere = 1 "NOT_HERE",
        /// The content is known, that chunk is not here (yet).
        NotYet = 2 "NOT_YET",
        /// It was here, but the file changed or went away.
        Gone = 3 "GONE",
        /// Too much is being served now; ask again later.
        Busy = 4 "BUSY",
        /// The request was cancelled by the asking side.
        Cancelled = 5 "CANCELLED",
        /// "Whichever you think best": every chunk here has been sent to somebody; ask for one by number.
        NothingBetter = 6 "NOTHING_BETTER",
    }
}

code! {
    /// What a peer reports to the tracker.
    Complaint: u8 {
        /// The peer cannot be reached.
        Dead = 1 "DEAD",
        /// The peer announced the chunk, but does not have it.
        Missing = 2 "MISSING",
        /// The peer sent bytes that are not the chunk.
        Corrupt = 3 "CORRUPT",
    }
}

code! {
    /// What of a content is opened.
    View: u8 {
        /// The bytes whose id was given.
        Bytes = 0 "BYTES",
        /// The files that a tree lists, their chunks numbered through in listing order.
        Members = 1 "MEMBERS",
    }
}

code! {
    /// What LOCATE is asked for.
    Purpose: u8 {
        /// To look: every holder, up to the limit.
        Inspect = 0 "INSPECT",
        /// To fetch: a random choice of good neighbours.
        Fetch = 1 "FETCH",
    }
}

layout! {
    /// A content that a peer registers under a name.
    Offer {
        /// The name; a tree's ends with `/`.
        name: Name,
        /// The content's id.
        id: FileId,
        /// Bytes of the content.
        size: u64,
        /// Bytes of all files: `size` for a file, the sum of its members for a tree.
        total: u64,
        /// Chunks that the peer could hold: of the file, or of all members of the tree.
        chunks: u32,
        /// True if it holds all of them; otherwise none until HAVE says so.
        complete: bool,
        /// True if its user put it there, which makes the name; false if the peer fetched it.
        original: bool,
        /// When the content was last changed there, in seconds since 1970; 0 if that is not known.
        modified: u64,
    }
}

layout! {
    /// A peer that holds some of a content.
    Holder {
        /// The peer.
        peer: PeerId,
        /// Its name.
        name: Label,
        /// The host where it listens, an address or a name.
        host: Host,
        /// The port where it listens; 0 if it cannot be dialled.
        port: u16,
        /// Chunks it holds.
        have: u32,
        /// Uploads it serves now.
        uploads: u16,
        /// Downloads it runs now.
        downloads: u16,
        /// True if it has the content as an original under the variant's name.
        original: bool,
    }
}

layout! {
    /// One content under a name, with some of its holders.
    Variant {
        /// The name.
        name: Name,
        /// The content's id.
        id: FileId,
        /// Bytes of the content.
        size: u64,
        /// Bytes of all files.
        total: u64,
        /// Chunks of the content.
        chunks: u32,
        /// Peers that hold all chunks.
        seeders: u32,
        /// Peers that hold a part.
        leechers: u32,
        /// True if somebody has it as an original under this name; false if all are copies.
        original: bool,
        /// True if whoever makes a name for it calls it alike: the last part of the name is agreed on.
        agreed: bool,
        /// When it was last changed, as the newest of its originals says; in seconds since 1970, or 0.
        modified: u64,
        /// The holders chosen for this answer.
        holders: List<Holder, MAX_HOLDERS>,
    }
}

layout! {
    /// One line of a listing.
    Entry {
        /// The name.
        name: Name,
        /// The content's id.
        id: FileId,
        /// Bytes of the content.
        size: u64,
        /// Bytes of all files.
        total: u64,
        /// Peers that hold all chunks.
        seeders: u32,
        /// Peers that hold a part.
        leechers: u32,
    }
}

layout! {
    /// One registered peer.
    PeerInfo {
        /// The peer.
        peer: PeerId,
        /// Its name.
        name: Label,
        /// The host where it listens.
        host: Host,
        /// The port where it listens.
        port: u16,
        /// Contents it registered.
        offers: u32,
        /// Uploads it serves now.
        uploads: u16,
        /// Downloads it runs now.
        downloads: u16,
        /// Milliseconds since its last sign of life.
        silent_ms: u32,
    }
}

layout! {
    /// The first message of either side.
    Hello {
        /// The oldest protocol version spoken.
        min_version: u16,
        /// The newest protocol version spoken.
        max_version: u16,
        /// Feature bits; unknown bits are ignored.
        features: u64,
        /// The part this side plays.
        role: Role,
        /// Who speaks.
        peer: PeerId,
        /// Where this side accepts connections; 0 if nowhere.
        listen_port: u16,
        /// Its name.
        name: Label,
        /// Program and version.
        software: Label,
    }
}

layout! {
    /// Something was wrong; with request 0, or before the connection closes, with the whole connection.
    Error {
        /// What was wrong.
        code: ErrorCode,
        /// For people.
        detail: Text<MAX_DETAIL_BYTES>,
    }
}

/// A message that both sides of any connection may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Common {
    /// The first message of either side.
    Hello(Hello),
    /// Something was wrong.
    Error(Error),
    /// Answered with PONG, to measure the round trip and to show life.
    Ping,
    /// The answer to PING.
    Pong,
    /// The sender is going away; answered with OK, then both close.
    Leave,
    /// Done; the answer to requests that have nothing else to say.
    Ok,
}

impl Common {
    /// Id and name of every common message.
    pub const TABLE: &[(u8, &'static str)] =
        &[(0x01, "HELLO"), (0x02, "ERROR"), (0x03, "PING"), (0x04, "PONG"), (0x05, "LEAVE"), (0x06, "OK")];
}

impl From<Hello> for Common {
    fn from(hello: Hello) -> Common {
        Common::Hello(hello)
    }
}

impl Message for Common {
    fn id(&self) -> u8 {
        match self {
            Common::Hello(_) => 0x01,
            Common::Error(_) => 0x02,
            Common::Ping => 0x03,
            Common::Pong => 0x04,
            Common::Leave => 0x05,
            Common::Ok => 0x06,
        }
    }

    fn label(&self) -> &'static str {
        let row = Common::TABLE.iter().find(|(id, _)| *id == self.id());
        row.map_or("?", |(_, label)| label)
    }

    fn put_body(&self, out: &mut BytesMut) {
        match self {
            Common::Hello(hello) => hello.put(out),
            Common::Error(error) => error.put(out),
            Common::Ping | Common::Pong | Common::Leave | Common::Ok => {}
        }
    }

    fn decode(id: u8, body: Bytes) -> Result<Common, DecodeError> {
        let mut from = Cursor::new(body);
        let message = match id {
            0x01 => Common::Hello(Hello::take(&mut from)?),
            0x02 => Common::Error(Error::take(&mut from)?),
            0x03 => Common::Ping,
            0x04 => Common::Pong,
            0x05 => Common::Leave,
            0x06 => Common::Ok,
            unknown => return Err(DecodeError::UnknownMessage(unknown)),
        };
        from.finish()?;
        Ok(message)
    }
}

messages! {
    /// What a member (peer or tool) sends to a tracker.
    ToTracker {
        /// Registers the sender, forgetting all it registered before; answered with REGISTERED.
        0x10 "REGISTER" Register {
            /// The host others should dial; empty: the address this connection comes from.
            host: Host,
            /// The port others should dial; 0 if it cannot be dialled.
            port: u16,
            /// The first of its contents; UPDATE carries the rest.
            offers: List<Offer, MAX_OFFERS>,
        }
        /// Contents gained and lost by the sender; answered with OK.
        0x11 "UPDATE" Update {
            /// Names and contents it shares from now on.
            added: List<Offer, MAX_OFFERS>,
            /// Names and contents it no longer shares.
            removed: List<(Name, FileId), MAX_OFFERS>,
        }
        /// Chunks gained by the sender of a content it registered; answered with OK.
        0x12 "HAVE" HaveChunks {
            /// The content.
            id: FileId,
            /// As what the sender registered it: a file, or a tree whose members' chunks these are.
            view: View,
            /// The chunks gained.
            gained: Ranges,
        }
        /// Asks who has a content; answered with LOCATED.
        0x13 "LOCATE" Locate {
            /// The name wanted; empty to ask by id.
            name: Name,
            /// The id wanted; all zero to ask by name.
            id: FileId,
            /// What the answer is for.
            purpose: Purpose,
            /// Most holders wanted of each variant.
            max: u16,
            /// If not empty: only holders of one of these chunks.
            missing: Ranges,
        }
        /// Asks for names in order; answered with LISTING.
        0x14 "LIST" GetList {
            /// `*` and `?` match as in a shell, `*` also across `/`; without either, a part of the name.
            pattern: Name,
            /// Only names after this one.
            after: Name,
            /// Most entries wanted.
            limit: u16,
        }
        /// A sign of life with the sender's load; answered with OK.
        0x15 "HEARTBEAT" Heartbeat {
            /// Uploads it serves now.
            uploads: u16,
            /// Downloads it runs now.
            downloads: u16,
            /// Bytes it would lend to others.
            space: u64,
        }
        /// Tells what is wrong with a peer; answered with OK.
        0x16 "REPORT" Report {
            /// The peer complained about.
            peer: PeerId,
            /// The content it is about.
            id: FileId,
            /// The chunk it is about.
            chunk: u32,
            /// What is wrong.
            complaint: Complaint,
        }
        /// Asks how the tracker is; answered with STATUS.
        0x17 "GET_STATUS" GetStatus {}
        /// Asks for the registered peers in order of id; answered with PEERS.
        0x18 "GET_PEERS" GetPeers {
            /// Only peers after this one.
            after: PeerId,
            /// Most peers wanted.
            limit: u16,
        }
    }
}

messages! {
    /// What a tracker sends to a member.
    FromTracker {
        /// The answer to REGISTER.
        0x30 "REGISTERED" Registered {
            /// Milliseconds without a sign of life after which the registration ends.
            lease_ms: u32,
            /// Differs after each start of the tracker.
            epoch: u64,
        }
        /// The answer to LOCATE.
        0x31 "LOCATED" Located {
            /// Every content found.
            variants: List<Variant, MAX_VARIANTS>,
            /// Where none was found: names that are nearly the one asked for.
            near: List<Name, MAX_NEAR>,
        }
        /// The answer to LIST.
        0x32 "LISTING" Listing {
            /// Entries in order of name, then id.
            entries: List<Entry, MAX_ENTRIES>,
            /// True if there are more after the last one.
            more: bool,
        }
        /// The answer to GET_STATUS.
        0x33 "STATUS" Status {
            /// Milliseconds since the tracker started.
            uptime_ms: u64,
            /// Differs after each start of the tracker.
            epoch: u64,
            /// Registered peers.
            peers: u32,
            /// Pairs of name and content.
            names: u32,
            /// Registrations: a name and content at a peer.
            registrations: u64,
            /// LOCATE requests answered since the start.
            located: u64,
        }
        /// The answer to GET_PEERS.
        0x34 "PEERS" Peers {
            /// Peers in order of id.
            peers: List<PeerInfo, MAX_PEERS>,
            /// True if there are more after the last one.
            more: bool,
        }
        /// A store duty: keep these chunks of a content. Reserved for stores.
        0x35 "KEEP" Keep {
            /// The content.
            id: FileId,
            /// The chunks to keep.
            chunks: Ranges,
        }
        /// The end of a store duty. Reserved for stores.
        0x36 "DROP" Drop {
            /// The content.
            id: FileId,
        }
    }
}

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
            first: u32,
            /// How many chunks.
            count: u16,
            /// True if a CHUNK should carry the proof of its run, unless one on this slot already has.
            proof: bool,
            /// True if the peers it is connected to have gained more than the asker since they met.
            behind: bool,
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
            chunk: u32,
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
            index: u32,
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
            /// Bytes a second that all uploads together can get; 0 if that is not known yet.
            rate: u64,
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
    /// The message id of CHUNK.
    pub const ID: u8 = 0x72;
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
