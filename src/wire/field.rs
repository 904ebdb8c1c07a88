//! How one value is laid out in bytes: a bounded cursor to read, and a trait to write and read.
//!
//! Every length meets its limit before anything is allocated, and no decoder indexes or recurses.

use std::ops::Deref;

use byteorder::{BigEndian, ByteOrder};
use bytes::{BufMut, Bytes, BytesMut};

use super::limits;
use crate::content::{
    Address, Chunk, ChunkHash, ChunkSet, FileId, Looks, NameError, PeerId, Proof, PublicKey, Rate, Run,
    SafeName,
};

/// Why the bytes of a frame are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The body ends inside a field.
    #[error("the message ends inside a field")]
    Truncated,
    /// Bytes are left over after the last field.
    #[error("{0} bytes follow the last field")]
    Trailing(usize),
    /// A length or count is above its limit.
    #[error("{what} is {got}, above the limit of {limit}")]
    OverLimit {
        /// What was counted.
        what: &'static str,
        /// The number in the message.
        got: usize,
        /// The largest number allowed.
        limit: usize,
    },
    /// A string is not UTF-8.
    #[error("a text is not UTF-8")]
    NotUtf8,
    /// An address is none that could be dialled.
    #[error("an address cannot be dialled")]
    NotAnAddress,
    /// A text that is to be a safe name is none.
    #[error("a name cannot be: {0}")]
    UnsafeName(NameError),
    /// A number has no meaning in this field.
    #[error("{got} is not a value of {what}")]
    BadValue {
        /// The field's type.
        what: &'static str,
        /// The number in the message.
        got: u64,
    },
    /// The message id is not known in this direction.
    #[error("message id 0x{0:02x} is not known in this direction")]
    UnknownMessage(u8),
}

/// Reads fields off the front of a frame's body.
#[derive(Debug)]
pub(crate) struct Cursor {
    rest: Bytes,
}

impl Cursor {
    pub(crate) fn new(body: Bytes) -> Cursor {
        Cursor { rest: body }
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<Bytes, DecodeError> {
        if self.rest.len() < len {
            return Err(DecodeError::Truncated);
        }
        Ok(self.rest.split_to(len))
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut out = [0; N];
        out.copy_from_slice(&self.take(N)?);
        Ok(out)
    }

    /// Succeeds if nothing is left: a message is exactly its fields.
    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing(left)),
        }
    }
}

/// A value with one layout on the wire.
pub(crate) trait Field: Sized {
    fn put(&self, out: &mut BytesMut);
    fn take(from: &mut Cursor) -> Result<Self, DecodeError>;
}

impl Field for u8 {
    fn put(&self, out: &mut BytesMut) {
        out.put_u8(*self);
    }
    fn take(from: &mut Cursor) -> Result<u8, DecodeError> {
        Ok(from.array::<1>()?[0])
    }
}

impl Field for u16 {
    fn put(&self, out: &mut BytesMut) {
        out.put_u16(*self);
    }
    fn take(from: &mut Cursor) -> Result<u16, DecodeError> {
        Ok(BigEndian::read_u16(&from.array::<2>()?))
    }
}

impl Field for u32 {
    fn put(&self, out: &mut BytesMut) {
        out.put_u32(*self);
    }
    fn take(from: &mut Cursor) -> Result<u32, DecodeError> {
        Ok(BigEndian::read_u32(&from.array::<4>()?))
    }
}

impl Field for u64 {
    fn put(&self, out: &mut BytesMut) {
        out.put_u64(*self);
    }
    fn take(from: &mut Cursor) -> Result<u64, DecodeError> {
        Ok(BigEndian::read_u64(&from.array::<8>()?))
    }
}

impl Field for bool {
    fn put(&self, out: &mut BytesMut) {
        out.put_u8(u8::from(*self));
    }
    fn take(from: &mut Cursor) -> Result<bool, DecodeError> {
        match u8::take(from)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(DecodeError::BadValue { what: "a flag", got: u64::from(other) }),
        }
    }
}

/// Ids and hashes are plain byte arrays.
macro_rules! array_field {
    ($($type:ident),*) => {$(
        impl Field for $type {
            fn put(&self, out: &mut BytesMut) {
                out.put_slice(&self.0);
            }
            fn take(from: &mut Cursor) -> Result<$type, DecodeError> {
                Ok($type(from.array()?))
            }
        }
    )*};
}
array_field!(FileId, ChunkHash, PeerId, PublicKey);

