//! What stores promise of a content: copies, or shards of a code.

use bytes::BytesMut;

use super::codes::View;
use super::field::{Cursor, DecodeError, Field};
use super::limits::MAX_PARITY;
use crate::content::code::{Shape, Stripes};
use crate::content::{ChunkSize, FileId};

/// Added to `k` where the data of a code is the members of a folder, and not a file.
const OF_MEMBERS: u8 = 0x80;

/// What stores promise of a content: any `k` of `k + m` shards suffice to have it, so `m` stores may be lost.
///
/// Copies are shards with `k` 1: `m + 1` of them. Else the shards are those of the content and of its parity, which is a
/// content of its own. [`Policy::NONE`] promises nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Policy {
    k: u8,
    m: u8,
    /// Of a code; else none.
    parity: FileId,
    /// The largest chunks of a folder's members, if it is they that are coded.
    members: Option<ChunkSize>,
}

impl Policy {
    /// No store keeps it; it is there as long as some peer shares it.
    pub const NONE: Policy = Policy { k: 0, m: 0, parity: FileId::NONE, members: None };

    /// That many copies; `None` for 0 and above [`MAX_PARITY`] + 1.
    pub fn copies(copies: u8) -> Option<Policy> {
        let m = copies.checked_sub(1).filter(|m| *m <= MAX_PARITY)?;
        Some(Policy { k: 1, m, ..Policy::NONE })
    }

    /// Shards of a code, of which this is the parity: of a file, or of the members of a folder, of which the largest chunks have
    /// this size.
    pub fn coded(shape: Shape, parity: FileId, members: Option<ChunkSize>) -> Policy {
        Policy { k: shape.k() as u8, m: shape.m() as u8, parity, members }
    }

    /// How many shards suffice; 0 if nothing is promised.
    pub fn k(self) -> u8 {
        self.k
    }

    /// How many may be lost.
    pub fn m(self) -> u8 {
        self.m
    }

    /// False if nothing is promised.
    pub fn promises(self) -> bool {
        self != Policy::NONE
    }

    /// How it is coded, if it is.
    pub fn coding(self) -> Option<Coding> {
        let shape = Shape::new(self.k, self.m)?;
        Some(Coding { shape, of: Side::Data, with: self.parity, members: self.members })
    }
}

/// `k` as it is written, which says what is coded.
fn marked(k: u8, members: Option<ChunkSize>) -> u8 {
    if members.is_some() { k | OF_MEMBERS } else { k }
}

/// The size of the largest chunks, which is there only if the members of a folder are coded.
fn take_members(k: u8, from: &mut Cursor) -> Result<Option<ChunkSize>, DecodeError> {
    if k & OF_MEMBERS == 0 {
        return Ok(None);
    }
    let bits = u8::take(from)?;
    let bad = DecodeError::BadValue { what: "a size of chunks", got: bits.into() };
    ChunkSize::of_bits(bits).map(Some).ok_or(bad)
}

impl Field for Policy {
    fn put(&self, out: &mut BytesMut) {
        marked(self.k, self.members).put(out);
        self.m.put(out);
        if self.k > 1 {
            self.parity.put(out);
            self.members.iter().for_each(|size| size.bits().put(out));
        }
    }
    fn take(from: &mut Cursor) -> Result<Policy, DecodeError> {
        let (k, m) = (u8::take(from)?, u8::take(from)?);
        let got = u64::from(u16::from_be_bytes([k, m]));
        let bad = DecodeError::BadValue { what: "a policy", got };
        match k {
            0 if m == 0 => Ok(Policy::NONE),
            0 => Err(bad),
            1 => m.checked_add(1).and_then(Policy::copies).ok_or(bad),
            _ => {
                let shape = Shape::new(k & !OF_MEMBERS, m).ok_or(bad)?;
                let parity = FileId::take(from)?;
                Ok(Policy::coded(shape, parity, take_members(k, from)?))
            }
        }
    }
}

