//! The three identities: of a content, of a chunk at its place, and of a peer.

use std::fmt;
use std::str::FromStr;

/// The plain BLAKE3 hash of a content, exactly what `b3sum` prints.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub [u8; 32]);

/// The BLAKE3 chaining value of a chunk at its offset.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChunkHash(pub [u8; 32]);

/// A peer, for as long as it keeps its state directory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub [u8; 16]);

/// A text that is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is {} hexadecimal digits", 2 * FileId::BYTES)]
pub struct IdError;

impl FileId {
    /// Bytes of an id.
    pub const BYTES: usize = 32;
    /// In a LOCATE by name: no id.
    pub const NONE: FileId = FileId([0; 32]);

    /// The id of a content of no bytes.
    pub const NOTHING: FileId = FileId([
        0xaf, 0x13, 0x49, 0xb9, 0xf5, 0xf9, 0xa1, 0xa6, 0xa0, 0x40, 0x4d, 0xea, 0x36, 0xdc, 0xc9, 0x49, 0x9b,
        0xcb, 0x25, 0xc9, 0xad, 0xc1, 0x12, 0xb7, 0xcc, 0x9a, 0x93, 0xca, 0xe4, 0x1f, 0x32, 0x62,
    ]);

    /// False if this is the id of no content of `size` bytes, as far as can be told without the bytes: a
    /// content has the id of nothing if it is empty, and only then.
    pub fn can_be_of(&self, size: u64) -> bool {
        *self != FileId::NONE && (size == 0) == (*self == FileId::NOTHING)
    }

    /// The id of `content`.
    pub fn of(content: &[u8]) -> FileId {
        FileId(*blake3::hash(content).as_bytes())
    }
}

impl PeerId {
    /// One that nobody else has.
    pub fn random() -> PeerId {
        PeerId(std::array::from_fn(|_| fastrand::u8(..)))
    }
}

impl ChunkHash {
    /// Bytes of a chunk hash.
    pub const BYTES: usize = 32;
}

impl FileId {
    /// Digits that are enough to be taken for the beginning of an id.
    pub const MIN_SHORT_DIGITS: usize = 8;

    /// True of what an id may begin with: some of its digits, and not all.
    pub fn may_begin_with(text: &str) -> bool {
        (FileId::MIN_SHORT_DIGITS..64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    }
}

impl FromStr for FileId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<FileId, IdError> {
        blake3::Hash::from_hex(text).map(|hash| FileId(*hash.as_bytes())).map_err(|_| IdError)
    }
}

fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Display for ChunkHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

/// In logs and test failures, the hexadecimal form.
macro_rules! debug_as_display {
    ($($type:ident),*) => {$(
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}
debug_as_display!(FileId, ChunkHash, PeerId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_nothing_is_that_of_no_bytes() {
        assert_eq!(FileId::NOTHING, FileId::of(b""));
    }

    #[test]
    fn only_nothing_has_the_id_of_nothing_and_no_content_has_none() {
        let some = FileId::of(b"some");
        let can = [FileId::NONE, FileId::NOTHING, some].map(|id| [id.can_be_of(0), id.can_be_of(4)]);
        assert_eq!(can, [[false, false], [true, false], [false, true]]);
    }

    #[test]
    fn an_id_is_its_digits_and_its_beginning_eight_of_them_or_more() {
        let digits = FileId::of(b"some").to_string();
        assert_eq!(digits.parse(), Ok(FileId::of(b"some")));
        assert_eq!([&digits[1..], &format!("{digits}0")].map(str::parse::<FileId>), [Err(IdError); 2]);
        assert_eq!(IdError.to_string(), "an id is 64 hexadecimal digits");
        let may = [7, 8, 63, 64].map(|len| FileId::may_begin_with(&digits[..len]));
        assert_eq!(may, [false, true, true, false]);
        assert!(!FileId::may_begin_with("0123456g"));
    }
}