impl<A: Field, B: Field> Field for (A, B) {
    fn put(&self, out: &mut BytesMut) {
        self.0.put(out);
        self.1.put(out);
    }
    fn take(from: &mut Cursor) -> Result<(A, B), DecodeError> {
        Ok((A::take(from)?, B::take(from)?))
    }
}

/// 0 stands for none.
impl Field for Option<Rate> {
    fn put(&self, out: &mut BytesMut) {
        self.map_or(0, Rate::get).put(out);
    }
    fn take(from: &mut Cursor) -> Result<Option<Rate>, DecodeError> {
        Ok(Rate::new(u64::take(from)?))
    }
}

impl Field for Chunk {
    fn put(&self, out: &mut BytesMut) {
        self.0.put(out);
    }
    fn take(from: &mut Cursor) -> Result<Chunk, DecodeError> {
        Ok(Chunk(u32::take(from)?))
    }
}

impl Field for Run {
    fn put(&self, out: &mut BytesMut) {
        self.first.put(out);
        self.count.put(out);
    }
    fn take(from: &mut Cursor) -> Result<Run, DecodeError> {
        Ok(Run { first: Chunk::take(from)?, count: u32::take(from)? })
    }
}

/// UTF-8 of at most `MAX` bytes, with a `u16` length before it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// The text, cut at a character boundary to what fits.
    pub fn new(text: impl Into<String>) -> Text<MAX> {
        let mut text = text.into();
        text.truncate(text.floor_char_boundary(MAX));
        Text(text)
    }

    /// The text by value.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl<const MAX: usize> Deref for Text<MAX> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> Field for Text<MAX> {
    fn put(&self, out: &mut BytesMut) {
        out.put_u16(self.0.len() as u16);
        out.put_slice(self.0.as_bytes());
    }
    fn take(from: &mut Cursor) -> Result<Text<MAX>, DecodeError> {
        let len = usize::from(u16::take(from)?);
        if len > MAX {
            return Err(DecodeError::OverLimit { what: "a text", got: len, limit: MAX });
        }
        let text = std::str::from_utf8(&from.take(len)?).map_err(|_| DecodeError::NotUtf8)?.to_owned();
        Ok(Text(text))
    }
}

impl Field for Address {
    fn put(&self, out: &mut BytesMut) {
        let (ip, port) = self.to_bytes();
        out.put_slice(&ip);
        out.put_u16(port);
    }
    fn take(from: &mut Cursor) -> Result<Address, DecodeError> {
        let ip = from.array()?;
        Address::from_bytes(ip, u16::take(from)?).ok_or(DecodeError::NotAnAddress)
    }
}

impl Field for SafeName {
    fn put(&self, out: &mut BytesMut) {
        out.put_u16(self.as_str().len() as u16);
        out.put_slice(self.as_str().as_bytes());
    }
    fn take(from: &mut Cursor) -> Result<SafeName, DecodeError> {
        SafeName::new(Name::take(from)?.into_string()).map_err(DecodeError::UnsafeName)
    }
}

/// At most `MAX` values, with a `u32` count before them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> List<T, MAX> {
        List(Vec::new())
    }
}

impl<T, const MAX: usize> List<T, MAX> {
    /// The first `MAX` of the values.
    pub fn new(mut values: Vec<T>) -> List<T, MAX> {
        values.truncate(MAX);
        List(values)
    }

    /// The values by value.
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Deref for List<T, MAX> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

/// Writes values as a list of them.
pub(crate) fn put_list<T: Field>(values: &[T], out: &mut BytesMut) {
    out.put_u32(values.len() as u32);
    values.iter().for_each(|value| value.put(out));
}

impl<T: Field, const MAX: usize> Field for List<T, MAX> {
    fn put(&self, out: &mut BytesMut) {
        put_list(&self.0, out);
    }
    fn take(from: &mut Cursor) -> Result<List<T, MAX>, DecodeError> {
        let count = u32::take(from)? as usize;
        if count > MAX {
            return Err(DecodeError::OverLimit { what: "a list", got: count, limit: MAX });
        }
        // No reservation by the stated count: a value takes at least a byte of the body.
        let mut values = Vec::new();
        for _ in 0..count {
            values.push(T::take(from)?);
        }
        Ok(List(values))
    }
}

/// A name as people type it: a `/`-separated relative path; a tree's ends with `/`.
pub type Name = Text<{ limits::MAX_NAME_BYTES }>;
/// A peer's or program's name.
pub type Label = Text<{ limits::MAX_LABEL_BYTES }>;
/// Addresses of one peer, those to be tried first in front.
pub type Addresses = List<Address, { limits::MAX_ADDRESSES }>;
/// Runs of chunks.
pub type Ranges = List<Run, { limits::MAX_RANGES }>;

/// Which chunks a holder has when a content is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bits {
    /// No chunk.
    None,
    /// Every chunk.
    All,
    /// One bit a chunk, the first chunk in the highest bit of the first byte; spare bits are 0.
    Map(Bytes),
}