/// Which of the two contents of a code one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// What was published.
    Data,
    /// What was worked out from it; the data has so many bytes: the file, or the listing of the folder.
    Parity(u64),
}

/// That a content is one of the two of a code, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Coding {
    /// How many shards suffice, and how many may be lost.
    pub shape: Shape,
    /// Which of the two this is.
    pub of: Side,
    /// The other one.
    pub with: FileId,
    /// The largest chunks of a folder's members, if the data is they, and not a file.
    pub members: Option<ChunkSize>,
}

impl Coding {
    /// The same, as it is of the other content, where the data has `size` bytes.
    #[must_use]
    pub fn turned(self, id: FileId, size: u64) -> Coding {
        let of = if self.of == Side::Data { Side::Parity(size) } else { Side::Data };
        Coding { of, with: id, ..self }
    }

    /// As what the data is kept.
    pub fn view(&self) -> View {
        if self.members.is_some() { View::Members } else { View::Bytes }
    }

    /// As what the content itself is kept.
    pub fn own_view(&self) -> View {
        if self.of == Side::Data { self.view() } else { View::Bytes }
    }

    /// The other content, and as what it is kept.
    pub fn other(&self) -> (FileId, View) {
        (self.with, if self.of == Side::Data { View::Bytes } else { self.view() })
    }

    /// How data of so many bytes and chunks is coded; `None` if it cannot be.
    pub fn stripes(&self, size: u64, chunks: u32) -> Option<Stripes> {
        match self.members {
            None => Stripes::new(self.shape, size).filter(|stripes| stripes.data_chunks() == chunks),
            Some(largest) => Stripes::of_members(self.shape, chunks, largest),
        }
    }

    /// What is promised of the data.
    pub fn policy(&self) -> Policy {
        Policy::coded(self.shape, self.with, self.members)
    }
}

