//! What stores promise of a content: copies, or shards of a code.

use bytes::BytesMut;

use super::field::{Cursor, DecodeError, Field};
use super::limits::MAX_PARITY;
use crate::content::FileId;
use crate::content::code::{Shape, Stripes};

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
}

impl Policy {
    /// No store keeps it; it is there as long as some peer shares it.
    pub const NONE: Policy = Policy { k: 0, m: 0, parity: FileId::NONE };

    /// That many copies; `None` for 0 and above [`MAX_PARITY`] + 1.
    pub fn copies(copies: u8) -> Option<Policy> {
        let m = copies.checked_sub(1).filter(|m| *m <= MAX_PARITY)?;
        Some(Policy { k: 1, m, parity: FileId::NONE })
    }

    /// Shards of a code, of which this is the parity.
    pub fn coded(shape: Shape, parity: FileId) -> Policy {
        Policy { k: shape.k() as u8, m: shape.m() as u8, parity }
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
        Some(Coding { shape, of: Side::Data, with: self.parity })
    }
}

impl Field for Policy {
    fn put(&self, out: &mut BytesMut) {
        self.k.put(out);
        self.m.put(out);
        if self.k > 1 {
            self.parity.put(out);
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
            _ => Ok(Policy::coded(Shape::new(k, m).ok_or(bad)?, FileId::take(from)?)),
        }
    }
}

/// Which of the two contents of a code one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// What was published.
    Data,
    /// What was worked out from it; the data has so many bytes.
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
}

impl Coding {
    /// The same, as it is of the other content, where the data has `size` bytes.
    #[must_use]
    pub fn turned(self, id: FileId, size: u64) -> Coding {
        let of = if self.of == Side::Data { Side::Parity(size) } else { Side::Data };
        Coding { of, with: id, ..self }
    }

    /// How the content of so many bytes and the other one are coded; `None` if they cannot be.
    pub fn stripes(&self, size: u64) -> Option<Stripes> {
        match self.of {
            Side::Data => Stripes::new(self.shape, size),
            Side::Parity(data) => {
                Stripes::new(self.shape, data).filter(|stripes| stripes.parity().size() == size)
            }
        }
    }
}

/// What a content is of a code, if it is: `k` is 0 if not, and the data has no size but where the content is the parity.
impl Field for Option<Coding> {
    fn put(&self, out: &mut BytesMut) {
        let Some(Coding { shape, of, with }) = *self else { return 0_u8.put(out) };
        (shape.k() as u8).put(out);
        (shape.m() as u8).put(out);
        (if let Side::Parity(size) = of { size } else { 0 }).put(out);
        with.put(out);
    }
    fn take(from: &mut Cursor) -> Result<Option<Coding>, DecodeError> {
        let k = u8::take(from)?;
        if k == 0 {
            return Ok(None);
        }
        let (m, data_size, with) = (u8::take(from)?, u64::take(from)?, FileId::take(from)?);
        let got = u64::from(u16::from_be_bytes([k, m]));
        let shape = Shape::new(k, m).ok_or(DecodeError::BadValue { what: "a code", got })?;
        let of = if data_size == 0 { Side::Data } else { Side::Parity(data_size) };
        Ok(Some(Coding { shape, of, with }))
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
        let policy = Policy::coded(shape(4, 2), FileId([7; 32]));
        let mut bytes = vec![4, 2];
        bytes.extend([7; 32]);
        assert_eq!((written(&policy), read(&bytes)), (bytes.clone(), Ok(policy)));
        bytes[1] = 5;
        assert_eq!(read::<Policy>(&bytes), Err(DecodeError::BadValue { what: "a policy", got: 0x405 }));
        assert!(read::<Policy>(&bytes[..2]).is_err());
        assert_eq!(Policy::copies(2).unwrap().coding(), None);
        let coding = Coding { shape: shape(4, 2), of: Side::Data, with: FileId([7; 32]) };
        assert_eq!(policy.coding(), Some(coding));
    }

    #[test]
    fn each_of_the_two_contents_knows_the_other() {
        let size = 5 << 16;
        let data = Coding { shape: shape(4, 2), of: Side::Data, with: FileId([7; 32]) };
        let parity = data.turned(FileId([1; 32]), size);
        assert_eq!(parity, Coding { of: Side::Parity(size), with: FileId([1; 32]), ..data });
        assert_eq!(parity.turned(FileId([7; 32]), 0), data);
        let stripes = data.stripes(size).unwrap();
        assert_eq!(parity.stripes(stripes.parity().size()), Some(stripes));
        assert_eq!((parity.stripes(size + 1), data.stripes(3 << 16)), (None, None));
        for coding in [None, Some(data), Some(parity)] {
            assert_eq!(read(&written(&coding)), Ok(coding));
        }
        assert_eq!(written(&None::<Coding>), [0]);
        assert!(read::<Option<Coding>>(&[1; 42]).is_err(), "copies are no code");
    }
}
