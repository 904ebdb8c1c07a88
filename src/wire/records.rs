//! What trackers keep on record, as it stands in messages, in the tracker's journal and at stores: published names and
//! their versions.

use bytes::{Buf, BufMut, BytesMut};

use super::codes::View;
use super::field::{Cursor, DecodeError, Field, Label, Name};
use super::macros::layout;
use super::policy::Policy;
use crate::content::{Claim, FileId};

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
    /// A version as it is asked for: its number and its time are the tracker's to give.
    pub fn asked_for((id, claim): (FileId, Claim), policy: Policy, publisher: &str) -> Version {
        let Claim { size, total, chunks, tree: _ } = claim;
        Version { number: 0, id, size, total, chunks, policy, stamp_ms: 0, publisher: Label::new(publisher) }
    }

    /// What is claimed of its content, published under `name`.
    pub fn claim(&self, name: &str) -> Claim {
        Claim { size: self.size, total: self.total, chunks: self.chunks, tree: name.ends_with('/') }
    }

    /// As what stores keep its content, published under `name`: a file's bytes, or a tree's members, which implies
    /// its listing.
    pub fn view(name: &str) -> View {
        if name.ends_with('/') { View::Members } else { View::Bytes }
    }

    /// True if what is said of it can be true, published under `name`, as far as can be seen without a byte of it: only what is
    /// large enough can be promised as a code.
    pub fn is_possible(&self, name: &str) -> bool {
        let coded = self.policy.coding().is_none_or(|coding| {
            let parity = coding.stripes(self.size, self.chunks).map(|stripes| stripes.parity().size());
            coding.view() == Version::view(name) && parity.is_some_and(|size| coding.with.can_be_of(size))
        });
        coded && self.claim(name).is_possible(&self.id)
    }

    /// True if both stand for the same content and promise the same of it.
    pub fn is_like(&self, other: &Version) -> bool {
        self.id == other.id && self.size == other.size && self.policy == other.policy
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::ChunkSize;
    use crate::content::code::Shape;

    /// A file of one byte.
    fn version() -> Version {
        Version {
            number: 3,
            id: FileId::of(b"x"),
            size: 1,
            total: 1,
            chunks: 1,
            policy: Policy::NONE,
            stamp_ms: 1_700_000_000_000,
            publisher: Label::new("anna"),
        }
    }

    #[test]
    fn a_published_version_reads_back() {
        let published = Published { name: Name::new("a/b"), version: version() };
        let mut out = BytesMut::new();
        published.put(&mut out);
        let mut from = Cursor::new(out.freeze());
        assert_eq!(Published::take(&mut from), Ok(published));
        assert_eq!(from.finish(), Ok(()));
    }

    #[test]
    fn what_is_promised_as_a_code_has_chunks_enough_and_a_parity() {
        let version = |chunks: u32, parity: FileId| {
            let size = u64::from(chunks) << 16;
            let policy = Policy::coded(Shape::new(4, 2).unwrap(), parity, None);
            Version { size, total: size, chunks, policy, ..version() }
        };
        let parity = FileId::of(b"parity");
        assert!(
            version(4, parity).is_possible("f") && !version(4, parity).is_possible("f/"),
            "a tree is no file"
        );
        assert!(!version(3, parity).is_possible("f"), "there are fewer chunks than shards");
        assert!(!version(4, FileId::of(b"")).is_possible("f"), "the parity has bytes");
        assert!(
            !Version { chunks: 5, ..version(4, parity) }.is_possible("f"),
            "of such a size there are four"
        );
        let folder = |chunks| {
            let policy = Policy::coded(Shape::new(4, 2).unwrap(), parity, ChunkSize::of_bits(16));
            Version { size: 700, total: 1 << 20, chunks, policy, ..version(16, parity) }
        };
        assert!(folder(16).is_possible("f/") && !folder(16).is_possible("f") && !folder(3).is_possible("f/"));
        let plain = Version { policy: Policy::NONE, ..version(3, parity) };
        assert!(plain.is_possible("f") && plain.is_possible("f/"));
        assert!(!Version { id: FileId::of(b""), ..plain }.is_possible("f"), "that is the id of nothing");
    }

    #[test]
    fn versions_are_alike_when_they_promise_the_same_of_the_same_content() {
        let version = version();
        let like = Version { number: 4, stamp_ms: 8, publisher: Label::new("ben"), ..version.clone() };
        assert!(version.is_like(&like));
        assert!(!version.is_like(&Version { id: FileId::of(b"y"), ..like.clone() }));
        assert!(!version.is_like(&Version { size: 2, ..like.clone() }));
        assert!(!version.is_like(&Version { policy: Policy::copies(1).unwrap(), ..like }));
    }
}