/// What a content is of a code, if it is: `k` is 0 if not, and the data has no size but where the content is the parity.
impl Field for Option<Coding> {
    fn put(&self, out: &mut BytesMut) {
        let Some(Coding { shape, of, with, members }) = *self else { return 0_u8.put(out) };
        marked(shape.k() as u8, members).put(out);
        (shape.m() as u8).put(out);
        (if let Side::Parity(size) = of { size } else { 0 }).put(out);
        with.put(out);
        members.iter().for_each(|size| size.bits().put(out));
    }
    fn take(from: &mut Cursor) -> Result<Option<Coding>, DecodeError> {
        let k = u8::take(from)?;
        if k == 0 {
            return Ok(None);
        }
        let (m, data_size, with) = (u8::take(from)?, u64::take(from)?, FileId::take(from)?);
        let got = u64::from(u16::from_be_bytes([k, m]));
        let shape = Shape::new(k & !OF_MEMBERS, m).ok_or(DecodeError::BadValue { what: "a code", got })?;
        let of = if data_size == 0 { Side::Data } else { Side::Parity(data_size) };
        Ok(Some(Coding { shape, of, with, members: take_members(k, from)? }))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn shape(k: u8, m: u8) -> Shape {
        Shape::new(k, m).unwrap()
    }

    fn read<T: Field>(bytes: &[u8]) -> Result<T, DecodeError> {
        let mut from = Cursor::new(Bytes::copy_from_slice(bytes));
        let value = T::take(&mut from)?;
        from.finish().map(|()| value)
    }

    fn written(value: &impl Field) -> Vec<u8> {
        let mut out = BytesMut::new();
        value.put(&mut out);
        out.to_vec()
    }

    #[test]
    fn a_policy_is_within_its_limits_or_promises_nothing() {
        assert_eq!(Policy::copies(2).map(|policy| (policy.k(), policy.m())), Some((1, 1)));
        assert_eq!(Policy::copies(1).map(|policy| (policy.k(), policy.m())), Some((1, 0)));
        assert_eq!((Policy::copies(0), Policy::copies(u8::MAX)), (None, None));
        assert!(Policy::copies(MAX_PARITY + 1).is_some() && Policy::copies(MAX_PARITY + 2).is_none());
        let bad = |got| Err(DecodeError::BadValue { what: "a policy", got });
        assert_eq!((read(&[0, 0]), read(&[0, 1])), (Ok(Policy::NONE), bad(1)));
        assert_eq!((read(&[1, 1]), read::<Policy>(&[1, 255])), (Ok(Policy::copies(2).unwrap()), bad(0x1ff)));
    }

    #[test]
    fn a_policy_of_a_code_names_the_parity() {
        let policy = Policy::coded(shape(4, 2), FileId([7; 32]), None);
        let mut bytes = vec![4, 2];
        bytes.extend([7; 32]);
        assert_eq!((written(&policy), read(&bytes)), (bytes.clone(), Ok(policy)));
        bytes[1] = 5;
        assert_eq!(read::<Policy>(&bytes), Err(DecodeError::BadValue { what: "a policy", got: 0x405 }));
        assert!(read::<Policy>(&bytes[..2]).is_err());
        assert_eq!(Policy::copies(2).unwrap().coding(), None);
        let coding = Coding { shape: shape(4, 2), of: Side::Data, with: FileId([7; 32]), members: None };
        assert_eq!((policy.coding(), coding.policy()), (Some(coding), policy));
    }

    #[test]
    fn of_a_folder_the_largest_chunks_are_said_too() {
        let policy = Policy::coded(shape(4, 2), FileId([7; 32]), ChunkSize::of_bits(18));
        let mut bytes = vec![0x84, 2];
        bytes.extend([7; 32]);
        bytes.push(18);
        assert_eq!((written(&policy), read(&bytes)), (bytes.clone(), Ok(policy)));
        *bytes.last_mut().unwrap() = 15;
        let bad = DecodeError::BadValue { what: "a size of chunks", got: 15 };
        assert_eq!(read::<Policy>(&bytes), Err(bad));
        bytes[0] = 0x81;
        assert_eq!(read::<Policy>(&bytes), Err(DecodeError::BadValue { what: "a policy", got: 0x8102 }));
        let coding = policy.coding().unwrap();
        let parity = coding.turned(FileId([1; 32]), 700);
        assert_eq!(
            (coding.view(), coding.own_view(), parity.own_view()),
            (View::Members, View::Members, View::Bytes)
        );
        assert_eq!(coding.other(), (FileId([7; 32]), View::Bytes));
        assert_eq!(parity.other(), (FileId([1; 32]), View::Members));
        assert_eq!(coding.stripes(700, 200).map(|stripes| stripes.chunk_bytes(false)), Some(1 << 18));
        for coding in [coding, parity].map(Some) {
            assert_eq!(read(&written(&coding)), Ok(coding));
        }
    }

    #[test]
    fn each_of_the_two_contents_knows_the_other() {
        let size = 5 << 16;
        let data = Coding { shape: shape(4, 2), of: Side::Data, with: FileId([7; 32]), members: None };
        let parity = data.turned(FileId([1; 32]), size);
        assert_eq!(parity, Coding { of: Side::Parity(size), with: FileId([1; 32]), ..data });
        assert_eq!(parity.turned(FileId([7; 32]), 0), data);
        assert_eq!((parity.stripes(size, 5), data.stripes(size, 6)), (data.stripes(size, 5), None));
        assert_eq!((data.stripes(size, 5).is_some(), data.stripes(3 << 16, 3)), (true, None));
        for coding in [None, Some(data), Some(parity)] {
            assert_eq!(read(&written(&coding)), Ok(coding));
        }
        assert_eq!(written(&None::<Coding>), [0]);
        assert!(read::<Option<Coding>>(&[1; 42]).is_err(), "copies are no code");
    }
}