impl Bits {
    /// The set of `len` chunks that this stands for; `None` if the bitmap is of another length.
    pub fn to_set(&self, len: u32) -> Option<ChunkSet> {
        match self {
            Bits::None => Some(ChunkSet::empty(len)),
            Bits::All => Some(ChunkSet::full(len)),
            Bits::Map(map) => ChunkSet::from_bytes(map, len),
        }
    }
}

impl From<&ChunkSet> for Bits {
    fn from(set: &ChunkSet) -> Bits {
        if set.is_empty() {
            Bits::None
        } else if set.is_full() {
            Bits::All
        } else {
            Bits::Map(Bytes::from(set.to_bytes()))
        }
    }
}

impl Field for Bits {
    fn put(&self, out: &mut BytesMut) {
        match self {
            Bits::None => out.put_u8(0),
            Bits::All => out.put_u8(1),
            Bits::Map(map) => {
                out.put_u8(2);
                out.put_u32(map.len() as u32);
                out.put_slice(map);
            }
        }
    }
    fn take(from: &mut Cursor) -> Result<Bits, DecodeError> {
        match u8::take(from)? {
            0 => Ok(Bits::None),
            1 => Ok(Bits::All),
            2 => {
                let len = u32::take(from)? as usize;
                let limit = limits::MAX_CHUNKS as usize / 8;
                if len > limit {
                    return Err(DecodeError::OverLimit { what: "a bitmap", got: len, limit });
                }
                Ok(Bits::Map(from.take(len)?))
            }
            other => Err(DecodeError::BadValue { what: "a bitmap's form", got: u64::from(other) }),
        }
    }
}

/// Mode and time, if they are known. No mode has other bits than its low nine.
impl Field for Option<Looks> {
    fn put(&self, out: &mut BytesMut) {
        self.is_some().put(out);
        if let Some(looks) = self {
            out.put_u16(looks.mode);
            out.put_i64(looks.mtime_ns);
        }
    }
    fn take(from: &mut Cursor) -> Result<Option<Looks>, DecodeError> {
        if !bool::take(from)? {
            return Ok(None);
        }
        let mode = u16::take(from)?;
        if mode > Looks::MODE {
            return Err(DecodeError::BadValue { what: "a mode", got: u64::from(mode) });
        }
        Ok(Some(Looks { mode, mtime_ns: i64::from_be_bytes(from.array()?) }))
    }
}

impl Field for Proof {
    fn put(&self, out: &mut BytesMut) {
        out.put_u32(self.first);
        out.put_u16(self.hashes.len() as u16);
        out.put_u8(self.path.len() as u8);
        for hash in self.hashes.iter().chain(&self.path) {
            hash.put(out);
        }
    }
    fn take(from: &mut Cursor) -> Result<Proof, DecodeError> {
        let first = u32::take(from)?;
        let hashes = usize::from(u16::take(from)?);
        let path = usize::from(u8::take(from)?);
        if hashes > limits::MAX_PROOF_RUN {
            return Err(DecodeError::OverLimit {
                what: "a proof's run",
                got: hashes,
                limit: limits::MAX_PROOF_RUN,
            });
        }
        if path > limits::MAX_PROOF_PATH {
            return Err(DecodeError::OverLimit {
                what: "a proof's path",
                got: path,
                limit: limits::MAX_PROOF_PATH,
            });
        }
        let mut take =
            |count: usize| (0..count).map(|_| ChunkHash::take(from)).collect::<Result<Vec<_>, _>>();
        Ok(Proof { first, hashes: take(hashes)?, path: take(path)? })
    }
}
