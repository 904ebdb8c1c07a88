//! Frames and the preface: how bytes on a connection become messages' bodies.
//!
//! A frame is `length: u32` (of all that follows), `type: u8`, `request: u32`, body. The body of a
//! CHUNK never passes through this codec: the reader of bulk connections sees its
//! [`RawHeader`] and takes the body straight from the socket.

use byteorder::{BigEndian, ByteOrder};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_util::codec::Decoder;

use super::limits;

/// Bytes of a frame's header: length, type and request.
pub const HEADER_BYTES: usize = 9;
/// Bytes of the length field, which it does not count itself.
const LENGTH_BYTES: usize = 4;
/// Bytes of the preface.
pub const PREFACE_BYTES: usize = 8;
const MAGIC: [u8; 4] = *b"p2p/";
/// The transport mode of frames in the clear.
const MODE_PLAIN: u8 = 0;

/// One frame, its body not yet decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The message id.
    pub id: u8,
    /// The request this frame is or answers; 0 for notices.
    pub request: u32,
    /// The message's fields.
    pub body: Bytes,
}

/// Why a stream of bytes is not a stream of frames.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The length field is above what this connection allows now.
    #[error("a frame of {got} bytes is above the limit of {limit}")]
    TooLarge {
        /// Bytes announced.
        got: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The length field is too small to hold type and request.
    #[error("a frame of {0} bytes has no room for its header")]
    TooSmall(usize),
    /// The connection failed or ended inside a frame.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// A frame's header as read off the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawHeader {
    /// Bytes of the body.
    pub body_bytes: usize,
    /// The message id.
    pub id: u8,
    /// The request number.
    pub request: u32,
}

impl RawHeader {
    /// Least number in the length field: type and request, no body.
    pub const MIN_LENGTH: usize = HEADER_BYTES - LENGTH_BYTES;

    /// Reads a header if all of it is there.
    ///
    /// # Errors
    /// [`FrameError::TooSmall`] when the length cannot hold a header.
    pub fn peek(bytes: &[u8]) -> Result<Option<RawHeader>, FrameError> {
        let Some((header, _)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let [l0, l1, l2, l3, id, r0, r1, r2, r3] = *header;
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        let Some(body_bytes) = length.checked_sub(RawHeader::MIN_LENGTH) else {
            return Err(FrameError::TooSmall(length));
        };
        Ok(Some(RawHeader { body_bytes, id, request: u32::from_be_bytes([r0, r1, r2, r3]) }))
    }

    /// Writes the header.
    pub fn put(self, out: &mut BytesMut) {
        out.put_u32((self.body_bytes + HEADER_BYTES - LENGTH_BYTES) as u32);
        out.put_u8(self.id);
        out.put_u32(self.request);
    }

    /// Writes the header over the first bytes of `out`, which are at least [`HEADER_BYTES`].
    pub(super) fn put_over(self, mut out: &mut [u8]) {
        out.put_u32((self.body_bytes + HEADER_BYTES - LENGTH_BYTES) as u32);
        out.put_u8(self.id);
        out.put_u32(self.request);
    }
}

/// Splits a byte stream into frames, and writes messages as frames.
#[derive(Debug)]
pub struct FrameCodec {
    max_frame_bytes: usize,
}

impl FrameCodec {
    /// A codec for a connection whose HELLO is not done: only small frames.
    pub fn before_hello() -> FrameCodec {
        FrameCodec { max_frame_bytes: limits::MAX_HELLO_FRAME_BYTES }
    }

    /// Allows frames of [`limits::MAX_FRAME_BYTES`] from now on.
    pub fn hello_done(&mut self) {
        self.max_frame_bytes = limits::MAX_FRAME_BYTES;
    }
}

impl Decoder for FrameCodec {
    type Item = Frame;
    type Error = FrameError;

    /// Takes one frame off the front of `src`, or asks for more bytes. Never reserves by the stated
    /// length: memory grows only with bytes that arrived.
    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        if let Some(length) = src.get(..LENGTH_BYTES) {
            let length = BigEndian::read_u32(length) as usize;
            if length > self.max_frame_bytes {
                return Err(FrameError::TooLarge { got: length, limit: self.max_frame_bytes });
            }
            if length < RawHeader::MIN_LENGTH {
                return Err(FrameError::TooSmall(length));
            }
        }
        let Some(header) = RawHeader::peek(src)? else {
            return Ok(None);
        };
        if src.len() < HEADER_BYTES + header.body_bytes {
            return Ok(None);
        }
        src.advance(HEADER_BYTES);
        let body = src.split_to(header.body_bytes).freeze();
        Ok(Some(Frame { id: header.id, request: header.request, body }))
    }
}

/// The first bytes of each direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preface {
    /// The framing version.
    pub version: u16,
    /// The transport mode.
    pub mode: u8,
}

/// Why a preface is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PrefaceError {
    /// The magic is wrong: the other side speaks another protocol.
    #[error("the other side does not speak the p2p protocol")]
    Magic,
    /// The framing version is not ours.
    #[error("framing version {0} is not supported")]
    Version(u16),
    /// The transport mode is not ours.
    #[error("transport mode {0} is not supported")]
    Mode(u8),
}

impl Preface {
    /// That of frames in the clear, and of an accepter's ERROR where there is no other way to say it.
    pub const OURS: Preface = Preface { version: limits::FRAMING_VERSION, mode: MODE_PLAIN };

    /// The bytes of the preface; the last one is reserved and 0.
    pub fn encode(self) -> [u8; PREFACE_BYTES] {
        let [m0, m1, m2, m3] = MAGIC;
        let [v0, v1] = self.version.to_be_bytes();
        [m0, m1, m2, m3, v0, v1, self.mode, 0]
    }

    /// That of this build in a transport mode.
    pub fn of_mode(mode: u8) -> Preface {
        Preface { mode, ..Preface::OURS }
    }

    /// The transport mode of the other side's preface.
    ///
    /// # Errors
    /// Says which of magic, version and reserved byte does not fit; the last counts as mode.
    pub fn mode_of(bytes: [u8; PREFACE_BYTES]) -> Result<u8, PrefaceError> {
        let [m0, m1, m2, m3, v0, v1, mode, reserved] = bytes;
        if [m0, m1, m2, m3] != MAGIC {
            return Err(PrefaceError::Magic);
        }
        let version = u16::from_be_bytes([v0, v1]);
        if version != limits::FRAMING_VERSION {
            return Err(PrefaceError::Version(version));
        }
        if reserved != 0 {
            return Err(PrefaceError::Mode(mode.max(reserved)));
        }
        Ok(mode)
    }

    /// Checks that the other side's preface is that of frames in the clear.
    ///
    /// # Errors
    /// Says which of magic, version and mode does not fit; the reserved byte counts as mode.
    pub fn check(bytes: [u8; PREFACE_BYTES]) -> Result<(), PrefaceError> {
        match Preface::mode_of(bytes)? {
            MODE_PLAIN => Ok(()),
            mode => Err(PrefaceError::Mode(mode)),
        }
    }
}
