//! What trackers keep on record, as it stands in messages, in the tracker's journal and at stores: published names and
//! their versions.

use bytes::{Buf, BufMut, BytesMut};

use super::codes::View;
use super::field::{Cursor, DecodeError, Field, Label, Name};
use super::limits::{MAX_PARITY, MAX_SHARDS};
use super::macros::layout;
use crate::content::{Claim, FileId};

/// What stores promise of a content: any `k` of `k + m` shards suffice to have it, so `m` stores may be lost.
///
/// Copies are shards with `k` 1: `m + 1` of them. [`Policy::NONE`] promises nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Policy {
    k: u8,
    m: u8,
}

impl Policy {
    /// No store keeps it; it is there as long as some peer shares it.
    pub const NONE: Policy = Policy { k: 0, m: 0 };

    /// Any `k` of `k + m`; `None` above [`MAX_SHARDS`] or [`MAX_PARITY`], and where nothing suffices.
    pub fn new(k: u8, m: u8) -> Option<Policy> {
        let policy = Policy { k, m };
        let promises = (1..=MAX_SHARDS).contains(&k) && m <= MAX_PARITY;
        (promises || policy == Policy::NONE).then_some(policy)
    }

    /// That many copies; `None` for 0 and above [`MAX_PARITY`] + 1.
    pub fn copies(copies: u8) -> Option<Policy> {
        Policy::new(1, copies.checked_sub(1)?)
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
}

impl Field for Policy {
    fn put(&self, out: &mut BytesMut) {
        self.k.put(out);
        self.m.put(out);
    }
    fn take(from: &mut Cursor) -> Result<Policy, DecodeError> {
        let (k, m) = (u8::take(from)?, u8::take(from)?);
        let got = u64::from(u16::from_be_bytes([k, m]));
        Policy::new(k, m).ok_or(DecodeError::BadValue { what: "a policy", got })
    }
}

/// Who asks for a change of the records: new for each call of a command, so that the change is made once however often
/// it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u128);

impl ClientId {
    /// One that nobody else has.
    pub fn random() -> ClientId {
        ClientId(fastrand::u128(..))
    }
}

/// Whose records they are: stores keep what one authority tells them to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Authority(pub u128);

impl Authority {
    /// That of no records.
    pub const NONE: Authority = Authority(0);

    /// One that nobody else has.
    pub fn random() -> Authority {
        Authority(fastrand::u128(1..))
    }
}

/// How often an authority has begun anew, or another number that rises with each start: what was ordered in an
/// earlier term counts no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Term(pub u128);

/// Sixteen bytes that are one number.
macro_rules! number_field {
    ($($type:ident),*) => {$(
        impl Field for $type {
            fn put(&self, out: &mut BytesMut) {
                out.put_u128(self.0);
            }
            fn take(from: &mut Cursor) -> Result<$type, DecodeError> {
                Ok($type(from.take(size_of::<u128>())?.get_u128()))
            }
        }
    )*};
}
number_field!(ClientId, Authority, Term);

layout! {
    /// One version of what is published under a name.
    Version {
        /// Counts up from 1 under one name. In a request 0, and in a command: the tracker gives it.
        number: u32,
        /// The content's id: of a file, or of a tree's listing if the name ends with `/`.
        id: FileId,
        /// Bytes of the content.
        size: u64,
        /// Bytes of all files: `size` for a file, the sum of its members for a tree.
        total: u64,
        /// Chunks: of the file, or of all members of the tree.
        chunks: u32,
        /// What stores promise of it.
        policy: Policy,
        /// When it was published, by the tracker's clock, in milliseconds since 1970; 0 in a request.
        stamp_ms: u64,
        /// Who published it, as it calls itself.
        publisher: Label,
    }
}

layout! {
    /// A version with the name under which it is published.
    Published {
        /// The name; a tree's ends with `/`.
        name: Name,
        /// The version.
        version: Version,
    }
}

impl Version {
    /// What is claimed of its content, published under `name`.
    pub fn claim(&self, name: &str) -> Claim {
        Claim { size: self.size, total: self.total, chunks: self.chunks, tree: name.ends_with('/') }
    }

    /// As what stores keep its content, published under `name`: a file's bytes, or a tree's members, which implies
    /// its listing.
    pub fn view(name: &str) -> View {
        if name.ends_with('/') { View::Members } else { View::Bytes }
    }

    /// True if both stand for the same content and promise the same of it.
    pub fn is_like(&self, other: &Version) -> bool {
        self.id == other.id && self.size == other.size && self.policy == other.policy
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_policy_is_within_its_limits_or_promises_nothing() {
        assert_eq!(Policy::copies(2), Policy::new(1, 1));
        assert_eq!(Policy::copies(1).map(|policy| (policy.k(), policy.m())), Some((1, 0)));
        assert_eq!((Policy::copies(0), Policy::copies(u8::MAX)), (None, None));
        assert!(Policy::copies(MAX_PARITY + 1).is_some() && Policy::copies(MAX_PARITY + 2).is_none());
        assert!(Policy::new(MAX_SHARDS, MAX_PARITY).is_some() && Policy::new(MAX_SHARDS + 1, 1).is_none());
        assert_eq!((Policy::new(0, 0), Policy::new(0, 1)), (Some(Policy::NONE), None));
        let bad = Policy::take(&mut Cursor::new(Bytes::from_static(&[0, 1])));
        assert_eq!(bad, Err(DecodeError::BadValue { what: "a policy", got: 1 }));
    }

    #[test]
    fn a_published_version_reads_back() {
        let version = Version {
            number: 3,
            id: FileId::of(b"x"),
            size: 1,
            total: 1,
            chunks: 1,
            policy: Policy::NONE,
            stamp_ms: 1_700_000_000_000,
            publisher: Label::new("anna"),
        };
        let published = Published { name: Name::new("a/b"), version };
        let mut out = BytesMut::new();
        published.put(&mut out);
        let mut from = Cursor::new(out.freeze());
        assert_eq!(Published::take(&mut from), Ok(published));
        assert_eq!(from.finish(), Ok(()));
    }
}
